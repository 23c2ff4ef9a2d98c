"""The bootstrap: refits against closed forms, intervals against SciPy, what it refuses."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax import Array
from problems import Line, line_problem
from scipy import stats

import likelihax as lhx
from likelihax.fits import _many
from likelihax.inference._ensembles import _resampled
from likelihax.inference._ensembles._bootstrap import intervals_of

KEY = jax.random.key(11)


def least_squares(rows, values):
    return np.linalg.lstsq(np.asarray(rows), np.asarray(values))[0]


@pytest.fixture(scope="module")
def line():
    predictor, data = line_problem(lhx.positive(0.3))
    return lhx.fit(lhx.NLL(), predictor, data)


@pytest.fixture(scope="module")
def cases(line):
    return lhx.bootstrap(line, num=400, key=KEY, workers=2)


# --- what is refitted --------------------------------------------------------------------------


def test_each_refit_is_the_least_squares_fit_of_the_rows_drawn(line, cases):
    assert cases.kind == "cases"
    assert cases.num == 400
    assert cases.failed == 0
    counts = _resampled.case_counts(line, 400, KEY)
    assert np.all(counts.sum(axis=1) == 30)
    rows, values = np.asarray(line.data.inputs), np.asarray(line.data.values)
    for i in (0, 7, 399):
        drawn = np.repeat(np.arange(30), counts[i].astype(int))
        expected = least_squares(rows[drawn], values[drawn])
        np.testing.assert_allclose(cases.estimates["weights"][i], expected, rtol=1e-6)
        left = np.sqrt(np.mean((values[drawn] - rows[drawn] @ expected) ** 2))
        np.testing.assert_allclose(cases.estimates["scale"][i], left, rtol=1e-6)


def test_one_compilation_serves_all(line, cases):
    again = lhx.bootstrap(line, num=10, key=KEY, workers=1)
    assert again.refits.compile_seconds == 0
    np.testing.assert_array_equal(
        again.estimates["weights"], lhx.bootstrap(line, num=10, key=KEY).estimates["weights"]
    )


@pytest.mark.slow
def test_side_by_side_as_on_an_accelerator(line, monkeypatch):
    threads = lhx.bootstrap(line, num=7, key=KEY)
    monkeypatch.setattr(_many.jax, "default_backend", lambda: "gpu")
    beside = lhx.bootstrap(line, num=7, key=KEY, workers=3)
    for name, estimates in threads.estimates.items():
        np.testing.assert_allclose(beside.estimates[name], estimates, rtol=1e-6)


@pytest.mark.parametrize("kind", ["parametric", "residual"])
def test_simulated_values_scatter_as_the_line_says(line, kind):
    found = lhx.bootstrap(line, num=2000, key=KEY, kind=kind)
    rows = np.asarray(line.data.inputs)
    variance = line.estimates["scale"] ** 2
    if kind == "residual":  # as the residuals scatter about their mean
        left = np.asarray(line.data.values) - rows @ line.estimates["weights"]
        variance = np.var(left)
    exact = variance * np.linalg.inv(rows.T @ rows)
    error = found.standard_errors["weights"] / np.sqrt(np.diag(exact))
    np.testing.assert_allclose(error, 1.0, atol=4 / np.sqrt(2 * 2000))
    np.testing.assert_allclose(found.covariance[:3, :3], exact, atol=0.1 * exact.max())
    # The scale of n - p residuals: its square is chi-squared.
    expected = stats.chi2(27).mean() / 30 * variance
    np.testing.assert_allclose(np.mean(found.estimates["scale"] ** 2), expected, rtol=0.02)


@pytest.mark.slow
def test_default_of_what_is_measured_over_time_is_simulated():
    class Decay(eqx.Module):
        rate: Array

        def __call__(self, times):
            return jnp.exp(-self.rate * times)

    times = np.linspace(0.5, 4.0, 8)
    predictor = lhx.Predictor(Decay(lhx.positive(1.0)), lhx.likelihoods.Normal(0.05))
    values = np.exp(-0.7 * times)
    values[3] = np.nan
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Experiment(times, values))
    found = lhx.bootstrap(fit, num=300, key=KEY)
    assert found.kind == "parametric"
    exact = fit.standard_errors()["rate"]
    np.testing.assert_allclose(found.standard_errors["rate"], exact, rtol=0.15)
    with pytest.raises(ValueError, match="one experiment, whose times were chosen"):
        lhx.bootstrap(fit, num=10, key=KEY, kind="cases")


@pytest.mark.slow
def test_whole_experiments_are_drawn():
    class Level(eqx.Module):
        level: Array

        def __call__(self, times):
            return self.level + 0.0 * times

    generator = np.random.default_rng(2)
    levels = generator.normal(3.0, 1.0, 12)
    experiments = [
        lhx.Experiment(np.arange(1.0 + i % 3), np.full(1 + i % 3, level), name=f"e{i}")
        for i, level in enumerate(levels)
    ]
    data = lhx.Experiments(experiments)
    predictor = lhx.Predictor(Level(lhx.real(1.0)), lhx.likelihoods.Normal(1.0))
    fit = lhx.fit(lhx.NLL(), predictor, data)
    found = lhx.bootstrap(fit, num=50, key=KEY, kind="cases")
    sizes = np.array([1 + i % 3 for i in range(12)])
    counts = _resampled.case_counts(fit, 50, KEY)
    expected = (counts * sizes) @ levels / (counts @ sizes)
    np.testing.assert_allclose(found.estimates["level"], expected, rtol=1e-9)
    own = lhx.Predictor(Level(lhx.real(1.0, by="experiment")), lhx.likelihoods.Normal(1.0))
    with pytest.raises(ValueError, match="varies by experiment"):
        lhx.bootstrap(lhx.fit(lhx.NLL(), own, data), num=10, key=KEY, kind="cases")


def test_priors_stay_and_weights_multiply(line):
    predictor, data = line_problem(lhx.positive(0.3))
    prior = lhx.terms.Prior(lambda p: p.model.weights, dist.Normal(0.0, 0.1))
    weights = np.where(np.arange(30) < 15, 2.0, 1.0)
    known = lhx.Predictor(predictor.model, lhx.likelihoods.Normal(0.25))
    fit = lhx.fit(lhx.NLL(weights=weights) + prior, known, data)
    found = lhx.bootstrap(fit, num=5, key=KEY)
    rows, values = np.asarray(data.inputs), np.asarray(data.values)
    for counts, ours in zip(
        _resampled.case_counts(fit, 5, KEY), found.estimates["weights"], strict=True
    ):
        w = counts * weights / 0.25**2
        exact = np.linalg.solve((rows.T * w) @ rows + np.eye(3) / 0.1**2, (rows.T * w) @ values)
        np.testing.assert_allclose(ours, exact, rtol=1e-8)


@pytest.mark.slow
def test_refits_that_do_not_converge_are_counted_and_left_out(line):
    hasty = lhx.LevenbergMarquardt(max_steps=3)
    fit = lhx.fit(lhx.NLL(), line.predictor, line.data, method=hasty)  # begun where it ends
    assert fit.success
    found = lhx.bootstrap(fit, num=40, key=KEY)
    alone = []
    for counts in _resampled.case_counts(fit, 40, KEY):
        one = lhx.fit(lhx.NLL(weights=counts), fit.predictor, fit.data, method=hasty)
        alone.append(one.success)
    assert 0 < sum(alone) < 40
    np.testing.assert_array_equal(found.refits.converged, alone)
    assert (found.num, found.failed) == (sum(alone), 40 - sum(alone))
    left_out = f"{found.failed} did not and are left out ({found.failed} steps_used_up)"
    assert left_out in repr(found)
    assert found.estimates["weights"].shape == (sum(alone), 3)
    assert len(found.ensemble) == sum(alone)


# --- intervals ---------------------------------------------------------------------------------


class Mean(eqx.Module):
    level: Array

    def __call__(self, inputs):
        return self.level + 0.0 * inputs


@pytest.mark.parametrize("kind", ["percentile", "basic", "bca"])
def test_intervals_are_scipys(kind):
    values = np.random.default_rng(4).exponential(2.0, 25)
    predictor = lhx.Predictor(Mean(lhx.real(1.0)), lhx.likelihoods.Normal(1.0))
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(np.zeros(25), values))
    found = lhx.bootstrap(fit, num=999, key=KEY)
    # SciPy takes our resampled means and makes its own intervals of them.
    given = stats.bootstrap((values,), np.mean, n_resamples=2, rng=1)
    given.bootstrap_distribution = found.estimates["level"]
    for level in (0.9, 0.95):
        theirs = stats.bootstrap(
            (values,),
            np.mean,
            n_resamples=0,
            bootstrap_result=given,
            confidence_level=level,
            method=kind,
        ).confidence_interval
        ours = found.intervals(level, kind)["level"]
        np.testing.assert_allclose(ours, [theirs.low, theirs.high], rtol=1e-6)


def test_functions_of_the_parameters_and_the_ensemble(cases):
    ratio = cases.of(lambda p: p.model.weights[1] / p.model.weights[0])
    weights = cases.estimates["weights"]
    np.testing.assert_allclose(ratio, weights[:, 1] / weights[:, 0], rtol=1e-10)
    assert len(cases.ensemble) == 400
    mixed = cases.ensemble(jnp.eye(3))
    np.testing.assert_allclose(mixed.mean, weights.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(mixed.epistemic, weights.var(axis=0), rtol=1e-8)
    np.testing.assert_allclose(mixed.aleatoric, np.mean(cases.estimates["scale"] ** 2), rtol=1e-8)


def test_report(cases):
    printed = repr(cases)
    assert "Bootstrap of cases: 400 refits converged" in printed
    error = cases.standard_errors["weights"][2]
    assert f"{error:.3g}" in printed
    assert cases.bias["scale"] < 0


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num": 1}, "num must be 2"),
        ({"kind": "rows"}, '"cases", "parametric" or "residual"'),
        ({"key": 3}, "no JAX random key"),
        ({"workers": 0}, "workers must be"),
    ],
)
def test_arguments_that_cannot_be_right(line, options, said, as_a_user):
    with pytest.raises(ValueError, match=said):
        lhx.bootstrap(line, **{"num": 5, "key": KEY, **options})


def test_a_fit_that_did_not_converge(line, as_a_user):
    predictor, data = line_problem(lhx.positive(0.3))
    short = lhx.fit(lhx.NLL(), predictor, data, method=lhx.BFGS(max_steps=2))
    with pytest.raises(ValueError, match="did not converge"):
        lhx.bootstrap(short, num=5, key=KEY)
    with pytest.raises(ValueError, match="expected a Fit"):
        lhx.bootstrap(predictor, num=5, key=KEY)


def test_terms_that_look_at_rows_are_not_resampled_in_part(line):
    predictor, data = line_problem(lhx.positive(0.3))
    term = lhx.ScalarObjective(lambda p, data: jnp.sum(p.model.weights**2))
    fit = lhx.fit(lhx.NLL() + term, predictor, data)
    with pytest.raises(ValueError, match="looks at the rows too"):
        lhx.bootstrap(fit, num=5, key=KEY)


@pytest.mark.slow
def test_residuals_of_counts_do_not_add_up():
    predictor = lhx.Predictor(Line(jnp.zeros(1)), lhx.likelihoods.Poisson())
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(np.ones((4, 1)), np.array([1, 2, 0, 4])))
    with pytest.raises(ValueError, match="residuals of Poisson"):
        lhx.bootstrap(fit, num=5, key=KEY, kind="residual")
    found = lhx.bootstrap(fit, num=200, key=KEY, kind="parametric")
    # The estimate is the logarithm of a mean of four counts.
    means = np.exp(found.estimates["weights"][:, 0]) * 4
    np.testing.assert_allclose(means, np.round(means), atol=1e-4)


def test_intervals_need_a_level_and_cases(line, cases, as_a_user):
    with pytest.raises(ValueError, match=r"level must be in \(0, 1\)"):
        cases.intervals(95.0)
    with pytest.raises(ValueError, match="percentile"):
        intervals_of(np.zeros((3, 1)), np.zeros(1), 0.9, "normal", lambda: None)
    simulated = lhx.bootstrap(line, num=5, key=KEY, kind="parametric")
    with pytest.raises(ValueError, match="known for cases"):
        simulated.intervals(kind="bca")
