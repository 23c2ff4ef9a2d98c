"""A forcing given as a function of time."""

from collections.abc import Callable, Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from .._parameters import frozen, resolve
from ._input import AbstractInput


@final
class Forcing(AbstractInput):
    """An input that is computed, and jumps at known times.

    **Arguments:**

    - `function`: any callable or Equinox module from one time to a number or an array.
    - `jumps_at`: the times at which it is not continuous; none where it is smooth, and then the
        function could go into `inputs` as it is.

    At a jump the function is asked for its value just after.
    """

    function: Callable[..., Any]
    jumps_at: Any

    def __init__(self, function: Callable[..., Any], jumps_at: ArrayLike | Sequence[float] = ()):
        if not callable(function):
            raise ValueError(f"Forcing: {function!r} is no function of time.")
        when = np.asarray(jumps_at, dtype=getattr(jumps_at, "dtype", float))
        if when.ndim != 1 or not np.all(np.isfinite(when)):
            raise ValueError(f"Forcing: jumps_at must be a vector of finite times, got {when}.")
        self.function = function
        self.jumps_at = frozen(when)

    def __call__(self, t: Float[Array, ""]) -> Float[Array, "..."]:
        """The value at one time."""
        return jnp.asarray(resolve(self.function)(t))

    @property
    def jumps(self) -> Float[Array, " jumps"]:
        """As they were given."""
        times: Array = resolve(self.jumps_at)
        return times

    @property
    def length(self) -> int:
        """How many jumps there are."""
        return int(np.size(resolve(self.jumps_at)))

    def padded(self, length: int) -> "Forcing":
        """With further jumps that never come."""
        times = resolve(self.jumps_at)
        never = jnp.full(max(length - times.size, 0), jnp.inf, times.dtype)
        return eqx.tree_at(lambda f: f.jumps_at, self, frozen(jnp.concatenate([times, never])))

    def check(self, first: float, last: float, what: str) -> None:
        """A function knows no ends."""
