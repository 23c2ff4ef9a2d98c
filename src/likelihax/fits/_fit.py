"""The verb: minimise an objective over a predictor's trainable leaves."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array

from .._parameters import map_nodes
from .._result import RESULTS
from ..models import AbstractSimulator
from ..objectives import AbstractObjective, ScalarObjective, Unknowns
from ._bfgs import BFGS
from ._bundle import Bundle
from ._levenberg_marquardt import LevenbergMarquardt
from ._loop import Run, run
from ._measure import Measure
from ._method import AbstractMethod, new_record
from ._problem import FORWARD_LIMIT, Problem
from ._proximal_gradient import ProximalGradient
from ._proximal_newton import ProximalNewton
from ._report import Fit
from ._start import StartError, begin_check, check_dtypes, check_trainable

# A bundle's time for a step grows with the cube of the number of parameters.
_BUNDLE_LIMIT = 64
# Beyond this, a dense approximation of the Hessian is no longer a sensible default.
_DENSE_LIMIT = 2000


def fit(
    objective: AbstractObjective | Callable[[Any, Any], Array],
    predictor: Any,
    data: Any,
    *,
    method: AbstractMethod | None = None,
    key: Array | None = None,
    progress: bool | None = None,
    throw: bool = True,
    validation: Any = None,
    curves: bool | None = None,
) -> Fit:
    """Fits the trainable leaves of `predictor` to `data` by minimising `objective`.

    **Arguments:**

    - `objective`: `NLL()`, `NLL(reduction)`, or any function `(predictor, data) -> scalar`.
    - `predictor`: where the fit starts; its `Parameter`s and inexact arrays are fitted, its
        frozen ones are not. With a function as objective, any pytree.
    - `data`: an `Experiment` or a `Dataset`; with a function as objective, anything.
    - `method`: by default `LevenbergMarquardt` for the NLL of a likelihood with a Fisher
        information and at most 64 parameters, `BFGS` for other objectives; `Bundle` where there
        are kinks, `ProximalNewton` where there is a penalty with exact zeros.
    - `key`: a JAX random key, for methods that draw random numbers; these do not.
    - `progress`: whether to show a bar; by default in a terminal or a notebook.
    - `throw`: whether to raise where the objective cannot be evaluated at the start. If not,
        the `Fit` says so. Every other outcome is a `Fit` in any case; look at its `result`.
    - `validation`: an `Experiment` or a `Dataset` that is not fitted, only measured at each step.
    - `curves`: whether to measure `fit.curves`, which takes further evaluations at every step; by
        default where there is `validation`.

    Raises `ValueError` for arguments that cannot be right. A user's interruption ends the fit
    with the best point so far.
    """
    if not isinstance(objective, AbstractObjective):
        objective = _as_objective(objective)
    objective.check(predictor, data)
    unknowns = Unknowns(predictor, objective)
    size = check_trainable(unknowns)
    check_dtypes(predictor, data)
    measure = _measure(predictor, validation, curves)
    if objective.is_penalty:
        method = _for_penalties(method, size)
    few = size <= FORWARD_LIMIT or isinstance(method, LevenbergMarquardt | ProximalNewton)
    forward = few and not _reverse_only(predictor)
    mode = "forward" if forward else "reverse"
    prepared = map_nodes(AbstractSimulator, lambda node: node.differentiated(mode), unknowns)
    problem = Problem(prepared, data, forward)
    method = _choose(method, problem, size)
    method.check(problem)
    check = lambda: begin_check(problem.at(jnp.asarray(0)).unknowns, data)
    try:
        done = run(method, problem, key, progress, check, measure)
        if done.record.result == RESULTS.start_failed and throw:
            check()()
    except StartError:
        if throw:
            raise
        done = _not_started(problem)
    return Fit(problem, method, done.record, done.compile_seconds, done.run_seconds)


def _measure(predictor: Any, validation: Any, curves: bool | None) -> Measure | None:
    if curves is False and validation is not None:
        raise ValueError("fit: validation is there for curves only: leave out curves=False.")
    if not curves and validation is None:
        return None
    measure = Measure(validation)
    check_dtypes(predictor, validation)
    measure.check(predictor)
    return measure


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


def _not_started(problem: Problem) -> Run:
    record = new_record(problem.start(), 1)
    return Run(record.end(jnp.asarray(True), RESULTS.start_failed), 0.0, 0.0)
