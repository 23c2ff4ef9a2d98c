"""Many fits of one problem, each from another start."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Array

from .._keys import check_key
from .._progress import Progress
from ..objectives import AbstractObjective
from ._candidates import AbstractSource, Candidates, Drawn, Listed, strong
from ._draws import AbstractDraws
from ._many import AbstractRuns, Ran, runner
from ._method import AbstractMethod
from ._optima import SAME_TOTAL, group
from ._prepare import prepare, solved_like
from ._problem import Problem
from ._report import Fit
from ._search import Search
from ._start import StartError

# As many optima as this are listed one by one.
_LONGEST = 12


@dataclass(frozen=True, eq=False)
class Optimum:
    """An optimum that fits from one or more starts converged to.

    **Attributes:**

    - `fit`: the one of them with the lowest objective.
    - `members`: the numbers of all of them, in the order of their objectives.
    """

    fit: Fit
    members: tuple[int, ...]

    @property
    def nll(self) -> float:
        """The objective there."""
        return self.fit.nll

    @property
    def count(self) -> int:
        """From how many starts it was found."""
        return len(self.members)


@dataclass(frozen=True, eq=False, repr=False)
class MultiStart(AbstractRuns):
    """The fits from many starts. `print(found)` shows the optima that they found as a table.

    **Attributes:**

    - `method`: how each was fitted.
    - `num`: how many fits were wanted; `fits` are fewer only if the user interrupted.
    - `num_drawn`: how many starts were drawn for them, or given.
    - `compile_seconds`: what tracing and compiling took; 0 where it was done before.
    - `run_seconds`: what all fits together took, from the first to the last.
    """

    method: AbstractMethod
    num: int
    num_drawn: int
    compile_seconds: float
    run_seconds: float
    starts: Candidates
    runs: tuple[Ran, ...]

    @cached_property
    def fits(self) -> tuple[Fit, ...]:
        """The fit from each start, in the order of the starts, whether or not it succeeded.

        Their `compile_seconds` are 0: one compilation served them all.
        """
        return tuple(self._fit(i) for i in range(len(self.runs)))

    @cached_property
    def optima(self) -> tuple[Optimum, ...]:
        """The distinct optima that fits converged to, the lowest first.

        Two are the same if they differ by at most 0.001, and a millionth, in the objective, and
        by at most 0.01, or a hundredth where that is more, in each unconstrained, unit-scaled
        parameter.
        """
        found = np.flatnonzero(np.array(self.results) == "successful")
        points = [np.asarray(self.runs[i].record.theta) * self.starts.scales[i] for i in found]
        groups = group(self.totals[found], points)
        members = [tuple(int(found[i]) for i in each) for each in groups]
        return tuple(Optimum(self._fit(each[0]), each) for each in members)

    @cached_property
    def best(self) -> Fit:
        """The fit that converged to the lowest objective; if none did, the lowest of all."""
        return self.optima[0].fit if self.optima else self._fit(int(np.argmin(self.totals)))

    def __repr__(self) -> str:
        return "\n".join([self._headline(), *self._listed(), *self._remarks()])

    def _fit(self, which: int) -> Fit:
        ran = self.runs[which]
        return Fit(self.starts.problem_of(which), self.method, ran.record, 0.0, ran.seconds)

    def _headline(self) -> str:
        converged = self.endings.get("successful", 0)
        kinds = f"{len(self.optima)} {'optimum' if len(self.optima) == 1 else 'optima'}"
        return (
            f"Fits by {type(self.method).__name__} from {_counted(len(self.runs), 'start')}: "
            f"{converged} converged, to {kinds}"
        )

    def _listed(self) -> list[str]:
        if not self.optima:
            return [f"The lowest objective reached is {self.totals.min():.8g}."]
        rows = ["optimum      objective  above lowest  found"]
        for i, optimum in enumerate(self.optima[:_LONGEST]):
            above = optimum.nll - self.optima[0].nll
            rows.append(f"{i + 1:7d}  {optimum.nll:13.8g}  {above:12.4g}  {optimum.count:5d}")
        rest = self.optima[_LONGEST:]
        if rest:
            count = sum(optimum.count for optimum in rest)
            rows.append(f"and {len(rest)} higher, found {_times(count)} in all")
        return rows

    def _remarks(self) -> list[str]:
        others = [f"{name} {count}" for name, count in self.endings.items() if name != "successful"]
        remarks = [f"not converged: {', '.join(others)}"] if others else []
        if self.optima:
            lower = int(np.sum(self.totals < self.optima[0].nll - SAME_TOTAL))
            if lower:
                remarks.append(
                    f"{_counted(lower, 'fit')} went lower without converging, to "
                    f"{self.totals.min():.8g}: look at how they ended"
                )
        if len(self.runs) < self.num:
            remarks.append(f"interrupted: {self.num} fits were wanted")
        failed = self.endings.get("start_failed", 0)
        if failed:
            remarks.append(
                f"only {len(self.runs) - failed} of {self.num} starts could be evaluated"
            )
        remarks.append(
            f"{_counted(self.num_drawn, 'start')} tried; compiled in {self.compile_seconds:.2f} s, "
            f"ran in {self.run_seconds:.2f} s"
        )
        return remarks


def multistart(
    objective: AbstractObjective | Callable[[Any, Any], Array],
    predictor: Any,
    data: Any,
    starts: AbstractDraws | Sequence[Any],
    *,
    num: int | None = None,
    key: Array | None = None,
    method: AbstractMethod | None = None,
    workers: int | None = None,
    progress: bool | None = None,
    throw: bool = True,
) -> MultiStart:
    """Fits from many starts, and says which optima they lead to and how often.

    **Arguments:**

    - `objective`, `predictor`, `data`, `method`: as for `fit`. Each fit is what `fit` gives from
        that start; on an accelerator, but for rounding.
    - `starts`: how to draw them: `Spread(sd)` about the predictor, uniformly in a
        `Box({name: (lower, upper)})`, from `Priors({name: distribution})`; or a list of
        predictors, the same but for the values that are fitted, all solved by the solver that suits
        `predictor`. A drawn start at which the
        objective cannot be evaluated, or that is outside a constraint, is replaced by the next
        one drawn; at most ten are drawn for each that is asked for.
    - `num`: how many starts to draw.
    - `key`: a JAX random key to draw them with; methods are given none.
    - `workers`: how many fits run at the same time: by default as many as there are cores on a
        CPU, and all on an accelerator.
    - `progress`: whether to show a bar; by default in a terminal or a notebook.
    - `throw`: whether to raise where too few starts can be evaluated, or one of a list cannot.
        If not, the fits that are missing have the result `start_failed`.

    Raises `ValueError` for arguments that cannot be right. A user's interruption ends it with
    what has been found so far.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"multistart: workers must be at least 1, got {workers}.")
    method, problem = prepare(objective, predictor, data, method)
    problem = strong(problem)
    source: AbstractSource
    if isinstance(starts, AbstractDraws):
        source = _drawn(starts, problem, num, key)
    else:
        source = _listed(
            starts, problem, num, lambda start: prepare(objective, start, data, method)
        )
    fits = runner(method, problem, workers, source)
    search = Search(source, fits)
    before = source.compile_seconds
    began = time.perf_counter()
    with Progress(source.num, "fits", progress) as bar:
        search.run(bar)
    if throw and search.lacking and not search.interrupted:
        raise StartError(_too_few(search, source))
    seconds = time.perf_counter() - began - (source.compile_seconds - before)
    compile_seconds = fits.compile_seconds + source.compile_seconds
    chosen, runs = search.chosen()
    return MultiStart(method, source.num, search.tried, compile_seconds, seconds, chosen, runs)


def _drawn(
    draws: AbstractDraws, problem: Problem, num: int | None, key: Array | None
) -> AbstractSource:
    if num is None or num < 1:
        raise ValueError(f"multistart: num, how many starts to draw, must be 1 or more, got {num}.")
    if key is None:
        raise ValueError("multistart: the starts are drawn at random: give key=jax.random.key(0).")
    check_key(key, "multistart")
    draws.check(problem.unknowns)
    return Drawn(draws, problem, num, key)


def _listed(
    starts: Any,
    problem: Problem,
    num: int | None,
    prepared: Callable[[Any], tuple[AbstractMethod, Problem]],
) -> AbstractSource:
    if isinstance(starts, Mapping) or not isinstance(starts, Sequence):
        raise ValueError(
            f"multistart: starts is {type(starts).__name__}: give Spread(sd), "
            "Box({name: (lower, upper)}), Priors({name: distribution}) or a list of predictors."
        )
    if not starts:
        raise ValueError("multistart: the list of starts is empty: give one predictor or more.")
    if num is not None and num != len(starts):
        raise ValueError(f"multistart: num is {num}, but {len(starts)} starts are given.")
    problems = []
    for i, start in enumerate(starts):
        try:
            problems.append(solved_like(problem, strong(prepared(start)[1])))
        except ValueError as error:
            raise ValueError(f"multistart: starts[{i}]: {error}") from error
    return Listed(problem, problems)


def _too_few(search: Search, source: AbstractSource) -> str:
    which, why = search.first_failure()
    if isinstance(source, Listed):
        return (
            f"multistart: no fit can begin at starts[{which}]. {why} With throw=False the others "
            "are fitted."
        )
    return (
        f"multistart: only {source.num - search.lacking} of {source.num} starts could be "
        f"evaluated, though {search.tried} were drawn. The first that could not: {why} Draw them "
        "from a smaller region; with throw=False those that can are fitted."
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
