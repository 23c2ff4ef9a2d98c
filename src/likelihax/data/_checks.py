"""What every kind of data checks: shapes, dtypes, missing values."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


def floating(dtype: Any) -> np.dtype:
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


def as_array(value: Any, asked: np.dtype, what: str) -> np.ndarray:
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


def as_values(value: Any, asked: np.dtype, what: str) -> np.ndarray:
    # Counts, labels and yes-or-no are numbers too, as long as each has a float of its own.
    if is_whole(value):
        whole = np.asarray(value)
        exact = whole.astype(asked)
        if not np.array_equal(exact.astype(object), whole.astype(object)):
            raise ValueError(f"{what} are {whole.dtype} and too large to be exact as {asked}.")
        return exact
    return as_array(value, asked, what)


def dtype_of(values: Any) -> Any:
    if is_whole(values):
        return jnp.result_type(float)
    return getattr(values, "dtype", np.float64)


def is_whole(values: Any) -> bool:
    dtype = getattr(values, "dtype", None)
    masked = isinstance(values, np.ma.MaskedArray)
    return dtype is not None and not masked and np.dtype(dtype).kind in "iub"


def check_times(times: np.ndarray, name: str) -> None:
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


def check_input(leaf: Array, values: np.ndarray, asked: np.dtype, what: str) -> None:
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


def fill_missing(
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


def observable_names(names: Sequence[str] | None, values: np.ndarray, name: str) -> tuple[str, ...]:
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
