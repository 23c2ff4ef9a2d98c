"""A trajectory that is broken off and taken up again, solved stretch by stretch."""

from typing import Any, NamedTuple, final

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array, Bool, Float, Int, PyTree

from .._parameters import resolve
from .._result import RESULTS
from ._clock import Field
from ._crossing import crossing
from ._event import Event, Resets, after
from ._solver import Solving


class _Now(NamedTuple):
    """Where the solve stands between two stretches; the state without doses, see `Field`."""

    share: Float[Array, ""]
    state: PyTree
    saved: PyTree
    resets: Int[Array, ""]
    after_event: Bool[Array, ""]
    result: RESULTS
    num_steps: Int[Array, ""]


@final
class Stretches(eqx.Module):
    """Solves from one break to the next, over and over, and keeps what was asked for."""

    field: Field
    solving: Solving
    event: Event | None
    resets: Resets | None

    def __call__(self, state: PyTree, shares: Float[Array, " times"], inputs: Any) -> Any:
        """The states at `shares`, the last share reached, the result and the number of steps."""
        share = jnp.zeros((), shares.dtype)
        saved = jtu.tree_map(lambda leaf: jnp.broadcast_to(leaf, (shares.size, *leaf.shape)), state)
        none = jnp.asarray(0)
        now = _Now(share, state, saved, none, jnp.asarray(False), RESULTS.successful, none)
        breaks = self._reset_shares(shares.dtype)
        step = lambda now, _: (self._stretch(now, breaks, shares, inputs), None)
        now, _ = jax.lax.scan(step, now, None, length=self._count())
        left_over = (now.result == RESULTS.successful) & (now.share < 1)
        result = RESULTS.where(left_over, RESULTS.events_used_up, now.result)
        return now.saved, now.share, result, now.num_steps

    def _count(self) -> int:
        resets = 0 if self.resets is None else resolve(self.resets.times).size
        return 1 + resets + (0 if self.event is None else self.event.at_most)

    def _reset_shares(self, dtype: Any) -> Float[Array, " breaks"]:
        """Where resets are, those outside the span at infinity, and one there in any case."""
        none = jnp.full((1,), jnp.inf, dtype)
        if self.resets is None:
            return none
        found = self.field.clock.share(resolve(self.resets.times).astype(dtype))
        inside = jnp.where((found > 0) & (found <= 1), found, jnp.inf)
        return jnp.concatenate([jnp.sort(inside), none])

    def _stretch(self, now: _Now, breaks: Array, shares: Array, inputs: Any) -> _Now:
        end = jnp.minimum(breaks[now.resets], 1.0)
        event = (
            None
            if self.event is None
            else crossing(self.event, self.field, now.share, now.after_event)
        )
        solved = self.solving(
            self.field,
            now.state,
            jnp.clip(shares, now.share, end),
            self.field.clock.share(self.field.clock.jumps),
            inputs,
            ends=(now.share, end),
            event=event,
        )
        happened = jnp.asarray(solved.result == dfx.RESULTS.event_occurred)
        ok = happened | jnp.asarray(solved.result == dfx.RESULTS.successful)
        going_on = jnp.asarray(now.result == RESULTS.successful)
        reached = jnp.where(happened, solved.end, end)
        resets = (~happened) & (breaks[now.resets] <= 1.0)
        state = self._applied(solved.last, reached, happened, resets, inputs)
        later = shares >= now.share
        keep = lambda new, old: jnp.where(_behind(later & going_on, new), new, old)
        move = lambda new, old: jnp.where(going_on & ok, new, old)
        failed = RESULTS.where(ok, RESULTS.successful, RESULTS.promote(solved.result))
        return _Now(
            share=move(reached, now.share),
            state=jtu.tree_map(move, state, now.state),
            saved=jtu.tree_map(keep, solved.states, now.saved),
            resets=now.resets + resets.astype(now.resets.dtype),
            after_event=happened,
            result=RESULTS.where(going_on, failed, now.result),
            num_steps=now.num_steps + jnp.where(going_on, solved.num_steps, 0),
        )

    def _applied(
        self, state: PyTree, share: Array, event: Bool[Array, ""], reset: Array, inputs: Any
    ) -> PyTree:
        """The state just after a break: what an event makes of it, or a reset, or neither."""
        t = self.field.clock.time(share)
        before = self.field.with_doses(t, state)
        for breaks, happened in ((self.event, event), (self.resets, reset)):
            if breaks is not None:
                new = after(resolve(breaks).apply, t, before, inputs)
                before = jtu.tree_map(lambda a, b: jnp.where(happened, a, b), new, before)  # noqa: B023
        return self.field.with_doses(t, before, sign=-1)


def _behind(mask: Array, leaf: Array) -> Array:
    return mask.reshape(mask.shape + (1,) * (leaf.ndim - 1))
