"""Poisson scatter: counts of independent events."""

import math
from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from .._special._compensated import less_log
from .._special._elementary import exp_excess
from .._special._gamma import binet
from ._argument import Argument, Source, predicted, source
from ._kernel import exact
from ._likelihood import AbstractRegularLikelihood, Outputs, diagonal
from ._support import COUNTS, Support


@final
class Poisson(AbstractRegularLikelihood):
    r"""`y ~ Poisson(rate)`: counts whose variance is their mean.

    $$-\log p = y\,(e^d - 1 - d) + \tfrac12\log 2\pi y + B(y),\qquad d = \log(\lambda/y),$$

    with Binet's function `B`, and `rate` where `y = 0`: the saddle-point form of C. Loader
    (2000, "Fast and accurate computation of binomial probabilities"), in which nothing cancels.

    **Arguments:**

    - `rate`: the expected count; by default the model predicts its logarithm. Give
        `predicted("identity")` for a model that predicts the rate itself, such as an ODE.
    """

    rate: Source

    def __init__(self, rate: Any = predicted()):
        self.rate = source(rate, "Poisson: rate", constraints.positive, "positive")

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The rate, of which the kernel takes the logarithm."""
        return (Argument("Poisson: rate", self.rate, "log"),)

    @property
    def support(self) -> Support:
        """Counts."""
        return COUNTS

    def from_outputs(self, outputs: Outputs) -> dist.Poisson:
        """`Poisson(rate)`."""
        (log_rate,) = outputs
        return dist.Poisson(jnp.exp(log_rate))

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in the logarithm of the rate."""
        return poisson_nll(*outputs, y)

    def information(self, outputs: Outputs) -> Array:
        """`rate` for the log-rate."""
        return diagonal(jnp.exp(outputs[0]))

    def curvature(self, outputs: Outputs, y: Array) -> Array:
        """The mean of count and rate: shorter steps where the rate is far too small."""
        return diagonal(0.5 * (jnp.exp(outputs[0]) + y))


def _common(log_rate: Array, y: Array) -> tuple[Array]:
    """How far the logarithm of the rate is above that of the count."""
    return (less_log(log_rate, jnp.where(y > 0, y, 1.0)),)


def _value(log_rate: Array, y: Array, shift: Array) -> Array:
    some = y > 0
    count = jnp.where(some, y, 1.0)
    deviance = count * exp_excess(shift)
    constant = 0.5 * (jnp.log(count) + math.log(2 * math.pi)) + binet(count)
    return jnp.where(some, deviance + constant, jnp.exp(log_rate))


def _partials(log_rate: Array, y: Array, shift: Array) -> tuple[Array]:
    return (jnp.where(y > 0, y * jnp.expm1(shift), jnp.exp(log_rate)),)


poisson_nll = exact(_value, _partials, _common)
