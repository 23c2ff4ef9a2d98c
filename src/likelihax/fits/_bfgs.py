"""A quasi-Newton method for any smooth objective: Optimistix's BFGS, one step at a time."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import optimistix as optx
from jaxtyping import Array, Float, PyTree

from .._result import RESULTS
from ._method import AbstractMethod, Record, check_unscheduled, new_record
from ._problem import Problem


@final
class BFGS(AbstractMethod):
    """Optimistix's BFGS with backtracking, for any differentiable objective.

    It has converged when the Newton decrement, the square root of `g H^-1 g` under the
    approximated Hessian, is at most `tolerance`; for an NLL, summed or averaged, that is the
    distance to the optimum in standard errors. The approximation is dense, of size parameters
    squared.

    **Arguments:**

    - `tolerance`: the Newton decrement that is good enough.
    - `max_steps`: after how many evaluations to give up.
    """

    tolerance: float = eqx.field(static=True, default=1e-4)
    max_steps: int = eqx.field(static=True, default=2048)

    def __check_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"BFGS: tolerance {self.tolerance} is not positive.")
        if self.max_steps < 1:
            raise ValueError(f"BFGS: max_steps {self.max_steps} is below 1.")

    def check(self, problem: Problem) -> None:
        """Any objective with a gradient will do, as long as it stays the same."""
        check_unscheduled(problem, "BFGS")
        if not problem.is_gradient:
            raise ValueError(
                "BFGS needs a gradient that belongs to the value, which a likelihood with "
                "BetaNLL or Faithful does not give. Use likelihax.GradientDescent(...)."
            )

    def init(self, problem: Problem, key: Array | None) -> tuple[Record, PyTree]:
        """Nothing is known yet: the first step evaluates the start."""
        theta = problem.start()
        dynamic, _ = eqx.partition(self._solver_state(theta), eqx.is_array)
        return new_record(problem, self.max_steps), dynamic

    def step(self, problem: Problem, record: Record, state: PyTree) -> tuple[Record, PyTree]:
        """Evaluates Optimistix's trial point and lets it accept and propose."""
        _, static = eqx.partition(self._solver_state(record.theta), eqx.is_array)
        before = eqx.combine(state, static)
        trial = before.y_eval
        outcome = problem.value_and_gradient(trial)

        # Optimistix evaluates its function at the trial point only. This one has the value
        # and the gradient found there, so that failures are seen, and counted, out here.
        def known(y: Float[Array, " size"], args: Any) -> tuple[Array, None]:
            return outcome.total + outcome.gradient @ (y - trial), None

        # Its step lengths are in JAX's default precision, whatever that of the parameters is.
        options = {"autodiff_mode": "fwd"}
        with jax.numpy_dtype_promotion("standard"):
            found = self._solver().step(known, record.theta, None, options, before, frozenset())
        first = record.steps == 0
        theta, after = _like(found[:2], (record.theta, before))
        after = _shortened(after, first, theta)
        accepted = after.num_accepted_steps > before.num_accepted_steps
        usable = jnp.isfinite(outcome.total)
        record = record.count(outcome, trial).move(accepted & usable, theta, outcome)
        record = record.end(first & ~usable, RESULTS.start_failed)
        inverse = after.f_info.hessian_inv.pytree
        squared = jnp.maximum(record.gradient @ (inverse @ record.gradient), 0.0)
        decrement = jnp.sqrt(squared * problem.num_averaged().astype(squared.dtype))
        record = record.end(accepted & (decrement <= self.tolerance), RESULTS.successful)
        record = record.end(~jnp.any(after.y_eval != record.theta), RESULTS.stalled)
        dynamic, _ = eqx.partition(after, eqx.is_array)
        return record, dynamic

    def _solver(self) -> optx.BFGS:
        # Its own test of convergence, on successive differences, is not used.
        return optx.BFGS(rtol=0.0, atol=0.0)

    def _solver_state(self, theta: Array) -> Any:
        scalar = eqx.filter_eval_shape(lambda: jnp.zeros((), theta.dtype))
        unused = lambda y, args: (jnp.zeros((), theta.dtype), None)
        return self._solver().init(unused, theta, None, {}, scalar, None, frozenset())


def _like(found: Any, known: Any) -> Any:
    """In the precision of what was there before."""
    cast = lambda new, old: new.astype(old.dtype) if eqx.is_inexact_array(old) else new
    return jtu.tree_map(cast, found, known)


def _shortened(state: Any, first: Array, theta: Array) -> Any:
    """The first step at most one unit long: nothing is known of how far the gradient holds."""
    step = state.y_eval - theta
    length = jnp.sqrt(step @ step)
    share = jnp.where(first, 1.0 / jnp.maximum(length, 1.0), 1.0)
    where = lambda s: (s.y_eval, s.descent_state.newton)
    return eqx.tree_at(where, state, (theta + share * step, share * state.descent_state.newton))
