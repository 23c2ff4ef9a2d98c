"""One experiment: values measured over time."""

from collections.abc import Mapping, Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, DTypeLike, Float, PyTree

from ._checks import (
    as_array,
    as_values,
    check_times,
    fill_missing,
    floating,
    observable_names,
)
from ._data import AbstractData


@final
class Experiment(AbstractData):
    """One experiment: values measured at increasing times.

    **Arguments:**

    - `times`: when it was measured, shape `(times,)`: finite, strictly increasing.
    - `values`: what was measured, shape `(times,)` or `(times, observables)`; NaN marks a
        value that is missing. Integers and bools become floats, exactly or not at all.
    - `inputs`: anything that the model takes besides time; any pytree, or `None`.
    - `name`: how messages call this experiment.
    - `groups`: what it is one of, `{"sex": "female", ...}`, for parameters that vary by it.
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
    groups: tuple[tuple[str, str], ...] = eqx.field(static=True)

    def __init__(
        self,
        times: ArrayLike | Sequence[float],
        values: ArrayLike | Sequence[Any],
        inputs: PyTree = None,
        *,
        name: str = "experiment",
        observables: Sequence[str] | None = None,
        groups: Mapping[str, str] | None = None,
        dtype: DTypeLike = np.float64,
    ):
        asked = floating(dtype)
        when = as_array(times, asked, f"{name}: times")
        what = as_values(values, asked, f"{name}: values")
        check_times(when, name)
        if what.ndim not in (1, 2) or what.shape[0] != when.shape[0]:
            raise ValueError(
                f"{name}: values of shape {what.shape} do not match times of shape {when.shape}: "
                "values must be (times,) or (times, observables), one row a time."
            )
        self.times = jnp.asarray(when)
        self.values, self.observed = fill_missing(what, name)
        self.inputs = inputs
        self.name = name
        self.observables = observable_names(observables, what, name)
        self.groups = _named(groups or {}, name)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The times, and the inputs where there are any."""
        return (self.times,) if self.inputs is None else (self.times, self.inputs)

    @property
    def members(self) -> dict[str, tuple[str, ...]]:
        """Itself, and its group of each kind."""
        return {"experiment": (self.name,), **{kind: (group,) for kind, group in self.groups}}


def _named(groups: Mapping[str, str], name: str) -> tuple[tuple[str, str], ...]:
    if "experiment" in groups:
        raise ValueError(f'{name}: groups: "experiment" is what its name is for.')
    return tuple((str(kind), str(group)) for kind, group in groups.items())
