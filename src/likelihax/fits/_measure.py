"""What learning curves measure at each point of a fit, inside the compiled loop."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array, Bool, Float, Int

from .._parameters import resolve, unpack
from .._predictor import Predictor
from ..data import AbstractData
from ..likelihoods import AbstractLikelihood, Censored, IntervalCensored, VonMises
from ..models import Simulation
from ..objectives import NLL
from ._problem import Problem

# Their values are bounds or angles: a difference from the mean is not an error.
_WITHOUT_ERRORS = (Censored, IntervalCensored, VonMises)


class Score(eqx.Module):
    """How well a predictor does on some data; a number each, or one for each step.

    **Attributes:**

    - `nll`: the mean NLL of the measured values, in nats.
    - `mse`: the mean squared distance of the measured values from their predicted means, if the
        family has means.
    """

    nll: Array
    mse: Array | None


class Measured(eqx.Module):
    """Everything that is measured at one point, or the curves made of it.

    **Attributes:**

    - `names`: what the parts of the objective are called.
    - `parts`: the parts.
    - `train`: how well the predictor does on the data that are fitted, if it has a likelihood.
    - `validation`: how well on other data, if there are any.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    parts: tuple[Array, ...]
    train: Score | None
    validation: Score | None


@final
class Measure(eqx.Module):
    """What to measure at each point of a fit: the fitted data always, and other data."""

    validation: AbstractData | None = None

    def __call__(self, problem: Problem, theta: Float[Array, " size"]) -> Measured:
        """Everything at one point, infinite where it is not finite."""
        now = resolve(unpack(theta, problem.unknowns))
        parts = now.objective.breakdown(now.predictor, problem.data)
        scored = isinstance(now.predictor, Predictor) and isinstance(problem.data, AbstractData)
        measured = Measured(
            names=tuple(parts),
            parts=tuple(parts.values()),
            train=_score(now.predictor, problem.data) if scored else None,
            validation=None if self.validation is None else _score(now.predictor, self.validation),
        )
        return jtu.tree_map(lambda x: jnp.where(jnp.isfinite(x), x, jnp.inf), measured)

    def check(self, predictor: Any) -> None:
        """Raises `ValueError` where the predictor cannot be compared with the other data."""
        other = self.validation
        if other is None:
            return
        if not isinstance(other, AbstractData):
            raise ValueError(
                "fit: validation must be an Experiment or a Dataset, as the data are, not "
                f"{type(other).__name__}."
            )
        if not isinstance(predictor, Predictor):
            raise ValueError(
                "fit: validation is compared through a likelihood: it needs a Predictor (model and "
                f"likelihood), not {type(predictor).__name__}."
            )
        try:
            NLL().check(predictor, other)
            eqx.filter_eval_shape(lambda both: _score(*both), (resolve(predictor), other))
        except ValueError as error:
            raise ValueError(f"fit: validation: {error}") from error


def blank(measured: Measured, length: int) -> Measured:
    """Curves of some length, infinite all along, for what is measured."""
    return jtu.tree_map(lambda x: jnp.full((length,), jnp.inf, x.dtype), measured)


def put(
    curves: Measured, measured: Measured, at: Int[Array, ""], usable: Bool[Array, ""]
) -> Measured:
    """The curves with one step filled in, unless the point was not usable."""
    return jtu.tree_map(
        lambda curve, x: curve.at[at].set(jnp.where(usable, x, jnp.inf)), curves, measured
    )


def _score(predictor: Predictor, data: AbstractData) -> Score:
    each, simulation = NLL().elementwise(predictor, data)
    event = tuple(range(-predictor.likelihood.event_ndim, 0))
    count = jnp.sum(jnp.all(data.observed, axis=event))
    return Score(
        nll=jnp.sum(each) / count.astype(each.dtype),
        mse=_mean_square(predictor.likelihood, simulation, data),
    )


def _mean_square(
    likelihood: AbstractLikelihood, simulation: Simulation, data: AbstractData
) -> Array | None:
    mean = mean_of(likelihood, simulation.values)
    if mean is None or mean.shape != data.values.shape:
        return None
    squares = jnp.where(data.observed, (data.values - mean.astype(data.values.dtype)) ** 2, 0.0)
    found = jnp.sum(squares) / jnp.sum(data.observed).astype(squares.dtype)
    return jnp.where(simulation.success, found, jnp.inf)


def mean_of(likelihood: AbstractLikelihood, prediction: Array) -> Array | None:
    """The mean of what is predicted, if the family has one and its values are plain numbers."""
    if isinstance(likelihood, _WITHOUT_ERRORS):
        return None
    # NumPyro mixes integers with floats here and there, which strict promotion would refuse.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        try:
            return likelihood.distribution(prediction).mean
        except (NotImplementedError, AssertionError):  # NumPyro does not have every mean
            return None
