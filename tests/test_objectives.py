"""Fits of an NLL that is reduced otherwise than by its sum."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import likelihax as lhx
from likelihax import reductions

N = 60
X = np.random.default_rng(0).normal(size=N)
NOISE = np.random.default_rng(1).standard_t(3, size=(N, 2))
Y = np.column_stack([0.5 + 1.5 * X, -1.0 + 0.3 * X]) + 0.4 * NOISE
GROUPS = (np.arange(N) % 2)[:, None] * np.ones(2, int)


class Lines(eqx.Module):
    intercept: lhx.Parameter
    slope: lhx.Parameter

    def __call__(self, x):
        return self.intercept[None] + self.slope[None] * x[:, None]


def predictor():
    lines = Lines(lhx.real(np.zeros(2)), lhx.real(np.zeros(2)))
    return lhx.Predictor(lines, lhx.likelihoods.Normal(lhx.positive(1.0)))


def table(y=Y):
    return lhx.Dataset(X, y, observables=("first", "second"))


def losses(theta, y=Y):
    """The NLLs by hand, of intercepts, slopes and the logarithm of the scale."""
    residual = (y - theta[None, :2] - theta[None, 2:4] * X[:, None]) * jnp.exp(-theta[4])
    return 0.5 * residual**2 + theta[4] + 0.5 * np.log(2 * np.pi)


REDUCTIONS = {
    "mean": reductions.Mean(),
    "cvar": reductions.CVaR(0.7, smoothing=0.2),
    "cvar_without_outliers": reductions.CVaR(0.7, smoothing=0.2, drop=0.05),
}


def flat(fit):
    e = fit.estimates
    return np.concatenate([e["intercept"], e["slope"], [np.log(e["scale"])]])


@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_fit_finds_what_scipy_finds(name):
    reduction = REDUCTIONS[name]
    fit = lhx.fit(lhx.NLL(reduction), predictor(), table())
    assert fit.success
    function = jax.jit(jax.value_and_grad(lambda theta: reduction(losses(theta))))
    found = minimize(
        lambda t: tuple(map(np.asarray, function(t))), np.zeros(5), jac=True, tol=1e-12
    )
    np.testing.assert_allclose(fit.nll, found.fun, rtol=1e-9)
    np.testing.assert_allclose(flat(fit), found.x, atol=2e-5)


def test_the_mean_has_the_minimum_of_the_sum():
    by_sum = lhx.fit(lhx.NLL(), predictor(), table())
    by_mean = lhx.fit(lhx.NLL(reductions.Mean()), predictor(), table())
    np.testing.assert_allclose(by_mean.nll, by_sum.nll / (2 * N), rtol=1e-10)
    # As near in standard errors as the sum, though the mean is that much flatter.
    errors = by_sum.standard_errors()
    for name, estimate in by_sum.estimates.items():
        off = np.abs(np.asarray(by_mean.estimates[name]) - estimate) / errors[name]
        assert np.max(off) < 1e-3


def test_the_tail_is_less_bad_at_the_fit_to_the_tail():
    cvar = reductions.CVaR(0.7, smoothing=0.05)
    by_sum, by_tail = (
        flat(lhx.fit(objective, predictor(), table())) for objective in (lhx.NLL(), lhx.NLL(cvar))
    )
    tail, mean = reductions.CVaR(0.7), reductions.Mean()
    assert tail(losses(by_tail)) < tail(losses(by_sum)) - 0.1
    assert mean(losses(by_tail)) > mean(losses(by_sum)) + 0.01


@pytest.mark.parametrize(
    "reduction",
    [*REDUCTIONS.values(), reductions.Sum(), reductions.CVaR(0.9), reductions.WorstGroup(GROUPS)],
    ids=lambda reduction: type(reduction).__name__,
)
def test_parts_sum_to_the_whole_without_what_was_not_measured(reduction):
    y = Y.copy()
    y[::7, 0] = np.nan
    objective, tree = lhx.NLL(reduction), lhx.resolve(predictor())
    total = objective.evaluate(tree, table(y)).total
    expected = reduction(losses(np.zeros(5)), np.isfinite(y))
    np.testing.assert_allclose(total, expected, rtol=1e-12)
    parts = objective.breakdown(tree, table(y))
    np.testing.assert_allclose(sum(parts.values()), expected, rtol=1e-12)
    smoothed = ["smoothing"] if getattr(reduction, "smoothing", 0.0) else []
    assert list(parts) == ["first", "second", *smoothed]


def test_a_report_does_not_make_up_standard_errors():
    fit = lhx.fit(lhx.NLL(reductions.CVaR(0.7, smoothing=0.2)), predictor(), table())
    text = str(fit)
    assert "CVaR of the NLL" in text
    assert "No standard errors: take them from a fit of the summed NLL" in text
    for information in ("observed", "expected"):
        with pytest.raises(ValueError, match="The CVaR of the NLL has no standard errors"):
            fit.standard_errors(information)


def test_mistakes_are_named(as_a_user):
    with pytest.raises(ValueError, match="the reduction 'mean' is none: give one of"):
        lhx.NLL("mean")
    short = lhx.NLL(reductions.WorstGroup(np.zeros(3, int)))
    with pytest.raises(ValueError, match="3 values have a group, there are 120 losses"):
        lhx.fit(short, predictor(), table())
    with pytest.raises(ValueError, match="needs the summed NLL"):
        lhx.fit(lhx.NLL(reductions.Mean()), predictor(), table(), method=lhx.LevenbergMarquardt())
