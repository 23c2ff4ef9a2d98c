"""What the known and the learned part of a vector field contribute along a trajectory."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, PyTree

from .._parameters import resolve
from ._learned import has_learned, without_learned
from ._ode import ODE
from ._surrogate import Surrogate


class Contributions(eqx.Module):
    """Rates of change along a trajectory, in two parts that sum to the vector field.

    **Attributes:**

    - `times`: when.
    - `known`: the rates with the learned part switched off, a column a component of the state.
    - `learned`: the rest.
    - `success`: whether the trajectory could be solved for.
    - `names`: what the components are called.
    """

    times: Float[Array, " times"]
    known: Float[Array, "times components"]
    learned: Float[Array, "times components"]
    success: Bool[Array, ""]
    names: tuple[str, ...] = eqx.field(static=True)


def field_of(model: Any) -> Any:
    """The vector field of a model that has one; `None` of any other."""
    if isinstance(model, Surrogate):
        return model.ode.field
    return model.field if isinstance(model, ODE) else None


def is_partly_learned(model: Any) -> bool:
    """Whether a model has a vector field with a learned part."""
    field = field_of(model)
    return field is not None and has_learned(field)


def contributions(
    model: ODE | Surrogate, first: Array, times: Array, inputs: Any = None
) -> Contributions:
    """What both parts contribute at `times`, solved from `first` on, doses themselves left out."""
    if isinstance(model, Surrogate):
        states, success = model.states(times), jnp.asarray(True)
    else:
        solved = model.solve(jnp.concatenate([first[None], times]), inputs)
        states, success = jtu.tree_map(lambda leaf: leaf[1:], solved.ys), solved.success
    known, learned = split(resolve(field_of(model)), times, states, inputs)
    return Contributions(times, known, learned, success, _names(states))


def split(field: Any, times: Array, states: PyTree, inputs: Any) -> tuple[Array, Array]:
    """The known and the learned part of a field's rates, each `(times, components)`."""
    off = without_learned(field)

    def both(t: Array, y: PyTree) -> tuple[Array, Array]:
        known, _ = ravel_pytree(off(t, y, inputs))
        whole, _ = ravel_pytree(field(t, y, inputs))
        return known, whole - known

    found: tuple[Array, Array] = jax.vmap(both)(times, states)
    return found


def _names(states: PyTree) -> tuple[str, ...]:
    names: list[str] = []
    for path, leaf in jtu.tree_flatten_with_path(states)[0]:
        own = "y" + jtu.keystr(path)
        shape = leaf.shape[1:]
        places = (",".join(map(str, place)) for place in np.ndindex(shape))
        names += [f"{own}[{place}]" if place else own for place in places]
    return tuple(names)
