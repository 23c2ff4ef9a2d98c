"""Whether a prediction follows the data, and how far."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._parameters import resolve
from ..objectives import Unknowns
from ._measure import mean_of
from ._problem import Problem

# How far ahead a prediction has gone astray is seen from the mean of so many rows, or of such a
# part of them where that is more.
_WINDOW = 8
_WINDOWS = 50


def errors_of(unknowns: Unknowns, data: Any, whole: Any) -> tuple[np.ndarray, np.ndarray]:
    """Where each row with a measured value is in its experiment, and its squared error.

    Both in the order of the first, a share of the experiment's times. The error is in units of
    the spread of each observable in the `whole` data, infinite where the model could not be solved.
    """
    squares = np.asarray(_squared_errors(unknowns, data, whole))
    observed = np.asarray(data.observed).reshape(squares.shape)
    lengths = [one.times.size for one in whole.experiments]
    places = np.concatenate([np.arange(1, length + 1) / length for length in lengths])
    seen = observed.any(axis=1)
    squares = np.where(observed, squares, 0.0)[seen].sum(axis=1) / observed[seen].sum(axis=1)
    order = np.argsort(places[seen], kind="stable")
    return places[seen][order], squares[order]


@eqx.filter_jit
def _squared_errors(unknowns: Unknowns, data: Any, whole: Any) -> Array:
    now = resolve(unknowns).predictor
    simulation = now.predict(data)
    mean = mean_of(now.likelihood_of(data), simulation.values)
    if mean is None or mean.shape != data.values.shape:
        mean = jnp.zeros_like(data.values)
    squares = ((data.values - mean.astype(data.values.dtype)) / _spread(whole)) ** 2
    usable = simulation.success & jnp.isfinite(squares)
    return jnp.where(usable, squares, jnp.inf).reshape(data.values.shape[0], -1)


def _spread(data: Any) -> Array:
    """The standard deviation of each observable, of all that was measured."""
    weights = data.observed.astype(data.values.dtype)
    count = jnp.maximum(jnp.sum(weights, axis=0), 1.0)
    mean = jnp.sum(weights * data.values, axis=0) / count
    off = weights * (data.values - mean[None]) ** 2
    spread = jnp.sqrt(jnp.sum(off, axis=0) / count)
    return jnp.where(spread > 0, spread, 1.0)[None]


def follows(problem: Problem, limit: float) -> bool:
    """Whether a problem's start follows the data to their end."""
    places, errors = errors_of(problem.unknowns, problem.data, problem.data)
    return astray(places, errors, limit) is None


def left_by(problem: Problem) -> float:
    """The share of the variance that a problem's start leaves unexplained."""
    return float(np.mean(errors_of(problem.unknowns, problem.data, problem.data)[1]))


def astray(places: np.ndarray, errors: np.ndarray, limit: float) -> float | None:
    """The place from which on the mean error of the next few rows is above a limit."""
    window = min(max(_WINDOW, errors.size // _WINDOWS), errors.size)
    means = np.convolve(errors, np.full(window, 1 / window), mode="valid")
    above = np.flatnonzero(~(means <= limit))
    return float(places[above[0]]) if above.size else None
