"""Measured data. Shapes, dtypes and missing values are checked once, here."""

import abc
from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, DTypeLike, Float, PyTree


class AbstractData(eqx.Module):
    """Measured values and what the model needs to predict them."""

    values: eqx.AbstractVar[Array]
    observed: eqx.AbstractVar[Array]
    name: eqx.AbstractVar[str]
    observables: eqx.AbstractVar[tuple[str, ...]]

    @property
    @abc.abstractmethod
    def arguments(self) -> tuple[Any, ...]:
        """What the model is called with."""

    @property
    def num_observed(self) -> int:
        """How many values were measured, missing ones left out."""
        return int(np.sum(np.asarray(self.observed)))


@final
class Experiment(AbstractData):
    """One experiment: values measured at increasing times.

    **Arguments:**

    - `times`: when it was measured, shape `(times,)`: finite, strictly increasing.
    - `values`: what was measured, shape `(times,)` or `(times, observables)`; NaN marks a
        value that is missing. Integers and bools become floats, exactly or not at all.
    - `inputs`: anything that the model takes besides time; any pytree, or `None`.
    - `name`: how messages call this experiment.
    - `observables`: a name for each column of `values`.
    - `dtype`: the floating dtype of times and values; float64 unless asked otherwise.

    Raises `ValueError` where times are unsorted, repeated or not finite, shapes do not
    match, everything is missing, or an array has another dtype than was asked for.
    """

    times: Float[Array, " times"]
    values: Float[Array, "times *observables"]
    observed: Bool[Array, "times *observables"]
    inputs: PyTree
    name: str = eqx.field(static=True)
    observables: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self,
        times: ArrayLike | Sequence[float],
        values: ArrayLike | Sequence[Any],
        inputs: PyTree = None,
        *,
        name: str = "experiment",
        observables: Sequence[str] | None = None,
        dtype: DTypeLike = np.float64,
    ):
        asked = _floating(dtype)
        when = _as_array(times, asked, f"{name}: times")
        what = _as_values(values, asked, f"{name}: values")
        _check_times(when, name)
        if what.ndim not in (1, 2) or what.shape[0] != when.shape[0]:
            raise ValueError(
                f"{name}: values of shape {what.shape} do not match times of shape {when.shape}: "
                "values must be (times,) or (times, observables), one row a time."
            )
        self.times = jnp.asarray(when)
        self.values, self.observed = _fill_missing(what, name)
        self.inputs = inputs
        self.name = name
        self.observables = _observable_names(observables, what, name)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The times, and the inputs where there are any."""
        return (self.times,) if self.inputs is None else (self.times, self.inputs)


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
        asked = _floating(_dtype_of(values) if dtype is None else dtype)
        what = _as_values(values, asked, f"{name}: values")
        if what.ndim not in (1, 2):
            raise ValueError(
                f"{name}: values of shape {what.shape}: they must be (rows,) or "
                "(rows, observables)."
            )
        if bounds and what.shape[1:] != (2,):
            raise ValueError(f"{name}: values of shape {what.shape}: bounds must be (rows, 2).")
        self.inputs = jtu.tree_map(jnp.asarray, inputs)
        for path, leaf in jtu.tree_leaves_with_path(self.inputs):
            _check_input(leaf, what, asked, f"{name}: inputs{jtu.keystr(path)}")
        self.values, self.observed = _fill_missing(what, name, bounds)
        self.name = name
        self.observables = _observable_names(observables, what, name)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The inputs, as one argument."""
        return (self.inputs,)


def _floating(dtype: Any) -> np.dtype:
    asked = np.dtype(dtype)
    if not jnp.issubdtype(asked, jnp.floating):
        raise ValueError(
            f"The dtype {asked} was asked for: measured values need a floating dtype; give "
            "dtype=float64, or convert with values.astype(float)."
        )
    if jax.dtypes.canonicalize_dtype(asked) != asked:
        raise ValueError(
            f"{asked} is asked for, but JAX is in 32-bit mode. Call "
            'jax.config.update("jax_enable_x64", True) before anything else, or give '
            "dtype=numpy.float32."
        )
    return asked


def _as_array(value: Any, asked: np.dtype, what: str) -> np.ndarray:
    # A list of Python numbers has no dtype to disagree with; an array has.
    has_dtype = hasattr(value, "dtype")
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(
            f"{what} are a masked array, whose mask would be lost: give .filled(numpy.nan), NaN "
            "being how missing values are marked here."
        )
    try:
        array = np.asarray(value) if has_dtype else np.asarray(value, dtype=asked)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}: not an array of numbers ({error}).") from error
    if array.dtype != asked:
        raise ValueError(
            f"{what} are {array.dtype} where {asked} is asked for: convert them yourself "
            f"(.astype({asked})), so that no digits are lost unseen, or give dtype={array.dtype} "
            "if that is a floating dtype."
        )
    return array


def _as_values(value: Any, asked: np.dtype, what: str) -> np.ndarray:
    # Counts, labels and yes-or-no are numbers too, as long as each has a float of its own.
    if _is_whole(value):
        whole = np.asarray(value)
        exact = whole.astype(asked)
        if not np.array_equal(exact.astype(object), whole.astype(object)):
            raise ValueError(f"{what} are {whole.dtype} and too large to be exact as {asked}.")
        return exact
    return _as_array(value, asked, what)


def _dtype_of(values: Any) -> Any:
    if _is_whole(values):
        return jnp.result_type(float)
    return getattr(values, "dtype", np.float64)


def _is_whole(values: Any) -> bool:
    dtype = getattr(values, "dtype", None)
    masked = isinstance(values, np.ma.MaskedArray)
    return dtype is not None and not masked and np.dtype(dtype).kind in "iub"


def _check_times(times: np.ndarray, name: str) -> None:
    if times.ndim != 1 or times.size == 0:
        raise ValueError(f"{name}: times of shape {times.shape}: a vector of times is needed.")
    bad = np.flatnonzero(~np.isfinite(times))
    if bad.size:
        raise ValueError(f"{name}: times[{bad[0]}] is {times[bad[0]]}: times must be finite.")
    bad = np.flatnonzero(np.diff(times) <= 0)
    if bad.size:
        i = int(bad[0])
        how = "repeats" if times[i] == times[i + 1] else "comes before"
        mend = "average repeated measurements" if how == "repeats" else "sort the rows by time"
        raise ValueError(
            f"{name}: times[{i + 1}] = {times[i + 1]} {how} times[{i}] = {times[i]}: times must "
            f"increase; {mend}, or put them in another observable (NaN where not measured)."
        )


def _check_input(leaf: Array, values: np.ndarray, asked: np.dtype, what: str) -> None:
    if leaf.ndim == 0 or leaf.shape[0] != values.shape[0]:
        raise ValueError(
            f"{what} has shape {leaf.shape}, values have shape {values.shape}: the first axis of "
            "both must count the same rows."
        )
    if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.dtype != asked:
        raise ValueError(
            f"{what} are {leaf.dtype} where the values are {asked}: convert one to the other."
        )
    if jnp.issubdtype(leaf.dtype, jnp.inexact) and not bool(jnp.all(jnp.isfinite(leaf))):
        raise ValueError(f"{what} has entries that are not finite: only values may be missing.")


def _fill_missing(
    values: np.ndarray, name: str, may_be_infinite: bool = False
) -> tuple[Array, Array]:
    """Masks missing values and puts a measured one in their place.

    The stand-in lies in the support of whatever likelihood the others have, so that the
    masked entries give finite derivatives.
    """
    infinite = np.argwhere(np.isinf(values))
    if infinite.size and not may_be_infinite:
        index = tuple(int(i) for i in infinite[0])
        raise ValueError(f"{name}: values{list(index)} is infinite; mark missing values by NaN.")
    observed = ~np.isnan(values)
    if not observed.any():
        raise ValueError(f"{name}: all {values.size} values are missing: nothing to fit.")
    rows = observed.all(axis=-1) if values.ndim > 1 else observed
    # A whole row where there is one: a vector's own entries belong together.
    stand_in = values[rows][0] if rows.any() else values[observed][0]
    filled = np.where(observed, values, stand_in)
    return jnp.asarray(filled), jnp.asarray(observed)


def _observable_names(
    names: Sequence[str] | None, values: np.ndarray, name: str
) -> tuple[str, ...]:
    columns = 1 if values.ndim == 1 else values.shape[1]
    if names is None:
        return ("value",) if columns == 1 else tuple(f"value[{i}]" for i in range(columns))
    if isinstance(names, str):
        names = (names,)
    if len(names) != columns:
        raise ValueError(
            f"{name}: {len(names)} observables named, {tuple(names)}, but values of shape "
            f"{values.shape} have {columns}."
        )
    if len(set(names)) < columns:
        raise ValueError(f"{name}: the observables {tuple(names)} must have different names.")
    return tuple(names)
