"""Fits of every regular family, against SciPy's own fits and closed forms."""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from scipy import stats
from scipy.optimize import minimize_scalar

import likelihax as lhx

kinds = lhx.likelihoods
GENERATOR = np.random.default_rng(20)
COUNT = 400


class Constant(eqx.Module):
    """The same prediction for every row."""

    level: Array

    def __call__(self, table):
        return jnp.broadcast_to(self.level, table.shape)


def fitted(likelihood, values, start=0.0, **options):
    predictor = lhx.Predictor(Constant(lhx.real(start)), likelihood)
    return lhx.fit(lhx.NLL(), predictor, lhx.Dataset(np.zeros(len(values)), values), **options)


NORMAL = GENERATOR.normal(2.0, 0.7, COUNT)
HEAVY = 1.0 + 0.5 * GENERATOR.standard_t(3.0, COUNT)
POSITIVE = GENERATOR.gamma(2.5, 1.3, COUNT)
WAITING = GENERATOR.exponential(0.4, COUNT)
COUNTS = GENERATOR.poisson(3.7, COUNT)
SPREAD = GENERATOR.negative_binomial(1.7, 0.25, COUNT)
SHARES = GENERATOR.beta(2.0, 5.0, COUNT)
ANGLES = GENERATOR.vonmises(0.8, 3.0, COUNT)
FLAGS = GENERATOR.random(COUNT) < 0.3
TRIALS = GENERATOR.integers(1, 20, COUNT)
SUCCESSES = GENERATOR.binomial(TRIALS, 0.6)

# A family, its values, and what its estimates must be: by name, the model's `level` first.
TABLE = {
    "normal": (kinds.Normal(lhx.positive(3.0)), NORMAL, (NORMAL.mean(), NORMAL.std())),
    "log_normal": (
        kinds.LogNormal(lhx.positive(2.0), lhx.predicted("log")),
        POSITIVE,
        (np.log(POSITIVE).mean(), np.log(POSITIVE).std()),
    ),
    "student_t": (kinds.StudentT(lhx.positive(2.0), lhx.positive(10.0)), HEAVY, None),
    "gamma": (kinds.Gamma(lhx.positive(1.0)), POSITIVE, None),
    "exponential": (kinds.Exponential(), WAITING, (np.log(WAITING.mean()),)),
    "poisson": (kinds.Poisson(), COUNTS, (np.log(COUNTS.mean()),)),
    "negative_binomial": (kinds.NegativeBinomial(lhx.positive(20.0)), SPREAD, None),
    "beta": (kinds.Beta(lhx.positive(1.0)), SHARES, None),
    "von_mises": (kinds.VonMises(lhx.positive(0.5)), ANGLES, None),
    "bernoulli": (kinds.Bernoulli(), FLAGS, (np.log(FLAGS.mean() / (1 - FLAGS.mean())),)),
    "binomial": (
        kinds.Binomial(TRIALS),
        SUCCESSES,
        (np.log(SUCCESSES.sum() / (TRIALS - SUCCESSES).sum()),),
    ),
}


@cache
def fit_of(name):
    """The fit that several tests look at."""
    likelihood, values, _ = TABLE[name]
    return fitted(likelihood, values)


def by_scipy(name):
    """The estimates of those without a closed form."""
    if name == "student_t":
        dof, loc, scale = stats.t.fit(HEAVY)
        return loc, scale, dof
    if name == "gamma":
        shape, _, scale = stats.gamma.fit(POSITIVE, floc=0)
        return np.log(shape * scale), shape
    if name == "negative_binomial":
        mean = SPREAD.mean()
        nll = lambda r: -stats.nbinom.logpmf(SPREAD, np.exp(r), 1 / (1 + mean / np.exp(r))).sum()
        return np.log(mean), np.exp(minimize_scalar(nll, bounds=(-3, 5), method="bounded").x)
    if name == "beta":
        a, b, _, _ = stats.beta.fit(SHARES, floc=0, fscale=1)
        return np.log(a / b), a + b
    kappa, loc, _ = stats.vonmises.fit(ANGLES, fscale=1)
    return loc, kappa


@pytest.mark.parametrize("name", TABLE)
def test_estimates_are_those_of_scipy(name):
    closed, fit = TABLE[name][2], fit_of(name)
    assert isinstance(fit.method, lhx.LevenbergMarquardt)
    assert fit.success, fit.message
    expected = closed or by_scipy(name)
    found = list(fit.estimates.values())
    assert len(found) == len(expected)
    errors = list(fit.standard_errors().values())
    for estimate, wanted, error in zip(found, expected, errors, strict=True):
        # A closed form to a millionth of a standard error, SciPy's optimisers to a thousandth.
        assert estimate == pytest.approx(wanted, abs=error * (1e-5 if closed else 1e-3))


@pytest.mark.parametrize("name", TABLE)
def test_both_methods_and_both_informations_agree(name):
    likelihood, values, _ = TABLE[name]
    fit = fit_of(name)
    other = fitted(likelihood, values, method=lhx.BFGS())
    assert other.success, other.message
    assert fit.nll == pytest.approx(other.nll, rel=1e-9)
    observed, expected = fit.standard_errors(), fit.standard_errors("expected")
    for parameter, error in observed.items():
        # The same in the long run; of 400 values within a third, for the tail of Student's t.
        assert expected[parameter] == pytest.approx(error, rel=0.35)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TABLE if name not in ("bernoulli", "binomial")])
@pytest.mark.parametrize("start", [-2.0, 3.0])
def test_starts_far_off_lead_there_too(name, start):
    likelihood, values, _ = TABLE[name]
    near, far = fit_of(name), fitted(likelihood, values, start=start)
    assert far.success, far.message
    assert far.nll == pytest.approx(near.nll, rel=1e-9)


def test_expected_information_of_the_concentration_by_summing():
    fit = fit_of("negative_binomial")
    mean, r = np.exp(fit.estimates["level"]), fit.estimates["concentration"]
    y = np.arange(3_000)
    share = r / (r + mean)
    weights = stats.nbinom.pmf(y, r, share)
    step = 1e-4
    pmf = lambda r: stats.nbinom.logpmf(y, r, r / (r + mean))
    second = (pmf(r + step) - 2 * pmf(r) + pmf(r - step)) / step**2
    by_sum = 1 / np.sqrt(-COUNT * np.sum(weights * second))
    assert fit.standard_errors("expected")["concentration"] == pytest.approx(by_sum, rel=1e-5)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.77])
def test_a_quantile_is_the_sorted_values_own(level):
    fit = fitted(kinds.Quantile(level, lhx.positive(1.0)), NORMAL)
    assert fit.success, fit.message
    exact = np.quantile(NORMAL, level, method="inverted_cdf")
    upper = np.quantile(NORMAL, level, method="higher")
    error = fit.standard_errors("expected")["level"]
    assert exact - 1e-4 * error <= fit.estimates["level"] <= upper + 1e-4 * error
    loss = np.where(exact > NORMAL, level - 1, level) * (NORMAL - exact)
    assert fit.estimates["scale"] == pytest.approx(loss.mean(), rel=1e-5)


def test_the_laplace_scale_is_the_mean_absolute_deviation():
    fit = fitted(kinds.Laplace(lhx.positive(1.0)), HEAVY)
    assert fit.success, fit.message
    assert fit.estimates["scale"] == pytest.approx(
        np.abs(HEAVY - np.median(HEAVY)).mean(), rel=1e-6
    )


def test_trajectories_of_counts_have_the_bands_of_poisson(getkey):
    class Decay(eqx.Module):
        rate: Array = lhx.positive(0.5)

        def __call__(self, t, y, inputs):
            return -self.rate * y

    times = np.arange(10.0)
    counts = jax.random.poisson(getkey(), jnp.asarray(200 * np.exp(-0.3 * times)))
    predictor = lhx.Predictor(
        lhx.ODE(Decay(), initial=lhx.positive(100.0)),
        kinds.Poisson(lhx.predicted("identity")),
    )
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Experiment(times, np.asarray(counts)))
    assert fit.success, fit.message
    axis = lhx.plot.trajectories(fit).axes[0]
    band = axis.collections[0].get_paths()[0].vertices
    rate = fit.estimates["initial"]
    at_zero = band[np.isclose(band[:, 0], 0.0), 1]
    lower, upper = stats.poisson.ppf([0.025, 0.975], rate)
    assert at_zero.min() == pytest.approx(lower, abs=2)
    assert at_zero.max() == pytest.approx(upper, abs=2)
