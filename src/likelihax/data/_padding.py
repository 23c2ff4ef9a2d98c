"""Experiments of unequal lengths side by side: padded, in buckets that waste little."""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from ..inputs import AbstractInput
from ._experiment import Experiment

# What is shorter than this share of the longest goes into another bucket. A time that is repeated
# costs a solver next to nothing, another bucket a compilation.
_SHORTEST = 0.5


class Bucket(NamedTuple):
    """Experiments that are solved by the same compiled code.

    - `which`: their numbers.
    - `times`: their times, each padded with its last one.
    - `inputs`: theirs, along a first axis of every array.
    """

    which: Int[Array, " n"]
    times: Float[Array, "n times"]
    inputs: PyTree

    def one(self, place: int, length: int) -> tuple[Array, PyTree]:
        """The times and inputs of one of them."""
        pick = lambda leaf: leaf[place] if eqx.is_array(leaf) else leaf
        return self.times[place, :length], jtu.tree_map(pick, self.inputs)

    def some(self, places: Int[np.ndarray, " some"], length: int) -> "Bucket":
        """Some of them, their times up to a length."""
        pick = lambda leaf: leaf[places] if eqx.is_array(leaf) else leaf
        which, times, inputs = jtu.tree_map(pick, tuple(self))
        return Bucket(which, times[:, :length], inputs)


def bucketed(experiments: list[Experiment]) -> list[list[int]]:
    """The numbers of the experiments in each bucket, the longest first."""
    kinds: dict[Any, list[int]] = {}
    for i, one in enumerate(experiments):
        kinds.setdefault(_kind(one.inputs), []).append(i)
    found: list[list[int]] = []
    for alike in kinds.values():
        longest = 0
        for i in sorted(alike, key=lambda i: -experiments[i].times.size):
            if experiments[i].times.size < _SHORTEST * longest:
                longest = 0
            if not longest:
                longest = experiments[i].times.size
                found.append([])
            found[-1].append(i)
    return found


def bucket(experiments: list[Experiment], which: list[int]) -> Bucket:
    """Those experiments, padded to the longest of them."""
    longest = max(experiments[i].times.size for i in which)
    pad = lambda times: np.pad(times, (0, longest - times.size), mode="edge")
    times = np.stack([pad(np.asarray(experiments[i].times)) for i in which])
    inputs = _stacked([experiments[i].inputs for i in which])
    return Bucket(jnp.asarray(which), jnp.asarray(times), inputs)


def _is_input(node: Any) -> bool:
    return isinstance(node, AbstractInput)


def _kind(inputs: PyTree) -> Any:
    """What must agree for inputs to be stacked: all but the lengths of tables."""
    nodes, structure = jtu.tree_flatten(inputs, is_leaf=_is_input)
    return structure, tuple(_kind_of(node) for node in nodes)


def _kind_of(node: PyTree) -> Any:
    leaves, structure = jtu.tree_flatten(node)
    begin = 1 if _is_input(node) else 0  # the first axis of an input's arrays is its table's
    shape = lambda leaf: (leaf.shape[begin:], str(leaf.dtype)) if eqx.is_array(leaf) else leaf
    return structure, tuple(shape(_as_array(leaf)) for leaf in leaves)


def _as_array(leaf: Any) -> Any:
    # A number is an array to a model; a function or a name is not.
    return jnp.asarray(leaf) if isinstance(leaf, bool | int | float | np.ndarray) else leaf


def _stacked(each: list[PyTree]) -> PyTree:
    flat = [jtu.tree_flatten(inputs, is_leaf=_is_input)[0] for inputs in each]
    structure: Any = jtu.tree_structure(each[0], is_leaf=_is_input)
    columns = []
    for nodes in zip(*flat, strict=True):
        if _is_input(nodes[0]):
            longest = max(node.length for node in nodes)
            nodes = tuple(node.padded(longest) for node in nodes)
        columns.append(jtu.tree_map(_stack, *nodes))
    return structure.unflatten(columns)


def _stack(*leaves: Any) -> Any:
    arrays = [_as_array(leaf) for leaf in leaves]
    return jnp.stack(arrays) if eqx.is_array(arrays[0]) else leaves[0]
