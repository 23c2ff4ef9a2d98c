"""Fits of objectives with kinks, against linear programmes and lower bounds by duality."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from jax import Array
from scipy.optimize import linprog, lsq_linear

import likelihax as lhx
from likelihax import likelihoods, reductions
from likelihax.fits._bundle import Bundle
from likelihax.fits._interior_point import Programme, solve

# Each compiles fits of its own: minutes in all.
pytestmark = pytest.mark.slow

SCALE = 0.7
LEVELS = (0.5, 0.9, 0.99)


class Line(eqx.Module):
    weights: lhx.Parameter

    def __call__(self, rows):
        return rows @ self.weights


class Two(eqx.Module):
    weights: Array

    def __call__(self, rows):
        return rows @ self.weights


def regression(seed, n, size, noise="laplace"):
    """Rows of a design with an intercept, and values with noise, heavy-tailed or not."""
    generator = np.random.default_rng(seed)
    rows = np.column_stack([np.ones(n), generator.normal(size=(n, size - 1))])
    draws = {
        "laplace": lambda: generator.laplace(size=n),
        "heavy": lambda: generator.standard_t(1.5, size=n),
    }
    return rows, rows @ (2 * generator.normal(size=size)) + draws[noise]()


def fit(reduction, likelihood, rows, values, start=None, method=None):
    start = np.zeros(rows.shape[1]) if start is None else np.asarray(start, float)
    predictor = lhx.Predictor(Line(lhx.real(start)), likelihood)
    method = Bundle() if method is None else method
    return lhx.fit(lhx.NLL(reduction), predictor, lhx.Dataset(rows, values), method=method)


def programme(cost, rows, bounds, free, positive):
    """A linear programme whose first variables are free and whose last are not negative."""
    limits = [(None, None)] * free + [(0, None)] * positive
    exact = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    found = linprog(cost, rows, bounds, bounds=limits, method="highs", options=exact)
    assert found.status == 0, found.message
    return found.fun


def least_cvar(rows, values, level, scale=SCALE):
    """The least CVaR of Laplace NLLs: over coefficients, threshold, excesses and deviations."""
    n, size = rows.shape
    one, eye = np.ones((n, 1)), sp.eye(n)
    cost = np.r_[np.zeros(size), 1, np.full(n, 1 / (n * (1 - level))), np.zeros(n)]
    table = sp.bmat(
        [
            [rows, np.zeros((n, 1)), None, -eye],
            [-rows, np.zeros((n, 1)), None, -eye],
            [np.zeros((n, size)), -one, -eye, eye / scale],
        ]
    )
    limits = np.r_[values, -values, np.full(n, -np.log(2 * scale))]
    return programme(cost, table, limits, size + 1, 2 * n)


# ---------------------------------------------------------------------------- linear programmes


def check_against_programme(n, size, level):
    for seed in (1, 2, 3):
        for noise in ("laplace", "heavy"):
            rows, values = regression(seed, n, size, noise)
            expected = least_cvar(rows, values, level)
            found = fit(reductions.CVaR(level), likelihoods.Laplace(SCALE), rows, values)
            assert found.success
            assert abs(found.nll - expected) < 1e-8 * abs(expected)
            assert found.steps < 20 * size + 60


@pytest.mark.parametrize("level", LEVELS)
def test_cvar_of_laplace_is_the_linear_programme(level):
    check_against_programme(50, 2, level)


def test_any_start_will_do():
    rows, values = regression(4, 200, 3, "heavy")
    expected = least_cvar(rows, values, 0.9)
    for start in ([30.0, -30.0, 30.0], [1e4, 0.0, 0.0], [1e-3, -1e-3, 1e-3]):
        found = fit(reductions.CVaR(0.9), likelihoods.Laplace(SCALE), rows, values, start)
        assert found.success
        assert abs(found.nll - expected) < 1e-8 * abs(expected)


def test_columns_in_very_different_units():
    rows, values = regression(5, 200, 3)
    units = np.array([1.0, 1e3, 1e-3])
    expected = least_cvar(rows, values, 0.9)
    found = fit(reductions.CVaR(0.9), likelihoods.Laplace(SCALE), rows * units, values)
    assert found.success
    assert abs(found.nll - expected) < 1e-8 * abs(expected)


def test_the_gap_is_as_promised():
    """For a convex objective the tolerance bounds how far the minimum may be below."""
    n, level = 200, 0.9
    rows, values = regression(6, n, 3)
    expected = least_cvar(rows, values, level)
    gaps, steps = [], []
    for tolerance in (1.0, 1e-2, 1e-4):
        method = Bundle(tolerance=tolerance)
        found = fit(reductions.CVaR(level), likelihoods.Laplace(SCALE), rows, values, method=method)
        assert found.success
        gaps.append((found.nll - expected) * n * (1 - level))
        steps.append(found.steps)
        assert -1e-9 < gaps[-1] <= tolerance**2 / 2
    assert steps[0] < steps[1] < steps[2]


def test_worst_group_is_the_linear_programme():
    n, size = 120, 3
    rows, values = regression(7, n, size, "heavy")
    groups = np.arange(n) % 4
    mean = sp.csr_matrix((np.full(n, 4 / n / SCALE), (groups, np.arange(n))), shape=(4, n))
    cost = np.r_[np.zeros(size), 1, np.zeros(n)]
    table = sp.bmat(
        [
            [rows, np.zeros((n, 1)), -sp.eye(n)],
            [-rows, np.zeros((n, 1)), -sp.eye(n)],
            [np.zeros((4, size)), -np.ones((4, 1)), mean],
        ]
    )
    limits = np.r_[values, -values, np.full(4, -np.log(2 * SCALE))]
    expected = programme(cost, table, limits, size + 1, n)
    reduction = reductions.WorstGroup(groups[:, None])
    found = fit(reduction, likelihoods.Laplace(SCALE), rows, values)
    assert found.success
    assert abs(found.nll - expected) < 1e-9 * abs(expected)


@pytest.mark.parametrize("quantile", [0.5, 0.9])
def test_quantile_regression_is_the_linear_programme(quantile):
    n, size = 150, 3
    rows, values = regression(8, n, size, "heavy")
    cost = np.r_[np.zeros(size), np.full(n, quantile), np.full(n, 1 - quantile)]
    table = sp.bmat([[rows, sp.eye(n), -sp.eye(n)]])
    limits = [(None, None)] * size + [(0, None)] * 2 * n
    found = linprog(cost, A_eq=table, b_eq=values, bounds=limits, method="highs")
    expected = found.fun / SCALE + n * np.log(SCALE / (quantile * (1 - quantile)))
    result = fit(reductions.Sum(), likelihoods.Quantile(quantile, SCALE), rows, values)
    assert result.success
    assert abs(result.nll - expected) < 1e-8


@pytest.mark.parametrize("seed", [0, 1, 2, 5])
def test_far_cuts_do_not_pass_for_kinks(seed):
    """With a fitted scale it is not convex, and cuts from afar may seem to bound what they do not.

    With the scale given it is a linear programme, and in the scale there is one minimum.
    """
    rows, values = regression(seed, 50, 2)
    for start in (1.0, 30.0, 0.03):
        likelihood = likelihoods.Laplace(lhx.positive(start))
        found = fit(reductions.CVaR(0.9), likelihood, rows, values)
        assert found.success
        scale = found.estimates["scale"]
        here, below, above = (
            least_cvar(rows, values, 0.9, scale * factor) for factor in (1.0, 0.999, 1.001)
        )
        assert abs(found.nll - here) < 1e-7
        assert found.nll < min(below, above) + 1e-7


# -------------------------------------------------------------------------------- lower bounds


def bound_by_duality(rows, values, residual, scale, level):
    """The least mean of Normal NLLs under the weights that prove the CVaR at a point best.

    The CVaR is the largest weighted mean over all weights of at most `1 / (n (1 - level))`, so
    the least weighted mean under any of them is below all CVaRs; and of a Normal it is known.
    """
    n = len(values)
    most = 1 / (n * (1 - level))
    losses = residual**2
    threshold = np.sort(losses)[-int(np.ceil(n * (1 - level)))]
    tied = np.abs(losses - threshold) < 1e-5 * threshold
    weights = np.where(losses > threshold, most, 0.0)
    slopes = np.column_stack([residual[:, None] * rows / scale, 1 - losses / scale**2])
    # Weights of the tied values that balance all slopes, as well as it goes, and sum to one.
    weights[tied] = 0.0
    certain = 1e5
    table = np.vstack([slopes[tied].T, np.full(tied.sum(), certain)])
    target = np.r_[-slopes.T @ weights, certain * (1 - weights.sum())]
    weights[tied] = lsq_linear(table, target, (0, most), tol=1e-14).x
    assert abs(weights.sum() - 1) < 1e-12
    assert weights.max() < most * (1 + 1e-12)
    root = np.sqrt(weights)
    best, *_ = np.linalg.lstsq(rows * root[:, None], values * root, rcond=None)
    variance = weights @ (values - rows @ best) ** 2
    return 0.5 * (1 + np.log(2 * np.pi * variance))


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_cvar_of_normal_reaches_its_lower_bound(level):
    for seed, noise in ((10, "laplace"), (11, "heavy")):
        rows, values = regression(seed, 200, 3, noise)
        for start in (1.0, 30.0, 0.1):
            likelihood = likelihoods.Normal(lhx.positive(start))
            found = fit(reductions.CVaR(level), likelihood, rows, values)
            assert found.success
            residual = values - rows @ found.estimates["weights"]
            bound = bound_by_duality(rows, values, residual, found.estimates["scale"], level)
            assert -1e-9 < found.nll - bound < 1e-7


def test_a_smooth_objective_is_no_worse_for_it():
    rows, values = regression(12, 100, 3)
    likelihood = likelihoods.Normal(lhx.positive(1.0))
    found = fit(reductions.Sum(), likelihood, rows, values)
    best, *_ = np.linalg.lstsq(rows, values, rcond=None)
    variance = np.mean((values - rows @ best) ** 2)
    assert found.success
    assert abs(found.nll - 50 * (1 + np.log(2 * np.pi * variance))) < 1e-8
    np.testing.assert_allclose(found.estimates["weights"], best, atol=1e-4)


# ------------------------------------------------------------------------------- one's own kinks


def own(function, start, method=None, throw=True):
    method = Bundle() if method is None else method
    objective = lambda x, data: function(x)
    return lhx.fit(objective, jnp.asarray(start), None, method=method, throw=throw)


def test_a_curved_valley_with_a_kink_along_it():
    found = own(lambda x: 8 * jnp.abs(x[0] ** 2 - x[1]) + (1 - x[0]) ** 2, [-1.2, 1.0])
    assert found.success
    np.testing.assert_allclose(found.predictor, [1.0, 1.0], atol=1e-3)


def test_cuts_that_are_wrong_do_little_harm():
    """Two kinks along curves: it is slow here, gets near all the same, and says that it is slow."""

    def function(x):
        bends = jnp.abs(x[1:] - 2 * x[:-1] ** 2 + 1)
        return 0.25 * (x[0] - 1) ** 2 + jnp.sum(bends)

    found = own(function, [-1.0, 1.0, 1.0])
    assert bool(found.result == lhx.RESULTS.steps_used_up)
    assert found.nll < 2e-3


@pytest.mark.parametrize(("start", "nearest", "least"), [(0.4, 1.0, 0.0), (-0.9, -2.0, 0.5)])
def test_the_nearer_of_two_minima(start, nearest, least):
    function = lambda x: jnp.minimum(jnp.abs(x[0] - 1), jnp.abs(x[0] + 2) + 0.5)
    found = own(function, [start])
    assert found.success
    np.testing.assert_allclose(found.predictor, [nearest], atol=1e-7)
    assert abs(found.nll - least) < 1e-7


def test_points_that_are_unusable_are_stepped_back_from():
    function = lambda x: jnp.where(x[0] > 0.5, jnp.inf, jnp.abs(x[0] - 0.4)) + x[1] ** 2
    found = own(function, [-3.0, 1.0])
    assert found.success
    assert np.isinf(found.history).any()
    np.testing.assert_allclose(found.predictor, [0.4, 0.0], atol=1e-4)


def test_nothing_is_called_converged_that_is_not():
    at_a_wall = own(lambda x: jnp.where(x[0] > 0.5, jnp.inf, -x[0]) + x[1] ** 2, [-3.0, 1.0])
    assert bool(at_a_wall.result == lhx.RESULTS.stalled)
    assert at_a_wall.nll < -0.499
    assert at_a_wall.steps < 150
    bottomless = own(lambda x: x[0] + jnp.abs(x[1]), [1.0, 1.0])
    assert not bottomless.success
    few = own(lambda x: jnp.sum(jnp.abs(x - 3)), [0.0, 0.0], Bundle(max_steps=4))
    assert bool(few.result == lhx.RESULTS.steps_used_up)
    nowhere = own(lambda x: jnp.sum(x) + jnp.inf, [0.0], throw=False)
    assert bool(nowhere.result == lhx.RESULTS.start_failed)


@pytest.mark.parametrize("start", [[0.0, 0.0], [1e-9, 0.0]])
def test_a_start_at_the_minimum(start):
    found = own(lambda x: jnp.sum(jnp.abs(x)), start)
    assert found.success
    assert found.nll < 1e-8
    assert found.steps < 20


def test_a_parameter_that_does_not_matter():
    found = own(lambda x: jnp.abs(x[0] - 1) + 0 * x[1], [30.0, 2.0])
    assert found.success
    np.testing.assert_allclose(found.predictor, [1.0, 2.0], atol=1e-7)


def test_parameters_whose_slopes_are_far_apart():
    def function(x):
        return 1e6 * jnp.abs(x[0] - 1) + 1e-3 * x[1] ** 2 + jnp.abs(x[2])

    found = own(function, [0.0, 100.0, 1.0])
    assert found.success
    assert found.nll < 1e-8


@pytest.mark.slow
def test_as_many_parameters_as_it_is_meant_for():
    size = 12
    rows, values = regression(13, 300, size)
    found = fit(reductions.CVaR(0.9), likelihoods.Laplace(SCALE), rows, values)
    assert found.success
    expected = least_cvar(rows, values, 0.9)
    assert abs(found.nll - expected) < 1e-9 * abs(expected)


def test_single_precision():
    target = np.array([1.0, 2.0, 3.0], np.float32)
    function = lambda x: jnp.sum(jnp.abs(x - target)) + (x[0] - x[1]) ** 2
    found = own(function, np.zeros(3, np.float32))
    assert found.success
    # Two of them meet half way, until the square is as steep as their kinks.
    assert abs(found.nll - 0.75) < 1e-5


# ---------------------------------------------------------------------------------- bad arguments


def test_arguments_that_cannot_be_right():
    with pytest.raises(ValueError, match="tolerance 0"):
        Bundle(tolerance=0.0)
    with pytest.raises(ValueError, match="max_steps 0"):
        Bundle(max_steps=0)


def test_a_gradient_that_is_none_is_refused():
    remedy = likelihoods.BetaNLL()
    likelihood = likelihoods.Normal(scale=lhx.predicted(), gradient=remedy)
    rows, values = regression(14, 20, 2)
    predictor = lhx.Predictor(Two(jnp.zeros((2, 2))), likelihood)
    with pytest.raises(ValueError, match="GradientDescent"):
        lhx.fit(lhx.NLL(), predictor, lhx.Dataset(rows, values), method=Bundle())


# --------------------------------------------------------------------------- the small programmes


def random_programme(seed, is_linear):
    """Some tangents to a ball, which bound it, and a direction or a point to go to."""
    generator = np.random.default_rng(seed)
    normals = generator.normal(size=(30, 4))
    rows = np.vstack([normals, np.eye(4), -np.eye(4), np.zeros((2, 4))])
    bounds = np.r_[np.linalg.norm(normals, axis=1), 2 * np.ones(8), 1.0, 1.0]
    curvature = np.zeros(4) if is_linear else generator.uniform(0.5, 2.0, size=4)
    return curvature, 3 * generator.normal(size=4), rows, bounds


@pytest.mark.parametrize("is_linear", [True, False])
def test_programmes_are_solved_to_nearly_all_digits(is_linear):
    compiled = jax.jit(solve)
    for seed in range(5):
        curvature, linear, rows, bounds = random_programme(seed, is_linear)
        arrays = map(jnp.asarray, (curvature, linear, rows, bounds))
        point, multipliers = map(np.asarray, compiled(Programme(*arrays)))
        assert np.max(rows @ point - bounds) < 1e-9
        assert multipliers.min() > 0
        np.testing.assert_allclose(curvature * point + linear, -rows.T @ multipliers, atol=1e-9)
        assert np.max(multipliers * (bounds - rows @ point)) < 1e-9
        if is_linear:
            found = linprog(linear, rows, bounds, bounds=(None, None), method="highs")
            np.testing.assert_allclose(linear @ point, found.fun, rtol=1e-9)
