"""An accelerated proximal gradient method, for objectives with penalties and many parameters."""

from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array, Bool, Float

from .._result import RESULTS
from ._method import AbstractMethod, Record, check_unscheduled, new_record
from ._penalties import Penalties, penalties_of, smooth
from ._problem import Outcome, Problem

# After this many halvings of the step nothing moves.
_STEEPEST = 1e30


class _State(eqx.Module):
    """What goes on from step to step, in the space of the penalties.

    - `z`, `cost`: the best point and the whole objective there.
    - `at_z`: the smooth part there, `anchor` and `at_anchor` where the gradient step starts.
    - `trial`: the point to evaluate next; a new anchor, or a candidate for the best point.
    - `is_anchor`: which of both.
    - `momentum`: Nesterov's number, 1 after a restart.
    - `steepness`: one over the step's length.
    """

    z: Float[Array, " size"]
    cost: Float[Array, ""]
    at_z: Outcome
    anchor: Float[Array, " size"]
    at_anchor: Outcome
    trial: Float[Array, " size"]
    is_anchor: Bool[Array, ""]
    momentum: Float[Array, ""]
    steepness: Float[Array, ""]


@final
class ProximalGradient(AbstractMethod):
    """Proximal gradients with Nesterov's acceleration, for penalties with exact zeros.

    A step is a gradient step on the smooth part and the proximal step of the penalty, its length
    found by backtracking (A. Beck and M. Teboulle 2009, "A fast iterative shrinkage-thresholding
    algorithm for linear inverse problems", SIAM J. Imaging Sciences 2); where the objective
    rises, the acceleration begins anew (B. O'Donoghue and E. Candes 2015, "Adaptive restart for
    accelerated gradient schemes", Foundations of Computational Mathematics 15), so that it never
    ends higher than it was. Nothing but gradients is needed: it serves networks.

    It has converged when the least subgradient is at most `tolerance` times the root of the
    smooth part's steepness: for a sum of NLLs, the distance to the optimum in standard errors along
    the steepest direction.

    **Arguments:**

    - `tolerance`: the distance that is good enough.
    - `max_steps`: how many evaluations to make.
    """

    tolerance: float = eqx.field(static=True, default=1e-6)
    max_steps: int = eqx.field(static=True, default=20_000)

    def __check_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"ProximalGradient: tolerance {self.tolerance} is not positive.")
        if self.max_steps < 1:
            raise ValueError(f"ProximalGradient: max_steps {self.max_steps} is below 1.")

    def check(self, problem: Problem) -> None:
        """The smooth part must have a gradient that belongs to its value."""
        check_penalised(problem, "ProximalGradient")

    def init(self, problem: Problem, key: Array | None) -> tuple[Record, _State]:
        """Nothing is known yet: the first step evaluates the start."""
        theta = problem.start()
        z = penalties_of(problem).unit * theta
        zero, yes = jnp.zeros((), theta.dtype), jnp.asarray(True)
        nothing = Outcome(
            zero + jnp.inf, jnp.zeros_like(theta), ~yes, ~yes, ~yes, problem.no_solves()
        )
        state = _State(z, zero + jnp.inf, nothing, z, nothing, z, ~yes, zero + 1, zero)
        return new_record(problem, self.max_steps), state

    def step(self, problem: Problem, record: Record, state: _State) -> tuple[Record, _State]:
        """Evaluates an anchor's gradient, or a candidate, and proposes the next."""
        penalties = penalties_of(problem)
        theta = state.trial / penalties.unit
        here = smooth(problem).value_and_gradient(theta)
        seen = eqx.tree_at(lambda o: o.gradient, here, here.gradient / penalties.unit)
        whole = seen.total + penalties.cost(state.trial)
        usable = jnp.isfinite(whole)
        first = record.steps == 0
        fits = first | (usable & _below_parabola(state, seen))
        slope = penalties.least_subgradient(state.trial, seen.gradient)
        before = penalties.least_subgradient(state.z, state.at_z.gradient)
        # Below rounding the objective says nothing; how steep it is still does.
        rounding = 16 * jnp.finfo(theta.dtype).eps * jnp.abs(whole)
        flatter = (whole <= state.cost + rounding) & (jnp.sum(slope**2) < jnp.sum(before**2))
        lower = fits & ((whole < state.cost - rounding) | flatter | first)
        accept = ~state.is_anchor & lower

        outcome = eqx.tree_at(
            lambda o: (o.total, o.gradient), here, (whole, slope * penalties.unit)
        )
        record = record.count(outcome, theta).move(accept, theta, outcome)
        record = record.end(first & ~usable, RESULTS.start_failed)

        after = _onward(state, seen, whole, accept, lower, fits, first)
        left = penalties.least_subgradient(after.z, after.at_z.gradient)
        size = jnp.sqrt(jnp.sum(left**2) * problem.num_averaged().astype(left.dtype))
        near = size <= self.tolerance * jnp.sqrt(after.steepness)
        record = record.end(~state.is_anchor & fits & near, RESULTS.successful)
        # Not even a plain step, without acceleration, goes down.
        plain = jnp.all(state.anchor == state.z)
        stuck = ~state.is_anchor & fits & ~lower & plain & ~first
        record = record.end(stuck | (after.steepness > _STEEPEST), RESULTS.stalled)
        return record, _propose(penalties, after)


def check_penalised(problem: Problem, name: str) -> None:
    """Raises `ValueError` where a proximal method has nothing smooth to work on."""
    check_unscheduled(problem, name)
    if not problem.is_gradient:
        raise ValueError(
            f"{name} needs a gradient that belongs to the value, which a likelihood with BetaNLL "
            "or Faithful does not give."
        )
    if not smooth(problem).objective.parts:  # type: ignore[attr-defined]
        raise ValueError(
            f"{name}: the objective is all penalty, with its minimum at zero: add what they are "
            "weighed against, such as likelihax.NLL()."
        )
    penalties_of(problem)


def _below_parabola(state: _State, seen: Outcome) -> Array:
    """Whether the smooth part lies below what its gradient at the anchor and the step promise."""
    moved = state.trial - state.anchor
    promised = state.at_anchor.gradient @ moved + 0.5 * state.steepness * jnp.sum(moved**2)
    # Below rounding the values say nothing; the gradients still do.
    rounding = 8 * jnp.finfo(moved.dtype).eps * jnp.abs(state.at_anchor.total)
    curved = (seen.gradient - state.at_anchor.gradient) @ moved
    below = seen.total - state.at_anchor.total <= promised + rounding
    return below & ((promised < -rounding) | (curved <= state.steepness * jnp.sum(moved**2)))


def _onward(
    state: _State,
    seen: Outcome,
    whole: Array,
    accept: Array,
    lower: Array,
    fits: Array,
    first: Array,
) -> _State:
    """The state after the evaluation, its next anchor chosen."""
    pick = lambda flag, new, old: jtu.tree_map(lambda a, b: jnp.where(flag, a, b), new, old)
    candidate = ~state.is_anchor
    restart = candidate & fits & ~lower
    start = jnp.sqrt(jnp.sum(seen.gradient**2))
    tried = jnp.where(candidate & ~fits, 2.0 * state.steepness, state.steepness)
    steepness = jnp.where(first, jnp.where(start > 0, start, 1.0), tried)
    steepness = jnp.where(accept & ~first, 0.98 * steepness, steepness)

    momentum = 0.5 * (1.0 + jnp.sqrt(1.0 + 4.0 * state.momentum**2))
    ahead = state.trial + (state.momentum - 1.0) / momentum * (state.trial - state.z)
    z = jnp.where(accept, state.trial, state.z)
    at_z = pick(accept, seen, state.at_z)
    # An anchor that cannot be evaluated is given up for the best point.
    at_best = restart | first | (state.is_anchor & ~jnp.isfinite(seen.total))
    anchor = jnp.where(accept & ~first, ahead, state.anchor)
    return _State(
        z=z,
        cost=jnp.where(accept, whole, state.cost),
        at_z=at_z,
        anchor=jnp.where(at_best, z, anchor),
        at_anchor=pick(at_best, at_z, pick(state.is_anchor, seen, state.at_anchor)),
        trial=state.trial,
        is_anchor=accept & ~first,
        momentum=jnp.where(at_best, 1.0, jnp.where(accept, momentum, state.momentum)),
        steepness=steepness,
    )


def _propose(penalties: Penalties, state: _State) -> _State:
    step = 1.0 / state.steepness
    onward = penalties.prox(state.anchor - step * state.at_anchor.gradient, step)
    trial: Any = jnp.where(state.is_anchor, state.anchor, onward)
    return eqx.tree_at(lambda s: s.trial, state, trial)
