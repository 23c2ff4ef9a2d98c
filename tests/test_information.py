"""Robust errors, errors of functions, bands, and what is not determined."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import statsmodels.api as sm
from jax import Array
from problems import line_problem
from scipy import integrate, optimize, stats

import likelihax as lhx
from examples import lynx_hare


@pytest.fixture(scope="module")
def line():
    """A fitted line, and the same by statsmodels."""
    predictor, data = line_problem(lhx.positive(0.3))
    fit = lhx.fit(lhx.NLL(), predictor, data)
    return fit, sm.OLS(np.asarray(data.values), np.asarray(data.inputs)).fit()


def errors_of(fit, *arguments, **words):
    return np.sqrt(np.diag(fit.covariance(*arguments, **words).matrix))


# ---------------------------------------------------------------------------- the sandwich


def test_sandwich_is_white_s_of_a_line(line):
    fit, peer = line
    np.testing.assert_allclose(errors_of(fit, "sandwich")[:3], peer.HC0_se, rtol=1e-6)
    by_dof = errors_of(fit, "sandwich", dof="residual")
    np.testing.assert_allclose(by_dof[:3], peer.HC1_se, rtol=1e-6)


def test_sandwich_of_counts_that_scatter_more():
    generator = np.random.default_rng(3)
    rows = np.column_stack([np.ones(60), generator.standard_normal(60)])
    counts = generator.negative_binomial(2, 2 / (2 + np.exp(rows @ [1.0, 0.5])))
    predictor = lhx.Predictor(Rows(jnp.zeros(2)), lhx.likelihoods.Poisson())
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(rows, counts.astype(float)))
    robust = sm.GLM(counts, rows, sm.families.Poisson()).fit(cov_type="HC0")
    np.testing.assert_allclose(errors_of(fit, "sandwich"), robust.bse, rtol=1e-5)
    assert errors_of(fit, "sandwich")[1] > 1.2 * errors_of(fit)[1]


def test_sandwich_of_experiments_that_are_correlated_within():
    generator = np.random.default_rng(4)
    times = np.arange(1.0, 7.0)
    shifts = 0.5 * generator.standard_normal(9)
    values = [2 - 0.3 * times + s + 0.2 * generator.standard_normal(6) for s in shifts]
    data = lhx.Experiments(
        [lhx.Experiment(times, one, name=f"e{i}") for i, one in enumerate(values)]
    )
    predictor = lhx.Predictor(Slope(), lhx.likelihoods.Normal(lhx.positive(0.5)))
    fit = lhx.fit(lhx.NLL(), predictor, data)
    rows = np.column_stack([np.ones(54), np.tile(times, 9)])
    clustered = sm.OLS(np.concatenate(values), rows).fit(
        cov_type="cluster",
        cov_kwds={"groups": np.repeat(np.arange(9), 6), "use_correction": False},
    )
    found = errors_of(fit, "sandwich", cluster="experiment")
    np.testing.assert_allclose(found[:2], clustered.bse, rtol=1e-6)
    with pytest.raises(ValueError, match=r"'value', 'row', 'experiment' only"):
        fit.covariance("sandwich", cluster="subject")


def test_each_value_for_itself(line):
    fit, _ = line
    np.testing.assert_allclose(
        errors_of(fit, "sandwich", cluster="value"), errors_of(fit, "sandwich"), rtol=1e-12
    )


# ------------------------------------------------------------------------- the delta method


def test_delta_of_a_ratio(line):
    fit, peer = line
    ratio = lhx.delta(fit, lambda p: p.model.weights[1] / p.model.weights[0], level=0.9)
    a, b = peer.params[:2]
    slope = np.array([-b / a**2, 1 / a, 0.0])
    # The maximum-likelihood covariance has n where OLS has n - p.
    expected = np.sqrt(slope @ peer.cov_params() @ slope * 27 / 30)
    np.testing.assert_allclose(ratio.value, b / a, rtol=1e-7)
    np.testing.assert_allclose(ratio.standard_error, expected, rtol=1e-6)
    width = stats.norm.ppf(0.95) * expected
    np.testing.assert_allclose(
        [ratio.lower, ratio.upper], [b / a - width, b / a + width], rtol=1e-6
    )
    assert "90 % interval" in str(ratio)


def test_delta_of_an_array_correlates(line):
    fit, peer = line
    found = lhx.delta(fit, lambda p: p.model.weights)
    np.testing.assert_allclose(found.covariance, peer.cov_params() * 27 / 30, rtol=1e-6)


def test_delta_of_what_is_determined_though_its_factors_are_not(product):
    fit, plain = product
    of_product = lhx.delta(fit, lambda p: p.model.a * p.model.b)
    np.testing.assert_allclose(of_product.standard_error, plain, rtol=1e-6)
    alone = lhx.delta(fit, lambda p: p.model.a)
    assert not alone.determined
    assert alone.lower == -np.inf
    assert "not determined" in str(alone)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (3.0, "is no function"),
        (lambda p: "half-life", "must be a number"),
        (lambda p: 3, "must be floating"),
        (lambda p: jnp.log(p.model.weights[1]), "is not finite"),
    ],
)
@pytest.mark.usefixtures("as_a_user")
def test_delta_of_what_is_no_function_of_the_parameters(line, function, message):
    with pytest.raises(ValueError, match=message):
        lhx.delta(line[0], function)


# ------------------------------------------------------------------------------------ bands


def test_bands_about_a_line(line):
    fit, peer = line
    found = lhx.bands(fit)
    rows = np.asarray(fit.data.inputs)
    of_mean = np.sqrt(np.einsum("ij,jk,ik->i", rows, peer.cov_params() * 27 / 30, rows))
    half = stats.norm.ppf(0.975) * of_mean
    np.testing.assert_allclose(found.mean, peer.fittedvalues, rtol=1e-6)
    np.testing.assert_allclose(found.mean_upper - found.mean, half, rtol=2e-3)
    np.testing.assert_allclose(found.mean - found.mean_lower, half, rtol=2e-3)
    scale, error = fit.estimates["scale"], errors_of(fit)[3] / fit.estimates["scale"]
    for i in (0, 7):
        upper = _quantile(lambda s, i=i: np.hypot(of_mean[i], scale * np.exp(error * s)), 0.975)
        np.testing.assert_allclose(found.upper[i] - found.mean[i], upper, rtol=0.01)
        np.testing.assert_allclose(found.mean[i] - found.lower[i], upper, rtol=0.01)


def _quantile(deviation, level):
    """Where a Normal whose deviation depends on a standard Normal number has its quantile."""

    def excess(y):
        inside = lambda s: stats.norm.cdf(y / deviation(s)) * stats.norm.pdf(s)
        return integrate.quad(inside, -8, 8)[0] - level

    return optimize.brentq(excess, 0, 10)


def test_bands_of_counts_stay_above_zero():
    counts = np.array([0.0, 1.0, 0.0, 2.0])
    predictor = lhx.Predictor(Rows(jnp.zeros(1)), lhx.likelihoods.Poisson())
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(np.ones((4, 1)), counts))
    found = lhx.bands(fit, np.ones((2, 1)), level=0.9)
    centre, error = np.log(0.75), 1 / np.sqrt(3)
    ends = np.exp(centre + error * stats.norm.ppf([0.05, 0.95]))
    np.testing.assert_allclose([found.mean_lower[0], found.mean_upper[0]], ends, rtol=2e-3)

    def probability(k):
        inside = lambda s: stats.poisson.cdf(k, np.exp(centre + error * s)) * stats.norm.pdf(s)
        return integrate.quad(inside, -8, 8)[0]

    assert found.lower[1] == 0
    assert probability(found.upper[1] - 1) < 0.95 < probability(found.upper[1])


def test_bands_beyond_the_data_are_wider(lynx_hare_fit):
    found = lhx.bands(lynx_hare_fit, np.array([1901.0, 1940.0]))
    np.testing.assert_allclose(found.mean[0], lhx.bands(lynx_hare_fit).mean[1], rtol=1e-6)
    with pytest.raises(ValueError, match="the solve begins at t = 1900, after t = 1899"):
        lhx.bands(lynx_hare_fit, [1899.0, 1900.0])
    width = found.mean_upper - found.mean_lower
    assert np.all(width[1] / found.mean[1] > 1.4 * width[0] / found.mean[0])
    assert np.all(found.lower < found.mean_lower)
    assert np.all(found.upper > found.mean_upper)


def test_bands_of_what_is_not_determined(product):
    fit, _ = product
    assert np.all(np.isfinite(lhx.bands(fit).upper))


def test_bands_where_nothing_was_measured_are_infinite():
    # The second weight was never seen at work: its column is zero.
    rows = np.column_stack([np.ones(4), np.zeros(4)])
    predictor = lhx.Predictor(Rows(jnp.zeros(2)), lhx.likelihoods.Normal(0.5))
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(rows, np.array([1.0, 2.0, 1.5, 1.5])))
    found = lhx.bands(fit, np.array([[1.0, 0.0], [1.0, 1.0]]))
    half = stats.norm.ppf(0.975) * 0.5 / np.sqrt(4)
    np.testing.assert_allclose(found.mean_upper[0], 1.5 + half, rtol=2e-3)
    assert found.mean_lower[1] == found.lower[1] == -np.inf
    assert found.mean_upper[1] == found.upper[1] == np.inf


@pytest.mark.usefixtures("as_a_user")
def test_bands_are_asked_for_wrongly(line):
    with pytest.raises(ValueError, match=r"the level must be in \(0, 1\), got 95"):
        lhx.bands(line[0], level=95)
    with pytest.raises(ValueError, match="expected the Fit"):
        lhx.bands(line[1])
    mean = lhx.fit(lhx.NLL(lhx.reductions.Mean()), line[0].problem.predictor, line[0].data)
    with pytest.raises(ValueError, match="is not minus the logarithm of a density"):
        lhx.delta(mean, lambda p: p.model.weights)
    short = lhx.fit(
        lhx.NLL(), *line_problem(lhx.positive(0.3)), method=lhx.LevenbergMarquardt(max_steps=1)
    )
    with pytest.raises(ValueError, match="did not converge"):
        lhx.bands(short)


# --------------------------------------------------------------------- what is not determined


class Rows(eqx.Module):
    weights: Array

    def __call__(self, rows):
        return rows @ self.weights


class Slope(eqx.Module):
    level: Array = lhx.real(1.0)
    slope: Array = lhx.real(-0.1)

    def __call__(self, times):
        return self.level + self.slope * times


# Curves of three positive numbers: compiled together, so that one compilation fits them all.
CURVES = (
    lambda a, b, c, x: a * b * jnp.exp(-c * x),
    lambda a, b, c, x: a * jnp.exp(-c * x) + 0 * b,
    lambda a, b, c, x: a * b / c * jnp.exp(-0.7 * x),
    lambda a, b, c, x: c * jnp.exp(-(a + b) * x),
    lambda a, b, c, x: a**2 * b * jnp.exp(-c * x),
    lambda a, b, c, x: a * b * jnp.exp(-b * c * x),
    lambda a, b, c, x: 3 * jnp.exp(-jnp.sqrt(a**2 + b**2) * x) + 0 * c,
    lambda a, b, c, x: 3 * jnp.exp(-(a - 2 * b) * x) + 0 * c,
    lambda a, b, c, x: a * x / (b + x) + 0 * c,
    lambda a, b, c, x: a + c * x + 1e-7 * b * x**2,
)


class Curve(eqx.Module):
    which: Array
    a: Array
    b: Array
    c: Array

    def __call__(self, x):
        return jax.lax.switch(self.which, CURVES, self.a, self.b, self.c, x)


X = np.linspace(0.1, 5, 30)
DECAY = 3 * np.exp(-0.7 * X) + 0.1 * np.random.default_rng(0).standard_normal(30)
STRAIGHT = 0.3 * X + 0.1 * np.random.default_rng(1).standard_normal(30)


def nearly_straight():
    """A line that saturates far beyond the data, and a scatter that says nothing about where."""
    noise = 0.1 * np.random.default_rng(1).standard_normal(30)
    shapes = np.column_stack([X, X**2, X**3])
    noise -= shapes @ np.linalg.lstsq(shapes, noise)[0]
    return 0.3 * X / (1 + X / 500) + noise


def fitted(which, a=1.0, b=2.0, c=0.5, kind=lhx.positive, values=DECAY):
    model = Curve(lhx.frozen(which), kind(a), kind(b), kind(c))
    predictor = lhx.Predictor(model, lhx.likelihoods.Normal(lhx.positive(0.1)))
    return lhx.fit(lhx.NLL(), predictor, lhx.Dataset(X, values))


@pytest.fixture(scope="module")
def product():
    """A model in which only a product is determined, and the error of that, fitted by itself."""
    alone = fitted(1)
    plain = np.sqrt(alone.covariance().matrix[0, 0])
    return fitted(0), plain


@pytest.fixture(scope="module")
def lynx_hare_fit():
    return lhx.fit(lhx.NLL(), lynx_hare.predictor(), lynx_hare.data())


def test_only_a_product_is_determined(product):
    fit, _ = product
    text = str(fit)
    assert "Only a * b is determined, not a and b by themselves." in text
    assert text.count("not determined") == 2
    found = fit.identifiability
    assert found.open[0].determined == ("a * b",)
    assert found.open[0].exact
    np.testing.assert_array_equal(found.determined, [False, False, True, True])
    assert found.condition_number > 1e12


@pytest.mark.parametrize(
    ("which", "sentence"),
    [
        (1, "b is not determined: the data say nothing about it."),
        (2, "Only a * b / c is determined, not a, b and c by themselves."),
        (3, "Only a + b is determined, not a and b by themselves."),
        (4, "Only a^2 * b is determined, not a and b by themselves."),
        (5, "Only a / c and b * c are determined, not a, b and c by themselves."),
        (6, "a and b are not determined by themselves: the objective stays the same"),
        (7, "Only a - 2 b is determined, not a and b by themselves."),
    ],
)
def test_a_flat_direction_is_named(which, sentence):
    fit = fitted(which, a=2.0, b=0.5)
    assert fit.success
    assert sentence in str(fit.identifiability)


def test_what_is_practically_flat_is_named_and_has_no_symmetric_interval():
    fit = fitted(8, a=100.0, b=400.0, values=nearly_straight())
    assert fit.success
    text = str(fit)
    assert "Practically only a / b is determined, not a and b by themselves." in text
    assert "c is not determined" in text
    assert text.count("not determined") == 4  # three in the table
    assert not any(each.exact for each in fit.identifiability.open if "a" in each.names)


def test_a_long_error_of_a_positive_number_is_no_symmetric_interval():
    fit = fitted(8, b=4.0, values=STRAIGHT)
    np.testing.assert_array_equal(fit.identifiability.determined, [True, True, False, True])
    assert fit.identifiability.doubtful == ("a", "b")
    assert "A symmetric interval says little about a and b: see likelihax.identify." in str(fit)


def test_a_weak_number_is_named():
    fit = fitted(9, kind=lhx.real, values=STRAIGHT)
    assert "b is practically not determined" in str(fit.identifiability)
    assert fit.identifiability.determined.sum() == 3


def test_what_ran_off_is_named():
    class Exponential(eqx.Module):
        a: Array = lhx.positive(2.0)
        rate: Array = lhx.positive(3.0)

        def __call__(self, x):
            return self.a * (1 - jnp.exp(-self.rate * (x + 0.1)))

    values = 2.0 + 0.05 * np.sin(7 * np.arange(30))
    values[:3] += 0.2
    predictor = lhx.Predictor(Exponential(), lhx.likelihoods.Normal(lhx.positive(0.1)))
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(X, values))
    assert not fit.success
    assert "rate is" in str(fit)
    assert "a is" not in str(fit)


class SeenInPart(eqx.Module):
    """Hares and lynx, of which the lynx are never counted: their scale stays open."""

    growth: Array = lhx.positive(0.5)
    predation: Array = lhx.positive(0.03)
    death: Array = lhx.positive(0.8)
    conversion: Array = lhx.positive(0.025)

    def __call__(self, t, y, inputs):
        hare, lynx = y
        growth = (self.growth - self.predation * lynx) * hare
        return jnp.stack([growth, (self.conversion * hare - self.death) * lynx])


def test_the_scale_of_what_is_never_seen_is_named():
    model = lhx.ODE(
        SeenInPart(),
        initial=lhx.positive([34.0, 6.0], name=("hare", "lynx")),
        observe=lambda t, y: y[0],
    )
    predictor = lhx.Predictor(model, lhx.likelihoods.LogNormal(lhx.positive(0.3)))
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Experiment(lynx_hare.YEARS, lynx_hare.HARE))
    assert fit.success
    assert "Only predation * initial[lynx] is determined" in str(fit)


def test_a_well_posed_fit_is_not_accused(lynx_hare_fit, line):
    for fit in (lynx_hare_fit, line[0]):
        assert fit.identifiability.is_identified
        assert not fit.identifiability.doubtful
        assert "determined" not in str(fit)
    scales = np.sqrt(np.diag(jax.device_get(lynx_hare_fit.covariance().matrix)))
    assert np.all(np.isfinite(scales))
    assert 1 < lynx_hare_fit.identifiability.condition_number < 1e4
