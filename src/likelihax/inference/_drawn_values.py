"""What would be measured, given a predictor and how what it predicts scatters."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._parameters import nodes_of, resolve
from ..data import AbstractData
from ..objectives import AbstractObjective, GroupNLL
from ..objectives._objective import varied


def drawn_values(
    objective: AbstractObjective, predictor: Any, data: AbstractData, key: Array, *, again: bool
) -> Array:
    """A draw of all values, also where nothing was measured.

    Where the objective has noise that is hidden in groups, each group's is drawn first: from what
    is known of it once it was measured, so that the same ones are measured `again`; or that of new
    ones, from what all have in common.
    """
    groups = nodes_of(GroupNLL, objective)
    if not groups:
        found: Array = predictor.predictive(data).sample(key)
        return found
    noise = resolve(groups[0]).hidden(resolve(varied(predictor, data)), data)
    known = noise.posterior(data.values, data.observed) if again else noise.prior
    of_hidden, of_values = jax.random.split(key)
    drawn: Array = noise.given(known.sample(of_hidden)).sample(of_values)
    return jnp.where(noise.lost, jnp.nan, drawn)
