"""A forcing that is constant between the times at which it is switched."""

from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from .._parameters import frozen, known, resolve
from ._input import AbstractInput, check_values, checked_times, last_at


@final
class Steps(AbstractInput):
    """An input that is switched: from each time on it has that time's value.

    **Arguments:**

    - `times`: when it is switched, shape `(times,)`: finite, increasing.
    - `values`: what it is from then on, shape `(times, ...)`: numbers (known) or a `Parameter`
        (fitted). The last one holds for ever.

    A sample-and-hold signal is one of these. Raises `ValueError` for times that do not increase,
    values of another shape or not finite; and when a model is to be solved from before the first
    time.
    """

    times: Any
    values: Any

    def __init__(self, times: ArrayLike | Sequence[float], values: Any):
        when = checked_times(times, "Steps")
        check_values(values, when, "Steps")
        self.times = frozen(when)
        self.values = known(values)

    def __call__(self, t: Float[Array, ""]) -> Float[Array, "..."]:
        """The value at one time, shape `values.shape[1:]`."""
        times, values = resolve((self.times, self.values))
        found: Array = values[jnp.maximum(last_at(times, t), 0)]
        return found

    @property
    def jumps(self) -> Float[Array, " jumps"]:
        """When it is switched."""
        times: Array = resolve(self.times)
        return times

    @property
    def length(self) -> int:
        """How many times there are."""
        return int(np.size(resolve(self.times)))

    def padded(self, length: int) -> "Steps":
        """With the last row over and over."""
        times, values = resolve((self.times, self.values))
        rows = np.minimum(np.arange(max(length, times.size)), times.size - 1)
        return eqx.tree_at(
            lambda s: (s.times, s.values), self, (frozen(times[rows]), frozen(values[rows]))
        )

    def check(self, first: float, last: float, what: str) -> None:
        """Raises `ValueError` where it begins after `first`."""
        begins = float(np.asarray(resolve(self.times))[0])
        if begins > first:
            raise ValueError(
                f"{what} begins at t = {begins}, after the solve does at t = {first}: say what it "
                "is from the first time on."
            )
