"""The verb: minimise an objective over a predictor's trainable leaves."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array

from .._result import RESULTS
from ..objectives import AbstractObjective
from ._auto import Auto
from ._loop import Run, run
from ._measure import Measure
from ._method import AbstractMethod
from ._prepare import prepare
from ._report import Fit
from ._start import StartError, begin_check, check_dtypes, not_started
from ._strategy import AbstractStrategy, Found, checked_strategies, pursue


def fit(
    objective: AbstractObjective | Callable[[Any, Any], Array],
    predictor: Any,
    data: Any,
    *,
    method: AbstractMethod | None = None,
    strategy: AbstractStrategy | Sequence[AbstractStrategy] | Literal["auto"] | None = None,
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
    - `strategy`: how to get to a good start first: one of `likelihax.fits`, or several, each from
        where the last one ended, or `"auto"`; see `Fit.stages` and `Fit.reason`. Whatever it is,
        the fit of the problem itself follows, and only that is reported.
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
    method, problem = prepare(objective, predictor, data, method)
    strategies = checked_strategies(Auto() if strategy == "auto" else strategy, problem)
    measure = _measure(predictor, validation, curves)
    check = lambda: begin_check(problem.at(jnp.asarray(0)).unknowns, data)
    found = Found(problem)
    try:
        found = pursue(strategies, problem, method, progress)
        problem = found.problem
        if found.interrupted:
            done = Run(not_started(problem, RESULTS.interrupted), 0.0, 0.0)
        else:
            done = run(method, problem, key, progress, check, measure)
        if done.record.result == RESULTS.start_failed and throw:
            check()()
    except StartError:
        if throw:
            raise
        done = Run(not_started(problem), 0.0, 0.0)
    return Fit(
        replace(problem, anchor=None),
        method,
        done.record,
        done.compile_seconds,
        done.run_seconds,
        found.stages,
        found.reason,
    )


def _measure(predictor: Any, validation: Any, curves: bool | None) -> Measure | None:
    if curves is False and validation is not None:
        raise ValueError("fit: validation is there for curves only: leave out curves=False.")
    if not curves and validation is None:
        return None
    measure = Measure(validation)
    check_dtypes(predictor, validation)
    measure.check(predictor)
    return measure
