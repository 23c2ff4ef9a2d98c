"""Where an ODE rests: the state from which it starts if it has been running for ever."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu
import optimistix as optx
from jaxtyping import Array, PyTree

from .._result import RESULTS

_MAX_STEPS = 256


def steady_state(
    field: Callable[..., PyTree], t: Array, near: PyTree, inputs: Any, rtol: float, atol: float
) -> tuple[PyTree, RESULTS]:
    """The root of `field(t, y, inputs)` that is found from the state `near`.

    Derivatives go through the implicit function theorem, not through the iterations. Where the
    field has no isolated root, for instance since a mass is conserved, they do not exist.
    """
    dtype = jnp.result_type(*jtu.tree_leaves(near))
    eps = float(jnp.finfo(dtype).eps)
    # Newton's last step is far smaller than the one before, so the root is exact to rounding.
    solver: Any = optx.Dogleg(rtol=max(1e-3 * rtol, 64 * eps), atol=1e-3 * atol)
    found: Any = optx.root_find(
        lambda y, _: field(t, y, inputs), solver, near, max_steps=_MAX_STEPS, throw=False
    )
    finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jtu.tree_leaves(found.value)]
    ok = (found.result == optx.RESULTS.successful) & jnp.all(jnp.stack(finite))
    result = RESULTS.where(ok, RESULTS.successful, RESULTS.no_steady_state)
    # What is not a number must not reach the solver, which would take it for a failure of its own.
    value = jtu.tree_map(lambda root, guess: jnp.where(ok, root, guess), found.value, near)
    return value, result
