"""The beginning of the data first, then more and more of them."""

from dataclasses import dataclass, replace
from typing import final

import equinox as eqx
import numpy as np

from ..data._horizon import horizon, until
from ._following import astray, errors_of
from ._method import AbstractMethod
from ._problem import Problem
from ._strategy import (
    AbstractStrategy,
    Found,
    Stage,
    anchored,
    check_options,
    check_timed,
    released,
    require_start,
    run_stage,
)
from ._turns import noise_share

# The first horizon holds this many measured values for each number that is fitted, if a share of
# the times between these bounds does.
_VALUES_A_NUMBER = 4
_FIRST_SHARES = (1 / 64, 1 / 4)
# Where it is lost, it is made shorter as long as it holds this many times.
_FEWEST_TIMES = 4
# Where fits are lost, the horizon grows by less, down to this share of what is asked for at least.
_SMALLEST_GROWTH = 0.1
# So often a fit that is lost is gone on from all the same, having tried shorter horizons; from then
# on none is tried, since the model cannot follow these data more closely.
_PATIENCE = 3
# After so many fits the horizon is the end, wherever it has got to.
_MOST_STAGES = 64


@final
class GrowingHorizon(AbstractStrategy):
    """The beginning of the data first; then as far as the prediction still follows them.

    Over a short time the trajectory depends on the parameters almost linearly, and there is one
    valley. The parameters found there predict what comes next, for some time; the next horizon
    ends where they go astray, so that each fit begins near its optimum. Where a fit is lost all
    the same, its horizon is taken back and grows by less. For oscillations and chaos whose initial
    state is known, or measured.

    All horizons share one compiled fit: what lies beyond counts as missing.

    **Arguments:**

    - `first`: the share of the measured times that the first horizon holds, between 0 and 1; by
        default what gives a few values for each number that is fitted.
    - `growth`: by what factor the horizon grows at least and at most.
    - `limit`: how much of the variance a prediction may leave unexplained and still follow the
        data.
    - `spread`: how far parameters move from one fit to the next where the data of a horizon do not
        say: the standard deviation of a Normal about the fit before, in units of the fitter, the
        logarithm of a positive parameter for instance. The last fit knows nothing of it.
    - `max_steps`: after how many evaluations a fit on the way ends.
    """

    first: float | None = eqx.field(static=True, default=None)
    growth: tuple[float, float] = eqx.field(static=True, default=(1.2, 4.0))
    limit: float = eqx.field(static=True, default=0.1)
    spread: float = eqx.field(static=True, default=2.0)
    max_steps: int = eqx.field(static=True, default=64)

    def __check_init__(self) -> None:
        if self.first is not None and not 0 < self.first <= 1:
            raise ValueError(f"GrowingHorizon: first is {self.first}: give a share of 0 to 1.")
        least, most = self.growth
        if not 1 < least <= most:
            raise ValueError(
                f"GrowingHorizon: growth from {least} to {most}: both must be above 1, for "
                "instance (1.2, 4.0)."
            )
        check_options("GrowingHorizon", self.max_steps, limit=self.limit, spread=self.spread)

    def check(self, problem: Problem) -> None:
        """The data must have times, and a predictor that says what it predicts at them."""
        check_timed(problem, "GrowingHorizon")

    def find(self, problem: Problem, method: AbstractMethod, progress: bool | None) -> Found:
        """Fits up to one horizon after the other, the last one left to whoever asked."""
        start = anchored(problem, self.spread)
        reached = _Reached(start, 0.0, np.full(1, noise_share(problem.data)), np.ones(1))
        stages: list[Stage] = []
        share, growth, patience = self._first(problem), self.growth[1], _PATIENCE
        while share > 0 and len(stages) < _MOST_STAGES:
            found, tried = self._try(reached.problem, share, method, progress)
            stages.extend(found.stages)
            if not (found.began or reached.share):
                require_start(replace(problem, data=until(problem.data, share)))
            if found.interrupted:
                return Found(released(tried.problem), tuple(stages), interrupted=True)
            if self._is_lost(tried, reached):
                shorter = self._shorter(reached, share, growth) if patience else None
                if shorter is not None:
                    share, growth = shorter
                    continue
                patience -= 1 if patience else 0
            reached = tried
            share, growth = self._onward(reached, growth if patience else self.growth[0])
        return Found(released(reached.problem), tuple(stages))

    def _first(self, problem: Problem) -> float:
        if self.first is not None:
            return self.first
        wanted = _VALUES_A_NUMBER * problem.start().size / problem.data.num_observed
        return float(np.clip(wanted, *_FIRST_SHARES))

    def _try(
        self, problem: Problem, share: float, method: AbstractMethod, progress: bool | None
    ) -> tuple[Found, "_Reached"]:
        short = until(problem.data, share)
        problem = anchored(problem, self.spread)
        name = f"to t = {horizon(problem.data, share):.5g}"
        found = run_stage(name, method, replace(problem, data=short), self.max_steps, progress)
        places, errors = errors_of(found.problem.unknowns, short, problem.data)
        return found, _Reached(replace(found.problem, data=problem.data), share, errors, places)

    def _is_lost(self, tried: "_Reached", reached: "_Reached") -> bool:
        return astray(tried.places, tried.errors, self.limit + 2 * reached.left) is not None

    def _shorter(
        self, reached: "_Reached", share: float, growth: float
    ) -> tuple[float, float] | None:
        """Another share to try, and a factor to grow by, if there is any left."""
        if reached.share == 0:
            longest = max(one.times.size for one in reached.problem.data.experiments)
            return (share / 2, growth) if share / 2 * longest >= _FEWEST_TIMES else None
        smaller = np.sqrt(min(growth, share / reached.share))
        if smaller - 1 < _SMALLEST_GROWTH * (self.growth[0] - 1):
            return None
        return min(reached.share * smaller, 1.0), smaller

    def _onward(self, reached: "_Reached", growth: float) -> tuple[float, float]:
        """The next share, 0 where nothing is left to do, and the factor to grow by."""
        least, most = self.growth
        if reached.share == 1:
            return 0.0, growth
        growth = min(growth**2, most)
        least = min(least, growth)
        ahead = min(reached.share * growth, 1.0)
        data = reached.problem.data
        places, errors = errors_of(reached.problem.unknowns, until(data, ahead), data)
        strayed = astray(places, errors, self.limit + 2 * reached.left)
        if ahead == 1 and strayed is None:
            return 0.0, growth
        follows = ahead if strayed is None else strayed
        return float(np.clip(follows, min(reached.share * least, 1.0), ahead)), growth


@dataclass(frozen=True)
class _Reached:
    """The problem from where a fit ended, the share of the times that it saw, and its errors.

    `errors` are those at `places`; before anything was fitted, what noise would make of them.
    """

    problem: Problem
    share: float
    errors: np.ndarray
    places: np.ndarray

    @property
    def left(self) -> float:
        """What it left unexplained."""
        return float(np.mean(self.errors))
