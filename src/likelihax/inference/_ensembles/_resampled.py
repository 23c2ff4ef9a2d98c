"""Data as they might have been: cases drawn again, values simulated from a fit."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._parameters import is_parameter, nodes_of, resolve, value_of
from ..._predictor import Predictor
from ..._result import describe
from ...data import AbstractData, Dataset, Experiments
from ...fits import Fit
from ...likelihoods import IntervalCensored
from ...objectives import NLL, AbstractObjective, GroupNLL, WeightedSum, as_sum
from ...objectives._nll import _measured
from ...terms import L2, AbstractPenalty, Prior
from .._simulated_values import simulated_values

# What is said of the parameters alone and does not know the rows.
_OF_PARAMETERS = (Prior, AbstractPenalty, L2)


def number_of_cases(fit: Fit) -> int:
    """How many rows, or experiments of several, were drawn; `ValueError` where none were."""
    return int(_cases(fit).max()) + 1


def cases_of(fit: Fit) -> np.ndarray:
    """Which case each measured value belongs to, or each vector of them, in their order."""
    measured = np.asarray(_measured(fit.predictor.likelihood, fit.data))
    rows: np.ndarray = np.nonzero(measured)[0]
    found: np.ndarray = _cases(fit)[rows]
    return found


def case_counts(fit: Fit, num: int, key: Array) -> np.ndarray:
    """How often each case is drawn, in each of so many resamples: shape `(num, cases)`."""
    count = number_of_cases(fit)
    drawn = np.asarray(jax.random.randint(key, (num, count), 0, count))
    counts = np.zeros((num, count))
    np.add.at(counts, (np.arange(num)[:, None], drawn), 1.0)
    return counts


def reweighted(fit: Fit, counts: np.ndarray) -> AbstractObjective:
    """The fit's objective with its cases counted so often."""
    objective = fit.unknowns.objective
    row_weights = jnp.asarray(counts[_cases(fit)], fit.data.values.dtype)
    parts = as_sum(objective).parts
    changed = tuple(
        _weighted(part, row_weights) if isinstance(part, NLL) else part for part in parts
    )
    if not isinstance(objective, WeightedSum):
        return changed[0]
    return WeightedSum(changed, objective.weights)


def _weighted(part: NLL, rows: Array) -> NLL:
    if part.weights is None:
        return NLL(part.reduction, rows)
    before = jnp.asarray(value_of(part.weights))
    rows = rows.reshape(rows.shape + (1,) * (before.ndim - 1))
    return NLL(part.reduction, before * rows.astype(before.dtype))


def _cases(fit: Fit) -> np.ndarray:
    """Which case each row belongs to; cases where nothing was measured are none."""
    data = fit.data
    objective = fit.unknowns.objective
    parts = as_sum(objective).parts
    if not isinstance(fit.predictor, Predictor) or not any(isinstance(p, NLL) for p in parts):
        raise ValueError("bootstrap: cases can be drawn for the NLL of a predictor only.")
    others = [p for p in parts if not isinstance(p, (NLL, *_OF_PARAMETERS))]
    if others:
        raise ValueError(
            f"bootstrap: the objective's {others[0].title} looks at the rows too, and would not be "
            'resampled with them: take kind="parametric".'
        )
    if isinstance(data, Dataset):
        observed = np.asarray(data.observed)
        measured = observed.reshape(observed.shape[0], -1).any(axis=1)
        # Whatever a row of missing values weighs, it adds nothing.
        return np.where(measured, np.cumsum(measured) - 1, 0)
    if not isinstance(data, Experiments):
        raise ValueError(
            f"bootstrap: {data.name} is one experiment, whose times were chosen and not drawn: "
            'there are no cases. Take kind="parametric", or "residual".'
        )
    nodes = jax.tree_util.tree_leaves(fit.predictor, is_leaf=is_parameter)
    varying = [node for node in nodes if is_parameter(node) and node.members is not None]
    if varying:
        raise ValueError(
            f"bootstrap: a parameter varies by {varying[0].by}, and one that is not drawn would "
            'leave its own undetermined: take kind="parametric".'
        )
    return np.asarray(data.of_row)


def simulated(fit: Fit, num: int, key: Array) -> Array:
    """Values drawn from the fitted likelihood, shape `(num, *values.shape)`."""
    data = _simulable(fit)
    drawn = simulated_values(fit.objective, fit.predictor, data, key, num)
    return _checked(fit, jnp.asarray(drawn, data.values.dtype), "parametric")


def simulated_residuals(fit: Fit, num: int, key: Array) -> Array:
    """The fitted mean plus resampled standardised residuals, shaped as `simulated`.

    Residuals are centred, and drawn with replacement among those of the same observable.
    """
    data = _simulable(fit)
    if nodes_of(GroupNLL, fit.objective):
        raise ValueError(
            "bootstrap: residuals of groups that are not equally noisy are not alike: take "
            'kind="parametric".'
        )
    distribution = resolve(fit.predictor).predictive(data)
    line = np.asarray(distribution.support(jnp.asarray([-1e6, 0.5, 1e6])))
    if fit.predictor.likelihood.event_ndim or distribution.is_discrete or not line.all():
        raise ValueError(
            f"bootstrap: residuals of {type(fit.predictor.likelihood).__name__} do not add up to "
            'values: take kind="parametric".'
        )
    mean, spread = np.asarray(distribution.mean), np.sqrt(np.asarray(distribution.variance))
    shape = data.values.shape
    flat = lambda x: np.asarray(x).reshape(shape[0], -1)
    residuals = (flat(data.values) - flat(mean)) / flat(spread)
    seed = np.ravel(np.asarray(jax.random.key_data(key))).tolist()
    generator = np.random.default_rng(seed)
    drawn = np.empty((num, *residuals.shape))
    for column, seen in enumerate(flat(data.observed).T):
        own = residuals[seen, column]
        own = own - own.mean() if own.size else np.zeros(1)
        drawn[:, :, column] = generator.choice(own, (num, shape[0]))
    values = (flat(mean)[None] + flat(spread)[None] * drawn).reshape(num, *shape)
    return _checked(fit, jnp.asarray(values, data.values.dtype), "residual")


def _simulable(fit: Fit) -> AbstractData:
    data = fit.data
    if not isinstance(fit.predictor, Predictor) or not isinstance(data, AbstractData):
        raise ValueError("bootstrap: values are simulated from a predictor's likelihood only.")
    if isinstance(fit.predictor.likelihood, IntervalCensored):
        raise ValueError(
            "bootstrap: what is measured are bounds, of which the likelihood does not say how they "
            'come about: take kind="cases".'
        )
    simulation = fit.predictor.predict(data)
    if not bool(simulation.success):
        raise ValueError(
            f"bootstrap: the model cannot be solved at the estimates. {describe(simulation.result)}"
        )
    return data


def _checked(fit: Fit, values: Array, kind: str) -> Array:
    if not bool(jnp.all(jnp.isfinite(values))):
        raise ValueError(f"bootstrap: {kind}: some of the simulated values are not finite.")
    fit.predictor.likelihood.check_support(np.asarray(values), f"bootstrap: {kind}")
    return values
