"""What a fitting method is, and what every method keeps account of."""

import abc
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._result import RESULTS
from ..models import Solves
from ._measure import Measured, put
from ._problem import Outcome, Problem


class Failures(eqx.Module):
    """Which of several experiments could not be solved.

    **Attributes:**

    - `counts`: at how many of the evaluated points.
    - `time_reached`: the last measured time that was reached when it failed last; infinite where
        it never did.
    """

    counts: Int[Array, " experiments"]
    time_reached: Float[Array, " experiments"]

    def count(self, solves: Solves | None) -> "Failures":
        """The account after one more evaluation."""
        if solves is None:
            return self
        reached = jnp.where(solves.failed, solves.time_reached, self.time_reached)
        return Failures(self.counts + solves.failed.astype(self.counts.dtype), reached)


class Record(eqx.Module):
    """The account of a running fit: the same for every method.

    **Attributes:**

    - `theta`: the best point so far, unconstrained and unit-scaled.
    - `total`: the objective there.
    - `gradient`: its gradient there.
    - `steps`: how many points were evaluated.
    - `failed_solves`, `value_nans`, `gradient_nans`: how many of them were unusable, and why.
    - `history`: the objective at each evaluated point; infinite where unusable.
    - `done`: whether the method has ended.
    - `result`: how.
    - `failures`: which of several experiments could not be solved, how often and where.
    - `trial`: inside a step, the point that was just evaluated, if the method said which.
    - `curves`: what was measured at each evaluated point, if anything was asked for.
    """

    theta: Float[Array, " size"]
    total: Float[Array, ""]
    gradient: Float[Array, " size"]
    steps: Int[Array, ""]
    failed_solves: Int[Array, ""]
    value_nans: Int[Array, ""]
    gradient_nans: Int[Array, ""]
    history: Float[Array, " max_steps"]
    done: Bool[Array, ""]
    result: RESULTS
    failures: "Failures | None" = None
    trial: Float[Array, " size"] | None = None
    curves: Measured | None = None

    def count(self, outcome: Outcome, trial: Float[Array, " size"] | None = None) -> "Record":
        """The account after one more evaluation, at `trial`; the best point does not change.

        Only learning curves need to know where it was.
        """
        count = lambda flag: flag.astype(self.steps.dtype)
        return replace(
            self,
            steps=self.steps + 1,
            failed_solves=self.failed_solves + count(outcome.failed_solve),
            value_nans=self.value_nans + count(outcome.value_nan),
            gradient_nans=self.gradient_nans + count(outcome.gradient_nan),
            failures=None if self.failures is None else self.failures.count(outcome.solves),
            history=jax.lax.dynamic_update_index_in_dim(self.history, outcome.total, self.steps, 0),
            trial=trial,
        )

    def draw(self, measured: Measured) -> "Record":
        """The account with one more point on every curve: the one that was counted last."""
        assert self.curves is not None
        at = self.steps - 1
        usable = jnp.isfinite(self.history[at])
        return replace(self, curves=put(self.curves, measured, at, usable))

    def between_steps(self) -> "Record":
        """The account without the point that was evaluated, which no later step looks at."""
        return replace(self, trial=None)

    def move(self, better: Bool[Array, ""], theta: Array, outcome: Outcome) -> "Record":
        """The account with the best point replaced where `better`."""
        return eqx.tree_at(
            lambda r: (r.theta, r.total, r.gradient),
            self,
            (
                jnp.where(better, theta, self.theta),
                jnp.where(better, outcome.total, self.total),
                jnp.where(better, outcome.gradient, self.gradient),
            ),
        )

    def forget(self, now: Bool[Array, ""], start: Array) -> "Record":
        """The account back at the start where `now`, as if nothing had been found yet."""
        theta = jnp.where(now, start, self.theta)
        total = jnp.where(now, jnp.inf, self.total)
        return eqx.tree_at(lambda r: (r.theta, r.total), self, (theta, total))

    def end(self, now: Bool[Array, ""], result: RESULTS) -> "Record":
        """The account ended with `result` where `now`, unless it had ended before."""
        first = now & ~self.done
        return eqx.tree_at(
            lambda r: (r.done, r.result),
            self,
            (self.done | now, RESULTS.where(first, result, self.result)),
        )


def new_record(problem: Problem, max_steps: int) -> Record:
    """The account before anything was evaluated."""
    theta = problem.start()
    none = problem.no_solves()
    zero = jnp.asarray(0)
    return Record(
        theta=theta,
        total=jnp.asarray(jnp.inf, theta.dtype),
        gradient=jnp.zeros_like(theta),
        steps=zero,
        failed_solves=zero,
        value_nans=zero,
        gradient_nans=zero,
        history=jnp.full((max_steps,), jnp.inf, theta.dtype),
        done=jnp.asarray(False),
        result=RESULTS.successful,
        failures=None if none is None else Failures(none.failed.astype(int), none.time_reached),
    )


def check_unscheduled(problem: Problem, name: str) -> None:
    """Raises `ValueError` where a weight depends on the step: values do not compare then."""
    if problem.objective.is_scheduled:
        raise ValueError(
            f"{name} compares values of different steps, which is no use where a weight depends on "
            "the step. Use method=likelihax.GradientDescent(...), or give the weight as a number."
        )


class AbstractMethod(eqx.Module):
    """A way to minimise an objective, one evaluation a step.

    A method never loops, prints, compiles or counts time: the one loop does. It keeps what
    it needs between steps in a state of its own, any pytree of arrays.
    """

    max_steps: eqx.AbstractVar[int]

    @abc.abstractmethod
    def check(self, problem: Problem) -> None:
        """Raises `ValueError` where the method cannot serve the problem."""

    @abc.abstractmethod
    def init(self, problem: Problem, key: Array | None) -> tuple[Record, Any]:
        """The account and the method's own state before the first evaluation."""

    @abc.abstractmethod
    def step(self, problem: Problem, record: Record, state: Any) -> tuple[Record, Any]:
        """Evaluates one point and decides on the next."""
