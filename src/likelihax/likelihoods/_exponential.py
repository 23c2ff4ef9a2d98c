"""Exponential scatter: waiting times without memory."""

from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from .._special._elementary import log1mexp
from ._argument import Argument, Source, predicted, source
from ._cumulative import AbstractCumulative
from ._kernel import exact
from ._likelihood import AbstractRegularLikelihood, Outputs, diagonal
from ._support import NONNEGATIVE, Support


@final
class Exponential(AbstractRegularLikelihood, AbstractCumulative):
    r"""`y ~ Exponential` of a given mean.

    $$-\log p = y/\mu + \log\mu.$$

    **Arguments:**

    - `mean`: in the units of `y`; by default the model predicts its logarithm. A rate is
        `predicted("inverse")`.
    """

    mean: Source

    def __init__(self, mean: Any = predicted()):
        self.mean = source(mean, "Exponential: mean", constraints.positive, "positive")

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The mean, of which the kernel takes the logarithm."""
        return (Argument("Exponential: mean", self.mean, "log"),)

    @property
    def support(self) -> Support:
        """The numbers from zero up."""
        return NONNEGATIVE

    def from_outputs(self, outputs: Outputs) -> dist.Exponential:
        """`Exponential(1 / mean)`."""
        (log_mean,) = outputs
        return dist.Exponential(jnp.exp(-log_mean))

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in the logarithm of the mean."""
        return exponential_nll(*outputs, y)

    def log_cdf(self, outputs: Outputs, y: Array) -> Array:
        """`log(1 - exp(-y / mean))`; minus infinity where `y` is not positive."""
        (log_mean,) = outputs
        some = jnp.where(y > 0, y, 1.0)
        return jnp.where(y > 0, log1mexp(some * jnp.exp(-log_mean)), -jnp.inf)

    def log_survival(self, outputs: Outputs, y: Array) -> Array:
        """`-y / mean`; zero where `y` is not positive."""
        (log_mean,) = outputs
        return -jnp.maximum(y, 0.0) * jnp.exp(-log_mean)

    def log_between(self, outputs: Outputs, low: Array, high: Array) -> Array:
        """`log(1 - exp(-(b - a) / mean)) - a / mean`, for `a` not below zero."""
        (log_mean,) = outputs
        rate, start = jnp.exp(-log_mean), jnp.maximum(low, 0.0)
        some = high > start
        width = jnp.where(some, (high - start) * rate, 1.0)
        return jnp.where(some, log1mexp(width) - start * rate, -jnp.inf)

    def information(self, outputs: Outputs) -> Array:
        """1 for the log-mean."""
        return diagonal(jnp.ones_like(outputs[0]))

    def curvature(self, outputs: Outputs, y: Array) -> Array:
        """The mean of observed and expected: shorter steps where the mean is far too small."""
        (log_mean,) = outputs
        return diagonal(0.5 + 0.5 * y * jnp.exp(-log_mean))


def _value(log_mean: Array, y: Array) -> Array:
    return y * jnp.exp(-log_mean) + log_mean


def _partials(log_mean: Array, y: Array) -> tuple[Array, Array]:
    rate = jnp.exp(-log_mean)
    return 1 - y * rate, rate


exponential_nll = exact(_value, _partials)
