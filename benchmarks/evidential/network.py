"""The network of the papers: one hidden layer."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


class Network(eqx.Module):
    """From rows of features to `outputs` numbers each, through a layer of softplus units.

    The first output is what is expected; its weights are the last layer that `last_layer` asks
    for. The others start at what `others` says, everywhere alike.
    """

    hidden: Array
    bias: Array
    expected: Array
    rest: Array
    shift: Array

    def __init__(self, inputs: int, width: int, others: list[float], *, key: Array):
        first, second, third = jax.random.split(key, 3)
        self.hidden = jax.random.normal(first, (inputs, width)) * 1.5 / np.sqrt(inputs)
        self.bias = jax.random.normal(second, (width,))
        self.expected = jax.random.normal(third, (width, 1)) / np.sqrt(width)
        self.rest = jnp.zeros((width, len(others)))
        self.shift = jnp.asarray([0.0, *others])

    def features(self, rows: Array) -> Array:
        """The hidden layer: zero at zero, so that a sum of many starts near it."""
        return jax.nn.softplus(rows @ self.hidden + self.bias[None]) - np.log(2.0)

    def __call__(self, rows: Array) -> Array:
        features = self.features(rows)
        weights = jnp.concatenate([self.expected, self.rest], axis=1)
        found = features @ weights + self.shift[None]
        return found[:, 0] if found.shape[1] == 1 else found
