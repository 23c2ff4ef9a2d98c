"""Which rows are left out together, and data without them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..data import AbstractData


def folds_of(
    who: str,
    data: AbstractData,
    num_folds: int,
    folds: Any,
    key: Array | None,
    *,
    kept: bool = False,
) -> np.ndarray:
    """The fold of each row, drawn with `key` or given; with `kept`, -1 is none and one may do.

    Raises `ValueError` where they cannot be right, with the name of the function that asks.
    """
    rows = data.values.shape[0]
    found = _drawn(who, rows, num_folds, key) if folds is None else np.asarray(folds)
    whole = np.issubdtype(found.dtype, np.integer) and found.shape == (rows,)
    numbers = {int(i) for i in np.unique(found)} - ({-1} if kept else set()) if whole else set()
    if len(numbers) < (1 if kept else 2) or numbers != set(range(len(numbers))):
        least = "one of them; -1 for rows that are always fitted" if kept else "two of them"
        raise ValueError(
            f"{who}: folds must be one whole number for each of {rows} rows, from 0 without gaps, "
            f"and at least {least}."
        )
    measured = np.atleast_1d(np.any(np.asarray(data.observed).reshape(rows, -1), axis=1))
    for fold in sorted(numbers):
        if not measured[found == fold].any() or not measured[found != fold].any():
            raise ValueError(f"{who}: nothing was measured in fold {fold}, or but in it.")
    return found


def without(data: AbstractData, rows: np.ndarray) -> AbstractData:
    """The data with some rows marked as missing: all shapes stay, so nothing is compiled anew."""
    shape = (-1,) + (1,) * (data.observed.ndim - 1)
    kept = data.observed & ~jnp.asarray(rows).reshape(shape)
    left: AbstractData = eqx.tree_at(lambda d: d.observed, data, kept)
    return left


def _drawn(who: str, rows: int, num_folds: int, key: Array | None) -> np.ndarray:
    if key is None:
        raise ValueError(
            f"{who}: the folds are drawn at random: give key=jax.random.key(0), or folds."
        )
    if not 2 <= num_folds <= rows:
        raise ValueError(f"{who}: {num_folds} folds of {rows} rows: 2 or more of them.")
    order = np.asarray(jax.random.permutation(key, rows))
    found = np.empty(rows, int)
    found[order] = np.arange(rows) % num_folds
    return found
