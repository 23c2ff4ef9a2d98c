"""What is predicted for every row, for the terms that are about it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import Distribution
from numpyro.distributions.distribution import validation_enabled

from .._predictor import Predictor
from ..data import AbstractData
from ..models import Simulation
from ..objectives._objective import Evaluation, solved


class Predicted(NamedTuple):
    """The predictive distribution of all rows, and the solve behind it."""

    distribution: Distribution
    simulation: Simulation


def predicted_rows(predictor: Predictor, data: AbstractData) -> Predicted:
    """What is predicted for every row of the data, measured or not."""
    simulation = predictor.predict(data)
    # What is out of range shall be an infinite value here, as it is where nothing is looked at.
    with validation_enabled(False):
        return Predicted(predictor.likelihood_of(data).distribution(simulation.values), simulation)


def evaluated_rows(total: Array, simulation: Simulation) -> Evaluation:
    """The evaluation of a term: infinite, never NaN, where there is no prediction."""
    usable = simulation.success & jnp.isfinite(total)
    return solved(jnp.where(usable, total, jnp.inf), simulation)


def check_kinds(predictor: Any, data: Any, term: str) -> None:
    """Raises `ValueError` where there is no predictive distribution to ask."""
    if not isinstance(predictor, Predictor):
        raise ValueError(
            f"{term}: expected a Predictor (model and likelihood), got {type(predictor).__name__}."
        )
    if not isinstance(data, AbstractData):
        raise ValueError(f"{term}: expected an Experiment or a Dataset, got {type(data).__name__}.")


def expected_values(distribution: Distribution) -> Array:
    """The mean; of labels, which have none, the probability of each as a last axis."""
    if isinstance(distribution, dist.CategoricalLogits):
        return jax.nn.softmax(distribution.logits, axis=-1)
    if isinstance(distribution, dist.CategoricalProbs):
        return distribution.probs
    return distribution.mean
