"""A forcing that was recorded at some times, and interpolated between them."""

from collections.abc import Sequence
from typing import Any, Literal, final

import diffrax as dfx
import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from .._parameters import frozen, known, resolve
from ._input import AbstractInput, check_values, checked_times

_KINDS = ("linear", "cubic")


@final
class Series(AbstractInput):
    """A smooth input, known at some times: `series(t)` is its value at time `t`.

    **Arguments:**

    - `times`: when it was recorded, shape `(times,)`: finite, increasing, two or more.
    - `values`: what was recorded, shape `(times, ...)`: numbers (known) or a `Parameter` (fitted).
    - `kind`: `"linear"`; or `"cubic"`, Hermite splines whose slopes look back, which have no kinks
        and do not know the future (J. Morrill and others 2022, "On the choice of interpolation
        scheme for neural CDEs", Trans. Machine Learning Research).

    Raises `ValueError` for times that do not increase, values of another shape or not finite; and
    when a model is to be solved at times that it does not cover. What jumps rather than changes
    is for `Steps`.
    """

    times: Any
    values: Any
    kind: Literal["linear", "cubic"] = eqx.field(static=True)

    def __init__(
        self,
        times: ArrayLike | Sequence[float],
        values: Any,
        kind: Literal["linear", "cubic"] = "linear",
    ):
        if kind not in _KINDS:
            raise ValueError(f'Series: kind is "linear" or "cubic", not {kind!r}.')
        when = checked_times(times, "Series", at_least=2)
        check_values(values, when, "Series")
        self.times = frozen(when)
        self.values = known(values)
        self.kind = kind

    def __call__(self, t: Float[Array, ""]) -> Float[Array, "..."]:
        """The value at one time, shape `values.shape[1:]`."""
        times, values = resolve((self.times, self.values))
        if self.kind == "linear":
            found: Array = dfx.LinearInterpolation(times, values).evaluate(t)
            return found
        slopes = dfx.backward_hermite_coefficients(times, values)
        smooth: Array = dfx.CubicInterpolation(times, slopes).evaluate(t)
        return smooth

    @property
    def jumps(self) -> Float[Array, " jumps"]:
        """None."""
        return jnp.zeros(0)

    @property
    def length(self) -> int:
        """How many times there are."""
        return int(np.size(resolve(self.times)))

    def padded(self, length: int) -> "Series":
        """With further times, at which the last value holds."""
        times, values = resolve((self.times, self.values))
        more = max(length - times.size, 0)
        later = times[-1] + jnp.arange(1, more + 1, dtype=times.dtype)
        held = jnp.broadcast_to(values[-1], (more, *values.shape[1:]))
        return Series(
            jnp.concatenate([times, later]), jnp.concatenate([values, held]), kind=self.kind
        )

    def check(self, first: float, last: float, what: str) -> None:
        """Raises `ValueError` where it begins after `first` or ends before `last`."""
        times = np.asarray(resolve(self.times))
        begins, ends = float(times[0]), float(times[-1])
        if begins > first:
            raise ValueError(
                f"{what} begins at t = {begins}, after the solve does at t = {first}: give it "
                "from the first time on, or start later (t0)."
            )
        if ends < last:
            raise ValueError(
                f"{what} ends at t = {ends}, before the last measured time {last}: give it up to "
                "that time, or leave the later measurements out."
            )
