"""The families of real, positive and bounded numbers, and of angles."""

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import expit
from mpmath import mpf
from numpyro import distributions as dist

from benchmarks.kernels import textbook
from benchmarks.kernels.case import Case, Kernel
from benchmarks.kernels.draws import (
    by_dtype,
    locations,
    log_uniform,
    off_the_kink,
    one_of,
    residuals,
    signed,
)
from likelihax import likelihoods
from likelihax.likelihoods import AbstractLikelihood, predicted

LEVEL = 0.9
_Y = frozenset({"y"})
_LOC_SCALE = ("loc", "log_scale", "y")


def of(likelihood: AbstractLikelihood) -> Kernel:
    """The kernel of a likelihood as a function of columns, the last of which is `y`."""
    return lambda *columns: likelihood.kernel(columns[:-1], columns[-1])


def _log_normal(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    loc = rng.uniform(-10, 10, count)
    sigma = log_uniform(rng, 1e-5, 1e2, count)
    # y must stay a float: beyond e^+-60 nothing is drawn
    away = np.clip(residuals(rng, 1e6, count) * sigma, -60 - loc, 60 - loc)
    return loc, np.log(sigma), np.exp(loc + away)


def _kinked(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    loc, log_scale, y = locations(rng, count, dtype)
    return loc, log_scale, off_the_kink(y, loc)


def _dof(low: float, high: float, low_single: float, high_single: float, most: float):
    def draw(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
        low_, high_ = by_dtype(dtype, low, low_single), by_dtype(dtype, high, high_single)
        dof = log_uniform(rng, low_, high_, count)
        if low_ < 1e4 < high_:
            dof = np.where(rng.random(count) < 0.05, 1e4, dof)
        loc, log_scale, y = locations(rng, count, dtype, most)
        return loc, log_scale, np.log(dof), y

    return draw


def _evidential(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    shape = log_uniform(rng, by_dtype(dtype, 1e-3, 0.51), by_dtype(dtype, 1e10, 1e6), count)
    evidence = log_uniform(rng, 1e-6, 1e6, count)
    loc, log_scale, y = locations(rng, count, dtype, by_dtype(dtype, 1e6, 1e4))
    rate = 2 * log_scale.astype(float) + np.log(shape) - np.log1p(1 / evidence)
    return loc, np.log(evidence), np.log(shape), rate, y


def _gamma(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    alpha = log_uniform(rng, 1e-3, by_dtype(dtype, 1e10, 1e6), count)
    mean = log_uniform(rng, 1e-6, 1e6, count)
    near = np.maximum(rng.gamma(alpha, mean / alpha), by_dtype(dtype, 1e-290, 1e-30))
    close = mean * np.exp(signed(rng, 1e-8, 3.0, count) / np.sqrt(alpha))
    y = one_of(rng, [0.4, 0.2, 0.4], near, close, log_uniform(rng, 1e-8, 1e8, count))
    return np.log(mean), np.log(alpha), np.maximum(y, by_dtype(dtype, 1e-290, 1e-30))


def _exponential(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    mean = log_uniform(rng, 1e-8, 1e8, count)
    far = signed(rng, 1e-8, 1e8, count)
    return np.log(mean), np.abs(one_of(rng, [0.5, 0.5], rng.exponential(mean), far))


def _beta(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    logit = signed(rng, 1e-4, np.log(1e6), count).astype(dtype)
    precision = log_uniform(rng, 1e-2, by_dtype(dtype, 1e8, 1e6), count)
    mean = expit_(logit)
    near = rng.beta(precision * mean, precision * (1 - mean))
    lowest, digits = by_dtype(dtype, 290, 28), by_dtype(dtype, 15, 6)
    below, above = 10 ** -rng.uniform(0, lowest, count), 1 - 10 ** -rng.uniform(0, digits, count)
    y = one_of(rng, [0.5, 0.2, 0.1, 0.1, 0.1], near, rng.random(count), below, above, mean)
    ends = dtype.type(10.0**-lowest), np.nextafter(dtype.type(1), dtype.type(0))
    return logit, np.log(precision), np.clip(y.astype(dtype), *ends)


def expit_(logit: np.ndarray) -> np.ndarray:
    """The probability of a logit, for drawing."""
    return 1 / (1 + np.exp(-logit.astype(float)))


def _von_mises(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    loc = rng.uniform(-10, 10, count).astype(dtype)
    kappa = log_uniform(rng, 1e-4, 1e8, count)
    turns = 2 * np.pi * rng.integers(-1, 2, count)
    near = np.clip(loc + residuals(rng, 1e2, count) / np.sqrt(kappa) + turns, -10, 10)
    y = one_of(rng, [0.5, 0.45, 0.05], near, rng.uniform(-10, 10, count), loc.astype(float))
    return loc, np.log(kappa), y


def _normal_limit(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    loc, log_scale, y = locations(rng, count, dtype, 1e3)
    dof = log_uniform(rng, 1e30, by_dtype(dtype, 1e300, 1e37), count)
    # Only where the two differ by less than their digits: rounding y may have moved it far.
    y = np.where(np.abs(y - loc) < 1e3 * np.exp(log_scale.astype(float)), y, loc)
    return loc, log_scale, np.log(dof), y


def _as_normal(loc: mpf, log_scale: mpf, log_dof: mpf, y: mpf) -> mpf:
    return textbook.normal(loc, log_scale, y)


def _student_t_peer(loc, log_scale, log_dof, y):
    return -dist.StudentT(jnp.exp(log_dof), loc, jnp.exp(log_scale)).log_prob(y)


def _evidential_peer(loc, log_evidence, log_shape, log_rate, y):
    evidence, shape, rate = jnp.exp(log_evidence), jnp.exp(log_shape), jnp.exp(log_rate)
    scale = jnp.sqrt(rate * (1 + evidence) / (shape * evidence))
    return -dist.StudentT(2 * shape, loc, scale).log_prob(y)


def _gamma_peer(log_mean, log_concentration, y):
    alpha = jnp.exp(log_concentration)
    return -dist.Gamma(alpha, alpha / jnp.exp(log_mean)).log_prob(y)


def _beta_peer(logit, log_precision, y):
    return -dist.BetaProportion(expit(logit), jnp.exp(log_precision)).log_prob(y)


def _scaled(family, *more):
    def nll(loc, log_scale, y):
        return -family(loc, jnp.exp(log_scale), *more).log_prob(y)

    return nll


_T_COLUMNS = ("loc", "log_scale", "log_dof", "y")
_STUDENT_T = of(likelihoods.StudentT(predicted(), predicted()))

CASES = [
    Case(
        "Normal",
        _LOC_SCALE,
        locations,
        of(likelihoods.Normal(predicted())),
        textbook.normal,
        _scaled(dist.Normal),
    ),
    Case(
        "LogNormal",
        _LOC_SCALE,
        _log_normal,
        of(likelihoods.LogNormal(predicted())),
        textbook.log_normal,
        _scaled(dist.LogNormal),
        relative=_Y,
    ),
    Case(
        "Laplace",
        _LOC_SCALE,
        _kinked,
        of(likelihoods.Laplace(predicted())),
        textbook.laplace,
        _scaled(dist.Laplace),
    ),
    Case(
        "Quantile",
        _LOC_SCALE,
        _kinked,
        of(likelihoods.Quantile(LEVEL, predicted())),
        textbook.quantile(LEVEL),
        _scaled(dist.AsymmetricLaplaceQuantile, LEVEL),
    ),
    Case(
        "StudentT",
        _T_COLUMNS,
        _dof(1e-3, 1e8, 1e-2, 1e6, 1e6),
        _STUDENT_T,
        textbook.student_t,
        _student_t_peer,
    ),
    Case(
        "StudentT-large-dof",
        _T_COLUMNS,
        _dof(1e8, 1e30, 1e6, 1e30, 1e6),
        _STUDENT_T,
        textbook.student_t,
        _student_t_peer,
    ),
    Case(
        "StudentT-as-Normal",
        _T_COLUMNS,
        _normal_limit,
        _STUDENT_T,
        _as_normal,
        _student_t_peer,
    ),
    Case(
        "NormalInverseGamma",
        ("loc", "log_evidence", "log_shape", "log_rate", "y"),
        _evidential,
        of(likelihoods.NormalInverseGamma()),
        textbook.normal_inverse_gamma,
        _evidential_peer,
    ),
    Case(
        "Gamma",
        ("log_mean", "log_concentration", "y"),
        _gamma,
        of(likelihoods.Gamma(predicted())),
        textbook.gamma,
        _gamma_peer,
        relative=_Y,
    ),
    Case(
        "Exponential",
        ("log_mean", "y"),
        _exponential,
        of(likelihoods.Exponential()),
        textbook.exponential,
        lambda log_mean, y: -dist.Exponential(jnp.exp(-log_mean)).log_prob(y),
        relative=_Y,
    ),
    Case(
        "Beta",
        ("logit", "log_precision", "y"),
        _beta,
        of(likelihoods.Beta(predicted())),
        textbook.beta,
        _beta_peer,
        relative=_Y,
    ),
    Case(
        "VonMises",
        ("loc", "log_concentration", "y"),
        _von_mises,
        of(likelihoods.VonMises(predicted())),
        textbook.von_mises,
        lambda loc, log_kappa, y: -dist.VonMises(loc, jnp.exp(log_kappa)).log_prob(y),
    ),
]
