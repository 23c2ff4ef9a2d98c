"""A network whose noise is learned from the errors on rows that were left out.

The scale is linear in the hidden layer of the network as it is: it takes a further output, and no
further pass.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array

import likelihax as lhx
from benchmarks.uci.network import extended
from benchmarks.uci.training import Trained


class Noise(eqx.Module):
    """The logarithm of a scale, linear in the hidden layer of a network."""

    network: Any
    weights: Array
    shift: Array

    def __call__(self, rows: Array) -> Array:
        return self.network.features(rows) @ self.weights + self.shift


def learned(by: Trained) -> tuple[list[lhx.Predictor], float]:
    """The networks with their noise, and the NLL of rows left out, in nats a row.

    Noise, mean, noise and so on; the noise is the last to be learned.
    """
    found = lhx.noise_left_out(
        by.fits,
        by.left_out,
        _begin,
        rounds=by.effort.rounds,
        penalty=_PENALTY,
        method=by.further,
        progress=False,
    )
    return list(map(_in_one_pass, found.predictors)), found.held_out


def _begin(mean: lhx.Predictor) -> Noise:
    """As large everywhere as the noise has been so far; the hidden layer stays as it is."""
    width, dtype = mean.model.last.shape[0], mean.model.last.dtype
    so_far = jnp.log(jnp.median(jnp.asarray(mean.likelihood.scale.value)))
    return Noise(jtu.tree_map(lhx.frozen, mean.model), jnp.zeros(width, dtype), so_far)


def _in_one_pass(found: lhx.Predictor) -> lhx.Predictor:
    """Mean and noise as one network."""
    mean, noise = found.model.mean, found.model.log_scale
    both = extended(mean, [1.0, 0.0], [0.0, float(noise.shift)])
    both = eqx.tree_at(lambda n: n.last, both, both.last.at[:, 1].set(noise.weights))
    return lhx.Predictor(both, found.likelihood)


def _weights(predictor: lhx.Predictor) -> Any:
    return predictor.model.weights


_PENALTY = lhx.terms.L2(_weights)
