"""Data as they might have been, drawn from what a fitted predictor says."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._parameters import resolve
from .._predictor import Predictor
from ..data import AbstractData
from ..objectives import AbstractObjective
from ._drawn_values import drawn_values


@eqx.filter_jit
def simulated_values(
    objective: AbstractObjective, predictor: Predictor, data: AbstractData, key: Array, num: int
) -> Array:
    """So many draws of all values, `(num, *values.shape)`; also where nothing was measured.

    One key a data set: the first ones are the same however many there are.
    """
    known = resolve(predictor)
    # Solved once: what is solved does not depend on the key.
    one = lambda i: drawn_values(objective, known, data, jax.random.fold_in(key, i), again=False)
    return jax.vmap(one)(jnp.arange(num))
