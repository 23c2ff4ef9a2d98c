"""Reductions against brute force, and what they promise about gradients and minibatches."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize_scalar

from likelihax.reductions import CVaR, Mean, Sum, WorstGroup

LOSSES = np.random.default_rng(0).normal(size=23)
WEIGHTS = np.random.default_rng(1).uniform(0.2, 3.0, size=23)
LEVELS = (0.5, 0.9, 0.99)


def worst_mean(losses, weights, level, drop=0.0):
    """By walking down from the largest loss until enough mass is gathered."""
    mass = np.asarray(weights, float) / np.sum(weights)
    skip, wanted = drop, (1 - level) * (1 - drop)
    total, gathered = 0.0, 0.0
    for i in np.argsort(losses)[::-1]:
        skipped = min(skip, mass[i])
        skip -= skipped
        taken = min(mass[i] - skipped, wanted - gathered)
        total, gathered = total + taken * losses[i], gathered + taken
    return total / gathered


numbers = st.floats(-50, 50)
cases = st.lists(st.tuples(numbers, st.floats(0.05, 5.0)), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(cases, st.floats(0.01, 0.99), st.sampled_from([0.0, 0.1, 0.37]))
def test_cvar_is_the_mean_of_the_worst(pairs, level, drop):
    losses, weights = np.array(pairs).T
    found = CVaR(level, drop=drop)(losses, weights)
    expected = worst_mean(losses, weights, level, drop)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * np.max(np.abs(losses)))


@pytest.mark.parametrize("level", LEVELS)
def test_cvar_is_the_least_of_the_linear_programme(level):
    # Rockafellar and Uryasev's: threshold and excesses, each excess at least the loss beyond.
    n = len(LOSSES)
    mass = WEIGHTS / WEIGHTS.sum()
    costs = np.concatenate([[1.0], mass / (1 - level)])
    beyond = np.hstack([-np.ones((n, 1)), -np.eye(n)])
    bounds = [(None, None), *[(0, None)] * n]
    solved = linprog(costs, A_ub=beyond, b_ub=-LOSSES, bounds=bounds, method="highs")
    np.testing.assert_allclose(CVaR(level)(LOSSES, WEIGHTS), solved.fun, rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(cases, st.floats(0.05, 0.95))
def test_cvar_is_between_mean_and_maximum_and_orders_as_losses_do(pairs, level):
    losses, weights = np.array(pairs).T
    found = float(CVaR(level)(losses, weights))
    slack = 1e-12 * (1 + np.max(np.abs(losses)))
    assert float(Mean()(losses, weights)) <= found + slack
    assert found <= np.max(losses) + slack
    assert found <= float(CVaR(0.5 + 0.5 * level)(losses, weights)) + slack
    shifted = CVaR(level)(2 * losses + 3, weights)
    np.testing.assert_allclose(shifted, 2 * found + 3, rtol=1e-12, atol=10 * slack)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("smoothing", [1e-3, 0.1, 2.0])
def test_smoothing_adds_at_most_the_entropy_of_a_coin(level, smoothing):
    exact, smooth = (float(CVaR(level, s)(LOSSES, WEIGHTS)) for s in (0.0, smoothing))
    coin = -level * math.log(level) - (1 - level) * math.log(1 - level)
    assert exact < smooth <= exact + smoothing * coin / (1 - level) * (1 + 1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cvar_is_the_least_over_thresholds(smoothing):
    cvar = CVaR(0.8, smoothing)
    at = lambda threshold: float(cvar.at_threshold(LOSSES, threshold, WEIGHTS))
    least = minimize_scalar(at, bounds=(-4, 4), method="bounded", options={"xatol": 1e-10})
    np.testing.assert_allclose(cvar(LOSSES, WEIGHTS), least.fun, rtol=1e-9)


REDUCTIONS = {
    "sum": Sum(),
    "mean": Mean(),
    "cvar": CVaR(0.8),
    "smooth_cvar": CVaR(0.8, smoothing=0.4),
    "cvar_without_outliers": CVaR(0.8, drop=0.1),
    "worst_group": WorstGroup(np.arange(23) % 3),
}
every_reduction = pytest.mark.parametrize("name", REDUCTIONS)


def differences(function, x, step=1e-4):
    basis = step * np.eye(len(x))
    pairs = ((function(x + d), function(x - d)) for d in basis)
    return np.array([(np.asarray(up) - np.asarray(down)) / (2 * step) for up, down in pairs])


@every_reduction
def test_gradient_and_hessian_are_those_of_differences(name):
    function = jax.jit(lambda losses: REDUCTIONS[name](losses, WEIGHTS))
    gradient = jax.jit(jax.grad(function))
    np.testing.assert_allclose(gradient(LOSSES), differences(function, LOSSES), atol=1e-8)
    hessian = jax.jit(jax.hessian(function))(LOSSES)
    np.testing.assert_allclose(hessian, differences(gradient, LOSSES), atol=1e-7)
    assert np.any(hessian) == (name == "smooth_cvar")


@every_reduction
def test_what_has_no_weight_may_be_anything(name):
    weights = np.where(np.arange(23) % 5 == 0, 0.0, WEIGHTS)
    spoilt = np.where(weights > 0, LOSSES, np.nan)
    value, gradient = jax.value_and_grad(lambda losses: REDUCTIONS[name](losses, weights))(spoilt)
    np.testing.assert_allclose(value, REDUCTIONS[name](LOSSES, weights), rtol=1e-13)
    assert np.all(np.isfinite(gradient))
    assert np.all(gradient[weights == 0] == 0)


@every_reduction
def test_order_shape_and_precision_do_not_matter(name):
    reduction = REDUCTIONS[name]
    expected = reduction(LOSSES, WEIGHTS)
    found = jax.jit(lambda *pair: reduction(*pair))(
        LOSSES.astype(np.float32), WEIGHTS.astype(np.float32)
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=2e-6)
    if name == "worst_group":
        reduction = WorstGroup((np.arange(23) % 3)[::-1].reshape(1, 23))
    turned = reduction(LOSSES[::-1].reshape(1, 23), WEIGHTS[::-1].reshape(1, 23))
    np.testing.assert_allclose(turned, expected, rtol=1e-13)


@every_reduction
def test_a_mask_is_a_weight(name):
    mask = np.arange(23) % 5 != 0
    expected = REDUCTIONS[name](LOSSES, mask.astype(float))
    np.testing.assert_allclose(REDUCTIONS[name](LOSSES, mask), expected, rtol=1e-15)


def test_whole_weights_are_repetitions():
    counts = np.arange(23) % 4
    for name in ("sum", "mean", "cvar", "smooth_cvar", "cvar_without_outliers"):
        repeated = REDUCTIONS[name](np.repeat(LOSSES, counts))
        np.testing.assert_allclose(REDUCTIONS[name](LOSSES, counts), repeated, rtol=1e-12)


def test_an_infinite_loss_counts_only_where_it_is_among_the_worst():
    losses = np.append(LOSSES, np.inf)
    assert CVaR(0.8)(losses) == np.inf
    assert CVaR(0.8, smoothing=0.1)(losses) == np.inf
    assert np.isfinite(CVaR(0.8, drop=1 / 24)(losses))
    np.testing.assert_allclose(CVaR(0.8, drop=1 / 24)(losses), CVaR(0.8)(LOSSES), rtol=1e-12)


def test_a_minibatch_has_too_small_a_cvar_and_at_a_threshold_the_right_one():
    losses = LOSSES[:10]
    cvar, batches = CVaR(0.75), list(itertools.combinations(range(10), 4))
    of_batches = np.mean([float(cvar(losses[list(batch)])) for batch in batches])
    assert of_batches < float(cvar(losses)) - 0.1
    for threshold in (-0.3, 0.5):
        each = [float(cvar.at_threshold(losses[list(batch)], threshold)) for batch in batches]
        expected = cvar.at_threshold(losses, threshold)
        np.testing.assert_allclose(np.mean(each), expected, rtol=1e-13)
        assert expected >= cvar(losses)


def test_worst_group_is_the_largest_of_the_means():
    groups = np.arange(23) % 3
    means = [np.average(LOSSES[groups == g], weights=WEIGHTS[groups == g]) for g in range(3)]
    np.testing.assert_allclose(WorstGroup(groups)(LOSSES, WEIGHTS), max(means), rtol=1e-14)
    without = np.where(groups == int(np.argmax(means)), 0.0, WEIGHTS)
    np.testing.assert_allclose(WorstGroup(groups)(LOSSES, without), sorted(means)[1], rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CVaR(0.0), r"level 0.0 is not between 0 and 1"),
        (lambda: CVaR(95), r"level 95.0 is not between 0 and 1. For the worst 5 % give 0.95"),
        (lambda: CVaR(math.nan), r"level nan"),
        (lambda: CVaR(0.9, smoothing=-1.0), r"smoothing -1.0 is not a number from 0 up"),
        (lambda: CVaR(0.9, drop=1.0), r"drop 1.0 is not a fraction"),
        (lambda: CVaR(0.9, drop=0.1).at_threshold(LOSSES, 0.0), r"drop needs the order"),
        (lambda: Mean()(LOSSES, -WEIGHTS), r"Mean: weights\[0\] = -.* not negative"),
        (lambda: Sum()(LOSSES, np.full(23, np.nan)), r"Sum: weights\[0\] = nan"),
        (lambda: CVaR(0.9)(LOSSES, np.zeros(23)), r"CVaR: no loss has a weight"),
        (lambda: Mean()(LOSSES, WEIGHTS[:3]), r"weights have shape \(3,\), .* shape \(23,\)"),
        (lambda: Mean()(np.arange(3)), r"the losses are int64: they must be floating"),
        (lambda: WorstGroup([0, 2, 2]), r"group 1 has no member among 3 values"),
        (lambda: WorstGroup([0, -1]), r"whole numbers from 0 up"),
        (lambda: WorstGroup([0.5, 1.0]), r"whole numbers from 0 up"),
        (lambda: WorstGroup([0, 1])(LOSSES), r"2 values have a group, there are 23 losses"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_smooth_tail_of_losses_without_bound():
    tail = CVaR(0.5, smoothing=0.1)
    losses = jnp.asarray([1.0, 2.0, jnp.inf, jnp.inf, jnp.inf])
    assert tail(losses) == jnp.inf
    # The half that is the worst, to within rounding: the margin of the search is lost beside it.
    np.testing.assert_allclose(tail(1e18 * jnp.asarray([1.0, 2.0, 3.0, 4.0])), 3.5e18, rtol=1e-12)
