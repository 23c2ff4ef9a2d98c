"""The prediction is the parameter's reciprocal."""

from typing import final

import jax.numpy as jnp
from jaxtyping import Array

from ._link import AbstractLink, safe_log, where_valid


@final
class Inverse(AbstractLink):
    """The prediction is one over the parameter: the canonical link of the Gamma family."""

    def link(self, value: Array) -> Array:
        """`1 / value`."""
        return self.inverse(value)

    def inverse(self, prediction: Array) -> Array:
        """`1 / prediction`; NaN at zero."""
        valid = prediction != 0
        return jnp.where(valid, 1 / where_valid(valid, prediction, 1.0), jnp.nan)

    def log(self, prediction: Array) -> Array:
        """`-log(prediction)`; NaN where it is negative."""
        return -safe_log(prediction)

    def logit(self, prediction: Array) -> Array:
        """The logit of `1 / prediction`; NaN unless that is between 0 and 1."""
        return -safe_log(prediction - 1)
