"""Which strategy, if any: from what can be seen before the fit."""

from collections.abc import Sequence
from dataclasses import replace
from typing import final

import equinox as eqx

from .._parameters import trainable_size
from .._predictor import Predictor
from ..data._horizon import is_timed
from ..models import ODE
from ..models._learned import has_learned
from ._growing_horizon import GrowingHorizon, follows, left_by
from ._method import AbstractMethod
from ._multiple_shooting import MultipleShooting
from ._physics_first import PhysicsFirst
from ._problem import Problem
from ._strategy import AbstractStrategy, Found, Stage, pursue
from ._turns import num_turns

# Data that turn less often leave a trajectory nothing to fall out of step with.
_OSCILLATING = 2


@final
class Auto(AbstractStrategy):
    """The strategy that what can be seen before the fit speaks for; `strategy="auto"`.

    None where the model is no ODE, the start follows the data already, or the data hardly turn.
    Else `GrowingHorizon` where the initial state is known and `MultipleShooting` where it is not;
    and where that leads nowhere, the other one, or both. `Fit.reason` says which, and why.

    **Arguments:**

    - `limit`: how much of the variance a start may leave unexplained and still follow the data.
    """

    limit: float = eqx.field(static=True, default=0.25)

    def __check_init__(self) -> None:
        if not self.limit > 0:
            raise ValueError(f"Auto: limit {self.limit} is not positive.")

    def check(self, problem: Problem) -> None:
        """It serves every problem, if only by leaving it alone."""

    def find(self, problem: Problem, method: AbstractMethod, progress: bool | None) -> Found:
        """Goes by the first of the strategies that leads to the data, or by the best."""
        if has_learned(problem.predictor):
            found = PhysicsFirst(self).find(problem, method, progress)
            return replace(found, reason=f"PhysicsFirst, since part is learned. {found.reason}")
        alone = self._alone(problem)
        if alone:
            return Found(problem, reason=f"No strategy: {alone}.")
        why, candidates = _candidates(problem)
        stages: tuple[Stage, ...] = ()
        best: tuple[float, Problem, str] | None = None
        lost = ""
        for candidate in candidates:
            name = " and ".join(type(each).__name__ for each in candidate)
            found = pursue(candidate, problem, method, progress)
            stages += tuple(replace(s, name=f"{name} {s.name}") for s in found.stages)
            left = left_by(found.problem)
            if best is None or left < best[0]:
                best = (left, found.problem, name)
            if found.interrupted or left <= self.limit:
                but = f"; {lost} did not lead to the data" if lost else ""
                return Found(found.problem, stages, found.interrupted, _said(name, why, but))
            lost = f"{lost} and {name}" if lost else name
        assert best is not None
        but = f", which leaves {100 * best[0]:.2g} % of the variance unexplained"
        return Found(best[1], stages, reason=_said(best[2], why, but))

    def _alone(self, problem: Problem) -> str:
        """Why a fit from the start will do; empty if it may not."""
        if not isinstance(problem.predictor, Predictor) or not is_timed(problem.data):
            return "there is no trajectory to lose"
        if not isinstance(problem.predictor.model, ODE):
            return "the model is no ODE"
        if follows(problem, self.limit):
            return "the start follows the data already"
        turns = num_turns(problem.data)
        if turns < _OSCILLATING and left_by(problem) < float("inf"):
            return f"the start can be solved, and the data turn {_times(turns)}"
        return ""


def _candidates(problem: Problem) -> tuple[str, list[Sequence[AbstractStrategy]]]:
    growing, shooting = GrowingHorizon(), MultipleShooting()
    turns = num_turns(problem.data)
    seen = f"the data turn {_times(turns)}"
    if turns < _OSCILLATING:
        seen = "the start cannot be solved to the end"
    each: list[Sequence[AbstractStrategy]] = [(growing,), (shooting,), (shooting, growing)]
    if not _can_shoot(shooting, problem):
        return f"{seen}, and the trajectory cannot be cut into pieces", each[:1]
    if trainable_size(problem.predictor.model.initial):
        return f"{seen}, and the initial state is not known", [each[1], each[2], each[0]]
    return f"{seen}, and the initial state is known", each


def _can_shoot(shooting: MultipleShooting, problem: Problem) -> bool:
    try:
        shooting.check(problem)
    except ValueError:
        return False
    return True


def _said(name: str, why: str, but: str) -> str:
    return f"{name}, since {why}{but}."


def _times(count: int) -> str:
    return {0: "not once", 1: "once", 2: "twice"}.get(count, f"{count} times")
