"""The prediction is the parameter's square root."""

from typing import final

import jax.numpy as jnp
from jaxtyping import Array

from ._link import AbstractLink, safe_log, where_valid


@final
class Sqrt(AbstractLink):
    """The prediction is the square root of the parameter, which is positive."""

    def link(self, value: Array) -> Array:
        """`sqrt(value)`; NaN where it is negative."""
        valid = value > 0
        root = jnp.sqrt(where_valid(valid, value, 1.0))
        return jnp.where(valid, root, jnp.where(value == 0, 0.0, jnp.nan).astype(root.dtype))

    def inverse(self, prediction: Array) -> Array:
        """`prediction^2`; NaN where it is negative, or there would be two predictions for one."""
        valid = prediction >= 0
        return jnp.where(valid, where_valid(valid, prediction, 1.0) ** 2, jnp.nan)

    def log(self, prediction: Array) -> Array:
        """`2 log(prediction)`; NaN where it is negative."""
        return 2 * safe_log(prediction)

    def logit(self, prediction: Array) -> Array:
        """The logit of `prediction^2`; NaN unless that is between 0 and 1."""
        valid = (prediction >= 0) & (prediction <= 1)
        # Its square may be next to nothing, or one less rounding.
        root = where_valid(valid, prediction, 0.5)
        return jnp.where(valid, 2 * safe_log(root) - safe_log(1 - root) - jnp.log1p(root), jnp.nan)
