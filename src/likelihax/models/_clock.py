"""Time as a solver sees it: a share of the whole span, never rounded across a jump."""

from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from ..inputs import Doses
from ..inputs._input import inputs_in, last_at


@final
class Clock(eqx.Module):
    """From shares of the whole span, 0 to 1, to the user's time.

    Solved in shares the ends are constants, which compiles faster, and times keep their precision
    where the user's clock starts far from zero. A jump is at one exact share; the user's time is
    kept on the same side of it, however it is rounded.

    **Attributes:**

    - `start`, `span`: from when on, and how long, in the user's time.
    - `jumps`: where inputs jump, in the user's time, sorted.
    """

    start: Float[Array, ""]
    span: Float[Array, ""]
    jumps: Float[Array, " jumps"]

    def share(self, times: Array) -> Array:
        """The share at which each time lies."""
        return (times - self.start) / jnp.where(self.span > 0, self.span, 1.0)

    def time(self, share: Any) -> Array:
        """The user's time at a share."""
        t = jnp.asarray(self.start + share * self.span)
        if not self.jumps.size:
            return t
        none = jnp.asarray([jnp.inf], t.dtype)
        # Between two jumps of those known, and of two that are never.
        jumps = jnp.concatenate([-none, self.jumps, none])
        at = last_at(self.share(self.jumps), share) + 1
        passed, following = jumps[at], jumps[at + 1]
        t = jnp.where(t < passed, passed, t)
        return jnp.where(t >= following, jnp.nextafter(following, -none[0]), t)


@final
class Field(eqx.Module):
    """A vector field in shares of the whole span, doses included.

    Boluses are taken out of the state: what is solved for is the state less all that was given
    so far, which does not jump. A module and not a closure, so that Diffrax's compiled inside
    knows it again.
    """

    field: Callable[..., PyTree]
    clock: Clock
    doses: list[Doses]

    def __call__(self, share: Any, y: PyTree, inputs: Any) -> PyTree:
        t = self.clock.time(share)
        state = self.with_doses(t, y)
        rates = self.field(t, state, inputs)
        rates = _shifted(rates, [dose.rates for dose in self.doses], t)
        return jtu.tree_map(lambda rate: self.clock.span * rate, rates)

    def with_doses(self, t: Array, y: PyTree, sign: int = 1) -> PyTree:
        """The state itself; or back, with `sign` -1."""
        return _shifted(y, [dose.given for dose in self.doses], t, sign)


def doses_in(tree: Any) -> list[Doses]:
    """All dose tables in a tree."""
    return [node for node in inputs_in(tree) if isinstance(node, Doses)]


def _shifted(tree: PyTree, amounts: list[Any], t: Array, sign: int = 1) -> PyTree:
    if not amounts:
        return tree
    flat, restore = ravel_pytree(tree)
    for amount in amounts:
        flat = flat + sign * amount(t, flat.size).astype(flat.dtype)
    return restore(flat)
