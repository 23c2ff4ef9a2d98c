"""Every likelihood once, with what the laws of `test_likelihood_laws.py` need to know of it.

The witnesses are SciPy's densities, or two lines of NumPy where SciPy has none. They share no
code with the package.
"""

import math
from collections.abc import Callable
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from likelihood_pieces import (
    Piece,
    amount,
    amounts,
    cuts,
    number,
    share,
    triangle,
    vector,
    weights,
)
from numpyro import distributions as dist
from scipy import special, stats

from likelihax import likelihoods as lk
from likelihax import predicted

REFUSE = (math.nan, math.inf, -math.inf)
WIDTH = 512


def through_logarithm(argument: Any) -> Any:
    """What is predicted without a link, by the logarithm rather than as the family would."""
    bare = isinstance(argument, lk.Predicted) and argument.link is None
    return predicted("log") if bare else argument


class Row(NamedTuple):
    """A likelihood.

    - `make`: of its parameters by name: numbers, `Parameter`s or `predicted()`.
    - `pieces`: these, in the order in which a model predicts them.
    - `witness`: the log-density of a value, of the parameters in their natural units.
    - `values`, `outside`: some that can be measured, some that cannot.
    - `mend`: a word of the advice that goes with the latter.
    - `domain`: counts to sum over, or the ends and the kinks to integrate between.
    - `seen`: what is recorded of a sample of the base's, where that is not the sample itself.
    - `sampled`: whether the loss is the NLL of a sample at all.
    """

    make: Callable[..., lk.AbstractLikelihood]
    pieces: dict[str, Piece]
    witness: Callable[..., float]
    values: tuple[Any, ...]
    outside: tuple[Any, ...] = REFUSE
    mend: str = "missing"
    domain: range | tuple[float, ...] | None = None
    seen: Callable[[np.ndarray], np.ndarray] | None = None
    sampled: bool = True

    @property
    def likelihood(self) -> lk.AbstractLikelihood:
        """With everything predicted that can be."""
        return self.make(**{name: predicted() for name in self.pieces})

    @property
    def columns(self) -> np.ndarray:
        """What a model predicts for one value."""
        return np.concatenate([piece.columns for piece in self.pieces.values()])

    def naturals(self, columns: np.ndarray) -> list[Any]:
        """The parameters in their natural units, by our own arithmetic."""
        sizes = [len(piece.columns) for piece in self.pieces.values()]
        parts = np.split(columns, np.cumsum(sizes)[:-1])
        return [
            piece.natural(part) for piece, part in zip(self.pieces.values(), parts, strict=True)
        ]

    def log_prob(self, y: Any, columns: np.ndarray) -> float:
        """The witness where the model predicts `columns`."""
        return float(self.witness(y, *self.naturals(columns)))


def shaped(likelihood: lk.AbstractLikelihood, columns: Any, batch: tuple[int, ...] = ()) -> Any:
    """One value's columns as a prediction for a batch."""
    wanted = batch if is_bare(likelihood) else (*batch, len(columns))
    return np.broadcast_to(columns[0] if is_bare(likelihood) else columns, wanted).copy()


def is_bare(likelihood: lk.AbstractLikelihood) -> bool:
    """Whether a prediction is shaped like the values, without an axis of outputs."""
    pairs = isinstance(likelihood, lk.IntervalCensored)
    return likelihood.num_outputs == 1 and (likelihood.event_ndim == 0 or pairs)


# ------------------------------------------------------------------------------------- witnesses


def asymmetric_laplace(y, level, loc, scale):
    kappa = math.sqrt(level / (1 - level))
    return stats.laplace_asymmetric.logpdf(y, kappa, loc, kappa * scale / level)


def negative_binomial(y, mean, concentration):
    return stats.nbinom.logpmf(y, concentration, concentration / (concentration + mean))


def inflated(y, gate, of_base):
    return np.log(gate * (y == 0) + (1 - gate) * np.exp(of_base))


def soft_target(target, logits):
    return target @ special.log_softmax(logits)


def ordered_logistic(y, location, cutpoints):
    edges = np.concatenate([[-np.inf], cutpoints, [np.inf]])
    low, high = edges[int(y)] - location, edges[int(y) + 1] - location
    # of the two tails the smaller one
    return np.log(special.expit(min(high, -low)) - special.expit(min(low, -high)))


def mixture(weights, *terms):
    return special.logsumexp(np.asarray(terms), b=weights)


def censored(y, law, lower, upper):
    if y <= lower:
        return law.logcdf(lower)
    return law.logsf(upper) if y >= upper else law.logpdf(y)


def interval(y, law):
    low, high = y
    if low == high:
        return law.logpdf(low)
    return np.log(min(law.cdf(high) - law.cdf(low), 1.0))


def truncated(y, law, lower, upper):
    return law.logpdf(y) - np.log(law.cdf(upper) - law.cdf(lower))


def cells(sample):
    return np.stack([np.floor(sample), np.floor(sample) + 1], axis=-1)


def between(lower, upper):
    return lambda sample: sample[(sample > lower) & (sample < upper)]


# ----------------------------------------------------------------------------------------- table

PLAIN = {
    "normal": Row(
        lk.Normal,
        {"loc": number(0.7), "scale": amount(0.6)},
        lambda y, loc, scale: stats.norm.logpdf(y, loc, scale),
        (-1.3037, 0.2137, 0.9411, 4.031),
        domain=(-math.inf, 0.7, math.inf),
    ),
    "log_normal": Row(
        lk.LogNormal,
        {"median": amount(1.7), "sigma": amount(0.4)},
        lambda y, median, sigma: stats.lognorm.logpdf(y, sigma, scale=median),
        (0.3037, 1.0, 2.5411, 9.031),
        (*REFUSE, 0.0, -1.0),
        "Censored",
        (0.0, 1.7, 20.0),
    ),
    "laplace": Row(
        lk.Laplace,
        {"loc": number(0.7), "scale": amount(0.6)},
        lambda y, loc, scale: stats.laplace.logpdf(y, loc, scale),
        (-1.3037, 0.2137, 0.9411, 4.031),
        domain=(-math.inf, 0.7, math.inf),
    ),
    "quantile": Row(
        lambda loc, scale: lk.Quantile(0.3, scale, loc),
        {"loc": number(0.7), "scale": amount(0.6)},
        lambda y, loc, scale: asymmetric_laplace(y, 0.3, loc, scale),
        (-1.3037, 0.2137, 0.9411, 4.031),
        domain=(-math.inf, 0.7, math.inf),
    ),
    "student_t": Row(
        lk.StudentT,
        {"loc": number(0.7), "scale": amount(0.6), "dof": amount(3.5)},
        lambda y, loc, scale, dof: stats.t.logpdf(y, dof, loc, scale),
        (-7.3037, 0.2137, 0.9411, 4.031),
        domain=(-math.inf, 0.7, math.inf),
    ),
    "normal_inverse_gamma": Row(
        lambda loc, evidence, shape, rate: lk.NormalInverseGamma(
            loc, evidence, through_logarithm(shape), rate
        ),
        {"loc": number(0.7), "evidence": amount(2.2), "shape": amount(1.4), "rate": amount(0.9)},
        lambda y, loc, evidence, shape, rate: stats.t.logpdf(
            y, 2 * shape, loc, np.sqrt(rate * (1 + evidence) / (shape * evidence))
        ),
        (-7.3037, 0.2137, 0.9411, 4.031),
        domain=(-math.inf, 0.7, math.inf),
    ),
    "tied_evidence": Row(
        lambda loc, evidence, rate: lk.NormalInverseGamma(loc, evidence, lk.tied(0.5), rate),
        {"loc": number(0.7), "evidence": amount(2.2), "rate": amount(0.9)},
        lambda y, loc, evidence, rate: stats.t.logpdf(
            y,
            2 + 0.5 * evidence,
            loc,
            np.sqrt(rate * (1 + evidence) / ((1 + 0.25 * evidence) * evidence)),
        ),
        (-7.3037, 0.2137, 0.9411, 4.031),
        domain=(-math.inf, 0.7, math.inf),
    ),
    "gamma": Row(
        lk.Gamma,
        {"mean": amount(1.7), "concentration": amount(2.5)},
        lambda y, mean, concentration: stats.gamma.logpdf(
            y, concentration, scale=mean / concentration
        ),
        (0.1037, 1.0, 2.5411, 9.031),
        (*REFUSE, 0.0, -1.0),
        "Censored",
        (0.0, 1.7, math.inf),
    ),
    "exponential": Row(
        lk.Exponential,
        {"mean": amount(1.7)},
        lambda y, mean: stats.expon.logpdf(y, scale=mean),
        (0.0, 0.3037, 2.5411, 9.031),
        (*REFUSE, -1.0),
        "missing",
        (0.0, math.inf),
    ),
    "poisson": Row(
        lk.Poisson,
        {"rate": amount(2.2)},
        lambda y, rate: stats.poisson.logpmf(y, rate),
        (0.0, 1.0, 2.0, 9.0),
        (*REFUSE, -1.0, 2.5),
        "Give counts",
        range(60),
    ),
    "negative_binomial": Row(
        lk.NegativeBinomial,
        {"mean": amount(2.2), "concentration": amount(1.5)},
        negative_binomial,
        (0.0, 1.0, 2.0, 9.0),
        (*REFUSE, -1.0, 2.5),
        "Give counts",
        range(400),
    ),
    "beta": Row(
        lk.Beta,
        {"mean": share(0.35), "precision": amount(6.0)},
        lambda y, mean, precision: stats.beta.logpdf(y, precision * mean, precision * (1 - mean)),
        (0.0137, 0.31, 0.5, 0.977),
        (*REFUSE, 0.0, 1.0, 1.2),
        "Shrink",
        (0.0, 0.3, 1.0),
    ),
    "von_mises": Row(
        lk.VonMises,
        {"loc": number(0.7), "concentration": amount(1.3)},
        lambda y, loc, concentration: stats.vonmises.logpdf(y, concentration, loc),
        (-2.3037, 0.2137, 0.9411, 3.031),
        domain=(-math.pi, math.pi),
    ),
    "bernoulli": Row(
        lk.Bernoulli,
        {"probability": share(0.35)},
        lambda y, probability: stats.bernoulli.logpmf(y, probability),
        (0.0, 1.0),
        (*REFUSE, 2.0, 0.5, -1.0),
        "Code the two outcomes",
        range(2),
    ),
    "binomial": Row(
        lambda probability: lk.Binomial(12, probability),
        {"probability": share(0.35)},
        lambda y, probability: stats.binom.logpmf(y, 12, probability),
        (0.0, 3.0, 5.0, 12.0),
        (*REFUSE, 13.0, -1.0, 2.5),
        "not the share",
        range(13),
    ),
}

COUNTS_WITH_ZEROS = {
    "zero_inflated_poisson": Row(
        lambda gate, rate: lk.ZeroInflated(lk.Poisson(rate), gate),
        {"gate": share(0.25), "rate": amount(2.2)},
        lambda y, gate, rate: inflated(y, gate, stats.poisson.logpmf(y, rate)),
        (0.0, 1.0, 2.0, 9.0),
        (*REFUSE, -1.0, 2.5),
        "Give counts",
        range(60),
    ),
    "zero_inflated_negative_binomial": Row(
        lambda gate, mean, concentration: lk.ZeroInflated(
            lk.NegativeBinomial(concentration, mean), gate
        ),
        {"gate": share(0.25), "mean": amount(2.2), "concentration": amount(1.5)},
        lambda y, gate, mean, concentration: inflated(
            y, gate, negative_binomial(y, mean, concentration)
        ),
        (0.0, 1.0, 2.0, 9.0),
        (*REFUSE, -1.0, 2.5),
        "Give counts",
        range(400),
    ),
}

CLASSES = {
    "categorical": Row(
        lambda logits: lk.Categorical(3, logits),
        {"logits": vector(0.3, -1.0, 0.8)},
        lambda y, logits: special.log_softmax(logits)[int(y)],
        (0.0, 1.0, 2.0),
        (*REFUSE, 3.0, -1.0, 0.5),
        "from 0",
        range(3),
    ),
    "categorical_smoothed": Row(
        lambda logits: lk.Categorical(3, logits, label_smoothing=0.1),
        {"logits": vector(0.3, -1.0, 0.8)},
        lambda y, logits: soft_target(0.9 * np.eye(3)[int(y)] + 0.1 / 3, logits),
        (0.0, 1.0, 2.0),
        (*REFUSE, 3.0, -1.0, 0.5),
        "from 0",
        sampled=False,
    ),
    "categorical_soft": Row(
        lambda logits: lk.Categorical(3, logits, soft=True),
        {"logits": vector(0.3, -1.0, 0.8)},
        soft_target,
        ((0.2, 0.3, 0.5), (0.0, 1.0, 0.0)),
        ((0.2, 0.3, 0.6), (1.2, -0.2, 0.0), (math.nan, 0.5, 0.5)),
        "Divide each row",
        seen=lambda sample: np.eye(3)[sample],
    ),
    "dirichlet_categorical": Row(
        lambda evidence: lk.DirichletCategorical(3, evidence),
        {"evidence": amounts(1.2, 7.5, 0.3)},
        lambda y, evidence: stats.dirichlet_multinomial.logpmf(np.eye(3)[int(y)], evidence + 1, 1),
        (0.0, 1.0, 2.0),
        (*REFUSE, 3.0, -1.0, 0.5),
        "from 0",
        range(3),
    ),
    "ordered_logistic": Row(
        lambda location, cutpoints: lk.OrderedLogistic(cutpoints, location, num_classes=4),
        {"location": number(0.4), "cutpoints": cuts(-1.0, 1.3, 1.2)},
        ordered_logistic,
        (0.0, 1.0, 2.0, 3.0),
        (*REFUSE, 4.0, -1.0, 0.5),
        "from 0",
        range(4),
    ),
}

MADE_OF_OTHERS = {
    "multivariate_normal": Row(
        lambda loc, scale_tril: lk.MultivariateNormal(scale_tril, loc, dim=2),
        {"loc": vector(0.7, -0.4), "scale_tril": triangle(0.3, 0.8, 1.2)},
        lambda y, loc, tril: stats.multivariate_normal.logpdf(y, loc, tril @ tril.T),
        ((0.2137, 0.9411), (4.031, -3.3)),
        ((0.2, math.inf), (math.nan, 0.2)),
    ),
    "mixture_of_normals": Row(
        lambda weights, loc_a, scale_a, loc_b, scale_b: lk.Mixture(
            [lk.Normal(scale_a, loc_a), lk.Normal(scale_b, loc_b)], weights
        ),
        {
            "weights": weights(0.3, 0.7),
            "loc_a": number(-1.0),
            "scale_a": amount(0.5),
            "loc_b": number(1.5),
            "scale_b": amount(0.9),
        },
        lambda y, w, loc_a, scale_a, loc_b, scale_b: mixture(
            w, stats.norm.logpdf(y, loc_a, scale_a), stats.norm.logpdf(y, loc_b, scale_b)
        ),
        (-1.3037, 0.2137, 4.031),
        domain=(-math.inf, 0.0, math.inf),
    ),
    "mixture_of_families": Row(
        lambda weights, median, sigma, loc, scale: lk.Mixture(
            [lk.LogNormal(sigma, median), lk.Laplace(scale, loc)], weights
        ),
        {
            "weights": weights(0.3, 0.7),
            "median": amount(1.7),
            "sigma": amount(0.4),
            "loc": number(0.3),
            "scale": amount(0.9),
        },
        lambda y, w, median, sigma, loc, scale: mixture(
            w, stats.lognorm.logpdf(y, sigma, scale=median), stats.laplace.logpdf(y, loc, scale)
        ),
        (-1.3037, 0.2137, 4.031),
        domain=(-math.inf, 0.0, 0.3, 1.7, math.inf),
    ),
    "censored_normal": Row(
        lambda loc, scale: lk.Censored(lk.Normal(scale, loc), lower=-0.5, upper=1.6),
        {"loc": number(0.7), "scale": amount(0.6)},
        lambda y, loc, scale: censored(y, stats.norm(loc, scale), -0.5, 1.6),
        (-0.5, 0.2137, 1.6, 7.0),
        seen=lambda sample: np.clip(sample, -0.5, 1.6),
    ),
    "censored_exponential": Row(
        lambda mean: lk.Censored(lk.Exponential(mean), upper=2.5),
        {"mean": amount(1.7)},
        lambda y, mean: censored(y, stats.expon(scale=mean), -math.inf, 2.5),
        (0.0, 0.2137, 2.5),
        seen=lambda sample: np.clip(sample, 0.0, 2.5),
    ),
    "interval_censored": Row(
        lambda loc, scale: lk.IntervalCensored(lk.Normal(scale, loc)),
        {"loc": number(0.7), "scale": amount(0.6)},
        lambda y, loc, scale: interval(y, stats.norm(loc, scale)),
        (
            (-0.5, 0.3),
            (-0.5, 0.5),
            (0.3, 0.3),
            (-math.inf, 0.3),
            (0.9, math.inf),
            (-math.inf, math.inf),
        ),
        ((1.0, 0.5), (math.nan, 0.5), (math.inf, math.inf)),
        "Sort each pair",
        seen=cells,
    ),
    "truncated_normal": Row(
        lambda loc, scale: lk.Truncated(lk.Normal(scale, loc), lower=-0.5, upper=1.6),
        {"loc": number(0.7), "scale": amount(0.6)},
        lambda y, loc, scale: truncated(y, stats.norm(loc, scale), -0.5, 1.6),
        (-0.3037, 0.2137, 1.5),
        (*REFUSE, -0.5, 1.6, 7.0),
        "could not have been seen",
        (-0.5, 1.6),
        between(-0.5, 1.6),
    ),
    "truncated_exponential": Row(
        lambda mean: lk.Truncated(lk.Exponential(mean), lower=0.4),
        {"mean": amount(1.7)},
        lambda y, mean: truncated(y, stats.expon(scale=mean), 0.4, math.inf),
        (0.5, 2.0, 9.0),
        (*REFUSE, 0.4, 0.2),
        "could not have been seen",
        (0.4, math.inf),
        between(0.4, math.inf),
    ),
    # Of these the cumulative distribution is NumPyro's.
    "censored_gamma": Row(
        lambda mean: lk.Censored(lk.Gamma(2.5, mean), upper=2.5),
        {"mean": amount(1.7)},
        lambda y, mean: censored(y, stats.gamma(2.5, scale=mean / 2.5), 0.0, 2.5),
        (0.2137, 1.7, 2.5),
        seen=lambda sample: np.minimum(sample, 2.5),
    ),
    "censored_poisson": Row(
        lambda rate: lk.Censored(lk.Poisson(rate), lower=1.0, upper=4.0),
        {"rate": amount(2.2)},
        lambda y, rate: (
            stats.poisson.logcdf(1, rate)
            if y <= 1
            else stats.poisson.logsf(3, rate)
            if y >= 4
            else stats.poisson.logpmf(y, rate)
        ),
        (1.0, 2.0, 3.0, 4.0),
        mend="Leave it out",
        domain=range(1, 5),
        seen=lambda sample: np.clip(sample, 1, 4),
    ),
    "truncated_poisson": Row(
        lambda rate: lk.Truncated(lk.Poisson(rate), lower=0.0),
        {"rate": amount(2.2)},
        lambda y, rate: stats.poisson.logpmf(y, rate) - stats.poisson.logsf(0, rate),
        (1.0, 2.0, 9.0),
        (*REFUSE, 0.0, 2.5),
        "could not have been seen",
        range(1, 60),
        between(0, math.inf),
    ),
}


def from_numpyro(family: type, **options: Any) -> Callable[..., lk.FromNumPyro]:
    return lambda **parameters: lk.FromNumPyro(family, **options, **parameters)


NUMPYRO = {
    "numpyro_gumbel": Row(
        from_numpyro(dist.Gumbel),
        {"loc": number(0.7), "scale": amount(0.6)},
        lambda y, loc, scale: stats.gumbel_r.logpdf(y, loc, scale),
        (-0.3037, 0.2137, 4.031),
        domain=(-4.0, 0.7, math.inf),
    ),
    "numpyro_weibull": Row(
        from_numpyro(dist.Weibull),
        {"scale": amount(1.7), "concentration": amount(1.4)},
        lambda y, scale, concentration: stats.weibull_min.logpdf(y, concentration, scale=scale),
        (0.3037, 1.0, 4.031),
        (*REFUSE, -1.0),
        domain=(0.0, math.inf),
    ),
    "numpyro_geometric": Row(
        from_numpyro(dist.GeometricProbs),
        {"probs": share(0.35)},
        lambda y, probs: stats.geom.logpmf(y, probs, loc=-1),
        (0.0, 1.0, 6.0),
        (*REFUSE, -1.0, 2.5),
        domain=range(200),
    ),
    "numpyro_dirichlet": Row(
        from_numpyro(dist.Dirichlet, sizes={"concentration": 3}),
        {"concentration": amounts(1.2, 2.5, 0.8)},
        lambda y, concentration: stats.dirichlet.logpdf(y, concentration),
        ((0.2, 0.3, 0.5), (0.05, 0.9, 0.05)),
        ((0.2, 0.3, 0.6), (math.nan, 0.5, 0.5)),
    ),
}

TABLE = PLAIN | COUNTS_WITH_ZEROS | CLASSES | MADE_OF_OTHERS | NUMPYRO

every_row = pytest.mark.parametrize("name", TABLE)


@contextmanager
def as_numpyro_needs():
    """NumPyro adds integers to floats and vectors to matrices: the strict rules are ours."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@cache
def _compiled(name: str) -> Callable[..., tuple[jax.Array, jax.Array]]:
    likelihood = TABLE[name].likelihood

    def evaluate(prediction: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        each, pull = jax.vjp(lambda prediction: likelihood.nll(prediction, y), prediction)
        return each, pull(jnp.ones_like(each))[0]

    return jax.jit(evaluate)


def value_and_slope(name: str, columns: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """The NLL and its gradient in what the model predicts: of one value, or of many.

    Compiled once for a dtype, since it is always run for as many values.
    """
    columns = np.asarray(columns)
    if columns.ndim == 1:
        value, gradient = value_and_slope(name, columns[None], np.asarray(y)[None])
        return value[0], gradient[0]
    predictions = columns[:, 0] if is_bare(TABLE[name].likelihood) else columns
    values, count = np.asarray(y).astype(columns.dtype), len(columns)
    found = []
    for start in range(0, count, WIDTH):
        rows = np.arange(start, start + WIDTH)
        rows[rows >= count] = start
        found.append(_compiled(name)(jnp.asarray(predictions[rows]), jnp.asarray(values[rows])))
    each, gradient = (
        np.concatenate(list(map(np.asarray, part)))[:count] for part in zip(*found, strict=True)
    )
    return each, gradient.reshape(columns.shape)


def nll(name: str, columns: Any, y: Any) -> np.ndarray:
    """The NLL alone."""
    return value_and_slope(name, columns, y)[0]


def slope(name: str, columns: Any, y: Any) -> np.ndarray:
    """The gradient alone."""
    return value_and_slope(name, columns, y)[1]


def one_value(row: Row, y: Any = 0.0) -> tuple[jax.Array, jax.Array]:
    """What the model predicts for one value, and that value, as arrays."""
    return jnp.asarray(shaped(row.likelihood, row.columns)), jnp.asarray(y, float)
