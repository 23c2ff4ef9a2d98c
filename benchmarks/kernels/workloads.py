"""Ordinary data for the speed of each family: outputs near zero, values that belong to them."""

import zlib
from collections.abc import Callable

import numpy as np

from benchmarks.kernels.continuous import expit_

CLASSES = 10
_MANY, _FEWER = 10**7, 10**6  # fewer where each is ten numbers
Draw = Callable[[np.random.Generator, int], list[np.ndarray]]


def workload(family: str, count: int) -> list[np.ndarray]:
    """Float32 columns, those of `catalogue.CASES`; for classes, logits and labels."""
    rng = np.random.default_rng(zlib.crc32(family.encode()))
    return [np.asarray(column).astype(np.float32) for column in FAMILIES[family][1](rng, count)]


def _normals(rng: np.random.Generator, count: int, *scales: float) -> list[np.ndarray]:
    return [scale * rng.standard_normal(count) for scale in scales]


def _located(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    loc, log_scale, z = _normals(rng, count, 1.0, 0.3, 1.0)
    return [loc, log_scale, loc + np.exp(log_scale) * z]


def _log_normal(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    *outputs, y = _located(rng, count)
    return [*outputs, np.exp(y)]


def _student_t(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    loc, log_scale, y = _located(rng, count)
    return [loc, log_scale, rng.uniform(0.5, 3.5, count), y]


def _gamma(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    mean, alpha = _normals(rng, count, 1.0, 1.0)
    y = np.maximum(rng.gamma(np.exp(alpha), np.exp(mean - alpha)), 1e-20)
    return [mean, alpha, y]


def _exponential(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    (mean,) = _normals(rng, count, 1.0)
    return [mean, rng.exponential(np.exp(mean))]


def _beta(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    logit, precision = rng.standard_normal(count), rng.uniform(1, 4, count)
    m = expit_(logit)
    y = rng.beta(np.exp(precision) * m, np.exp(precision) * (1 - m))
    return [logit, precision, np.clip(y, 1e-6, 1 - 1e-6)]


def _von_mises(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    loc, concentration = rng.uniform(-3, 3, count), rng.uniform(-2, 4, count)
    return [loc, concentration, rng.vonmises(loc, np.exp(concentration))]


def _poisson(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    rate = rng.uniform(-1, 5, count)
    return [rate, rng.poisson(np.exp(rate))]


def _negative_binomial(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    mean, r = rng.uniform(-1, 5, count), rng.uniform(-1, 4, count)
    return [mean, r, rng.poisson(rng.gamma(np.exp(r), np.exp(mean - r)))]


def _inflated(base: Draw) -> Draw:
    def draw(rng: np.random.Generator, count: int) -> list[np.ndarray]:
        *outputs, y = base(rng, count)
        return [rng.standard_normal(count), *outputs, y * (rng.random(count) < 0.6)]

    return draw


def _bernoulli(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    return [2 * rng.standard_normal(count), rng.integers(0, 2, count)]


def _binomial(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    logit, total = rng.standard_normal(count), rng.integers(1, 100, count)
    return [logit, total, rng.binomial(total, expit_(logit))]


def _categorical(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    return [rng.standard_normal((count, CLASSES)), rng.integers(0, CLASSES, count)]


def _ordered(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    first = rng.standard_normal(count) - 1
    second = first + rng.uniform(0.1, 2, count)
    third = second + rng.uniform(0.1, 2, count)
    return [rng.standard_normal(count), first, second, third, rng.integers(0, 4, count)]


def _vectors(dim: int) -> Draw:
    def draw(rng: np.random.Generator, count: int) -> list[np.ndarray]:
        below = [0.5] * (dim * (dim - 1) // 2)
        return _normals(rng, count, *[1.0] * dim, *below, *[0.3] * dim, *[1.0] * dim)

    return draw


def _mixture(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    return _normals(rng, count, *[1.0] * 3, *[1.0, 0.3] * 3, 1.5)


def _with_student_t(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    *columns, y = _normals(rng, count, *[1.0] * 2, *[1.0, 0.3] * 2, 1.5)
    return [*columns, rng.uniform(0.5, 3.5, count), y]


def _censored(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    loc, log_scale, y = _located(rng, count)
    return [np.full(count, -0.5), loc, log_scale, np.maximum(y, -0.5)]


def _intervals(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    loc, log_scale, y = _located(rng, count)
    return [loc, log_scale, np.floor(y), np.floor(y) + 1]


def _truncated(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    loc, log_scale, _ = _located(rng, count)
    low, high = np.full(count, -1.0), np.full(count, 2.0)
    return [low, high, loc, log_scale, rng.uniform(-1, 2, count)]


# How many points, and how to draw them.
FAMILIES: dict[str, tuple[int, Draw]] = {
    "Normal": (_MANY, _located),
    "LogNormal": (_MANY, _log_normal),
    "Laplace": (_MANY, _located),
    "Quantile": (_MANY, _located),
    "StudentT": (_MANY, _student_t),
    "Gamma": (_MANY, _gamma),
    "Exponential": (_MANY, _exponential),
    "Poisson": (_MANY, _poisson),
    "NegativeBinomial": (_MANY, _negative_binomial),
    "ZeroInflatedPoisson": (_MANY, _inflated(_poisson)),
    "ZeroInflatedNegativeBinomial": (_MANY, _inflated(_negative_binomial)),
    "Beta": (_MANY, _beta),
    "VonMises": (_MANY, _von_mises),
    "Bernoulli": (_MANY, _bernoulli),
    "Binomial": (_MANY, _binomial),
    "Categorical": (_FEWER, _categorical),
    "Categorical-smoothed": (_FEWER, _categorical),
    "OrderedLogistic": (_MANY, _ordered),
    "MultivariateNormal-2": (_MANY, _vectors(2)),
    "MultivariateNormal-3": (_MANY, _vectors(3)),
    "Mixture-of-Normals": (_MANY, _mixture),
    "Mixture-with-StudentT": (_MANY, _with_student_t),
    "Censored-Normal-left": (_MANY, _censored),
    "IntervalCensored-Normal": (_MANY, _intervals),
    "Truncated-Normal": (_MANY, _truncated),
}
