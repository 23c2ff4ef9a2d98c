"""The prediction is the Normal quantile of a probability."""

from typing import final

import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array

from .._special._gaussian import log_ndtr
from ._link import AbstractLink


@final
class Probit(AbstractLink):
    """The prediction is the standard Normal quantile of a parameter between 0 and 1."""

    def link(self, value: Array) -> Array:
        """The standard Normal quantile."""
        return ndtri(value)

    def inverse(self, prediction: Array) -> Array:
        """The standard Normal cumulative distribution."""
        return jnp.exp(log_ndtr(prediction))

    def log(self, prediction: Array) -> Array:
        """The logarithm of that, in both tails."""
        return log_ndtr(prediction)

    def logit(self, prediction: Array) -> Array:
        """Its logit, in both tails."""
        return log_ndtr(prediction) - log_ndtr(-prediction)
