"""The prediction is the logarithm of a hazard."""

from typing import final

import jax.numpy as jnp
from jaxtyping import Array

from .._special._elementary import log1mexp
from ._link import AbstractLink, where_valid


@final
class ComplementaryLogLog(AbstractLink):
    """The prediction is `log(-log(1 - p))`: `p` is the chance of at least one Poisson event."""

    def link(self, value: Array) -> Array:
        """`log(-log(1 - p))`."""
        inside = (value > 0) & (value < 1)
        hazard = -jnp.log1p(-where_valid(inside, value, 0.5))
        edge = jnp.where(value == 0, -jnp.inf, jnp.where(value == 1, jnp.inf, jnp.nan))
        return jnp.where(inside, jnp.log(hazard), edge.astype(hazard.dtype))

    def inverse(self, prediction: Array) -> Array:
        """`1 - exp(-exp(prediction))`."""
        return -jnp.expm1(-jnp.exp(prediction))

    def log(self, prediction: Array) -> Array:
        """The logarithm of that."""
        # Where the hazard is a probability but for half of itself, it may underflow.
        hazard, rare = jnp.exp(prediction), prediction < -20
        return jnp.where(rare, prediction - 0.5 * hazard, log1mexp(jnp.where(rare, 1.0, hazard)))

    def logit(self, prediction: Array) -> Array:
        """Its logit."""
        return self.log(prediction) + jnp.exp(prediction)
