"""Profile likelihoods, against closed forms, SciPy's constrained minima and R's intervals."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from numpyro.distributions import constraints
from scipy import optimize, stats

import likelihax as lhx
from likelihax.inference._profiles import _pulled

pytestmark = pytest.mark.slow

# ------------------------------------------------------------------- a line, its noise unknown


class Line(eqx.Module):
    intercept: Array = lhx.real(0.0)
    slope: Array = lhx.real(1.0, unit="m/s")

    def __call__(self, x):
        return self.intercept + self.slope * x


X = np.array([0.0, 1.0, 2.0, 3.0, 5.0, 8.0])
Y = np.array([0.3, 0.6, 2.1, 1.2, 3.6, 4.5])


def normal(scale):
    return lhx.likelihoods.Normal(scale=scale)


@pytest.fixture(scope="module")
def line():
    predictor = lhx.Predictor(Line(), normal(lhx.positive(1.0)))
    return lhx.fit(lhx.NLL(), predictor, lhx.Dataset(X, Y))


@pytest.fixture(scope="module")
def profiles(line):
    return lhx.profile(line, num=15)


def by_least_squares(row):
    """The estimate of a linear combination, its classical standard error, and the freedom."""
    design = np.column_stack([np.ones_like(X), X])
    found, squares, *_ = np.linalg.lstsq(design, Y)
    dof = len(X) - 2
    variance = squares[0] / dof * np.linalg.inv(design.T @ design)
    return row @ found, np.sqrt(row @ variance @ row), dof


def rise_of_combination(values, row):
    """n/2 log(1 + t^2 / (n - p)): the profile of what is linear, noise unknown."""
    centre, error, dof = by_least_squares(np.asarray(row, float))
    return 0.5 * len(X) * np.log1p(((values - centre) / error) ** 2 / dof)


@pytest.mark.parametrize(("name", "row"), [("intercept", (1.0, 0.0)), ("slope", (0.0, 1.0))])
def test_line_by_its_closed_form(profiles, name, row):
    found = profiles[name]
    assert np.all(np.diff(found.values) > 0)
    assert found.converged.all()
    np.testing.assert_allclose(found.rises, rise_of_combination(found.values, row), atol=2e-6)
    assert found.verdict == "bounded"
    for level in (0.95, 0.5):
        centre, error, dof = by_least_squares(np.asarray(row))
        t = np.sqrt(dof * np.expm1(stats.chi2.ppf(level, 1) / len(X)))
        wanted = np.array([centre - t * error, centre + t * error])
        np.testing.assert_allclose(found.interval(level), wanted, atol=2e-4 * t * error)
    np.testing.assert_allclose(found.estimate, centre, atol=1e-6)


def test_noise_by_its_closed_form(profiles, line):
    found = profiles["scale"]
    ratio = line.estimates["scale"] / found.values
    rises = -len(X) * np.log(ratio) + 0.5 * len(X) * (ratio**2 - 1)
    np.testing.assert_allclose(found.rises, rises, atol=2e-6)
    # 2 log L / n of the noise alone: x - 1 - log x at both ends, for x = (estimate / scale)^2.
    limit = stats.chi2.ppf(0.95, 1) / len(X)
    ends = [optimize.brentq(lambda x: x - 1 - np.log(x) - limit, *b) for b in ((1e-6, 1), (1, 9))]
    wanted = line.estimates["scale"] / np.sqrt(ends)
    np.testing.assert_allclose(sorted(wanted), found.interval(), rtol=1e-4)


def test_what_else_moves_along_a_profile(profiles, line):
    found = profiles["slope"]
    # A line through the mean of the data, its noise what remains.
    values = found.values
    intercepts = Y.mean() - values * X.mean()
    residuals = Y[None] - intercepts[:, None] - values[:, None] * X[None]
    np.testing.assert_allclose(found.estimates["intercept"], intercepts, atol=1e-3)
    np.testing.assert_allclose(found.estimates["slope"], values, rtol=1e-12)
    scales = np.sqrt(np.mean(residuals**2, axis=1))
    np.testing.assert_allclose(found.estimates["scale"], scales, rtol=1e-3)
    predictor = found.predictor(2)
    nll = lhx.NLL()(predictor, line.data)
    np.testing.assert_allclose(nll, found.nll[2], rtol=1e-12)
    np.testing.assert_allclose(found.nll - line.nll, found.rises, atol=1e-12)


def test_points_are_evenly_spaced_in_the_root(profiles):
    for found in profiles.values():
        roots = np.sqrt(2 * found.rises) * np.sign(found.values - found.estimate)
        steps = np.diff(roots)
        assert 15 <= len(roots) <= 17
        np.testing.assert_allclose(steps[1:-1], stats.norm.ppf(0.975) / 6, rtol=0.2)
        assert 2.1 < roots[-1] < 2.5
        assert -2.5 < roots[0] < -2.1


def test_function_of_the_predictor(line):
    at_four = lambda p: p.model.intercept + 4.0 * p.model.slope
    found = lhx.profile(line, {"at 4": at_four, "all": lambda p: jnp.stack([p.model.slope] * 2)})
    assert list(found) == ["at 4", "all[0]", "all[1]"]
    one = found["at 4"]
    np.testing.assert_allclose(one.rises, rise_of_combination(one.values, (1.0, 4.0)), atol=2e-6)
    _, error, dof = by_least_squares(np.array([1.0, 4.0]))
    # The curvature knows nothing of the degrees of freedom.
    np.testing.assert_allclose(one.standard_error, error * np.sqrt(dof / len(X)), rtol=1e-6)
    np.testing.assert_allclose(found["all[0]"].interval(), found["all[1]"].interval(), rtol=1e-9)


def test_table(profiles):
    text = repr(profiles)
    assert "slope" in text
    assert "m/s" in text
    assert text.count("bounded") == 3
    lower, upper = profiles["slope"].interval()
    assert f"{lower:.5g}" in text
    assert f"{upper:.5g}" in text
    assert "<pre" in profiles._repr_html_()
    assert "slope" in repr(profiles["slope"])


def test_nothing_is_compiled_twice(line, profiles):
    again = lhx.profile(line, ["slope", "scale"], num=9, level=0.9, workers=1)
    assert again.compile_seconds == 0
    assert list(again) == ["slope", "scale"]
    wide, narrow = profiles["slope"].interval(0.9), again["slope"].interval()
    np.testing.assert_allclose(wide, narrow, rtol=1e-4)


def test_side_by_side_finds_the_same(line, profiles, monkeypatch):
    monkeypatch.setattr(_pulled.jax, "default_backend", lambda: "an accelerator")
    found = lhx.profile(line, num=15, workers=4)
    for name, one in profiles.items():
        np.testing.assert_allclose(found[name].interval(), one.interval(), rtol=1e-6)


def test_interruption_returns_what_there_is(line, monkeypatch):
    def interrupted(work, tasks, workers, glance):
        from threading import Event

        for task in tasks[:3]:
            work(task, Event())
        return True

    monkeypatch.setattr(_pulled, "share_out", interrupted)
    found = lhx.profile(line, num=9)
    assert [one.verdict for one in found.values()] == ["bounded", "unfinished", "unfinished"]
    assert "interrupted" in repr(found)
    with pytest.raises(ValueError, match="above the estimate the profile was interrupted"):
        found["slope"].interval()


# ------------------------------------------------------------------------------- not so linear


class MichaelisMenten(eqx.Module):
    top: Array = lhx.positive(200.0)
    half: Array = lhx.positive(0.05)

    def __call__(self, x):
        return self.top * x / (self.half + x)


# Treated Puromycin (Bates and Watts 1988, "Nonlinear regression analysis", table A1.3).
CONC = np.repeat([0.02, 0.06, 0.11, 0.22, 0.56, 1.10], 2)
RATE = np.array([76.0, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200])


@pytest.fixture(scope="module")
def puromycin():
    predictor = lhx.Predictor(MichaelisMenten(), normal(lhx.positive(10.0)))
    return lhx.fit(lhx.NLL(), predictor, lhx.Dataset(CONC, RATE))


def squares_at(name, value):
    """The smallest sum of squares with one number held, by SciPy."""
    if name == "half":
        shape = CONC / (value + CONC)
        return np.sum((RATE - shape * (shape @ RATE) / (shape @ shape)) ** 2)
    of = lambda half: np.sum((RATE - value * CONC / (half + CONC)) ** 2)
    return optimize.minimize_scalar(of, (0.01, 0.05, 0.5), tol=1e-12).fun


def test_nonlinear_as_scipy_and_r_have_it(puromycin):
    # R's confint of an nls fit uses the profile t, of n - p = 10 degrees of freedom: that is a
    # likelihood-ratio interval of another level.
    n, t = 12, stats.t.ppf(0.975, 10)
    level = stats.chi2.cdf(n * np.log1p(t**2 / 10), 1)
    found = lhx.profile(puromycin, ["top", "half"], level=level)
    least = np.sum((RATE - puromycin.predictor.simulate(jnp.asarray(CONC)).values) ** 2)
    for name, one in found.items():
        rises = [0.5 * n * np.log(squares_at(name, value) / least) for value in one.values]
        np.testing.assert_allclose(one.rises, rises, atol=2e-6)
    # R interpolates between its points.
    np.testing.assert_allclose(found["top"].interval(), (197.30212848, 229.29006490), rtol=5e-5)
    np.testing.assert_allclose(found["half"].interval(), (0.04692517, 0.08615995), rtol=2e-4)


# --------------------------------------------------------------------- flat and one-sided ones


class Saturating(eqx.Module):
    top: Array = lhx.positive(1.0)
    rate: Array = lhx.positive(3.0)

    def __call__(self, x):
        return self.top * -jnp.expm1(-self.rate * x)


LATE = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
NEAR_ONE = np.array([0.93, 0.98, 1.16, 1.1, 0.95, 1.04, 1.13, 1.09])


def test_one_sided_where_the_beginning_was_missed():
    predictor = lhx.Predictor(Saturating(), normal(0.1))
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(LATE, NEAR_ONE))
    found = lhx.profile(fit)
    assert found["top"].verdict == "bounded"
    rate = found["rate"]
    assert rate.verdict == "one-sided"
    lower, upper = rate.interval()
    assert upper == np.inf
    # Where the sum of squares, the top at its best, has risen by the quantile.
    misfit = lambda rate: _misfit(-np.expm1(-rate * LATE))
    ceiling = misfit(fit.estimates["rate"]) + stats.chi2.ppf(0.95, 1)
    exact = optimize.brentq(lambda r: misfit(r) - ceiling, 0.2, fit.estimates["rate"])
    np.testing.assert_allclose(lower, exact, rtol=1e-4)
    # However fast, the top is then the mean: the NLL rises no further.
    saturated = 0.5 * (
        np.sum((NEAR_ONE - NEAR_ONE.mean()) ** 2) / 0.01 - misfit(fit.estimates["rate"])
    )
    np.testing.assert_allclose(rate.rises[-1], saturated, atol=1e-5)
    assert rate.values[-1] > 1e5
    assert "rises by" in repr(found)
    # A plateau half a per cent below the limit is not across it.
    level = float(stats.chi2.cdf(2.01 * saturated, 1))
    assert lhx.profile(fit, "rate", level=level)["rate"].verdict == "one-sided"
    # The other end of a time is that of the rate; how fast it may be is a time of zero.
    time = lhx.profile(fit, lambda p: 1.0 / p.model.rate)["function"]
    assert time.verdict == "one-sided"
    np.testing.assert_allclose(time.interval(), (0.0, 1.0 / exact), rtol=1e-4, atol=1e-6)


def _misfit(shape):
    return np.sum((NEAR_ONE - shape * (shape @ NEAR_ONE) / (shape @ shape)) ** 2) / 0.01


class Product(eqx.Module):
    a: Array = lhx.positive(1.0)
    b: Array = lhx.bounded(2.0, 0.0, 5.0)

    def __call__(self, x):
        return self.a * self.b * x


def test_only_a_product_is_determined():
    predictor = lhx.Predictor(Product(), normal(0.5))
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(X, Y))
    found = lhx.profile(fit)
    assert found["b"].verdict == "flat"
    assert found["b"].interval() == (0.0, 5.0)
    assert found["a"].standard_error == found["b"].standard_error == np.inf
    product = lhx.profile(fit, lambda p: p.model.a * p.model.b)["function"]
    assert product.verdict == "bounded"
    error = 0.5 / np.sqrt(X @ X)
    centre = X @ Y / (X @ X)
    wanted = (centre - 1.959963985 * error, centre + 1.959963985 * error)
    np.testing.assert_allclose(product.interval(), wanted, rtol=1e-5)
    # The other one is below 5, so that this one is above a fifth of the product.
    assert found["a"].verdict == "one-sided"
    np.testing.assert_allclose(found["a"].interval(), (wanted[0] / 5, np.inf), rtol=1e-4)


# ------------------------------------------------------------------- several, vectors, failures


class Level(eqx.Module):
    level: Array = lhx.real(0.0, by="experiment")

    def __call__(self, t):
        return self.level * jnp.ones_like(t)


def test_a_number_for_each_experiment():
    groups = {"A": [1.0, 1.5, 0.7], "B": [2.0, 2.9, 2.2, 2.4], "C": [-1.0, -0.4]}
    data = lhx.Experiments(
        [lhx.Experiment(np.arange(float(len(y))), y, name=name) for name, y in groups.items()]
    )
    fit = lhx.fit(lhx.NLL(), lhx.Predictor(Level(), normal(lhx.positive(1.0))), data)
    found = lhx.profile(fit, "level", num=9)
    assert list(found) == ["level[A]", "level[B]", "level[C]"]
    squares = sum(np.sum((np.array(y) - np.mean(y)) ** 2) for y in groups.values())
    for name, y in groups.items():
        one = found[f"level[{name}]"]
        more = len(y) * (one.values - np.mean(y)) ** 2
        np.testing.assert_allclose(one.rises, 4.5 * np.log1p(more / squares), atol=2e-6)
    assert list(lhx.profile(fit, "level[B]", num=9)) == ["level[B]"]


COUNTS = np.array([7.0, 11.0, 22.0])


def test_shares_of_a_whole_by_bfgs():
    def multinomial(tree, counts):
        return -jnp.sum(counts * jnp.log(tree["p"]))

    start = {"p": lhx.constrained([0.3, 0.3, 0.4], constraints.simplex)}
    fit = lhx.fit(multinomial, start, jnp.asarray(COUNTS))
    assert isinstance(fit.method, lhx.BFGS)
    found = lhx.profile(fit, num=9)
    total = COUNTS.sum()
    for k, one in enumerate(found.values()):
        share = COUNTS[k] / total
        p = one.values
        rises = COUNTS[k] * np.log(share / p) + (total - COUNTS[k]) * np.log((1 - share) / (1 - p))
        np.testing.assert_allclose(one.rises, rises, atol=1e-5)
        np.testing.assert_allclose(one.estimates["p"].sum(axis=1), 1.0, rtol=1e-12)


def test_ordered_numbers_are_profiled_in_natural_units():
    def misfit(tree, measured):
        return 0.5 * jnp.sum((tree["cuts"] - measured) ** 2)

    measured = jnp.asarray([0.0, 10.0, 30.0])
    fit = lhx.fit(misfit, {"cuts": lhx.ordered([1.0, 5.0, 7.0])}, measured)
    found = lhx.profile(fit, "cuts[1]", num=9)["cuts[1]"]
    np.testing.assert_allclose(found.rises, 0.5 * (found.values - 10.0) ** 2, atol=1e-5)


def two_wells(tree, data):
    x = tree["x"]
    return 1.5 * (x**2 - 1) ** 2 + 0.2 * x


def test_a_lower_minimum_on_the_way_is_reported():
    fit = lhx.fit(two_wells, {"x": lhx.real(1.2)}, None)
    assert fit.estimates["x"] > 0
    found = lhx.profile(fit)
    x = found["x"]
    assert x.verdict == "unfinished"
    assert "not the minimum" in repr(found)
    assert two_wells(lhx.resolve(found.lower_minimum), None) < fit.nll
    with pytest.raises(ValueError, match="a lower minimum was met"):
        x.interval()
    better = lhx.fit(two_wells, found.lower_minimum, None)
    assert better.nll < fit.nll
    assert lhx.profile(better)["x"].remarks == ()


def test_where_the_objective_ends_is_reported():
    def walled(tree, data):
        x = tree["x"]
        return jnp.where(x < 1.4, 0.5 * (x - 1.0) ** 2, jnp.nan)

    found = lhx.profile(lhx.fit(walled, {"x": lhx.real(0.9)}, None), num=15)
    x = found["x"]
    assert x.verdict == "unfinished"
    assert x.walks[0].end == "crossed"
    assert x.values[-1] < 1.4
    assert "above the estimate the fits of the other parameters failed" in repr(found)


# ------------------------------------------------------------------------------------ bad input


def test_bad_input(line, as_a_user):
    with pytest.raises(ValueError, match="no fitted number is called 'rate'; there are intercept"):
        lhx.profile(line, "rate")
    with pytest.raises(ValueError, match="num is 3"):
        lhx.profile(line, num=3)
    with pytest.raises(ValueError, match=r"level must be in \(0, 1\)"):
        lhx.profile(line, level=95)
    with pytest.raises(ValueError, match="must return one floating number"):
        lhx.profile(line, lambda p: (p.model.slope, p.model.intercept))
    with pytest.raises(ValueError, match="is no function of the predictor"):
        lhx.profile(line, {"slope": 3.0})
    with pytest.raises(ValueError, match="expected the Fit"):
        lhx.profile(line.predictor)


def test_levels_beyond_are_refused(profiles):
    with pytest.raises(ValueError, match=r"ask for profile\(fit, level=0.999\)"):
        profiles["slope"].interval(0.999)
    with pytest.raises(KeyError, match="no profile of 'rate'"):
        profiles["rate"]


def test_fits_without_a_minimum_are_refused():
    data = lhx.Dataset(X, Y)
    predictor = lhx.Predictor(Line(), normal(1.0))
    unfinished = lhx.fit(lhx.NLL(), predictor, data, method=lhx.LevenbergMarquardt(max_steps=1))
    with pytest.raises(ValueError, match="did not converge"):
        lhx.profile(unfinished)
    mean = lhx.fit(lhx.NLL(lhx.reductions.Mean()), predictor, data)
    with pytest.raises(ValueError, match="is not minus the logarithm of a density"):
        lhx.profile(mean)


def test_picture(profiles):
    figure = lhx.plot.profiles(profiles)
    panels = figure.axes
    assert [axis.get_xlabel() for axis in panels] == ["intercept", "slope [m/s]", "scale"]
    curve = panels[1].get_lines()[0]
    np.testing.assert_allclose(curve.get_ydata(), profiles["slope"].rises)
    limit = panels[1].get_lines()[-1]
    np.testing.assert_allclose(limit.get_ydata(), 0.5 * stats.chi2.ppf(0.95, 1))
