"""Bands about a prediction: where its mean may be, and where a new observation may be."""

from dataclasses import dataclass
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array
from scipy.special import ndtri

from ..._information import Spread
from ..._parameters import map_nodes, pack, resolve, unpack
from ..._result import RESULTS, describe
from ...data import AbstractData, Dataset, Experiment
from ...fits import Fit
from ...likelihoods import AbstractLikelihood
from ...models import ODE, AbstractSimulator
from ...objectives import Unknowns
from .._checks import check_fit, check_level

# Points of a Sobol sequence, in as many dimensions as a value has outputs, and one.
_DRAWS = 8192


@dataclass(frozen=True, eq=False)
class Bands:
    """The predicted mean with two bands, each array shaped like the values.

    **Attributes:**

    - `mean`: the mean of an observation at the estimates.
    - `mean_lower`, `mean_upper`: the band of the mean: the parameters may be off.
    - `lower`, `upper`: the band of a new observation: it scatters too.
    - `level`: the probability that each holds, value by value.

    Infinite where the data do not determine the prediction.
    """

    mean: np.ndarray
    mean_lower: np.ndarray
    mean_upper: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    level: float


def bands(
    fit: Fit,
    at: Any = None,
    *,
    level: float = 0.95,
    information: Literal["observed", "expected", "sandwich"] = "observed",
    dof: Literal["sample", "residual"] = "sample",
    dispersion: Literal["model", "pearson"] = "model",
    cluster: str = "row",
) -> Bands:
    r"""The Laplace approximation's predictive bands, of the mean and of a new observation.

    The parameters are Normal about the estimates, in the unconstrained space of the fit; the
    likelihood's parameters are linear in them, on the scales on which every number is valid (the
    linearised Laplace approximation: Immer, Korzepa and Bauer 2021, AISTATS). Then the mean, and
    an observation, have the distribution that the likelihood gives them, whatever the family.
    Quantiles are taken over a fixed Sobol sequence, so that they are the same at every call.

    **Arguments:**

    - `fit`: a fit of a predictor that converged.
    - `at`: where: the fitted data by default, other data, or the times of one experiment (with the
        fitted one's inputs), or the inputs of a table.
    - `level`: the probability of each band.
    - `information`, `dof`, `dispersion`, `cluster`: as for `Fit.covariance`.

    Raises `ValueError` where the model cannot be solved there, and where the family has no mean.
    """
    check_fit(fit, "bands")
    check_level(level, "bands")
    data, extra = _where(fit, at)
    spread = fit.spread(information, dof, dispersion, cluster)
    outputs, jacobians, result = _linearised(fit.unknowns, data)
    if result != RESULTS.successful:
        raise ValueError(f"bands: the model cannot be solved there. {describe(result)}")
    likelihood = resolve(fit.predictor).likelihood_of(data)
    shape, dtype = data.values.shape, data.values.dtype
    batch = len(shape) - likelihood.event_ndim
    flat = lambda array: array.reshape(-1, *array.shape[batch:])
    each = tuple(map(flat, outputs)), tuple(map(flat, jacobians))
    points = jnp.asarray(_points(sum(array[0].size for array in each[0])), dtype)
    found = _quantiles(likelihood, *each, jnp.asarray(spread.factor, dtype), points, level)
    mean, *ends = [np.array(array).reshape(shape) for array in found]
    if not np.all(np.isfinite(mean)):
        raise ValueError(f"bands: {type(likelihood).__name__} has no finite mean at the estimates.")
    lost = _lost(spread, jacobians, batch)
    lost = np.broadcast_to(lost.reshape(lost.shape + (1,) * likelihood.event_ndim), mean.shape)
    for array, end in zip(ends, (-np.inf, np.inf, -np.inf, np.inf), strict=True):
        array[lost] = end
    mean, *ends = (array[extra:] for array in (mean, *ends))
    return Bands(mean, ends[0], ends[1], ends[2], ends[3], level)


def _where(fit: Fit, at: Any) -> tuple[AbstractData, int]:
    """The data whose times or inputs are meant, and how many rows before them are extra.

    What was measured there does not matter.
    """
    data = fit.data
    if not isinstance(data, AbstractData):
        raise ValueError(f"bands: the fitted data are {type(data).__name__}, not measured values.")
    if at is None or isinstance(at, AbstractData):
        return data if at is None else at, 0
    if isinstance(data, Experiment):
        times = np.asarray(at, data.times.dtype).reshape(-1)
        start = _start(fit.predictor.model, data)
        if times.size and times[0] < start:
            raise ValueError(f"bands: the solve begins at t = {start:g}, after t = {times[0]:g}.")
        # A solve begins where that of the fitted data does.
        extra = int(times.size > 0 and times[0] > start > -np.inf)
        times = np.concatenate([np.full(extra, start), times])
        values = np.zeros((*times.shape[:1], *data.values.shape[1:]), data.values.dtype)
        groups = dict(data.groups)
        there = Experiment(
            times,
            values,
            data.inputs,
            name=data.name,
            observables=data.observables,
            groups=groups,
            dtype=values.dtype,
        )
        return there, extra
    if isinstance(data, Dataset):
        rows = jtu.tree_leaves(at)[0].shape[0]
        values = np.zeros((rows, *data.values.shape[1:]), data.values.dtype)
        return Dataset(at, values, name=data.name, observables=data.observables), 0
    raise ValueError(
        "bands: several experiments were fitted: say at which data, experiments with the same "
        "names, by likelihax.Experiments([...])."
    )


def _start(model: Any, data: Experiment) -> float:
    """When the solve begins; minus infinity for what is not solved."""
    return float(model.start_time(data.times)) if isinstance(model, ODE) else -np.inf


@eqx.filter_jit
def _linearised(
    unknowns: Unknowns, data: AbstractData
) -> tuple[tuple[Array, ...], tuple[Array, ...], RESULTS]:
    """The likelihood's outputs for every value, and how they depend on the fitter's numbers."""
    forward = map_nodes(AbstractSimulator, lambda node: node.differentiated("forward"), unknowns)

    def outputs(theta: Array) -> Any:
        predictor = resolve(unpack(theta, forward)).predictor
        simulation = predictor.predict(data)
        found = predictor.likelihood_of(data).outputs(simulation.values)
        return found, (found, simulation.result)

    jacobians, (found, result) = jax.jacfwd(outputs, has_aux=True)(pack(forward))
    return found, jacobians, result


@eqx.filter_jit
def _quantiles(
    likelihood: AbstractLikelihood,
    outputs: tuple[Array, ...],
    jacobians: tuple[Array, ...],
    factor: Array,
    points: Array,
    level: float,
) -> list[Array]:
    """The mean at the estimates, then the ends of both bands, each with one row a value."""
    ends = jnp.asarray([0.5 - level / 2, 0.5 + level / 2], points.dtype)

    def one(of_value: Any) -> tuple[Array, ...]:
        centre, slopes = of_value
        off = moves(slopes, factor, points[:, :-1])
        there = tuple(o + by for o, by in zip(centre, off, strict=True))
        mean, means, drawn = _drawn(likelihood, centre, there, points[:, -1])
        of_mean, of_value = jnp.quantile(means, ends, axis=0), jnp.quantile(drawn, ends, axis=0)
        return mean, of_mean[0], of_mean[1], of_value[0], of_value[1]

    return list(jax.lax.map(one, (outputs, jacobians), batch_size=64))


def moves(slopes: tuple[Array, ...], factor: Array, normal: Array) -> list[Array]:
    """By how much each of a value's outputs is off, for standard Normal points, a row each."""
    sizes = [slope[..., 0].size for slope in slopes]
    rows = jnp.concatenate([slope.reshape(-1, slope.shape[-1]) for slope in slopes]) @ factor
    variances, axes = jnp.linalg.eigh(rows @ rows.T)
    # The widest axis takes the points' first, most evenly spread dimension.
    root = (axes * jnp.sqrt(jnp.maximum(variances, 0.0))[None, :])[:, ::-1]
    moved = jnp.split(normal @ root.T, np.cumsum(sizes)[:-1].tolist(), axis=1)
    return [part.reshape(-1, *slope.shape[:-1]) for part, slope in zip(moved, slopes, strict=True)]


def _drawn(
    likelihood: AbstractLikelihood,
    centre: tuple[Array, ...],
    there: tuple[Array, ...],
    uniform: Array,
) -> tuple[Array, Array, Array]:
    """The mean at the centre, the means there, and an observation from each."""
    # NumPyro mixes integers with floats here and there, which strict promotion would refuse.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        distribution = likelihood.from_outputs(there)
        try:
            mean, means = likelihood.from_outputs(centre).mean, distribution.mean
        except NotImplementedError:
            raise ValueError(f"bands: {type(likelihood).__name__} has no mean.") from None
        try:
            drawn = distribution.icdf(uniform)
        except NotImplementedError:  # always the same draws
            drawn = distribution.sample(jax.random.key(0))
    return mean, means, drawn.astype(means.dtype)


def _points(outputs: int) -> np.ndarray:
    """Standard Normal numbers for the outputs, and a uniform one for the scatter, a row each."""
    from scipy.stats.qmc import Sobol  # which takes a second to import

    found = Sobol(outputs + 1, scramble=True, bits=30, rng=np.random.default_rng(0))
    half = found.random(_DRAWS // 2) + 2.0**-31
    cube = np.concatenate([half, 1 - half])  # so that both ends of a band are alike
    return np.column_stack([ndtri(cube[:, :-1]), cube[:, -1]])


def _lost(spread: Spread, jacobians: tuple[Array, ...], batch: int) -> np.ndarray:
    """For which values an output is not determined."""
    each = []
    for jacobian in jacobians:
        array = np.asarray(jacobian)
        known = spread.determines(array.reshape(-1, array.shape[-1]))
        by_value = known.reshape(*array.shape[:batch], -1)
        each.append(~by_value.all(axis=-1))
    return np.logical_or.reduce(each)
