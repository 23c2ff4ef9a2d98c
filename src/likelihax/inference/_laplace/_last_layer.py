"""Part of a predictor as a Normal posterior: what its last layer cannot know."""

import math
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float
from numpyro import distributions as dist
from scipy.optimize import minimize_scalar
from scipy.special import ndtri

from ..._information import cholesky, rows_of
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

# Prior precisions between which the evidence is looked at, over the mean curvature.
_LEAST, _MOST = 1e-9, 1e9


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

    - `predictor`: the predictor at its estimates, nothing left to resolve.
    - `where`: what has a posterior.
    - `factor`: a matrix whose product with its transpose is the posterior covariance.
    - `precision`: that of the prior, per number.
    """

    predictor: Predictor
    where: Where = eqx.field(static=True)
    factor: Float[Array, "selected rank"]
    precision: float = eqx.field(static=True)
    num: int = eqx.field(static=True)

    def __call__(self, *arguments: Any) -> LaplacePredictive:
        """The distribution of what would be measured, given the model's arguments."""
        likelihood = self.predictor.likelihood

        def outputs(moved: Predictor) -> Outputs:
            return likelihood.outputs(moved.simulate(*arguments).values)

        return self._distribution(likelihood, *_linear(self, outputs))

    def predictive(self, data: AbstractData) -> LaplacePredictive:
        """The distribution of every value of `data`."""
        likelihood = self.predictor.likelihood_of(data)

        def outputs(moved: Predictor) -> Outputs:
            return moved.likelihood_of(data).outputs(moved.predict(data).values)

        return self._distribution(likelihood, *_linear(self, outputs))

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
            return _normal(centre, slopes, self.factor, self.num)
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
    - `num`: how many draws make the predictive distribution where it is not Normal.

    Raises `ValueError` for likelihoods whose Fisher information is not known, where `where` selects
    nothing that is plain, and where predictions at the estimates are not finite.
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
    rows = np.asarray(_rows(resolved, where, data), float)
    _, singular, right = np.linalg.svd(np.linalg.qr(rows, mode="r"), full_matrices=True)
    strengths = np.zeros(right.shape[0])
    strengths[: singular.size] = singular**2
    if precision is None:
        squares = float(jnp.sum(flat(where, resolved) ** 2))
        precision = _by_evidence(strengths, squares)
    factor = right.T / np.sqrt(strengths + precision)
    dtype = data.values.dtype
    return LastLayer(resolved, where, jnp.asarray(factor, dtype), float(precision), num)


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


@eqx.filter_jit
def _linear(layer: LastLayer, outputs: Any) -> tuple[Outputs, tuple[Array, ...]]:
    """What is predicted, and how it follows the selected numbers."""
    nothing = jnp.zeros(layer.factor.shape[0], layer.factor.dtype)

    def moving(by: Array) -> Any:
        found = outputs(_moved(layer.predictor, layer.where, by))
        return found, found

    slopes, centre = jax.jacfwd(moving, has_aux=True)(nothing)
    return centre, slopes


@eqx.filter_jit
def _rows(predictor: Predictor, where: Where, data: AbstractData) -> Array:
    """Rows whose cross product is the information that the data hold of the selected numbers."""
    nothing = jnp.zeros(flat(where, predictor).size, data.values.dtype)

    def moving(by: Array) -> Any:
        (seen,) = NLL().observations(_moved(predictor, where, by), data)
        return jnp.stack(seen.outputs), seen

    jacobian, seen = jax.jacfwd(moving, has_aux=True)(nothing)
    likelihood = predictor.likelihood
    assert isinstance(likelihood, AbstractRegularLikelihood)
    return rows_of(cholesky(likelihood.information(seen.outputs)), jacobian, seen.weights)


def _by_evidence(strengths: np.ndarray, squares: float) -> float:
    r"""The prior precision with the largest marginal likelihood.

    Up to a constant, $-2\log p(y \mid \tau) = \tau\lVert\theta\rVert^2
    + \sum_j \log(1 + \lambda_j/\tau)$.
    """
    typical = max(float(np.mean(strengths)), np.finfo(float).tiny)

    def cost(log_precision: float) -> float:
        precision = math.exp(log_precision)
        return precision * squares + float(np.sum(np.log1p(strengths / precision)))

    ends = math.log(_LEAST * typical), math.log(_MOST * typical)
    # The cost may be flat far out: begin from the best of a grid.
    grid = np.linspace(*ends, 200)
    best = int(np.argmin([cost(at) for at in grid]))
    around = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(cost, bounds=around, method="bounded", options={"xatol": 1e-6})
    return math.exp(float(found.x))


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


def _normal(
    centre: Outputs, slopes: tuple[Array, ...], factor: Array, num: int
) -> LaplacePredictive:
    """Of Normal values: the location in closed form, the scale over draws where it is uncertain."""
    loc, log_scale = centre
    of_loc, of_scale = (slope @ factor for slope in slopes)
    variance, spread = jnp.sum(of_loc**2, -1), jnp.sum(of_scale**2, -1)
    together = jnp.sum(of_loc * of_scale, -1)
    certain = not isinstance(spread, jax.core.Tracer) and not np.any(np.asarray(spread))
    points = np.zeros(1) if certain else ndtri((np.arange(num) + 0.5) / num)
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
