"""Which strategy, if any: from what can be seen before the fit."""

from collections.abc import Sequence
from dataclasses import replace
from typing import final

import equinox as eqx
import jax.tree_util as jtu
import numpy as np

from .._parameters import trainable_size
from .._predictor import Predictor
from .._result import RESULTS, name_of
from ..data._horizon import is_timed
from ..models import ODE
from ..models._learned import has_learned
from ._following import follows, left_by
from ._gradient_matching import GradientMatching
from ._growing_horizon import GrowingHorizon
from ._method import AbstractMethod
from ._multiple_shooting import MultipleShooting
from ._physics_first import PhysicsFirst
from ._problem import Problem
from ._start import StartError
from ._strategy import AbstractStrategy, Found, Stage, pursue, run_stage
from ._turns import num_turns

# After so many evaluations the fit that follows a strategy ends; the last one goes on from there.
_MOST_STEPS = 128
# Data that turn less often leave a trajectory nothing to fall out of step with.
_OSCILLATING = 2


@final
class Auto(AbstractStrategy):
    """The strategy that what can be seen before the fit speaks for; `strategy="auto"`.

    None where the model is no ODE, the start follows the data already, or the data hardly turn.
    Else `GrowingHorizon` first where the initial state is known; and then, or else,
    `GradientMatching` where every state is measured, `MultipleShooting`, both that and
    `GrowingHorizon`, and none. Each is followed by a fit of the problem itself, up to the first one
    that converges and follows the data; if none does, the one with the lowest objective is taken.
    `Fit.reason` says which, and why.

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
        return self._tried(problem, method, progress)

    def _tried(self, problem: Problem, method: AbstractMethod, progress: bool | None) -> Found:
        why, candidates = _candidates(problem)
        stages: tuple[Stage, ...] = ()
        best: tuple[float, Problem, str] | None = None
        lost: list[str] = []
        for candidate in candidates:
            name = " and ".join(type(each).__name__ for each in candidate) or "no strategy"
            found = _fitted(candidate, problem, method, progress)
            if found is None:
                lost.append(name)
                continue
            stages += tuple(replace(s, name=f"{name}: {s.name}") for s in found.stages)
            if found.interrupted or self._is_there(found):
                return Found(found.problem, stages, found.interrupted, _said(name, why, lost))
            lost.append(name)
            if best is None or found.stages[-1].nll < best[0]:
                best = (found.stages[-1].nll, found.problem, name)
        if best is None:
            return Found(problem, stages, reason=f"No strategy led anywhere, though {why}.")
        others = [each for each in lost if each != best[2]]
        return Found(best[1], stages, reason=_said(best[2], f"{why}: the lowest of all", others))

    def _is_there(self, found: Found) -> bool:
        """Whether the fit from there converged, or is on its way, and follows the data."""
        ends = {name_of(RESULTS.successful), name_of(RESULTS.steps_used_up)}
        return found.stages[-1].result in ends and left_by(found.problem) <= self.limit

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


def _fitted(
    candidate: Sequence[AbstractStrategy],
    problem: Problem,
    method: AbstractMethod,
    progress: bool | None,
) -> Found | None:
    """Where strategies and a fit of the problem itself lead to; nowhere if they cannot begin.

    Only after that fit do they compare: what they found before are starts.
    """
    try:
        found = pursue(candidate, problem, method, progress)
    except StartError:
        return None
    if found.interrupted:
        return found
    last = run_stage("the fit itself", method, found.problem, _MOST_STEPS, progress)
    if not last.began:
        return None
    return Found(last.problem, found.stages + last.stages, last.interrupted)


def _candidates(problem: Problem) -> tuple[str, list[Sequence[AbstractStrategy]]]:
    """Why any is needed, and those that can serve, the most promising first; none comes last."""
    growing, shooting, matching = GrowingHorizon(), MultipleShooting(), GradientMatching()
    turns = num_turns(problem.data)
    why = f"the data turn {_times(turns)}"
    if turns < _OSCILLATING:
        why = "the start cannot be solved to the end"
    each: list[Sequence[AbstractStrategy]] = []
    if _are_all_measured(problem) and _serves(matching, problem):
        each.append((matching,))
    if _serves(shooting, problem):
        each += [(shooting,), (shooting, growing)]
    if trainable_size(problem.predictor.model.initial):
        return f"{why}, and the initial state is not known", [*each, (growing,), ()]
    return f"{why}, and the initial state is known", [(growing,), *each, ()]


def _are_all_measured(problem: Problem) -> bool:
    """Whether there are as many observables as numbers in the state."""
    one = problem.data.experiments[0]
    predictor = problem.predictor.of(one)
    state = predictor.model.initial_state(*one.arguments)
    size = sum(leaf.size for leaf in jtu.tree_leaves(state))
    observed = np.asarray(one.observed).reshape(one.times.size, -1)
    return int(observed.any(axis=0).sum()) >= size


def _serves(strategy: AbstractStrategy, problem: Problem) -> bool:
    try:
        strategy.check(problem)
    except ValueError:
        return False
    return True


def _said(name: str, why: str, lost: list[str]) -> str:
    but = f"; {', '.join(lost)} did not lead to the data" if lost else ""
    return f"{name[0].upper()}{name[1:]}, since {why}{but}."


def _times(count: int) -> str:
    return {0: "not once", 1: "once", 2: "twice"}.get(count, f"{count} times")
