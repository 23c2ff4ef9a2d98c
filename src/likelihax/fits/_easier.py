"""An easier problem in the place of another, and the way back."""

from dataclasses import replace
from typing import Any

from .._parameters import map_nodes
from .._predictor import Predictor
from ..models import ODE, AbstractSimulator
from ..objectives import AbstractObjective, Unknowns, WeightedSum, as_sum
from ..terms._law import AbstractResidual
from ._problem import Problem


def easier(problem: Problem, model: AbstractSimulator, term: AbstractResidual) -> Problem:
    """The problem with another model in the place of its ODE, and a term that ties it to it.

    Other terms about the ODE's trajectory are left out.
    """
    forward = not model.reverse_only
    mode = "forward" if forward else "reverse"
    model = map_nodes(AbstractSimulator, lambda node: node.differentiated(mode), model)
    unknowns = Unknowns(
        Predictor(model, problem.predictor.likelihood), _kept(problem.unknowns.objective) + term
    )
    return Problem(unknowns, problem.data, forward)


def with_term(easier: Problem, term: AbstractResidual) -> Problem:
    """The same easier problem, tied by another term."""
    total = as_sum(easier.unknowns.objective)
    rest = WeightedSum(total.parts[:-1], total.weights[:-1])
    return replace(easier, unknowns=Unknowns(easier.predictor, rest + term))


def restored(problem: Problem, easier: Problem, ode: ODE) -> Problem:
    """The problem itself, from `ode` and everything else that the easier one ended with."""
    ode = ode.differentiated("forward" if problem.forward else "reverse")
    predictor = Predictor(ode, easier.predictor.likelihood)
    before = problem.unknowns.objective
    moved = iter(as_sum(easier.unknowns.objective).parts)
    parts = tuple(
        part if isinstance(part, AbstractResidual) else next(moved) for part in as_sum(before).parts
    )
    after: AbstractObjective = parts[0]
    if isinstance(before, WeightedSum):
        after = WeightedSum(parts, before.weights)
    return replace(problem, unknowns=Unknowns(predictor, after))


def _kept(objective: AbstractObjective) -> WeightedSum:
    total = as_sum(objective)
    pairs = zip(total.parts, total.weights, strict=True)
    kept: list[tuple[AbstractObjective, Any]] = [
        (part, weight) for part, weight in pairs if not isinstance(part, AbstractResidual)
    ]
    return WeightedSum(tuple(part for part, _ in kept), tuple(weight for _, weight in kept))
