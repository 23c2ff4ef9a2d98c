"""Laplace scatter: least absolute deviations."""

import math
from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from ._argument import Argument, Source, predicted, source
from ._cumulative import AbstractCumulative
from ._kernel import exact
from ._likelihood import AbstractRegularLikelihood, Outputs, diagonal
from ._quantile import kink
from ._support import REAL, Support


@final
class Laplace(AbstractRegularLikelihood, AbstractCumulative):
    r"""`y ~ Laplace(loc, scale)`: the loss is the absolute deviation.

    $$-\log p = |y-\mu|/b + \log 2b.$$

    **Arguments:**

    - `scale`: the mean absolute deviation `b`, in the units of `y`.
    - `loc`: the median; by default the model predicts it.
    """

    loc: Source
    scale: Source

    def __init__(self, scale: Any, loc: Any = predicted()):
        self.loc = source(loc, "Laplace: loc", constraints.real, "real")
        self.scale = source(scale, "Laplace: scale", constraints.positive, "positive")

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Location and scale; the kernel takes the logarithm of the scale."""
        return (
            Argument("Laplace: loc", self.loc, "identity"),
            Argument("Laplace: scale", self.scale, "log"),
        )

    @property
    def support(self) -> Support:
        """The real line."""
        return REAL

    def from_outputs(self, outputs: Outputs) -> dist.Laplace:
        """`Laplace(loc, scale)`."""
        loc, log_scale = outputs
        return dist.Laplace(loc, jnp.exp(log_scale))

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in location and log-scale."""
        return laplace_nll(*outputs, y)

    def log_cdf(self, outputs: Outputs, y: Array) -> Array:
        """`log F(y)`: exponential below the location, one less an exponential above."""
        loc, log_scale = outputs
        return _log_tail((y - loc) * jnp.exp(-log_scale))

    def log_survival(self, outputs: Outputs, y: Array) -> Array:
        """`log(1 - F(y))`, the mirror image."""
        loc, log_scale = outputs
        return _log_tail((loc - y) * jnp.exp(-log_scale))

    @property
    def majorises(self) -> bool:
        """True: the kink is made a parabola."""
        return True

    def information(self, outputs: Outputs) -> Array:
        """`1 / scale^2` for the location and 1 for the log-scale."""
        _, log_scale = outputs
        return diagonal(jnp.exp(-2 * log_scale), jnp.ones_like(log_scale))

    def curvature(self, outputs: Outputs, y: Array) -> Array:
        """That of the parabola through the absolute value that lies above it everywhere.

        The kink has no curvature of its own, so a step minimises the parabola (D. R. Hunter and
        K. Lange 2000, "Quantile regression via an MM algorithm", J. Comput. Graph. Stat. 9).
        """
        loc, log_scale = outputs
        scale = jnp.exp(log_scale)
        away = jnp.abs(y - loc)
        return diagonal(1 / (scale * jnp.maximum(away, kink(y) * scale)), 0.5 + 0.5 * away / scale)


def _value(loc: Array, log_scale: Array, y: Array) -> Array:
    return jnp.abs(y - loc) * jnp.exp(-log_scale) + log_scale + math.log(2)


def _partials(loc: Array, log_scale: Array, y: Array) -> tuple[Array, Array, Array]:
    per_scale = jnp.exp(-log_scale)
    pull = jnp.sign(y - loc) * per_scale
    return -pull, 1 - jnp.abs(y - loc) * per_scale, pull


laplace_nll = exact(_value, _partials)


def _log_tail(standard: Array) -> Array:
    # Not the larger of it and zero: where they are equal that has half a derivative.
    above = jnp.where(standard < 0, 0.0, standard)
    return jnp.where(standard < 0, standard - math.log(2), jnp.log1p(-0.5 * jnp.exp(-above)))
