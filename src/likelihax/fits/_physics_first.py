"""What is known first, then what has to be learned as well."""

from dataclasses import replace
from typing import Any, final

import equinox as eqx

from ..models._learned import (
    freeze_learned,
    has_learned,
    thaw_learned,
    with_learned,
    without_learned,
)
from ..objectives import AbstractObjective, Unknowns
from ._easier import only, put_back
from ._method import AbstractMethod
from ._prepare import prepare
from ._problem import Problem
from ._strategy import AbstractStrategy, Found, check_options, pursue, require_start, run_stage


@final
class PhysicsFirst(AbstractStrategy):
    """The known part of a vector field alone, its `Learned` parts switched off; then both.

    A network that is free from the first step explains what the physics would have explained,
    had its parameters been right. Fitted alone, these come as near to the data as they can; the
    network begins at zero there and learns what is left.

    **Arguments:**

    - `strategy`: how to get to a good start of the known part, if it needs one.
    - `max_steps`: after how many evaluations the fit of the known part ends.

    Terms about the network's weights are left out of that fit.
    """

    strategy: AbstractStrategy | None = None
    max_steps: int = eqx.field(static=True, default=512)

    def __check_init__(self) -> None:
        if self.strategy is not None and not isinstance(self.strategy, AbstractStrategy):
            raise ValueError(
                f"PhysicsFirst: unknown strategy {self.strategy!r}: give for instance "
                "likelihax.fits.GrowingHorizon(), or leave it out."
            )
        check_options("PhysicsFirst", self.max_steps)

    def check(self, problem: Problem) -> None:
        """There must be something learned."""
        if not has_learned(problem.predictor):
            raise ValueError(
                "PhysicsFirst: the predictor has no likelihax.models.Learned part: leave the "
                "strategy out."
            )
        if self.strategy is not None:
            self.strategy.check(_physics(problem)[1])

    def find(self, problem: Problem, method: AbstractMethod, progress: bool | None) -> Found:
        """Fits the known part, in the method that suits it."""
        method, physics = _physics(problem)
        inner = () if self.strategy is None else (self.strategy,)
        found = pursue(inner, physics, method, progress)
        if not found.interrupted:
            last = run_stage("physics alone", method, found.problem, self.max_steps, progress)
            if not last.began:
                require_start(found.problem)
            stages = found.stages + last.stages
            found = Found(last.problem, stages, last.interrupted, found.reason)
        return replace(found, problem=_both(problem, found.problem))


def _physics(problem: Problem) -> tuple[AbstractMethod, Problem]:
    """The problem of the known part, and the method for it."""
    predictor = freeze_learned(without_learned(problem.predictor))
    serves = lambda part: _serves(part, predictor, problem.data)
    parts = only(problem.unknowns.objective, serves)
    return prepare(parts, predictor, problem.data, None)


def _both(problem: Problem, physics: Problem) -> Problem:
    """The whole problem, from where the known part ended."""
    mode = "forward" if problem.forward else "reverse"
    predictor = thaw_learned(with_learned(physics.predictor.differentiated(mode)))
    serves = lambda part: _serves(part, physics.predictor, problem.data)
    after = put_back(problem.unknowns.objective, physics.unknowns.objective, serves)
    return replace(problem, unknowns=Unknowns(predictor, after))


def _serves(part: AbstractObjective, predictor: Any, data: Any) -> bool:
    """Whether a part of an objective applies where nothing is learned."""
    try:
        part.check(predictor, data)
    except ValueError:
        return False
    return True
