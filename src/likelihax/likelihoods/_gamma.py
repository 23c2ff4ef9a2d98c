"""Gamma scatter: positive values whose spread grows with their mean."""

import math
from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from .._special._compensated import less_log
from .._special._elementary import exp_excess
from .._special._gamma import binet, binet_curvature, binet_slope
from ._argument import Argument, Source, predicted, source
from ._kernel import exact
from ._likelihood import AbstractRegularLikelihood, Outputs, diagonal
from ._support import POSITIVE, Support


@final
class Gamma(AbstractRegularLikelihood):
    r"""`y ~ Gamma` of a given mean, whose variance is `mean^2 / concentration`.

    $$-\log p = \alpha\,(e^d - 1 - d) + \log y - \tfrac12\log\frac{\alpha}{2\pi} + B(\alpha),
    \qquad d = \log(y/\mu),$$

    with Binet's function `B`, what Stirling's formula leaves of `log Gamma`.

    **Arguments:**

    - `concentration`: the shape `alpha`; one over the dispersion of a generalised linear model.
    - `mean`: in the units of `y`; by default the model predicts its logarithm.
    """

    mean: Source
    concentration: Source

    def __init__(self, concentration: Any, mean: Any = predicted()):
        self.mean = source(mean, "Gamma: mean", constraints.positive, "positive")
        self.concentration = source(
            concentration, "Gamma: concentration", constraints.positive, "positive"
        )

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Mean and concentration; the kernel takes the logarithms of both."""
        return (
            Argument("Gamma: mean", self.mean, "log"),
            Argument("Gamma: concentration", self.concentration, "log"),
        )

    @property
    def support(self) -> Support:
        """The positive numbers."""
        return POSITIVE

    def from_outputs(self, outputs: Outputs) -> dist.Gamma:
        """`Gamma(concentration, concentration / mean)`."""
        log_mean, log_concentration = outputs
        return dist.Gamma(jnp.exp(log_concentration), jnp.exp(log_concentration - log_mean))

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in the logarithms of mean and concentration."""
        return gamma_nll(*outputs, y)

    def information(self, outputs: Outputs) -> Array:
        """`alpha` for the log-mean, `alpha^2 psi'(alpha) - alpha` for the log-concentration."""
        alpha = jnp.exp(outputs[1])
        return diagonal(alpha, 0.5 + alpha**2 * binet_curvature(alpha))

    def curvature(self, outputs: Outputs, y: Array) -> Array:
        """For the log-concentration the mean of observed and expected: shorter bad steps."""
        log_mean, log_concentration = outputs
        alpha = jnp.exp(log_concentration)
        observed = alpha * (exp_excess(-less_log(log_mean, y)) + binet_slope(alpha))
        return diagonal(alpha, 0.25 + 0.5 * observed + alpha**2 * binet_curvature(alpha))


def _common(log_mean: Array, log_concentration: Array, y: Array) -> tuple[Array]:
    """How far the logarithm of the mean is above that of the value."""
    return (less_log(log_mean, y),)


def _value(log_mean: Array, log_concentration: Array, y: Array, shift: Array) -> Array:
    alpha = jnp.exp(log_concentration)
    deviance = alpha * exp_excess(-shift)
    constant = jnp.log(y) - 0.5 * log_concentration + 0.5 * math.log(2 * math.pi)
    return deviance + constant + binet(alpha)


def _partials(log_mean: Array, log_concentration: Array, y: Array, shift: Array) -> tuple:
    alpha = jnp.exp(log_concentration)
    of_mean = -alpha * jnp.expm1(-shift)
    of_concentration = alpha * (exp_excess(-shift) + binet_slope(alpha)) - 0.5
    return of_mean, of_concentration, (1 - of_mean) / y


gamma_nll = exact(_value, _partials, _common)
