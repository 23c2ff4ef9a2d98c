"""A generalised linear model fitted by the toolkit's public verbs, nothing else."""

import time
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

import likelihax as lhx
from benchmarks.reference import family as families
from benchmarks.reference.design import Regression, Vector
from benchmarks.reference.family import Stated
from benchmarks.reference.fitting import status_of

Information = Literal["observed", "expected"]
Dispersion = Literal["model", "pearson"]


class LinearPredictors(eqx.Module):
    """The linear predictor of the mean, and that of a second parameter where there is one."""

    coefficients: Array
    second: Array | None

    def __call__(self, inputs: dict[str, Array]) -> Array:
        """One or two predictions a row."""
        first = inputs["X"] @ self.coefficients + inputs["offset"]
        if self.second is None:
            return first
        return jnp.stack([first, inputs["Z"] @ self.second], axis=-1)


class ProportionalVariance(eqx.Module):
    """Log-mean and log-concentration of counts of variance `(1 + alpha) * mean`."""

    coefficients: Array
    second: Array

    def __call__(self, inputs: dict[str, Array]) -> Array:
        """Two predictions a row: the concentration is `mean / alpha`."""
        first = inputs["X"] @ self.coefficients + inputs["offset"]
        return jnp.stack([first, first - jnp.log(inputs["Z"] @ self.second)], axis=-1)


class Fitted(NamedTuple):
    """Estimates in the order of the designs, and the fit that they come from."""

    coefficients: Vector
    second: Vector
    log_likelihood: float
    fit: lhx.Fit
    status: str
    seconds: float

    def errors(self, information: Information, dispersion: Dispersion) -> tuple[Vector, Vector]:
        """Standard errors of the coefficients and of the second parameter's."""
        found = self.fit.standard_errors(information, dispersion=dispersion)
        return np.asarray(found["coefficients"]), np.asarray(found.get("second", np.zeros(0)))

    def second_at_fixed_mean(self) -> Vector:
        """The second parameter's standard errors as if the coefficients were known."""
        inverse = np.linalg.inv(self.fit.covariance("observed").matrix)
        rows = slice(len(self.coefficients), len(self.coefficients) + len(self.second))
        return np.sqrt(np.diag(np.linalg.inv(inverse[rows, rows])))


def regress(
    stated: Stated, data: Regression, penalty: lhx.AbstractObjective | None = None
) -> Fitted:
    """The fit by the default method, of the NLL or with a penalty, from a start by the data."""
    began = time.perf_counter()
    coefficients = first_coefficients(stated, data)
    predictor = data.design.columns @ coefficients + data.offset
    second = _first_second(stated, data, families.mean_of(stated.link, predictor))
    model = _model(stated, data, coefficients, second)
    noise = _first_noise(stated, data.values, families.mean_of(stated.link, predictor))
    inputs = {"X": jnp.asarray(data.design.columns), "offset": jnp.asarray(data.offset)}
    if stated.second is not None:
        inputs["Z"] = jnp.asarray(stated.second.columns)
    found = lhx.fit(
        lhx.NLL() if penalty is None else lhx.NLL() + penalty,
        lhx.Predictor(model, families.likelihood(stated, data, noise)),
        lhx.Dataset(inputs=inputs, values=jnp.asarray(data.values)),
        throw=False,
    )
    return Fitted(
        np.asarray(found.estimates["coefficients"]),
        np.asarray(found.estimates.get("second", np.zeros(0))),
        -float(found.nll if penalty is None else found.breakdown["NLL"]),
        found,
        status_of(found),
        time.perf_counter() - began,
    )


def first_coefficients(stated: Stated, data: Regression) -> Vector:
    """Least squares of the linked values, drawn to a constant until every mean is valid.

    **Raises:** `ValueError` if none is found, for instance without a constant in the design, or if
    the values are not the family's.
    """
    means = families.shrunk_means(stated.family, data)
    if not families.in_range(stated.family, means):
        raise ValueError(f"some of the values are not such as the family {stated.family} has")
    average = np.full_like(means, np.mean(means))
    linked, constant = (families.predictor_of(stated.link, m) for m in (means, average))
    solve = lambda target: np.linalg.lstsq(data.design.columns, target, rcond=None)[0]
    flat = solve(constant - data.offset)
    steep = solve(np.where(np.isfinite(linked), linked, constant) - data.offset)
    for share in (1.0, 0.75, 0.5, 0.25, 0.1, 0.0):
        coefficients = share * steep + (1 - share) * flat
        predictor = data.design.columns @ coefficients + data.offset
        if families.in_range(stated.family, families.mean_of(stated.link, predictor)):
            return coefficients
    raise ValueError("no start found at which every mean is valid under this link")


def _model(stated: Stated, data: Regression, coefficients: Vector, second: Vector | None) -> Any:
    """The model at its start, coefficients in units that change the predictor visibly."""
    predictor = data.design.columns @ coefficients
    spread = float(np.sqrt(np.mean(np.square(predictor)))) or 1.0
    first = lhx.real(coefficients, scale=spread / _sizes(data.design.columns))
    if second is None:
        return LinearPredictors(first, None)
    assert stated.second is not None
    spread = float(np.sqrt(np.mean(np.square(stated.second.columns @ second)))) or 1.0
    scale = spread / _sizes(stated.second.columns)
    if stated.family == families.NEGATIVE_BINOMIAL_1:
        return ProportionalVariance(first, lhx.positive(second))
    return LinearPredictors(first, lhx.real(second, scale=scale))


def _sizes(columns: NDArray[np.float64]) -> Vector:
    sizes = np.sqrt(np.mean(np.square(columns), axis=0))
    return np.where(sizes > 0, sizes, 1.0)


def _first_second(stated: Stated, data: Regression, mean: Vector) -> Vector | None:
    """The second parameter from the mean square of the residuals, the same for every row."""
    if stated.second is None or stated.second_link is None:
        return None
    y = data.values
    if stated.family == families.BETA:
        ratio = np.mean(mean * (1 - mean)) / max(float(np.mean((y - mean) ** 2)), 1e-12) - 1
    else:
        left = max(float(np.mean((y - mean) ** 2 - mean)), 1e-3 * float(np.mean(mean)))
        ratio = np.mean(mean**2) / left
        if stated.family == families.NEGATIVE_BINOMIAL_1:
            ratio = np.mean(mean) / left
    constant = np.full_like(y, np.clip(ratio, 0.1, 1e4))
    target = families.predictor_of(stated.second_link, constant)
    return np.linalg.lstsq(stated.second.columns, target, rcond=None)[0]


def _first_noise(stated: Stated, y: Vector, mean: Vector) -> float:
    """A start for the scatter: a scale, or the concentration of a Gamma."""
    away = np.mean(np.abs(y - mean)) if stated.family == families.QUANTILE else None
    if away is None:
        away = np.sqrt(np.mean((y - mean) ** 2))
    if stated.family == families.GAMMA:
        return float(np.clip(np.mean(mean**2) / max(float(away) ** 2, 1e-300), 0.1, 1e6))
    return float(away) if away > 0 else 1.0
