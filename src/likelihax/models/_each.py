"""One model, solved for each of several experiments."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PyTree

from .._varying import Varying, is_varying, select
from ._simulator import AbstractSimulator, Simulation, simulate

Places = Mapping[str, Int[Array, " n"]]


def simulate_each(
    model: Any, at: Places, times: Float[Array, "n times"], inputs: PyTree
) -> Simulation:
    """The predictions for `n` experiments, along a first axis of everything.

    `at` says which member of each kind an experiment is. On a CPU one is solved after the other:
    each takes as many steps as it needs, where side by side all would wait for the longest.
    """
    if isinstance(model, AbstractSimulator) and model.forward:
        return _forward(model, at, times, inputs)
    return _mapped(lambda rest: _one(model, *rest), (at, times, inputs))


def _one(model: Any, at: Any, times: Array, inputs: PyTree) -> Simulation:
    arguments = (times,) if inputs is None else (times, inputs)
    return simulate(select(model, at), arguments)


def _mapped(function: Callable[[Any], Any], each: Any) -> Any:
    # Functions among the inputs are the same for all.
    arrays, same = eqx.partition(each, eqx.is_array)
    run = lambda arrays: function(eqx.combine(arrays, same))
    return jax.lax.map(run, arrays) if jax.default_backend() == "cpu" else jax.vmap(run)(arrays)


# Forward derivatives by a rule of our own: in each experiment only along the parameters that it
# depends on. Left to JAX, every solve would carry a tangent for every parameter of every other.
@eqx.filter_custom_jvp
def _forward(model: Any, at: Any, times: Array, inputs: PyTree) -> Simulation:
    return _mapped(lambda rest: _one(model, *rest), (at, times, inputs))


@_forward.def_jvp  # type: ignore[untyped-decorator]
def _(primals: Any, tangents: Any) -> Any:
    model, at, times, inputs = primals
    moved, *others = tangents
    if any(leaf is not None for leaf in jtu.tree_leaves(others)):
        raise ValueError("Several experiments: derivatives in times and inputs go backwards only.")
    found, slopes = _mapped(lambda rest: _with_slopes(model, moved, *rest), (at, times, inputs))
    along = jax.vmap(lambda at: ravel_pytree(_select_moved(moved, at))[0])(at)
    change = jnp.einsum("n...k,nk->n...", slopes, along)
    return found, eqx.tree_at(lambda s: s.values, jtu.tree_map(_still, found), change)


def _with_slopes(
    model: Any, moved: Any, at: Any, times: Array, inputs: PyTree
) -> tuple[Simulation, Array]:
    """The prediction, and its derivative in each number that is moved, along a last axis."""
    own = select(model, at)
    is_moved = jtu.tree_map(lambda leaf: leaf is not None, _select_moved(moved, at), is_leaf=_none)
    numbers, rest = eqx.partition(own, is_moved)
    flat, restore = ravel_pytree(numbers)
    arguments = (times,) if inputs is None else (times, inputs)

    def values(flat: Array) -> tuple[Array, Simulation]:
        found = simulate(eqx.combine(restore(flat), rest), arguments)
        return found.values, found

    push = lambda tangent: jax.jvp(values, (flat,), (tangent,), has_aux=True)
    _, slopes, found = jax.vmap(push, out_axes=(None, -1, None))(
        jnp.eye(flat.size, dtype=flat.dtype)
    )
    return found, slopes


def _select_moved(moved: Any, at: Any) -> Any:
    """`select` of tangents, which are `None` where nothing moves."""

    def pick(node: Any) -> Any:
        if not isinstance(node, Varying):
            return node
        return None if node.value is None else node.value[at[node.by]]

    return jtu.tree_map(pick, moved, is_leaf=lambda node: is_varying(node) or node is None)


def _none(node: Any) -> bool:
    return node is None


def _still(leaf: Any) -> Any:
    """The tangent of what does not move."""
    if eqx.is_inexact_array(leaf):
        return jnp.zeros_like(leaf)
    return np.zeros(leaf.shape, jax.dtypes.float0)
