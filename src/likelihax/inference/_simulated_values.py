"""Data as they might have been, drawn from what a predictor says."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._parameters import resolve
from .._predictor import Predictor
from ..data import AbstractData


@eqx.filter_jit
def simulated_values(predictor: Predictor, data: AbstractData, key: Array, num: int) -> Array:
    """So many draws of all values, `(num, *values.shape)`; also where nothing was measured.

    One key a data set: the first ones are the same however many there are.
    """
    distribution = resolve(predictor).predictive(data)
    return jax.vmap(lambda i: distribution.sample(jax.random.fold_in(key, i)))(jnp.arange(num))
