"""The prediction is the logarithm of a hazard."""

from typing import final

import jax.numpy as jnp
from jaxtyping import Array

from .._special._elementary import log1mexp
from ._link import AbstractLink, safe_log


@final
class ComplementaryLogLog(AbstractLink):
    """The prediction is `log(-log(1 - p))`: `p` is the chance of at least one Poisson event."""

    def link(self, value: Array) -> Array:
        """`log(-log(1 - p))`."""
        return safe_log(-safe_log(1 - value))

    def inverse(self, prediction: Array) -> Array:
        """`1 - exp(-exp(prediction))`."""
        return -jnp.expm1(-jnp.exp(prediction))

    def log(self, prediction: Array) -> Array:
        """The logarithm of that."""
        return log1mexp(jnp.exp(prediction))

    def logit(self, prediction: Array) -> Array:
        """Its logit."""
        hazard = jnp.exp(prediction)
        return log1mexp(hazard) + hazard
