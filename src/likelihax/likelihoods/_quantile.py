"""Asymmetric Laplace scatter: quantile regression."""

import math
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from ._argument import Argument, Source, predicted, source
from ._cumulative import AbstractCumulative
from ._kernel import exact
from ._likelihood import AbstractRegularLikelihood, Outputs, diagonal
from ._support import REAL, Support

# The power of the rounding error: 4e-10 in float64, 7e-5 in float32.
_KINK = 0.6


@final
class Quantile(AbstractRegularLikelihood, AbstractCumulative):
    r"""`y ~ AsymmetricLaplace`: the location that fits best is the quantile at `level`.

    $$-\log p = \rho_\tau(y-q)/b + \log b - \log\tau(1-\tau),\qquad
    \rho_\tau(d) = d\,(\tau - [d<0]),$$

    the check function of R. Koenker and G. Bassett (1978, "Regression quantiles",
    Econometrica 46); the density is K. Yu and R. A. Moyeed's (2001, Stat. Probab. Lett. 54).

    **Arguments:**

    - `level`: which quantile, between 0 and 1: 0.5 is the median, 0.9 is exceeded by a tenth.
    - `scale`: `b`, in the units of `y`. It has no bearing on which location fits best.
    - `loc`: the quantile; by default the model predicts it.
    """

    loc: Source
    scale: Source
    level: float = eqx.field(static=True)

    def __init__(self, level: float, scale: Any = 1.0, loc: Any = predicted()):
        if not 0 < level < 1:
            raise ValueError(f"Quantile: level must be between 0 and 1, got {level}.")
        self.level = float(level)
        self.loc = source(loc, "Quantile: loc", constraints.real, "real")
        self.scale = source(scale, "Quantile: scale", constraints.positive, "positive")

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Location and scale; the kernel takes the logarithm of the scale."""
        return (
            Argument("Quantile: loc", self.loc, "identity"),
            Argument("Quantile: scale", self.scale, "log"),
        )

    @property
    def support(self) -> Support:
        """The real line."""
        return REAL

    def from_outputs(self, outputs: Outputs) -> dist.AsymmetricLaplaceQuantile:
        """`AsymmetricLaplaceQuantile(loc, scale, level)`."""
        loc, log_scale = outputs
        return dist.AsymmetricLaplaceQuantile(loc, jnp.exp(log_scale), self.level)

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in location and log-scale."""
        loc, log_scale = outputs
        return quantile_nll(loc, log_scale, y, jnp.full_like(y, self.level))

    def log_cdf(self, outputs: Outputs, y: Array) -> Array:
        """`log F(y)`: `level` at the location."""
        loc, log_scale = outputs
        return _log_tail((y - loc) * jnp.exp(-log_scale), self.level)

    def log_survival(self, outputs: Outputs, y: Array) -> Array:
        """`log(1 - F(y))`, the mirror image at the level `1 - level`."""
        loc, log_scale = outputs
        return _log_tail((loc - y) * jnp.exp(-log_scale), 1 - self.level)

    @property
    def majorises(self) -> bool:
        """True: the kink is made a parabola."""
        return True

    def information(self, outputs: Outputs) -> Array:
        """`level (1 - level) / scale^2` for the location and 1 for the log-scale."""
        _, log_scale = outputs
        spread = self.level * (1 - self.level)
        return diagonal(spread * jnp.exp(-2 * log_scale), jnp.ones_like(log_scale))

    def curvature(self, outputs: Outputs, y: Array) -> Array:
        """That of the parabola through the check function that lies above it everywhere.

        The kink has no curvature of its own, so a step minimises the parabola (D. R. Hunter and
        K. Lange 2000, "Quantile regression via an MM algorithm", J. Comput. Graph. Stat. 9).
        """
        loc, log_scale = outputs
        scale = jnp.exp(log_scale)
        away = jnp.abs(y - loc)
        loss = _slope(y - loc, jnp.full_like(y, self.level)) * (y - loc) / scale
        return diagonal(0.5 / (scale * jnp.maximum(away, kink(y) * scale)), 0.5 + 0.5 * loss)


def _slope(away: Array, level: Array) -> Array:
    return jnp.where(away < 0, level - 1, jnp.where(away > 0, level, 0.0))


def _value(loc: Array, log_scale: Array, y: Array, level: Array) -> Array:
    away = y - loc
    loss = _slope(away, level) * away * jnp.exp(-log_scale)
    return loss + log_scale - jnp.log(level) - jnp.log1p(-level)


def _partials(loc: Array, log_scale: Array, y: Array, level: Array) -> tuple[Array, ...]:
    per_scale = jnp.exp(-log_scale)
    away = y - loc
    pull = _slope(away, level) * per_scale
    return -pull, 1 - pull * away, pull


quantile_nll = exact(_value, _partials)


def _log_tail(standard: Array, level: float) -> Array:
    lower = standard < 0
    below = (1 - level) * standard + math.log(level)
    # Not the larger of it and zero: where they are equal that has half a derivative.
    above = jnp.log1p((level - 1) * jnp.exp(-level * jnp.where(lower, 0.0, standard)))
    return jnp.where(lower, below, above)


def kink(y: Array) -> float:
    """How near to the prediction, as a share of the scale, a kink counts as rounded off."""
    return float(jnp.finfo(y.dtype).eps) ** _KINK
