"""The network of the papers: one hidden layer, its numbers in units of their prior."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import likelihax as lhx


class Network(eqx.Module):
    """From rows of features to `outputs` numbers each, through a layer of units.

    Each weight is divided by the root of how many there are, so that one is the natural size of all
    and one cost serves every set. The first column of `last` gives what is expected.
    """

    hidden: Array
    bias: Array
    last: Array
    shift: Array

    def features(self, rows: Array) -> Array:
        """The hidden layer, over the root of its width."""
        inputs, width = self.hidden.shape
        reached = rows @ self.hidden * (1 / math.sqrt(inputs)) + self.bias[None]
        return jax.nn.silu(reached) * (1 / math.sqrt(width))

    def __call__(self, rows: Array) -> Array:
        found = self.features(rows) @ self.last + self.shift[None]
        return found[:, 0] if found.shape[1] == 1 else found


def fresh(inputs: int, width: int, dtype: np.dtype, key: Array) -> Network:
    """A network for the expected value alone, drawn from the prior."""
    first, second, third = jax.random.split(key, 3)
    return Network(
        jax.random.normal(first, (inputs, width), dtype),
        jax.random.normal(second, (width,), dtype),
        jax.random.normal(third, (width, 1), dtype),
        jnp.zeros(1, dtype),
    )


def extended(network: Network, column: list[float], others: list[float]) -> Network:
    """The network with further outputs: where `column` is 1, as the first; elsewhere constant.

    `others` is what is added to each.
    """
    dtype = network.last.dtype
    copied = network.last[:, :1] * jnp.asarray(column, dtype)[None]
    shift = network.shift[:1] * jnp.asarray(column, dtype) + jnp.asarray(others, dtype)
    where = lambda n: (n.last, n.shift)
    return eqx.tree_at(where, network, (copied, shift))


def last(predictor: lhx.Predictor) -> Array:
    """The last layer's weights for what is expected, and for all else."""
    return predictor.model.last


def weights(predictor: lhx.Predictor) -> tuple[Array, ...]:
    """All that a prior is stated for: a shift may be anything."""
    network = predictor.model
    return network.hidden, network.bias, network.last
