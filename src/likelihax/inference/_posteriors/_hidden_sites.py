"""Values given what is hidden in their noise, as two sites of a NumPyro model."""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpyro
from jaxtyping import Array
from numpyro import distributions as dist

from ..._parameters import resolve
from ...data import AbstractData
from ...objectives import NLL, GroupNLL, HiddenNoise
from ...objectives._hidden_noise import check_random_noise, hidden_noise
from ._sites import over_batch


def observe_given_hidden(
    name: str, predictor: Any, data: AbstractData, nll: NLL | GroupNLL, observed: bool
) -> Array:
    """Two sites: what is hidden, called `name hidden`, and the values given it.

    Raises `ValueError` where nothing is hidden, or values count otherwise than once.
    """
    check_random_noise(predictor, "latent=True")
    if isinstance(nll, NLL) and (nll.weights is not None or not nll.is_density):
        raise ValueError(
            "latent=True: values that count more or less than once have no hidden noise of their "
            "own: give NLL() without weights and reduction, or GroupNLL()."
        )
    of_row = nll.of_row(data) if isinstance(nll, GroupNLL) else None
    # The groups of the rows are the same in all plates.
    arrays = lambda p: replace(_hidden(nll, p, data), of_row=None)
    noise: HiddenNoise = replace(over_batch(arrays, predictor), of_row=of_row)
    axes = data.values.ndim
    hidden = numpyro.sample(f"{name} hidden", noise.prior.to_event(axes))
    given = noise.given(hidden)
    lost = jnp.any(noise.lost & data.observed, axis=tuple(range(-axes, 0)))
    numpyro.factor(f"{name} solved", jnp.where(lost, -jnp.inf, 0.0))
    site = dist.Normal(given.loc, given.scale).mask(data.observed).to_event(axes)
    found: Array = numpyro.sample(name, site, obs=data.values if observed else None)
    return found


def _hidden(nll: NLL | GroupNLL, predictor: Any, data: AbstractData) -> HiddenNoise:
    if isinstance(nll, GroupNLL):
        return resolve(nll).hidden(resolve(predictor), data)
    return hidden_noise(resolve(predictor), data)[0]
