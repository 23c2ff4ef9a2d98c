"""A proximal Newton method, for penalties on objectives with a curvature."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array, Bool, Float

from .._result import RESULTS
from ._method import AbstractMethod, Record, new_record
from ._penalties import Penalties, penalties_of, smooth
from ._problem import Outcome, Problem
from ._proximal_gradient import check_penalised
from ._quadratic_model import minimise_model

# In standard errors, however much the error of the objective may hide.
_FARTHEST = 1e-2


class _Local(eqx.Module):
    """The smooth part at a point: gradient and curvature in the space of the penalties."""

    gradient: Float[Array, " size"]
    hessian: Float[Array, "size size"]
    blur: Float[Array, ""]


class _Proposal(eqx.Module):
    """Where to go from a point.

    - `goal`: the model's minimum; `share` how much of the way to it is tried next.
    - `promised`: by how much the objective falls on the whole way, to first order.
    - `decrement`: how far the goal is, in standard errors.
    - `blur`: how far it may seem to be for rounding, or for the error of a solver.
    """

    goal: Float[Array, " size"]
    share: Float[Array, ""]
    promised: Float[Array, ""]
    decrement: Float[Array, ""]
    blur: Float[Array, ""]


class _State(eqx.Module):
    """The best point, the whole objective there, and where to go from it."""

    z: Float[Array, " size"]
    cost: Float[Array, ""]
    way: _Proposal


@final
class ProximalNewton(AbstractMethod):
    """Newton's method for a smooth part with penalties; the default for penalties.

    Each step minimises the quadratic model of the smooth part plus the penalties as they are, and
    goes towards its minimum, half as far while the objective does not fall enough (J. Lee, Y.
    Sun and M. Saunders 2014, "Proximal Newton-type methods for minimizing composite functions",
    SIAM J. Optimization 24). The curvature is the likelihood's own, as in `LevenbergMarquardt`,
    or else the Hessian, with directions that bend downwards bent up.

    It has converged when the model's minimum is at most `tolerance` standard errors away, in the
    metric of the curvature, or nearer than the error of the objective's value lets one see.

    **Arguments:**

    - `tolerance`: the distance to the optimum, in standard errors, that is good enough.
    - `max_steps`: after how many evaluations to give up.
    """

    tolerance: float = eqx.field(static=True, default=1e-10)
    max_steps: int = eqx.field(static=True, default=512)

    def __check_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"ProximalNewton: tolerance {self.tolerance} is not positive.")
        if self.max_steps < 1:
            raise ValueError(f"ProximalNewton: max_steps {self.max_steps} is below 1.")

    def check(self, problem: Problem) -> None:
        """The smooth part must have a gradient that belongs to its value."""
        check_penalised(problem, "ProximalNewton")

    def init(self, problem: Problem, key: Array | None) -> tuple[Record, _State]:
        """Nothing is known yet: the first step evaluates the start."""
        theta = problem.start()
        z = penalties_of(problem).unit * theta
        zero, far = jnp.zeros((), theta.dtype), jnp.asarray(jnp.inf, theta.dtype)
        return new_record(problem, self.max_steps), _State(
            z, far, _Proposal(z, zero + 1, zero, far, zero)
        )

    def step(self, problem: Problem, record: Record, state: _State) -> tuple[Record, _State]:
        """Evaluates part of the way to the model's minimum; goes there, or half as far."""
        penalties = penalties_of(problem)
        trial = state.z + state.way.share * (state.way.goal - state.z)
        theta = trial / penalties.unit
        here, local = _evaluate(smooth(problem), penalties, theta)
        whole = here.total + penalties.cost(trial)
        slope = penalties.least_subgradient(trial, local.gradient)
        onward = _proposed(penalties, trial, local, self.tolerance)
        first = record.steps == 0
        noise = 16 * jnp.finfo(trial.dtype).eps * jnp.abs(whole)
        unseen, better = _compare(state, whole, onward, noise)
        accept = jnp.isfinite(whole) & (first | better)
        outcome = eqx.tree_at(
            lambda o: (o.total, o.gradient), here, (whole, slope * penalties.unit)
        )
        record = record.count(outcome, theta).move(accept, theta, outcome)

        shorter = eqx.tree_at(lambda s: s.way.share, state, 0.5 * state.way.share)
        choose = lambda new, old: jnp.where(accept, new, old)
        after: _State = jtu.tree_map(choose, _State(trial, whole, onward), shorter)
        decrement = after.way.decrement * jnp.sqrt(problem.num_averaged().astype(trial.dtype))
        near = decrement <= jnp.maximum(self.tolerance, after.way.blur)
        # Half a squared decrement is what the objective would still fall.
        lost = unseen & ~accept & (0.5 * after.way.decrement**2 <= noise)
        record = record.end(first & ~accept, RESULTS.start_failed)
        record = record.end(near | lost, RESULTS.successful)
        stuck = after.way.share < jnp.finfo(trial.dtype).eps
        return record.end(stuck, RESULTS.stalled), after


def _compare(
    state: _State, whole: Array, onward: _Proposal, noise: Array
) -> tuple[Bool[Array, ""], Bool[Array, ""]]:
    """Whether the fall that was promised is lost in rounding, and whether the trial is better."""
    fallen = state.cost - whole
    unseen = (state.way.promised <= noise) & (fallen >= -noise)
    enough = fallen >= 1e-4 * state.way.share * state.way.promised
    # Where the values say nothing, the way that is left still does.
    closer = onward.decrement < state.way.decrement
    return unseen, jnp.where(unseen, closer, enough)


def _proposed(penalties: Penalties, z: Array, local: _Local, tolerance: float) -> _Proposal:
    """The model's minimum, and how far it is."""
    model = minimise_model(penalties, z, local.gradient, local.hessian, 0.1 * tolerance)
    way = model.z - z
    slope = local.gradient @ way + penalties.cost(model.z) - penalties.cost(z)
    length = jnp.sqrt(jnp.maximum(way @ (local.hessian @ way), 0.0))
    return _Proposal(
        goal=model.z,
        share=jnp.ones((), z.dtype),
        promised=jnp.maximum(-slope, 0.0),
        decrement=jnp.maximum(length, model.left_before),
        # Whatever rounding may do, this far off is not there.
        blur=jnp.minimum(jnp.maximum(local.blur, model.rounding), _FARTHEST),
    )


def _evaluate(problem: Problem, penalties: Penalties, theta: Array) -> tuple[Outcome, _Local]:
    if problem.has_curvature:
        linear = problem.linearise(theta, expected=True)
        rows = linear.rows / penalties.unit[None, :]
        outcome, hessian, blur = linear.outcome, rows.T @ rows, linear.blur
    else:
        outcome = problem.value_and_gradient(theta)
        inner = jax.jacfwd if problem.forward else jax.grad
        hessian = jax.jacfwd(inner(lambda t: problem.value(t)[0]))(theta)
        hessian = hessian / penalties.unit[:, None] / penalties.unit[None, :]
        hessian = _positive(jnp.where(jnp.isfinite(outcome.total), hessian, 0.0))
        blur = jnp.zeros((), theta.dtype)
    return outcome, _Local(outcome.gradient / penalties.unit, hessian, blur)


def _positive(hessian: Array) -> Array:
    """The Hessian with what bends downwards bent up, so that every step is one downhill."""
    strengths, directions = jnp.linalg.eigh(0.5 * (hessian + hessian.T))
    return (directions * jnp.abs(strengths)[None, :]) @ directions.T
