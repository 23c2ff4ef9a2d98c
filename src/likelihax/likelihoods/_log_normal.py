"""Multiplicative scatter: the logarithm of the value is Normal about the prediction's."""

from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from .._special._compensated import less_log
from .._special._gaussian import log_ndtr
from ._argument import Argument, Source, predicted, source
from ._cumulative import AbstractCumulative
from ._likelihood import AbstractRegularLikelihood, Outputs
from ._normal import normal_curvature, normal_information, normal_nll
from ._support import POSITIVE, Support


@final
class LogNormal(AbstractRegularLikelihood, AbstractCumulative):
    r"""`log y ~ Normal(log median, sigma)`.

    $$-\log p = \tfrac12 r^2 + \log\sigma + \log y + \tfrac12\log 2\pi,\qquad
    r = (\log y-\log m)/\sigma.$$

    **Arguments:**

    - `sigma`: a relative error (0.1 is about 10 %): known, fitted or predicted, by default as
        its logarithm.
    - `median`: the median of `y`; by default the model predicts it, as it is. Give
        `predicted("log")` for a model that predicts its logarithm. A median that is not
        positive has an infinite NLL.
    """

    median: Source
    sigma: Source

    def __init__(self, sigma: Any, median: Any = predicted("identity")):
        self.median = source(median, "LogNormal: median", constraints.positive, "positive")
        self.sigma = source(sigma, "LogNormal: sigma", constraints.positive, "positive")

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Median and sigma; the kernel takes the logarithms of both."""
        return (
            Argument("LogNormal: median", self.median, "log"),
            Argument("LogNormal: sigma", self.sigma, "log"),
        )

    @property
    def support(self) -> Support:
        """The positive numbers."""
        return POSITIVE

    def from_outputs(self, outputs: Outputs) -> dist.LogNormal:
        """`LogNormal(log median, sigma)`."""
        loc, log_scale = outputs
        return dist.LogNormal(loc, jnp.exp(log_scale))

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in the location and log-scale of `log y`."""
        loc, log_scale = outputs
        # The difference of the logarithms, to more digits than either has.
        return normal_nll(less_log(loc, y), log_scale, jnp.zeros_like(y)) + jnp.log(y)

    def log_cdf(self, outputs: Outputs, y: Array) -> Array:
        """`log Phi(r)`; minus infinity where `y` is not positive."""
        return jnp.where(y > 0, log_ndtr(_standard(outputs, y)), -jnp.inf)

    def log_survival(self, outputs: Outputs, y: Array) -> Array:
        """`log Phi(-r)`; zero where `y` is not positive."""
        return jnp.where(y > 0, log_ndtr(-_standard(outputs, y)), 0.0)

    def information(self, outputs: Outputs) -> Array:
        """`1 / sigma^2` for the location and 2 for the log-scale."""
        return normal_information(outputs)

    def curvature(self, outputs: Outputs, y: Array) -> Array:
        """`1 / sigma^2` for the location and `1 + r^2` for the log-scale."""
        return normal_curvature(outputs, jnp.log(y))


def _standard(outputs: Outputs, y: Array) -> Array:
    loc, log_scale = outputs
    return -less_log(loc, jnp.where(y > 0, y, 1.0)) * jnp.exp(-log_scale)
