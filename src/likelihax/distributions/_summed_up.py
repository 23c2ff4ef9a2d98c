"""What Normal values are to whoever knows neither their mean nor their variance."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike


def summed_up(values: ArrayLike, axis: int, owner: str) -> tuple[Array, Array, Array]:
    """How many values along an axis, their mean, and the sum of squared distances from it.

    Raises `ValueError` where there is no axis, or nothing along it.
    """
    values = jnp.asarray(values)
    if values.ndim == 0:
        raise ValueError(
            f"{owner}: values is a single number: give an array, its axis {axis} the values that "
            "were seen."
        )
    count = values.shape[axis]
    if count == 0:
        raise ValueError(f"{owner}: there are no values along that axis.")
    centre = jnp.mean(values, axis=axis)
    scatter = jnp.sum((values - jnp.expand_dims(centre, axis)) ** 2, axis=axis)
    return jnp.asarray(count, centre.dtype), centre, scatter
