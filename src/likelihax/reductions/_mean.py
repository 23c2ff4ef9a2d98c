"""The mean."""

from typing import final

import jax.numpy as jnp
from jaxtyping import Array

from ._reduction import AbstractReduction, weighted_sum


@final
class Mean(AbstractReduction):
    """`sum_i w_i l_i / sum_i w_i`.

    Of a minibatch drawn uniformly it is an unbiased estimate of that of all values, as long as all
    weights are the same.
    """

    def num_averaged(self, weights: Array) -> Array:
        """The sum of the weights."""
        return jnp.sum(weights)

    def reduce(self, losses: Array, weights: Array) -> Array:
        """The weighted mean."""
        return weighted_sum(losses, weights / jnp.sum(weights))
