"""Objectives add up: weights, names, schedules, priors and parameters of their own."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import likelihax as lhx
from likelihax import terms

N = 40
X = np.linspace(-1.0, 1.0, N)
Y = 0.7 + 1.3 * X + 0.3 * np.random.default_rng(5).normal(size=N)
DESIGN = np.column_stack([np.ones(N), X])
SIGMA = 0.3


class Line(eqx.Module):
    coefficients: lhx.Parameter

    def __call__(self, x):
        return self.coefficients[0] + self.coefficients[1] * x


def line(start=(0.1, 0.2), scale=SIGMA):
    return lhx.Predictor(Line(lhx.real(start)), lhx.likelihoods.Normal(scale))


def coefficients(predictor):
    return predictor.model.coefficients


def table():
    return lhx.Dataset(X, Y)


# ---------------------------------------------------------------------------------- composition


def test_a_sum_is_the_sum_of_its_parts():
    parts = [lhx.NLL(), terms.L2(coefficients), terms.L1(coefficients)]
    objective = 2.0 * (parts[0] + 0.5 * parts[1]) + parts[2] * np.float64(3.0)
    alone = [float(part(line(), table())) for part in parts]
    expected = 2 * alone[0] + alone[1] + 3 * alone[2]
    np.testing.assert_allclose(objective(line(), table()), expected, rtol=1e-14)
    broken_down = objective.breakdown(lhx.resolve(line()), table())
    assert list(broken_down) == ["NLL", "L2", "L1"]
    np.testing.assert_allclose(
        [float(x) for x in broken_down.values()], [2 * alone[0], alone[1], 3 * alone[2]]
    )
    assert objective.title == "NLL + L2 + L1"


def test_values_by_hand():
    b = np.array([0.1, 0.2])
    by_hand = -stats.norm(b[0] + b[1] * X, SIGMA).logpdf(Y).sum()
    np.testing.assert_allclose(lhx.NLL()(line(), table()), by_hand, rtol=1e-13)
    np.testing.assert_allclose(terms.L1(coefficients)(line(), table()), 0.3, rtol=1e-14)
    np.testing.assert_allclose(terms.L2(coefficients)(line(), table()), 0.025, rtol=1e-14)
    weighted = terms.L2(coefficients, weights=[2.0, 4.0])
    np.testing.assert_allclose(weighted(line(), table()), 0.01 + 0.08, rtol=1e-14)
    prior = terms.Prior(coefficients, dist.Cauchy(0.5, 2.0))
    expected = -stats.cauchy(0.5, 2.0).logpdf(b).sum()
    np.testing.assert_allclose(prior(line(), table()), expected, rtol=1e-14)


def test_sum_of_a_list_and_a_weight_of_zero():
    objective = sum([lhx.NLL(), terms.L2(coefficients)])
    assert isinstance(objective, lhx.WeightedSum)
    infinite = lhx.ScalarObjective(lambda p, d: jnp.asarray(jnp.inf))
    value = (lhx.NLL() + 0.0 * infinite)(line(), table())
    np.testing.assert_allclose(value, lhx.NLL()(line(), table()))


def test_objectives_are_pytrees():
    objective = lhx.NLL() + 0.1 * terms.L2(coefficients)
    leaves, treedef = jax.tree_util.tree_flatten(objective)
    again = jax.tree_util.tree_unflatten(treedef, leaves)
    value = eqx.filter_jit(lambda o, p, d: o(p, d))
    np.testing.assert_allclose(value(again, line(), table()), objective(line(), table()))


def test_parts_of_one_name_are_told_apart():
    objective = lhx.NLL() + terms.L2(coefficients) + terms.L2(lambda p: p.model.coefficients[:1])
    parts = objective.breakdown(lhx.resolve(line()), table())
    assert list(parts) == ["NLL", "L2", "L2 (2)"]
    named = terms.L2(coefficients, name="ridge")
    assert list((lhx.NLL() + named).breakdown(lhx.resolve(line()), table())) == ["NLL", "ridge"]


def test_several_observables_keep_their_names():
    class Two(eqx.Module):
        level: lhx.Parameter

        def __call__(self, x):
            return self.level[None, :] + 0.0 * x[:, None]

    data = lhx.Dataset(X, np.column_stack([Y, -Y]), observables=("up", "down"))
    predictor = lhx.Predictor(Two(lhx.real([0.1, 0.2])), lhx.likelihoods.Normal(1.0))
    objective = lhx.NLL() + terms.L2(lambda p: p.model.level)
    fit = lhx.fit(objective, predictor, data)
    assert list(fit.breakdown) == ["NLL of up", "NLL of down", "L2"]
    np.testing.assert_allclose(sum(fit.breakdown.values()), fit.nll, rtol=1e-12)


def test_what_cannot_be_added_or_multiplied():
    with pytest.raises(TypeError):
        lhx.NLL() + "L2"
    with pytest.raises(TypeError):
        lhx.NLL() * lhx.NLL()


# --------------------------------------------------------------------------- priors and squares


def test_ridge_and_normal_prior_have_the_closed_form():
    """With both the curvature of the whole is known, so that one undamped step is enough."""
    precision = np.array([2.0, 5.0])
    hessian = DESIGN.T @ DESIGN / SIGMA**2 + np.diag(precision)
    expected = np.linalg.solve(hessian, DESIGN.T @ Y / SIGMA**2)
    ridge = lhx.NLL() + terms.L2(coefficients, weights=precision)
    prior = lhx.NLL() + terms.Prior(coefficients, dist.Normal(0.0, precision**-0.5))
    for objective in (ridge, prior):
        fit = lhx.fit(objective, line(), table())
        assert fit.success
        assert isinstance(fit.method, lhx.LevenbergMarquardt)
        np.testing.assert_allclose(fit.estimates["coefficients"], expected, rtol=1e-9)
        for kind in ("observed", "expected"):
            covariance = fit.covariance(kind).matrix
            np.testing.assert_allclose(covariance, np.linalg.inv(hessian), rtol=1e-8, atol=1e-15)
    by_bfgs = lhx.fit(ridge, line(), table(), method=lhx.BFGS(tolerance=1e-8))
    np.testing.assert_allclose(by_bfgs.estimates["coefficients"], expected, rtol=1e-7)


def test_a_prior_on_a_fitted_scale_is_in_natural_units():
    """Minus the log-posterior of the scale by hand, minimised on a grid of logarithms."""
    predictor = lhx.Predictor(Line(lhx.real([0.1, 0.2])), lhx.likelihoods.Normal(lhx.positive(0.5)))
    prior = terms.Prior(lambda p: p.likelihood.scale, dist.LogNormal(0.0, 0.1))
    fit = lhx.fit(lhx.NLL() + prior, predictor, table())
    least_squares, *_ = np.linalg.lstsq(DESIGN, Y, rcond=None)
    scale = np.exp(np.linspace(-1.5, 0.2, 200_001))
    rss = np.sum((Y - DESIGN @ least_squares) ** 2)
    posterior = N * np.log(scale) + rss / (2 * scale**2) - stats.lognorm(0.1).logpdf(scale)
    assert fit.success
    np.testing.assert_allclose(fit.estimates["scale"], scale[np.argmin(posterior)], rtol=2e-5)
    np.testing.assert_allclose(fit.estimates["coefficients"], least_squares, rtol=1e-6)


def test_a_prior_of_vectors_is_fitted_by_its_gradient():
    covariance = np.array([[1.0, 0.8], [0.8, 2.0]])
    prior = terms.Prior(coefficients, dist.MultivariateNormal(np.ones(2), covariance))
    fit = lhx.fit(lhx.NLL() + 3.0 * prior, line(), table())
    precision = 3 * np.linalg.inv(covariance)
    hessian = DESIGN.T @ DESIGN / SIGMA**2 + precision
    expected = np.linalg.solve(hessian, DESIGN.T @ Y / SIGMA**2 + precision @ np.ones(2))
    assert isinstance(fit.method, lhx.BFGS)
    np.testing.assert_allclose(fit.estimates["coefficients"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("where", "distribution", "message"),
    [
        (lambda p: p.likelihood.scale, dist.Normal(0.0, 1.0), "known"),
        (coefficients, dist.LogNormal(0.0, 1.0), "no density under the prior"),
        (coefficients, dist.Normal(np.zeros(3), 1.0), "does not fit a selected array"),
    ],
)
def test_priors_that_cannot_be_right(where, distribution, message):
    with pytest.raises(ValueError, match=message):
        lhx.fit(lhx.NLL() + terms.Prior(where, distribution), line((0.1, -0.2)), table())


def test_a_prior_needs_a_distribution(as_a_user):
    with pytest.raises(ValueError, match="no NumPyro distribution"):
        terms.Prior(coefficients, 0.3)


# ------------------------------------------------------------------------------------- weights


def test_a_weight_of_two_is_the_row_twice():
    twice = np.arange(N) < 10
    weighted = lhx.fit(lhx.NLL(weights=1.0 + twice), noisy(), table())
    repeated = lhx.Dataset(np.concatenate([X, X[:10]]), np.concatenate([Y, Y[:10]]))
    plain = lhx.fit(lhx.NLL(), noisy(), repeated)
    np.testing.assert_allclose(weighted.nll, plain.nll, rtol=1e-12)
    for name in ("coefficients", "scale"):
        np.testing.assert_allclose(weighted.estimates[name], plain.estimates[name], rtol=1e-8)
        for kind in ("observed", "expected"):
            ours, theirs = (fit.standard_errors(kind)[name] for fit in (weighted, plain))
            np.testing.assert_allclose(ours, theirs, rtol=1e-8)


def noisy():
    return lhx.Predictor(Line(lhx.real([0.1, 0.2])), lhx.likelihoods.Normal(lhx.positive(0.5)))


def test_weights_in_a_mean_and_of_single_values():
    y = np.column_stack([Y, Y])
    weights = np.random.default_rng(0).uniform(0, 2, size=(N, 2))
    each = -stats.norm(0.1 + 0.2 * X, SIGMA).logpdf(Y)

    class Both(eqx.Module):
        line: Line

        def __call__(self, x):
            return jnp.stack([self.line(x), self.line(x)], axis=-1)

    predictor = lhx.Predictor(Both(Line(lhx.real([0.1, 0.2]))), lhx.likelihoods.Normal(SIGMA))
    value = lhx.NLL(lhx.reductions.Mean(), weights)(predictor, lhx.Dataset(X, y))
    expected = np.sum(weights * each[:, None]) / weights.sum()
    np.testing.assert_allclose(value, expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones(N), r"weights\[0\] = -1.0"),
        (np.full(N, np.nan), "must be finite and not negative"),
        (np.ones(3), r"weights of shape \(3,\) for values of shape \(40,\)"),
        (np.zeros(N), "no loss has a weight"),
    ],
)
def test_weights_that_cannot_be_right(weights, message):
    with pytest.raises(ValueError, match=message):
        lhx.fit(lhx.NLL(weights=weights), line(), table())


# --------------------------------------------------------------------- parameters of an objective


class Pull(eqx.Module):
    """A loss with a parameter of its own: a Normal NLL of the slope about an unknown centre."""

    centre: lhx.Parameter

    def __call__(self, predictor, data):
        slope = predictor.model.coefficients[1]
        return 0.5 * (slope - self.centre) ** 2 / 0.01 + 0.5 * (self.centre - 2.0) ** 2 / 0.01


def test_parameters_of_an_objective_are_fitted():
    objective = lhx.NLL() + lhx.ScalarObjective(Pull(lhx.real(1.0, name="centre")))
    fit = lhx.fit(objective, line(), table(), method=lhx.BFGS(tolerance=1e-7))
    # A slope that is known to within 0.1 of something that is known to within 0.1 of 2.
    precision = np.diag([0.0, 1 / 0.02])
    hessian = DESIGN.T @ DESIGN / SIGMA**2 + precision
    expected = np.linalg.solve(hessian, DESIGN.T @ Y / SIGMA**2 + precision @ [0.0, 2.0])
    assert fit.success
    np.testing.assert_allclose(fit.estimates["coefficients"], expected, rtol=1e-6)
    np.testing.assert_allclose(fit.estimates["centre"], 0.5 * (expected[1] + 2.0), rtol=1e-6)
    errors = fit.standard_errors()
    np.testing.assert_allclose(
        errors["coefficients"], np.sqrt(np.diag(np.linalg.inv(hessian))), rtol=1e-6
    )
    assert set(errors) == {"coefficients", "centre"}
    fitted = lhx.resolve(fit.objective).parts[1].function.centre
    np.testing.assert_allclose(fitted, fit.estimates["centre"])
    assert "centre" in repr(fit)


def test_a_tempered_likelihood_has_no_standard_errors():
    fit = lhx.fit(0.5 * lhx.NLL(), line(), table())
    assert fit.success
    with pytest.raises(ValueError, match="no standard errors"):
        fit.standard_errors()


# ------------------------------------------------------------------------------------ schedules


def test_a_schedule_is_a_weight_at_a_step():
    rising = lambda step: 0.1 * step
    objective = lhx.NLL() + 2.0 * (rising * terms.L2(coefficients))
    assert objective.is_scheduled
    with pytest.raises(ValueError, match="depends on the step"):
        objective(line(), table())
    expected = lhx.NLL()(line(), table()) + 2.0 * 0.5 * terms.L2(coefficients)(line(), table())
    np.testing.assert_allclose(objective.at(5)(line(), table()), expected, rtol=1e-14)
