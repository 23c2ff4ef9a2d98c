"""First-order methods from Optax, for networks and other objectives with many parameters."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import optax
from jaxtyping import Array, Float, Int

from .._result import RESULTS
from ._method import AbstractMethod, Record, new_record
from ._problem import Problem

# This many unusable points in a row, each half as far from the last usable one as the one
# before, leave nothing to try.
_PATIENCE = 24


class _State(eqx.Module):
    trial: Float[Array, " size"]
    anchor: Float[Array, " size"]
    optimiser: Any
    unusable: Int[Array, ""]


@final
class GradientDescent(AbstractMethod):
    """Any Optax optimiser, with the best point kept and unusable points stepped back from.

    A point where the solve fails or a number is not finite never reaches the optimiser: the
    next one is half way back to the last usable point. It has converged when the length of
    the gradient, per unit of the unconstrained, unit-scaled parameters, is at most
    `tolerance`; otherwise it uses all its steps and says so.

    Where a weight is a schedule, the objective is another one at each step, and values do not
    compare: the last usable point is kept, not the best, and it has converged only where the
    weights are already those of the last step, `max_steps - 1`.

    **Arguments:**

    - `optimiser`: for instance `optax.adam(1e-2)`.
    - `max_steps`: how many evaluations to make.
    - `tolerance`: the gradient's length that is good enough.
    """

    # mypy orders it behind the base class's `max_steps`, which has no default there.
    optimiser: optax.GradientTransformation = eqx.field(static=True)  # type: ignore[misc]
    max_steps: int = eqx.field(static=True, default=2000)
    tolerance: float = eqx.field(static=True, default=1e-4)

    def __check_init__(self) -> None:
        if not isinstance(self.optimiser, optax.GradientTransformation):
            raise ValueError(
                f"GradientDescent: unknown optimiser {self.optimiser!r}: give an Optax one, for "
                "instance optax.adam(1e-2)."
            )
        if self.max_steps < 1:
            raise ValueError(f"GradientDescent: max_steps {self.max_steps} is below 1.")
        if not self.tolerance >= 0:
            raise ValueError(f"GradientDescent: tolerance {self.tolerance} is negative.")

    def check(self, problem: Problem) -> None:
        """Any objective will do."""

    def init(self, problem: Problem, key: Array | None) -> tuple[Record, _State]:
        """Nothing is known yet: the first step evaluates the start."""
        theta = problem.start()
        state = _State(theta, theta, self.optimiser.init(theta), jnp.asarray(0))
        return new_record(problem, self.max_steps), state

    def step(self, problem: Problem, record: Record, state: _State) -> tuple[Record, _State]:
        """Evaluates the trial point; goes on from it, or half way back."""
        now = problem.at(record.steps)
        outcome = now.value_and_gradient(state.trial)
        usable = jnp.isfinite(outcome.total)
        first = record.steps == 0
        length = jnp.sqrt(jnp.sum(outcome.gradient**2))
        converged = usable & (length <= self.tolerance)
        if problem.objective.is_scheduled:
            converged = converged & self._is_settled(problem, now)
            better = usable
        else:
            # The point that converged is kept even where rounding makes an earlier one look better.
            better = converged | (usable & (outcome.total < record.total))
        record = record.count(outcome, state.trial).move(better, state.trial, outcome)
        record = record.end(first & ~usable, RESULTS.start_failed)
        record = record.end(converged, RESULTS.successful)

        # Optax mixes integer counts with floats, which a user's strict promotion would refuse.
        with jax.numpy_dtype_promotion("standard"):
            update, optimiser = self.optimiser.update(
                outcome.gradient, state.optimiser, state.trial
            )
        onward = optax.apply_updates(state.trial, update)
        back = 0.5 * (state.trial + state.anchor)
        unusable = jnp.where(usable, 0, state.unusable + 1)
        record = record.end(unusable >= _PATIENCE, RESULTS.frozen)
        keep = lambda new, old: jnp.where(usable, new, old)
        return record, _State(
            trial=jnp.where(usable, onward, back),
            anchor=jnp.where(usable, state.trial, state.anchor),
            optimiser=jtu.tree_map(keep, optimiser, state.optimiser),
            unusable=unusable,
        )

    def _is_settled(self, problem: Problem, now: Problem) -> Array:
        """Whether a scheduled objective is the one that the fit is meant to end with."""
        last = problem.at(jnp.asarray(self.max_steps - 1)).objective
        same = jtu.tree_map(lambda a, b: jnp.all(a == b), *map(_arrays, (now.objective, last)))
        return jnp.all(jnp.stack(jtu.tree_leaves(same)))


def _arrays(tree: Any) -> Any:
    return eqx.filter(tree, eqx.is_array)
