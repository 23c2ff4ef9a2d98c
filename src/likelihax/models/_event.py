"""Where a trajectory is broken off and taken up again, elsewhere or in another way."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, final

import equinox as eqx
import numpy as np
from jaxtyping import Array, ArrayLike, PyTree

from .._parameters import frozen

Apply = Callable[..., PyTree]


@final
class Resets(eqx.Module):
    """At known times the state becomes something else: a dilution, a harvest, a transfer.

    **Arguments:**

    - `times`: when, shape `(resets,)`: finite, increasing.
    - `apply`: `(t, y, inputs) -> y`, the state just after from the one just before. Its array
        leaves and `Parameter`s are fitted.

    From its own time on the state is the new one. What is merely added is better given as
    `likelihax.inputs.Doses`, which needs no new solve.
    """

    times: Any
    apply: Apply

    def __init__(self, times: ArrayLike | Sequence[float], apply: Apply):
        when = np.asarray(times, dtype=getattr(times, "dtype", float))
        increasing = when.ndim == 1 and when.size > 0 and bool(np.all(np.diff(when) > 0))
        if not increasing or not np.all(np.isfinite(when)):
            raise ValueError(f"Resets: times must be finite and increase, got {when}.")
        if not callable(apply):
            raise ValueError(f"Resets: apply {apply!r} is no function (t, y, inputs) -> y.")
        self.times = frozen(when)
        self.apply = apply


@final
class Event(eqx.Module):
    """Something happens when the state gets somewhere: a bounce, a switch, an overflow.

    The solve stops where `when` crosses zero, and goes on from there. The moment is found by a
    root finder, and derivatives go through it.

    Where the field itself changes as the state crosses a border, let it not look at the state for
    it: the step that finds the border would have felt what is behind it, and derivatives would be
    wrong. Keep which side it is on as an entry of the state, of rate zero, look at that, and let
    `apply` change it.

    **Arguments:**

    - `when`: `(t, y, inputs) -> number`, which crosses zero there; its sign must differ before and
        after by more than rounding.
    - `apply`: `(t, y, inputs) -> y`, the state just after; by default it stays as it is.
    - `at_most`: how many may happen in a solve; more of them fail it.
    - `direction`: whether crossings `"up"`, `"down"` or `"both"` count.

    Array leaves and `Parameter`s of both functions are fitted.
    """

    when: Callable[..., Array]
    apply: Apply | None
    at_most: int = eqx.field(static=True)
    direction: Literal["both", "up", "down"] = eqx.field(static=True)

    def __init__(
        self,
        when: Callable[..., Array],
        apply: Apply | None = None,
        *,
        at_most: int = 16,
        direction: Literal["both", "up", "down"] = "both",
    ):
        if not callable(when):
            raise ValueError(f"Event: when {when!r} is no function (t, y, inputs) -> number.")
        if apply is not None and not callable(apply):
            raise ValueError(f"Event: apply {apply!r} is no function (t, y, inputs) -> y.")
        if direction not in ("both", "up", "down"):
            raise ValueError(f'Event: direction is "both", "up" or "down", not {direction!r}.')
        if at_most < 1:
            raise ValueError(f"Event: at_most is {at_most}: one at least.")
        self.when = when
        self.apply = apply
        self.at_most = at_most
        self.direction = direction


def after(apply: Apply | None, t: Array, state: PyTree, inputs: Any) -> PyTree:
    """The state after `apply`, in the same structure, shapes and dtypes."""
    if apply is None:
        return state
    found = apply(t, state, inputs)
    same = eqx.tree_equal(_shapes(found), _shapes(state))
    if same is not True:
        raise ValueError(
            f"ODE: an event's apply returned {eqx.tree_pformat(found, struct_as_array=True)} for a "
            f"state of {eqx.tree_pformat(state, struct_as_array=True)}: it must return the whole "
            "state, in the same structure."
        )
    return found


def _shapes(tree: PyTree) -> PyTree:
    arrays = eqx.filter_eval_shape(lambda: tree)
    return eqx.filter(arrays, lambda leaf: hasattr(leaf, "shape"))
