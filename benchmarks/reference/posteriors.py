"""Models of posteriordb by their names, from the toolkit's own likelihoods, priors and predictors.

A model is an objective with priors, a predictor at its start, data, and how the reference calls its
numbers. What each model is, is said in words in posteriordb's Stan code; see its `model_name`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array
from numpyro.distributions import constraints

import likelihax as lhx

Data = Mapping[str, Any]


class Stated(NamedTuple):
    """A posterior: what to sample, and the numbers to compare.

    `numbers` gives, from the draws' values by name, the reference's numbers by its names, each
    shaped `(chains, draws, ...)`.
    """

    objective: lhx.AbstractObjective
    predictor: Any
    data: Any
    numbers: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def stated(model: str, data: Data) -> Stated:
    """The posterior of a model's name; `ValueError` where there is none of that name."""
    if model in _MODELS:
        return _MODELS[model](data)
    if model in _REGRESSIONS:
        return _regression(data, *_REGRESSIONS[model](data))
    raise ValueError(f"no model is written down under the name {model!r}")


# ----------------------------------------------------------------------------- linear regressions


class Line(eqx.Module):
    """A linear predictor."""

    beta: Array

    def __call__(self, columns: Array) -> Array:
        """One prediction a row."""
        return columns @ self.beta


class Known(NamedTuple):
    """Priors of a regression, where they are not flat: of coefficients and of the scale."""

    beta: Any = None
    sigma: Any = None


def _regression(data: Data, y: np.ndarray, columns: list[np.ndarray], known: Known) -> Stated:
    """`y ~ Normal(columns @ beta, sigma)`."""
    design = np.column_stack(columns)
    beta, *_ = np.linalg.lstsq(design, y, rcond=None)
    sigma = float(np.std(y - design @ beta)) or 1.0
    # In units of what each coefficient can be told to.
    size = sigma / np.sqrt(np.sum(np.square(design), axis=0))
    predictor = lhx.Predictor(
        Line(lhx.real(beta, scale=size)),
        lhx.likelihoods.Normal(scale=lhx.positive(sigma, name="sigma")),
    )
    of_beta, of_sigma = (lambda p: p.model.beta), (lambda p: p.likelihood.scale)
    objective = lhx.NLL() + _prior(of_beta, known.beta) + _prior(of_sigma, known.sigma)
    return Stated(objective, predictor, lhx.Dataset(design, y), dict)


def _prior(where: Callable[[Any], Any], distribution: Any) -> lhx.AbstractObjective:
    if distribution is None:
        return lhx.terms.Flat(where)
    return lhx.terms.Prior(where, distribution)


def _column(data: Data, name: str) -> np.ndarray:
    return np.asarray(data[name], float)


def _ones(data: Data) -> np.ndarray:
    return np.ones(int(data["N"]))


def _centred(x: np.ndarray) -> np.ndarray:
    return x - np.mean(x)


_HALF_CAUCHY = Known(sigma=dist.HalfCauchy(2.5))


def _kidscore(*names: str, known: Known = _HALF_CAUCHY) -> Callable[[Data], Any]:
    return lambda data: (
        _column(data, "kid_score"),
        [_ones(data), *(_column(data, name) for name in names)],
        known,
    )


def _kidscore_interaction(data: Data) -> Any:
    high, iq = _column(data, "mom_hs"), _column(data, "mom_iq")
    return _column(data, "kid_score"), [_ones(data), high, iq, high * iq], _HALF_CAUCHY


def _kidscore_interaction_c(data: Data) -> Any:
    high, iq = _centred(_column(data, "mom_hs")), _centred(_column(data, "mom_iq"))
    return _column(data, "kid_score"), [_ones(data), high, iq, high * iq], Known()


def _kidscore_interaction_c2(data: Data) -> Any:
    high, iq = _column(data, "mom_hs") - 0.5, _column(data, "mom_iq") - 100
    return _column(data, "kid_score"), [_ones(data), high, iq, high * iq], Known()


def _kidscore_interaction_z(data: Data) -> Any:
    high, iq = (_half_standard(_column(data, name)) for name in ("mom_hs", "mom_iq"))
    return _column(data, "kid_score"), [_ones(data), high, iq, high * iq], Known()


def _half_standard(x: np.ndarray) -> np.ndarray:
    return _centred(x) / (2 * np.std(x, ddof=1))


def _kidscore_mom_work(data: Data) -> Any:
    work = _column(data, "mom_work")
    levels = [(work == level).astype(float) for level in (2, 3, 4)]
    return _column(data, "kid_score"), [_ones(data), *levels], Known()


def _earnings(
    columns: Callable[[Data], list[np.ndarray]], logarithm: bool = True
) -> Callable[[Data], Any]:
    def made(data: Data) -> Any:
        earn = _column(data, "earn")
        return np.log(earn) if logarithm else earn, [_ones(data), *columns(data)], Known()

    return made


def _height(data: Data) -> np.ndarray:
    return _column(data, "height")


def _male(data: Data) -> np.ndarray:
    return _column(data, "male")


def _standard(x: np.ndarray) -> np.ndarray:
    return _centred(x) / np.std(x, ddof=1)


def _log10_earnings(data: Data) -> Any:
    return np.log10(_column(data, "earn")), [_ones(data), _height(data)], Known()


def _log_log_earnings(data: Data) -> Any:
    height = np.log(_height(data))
    return np.log(_column(data, "earn")), [_ones(data), height, _male(data)], Known()


def _mesquite(columns: Callable[[Data], list[np.ndarray]], logarithm: bool = True) -> Any:
    def made(data: Data) -> Any:
        weight = _column(data, "weight")
        y = np.log(weight) if logarithm else weight
        return y, [np.ones(y.size), *columns(data)], Known()

    return made


def _shrub(data: Data) -> dict[str, np.ndarray]:
    names = ("diam1", "diam2", "canopy_height", "total_height", "density", "group")
    return {name: _column(data, name) for name in names}


def _mesquite_plain(data: Data) -> list[np.ndarray]:
    return list(_shrub(data).values())


def _mesquite_logs(data: Data) -> list[np.ndarray]:
    *sizes, group = _shrub(data).values()
    return [*map(np.log, sizes), group]


def _volume(data: Data) -> np.ndarray:
    shrub = _shrub(data)
    return np.log(shrub["diam1"] * shrub["diam2"] * shrub["canopy_height"])


def _area_and_shape(data: Data) -> tuple[np.ndarray, np.ndarray]:
    shrub = _shrub(data)
    return (
        np.log(shrub["diam1"] * shrub["diam2"]),
        np.log(shrub["diam1"] / shrub["diam2"]),
    )


def _mesquite_vas(data: Data) -> list[np.ndarray]:
    shrub = _shrub(data)
    rest = [np.log(shrub["total_height"]), np.log(shrub["density"]), shrub["group"]]
    return [_volume(data), *_area_and_shape(data), *rest]


def _mesquite_vash(data: Data) -> list[np.ndarray]:
    shrub = _shrub(data)
    rest = [np.log(shrub["total_height"]), shrub["group"]]
    return [_volume(data), *_area_and_shape(data), *rest]


def _mesquite_va(data: Data) -> list[np.ndarray]:
    return [_volume(data), _area_and_shape(data)[0], _shrub(data)["group"]]


def _nes(data: Data) -> Any:
    age = np.asarray(data["age_discrete"])
    columns = [
        np.ones(age.size),
        _column(data, "real_ideo"),
        _column(data, "race_adj"),
        *((age == level).astype(float) for level in (2, 3, 4)),
        _column(data, "educ1"),
        _column(data, "gender"),
        _column(data, "income"),
    ]
    return _column(data, "partyid7"), columns, Known()


def _blr(data: Data) -> Any:
    design = np.asarray(data["X"], float)
    known = Known(dist.Normal(0.0, 10.0), dist.HalfNormal(10.0))
    return _column(data, "y"), list(design.T), known


_REGRESSIONS: dict[str, Callable[[Data], Any]] = {
    "blr": _blr,
    "nes": _nes,
    "kidscore_momhs": _kidscore("mom_hs"),
    "kidscore_momiq": _kidscore("mom_iq"),
    "kidscore_momhsiq": _kidscore("mom_hs", "mom_iq"),
    "kidscore_interaction": _kidscore_interaction,
    "kidscore_interaction_c": _kidscore_interaction_c,
    "kidscore_interaction_c2": _kidscore_interaction_c2,
    "kidscore_interaction_z": _kidscore_interaction_z,
    "kidscore_mom_work": _kidscore_mom_work,
    "earn_height": _earnings(lambda data: [_height(data)], logarithm=False),
    "logearn_height": _earnings(lambda data: [_height(data)]),
    "log10earn_height": _log10_earnings,
    "logearn_height_male": _earnings(lambda data: [_height(data), _male(data)]),
    "logearn_logheight_male": _log_log_earnings,
    "logearn_interaction": _earnings(
        lambda data: [_height(data), _male(data), _height(data) * _male(data)]
    ),
    "logearn_interaction_z": _earnings(
        lambda data: [
            _standard(_height(data)),
            _male(data),
            _standard(_height(data)) * _male(data),
        ]
    ),
    "mesquite": _mesquite(_mesquite_plain, logarithm=False),
    "logmesquite": _mesquite(_mesquite_logs),
    "logmesquite_logvolume": _mesquite(lambda data: [_volume(data)]),
    "logmesquite_logva": _mesquite(_mesquite_va),
    "logmesquite_logvas": _mesquite(_mesquite_vas),
    "logmesquite_logvash": _mesquite(_mesquite_vash),
}


# ------------------------------------------------------------------------------------ other models


class Trend(eqx.Module):
    """A straight line."""

    alpha: Array
    beta: Array

    def __call__(self, x: Array) -> Array:
        """One prediction a row."""
        return self.alpha + self.beta * x


def _kilpisjarvi(data: Data) -> Stated:
    """A trend with known priors; the slope hardly correlates with the level at the middle year."""
    x, y = _column(data, "x"), _column(data, "y")
    slope, level = np.polyfit(x, y, 1)
    sigma = float(np.std(y - level - slope * x))
    predictor = lhx.Predictor(
        Trend(lhx.real(level), lhx.real(slope, scale=sigma / np.sqrt(y.size) / np.std(x))),
        lhx.likelihoods.Normal(scale=lhx.positive(sigma, name="sigma")),
    )
    of = lambda name: dist.Normal(float(data[f"pmu{name}"]), float(data[f"ps{name}"]))
    objective = (
        lhx.NLL()
        + lhx.terms.Prior(lambda p: p.model.alpha, of("alpha"))
        + lhx.terms.Prior(lambda p: p.model.beta, of("beta"))
        + lhx.terms.Flat(lambda p: p.likelihood.scale)
    )
    return Stated(objective, predictor, lhx.Dataset(x, y), dict)


class Autoregression(eqx.Module):
    """A level and a share of each of the values before."""

    alpha: Array
    beta: Array

    def __call__(self, before: Array) -> Array:
        """One prediction a row of earlier values, the latest first."""
        return self.alpha + before @ self.beta


def _autoregression(data: Data) -> Stated:
    order, y = int(data["K"]), _column(data, "y")
    before = np.column_stack([y[order - lag : y.size - lag] for lag in range(1, order + 1)])
    predictor = lhx.Predictor(
        Autoregression(lhx.real(0.0, scale=0.1), lhx.real(np.zeros(order), scale=0.1)),
        lhx.likelihoods.Normal(scale=lhx.positive(float(np.std(y)), name="sigma")),
    )
    objective = (
        lhx.NLL()
        + lhx.terms.Prior(lambda p: (p.model.alpha, p.model.beta), dist.Normal(0.0, 10.0))
        + lhx.terms.Prior(lambda p: p.likelihood.scale, dist.HalfCauchy(2.5))
    )
    return Stated(objective, predictor, lhx.Dataset(before, y[order:]), dict)


class Schools(eqx.Module):
    """An effect for each school, about a common one."""

    theta: Array
    mu: Array
    tau: Array

    def __call__(self, school: Array) -> Array:
        """The effects themselves."""
        return self.theta[school]


def _eight_schools(data: Data) -> Stated:
    y = _column(data, "y")
    model = Schools(
        lhx.real(np.full(y.size, np.mean(y)), scale=10.0),
        lhx.real(float(np.mean(y)), scale=5.0),
        lhx.positive(5.0),
    )
    predictor = lhx.Predictor(model, lhx.likelihoods.Normal(scale=_column(data, "sigma")))
    objective = (
        lhx.NLL()
        + lhx.terms.Prior(lambda p: p.model.theta, lambda p: dist.Normal(p.model.mu, p.model.tau))
        + lhx.terms.Prior(lambda p: p.model.mu, dist.Normal(0.0, 5.0))
        + lhx.terms.Prior(lambda p: p.model.tau, dist.HalfCauchy(5.0))
    )
    return Stated(objective, predictor, lhx.Dataset(np.arange(y.size), y), dict)


def _two_normals(data: Data) -> Stated:
    """A mixture, told apart by the order of the means."""
    y = _column(data, "y")
    predictor = lhx.Predictor(
        Pair(
            lhx.ordered(np.quantile(y, [0.25, 0.75]), name="mu"),
            lhx.positive(np.full(2, float(np.std(y)) / 2), name="sigma"),
            lhx.bounded(0.5, 0.0, 1.0, name="theta"),
        ),
        lhx.likelihoods.Mixture([lhx.likelihoods.Normal(scale=lhx.predicted()) for _ in range(2)]),
    )
    objective = (
        lhx.NLL()
        + lhx.terms.Prior(lambda p: p.model.mu, dist.Normal(0.0, 2.0))
        + lhx.terms.Prior(lambda p: p.model.sigma, dist.HalfNormal(2.0))
        + lhx.terms.Prior(lambda p: p.model.theta, dist.Beta(5.0, 5.0))
    )
    return Stated(objective, predictor, lhx.Dataset(np.zeros(y.size), y), dict)


class Pair(eqx.Module):
    """What a mixture of two Normals takes: log-weights, locations and log-scales, for all rows."""

    mu: Array
    sigma: Array
    theta: Array

    def __call__(self, rows: Array) -> Array:
        """The same six numbers for every row."""
        logits = jnp.log(jnp.stack([self.theta, 1 - self.theta]))
        pairs = jnp.stack([self.mu, jnp.log(self.sigma)], axis=-1)
        return jnp.broadcast_to(jnp.concatenate([logits, pairs.reshape(-1)]), (rows.size, 6))


class Process(eqx.Module):
    """A Gaussian process at known points: one vector of mean zero, with a covariance."""

    rho: Array
    alpha: Array
    sigma: Array

    def __call__(self, x: Array) -> Array:
        """The mean and the lower triangle, as a multivariate Normal takes them."""
        (points,) = x
        apart = (points[:, None] - points[None, :]) / self.rho
        covariance = self.alpha**2 * jnp.exp(-0.5 * apart**2)
        lower = jnp.linalg.cholesky(covariance + self.sigma * jnp.eye(points.size))
        below = lower[np.tril_indices(points.size, -1)]
        diagonal = jnp.log(jnp.diagonal(lower))
        return jnp.concatenate([jnp.zeros_like(points), below, diagonal])[None]


def _gaussian_process(data: Data) -> Stated:
    """Squared-exponential, the scatter's variance added."""
    x, y = _column(data, "x"), _column(data, "y")
    model = Process(
        lhx.positive(6.0), lhx.positive(float(np.std(y)) or 1.0), lhx.positive(0.5, name="sigma")
    )
    predictor = lhx.Predictor(
        model, lhx.likelihoods.MultivariateNormal(lhx.predicted(), dim=x.size)
    )
    objective = (
        lhx.NLL()
        + lhx.terms.Prior(lambda p: p.model.rho, dist.Gamma(25.0, 4.0))
        + lhx.terms.Prior(lambda p: p.model.alpha, dist.HalfNormal(2.0))
        + lhx.terms.Prior(lambda p: p.model.sigma, dist.HalfNormal(1.0))
    )
    return Stated(objective, predictor, lhx.Dataset(x[None], y[None]), dict)


class LotkaVolterra(eqx.Module):
    """Prey and predator."""

    theta: Array

    def __call__(self, t: Any, y: Array, inputs: Any) -> Array:
        """Their rates of change."""
        u, v = y
        a, b, c, d = self.theta
        return jnp.stack([(a - b * v) * u, (d * u - c) * v])


def _lotka_volterra(data: Data) -> Stated:
    times = np.concatenate([[0.0], _column(data, "ts")])
    y = np.concatenate([[np.asarray(data["y_init"], float)], np.asarray(data["y"], float)])
    predictor = lhx.Predictor(
        lhx.ODE(
            LotkaVolterra(lhx.positive([0.5, 0.03, 1.0, 0.03])),
            initial=lhx.positive(y[0], name="z_init"),
        ),
        lhx.likelihoods.LogNormal(sigma=lhx.positive([0.3, 0.3])),
    )
    above = lambda loc, scale: dist.TruncatedNormal(loc, scale, low=0.0)
    rates = lambda p: p.model.field.theta
    objective = (
        lhx.NLL()
        + lhx.terms.Prior(lambda p: rates(p)[0::2], above(1.0, 0.5))
        + lhx.terms.Prior(lambda p: rates(p)[1::2], above(0.05, 0.05))
        + lhx.terms.Prior(lambda p: p.model.initial, dist.LogNormal(np.log(10.0), 1.0))
        + lhx.terms.Prior(lambda p: p.likelihood.sigma, dist.LogNormal(-1.0, 1.0))
    )
    return Stated(objective, predictor, lhx.Experiment(times, y), dict)


class Drive(eqx.Module):
    """A hidden Markov chain of two states, in each of which two speeds are exponential."""

    theta1: Array
    theta2: Array
    phi: Array
    rate: Array


def _hidden_markov(data: Data) -> Stated:
    """The states summed out by the forward algorithm, on the toolkit's own elementwise NLLs."""
    speeds = jnp.asarray(np.column_stack([data["u"], data["v"]]).astype(float))
    exponential = lhx.likelihoods.Exponential(lhx.predicted("inverse"))

    def minus_log_likelihood(model: Drive, speeds: Array) -> Array:
        rates = jnp.stack([model.phi, model.rate], axis=-1)  # states, speeds
        shape = (speeds.shape[0], *rates.shape)
        spread = lambda x: jnp.broadcast_to(x, shape)
        each = exponential.nll(spread(rates[None]), spread(speeds[:, None, :]))
        emitted = -jnp.sum(each, axis=-1)
        moves = jnp.log(jnp.stack([model.theta1, model.theta2]))

        def onward(before: Array, now: Array) -> tuple[Array, None]:
            return jax.nn.logsumexp(before[:, None] + moves, axis=0) + now, None

        last, _ = jax.lax.scan(onward, emitted[0], emitted[1:])
        return -jax.nn.logsumexp(last)

    alpha = np.asarray(data["alpha"], float)
    simplex = constraints.simplex
    both = constraints.positive_ordered_vector
    model = Drive(
        lhx.constrained([0.9, 0.1], simplex),
        lhx.constrained([0.1, 0.9], simplex),
        lhx.constrained([0.5, 3.0], both),
        lhx.constrained([0.5, 3.0], both, name="lambda"),
    )
    above = lambda loc: dist.TruncatedNormal(loc, 1.0, low=0.0)
    objective = (
        lhx.ScalarObjective(minus_log_likelihood)
        + lhx.terms.Prior(lambda p: p.theta1, dist.Dirichlet(alpha[0]))
        + lhx.terms.Prior(lambda p: p.theta2, dist.Dirichlet(alpha[1]))
        + lhx.terms.Prior(lambda p: (p.phi[0], p.rate[0]), above(0.0))
        + lhx.terms.Prior(lambda p: (p.phi[1], p.rate[1]), above(3.0))
    )
    return Stated(objective, model, speeds, dict)


_MODELS: dict[str, Callable[[Data], Stated]] = {
    "arK": _autoregression,
    "eight_schools_centered": _eight_schools,
    "eight_schools_noncentered": _eight_schools,
    "gp_regr": _gaussian_process,
    "hmm_drive_0": _hidden_markov,
    "kilpisjarvi": _kilpisjarvi,
    "lotka_volterra": _lotka_volterra,
    "low_dim_gauss_mix": _two_normals,
}
