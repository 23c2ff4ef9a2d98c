"""Random keys, checked before anything is drawn with them."""

from typing import Any

import jax
import jax.numpy as jnp


def check_key(key: Any, who: str) -> None:
    """Raises `ValueError` unless it is one JAX random key, of the new kind or the old."""
    is_new = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    is_old = isinstance(key, jax.Array) and key.dtype == jnp.uint32 and key.ndim == 1
    if not (is_old or (is_new and key.shape == ())):
        raise ValueError(f"{who}: {key!r} is no JAX random key: give key=jax.random.key(0).")
