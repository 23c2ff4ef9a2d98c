"""What programs do to a fit before they print it, where it shows in the digits that they print.

A fit is compared with the reference as it is first. Only where that disagrees, and the file says
that the program printed it, is it compared as the program would have printed the same fit.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.reference import family as families
from benchmarks.reference.design import Design, Regression, Vector
from benchmarks.reference.family import Stated

_R_EPSILON = 1e-8  # `glm.control`
_MOST_STEPS = 100
_OF_GLM = (families.BINOMIAL, families.GAMMA, families.NORMAL, families.POISSON)


class Shift(NamedTuple):
    """How far from a fit's end a program prints coefficients and their standard errors."""

    coefficients: Vector
    errors: Vector


def printed_by(fields: Mapping[str, Any], program: str) -> bool:
    """Whether the file's `origin` or `source` names the program."""
    said = f"{fields.get('origin') or ''} {fields.get('source') or ''}"
    return re.search(rf"\b{program}\b", said) is not None


def fitted_by_glm(stated: Stated) -> bool:
    """Whether R's `glm` fits the family."""
    return stated.family in _OF_GLM or stated.constant is not None


def in_single_precision(data: Regression) -> Regression:
    """The data as Stata holds them: its default storage type is a float of 32 bits."""
    rounded = lambda x: np.asarray(x).astype(np.float32).astype(np.float64)
    design = Design(data.design.names, rounded(data.design.columns))
    return replace(data, values=rounded(data.values), design=design, offset=rounded(data.offset))


def shift_of_glm(stated: Stated, data: Regression, *, pearson: bool) -> Shift:
    """By how much R's `glm` stops early.

    It iterates weighted least squares until the deviance changes by less than 1e-8 of itself and
    prints the standard errors of the last iterate's weights, which are those at the iterate before.
    Both are repeated here, with the same start, and once more up to rounding.
    """
    early = _weighted_least_squares(stated, data, _R_EPSILON, pearson=pearson)
    late = _weighted_least_squares(stated, data, 0.0, pearson=pearson)
    return Shift(early[0] - late[0], early[1] - late[1])


def _weighted_least_squares(
    stated: Stated, data: Regression, epsilon: float, *, pearson: bool
) -> tuple[Vector, Vector]:
    """Coefficients and standard errors at the end of R's `glm.fit`."""
    total = np.ones_like(data.values) if data.total is None else data.total
    y = data.values / total
    mean = families.shrunk_means(stated.family, data)
    slope_at = jax.vmap(jax.grad(stated.link.inverse))
    predictor = families.predictor_of(stated.link, mean)
    before = families.deviance(stated, y, mean, total)
    for _ in range(_MOST_STEPS):
        slope = np.asarray(slope_at(jnp.asarray(predictor)))
        root = np.sqrt(total / families.variance(stated, mean)) * np.abs(slope)
        working = predictor - data.offset + (y - mean) / slope
        rows = data.design.columns * root[:, None]
        coefficients = np.linalg.lstsq(rows, working * root, rcond=None)[0]
        predictor = data.design.columns @ coefficients + data.offset
        mean = families.mean_of(stated.link, predictor)
        if not families.in_range(stated.family, mean):
            raise ValueError("iteratively weighted least squares left the range of the mean")
        now = families.deviance(stated, y, mean, total)
        if abs(now - before) <= epsilon * (abs(now) + 0.1):
            break
        before = now
    # The weights are the last iterate's, the residuals already those at its end.
    left = root * (y - mean) / np.asarray(slope_at(jnp.asarray(predictor)))
    inverse = np.linalg.pinv(rows)
    errors = np.sqrt(np.sum(inverse**2, axis=1))
    freedoms = rows.shape[0] - rows.shape[1]
    return coefficients, errors * (np.sqrt(np.sum(left**2) / freedoms) if pearson else 1.0)
