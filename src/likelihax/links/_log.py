"""The prediction is the parameter's logarithm."""

from typing import final

import jax.numpy as jnp
from jaxtyping import Array

from .._special._elementary import log1mexp
from ._link import AbstractLink, safe_log, where_valid


@final
class Log(AbstractLink):
    """The prediction is the logarithm of the parameter, which is positive."""

    def link(self, value: Array) -> Array:
        """`log(value)`."""
        return safe_log(value)

    def inverse(self, prediction: Array) -> Array:
        """`exp(prediction)`."""
        return jnp.exp(prediction)

    def log(self, prediction: Array) -> Array:
        """The prediction."""
        return prediction

    def logit(self, prediction: Array) -> Array:
        """The logit of `exp(prediction)`; NaN unless that is below one."""
        below = prediction < 0
        eta = where_valid(below, prediction, -1.0)
        return jnp.where(below, eta - log1mexp(-eta), jnp.nan)
