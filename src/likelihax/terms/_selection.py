"""Which of a predictor's numbers a term is about, and how much each weighs."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Float

from .._parameters import KNOWN, TRANSFORMED, pack, positions, resolve, unit_scales

Where = Callable[[Any], Any]


def check_where(where: Any, term: str, example: str) -> None:
    """Raises `ValueError` where `where` is no function."""
    if not callable(where):
        raise ValueError(
            f"{term}: where is {where!r}: it must be a function from the predictor to what is "
            f"meant, for instance {example}."
        )


def selected(where: Where, predictor: Any) -> list[Array]:
    """The selected numbers as arrays, from a predictor whose `Parameter`s are resolved."""
    leaves = jtu.tree_leaves(where(predictor))
    return [leaf for leaf in leaves if eqx.is_inexact_array(leaf)]


def flat(where: Where, predictor: Any) -> Float[Array, " selected"]:
    """The same as one vector."""
    return jnp.concatenate([jnp.ravel(leaf) for leaf in selected(where, predictor)])


def places(where: Where, tree: Any, term: str) -> np.ndarray:
    """Where the selected numbers stand in the vector of `pack`; see `positions`.

    Raises `ValueError` where nothing is selected, or nothing that is fitted.
    """
    try:
        found = where(positions(tree))
    except (AttributeError, TypeError, IndexError, KeyError) as error:
        raise ValueError(
            f"{term}: where cannot be applied to the predictor ({error}). It must select leaves "
            "or parts of them, for instance lambda p: p.model.coefficients[1:]."
        ) from error
    arrays = [np.ravel(leaf) for leaf in jtu.tree_leaves(found) if is_places(leaf)]
    flat_places = np.concatenate(arrays) if arrays else np.zeros(0, int)
    if flat_places.size == 0:
        raise ValueError(
            f"{term}: where selects nothing: no fitted array is there. Look at what it returns."
        )
    if np.any(flat_places == KNOWN):
        raise ValueError(
            f"{term}: where selects something that is known (frozen), which no fit changes: "
            "select fitted parameters only."
        )
    return flat_places


def plain_places(where: Where, tree: Any, term: str) -> np.ndarray:
    """`places` of plain real numbers only, each selected once.

    Raises `ValueError` also for a parameter with a constraint, for a `where` that computes
    something, and for what is selected twice.
    """
    found = places(where, tree, term)
    if np.any(found == TRANSFORMED):
        raise ValueError(
            f"{term}: where selects a parameter with a constraint, such as positive(...), which "
            "cannot become zero exactly: make it real(...), or leave it out."
        )
    if np.unique(found).size < found.size:
        raise ValueError(f"{term}: where selects a number twice.")
    if not _are_what_is_selected(where, tree, found):
        raise ValueError(
            f"{term}: where computes something: it must select numbers as they are, so that each "
            "can be set to zero. Write what is computed into the model."
        )
    return found


def _are_what_is_selected(where: Where, tree: Any, found: np.ndarray) -> bool:
    everything = np.asarray(pack(tree) * unit_scales(tree))
    if (
        not np.issubdtype(found.dtype, np.integer)
        or found.min() < 0
        or found.max() >= len(everything)
    ):
        return False
    values = np.asarray(flat(where, resolve(tree)))
    expected = everything[found]
    return values.shape == expected.shape and np.allclose(values, expected, rtol=1e-5, atol=0)


def count_selected(where: Where, tree: Any) -> int:
    """How many arrays are selected, `Parameter`s still in place or not."""
    leaves = jtu.tree_leaves(where(positions(tree)))
    return sum(map(is_places, leaves))


def is_places(leaf: Any) -> bool:
    """Whether it is what `positions` has of an array, or of one number of it."""
    return isinstance(leaf, np.ndarray | np.generic)


def checked_weights(weights: Any, term: str) -> Array | None:
    """The weights as a vector; `ValueError` where one is negative or not finite."""
    if weights is None:
        return None
    found = np.ravel(np.asarray(weights, dtype=float))
    bad = np.flatnonzero(~(np.isfinite(found) & (found >= 0)))
    if bad.size:
        raise ValueError(
            f"{term}: weights[{bad[0]}] = {found[bad[0]]}: a weight must be finite and not "
            "negative. Give 0 to what shall not be penalised."
        )
    return jnp.asarray(found)


def weights_for(weights: Array | None, size: int, term: str) -> Array:
    """One weight for each of `size` numbers; `ValueError` where their count differs."""
    if weights is None:
        return jnp.ones(size)
    if weights.size != size:
        raise ValueError(
            f"{term}: {weights.size} weights for {size} selected numbers: give one for each."
        )
    return weights
