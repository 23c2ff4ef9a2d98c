"""Ways to a good start: fits of easier problems, each from where the last one ended."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._parameters import unpack
from .._predictor import Predictor
from .._result import RESULTS, name_of
from ..data._horizon import is_timed
from ._anchor import Anchor
from ._loop import run
from ._method import AbstractMethod, Record
from ._problem import Problem
from ._start import begin_check


@dataclass(frozen=True)
class Stage:
    """One of the fits that led to the start of the last one.

    **Attributes:**

    - `name`: what was fitted.
    - `nll`: its objective in the end; those of different stages do not compare.
    - `steps`: how many points were evaluated.
    - `result`: how it ended, one of the names in `RESULTS`.
    - `compile_seconds`, `run_seconds`: what it took; the first is 0 where nothing was new.
    """

    name: str
    nll: float
    steps: int
    result: str
    compile_seconds: float
    run_seconds: float


@dataclass(frozen=True, eq=False)
class Found:
    """Where a strategy, or one stage of it, led to.

    **Attributes:**

    - `problem`: the problem it was given, from the start that was found.
    - `stages`: what was fitted on the way.
    - `interrupted`: whether the user ended it.
    - `reason`: why this strategy, where it was not the user who said so.
    """

    problem: Problem
    stages: tuple[Stage, ...] = ()
    interrupted: bool = False
    reason: str = ""

    @property
    def began(self) -> bool:
        """Whether the last stage could be evaluated where it started."""
        return bool(self.stages) and self.stages[-1].result != "start_failed"


class AbstractStrategy(eqx.Module):
    """A way from a poor start to a good one.

    What it fits on the way is easier than the problem itself, and not the same: estimates and
    their errors come from a fit of the problem itself, which follows in any case.
    """

    @abc.abstractmethod
    def check(self, problem: Problem) -> None:
        """Raises `ValueError` where the strategy cannot serve the problem."""

    @abc.abstractmethod
    def find(self, problem: Problem, method: AbstractMethod, progress: bool | None) -> Found:
        """The problem from a better start, and what led there."""


def checked_strategies(strategy: Any, problem: Problem) -> tuple[AbstractStrategy, ...]:
    """One strategy, or several, or none, as a tuple; `ValueError` where one cannot serve."""
    if strategy is None:
        return ()
    each = tuple(strategy) if isinstance(strategy, list | tuple) else (strategy,)
    for one in each:
        if not isinstance(one, AbstractStrategy):
            raise ValueError(
                f"fit: unknown strategy {one!r}: give likelihax.fits.GrowingHorizon() or another "
                "one of likelihax.fits, several of them in a list, or leave it out."
            )
        one.check(problem)
    return each


def pursue(
    strategies: Sequence[AbstractStrategy],
    problem: Problem,
    method: AbstractMethod,
    progress: bool | None,
) -> Found:
    """One strategy after the other, each from where the last one ended."""
    found = Found(problem)
    for strategy in strategies:
        following = strategy.find(found.problem, method, progress)
        stages = found.stages + following.stages
        reason = " ".join(filter(None, (found.reason, following.reason)))
        found = Found(following.problem, stages, following.interrupted, reason)
        if found.interrupted:
            break
    return found


def run_stage(
    name: str, method: AbstractMethod, problem: Problem, most: int, progress: bool | None
) -> Found:
    """Fits an easier problem in at most so many steps: that problem from where it ended.

    Where it cannot be evaluated at its start, nothing has moved, and its result says so.
    """
    done = run(method, problem, None, progress, lambda: lambda: None, most=most)
    record = done.record
    stage = Stage(
        name=name,
        nll=float(record.total),
        steps=int(record.steps),
        result=name_of(record.result),
        compile_seconds=done.compile_seconds,
        run_seconds=done.run_seconds,
    )
    moved = moved_to(problem, record) if np.isfinite(record.total) else problem
    return Found(moved, (stage,), stage.result == name_of(RESULTS.interrupted))


def moved_to(problem: Problem, record: Record) -> Problem:
    """The problem, starting from the best point of an account."""
    return replace(problem, unknowns=_unpack(record.theta, problem.unknowns))


def anchored(problem: Problem, spread: float) -> Problem:
    """The problem with a pull towards its start, of so many units of the fitter."""
    centre = problem.start()
    return replace(problem, anchor=Anchor(centre, jnp.asarray(spread**-2, centre.dtype)))


def released(problem: Problem) -> Problem:
    """The problem with a pull that is zero: what was compiled with one serves it too."""
    anchor = problem.anchor
    if anchor is None:
        return problem
    weightless = eqx.tree_at(lambda pull: pull.weight, anchor, jnp.zeros_like(anchor.weight))
    return replace(problem, anchor=weightless)


def check_options(name: str, max_steps: int, **positive: float) -> None:
    """Raises `ValueError` where an option that must be positive is not."""
    for option, value in positive.items():
        if not value > 0:
            raise ValueError(f"{name}: {option} {value} is not positive.")
    if max_steps < 1:
        raise ValueError(f"{name}: max_steps {max_steps} is below 1.")


def check_timed(problem: Problem, name: str) -> None:
    """Raises `ValueError` unless the problem is about a predictor and measured times."""
    if not is_timed(problem.data):
        raise ValueError(
            f"{name} needs data with times, an Experiment or several, not "
            f"{type(problem.data).__name__}: leave the strategy out."
        )
    if not isinstance(problem.predictor, Predictor):
        raise ValueError(
            f"{name} needs a Predictor (model and likelihood), not "
            f"{type(problem.predictor).__name__}: leave the strategy out."
        )


def require_start(problem: Problem) -> None:
    """Raises `StartError` where the objective cannot be evaluated."""
    begin_check(problem.at(jnp.asarray(0)).unknowns, problem.data)()


_unpack = eqx.filter_jit(unpack)
