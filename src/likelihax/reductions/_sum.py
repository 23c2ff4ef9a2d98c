"""The sum."""

from typing import final

import jax.numpy as jnp
from jaxtyping import Array

from ._reduction import AbstractReduction, weighted_sum


@final
class Sum(AbstractReduction):
    """`sum_i w_i l_i`: of NLLs, the NLL of all values together."""

    def num_averaged(self, weights: Array) -> Array:
        """1."""
        return jnp.ones((), weights.dtype)

    def reduce(self, losses: Array, weights: Array) -> Array:
        """The weighted sum."""
        return weighted_sum(losses, weights)
