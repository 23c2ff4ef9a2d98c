"""Von Mises scatter: angles."""

import math
from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from .._special._bessel import bessel_deficit, log_bessel
from ._argument import Argument, Source, predicted, source
from ._kernel import exact
from ._likelihood import AbstractRegularLikelihood, Outputs, diagonal
from ._support import ANGLES, Support


@final
class VonMises(AbstractRegularLikelihood):
    r"""`y ~ VonMises(loc, concentration)`: angles in radians, the same after every full turn.

    $$-\log p = 2\kappa\sin^2\tfrac{y-\mu}2 + \log 2\pi + \log I_0(\kappa)e^{-\kappa},$$

    (K. V. Mardia and P. E. Jupp 2000, "Directional statistics", section 3.5.4).

    **Arguments:**

    - `concentration`: `kappa`; where large, one over the variance.
    - `loc`: the mean direction; by default the model predicts it, any number of turns off.
    """

    loc: Source
    concentration: Source

    def __init__(self, concentration: Any, loc: Any = predicted()):
        self.loc = source(loc, "VonMises: loc", constraints.real, "real")
        self.concentration = source(
            concentration, "VonMises: concentration", constraints.positive, "positive"
        )

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Direction and concentration; the kernel takes the logarithm of the second."""
        return (
            Argument("VonMises: loc", self.loc, "identity"),
            Argument("VonMises: concentration", self.concentration, "log"),
        )

    @property
    def support(self) -> Support:
        """Angles."""
        return ANGLES

    def from_outputs(self, outputs: Outputs) -> dist.VonMises:
        """`VonMises(loc, concentration)`."""
        loc, log_concentration = outputs
        return dist.VonMises(loc, jnp.exp(log_concentration))

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in the direction and the logarithm of the concentration."""
        return von_mises_nll(*outputs, y)

    def information(self, outputs: Outputs) -> Array:
        """`kappa A` for the direction, `kappa^2 A'` for the log-concentration, `A = I1 / I0`."""
        kappa = jnp.exp(outputs[1])
        short = bessel_deficit(kappa)
        slope = short * (2 - short) - (1 - short) / kappa
        return diagonal(kappa * (1 - short), kappa**2 * slope)


def _half_angle(loc: Array, y: Array) -> tuple[Array, Array]:
    """Sine and cosine of half the difference, whose own rounding is put back."""
    away = y - loc
    from_y = away + loc
    lost = (y - from_y) - (loc - (from_y - away))
    sine, cosine = jnp.sin(0.5 * away), jnp.cos(0.5 * away)
    return sine + 0.5 * lost * cosine, cosine - 0.5 * lost * sine


def _value(loc: Array, log_concentration: Array, y: Array) -> Array:
    sine, _ = _half_angle(loc, y)
    kappa = jnp.exp(log_concentration)
    return 2 * kappa * sine * sine + (math.log(2 * math.pi) + log_bessel(kappa))


def _partials(loc: Array, log_concentration: Array, y: Array) -> tuple[Array, Array, Array]:
    sine, cosine = _half_angle(loc, y)
    kappa = jnp.exp(log_concentration)
    pull = 2 * kappa * sine * cosine
    return -pull, kappa * (2 * sine * sine - bessel_deficit(kappa)), pull


von_mises_nll = exact(_value, _partials)
