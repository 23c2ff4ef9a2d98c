"""A table of doses: what is put into the state, at once or over some time."""

from collections.abc import Sequence
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from .._parameters import frozen, known, resolve
from ._input import AbstractInput, check_finite


@final
class Doses(AbstractInput):
    r"""Doses that an `ODE` adds to its state by itself: the field need not know of them.

    A bolus adds its amount to one entry of the state at one moment; an infusion adds it evenly
    while it lasts,

    $$\dot y_j = f_j(t, y, u) + \text{amount}/\text{duration}.$$

    From a bolus' own time on the state includes it. A measurement at that very time would be of
    the state either before or after it: which, one has to say by giving it a time of its own, a
    little earlier or later.

    **Arguments:**

    - `times`: when each begins, shape `(doses,)`: finite; several may begin together.
    - `amounts`: how much, in units of the state, shape `(doses,)`: numbers (known) or a
        `Parameter` (fitted). Negative ones take away.
    - `durations`: over which time, shape `(doses,)` or one number; 0, the default, is a bolus.
    - `into`: the number of the state's entry, as its arrays are flattened, for each or for all;
        by default the first, 0.

    Raises `ValueError` for shapes that do not match, times, amounts and durations that are not
    finite and negative durations; and when a model is to be solved from after the first dose.
    """

    times: Any
    amounts: Any
    durations: Any
    into: Array

    def __init__(
        self,
        times: ArrayLike | Sequence[float] | float,
        amounts: Any,
        *,
        durations: ArrayLike | Sequence[float] = 0.0,
        into: ArrayLike | Sequence[int] = 0,
    ):
        when = np.atleast_1d(np.asarray(times, dtype=getattr(times, "dtype", float)))
        if when.ndim != 1:
            raise ValueError(f"Doses: times of shape {when.shape}: a vector is needed.")
        check_finite(when, "Doses: times")
        shape = np.shape(resolve(amounts))
        if shape not in ((), when.shape):
            raise ValueError(
                f"Doses: amounts of shape {shape} for {when.size} times: give one a dose, or one "
                "for all."
            )
        check_finite(amounts, "Doses: amounts")
        long = _one_each(np.asarray(durations, when.dtype), when, "durations")
        check_finite(long, "Doses: durations")
        if np.any(long < 0):
            bad = int(np.flatnonzero(long < 0)[0])
            raise ValueError(f"Doses: durations[{bad}] = {long[bad]} is negative; a bolus has 0.")
        where = np.asarray(into)
        if not np.issubdtype(where.dtype, np.integer) or np.any(where < 0):
            raise ValueError(
                f"Doses: into is {where}: it must be the number of an entry of the state, from 0."
            )
        self.times = frozen(when)
        self.amounts = known(amounts)
        self.durations = frozen(long)
        self.into = jnp.asarray(_one_each(where, when, "into"))

    @property
    def jumps(self) -> Float[Array, " jumps"]:
        """Where each begins, and ends."""
        times, durations = resolve((self.times, self.durations))
        return jnp.concatenate([times, times + durations])

    def given(self, t: Float[Array, ""], size: int) -> Float[Array, " size"]:
        """What all boluses up to a time add to a state of so many entries."""
        times, amounts, durations = self._resolved()
        counts = (durations == 0) & (times <= t)
        return jnp.zeros(size, amounts.dtype).at[self.into].add(jnp.where(counts, amounts, 0.0))

    def rates(self, t: Float[Array, ""], size: int) -> Float[Array, " size"]:
        """What all infusions add to the state's rate of change at a time."""
        times, amounts, durations = self._resolved()
        counts = (durations > 0) & (times <= t) & (t < times + durations)
        rate = jnp.where(counts, amounts / jnp.where(durations > 0, durations, 1.0), 0.0)
        return jnp.zeros(size, amounts.dtype).at[self.into].add(rate)

    @property
    def length(self) -> int:
        """How many times there are."""
        return int(np.size(resolve(self.times)))

    def padded(self, length: int) -> "Doses":
        """With further doses of nothing, together with the last one."""
        times, amounts, durations = self._resolved()
        more = max(length - times.size, 0)
        rows = np.minimum(np.arange(times.size + more), times.size - 1)
        real = np.arange(times.size + more) < times.size
        return Doses(
            times[rows],
            jnp.where(real, amounts[rows], 0.0),
            durations=durations[rows],
            into=self.into[rows],
        )

    def check(self, first: float, last: float, what: str) -> None:
        """Raises `ValueError` where one is given before `first`."""
        times = np.asarray(resolve(self.times))
        early = np.flatnonzero(times < first)
        if early.size:
            i = int(early[0])
            raise ValueError(
                f"{what} has a dose at t = {times[i]}, before the solve begins at t = {first}: say "
                f"ODE(..., t0={times.min()}) or earlier, or leave it out."
            )

    def check_measured(self, times: Any, what: str) -> None:
        """Raises `ValueError` where something was measured at the very moment of a bolus."""
        when, durations = resolve((self.times, self.durations))
        boluses = np.asarray(when)[np.asarray(durations) == 0]
        measured = np.asarray(times)
        # At the beginning there is nothing before the dose that could be meant.
        both = np.intersect1d(measured[measured > measured.min()], boluses)
        if both.size:
            raise ValueError(
                f"{what} has a bolus at t = {both[0]}, where something was measured too: move that "
                "time a little, to say whether it was before the dose or after."
            )

    def _resolved(self) -> tuple[Array, Array, Array]:
        times, amounts, durations = resolve((self.times, self.amounts, self.durations))
        return times, jnp.broadcast_to(amounts, times.shape), durations


def _one_each(values: np.ndarray, times: np.ndarray, what: str) -> np.ndarray:
    if values.shape not in ((), times.shape):
        raise ValueError(
            f"Doses: {what} of shape {values.shape} for {times.size} times: give one a dose, or "
            "one for all."
        )
    return np.broadcast_to(values, times.shape)
