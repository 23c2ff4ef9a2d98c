"""A formula fitted by the toolkit's public verbs, nothing else."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import sympy
from jax import Array

import likelihax as lhx
from benchmarks.reference.formula import evaluate
from benchmarks.reference.problem import Problem


class FormulaModel(eqx.Module):
    """A formula over its parameters and over the columns that it is given."""

    parameters: dict[str, Any]
    expression: sympy.Expr = eqx.field(static=True)

    def __call__(self, columns: Mapping[str, Array]) -> Array:
        """The prediction, one value an observation."""
        length = next(iter(columns.values())).shape
        return jnp.broadcast_to(evaluate(self.expression, {**columns, **self.parameters}), length)


class Fitted(NamedTuple):
    """Estimates and standard deviations in the order of the problem's parameters."""

    estimates: np.ndarray
    deviations: np.ndarray
    residual_sd: float  # with residual degrees of freedom
    rss: float
    nll: float
    status: str
    seconds: float


def fit(problem: Problem, start: Mapping[str, float], tolerance: float = 1e-10) -> Fitted:
    """The maximum-likelihood fit with Normal noise of unknown scale, from one start.

    Standard deviations are the NIST convention: expected information, residual degrees of freedom.
    `tolerance` is the distance to the optimum that is good enough, in standard errors.
    """
    began = time.perf_counter()
    noise = "sigma"
    while noise in problem.parameters:
        noise += "_"
    columns = {name: jnp.asarray(column) for name, column in problem.columns.items()}
    if not columns:  # a model of constants alone still has to know how many values to predict
        columns = {"observation": jnp.arange(problem.values.size, dtype=jnp.float64)}
    model = FormulaModel(
        {name: lhx.real(float(start[name]), name=name) for name in problem.parameters},
        problem.expression,
    )
    scale = lhx.positive(first_noise(problem, start), name=noise)
    result = lhx.fit(
        lhx.NLL(),
        lhx.Predictor(model, lhx.likelihoods.Normal(scale=scale)),
        lhx.Dataset(inputs=columns, values=jnp.asarray(problem.values)),
        method=lhx.LevenbergMarquardt(tolerance=tolerance, max_steps=5_000),
        throw=False,
    )
    deviations = result.standard_errors(information="expected", dof="residual")
    estimates = {name: float(result.estimates[name]) for name in problem.parameters}
    widened = np.sqrt(problem.values.size / problem.dof)
    return Fitted(
        np.array(list(estimates.values())),
        np.array([float(deviations[name]) for name in problem.parameters]),
        float(result.estimates[noise]) * float(widened),
        float(np.sum(np.square(residuals(problem, estimates)))),
        float(result.nll),
        status_of(result),
        time.perf_counter() - began,
    )


def residuals(problem: Problem, parameters: Mapping[str, float]) -> np.ndarray:
    """Values less prediction."""
    prediction = evaluate(problem.expression, {**problem.columns, **parameters})
    shape = problem.values.shape
    return np.asarray(problem.values - np.broadcast_to(np.asarray(prediction), shape))


def first_noise(problem: Problem, start: Mapping[str, float]) -> float:
    """A start for the noise scale: the residuals' size at the start, or else the values' own."""
    for trial in (residuals(problem, start), problem.values):
        size = float(np.sqrt(np.mean(np.square(trial))))
        if np.isfinite(size) and size > 0:
            return size
    return 1.0


def status_of(result: lhx.Fit) -> str:
    """How a fit ended, in a few words."""
    if result.result == lhx.RESULTS.successful:
        return "successful"
    reason = " ".join(str(lhx.RESULTS[result.result]).split())
    return reason.split(": ")[0].split(". ")[0][:120]
