"""An easier problem in the place of another, and the way back."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from .._parameters import map_nodes
from .._predictor import Predictor
from ..models import ODE, AbstractSimulator
from ..objectives import AbstractObjective, Unknowns, WeightedSum, as_sum
from ..terms._law import AbstractResidual
from ._levenberg_marquardt import LevenbergMarquardt
from ._method import AbstractMethod
from ._problem import Problem
from ._strategy import Found, require_start, run_stage


def easier(problem: Problem, model: AbstractSimulator, term: AbstractResidual) -> Problem:
    """The problem with another model in the place of its ODE, and a term that ties it to it.

    Other terms about the ODE's trajectory are left out.
    """
    forward = not model.reverse_only
    mode = "forward" if forward else "reverse"
    model = map_nodes(AbstractSimulator, lambda node: node.differentiated(mode), model)
    kept = only(problem.unknowns.objective, lambda part: not _is_left_out(part))
    unknowns = Unknowns(Predictor(model, problem.predictor.likelihood), kept + term)
    return Problem(unknowns, problem.data, forward)


def run_tied(
    easier: Problem,
    terms: Sequence[tuple[str, AbstractResidual]],
    method: AbstractMethod,
    most: int,
    progress: bool | None,
) -> Found:
    """Fits the easier problem again and again, tied by one term after the other.

    Each has a name, and the structure of the one before, so that all are compiled once.
    """
    if easier.has_curvature and easier.forward:
        method = LevenbergMarquardt()
    found = Found(easier)
    for name, term in terms:
        tied = _with_term(found.problem, term)
        last = run_stage(name, method, tied, most, progress)
        if not last.began:
            require_start(tied)
        found = Found(last.problem, found.stages + last.stages, last.interrupted)
        if found.interrupted:
            break
    return found


def check_tightening(name: str, option: str, factors: Sequence[float]) -> None:
    """Raises `ValueError` unless there is a positive factor for each stage."""
    if not factors or not all(factor > 0 for factor in factors):
        raise ValueError(
            f"{name}: {option} is {factors}: give a positive number for each stage, falling."
        )


def _with_term(easier: Problem, term: AbstractResidual) -> Problem:
    """The same easier problem, tied by another term."""
    total = as_sum(easier.unknowns.objective)
    rest = WeightedSum(total.parts[:-1], total.weights[:-1])
    return replace(easier, unknowns=Unknowns(easier.predictor, rest + term))


def restored(problem: Problem, easier: Problem, ode: ODE) -> Problem:
    """The problem itself, from `ode` and everything else that the easier one ended with."""
    ode = ode.differentiated("forward" if problem.forward else "reverse")
    predictor = Predictor(ode, easier.predictor.likelihood)
    after = put_back(
        problem.unknowns.objective, easier.unknowns.objective, lambda part: not _is_left_out(part)
    )
    return replace(problem, unknowns=Unknowns(predictor, after))


def put_back(
    before: AbstractObjective,
    moved: AbstractObjective,
    was_kept: Callable[[AbstractObjective], bool],
) -> AbstractObjective:
    """The objective, its parts that an easier problem kept where that ended."""
    kept = iter(as_sum(moved).parts)
    parts = tuple(next(kept) if was_kept(part) else part for part in as_sum(before).parts)
    return WeightedSum(parts, before.weights) if isinstance(before, WeightedSum) else parts[0]


def only(objective: AbstractObjective, is_kept: Callable[[AbstractObjective], bool]) -> WeightedSum:
    """The parts of an objective that an easier problem keeps."""
    total = as_sum(objective)
    pairs = zip(total.parts, total.weights, strict=True)
    kept: list[tuple[AbstractObjective, Any]] = [pair for pair in pairs if is_kept(pair[0])]
    return WeightedSum(tuple(part for part, _ in kept), tuple(weight for _, weight in kept))


def _is_left_out(part: AbstractObjective) -> bool:
    return isinstance(part, AbstractResidual)
