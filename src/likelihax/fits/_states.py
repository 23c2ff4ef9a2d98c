"""What the state may be at the measured times, before anything is fitted."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .._parameters import resolve
from .._predictor import Predictor
from ..models import ODE
from ._measure import mean_of

_CORRECTIONS = 3


def guessed_states(predictor: Predictor, data: Any) -> Float[np.ndarray, "times size"]:
    """A state for each measured time of one experiment, as a vector.

    Of all states that explain what was measured, interpolated where it is missing, the one that is
    nearest to the initial state: what is not measured stays where it was.
    """
    times, *inputs = data.arguments
    shape = (times.size, -1)
    values = np.asarray(data.values).reshape(shape)
    observed = np.asarray(data.observed).reshape(shape)
    columns = zip(values.T, observed.T, strict=True)
    filled = np.stack([_filled(np.asarray(times), *column) for column in columns], axis=1)
    known = jnp.asarray(observed.any(axis=0))
    given = inputs[0] if inputs else None
    return np.asarray(_nearest(predictor, times, given, jnp.asarray(filled), known))


def spread_of(states: np.ndarray) -> np.ndarray:
    """How much each state varies; where a guess does not say, its size, or the others' spread."""
    spread = np.std(states, axis=0)
    known = spread > 0
    others = np.mean(spread[known]) if known.any() else 1.0
    return np.where(known, spread, np.maximum(np.max(np.abs(states), axis=0), others))


def _filled(times: np.ndarray, values: np.ndarray, observed: np.ndarray) -> np.ndarray:
    return np.interp(times, times[observed], values[observed]) if observed.any() else values


@eqx.filter_jit
def _nearest(predictor: Predictor, times: Array, inputs: Any, values: Array, known: Array) -> Array:
    now = resolve(predictor)
    ode: ODE = now.model
    start, restore = ravel_pytree(ode.initial_state(times, inputs))

    def seen(t: Array, flat: Array) -> Array:
        state = jtu.tree_map(lambda leaf: leaf[None], restore(flat))
        prediction = ode.observed(t[None], state)
        mean = mean_of(now.likelihood, prediction)
        found = prediction if mean is None else mean
        return jnp.ravel(found.astype(flat.dtype))

    def corrected(t: Array, measured: Array) -> Array:
        flat = start
        for _ in range(_CORRECTIONS):
            if seen(t, flat).shape != measured.shape:
                return start
            off = jnp.where(known, measured - seen(t, flat), 0.0)
            slopes = jnp.where(known[:, None], jax.jacfwd(lambda y: seen(t, y))(flat), 0.0)
            flat = flat + jnp.linalg.pinv(slopes) @ off
        return jnp.where(jnp.all(jnp.isfinite(flat)), flat, start)

    return jax.vmap(corrected)(times, values)
