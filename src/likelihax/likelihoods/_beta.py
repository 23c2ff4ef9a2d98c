"""Beta scatter: shares between 0 and 1."""

import math
from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from .._special._compensated import less_log_odds, opaque
from .._special._elementary import logistic_divergence, sigmoid, softplus
from .._special._gamma import binet, binet_curvature, binet_slope
from ._argument import Argument, Source, predicted, source
from ._kernel import exact
from ._likelihood import AbstractRegularLikelihood, Outputs, matrix
from ._support import UNIT_INTERVAL, Support


@final
class Beta(AbstractRegularLikelihood):
    r"""`y ~ Beta` of a given mean, whose variance is `mean (1 - mean) / (1 + precision)`.

    $$-\log p = \varphi\,\mathrm{KL}(m\|y) + \log y(1-y)
    - \tfrac12\log\frac{\varphi\,m(1-m)}{2\pi} + B(\varphi m) + B(\varphi(1-m)) - B(\varphi),$$

    with Binet's function `B` and the divergence of two Bernoulli distributions,
    `m log(m / y) + (1 - m) log((1 - m) / (1 - y))`. The parametrisation is that of S. Ferrari
    and F. Cribari-Neto (2004, "Beta regression for modelling rates and proportions", J. Appl.
    Stat. 31).

    **Arguments:**

    - `precision`: `phi`, the sum of the two usual parameters: known, fitted or predicted, by
        default as its logarithm.
    - `mean`: between 0 and 1; by default the model predicts its logit.
    """

    mean: Source
    precision: Source

    def __init__(self, precision: Any, mean: Any = predicted()):
        self.mean = source(mean, "Beta: mean", constraints.unit_interval, "between 0 and 1")
        self.precision = source(precision, "Beta: precision", constraints.positive, "positive")

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Mean and precision; the kernel takes the logit of one, the logarithm of the other."""
        return (
            Argument("Beta: mean", self.mean, "logit"),
            Argument("Beta: precision", self.precision, "log"),
        )

    @property
    def support(self) -> Support:
        """The open unit interval."""
        return UNIT_INTERVAL

    def from_outputs(self, outputs: Outputs) -> dist.Beta:
        """`Beta(precision * mean, precision * (1 - mean))`."""
        logit, log_precision = outputs
        first = jnp.exp(log_precision - softplus(-logit))
        return dist.Beta(first, jnp.exp(log_precision - softplus(logit)))

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in the logit of the mean and the logarithm of the precision."""
        return beta_nll(*outputs, y)

    def information(self, outputs: Outputs) -> Array:
        """In logit and log-precision, which are not orthogonal (Ferrari and Cribari-Neto)."""
        m, n, first, second, precision = _shapes(*outputs)
        of_first = first**2 * binet_curvature(first)
        of_second = second**2 * binet_curvature(second)
        of_sum = precision**2 * binet_curvature(precision)
        of_mean = precision * m * n + 0.5 * (m**2 + n**2) + n**2 * of_first + m**2 * of_second
        mixed = 0.5 * (n - m) + n * of_first - m * of_second
        of_precision = 0.5 + of_first + of_second - of_sum
        return matrix([[of_mean, mixed], [mixed, of_precision]])


def _shapes(logit: Array, log_precision: Array) -> tuple[Array, ...]:
    """Mean, one less the mean, both shape parameters, and their sum."""
    m, n, precision = sigmoid(logit), sigmoid(-logit), jnp.exp(log_precision)
    return m, n, precision * m, precision * n, precision


def _common(logit: Array, log_precision: Array, y: Array) -> tuple[Array]:
    """How far the logit of the mean is above that of the value."""
    return (less_log_odds(logit, y, opaque(1.0, y)),)


def _value(logit: Array, log_precision: Array, y: Array, shift: Array) -> Array:
    m, n, first, second, precision = _shapes(logit, log_precision)
    deviance = precision * logistic_divergence(m, n, -shift)
    spread = 0.5 * (softplus(logit) + softplus(-logit) - log_precision + math.log(2 * math.pi))
    gammas = binet(first) + binet(second) - binet(precision)
    return deviance + spread + gammas + jnp.log(y) + jnp.log1p(-y)


def _partials(logit: Array, log_precision: Array, y: Array, shift: Array) -> tuple:
    m, n, first, second, precision = _shapes(logit, log_precision)
    slopes = first * binet_slope(first), second * binet_slope(second)
    of_logit = m * n * precision * shift + 0.5 * (m - n) + n * slopes[0] - m * slopes[1]
    divergence = logistic_divergence(m, n, -shift)
    gammas = slopes[0] + slopes[1] - precision * binet_slope(precision)
    of_precision = precision * divergence - 0.5 + gammas
    # (y - m) / (y (1 - y)) by whichever form does not overflow
    below = shift > 0
    away = jnp.where(
        below,
        m * jnp.expm1(-jnp.where(below, shift, 0.0)) / y,
        -n * jnp.expm1(jnp.where(below, 0.0, shift)) / (1 - y),
    )
    return of_logit, of_precision, precision * away + (1 - 2 * y) / (y * (1 - y))


beta_nll = exact(_value, _partials, _common)
