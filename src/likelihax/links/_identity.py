"""The prediction is the parameter."""

from typing import final

import jax.numpy as jnp
from jaxtyping import Array

from ._link import AbstractLink, safe_log, where_valid


@final
class Identity(AbstractLink):
    """The prediction is the parameter itself, in its own units: an ODE's state, a formula."""

    def link(self, value: Array) -> Array:
        """The value."""
        return value

    def inverse(self, prediction: Array) -> Array:
        """The prediction."""
        return prediction

    def log(self, prediction: Array) -> Array:
        """`log(prediction)`; NaN where it is negative."""
        return safe_log(prediction)

    def logit(self, prediction: Array) -> Array:
        """`log(p / (1 - p))`; NaN unless `0 <= p <= 1`."""
        inside = (prediction > 0) & (prediction < 1)
        p = where_valid(inside, prediction, 0.5)
        edge = jnp.where(prediction == 0, -jnp.inf, jnp.where(prediction == 1, jnp.inf, jnp.nan))
        return jnp.where(inside, jnp.log(p) - jnp.log1p(-p), edge.astype(p.dtype))
