"""Numbers that are not the same in all experiments."""

from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Int
from numpy.typing import NDArray


@final
class Varying(eqx.Module):
    """A number, or an array, for each of several experiments or groups of them.

    What a `Parameter` that varies is resolved to: no array, so that nobody computes with all of
    them at once by mistake.

    **Attributes:**

    - `value`: one for each member, along the first axis.
    - `by`: what it varies by: `"experiment"`, or a kind of groups.
    - `members`: whose they are, in order.
    """

    value: Array
    by: str = eqx.field(static=True)
    members: tuple[str, ...] = eqx.field(static=True)


def is_varying(node: Any) -> bool:
    """Whether a node of a tree is a `Varying`."""
    return isinstance(node, Varying)


def varying_in(tree: Any) -> list[Varying]:
    """All of them in a tree."""
    return [node for node in jtu.tree_leaves(tree, is_leaf=is_varying) if is_varying(node)]


def select(tree: Any, at: Mapping[str, Any]) -> Any:
    """The tree with every `Varying` replaced by its value for the members numbered `at[by]`."""
    pick = lambda node: node.value[at[node.by]] if is_varying(node) else node
    return jtu.tree_map(pick, tree, is_leaf=is_varying)


def select_rows(tree: Any, at: Mapping[str, Int[Array, " rows"]], shape: tuple[int, ...]) -> Any:
    """The same for each row of values of a shape, as arrays of that shape."""

    def pick(node: Any) -> Any:
        if not is_varying(node):
            return node
        each = node.value[at[node.by]]
        own = each.shape[1:]
        between = (1,) * (len(shape) - 1 - len(own))
        return jnp.broadcast_to(each.reshape(each.shape[:1] + between + own), shape)

    return jtu.tree_map(pick, tree, is_leaf=is_varying)


def align(tree: Any, members: Mapping[str, tuple[str, ...]], whose: str) -> Any:
    """The tree with every `Varying` in the order of these members, of which it may have more."""

    def aligned(node: Any) -> Any:
        if not is_varying(node) or members.get(node.by) == node.members:
            return node
        places = places_of(node.members, members.get(node.by, ()), node.by, whose)
        return Varying(node.value[places], node.by, members[node.by])

    return jtu.tree_map(aligned, tree, is_leaf=is_varying)


def places_of(
    had: tuple[str, ...], wanted: tuple[str, ...], by: str, whose: str
) -> NDArray[np.int_]:
    """Where each of the members wanted is among those that there are; `ValueError` if nowhere."""
    missing = [name for name in wanted if name not in had]
    if missing or not wanted:
        which = f"{by} {missing[0]!r}" if missing else f"it has no kind {by!r}, and so"
        raise ValueError(
            f"{whose}: {which} has no value of a parameter that varies by {by}: there are those "
            f"of {', '.join(map(repr, had[:6]))}{', ...' if len(had) > 6 else ''}."
        )
    return np.array([had.index(name) for name in wanted])


def check_selected(tree: Any, whose: str) -> None:
    """Raises `ValueError` where something still varies."""
    left = varying_in(tree)
    if left:
        raise ValueError(
            f"{whose}: a parameter varies by {left[0].by}, so say which {left[0].by} is meant: "
            "predictor.of(data, name), or predictor.predict(data) for all of them."
        )
