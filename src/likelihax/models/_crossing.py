"""When a condition on the state crosses zero, and exactly where."""

from typing import Any, final

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, PyTree

from .._parameters import resolve
from ._clock import Field
from ._event import Event

_DIRECTIONS = {"both": None, "up": True, "down": False}


def crossing(event: Event, field: Field, start: Array, after_event: Array) -> dfx.Event:
    """The event as Diffrax has it, for a stretch that begins at the share `start`."""
    condition = _Condition(field, resolve(event.when), start, after_event)
    return dfx.Event(condition, _Halving(), _DIRECTIONS[event.direction])


@final
class _Condition(eqx.Module):
    """What crosses zero, as a function of the solver's own time and state.

    Just after an event it is zero but for rounding, whose sign must not be taken for another one:
    there its sign is that of its rate of change.
    """

    field: Field
    when: Any
    start: Array
    after_event: Array

    def __call__(self, t: Any, y: PyTree, args: Any, **_: Any) -> Array:
        share = jnp.asarray(t)
        value = self._value(share, y, args)
        on_border = (share <= self.start) & (self.after_event | (value == 0))
        return jax.lax.cond(on_border, lambda: self._side(share, y, args), lambda: value)

    def _side(self, share: Array, y: PyTree, inputs: Any) -> Array:
        rates = self.field(share, y, inputs)
        value = lambda share, y: self._value(share, y, inputs)
        _, rising = jax.jvp(value, (share, y), (jnp.ones_like(share), rates))
        return jnp.sign(rising)

    def _value(self, share: Array, y: PyTree, inputs: Any) -> Array:
        time = self.field.clock.time(share)
        value = jnp.asarray(self.when(time, self.field.with_doses(time, y), inputs))
        if value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
            raise ValueError(
                f"Event: when returned {value.dtype} of shape {value.shape}: it must be one "
                "floating number, which crosses zero."
            )
        return value


@final
class _Halving(optx.AbstractRootFinder):
    """Bisection down to the last digit, which cannot fail.

    Optimistix's own also asks for a small value, which depends on the condition's unit, and raises
    where rounding hides the change of sign.
    """

    rtol: float = 0.0
    atol: float = 0.0
    norm: Any = jnp.abs

    def init(
        self, fn: Any, y: Any, args: Any, options: Any, f_struct: Any, aux_struct: Any, tags: Any
    ) -> Any:
        lower = jnp.asarray(options["lower"], f_struct.dtype)
        upper = jnp.asarray(options["upper"], f_struct.dtype)
        return lower, upper, jnp.sign(fn(lower, args)[0])

    def step(self, fn: Any, y: Any, args: Any, options: Any, state: Any, tags: Any) -> Any:
        lower, upper, sign = state
        value, aux = fn(y, args)
        before = jnp.sign(value) == sign
        lower, upper = jnp.where(before, y, lower), jnp.where(before, upper, y)
        return lower + 0.5 * (upper - lower), (lower, upper, sign), aux

    def terminate(self, fn: Any, y: Any, args: Any, options: Any, state: Any, tags: Any) -> Any:
        lower, upper, _ = state
        done = upper - lower <= 4 * jnp.finfo(lower.dtype).eps
        return done, optx.RESULTS.successful

    def postprocess(
        self, fn: Any, y: Any, aux: Any, args: Any, options: Any, state: Any, tags: Any, result: Any
    ) -> Any:
        return y, aux, {}
