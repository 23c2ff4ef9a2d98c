"""A network whose noise is learned from the errors on rows that were left out.

A flexible mean leaves smaller errors on the rows it was fitted to than on others, and a scale that
is learned from those is too sure. Here the scale is learned from errors of rows left out, on the
hidden layer of the network as it is; then the mean anew, each row with the weight that its noise
gives it; and so on: iteratively reweighted least squares, Student's t in place of Normal, its
weights cross-fitted.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

import likelihax as lhx
from benchmarks.uci.network import Network, extended
from benchmarks.uci.sets import Matrix
from benchmarks.uci.training import Trained, penalised, trained_further
from likelihax.likelihoods import StudentT


class Noise(eqx.Module):
    """The logarithm of a scale, linear in a hidden layer."""

    weights: Array
    shift: Array

    def __call__(self, features: Array) -> Array:
        return features @ self.weights + self.shift


class Told(NamedTuple):
    """The networks with their noise, and the NLL of errors on rows left out."""

    members: list[lhx.Predictor]
    held_out: float


def told(by: Trained) -> Told:
    """Noise, mean, noise and so on; the noise is the last to be learned."""
    members, without = by.members, by.without
    errors = _errors(by, without)
    for _ in range(by.effort.rounds):
        weighed = _weighed(by, members[0], errors)
        objective = penalised(by.cost, errors.dtype)
        found = lhx.cross_fit(
            objective,
            [lhx.Predictor(one, weighed) for one in without],
            by.table(),
            folds=by.folds,
            method=by.further,
            progress=False,
        )
        errors = by.split.target - found.predictions.astype(errors.dtype)
        without = [one.model for one in found.predictors]
        fitted = trained_further(objective, weighed, members, by.table(), by.further)
        members = [one.model for one in fitted]
    each = [_noise(by, member, errors) for member in members]
    held_out = [float(fit.nll) / fit.data.num_observed for fit in each]
    together = [_together(*pair) for pair in zip(members, each, strict=True)]
    return Told(together, held_out[0])


def _errors(by: Trained, without: list[Network]) -> Matrix:
    """What each row is off by in the network without it; NaN where none was."""
    found = np.full_like(by.split.target, np.nan)
    for fold, network in enumerate(without):
        left = by.folds == fold
        found[left] = by.split.target[left] - np.asarray(network(by.split.features[left]))
    return found


def _dof(predictor: lhx.Predictor) -> Any:
    return predictor.likelihood.dof


def _loadings(predictor: lhx.Predictor) -> Any:
    return predictor.model.weights


# That of M. Juarez and M. Steel (2010, "Model-based clustering of non-Gaussian panel data based on
# skew-t distributions", J. Bus. Econ. Stat. 28).
_PRIOR = lhx.terms.Prior(_dof, dist.Gamma(2.0, 0.1))
_OBJECTIVE = lhx.NLL() + lhx.terms.L2(_loadings) + _PRIOR


def _noise(by: Trained, network: Network, errors: Matrix) -> lhx.Fit:
    """The noise on the hidden layer of a network."""
    # Few numbers, whose optimum is sharp: in double precision on every set.
    features = np.asarray(network.features(by.split.features), float)
    begin = np.log(np.nanmedian(np.abs(errors)) + 1e-3)
    dof = lhx.constrained(5.0, constraints.greater_than(2.0))
    start = lhx.Predictor(
        Noise(jnp.zeros(features.shape[1]), jnp.asarray(begin, float)),
        StudentT(lhx.predicted(), dof, loc=0.0),
    )
    table = lhx.Dataset(features, errors.astype(float))
    method = lhx.BFGS(max_steps=by.effort.further)
    return lhx.fit(_OBJECTIVE, start, table, method=method, throw=False, progress=False)


def _weighed(by: Trained, network: Network, errors: Matrix) -> StudentT:
    """The likelihood of every training row, its noise known."""
    found = _noise(by, network, errors).predictor
    said = found(jnp.asarray(np.asarray(network.features(by.split.features), float)))
    known = lambda number: np.asarray(number, errors.dtype)
    return StudentT(known(said.scale), known(found.likelihood.dof.value)[()])


def _together(network: Network, noise: lhx.Fit) -> lhx.Predictor:
    """The mean and its noise as one network, which is passed once."""
    dtype = network.last.dtype
    found = noise.predictor
    both = extended(network, [1.0, 0.0], [0.0, float(found.model.shift)])
    column = found.model.weights.astype(dtype)
    both = eqx.tree_at(lambda n: n.last, both, both.last.at[:, 1].set(column))
    dof = np.asarray(found.likelihood.dof.value, dtype)[()]
    return lhx.Predictor(both, StudentT(lhx.predicted(), dof))
