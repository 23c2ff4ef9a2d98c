"""The marginal NLL of a Normal-Inverse-Gamma likelihood, by three other ways."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpy.typing import NDArray
from numpyro import distributions as dist
from numpyro.infer import Predictive
from scipy import stats

import likelihax as lhx
from likelihax import predicted

EXACT, SINGLE = 1e-10, 1e-5
DRAWS = 200_000
SHAPES = np.geomspace(0.51, 1e6, 25)
# Panels of the log-variance, nodes in each, and nodes of the mean.
_PANELS, _NODES, _INNER = 100, 40, 80
_LIKELIHOOD = lhx.likelihoods.NormalInverseGamma(shape=predicted("log"))


def by_quadrature(y: float, loc: float, evidence: float, shape: float, rate: float) -> float:
    """The density of one value: the integral over mean and log-variance, in SciPy's arithmetic."""
    of_variance = stats.invgamma(shape, scale=rate)
    low, high = -745.0, 700.0
    # Where the density of the log-variance is not negligible.
    ends = np.log(of_variance.ppf([1e-300, 0.5])), np.log(of_variance.isf([1e-18, 0.5]))
    low = max(low, float(ends[0][0]) - 1.0)
    high = min(high, float(ends[1][0]) + 60.0 / shape + 1.0)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = 0.5 * (high - low) / _PANELS
    middles = low + half * (2 * np.arange(_PANELS) + 1)
    log_variance = (middles[:, None] + half * nodes).reshape(-1)
    weights = np.tile(half * weights, _PANELS)
    variance = np.exp(log_variance)
    density = np.exp(of_variance.logpdf(variance) + log_variance)
    # Given the variance, the mean is integrated by Gauss and Hermite, about what both factors
    # of the product say: their product is a Normal in the mean times a constant.
    z, of_z = np.polynomial.hermite_e.hermegauss(_INNER)
    centre = (evidence * loc + y) / (evidence + 1)
    spread = np.sqrt(variance / (evidence + 1))
    means = centre + z * spread[:, None]
    together = stats.norm.logpdf(y, means, np.sqrt(variance)[:, None])
    together += stats.norm.logpdf(means, loc, np.sqrt(variance / evidence)[:, None])
    inner = np.exp(together + 0.5 * z**2) @ of_z * spread
    return float(np.sum(weights * density * inner))


def worst_against_quadrature() -> float:
    """The largest difference of the NLLs, relative or absolute, whichever is less."""
    rng = np.random.default_rng(0)
    worst = 0.0
    for shape in np.geomspace(0.51, 1e3, 12):
        for _ in range(3):
            evidence, rate = np.exp(rng.normal(size=2))
            loc = float(rng.normal())
            y = float(loc + 2 * np.sqrt(rate / shape * (1 + 1 / evidence)) * rng.normal())
            exact = -np.log(by_quadrature(y, loc, evidence, shape, rate))
            ours = float(nll(np.array([loc, evidence, shape, rate]), y))
            worst = max(worst, abs(ours - exact) / max(abs(exact), 1.0))
    return worst


def nll(numbers: NDArray[np.float64], y: float) -> jax.Array:
    """Ours, of natural numbers."""
    loc, *positive = numbers
    prediction = jnp.asarray([loc, *np.log(positive)])
    return _LIKELIHOOD.nll(prediction, jnp.asarray(y))


def worst_in_single() -> float:
    """In float32 against float64, at every shape of a grid, wherever the value lies."""
    rng = np.random.default_rng(1)
    shape = np.repeat(SHAPES, 400)
    count = shape.size
    evidence = np.exp(rng.uniform(np.log(1e-3), np.log(1e4), count))
    scale = np.exp(rng.uniform(-7, 7, count))
    rate = scale**2 * shape / (1 + 1 / evidence)
    loc = rng.normal(size=count)
    away = rng.normal(size=count) * np.exp(rng.uniform(-7, 7, count))
    raw = np.stack([loc, np.log(evidence), np.log(shape), np.log(rate)], axis=-1)
    # Both see the same numbers, rounded.
    raw, y = raw.astype(np.float32), (loc + scale * away).astype(np.float32)
    single = _LIKELIHOOD.nll(jnp.asarray(raw), jnp.asarray(y))
    double = _LIKELIHOOD.nll(jnp.asarray(raw, float), jnp.asarray(y, float))
    apart = np.abs(np.asarray(single, float) - double) / np.maximum(np.abs(double), 1.0)
    return float(np.max(apart))


def hierarchy() -> list[tuple[str, float, float, float]]:
    """Mean and quantiles of values from NumPyro's latent mean and variance, ours, and the error."""
    loc, evidence, shape, rate = 0.7, 2.2, 3.4, 1.9

    def model() -> None:
        with numpyro.plate("draws", DRAWS):
            precision = numpyro.sample("precision", dist.Gamma(shape, rate))
            mean = numpyro.sample("mean", dist.Normal(loc, jnp.sqrt(1 / (evidence * precision))))
            numpyro.sample("y", dist.Normal(mean, jnp.sqrt(1 / precision)))

    drawn = np.asarray(Predictive(model, num_samples=1)(jax.random.key(0))["y"][0])
    ours = _LIKELIHOOD.distribution(jnp.asarray([loc, *np.log([evidence, shape, rate])]))
    exact = stats.t(float(ours.df), float(ours.loc), float(ours.scale))
    rows = [
        ("mean", float(drawn.mean()), float(ours.mean), float(drawn.std() / np.sqrt(DRAWS))),
        # The variance's error from the fourth moment.
        (
            "variance",
            float(drawn.var()),
            float(ours.variance),
            float(np.std((drawn - drawn.mean()) ** 2) / np.sqrt(DRAWS)),
        ),
    ]
    for q in (0.05, 0.25, 0.5, 0.75, 0.95):
        at = float(exact.ppf(q))
        error = np.sqrt(q * (1 - q) / DRAWS) / float(jnp.exp(ours.log_prob(at)))
        rows.append((f"{100 * q:g} % quantile", float(np.quantile(drawn, q)), at, float(error)))
    return rows


def run() -> int:
    """Prints all three; 0 if every bar is met."""
    apart, single = worst_against_quadrature(), worst_in_single()
    met = apart < EXACT and single < SINGLE
    print(f"against quadrature over mean and variance: {apart:.1e} (bar {EXACT:g})")
    print(f"float32, shapes from 0.51 to 1e6: {single:.1e} (bar {SINGLE:g})")
    for name, drawn, ours, error in hierarchy():
        off = abs(drawn - ours) / error
        met = met and off < 4
        print(f"{name:14} {drawn:9.5f} from NumPyro's hierarchy, {ours:9.5f}: {off:.1f} errors off")
    return 0 if met else 1
