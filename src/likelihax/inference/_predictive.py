"""What a posterior, or its priors alone, predict of the data."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._parameters import resolve
from ..objectives import NLL, as_sum
from ._posterior import Posterior


def pointwise(posterior: Posterior, z: Any) -> np.ndarray:
    """The log-likelihood of each measured value at each of several points: `(points, measured)`.

    Raises `ValueError` where the objective has no NLL.
    """
    nlls = _nlls(posterior)
    if not nlls:
        raise ValueError("There is no NLL in the objective, and so no likelihood of single values.")
    found = np.asarray(_elementwise(jnp.asarray(z), posterior))
    measured = np.asarray(posterior.data.observed)
    if found.shape[1:] != measured.shape:  # a vector counts as one value
        measured = measured.all(axis=-1)
    return found[:, measured]


def predictive(posterior: Posterior, z: Any, key: Array) -> np.ndarray:
    """A draw of all values at each of several points: `(points, *values.shape)`."""
    points = jnp.asarray(z)
    keys = jax.random.split(key, points.shape[0])
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return np.asarray(_drawn(points, keys, posterior))


def _nlls(posterior: Posterior) -> list[NLL]:
    return [part for part in as_sum(posterior.unknowns.objective).parts if isinstance(part, NLL)]


@eqx.filter_jit
def _elementwise(z: Array, posterior: Posterior) -> Array:
    def one(z: Array) -> Array:
        predictor = resolve(posterior.predictor(z))
        each = [nll.elementwise(predictor, posterior.data)[0] for nll in _nlls(posterior)]
        return -sum(each)

    return _over(one, z)


@eqx.filter_jit
def _drawn(z: Array, keys: Array, posterior: Posterior) -> Array:
    def one(at: tuple[Array, Array]) -> Array:
        z, key = at
        return posterior.predictor(z).predictive(posterior.data).sample(key)

    return _over(one, (z, keys))


def _over(one: Any, points: Any) -> Any:
    # One after the other where each solve takes steps of its own, all at once where that is faster.
    return jax.lax.map(one, points) if jax.default_backend() == "cpu" else jax.vmap(one)(points)
