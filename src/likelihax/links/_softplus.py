"""The prediction is what is left of a parameter above its least value, rounded off."""

import math
from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from .._special._elementary import log1mexp, softplus
from ._link import AbstractLink, where_valid


@final
class Softplus(AbstractLink):
    """The parameter is `least + log(1 + exp(prediction))`: above `least`, and straight far above.

    For parameters that networks predict and that must not explode, as an exponential may.
    Raises `ValueError` unless `least` is 0 or more and finite.
    """

    least: float = eqx.field(static=True, default=0.0)

    def __check_init__(self) -> None:
        if not (self.least >= 0 and math.isfinite(self.least)):
            raise ValueError(f"Softplus: least must be 0 or more and finite, got {self.least}.")

    def link(self, value: Array) -> Array:
        """`log(exp(value - least) - 1)`; minus infinity at `least` and NaN below."""
        above = value - self.least
        inside = where_valid(above > 0, above, 1.0)
        edge = jnp.where(above == 0, -jnp.inf, jnp.nan).astype(inside.dtype)
        return jnp.where(above > 0, inside + log1mexp(inside), edge)

    def inverse(self, prediction: Array) -> Array:
        """`least + log(1 + exp(prediction))`."""
        return self.least + softplus(prediction)

    def log(self, prediction: Array) -> Array:
        """The logarithm of that, also where it is too small for a float."""
        if self.least > 0:
            return jnp.log(self.inverse(prediction))
        # log(softplus(x)) is x - exp(x) / 2 far below.
        rare = prediction < -20
        near = jnp.where(rare, 0.0, prediction)
        far = jnp.where(rare, prediction, 0.0)
        return jnp.where(rare, far - 0.5 * jnp.exp(far), jnp.log(softplus(near)))

    def logit(self, prediction: Array) -> Array:
        """The logit; NaN unless the parameter is below one."""
        if self.least >= 1:
            return jnp.full_like(prediction, jnp.nan)
        left = 1 - self.least
        at_one = math.log(math.expm1(left))
        below = prediction < at_one
        x = where_valid(below, prediction, at_one - 1.0)
        # One less the parameter, without the digits that this would cost near one.
        rest = -jnp.log1p(-math.expm1(-left) * jnp.expm1(x - at_one))
        return jnp.where(below, self.log(x) - jnp.log(rest), jnp.nan)
