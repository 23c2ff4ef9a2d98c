"""What a posterior, or its priors alone, predict of the data."""

import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro import handlers

from ..._parameters import resolve
from ...data import AbstractData
from ...objectives import NLL, AbstractObjective, Unknowns, as_sum
from ...objectives._objective import varied
from .._drawn_values import drawn_values
from ._numpyro_model import draw
from ._posterior import Posterior
from ._priors import check_proper, stated_priors


def has_likelihood(posterior: Posterior) -> bool:
    """Whether there is an NLL in the objective."""
    return bool(_nlls(posterior))


def pointwise(posterior: Posterior, z: Any) -> np.ndarray:
    """The log-likelihood of each measured value at each of several points: `(points, measured)`.

    Raises `ValueError` where the objective has no NLL.
    """
    nlls = _nlls(posterior)
    if not nlls:
        raise ValueError("There is no NLL in the objective, and so no likelihood of single values.")
    found = np.asarray(_elementwise(jnp.asarray(z), posterior))
    measured: np.ndarray = np.asarray(posterior.data.observed)
    if found.shape[1:] != measured.shape:  # a vector counts as one value
        measured = np.asarray(measured.all(axis=-1))
    return found[:, measured]


def predictive(posterior: Posterior, z: Any, key: Array) -> np.ndarray:
    """A draw of all values at each of several points: `(points, *values.shape)`."""
    points = jnp.asarray(z)
    keys = jax.random.split(key, points.shape[0])
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return np.asarray(_drawn(points, keys, posterior))


def prior_predictive(
    objective: AbstractObjective, predictor: Any, data: AbstractData, *, key: Array, num: int = 1000
) -> np.ndarray:
    """What would be measured before anything was: `num` draws, each from a draw of the priors.

    **Arguments:**

    - `objective`: a proper prior on every fitted number, and anything else, which is left out.
    - `predictor`, `data`: as for `fit`; of the data only where it was measured counts.
    - `key`: a JAX random key.
    - `num`: how many.

    Returns shape `(num, *values.shape)`, also where nothing was measured. A draw at which the model
    cannot be solved is NaN, and a `UserWarning` says how many there are. Raises `ValueError` where
    a prior cannot be drawn from, and as `draw` does.
    """
    if num < 1:
        raise ValueError(f"prior_predictive: num={num}: give 1 or more.")
    unknowns = Unknowns(varied(predictor, data), objective)
    check_proper(unknowns, stated_priors(unknowns))
    keys = jax.random.split(key, num)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        values, solved = _before_data(keys, objective, predictor, data)
    lost = int(np.sum(~np.asarray(solved)))
    if lost:
        warnings.warn(
            f"prior_predictive: the model could not be solved at {lost} of {num} draws, which are "
            "NaN: state priors that rule this out, or allow the solver more steps.",
            stacklevel=2,
        )
    return np.asarray(values)


def _before_data(
    keys: Array, objective: AbstractObjective, predictor: Any, data: AbstractData
) -> tuple[Array, Array]:
    def one(key: Array) -> tuple[Array, Array]:
        of_prior, of_values = jax.random.split(key)
        with handlers.seed(rng_seed=of_prior):
            drawn = draw(predictor, objective, data)
        solved = drawn.predict(data).success
        values = drawn_values(objective, drawn, data, of_values, again=False)
        values = values.astype(data.values.dtype)
        # Whatever the solver left there is no prediction.
        return jnp.where(_all(solved), values, jnp.nan), _all(solved)

    # Not as arguments: what priors are on is looked up in values, which must be there.
    return jax.jit(lambda keys: _over(one, keys))(keys)


def _all(flags: Any) -> Array:
    return jnp.all(jnp.asarray(flags))


def _nlls(posterior: Posterior) -> list[NLL]:
    return [part for part in as_sum(posterior.unknowns.objective).parts if isinstance(part, NLL)]


@eqx.filter_jit
def _elementwise(z: Array, posterior: Posterior) -> Array:
    def one(z: Array) -> Array:
        predictor = resolve(posterior.predictor(z))
        each = [nll.elementwise(predictor, posterior.data)[0] for nll in _nlls(posterior)]
        return -jnp.sum(jnp.stack(each), axis=0)

    return _over(one, z)


@eqx.filter_jit
def _drawn(z: Array, keys: Array, posterior: Posterior) -> Array:
    def one(at: tuple[Array, Array]) -> Array:
        z, key = at
        objective = posterior.unknowns.objective
        return drawn_values(objective, posterior.predictor(z), posterior.data, key, again=True)

    return _over(one, (z, keys))


def _over(one: Any, points: Any) -> Any:
    # One after the other where each solve takes steps of its own, all at once where that is faster.
    return jax.lax.map(one, points) if jax.default_backend() == "cpu" else jax.vmap(one)(points)
