"""What an input is: something that drives a model from outside, and may jump."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Float, Int

from .._parameters import resolve

# Up to so many sorted times are compared with all at once, more by halving.
_FEW_TIMES = 512


class AbstractInput(eqx.Module):
    """What drives a model from outside, at any time; put it into an experiment's `inputs`.

    A solver is told where it jumps: it then stops there, rather than feel its way over the jump
    with ever smaller steps, and derivatives are right.
    """

    @property
    @abc.abstractmethod
    def jumps(self) -> Float[Array, " jumps"]:
        """The times at which it jumps; any order, those beyond the data do not matter."""

    @property
    @abc.abstractmethod
    def length(self) -> int:
        """How many rows its table has; 0 if it has none."""

    @abc.abstractmethod
    def padded(self, length: int) -> "AbstractInput":
        """The same input with a table of that many rows, or of its own if that is longer."""

    @abc.abstractmethod
    def check(self, first: float, last: float, what: str) -> None:
        """Raises `ValueError` where it does not cover the times from `first` to `last`.

        `what` is what messages call it.
        """


def inputs_in(tree: Any) -> list[AbstractInput]:
    """All inputs in a tree, their `Parameter`s resolved."""
    is_input = lambda node: isinstance(node, AbstractInput)
    nodes = jtu.tree_leaves(tree, is_leaf=is_input)
    return [resolve(node) for node in nodes if is_input(node)]


def check_inputs(tree: Any, first: float, last: float, name: str) -> None:
    """Raises `ValueError` where an input in a tree does not cover the times of a solve."""
    is_input = lambda node: isinstance(node, AbstractInput)
    for path, node in jtu.tree_leaves_with_path(tree, is_leaf=is_input):
        if is_input(node):
            node.check(first, last, f"{name}: inputs{jtu.keystr(path)}")


def jump_times(tree: Any, dtype: Any) -> Float[Array, " jumps"]:
    """The times of all jumps of all inputs in a tree, sorted."""
    each = [jnp.ravel(node.jumps).astype(dtype) for node in inputs_in(tree)]
    return jnp.sort(jnp.concatenate(each)) if each else jnp.zeros(0, dtype)


def last_at(times: Float[Array, " times"], t: Any) -> Int[Array, ""]:
    """The number of the last of sorted times up to and including `t`; -1 before the first."""
    times, t = jax.lax.stop_gradient((times, t))
    method = "compare_all" if times.size <= _FEW_TIMES else "scan_unrolled"
    return jnp.searchsorted(times, t, side="right", method=method) - 1


def checked_times(times: Any, what: str, *, at_least: int = 1) -> np.ndarray:
    """Finite, increasing times as a vector; `ValueError` otherwise."""
    found = np.asarray(times, dtype=getattr(times, "dtype", float))
    if found.ndim != 1 or found.size < at_least:
        plural = "" if at_least == 1 else "s"
        raise ValueError(
            f"{what}: times of shape {found.shape}: a vector of at least {at_least} time{plural} "
            "is needed."
        )
    check_finite(found, f"{what}: times")
    wrong = np.flatnonzero(np.diff(found) <= 0)
    if wrong.size:
        i = int(wrong[0])
        raise ValueError(
            f"{what}: times[{i + 1}] = {found[i + 1]} does not come after times[{i}] = "
            f"{found[i]}: sort them, and give each once."
        )
    return found


def check_values(values: Any, times: np.ndarray, what: str) -> None:
    """Raises `ValueError` unless there is one row of finite values a time."""
    shape = np.shape(resolve(values))
    if shape[:1] != times.shape:
        raise ValueError(
            f"{what}: values of shape {shape} for {times.size} times: give one row a time."
        )
    check_finite(values, f"{what}: values")


def check_finite(values: Any, what: str) -> None:
    """Raises `ValueError` where an entry is not finite, as far as there are values to look at."""
    given = resolve(values)
    if isinstance(given, jax.core.Tracer):
        return
    found = np.asarray(given)
    bad = np.argwhere(~np.isfinite(found))
    if len(bad):
        index = [int(i) for i in bad[0]] or ""
        raise ValueError(f"{what}{index} is {found[tuple(bad[0])]}: it must be finite.")
