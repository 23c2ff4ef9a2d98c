"""The families of counts, of yes and no, and of classes."""

import jax.numpy as jnp
import numpy as np
from mpmath import mpf
from numpyro import distributions as dist

from benchmarks.kernels import textbook
from benchmarks.kernels.case import Case
from benchmarks.kernels.continuous import expit_, of
from benchmarks.kernels.draws import (
    by_dtype,
    counts,
    increasing,
    log_uniform,
    one_of,
    poisson,
    signed,
)
from likelihax import likelihoods
from likelihax.likelihoods import predicted

CLASSES = 4
SMOOTHING = 0.1
_Y = frozenset({"y"})
_LOGITS = tuple(f"logit_{k}" for k in range(CLASSES))
_EVIDENCE = tuple(f"log_evidence_{k}" for k in range(CLASSES))
_TARGETS = tuple(f"target_{k}" for k in range(CLASSES))
_CUTS = ("cut_1", "cut_2", "cut_3")


def _poisson(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    most = by_dtype(dtype, 1e12, 1e7)
    rate = log_uniform(rng, 1e-8, most, count)
    return np.log(rate), counts(rng, poisson(rng, rate), most)


def _negative_binomial(least: float, most: float, most_single: float):
    def draw(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
        mean = log_uniform(rng, 1e-4, 1e9, count)
        r = log_uniform(rng, least, by_dtype(dtype, most, most_single), count)
        # Beyond what NumPy draws, a Gamma is its mean.
        mixed = np.where(r < 1e15, rng.gamma(np.minimum(r, 1e15), 1.0) / np.minimum(r, 1e15), 1)
        return np.log(mean), np.log(r), counts(rng, poisson(rng, mean * mixed), 1e9)

    return draw


def _poisson_limit(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    mean = log_uniform(rng, 1e-4, 1e7, count)
    r = log_uniform(rng, 1e32, by_dtype(dtype, 1e300, 1e37), count)
    return np.log(mean), np.log(r), counts(rng, poisson(rng, mean), 1e7)


def _inflated(base):
    def draw(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
        *outputs, y = base(rng, count, dtype)
        gate = signed(rng, 1e-4, by_dtype(dtype, 700.0, 80.0), count)
        return gate, *outputs, np.where(rng.random(count) < 0.4, 0.0, y)

    return draw


def _bernoulli(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    most = by_dtype(dtype, 700.0, 80.0)
    logit = one_of(
        rng, [0.5, 0.5], signed(rng, 1e-10, most, count), rng.uniform(-most, most, count)
    )
    return logit, rng.integers(0, 2, count)


def _binomial(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    logit = signed(rng, 1e-4, 30.0, count)
    total = np.round(log_uniform(rng, 1.0, 1e9, count)).astype(dtype).astype(float)
    near = rng.binomial(total.astype(int), expit_(logit)).astype(float)
    few = np.minimum(np.round(log_uniform(rng, 1.0, 1e3, count)), total)
    anywhere = np.round(rng.random(count) * total)
    shares = [0.4, 0.2, 0.1, 0.1, 0.1, 0.1]
    y = one_of(rng, shares, near, anywhere, few, total - few, np.zeros(count), total)
    return logit, total, y


def _logits(rng: np.random.Generator, count: int, dtype: np.dtype) -> list[np.ndarray]:
    return [signed(rng, 1e-6, by_dtype(dtype, 500.0, 80.0), count) for _ in range(CLASSES)]


def _categorical(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    return *_logits(rng, count, dtype), rng.integers(0, CLASSES, count)


def _soft(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    # Multiples of 2^-20, so that they sum to one without rounding.
    parts = np.floor(rng.dirichlet(np.full(CLASSES, 0.3), count) * 2**20) / 2**20
    parts[:, 0] = 1 - parts[:, 1:].sum(axis=1)
    return *_logits(rng, count, dtype), *parts.T


def _ordered(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    first = signed(rng, 1e-3, 30.0, count)
    second = first + log_uniform(rng, 1e-5, 30.0, count)
    third = second + log_uniform(rng, 1e-5, 30.0, count)
    cuts = increasing(*(cut.astype(dtype) for cut in (first, second, third)))
    return signed(rng, 1e-3, 60.0, count), *cuts, rng.integers(0, CLASSES, count)


def _labelled(smoothing: float):
    def nll(*numbers: mpf) -> mpf:
        label = int(numbers[-1])
        spread = mpf(smoothing)
        targets = [(1 - spread) * (k == label) + spread / CLASSES for k in range(CLASSES)]
        return textbook.categorical(numbers[:CLASSES], targets)

    return nll


def _labelled_peer(smoothing: float):
    def nll(*columns):
        family = dist.CategoricalLogits(jnp.stack(columns[:CLASSES], axis=-1))
        each = -(1 - smoothing) * family.log_prob(columns[-1].astype(int))
        if not smoothing:
            return each
        return each - smoothing / CLASSES * sum(family.log_prob(k) for k in range(CLASSES))

    return nll


def _soft_peer(*columns):
    family = dist.CategoricalLogits(jnp.stack(columns[:CLASSES], axis=-1))
    return -sum(columns[CLASSES + k] * family.log_prob(k) for k in range(CLASSES))


def _categorical_kernel(likelihood: likelihoods.Categorical):
    def kernel(*columns):
        y = columns[CLASSES:]
        target = jnp.stack(y, axis=-1) if likelihood.soft else y[0]
        return likelihood.kernel((jnp.stack(columns[:CLASSES], axis=-1),), target)

    return kernel


def _dirichlet_kernel(*columns):
    likelihood = likelihoods.DirichletCategorical(CLASSES)
    return likelihood.kernel((jnp.stack(columns[:CLASSES], axis=-1),), columns[CLASSES])


def _dirichlet_peer(*columns):
    concentration = 1 + jnp.exp(jnp.stack(columns[:CLASSES], axis=-1))
    one = columns[CLASSES][..., None] == jnp.arange(CLASSES)
    family = dist.DirichletMultinomial(concentration, total_count=1)
    return -family.log_prob(one.astype(concentration.dtype))


def _ordered_kernel(location, first, second, third, y):
    likelihood = likelihoods.OrderedLogistic(predicted(), num_classes=CLASSES)
    return likelihood.kernel((location, jnp.stack([first, second, third], axis=-1)), y)


def _ordered_peer(location, first, second, third, y):
    cuts = jnp.stack([first, second, third], axis=-1)
    return -dist.OrderedLogistic(location, cuts).log_prob(y.astype(int))


def _negative_binomial_peer(log_mean, log_concentration, y):
    return -dist.NegativeBinomial2(jnp.exp(log_mean), jnp.exp(log_concentration)).log_prob(y)


def _binomial_peer(logit, total, y):
    return -dist.BinomialLogits(logit, total).log_prob(y)


def _inflated_peer(family):
    def nll(gate, *rest):
        *outputs, y = rest
        base = family(*map(jnp.exp, outputs))
        return -dist.ZeroInflatedDistribution(base, gate_logits=gate).log_prob(y)

    return nll


_NB_COLUMNS = ("log_mean", "log_concentration", "y")
_NEGATIVE_BINOMIAL = of(likelihoods.NegativeBinomial(predicted()))

CASES = [
    Case(
        "Poisson",
        ("log_rate", "y"),
        _poisson,
        of(likelihoods.Poisson()),
        textbook.poisson,
        lambda log_rate, y: -dist.Poisson(jnp.exp(log_rate)).log_prob(y),
        _Y,
    ),
    Case(
        "NegativeBinomial",
        _NB_COLUMNS,
        _negative_binomial(1e-3, 1e10, 1e6),
        _NEGATIVE_BINOMIAL,
        textbook.negative_binomial,
        _negative_binomial_peer,
        _Y,
    ),
    Case(
        "NegativeBinomial-large-concentration",
        _NB_COLUMNS,
        _negative_binomial(1e6, 1e30, 1e30),
        _NEGATIVE_BINOMIAL,
        textbook.negative_binomial,
        _negative_binomial_peer,
        _Y,
    ),
    Case(
        "NegativeBinomial-as-Poisson",
        _NB_COLUMNS,
        _poisson_limit,
        _NEGATIVE_BINOMIAL,
        lambda log_mean, log_concentration, y: textbook.poisson(log_mean, y),
        _negative_binomial_peer,
        _Y,
    ),
    Case(
        "ZeroInflatedPoisson",
        ("gate_logit", "log_rate", "y"),
        _inflated(_poisson),
        of(likelihoods.ZeroInflated(likelihoods.Poisson())),
        textbook.zero_inflated(textbook.poisson),
        _inflated_peer(dist.Poisson),
        _Y,
    ),
    Case(
        "ZeroInflatedNegativeBinomial",
        ("gate_logit", *_NB_COLUMNS),
        _inflated(_negative_binomial(1e-3, 1e10, 1e6)),
        of(likelihoods.ZeroInflated(likelihoods.NegativeBinomial(predicted()))),
        textbook.zero_inflated(textbook.negative_binomial),
        _inflated_peer(dist.NegativeBinomial2),
        _Y,
    ),
    Case(
        "Bernoulli",
        ("logit", "y"),
        _bernoulli,
        of(likelihoods.Bernoulli()),
        textbook.bernoulli,
        lambda logit, y: -dist.BernoulliLogits(logit).log_prob(y),
        _Y,
    ),
    Case(
        "Binomial",
        ("logit", "total", "y"),
        _binomial,
        of(likelihoods.Binomial(1)),
        textbook.binomial,
        _binomial_peer,
        frozenset({"total", "y"}),
    ),
    Case(
        "Categorical",
        (*_LOGITS, "y"),
        _categorical,
        _categorical_kernel(likelihoods.Categorical(CLASSES)),
        _labelled(0.0),
        _labelled_peer(0.0),
        _Y,
    ),
    Case(
        "Categorical-smoothed",
        (*_LOGITS, "y"),
        _categorical,
        _categorical_kernel(likelihoods.Categorical(CLASSES, label_smoothing=SMOOTHING)),
        _labelled(SMOOTHING),
        _labelled_peer(SMOOTHING),
        _Y,
    ),
    Case(
        "Categorical-soft",
        (*_LOGITS, *_TARGETS),
        _soft,
        _categorical_kernel(likelihoods.Categorical(CLASSES, soft=True)),
        lambda *numbers: textbook.categorical(numbers[:CLASSES], numbers[CLASSES:]),
        _soft_peer,
        frozenset(_TARGETS),
    ),
    Case(
        "DirichletCategorical",
        (*_EVIDENCE, "y"),
        _categorical,
        _dirichlet_kernel,
        lambda *numbers: textbook.dirichlet_categorical(numbers[:CLASSES], int(numbers[-1])),
        _dirichlet_peer,
        _Y,
    ),
    Case(
        "OrderedLogistic",
        ("location", *_CUTS, "y"),
        _ordered,
        _ordered_kernel,
        lambda location, *rest: textbook.ordered_logistic(location, rest[:-1], int(rest[-1])),
        _ordered_peer,
        _Y,
    ),
]
