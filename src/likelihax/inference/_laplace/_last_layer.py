"""Part of a predictor as a Normal posterior: what its last layer cannot know."""

import math
from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float
from numpyro import distributions as dist
from scipy.special import ndtri

from ..._information import cholesky, residuals_of, rows_of
from ..._parameters import resolve
from ..._predictor import Predictor
from ...data import AbstractData, Experiments
from ...fits import Fit
from ...likelihoods import AbstractRegularLikelihood, Normal
from ...likelihoods._likelihood import Outputs
from ...objectives import NLL
from ...terms._selection import Where, check_where, flat, plain_places
from .._ensembles._predictive_mixture import PredictiveMixture
from ._bands import moves
from ._layer_posterior import LayerPosterior, about_the_estimates, about_the_mode

# Numbers that are differentiated for at a time.
_ABREAST = 64
# How many steps of scoring lead to a mode, and how near counts, in squared standard errors.
_STEPS, _NEAR, _NEAR_ENOUGH = 30, 1e-6, 1e-2


class LaplacePredictive(PredictiveMixture):
    """What is expected where some parameters are known up to a Normal posterior.

    A mixture over evenly spread draws of them. Of Normal values the location is integrated out in
    closed form: then each component is Normal, wider than the scatter by what the location may be
    off, and `scatter` is the variance without that.
    """

    pytree_data_fields = ("scatter",)  # type: ignore[assignment]

    def __init__(self, weights: Array, components: Any, scatter: Array | None = None):
        self.scatter = scatter
        super().__init__(weights, components)

    @property
    def aleatoric(self) -> Array:
        """The scatter that would remain were the parameters known."""
        if self.scatter is None:
            return super().aleatoric
        return self._weighted(self.scatter)

    @property
    def epistemic(self) -> Array:
        """How far the mean may be off, squared."""
        if self.scatter is None:
            return super().epistemic
        means = self.components.mean
        apart = self._weighted((means - self._weighted(means)[None]) ** 2)
        return apart + self._weighted(self.components.variance - self.scatter)

    @property
    def evidence(self) -> Array:
        """From how many values the mean is known as well: `aleatoric / epistemic`."""
        return self.aleatoric / self.epistemic


@final
class LastLayer(eqx.Module):
    """A predictor some of whose numbers have a Normal posterior; made by `last_layer`.

    Called, or asked for its `predictive`, it gives a distribution with `aleatoric`, `epistemic`
    and `evidence`, as an `Ensemble` does, at the cost of one pass.

    **Attributes:**

    - `predictor`: the predictor at its estimates, or where it was refitted to, nothing left to
        resolve.
    - `where`: what has a posterior.
    - `factor`: a matrix whose product with its transpose is the posterior covariance.
    - `precision`: that of the prior, per number.
    - `widening`: by how much a Normal scatter is wider than `predictor` has it; 1 unless refitted.
    """

    predictor: Predictor
    where: Where = eqx.field(static=True)
    factor: Float[Array, "selected rank"]
    precision: float = eqx.field(static=True)
    widening: float = eqx.field(static=True)
    num: int = eqx.field(static=True)

    def __call__(self, *arguments: Any) -> LaplacePredictive:
        """The distribution of what would be measured, given the model's arguments."""
        found = _linear_at(self.predictor, self.where, arguments)
        return self._distribution(self.predictor.likelihood, *found)

    def predictive(self, data: AbstractData) -> LaplacePredictive:
        """The distribution of every value of `data`."""
        likelihood = self.predictor.likelihood_of(data)
        return self._distribution(likelihood, *_linear_of(self.predictor, self.where, data))

    def nll(self, data: AbstractData) -> Array:
        """Minus the logarithm of the predictive density of each value; zero where missing."""
        NLL().check(self.predictor, data)
        each = -self.predictive(data).log_prob(data.values)
        event = tuple(range(-self.predictor.likelihood.event_ndim, 0))
        return jnp.where(jnp.all(data.observed, axis=event), each, 0.0)

    def _distribution(
        self, likelihood: Any, centre: Outputs, slopes: tuple[Array, ...]
    ) -> LaplacePredictive:
        if type(likelihood) is Normal:
            return _normal(centre, slopes, self)
        sizes = sum(math.prod(o.shape[centre[0].ndim :]) or 1 for o in centre)
        points = jnp.asarray(_normal_points(sizes, self.num), centre[0].dtype)
        there = _drawn(centre, slopes, self.factor, points)
        weights = jnp.full(self.num, 1.0 / self.num, centre[0].dtype)
        # NumPyro mixes integers with floats here and there, which strict promotion would refuse.
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return LaplacePredictive(weights, likelihood.from_outputs(there))


def last_layer(
    fit: Fit | Predictor,
    where: Where,
    data: AbstractData | None = None,
    *,
    precision: float | None = None,
    refit: bool = False,
    num: int = 256,
) -> LastLayer:
    r"""What a trained network's last layer cannot know, by Laplace's approximation.

    The selected numbers $\theta$ have a Normal posterior about their estimates, all others are
    taken as they are:

    $$\Sigma^{-1} = \sum_i J_i^T\,I_i\,J_i + \tau\,\mathbf 1$$

    with the Fisher information $I_i$ of each value and the Jacobian $J_i$ of what is predicted for
    it (the generalised Gauss-Newton matrix; E. Daxberger and others 2021, "Laplace redux -
    effortless Bayesian deep learning", NeurIPS 34). For Normal scatter it is Bayesian linear
    regression on the features of the last hidden layer, and `epistemic` the leverage of a row times
    the variance: it grows with the distance from what was fitted, wherever features do.

    **Arguments:**

    - `fit`: a fit of a network, whether or not it converged, or a predictor with its `data`.
    - `where`: from the predictor to plain numbers, for instance
        `lambda p: p.model.layers[-1].weight`. Few of them, up to about a thousand.
    - `data`: with a predictor, what it was trained on.
    - `precision`: $\tau$, that of the prior of each selected number; by default the one that
        maximises the marginal likelihood (D. MacKay 1992, "A practical Bayesian framework for
        backpropagation networks", Neural Computation 4). It takes the place of what the objective
        said of them.
    - `refit`: whether to move the selected numbers to the mode of their posterior first, which
        training that stops when its steps are used up has rarely reached. Where what is predicted
        is linear in them this takes no time to speak of, and may halve the error. Of Normal values
        whose scale does not depend on them the scatter is refitted too, by one factor for all,
        since what was stated belongs to larger errors.
    - `num`: how many draws make the predictive distribution where it is not Normal.

    Raises `ValueError` for likelihoods whose Fisher information is not known, where `where` selects
    nothing that is plain, where predictions at the estimates are not finite, and where a refit does
    not reach a mode.
    """
    predictor, data = _settled(fit, data)
    check_where(where, "last_layer", "lambda p: p.model.layers[-1].weight")
    resolved = resolve(predictor)
    _check_finite(resolved, data)
    plain_places(where, predictor, "last_layer")
    if not isinstance(predictor.likelihood, AbstractRegularLikelihood):
        raise ValueError(
            f"last_layer: the Fisher information of {type(predictor.likelihood).__name__} is not "
            "known; it is for Normal, StudentT, Poisson, Bernoulli, Categorical and the like."
        )
    if precision is not None and not (precision > 0 and math.isfinite(precision)):
        raise ValueError(f"last_layer: precision must be positive and finite, got {precision}.")
    if num < 2:
        raise ValueError(f"last_layer: num must be 2 or more draws, got {num}.")
    find = _refitted if refit else _as_trained
    resolved, found = find(resolved, where, data, precision)
    factor = jnp.asarray(found.factor, data.values.dtype)
    return LastLayer(resolved, where, factor, found.precision, found.widening, num)


Found = tuple[Predictor, LayerPosterior]


def _as_trained(
    predictor: Predictor, where: Where, data: AbstractData, precision: float | None
) -> Found:
    rows, _ = _linearised(predictor, where, data)
    estimates = np.asarray(flat(where, predictor), float)
    return predictor, about_the_estimates(np.asarray(rows, float), estimates, precision)


def _refitted(
    predictor: Predictor, where: Where, data: AbstractData, precision: float | None
) -> Found:
    """By Fisher scoring: one step where it is Bayesian linear regression, else a few."""
    numbers = np.asarray(flat(where, predictor), float)
    nearest = math.inf
    for _ in range(_STEPS):
        rows, residuals = (np.asarray(x, float) for x in _linearised(predictor, where, data))
        count = None
        if type(predictor.likelihood) is Normal and not np.any(rows[len(rows) // 2 :]):
            # What the scale's own rows would ask of it, one factor answers for all.
            rows, residuals = rows[: len(rows) // 2], residuals[: len(rows) // 2]
            count = float(np.sum(np.asarray(data.observed)))
        found = about_the_mode(rows, rows @ numbers - residuals, precision, count)
        predictor = _moved(predictor, where, jnp.asarray(found.mode - numbers))
        numbers = np.asarray(flat(where, predictor), float)
        slope = np.asarray(_slope(predictor, where, data), float) / found.widening**2
        away = float(np.sum((found.factor.T @ (slope + found.precision * numbers)) ** 2))
        stalled = away > 0.5 * nearest and away <= _NEAR_ENOUGH
        if away <= _NEAR or stalled or not math.isfinite(away):
            break
        nearest = min(away, nearest)
    if not away <= _NEAR_ENOUGH:
        raise ValueError(
            f"last_layer: the refit ends {math.sqrt(away):.2g} standard errors from a mode. Does "
            "where select a last layer? Select less, give a larger precision, or refit=False."
        )
    return predictor, found


def _settled(fit: Any, data: Any) -> tuple[Predictor, AbstractData]:
    if isinstance(fit, Fit):
        if data is not None:
            raise ValueError("last_layer: a fit has data of its own: leave data out.")
        fit, data = fit.predictor, fit.data
    if not isinstance(fit, Predictor):
        raise ValueError(f"last_layer: expected a Fit or a Predictor, got {type(fit).__name__}.")
    if not isinstance(data, AbstractData) or isinstance(data, Experiments):
        raise ValueError(
            "last_layer: what was the network trained on? Give data=, a Dataset or one Experiment."
        )
    NLL().check(fit, data)
    return fit, data


def _check_finite(predictor: Predictor, data: AbstractData) -> None:
    if not np.all(np.isfinite(np.asarray(predictor.predict(data).values))):
        raise ValueError(
            f"last_layer: predictions for {data.name} are not finite at the estimates: was the "
            "network trained?"
        )


def _moved(predictor: Predictor, where: Where, by: Array) -> Predictor:
    """The predictor, its selected numbers moved by a vector."""
    numbers, back = ravel_pytree(where(predictor))
    moved: Predictor = eqx.tree_at(where, predictor, back(numbers + by.astype(numbers.dtype)))
    return moved


Linear = tuple[Outputs, tuple[Array, ...]]


# What differs from one layer, or one question, to the next is an argument and no part of the code:
# one compilation serves all of a shape.
@eqx.filter_jit
def _linear_at(predictor: Predictor, where: Where, arguments: tuple[Any, ...]) -> Linear:
    outputs = lambda moved: moved.likelihood.outputs(moved.simulate(*arguments).values)
    return _linear(predictor, where, outputs)


@eqx.filter_jit
def _linear_of(predictor: Predictor, where: Where, data: AbstractData) -> Linear:
    outputs = lambda moved: moved.likelihood_of(data).outputs(moved.predict(data).values)
    return _linear(predictor, where, outputs)


def _linear(predictor: Predictor, where: Where, outputs: Callable[[Predictor], Outputs]) -> Linear:
    """What is predicted, and how it follows the selected numbers."""
    numbers = flat(where, predictor)

    def moving(by: Array) -> Any:
        found = outputs(_moved(predictor, where, by))
        return found, found

    return _jacobian(moving, jnp.zeros_like(numbers))


@eqx.filter_jit
def _linearised(predictor: Predictor, where: Where, data: AbstractData) -> tuple[Array, Array]:
    """A least-squares problem with the gradient and the information of the selected numbers."""
    nothing = jnp.zeros(flat(where, predictor).size, data.values.dtype)

    def moving(by: Array) -> Any:
        (seen,) = NLL().observations(_moved(predictor, where, by), data)
        return jnp.stack(seen.outputs), seen

    seen, jacobian = _jacobian(moving, nothing)
    likelihood = predictor.likelihood_of(data)
    assert isinstance(likelihood, AbstractRegularLikelihood)
    lower = cholesky(likelihood.information(seen.outputs))
    # The kernel is elementwise: the gradient of a sum has the score of each value.
    total = lambda outputs: jnp.sum(likelihood.kernel(outputs, seen.values))
    score = jnp.stack(jax.grad(total)(seen.outputs))
    return rows_of(lower, jacobian, seen.weights), residuals_of(lower, score, seen.weights)


def _jacobian(moving: Callable[[Array], tuple[Any, Any]], nothing: Array) -> tuple[Any, Any]:
    """What `moving` says beside its result there, and how that follows each number.

    A few numbers at a time: all at once would hold every layer behind them as many times.
    """
    _, push, beside = jax.linearize(moving, nothing, has_aux=True)
    columns = jax.lax.map(push, jnp.eye(nothing.size, dtype=nothing.dtype), batch_size=_ABREAST)
    return beside, jtu.tree_map(lambda each: jnp.moveaxis(each, 0, -1), columns)


@eqx.filter_jit
def _slope(predictor: Predictor, where: Where, data: AbstractData) -> Array:
    """The gradient of the NLL in the selected numbers."""
    nothing = jnp.zeros(flat(where, predictor).size, data.values.dtype)
    total = lambda by: jnp.sum(NLL().elementwise(_moved(predictor, where, by), data)[0])
    return jax.grad(total)(nothing)


def _normal_points(size: int, num: int) -> np.ndarray:
    from scipy.stats.qmc import Sobol  # which takes a second to import

    exponent = math.ceil(math.log2(num))
    drawn = Sobol(size, scramble=True, bits=30, rng=np.random.default_rng(0))
    cube = drawn.random_base2(exponent)[:num]
    return np.asarray(ndtri(np.clip(cube, 2.0**-31, 1 - 2.0**-31)))


@eqx.filter_jit
def _drawn(centre: Outputs, slopes: tuple[Array, ...], factor: Array, points: Array) -> Outputs:
    """The outputs at each draw, which is their first axis."""
    shape = centre[0].shape
    rows = lambda array: array.reshape(-1, *array.shape[len(shape) :])

    def one(of_value: Any) -> tuple[Array, ...]:
        at, moving = of_value
        return tuple(o + by for o, by in zip(at, moves(moving, factor, points), strict=True))

    found = jax.lax.map(one, (tuple(map(rows, centre)), tuple(map(rows, slopes))), batch_size=64)
    first = lambda array: jnp.moveaxis(array, 1, 0)
    return tuple(first(each).reshape(-1, *o.shape) for each, o in zip(found, centre, strict=True))


def _normal(centre: Outputs, slopes: tuple[Array, ...], layer: LastLayer) -> LaplacePredictive:
    """Of Normal values: the location in closed form, the scale over draws where it is uncertain."""
    loc, log_scale = centre
    log_scale = log_scale + math.log(layer.widening)
    of_loc, of_scale = (slope @ layer.factor for slope in slopes)
    variance, spread = jnp.sum(of_loc**2, -1), jnp.sum(of_scale**2, -1)
    together = jnp.sum(of_loc * of_scale, -1)
    certain = not isinstance(spread, jax.core.Tracer) and not np.any(np.asarray(spread))
    points = np.zeros(1) if certain else ndtri((np.arange(layer.num) + 0.5) / layer.num)
    behind = (-1,) + (1,) * loc.ndim
    z = jnp.asarray(points, loc.dtype).reshape(behind)
    away = jnp.sqrt(spread)
    # The location given the scale: it follows along, and the rest of it stays open.
    follows = jnp.where(away > 0, together / jnp.where(away > 0, away, 1.0), 0.0)
    left = jnp.maximum(variance - follows**2, 0.0)
    scatter = jnp.exp(2 * (log_scale[None] + z * away[None]))
    means = loc[None] + z * follows[None]
    components = dist.Normal(means, jnp.sqrt(scatter + left[None]))
    weights = jnp.full(len(points), 1.0 / len(points), loc.dtype)
    return LaplacePredictive(weights, components, scatter)
