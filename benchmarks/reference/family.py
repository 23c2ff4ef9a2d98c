"""The family that a file states, as a likelihood of the toolkit, and means to start from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

import likelihax as lhx
from benchmarks.reference.design import Design, Regression, Vector
from benchmarks.reference.problem import required

NORMAL, POISSON, GAMMA = "normal", "poisson", "gamma"
BINOMIAL, BETA, QUANTILE = "binomial", "beta", "quantile"
NEGATIVE_BINOMIAL, NEGATIVE_BINOMIAL_1 = "negative_binomial", "negative_binomial_1"

_FAMILIES = {
    "bernoulli": BINOMIAL,
    "beta": BETA,
    "binomial": BINOMIAL,
    "gamma": GAMMA,
    "gaussian": NORMAL,
    "logistic": BINOMIAL,
    "nb": NEGATIVE_BINOMIAL,
    "nb1": NEGATIVE_BINOMIAL_1,
    "nb2": NEGATIVE_BINOMIAL,
    "negativebinomial": NEGATIVE_BINOMIAL,
    "normal": NORMAL,
    "poisson": POISSON,
}
_CANONICAL = {
    BETA: "logit",
    BINOMIAL: "logit",
    GAMMA: "inverse",
    NEGATIVE_BINOMIAL: "log",
    NEGATIVE_BINOMIAL_1: "log",
    NORMAL: "identity",
    POISSON: "log",
    QUANTILE: "identity",
}


@final
class LogLog(lhx.links.AbstractLink):
    """The prediction is `-log(-log(p))`: the complementary log-log link seen from the other end.

    betareg's `loglog`, which the toolkit leaves to its users.
    """

    def link(self, value: Array) -> Array:
        """`-log(-log(p))`."""
        return -lhx.links.ComplementaryLogLog().link(1 - value)

    def inverse(self, prediction: Array) -> Array:
        """`exp(-exp(-prediction))`."""
        return jnp.exp(self.log(prediction))

    def log(self, prediction: Array) -> Array:
        """`-exp(-prediction)`."""
        return -jnp.exp(-prediction)

    def logit(self, prediction: Array) -> Array:
        """Minus the logit of what is left to one."""
        return -lhx.links.ComplementaryLogLog().logit(-prediction)


_LINKS: dict[str, lhx.links.AbstractLink] = {
    "cloglog": lhx.links.ComplementaryLogLog(),
    "identity": lhx.links.Identity(),
    "inverse": lhx.links.Inverse(),
    "log": lhx.links.Log(),
    "logit": lhx.links.Logit(),
    "loglog": LogLog(),
    "probit": lhx.links.Probit(),
    "sqrt": lhx.links.Sqrt(),
}
_OTHER_NAMES = {"inverse_power": "inverse", "inversepower": "inverse", "reciprocal": "inverse"}


def link_named(name: Any) -> lhx.links.AbstractLink:
    """A link by its name; `ValueError` if the toolkit has none such."""
    key = str(name).strip().lower()
    key = _OTHER_NAMES.get(key, key)
    if key not in _LINKS:
        raise ValueError(f"the link {str(name)[:40]!r} is not one of {', '.join(sorted(_LINKS))}")
    return _LINKS[key]


def family_named(name: Any) -> str:
    """The family that a file calls so; `ValueError` if it is none of those known here."""
    key = str(name).strip().lower().replace(" ", "").replace("_", "").replace("-", "")
    if key not in _FAMILIES:
        raise ValueError(f"the family {str(name)[:40]!r} is not one of {', '.join(_FAMILIES)}")
    return _FAMILIES[key]


@dataclass(frozen=True)
class Stated:
    """What a file says of a distribution: its family, the link of its mean, and the rest.

    - `second`: the design of its second parameter where that is modelled, and `second_link`.
    - `constant`: the concentration of a negative binomial, where it is known.
    - `level`: of a quantile.
    """

    family: str
    link: lhx.links.AbstractLink
    second: Design | None = None
    second_link: lhx.links.AbstractLink | None = None
    constant: float | None = None
    level: float = 0.5

    @property
    def has_noise(self) -> bool:
        """Whether one number for all values, the scatter, is fitted beside the model."""
        return self.family in (NORMAL, GAMMA, QUANTILE)


def stated_family(fields: Mapping[str, Any]) -> tuple[str, lhx.links.AbstractLink]:
    """Family and link by a file's own fields, the link by default the canonical one."""
    family = family_named(required(fields, "family"))
    return family, link_named(fields.get("link") or _CANONICAL[family])


def likelihood(stated: Stated, data: Regression, noise: float) -> Any:
    """The toolkit's likelihood, the mean predicted through its link; `noise` is a start."""
    by_link = lhx.predicted(stated.link)
    family = stated.family
    if family == NORMAL:
        return lhx.likelihoods.Normal(scale=lhx.positive(noise, name="noise"), loc=by_link)
    if family == GAMMA:
        concentration = lhx.positive(noise, name="noise")
        return lhx.likelihoods.Gamma(concentration=concentration, mean=by_link)
    if family == QUANTILE:
        scale = lhx.positive(noise, name="noise")
        return lhx.likelihoods.Quantile(stated.level, scale=scale, loc=by_link)
    if family == POISSON:
        return lhx.likelihoods.Poisson(rate=by_link)
    if family == BINOMIAL:
        if data.total is None or np.all(data.total == 1):
            return lhx.likelihoods.Bernoulli(probability=by_link)
        return lhx.likelihoods.Binomial(total=data.total, probability=by_link)
    if family == BETA:
        return lhx.likelihoods.Beta(precision=lhx.predicted(stated.second_link), mean=by_link)
    concentration = stated.constant
    if family == NEGATIVE_BINOMIAL_1:  # the model works the concentration out of alpha
        concentration = lhx.predicted("log")
    elif concentration is None:
        concentration = lhx.predicted(stated.second_link)
    return lhx.likelihoods.NegativeBinomial(concentration=concentration, mean=by_link)


def shrunk_means(family: str, data: Regression) -> Vector:
    """The values, moved inside the range of a mean, as programs for regression start.

    J. A. Nelder and R. W. M. Wedderburn, "Generalized linear models", J. R. Stat. Soc. A 135
    (1972); the shares are those of R's `binomial` and `negative.binomial`.
    """
    y = data.values
    if family == BINOMIAL:
        total = np.ones_like(y) if data.total is None else data.total
        return (y + 0.5) / (total + 1)
    if family == POISSON:
        return y + 0.1
    if family in (NEGATIVE_BINOMIAL, NEGATIVE_BINOMIAL_1):
        return np.where(y == 0, 1 / 6, y)
    return y


def in_range(family: str, mean: NDArray[np.float64]) -> bool:
    """Whether every mean is one that the family can have."""
    if not np.all(np.isfinite(mean)):
        return False
    if family in (NORMAL, QUANTILE):
        return True
    return bool(np.all(mean > 0) and (family not in (BINOMIAL, BETA) or np.all(mean < 1)))


def variance(stated: Stated, mean: Vector) -> Vector:
    """The variance of a value as a function of its mean, up to a factor that is the same for all.

    **Raises:** `KeyError` for a family that is not one of generalised linear models.
    """
    known = {
        BINOMIAL: lambda m: m * (1 - m),
        GAMMA: lambda m: m**2,
        NORMAL: np.ones_like,
        POISSON: lambda m: m,
    }
    if stated.constant is not None:
        return mean + mean**2 / stated.constant
    return known[stated.family](mean)


def mean_of(link: lhx.links.AbstractLink, predictor: Vector) -> Vector:
    """The mean at a linear predictor; NaN outside the link's range."""
    return np.asarray(link.inverse(jnp.asarray(predictor)))


def predictor_of(link: lhx.links.AbstractLink, mean: Vector) -> Vector:
    """The linear predictor at a mean."""
    return np.asarray(link.link(jnp.asarray(mean)))


def deviance(stated: Stated, y: Vector, mean: Vector, total: Vector) -> float:
    """Twice what the log-likelihood lacks to that of means equal to the values."""
    log_ratio = lambda a, b: np.where(a > 0, np.log(np.where(a > 0, a, 1.0) / b), 0.0)
    if stated.family == BINOMIAL:
        each = y * log_ratio(y, mean) + (1 - y) * log_ratio(1 - y, 1 - mean)
    elif stated.family == GAMMA:
        each = (y - mean) / mean - log_ratio(y, mean)
    elif stated.family == POISSON:
        each = y * log_ratio(y, mean) - (y - mean)
    elif stated.constant is not None:
        known = stated.constant
        each = y * log_ratio(y, mean) - (y + known) * np.log((y + known) / (mean + known))
    else:
        each = 0.5 * (y - mean) ** 2
    return float(2 * np.sum(total * each))
