"""What is settled before anything is evaluated: checks, derivatives, and the method."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax.tree_util as jtu
from jaxtyping import Array

from .._parameters import map_nodes, nodes_of, select_parameters
from ..data import AbstractData
from ..models import AbstractSimulator
from ..objectives import AbstractObjective, ScalarObjective, Unknowns
from ..objectives._objective import varied
from ._bfgs import BFGS
from ._bundle import Bundle
from ._levenberg_marquardt import LevenbergMarquardt
from ._method import AbstractMethod
from ._problem import FORWARD_LIMIT, Problem
from ._proximal_gradient import ProximalGradient
from ._proximal_newton import ProximalNewton
from ._start import check_dtypes, check_trainable

# A bundle's time for a step grows with the cube of the number of parameters.
_BUNDLE_LIMIT = 64
# Beyond this, a dense approximation of the Hessian is no longer a sensible default.
_DENSE_LIMIT = 2000


def prepare(
    objective: AbstractObjective | Callable[[Any, Any], Array],
    predictor: Any,
    data: Any,
    method: AbstractMethod | None,
) -> tuple[AbstractMethod, Problem]:
    """The method and the problem of a fit; `ValueError` for arguments that cannot be right."""
    if not isinstance(objective, AbstractObjective):
        objective = _as_objective(objective)
    objective.check(predictor, data)
    predictor = varied(predictor, data)
    if isinstance(data, AbstractData):
        predictor = map_nodes(AbstractSimulator, lambda node: _probed(node, data), predictor)
    objective, predictor = objective.prepared(predictor, data)
    unknowns = Unknowns(predictor, objective)
    size = check_trainable(unknowns)
    check_dtypes(predictor, data)
    if objective.is_penalty:
        method = _for_penalties(method, size)
    few = size <= FORWARD_LIMIT or isinstance(method, LevenbergMarquardt | ProximalNewton)
    forward = few and not _reverse_only(predictor)
    mode = "forward" if forward else "reverse"
    prepared = map_nodes(AbstractSimulator, lambda node: node.differentiated(mode), unknowns)
    problem = Problem(prepared, data, forward)
    method = _choose(method, problem, size)
    method.check(problem)
    return method, problem


def solved_like(first: Problem, problem: Problem) -> Problem:
    """A problem with its solvers chosen as those of the first: all share one code."""
    chosen = iter(nodes_of(AbstractSimulator, first.unknowns))
    like = lambda node: node.solved_like(next(chosen, node))
    return replace(problem, unknowns=map_nodes(AbstractSimulator, like, problem.unknowns))


def _probed(model: AbstractSimulator, data: AbstractData) -> AbstractSimulator:
    """The model, its solver chosen on the first experiment."""
    first = data.experiments[0]
    times, *inputs = first.arguments
    example = select_parameters(model, dict.fromkeys(first.members, 0))
    return model.probed(times, inputs[0] if inputs else None, example)


def _reverse_only(predictor: Any) -> bool:
    is_simulator = lambda node: isinstance(node, AbstractSimulator)
    nodes = jtu.tree_leaves(predictor, is_leaf=is_simulator)
    return any(is_simulator(node) and node.reverse_only for node in nodes)


def _as_objective(objective: Any) -> AbstractObjective:
    if not callable(objective) or isinstance(objective, type):
        raise ValueError(
            f"fit: the objective {objective!r} is neither an objective such as likelihax.NLL() nor "
            "a function (predictor, data) -> scalar."
        )
    return ScalarObjective(objective)


def _choose(method: AbstractMethod | None, problem: Problem, size: int) -> AbstractMethod:
    if isinstance(method, AbstractMethod):
        return method
    if method is not None:
        raise ValueError(
            f"fit: unknown method {method!r}: give likelihax.LevenbergMarquardt(), "
            "likelihax.BFGS() or likelihax.GradientDescent(optimiser), or leave it out."
        )
    if problem.objective.has_kinks and size <= _BUNDLE_LIMIT:
        return Bundle()
    if problem.forward and problem.has_curvature:
        return LevenbergMarquardt()
    if size <= _DENSE_LIMIT:
        return BFGS()
    raise ValueError(
        f"fit: {size} parameters are too many for the methods that need no tuning. Choose one: "
        "method=likelihax.GradientDescent(optax.adam(1e-3), max_steps=...)."
    )


def _for_penalties(method: AbstractMethod | None, size: int) -> AbstractMethod:
    if method is None:
        return ProximalNewton() if size <= _DENSE_LIMIT else ProximalGradient()
    if isinstance(method, ProximalNewton | ProximalGradient):
        return method
    raise ValueError(
        f"fit: {type(method).__name__} cannot reach the exact zeros of a penalty, which has a kink "
        "there. Use likelihax.ProximalNewton(), likelihax.ProximalGradient(), or leave it out."
    )
