"""A table for regression."""

from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array, ArrayLike, Bool, DTypeLike, Float, PyTree

from ._checks import (
    as_values,
    check_input,
    dtype_of,
    fill_missing,
    floating,
    observable_names,
)
from ._data import AbstractData


@final
class Dataset(AbstractData):
    """A table for regression: each row of `values` was measured at one row of `inputs`.

    **Arguments:**

    - `inputs`: any pytree of arrays whose first axis counts the rows. Floating arrays keep
        the dtype of `values` or raise.
    - `values`: what was measured, shape `(rows,)` or `(rows, observables)`; NaN marks a
        value that is missing. Integers and bools become floats, exactly or not at all.
    - `name`: how messages call this table.
    - `observables`: a name for each column of `values`.
    - `dtype`: the floating dtype of the values; by default the one they have.
    - `bounds`: whether the last axis holds a lower and an upper bound, for `IntervalCensored`;
        these may be infinite.

    Raises `ValueError` where the numbers of rows differ, everything is missing, or an array
    has another dtype than was asked for.
    """

    inputs: PyTree
    values: Float[Array, "rows *observables"]
    observed: Bool[Array, "rows *observables"]
    name: str = eqx.field(static=True)
    observables: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self,
        inputs: PyTree,
        values: ArrayLike | Sequence[Any],
        *,
        name: str = "dataset",
        observables: Sequence[str] | None = None,
        dtype: DTypeLike | None = None,
        bounds: bool = False,
    ):
        asked = floating(dtype_of(values) if dtype is None else dtype)
        what = as_values(values, asked, f"{name}: values")
        if what.ndim not in (1, 2):
            raise ValueError(
                f"{name}: values of shape {what.shape}: they must be (rows,) or "
                "(rows, observables)."
            )
        if bounds and what.shape[1:] != (2,):
            raise ValueError(f"{name}: values of shape {what.shape}: bounds must be (rows, 2).")
        self.inputs = jtu.tree_map(jnp.asarray, inputs)
        for path, leaf in jtu.tree_leaves_with_path(self.inputs):
            check_input(leaf, what, asked, f"{name}: inputs{jtu.keystr(path)}")
        self.values, self.observed = fill_missing(what, name, bounds)
        self.name = name
        self.observables = observable_names(observables, what, name)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The inputs, as one argument."""
        return (self.inputs,)
