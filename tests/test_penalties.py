"""Penalties with exact zeros, the methods for them, paths and cross-validation."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import likelihax as lhx
from likelihax import terms
from likelihax.fits._penalties import Penalties

ROWS, COLUMNS = 120, 7
RNG = np.random.default_rng(3)
X = RNG.normal(size=(ROWS, COLUMNS)) @ (np.eye(COLUMNS) + 0.4 * np.ones((COLUMNS, COLUMNS)))
TRUTH = np.array([1.0, 0.0, -0.7, 0.0, 0.0, 0.4, 0.0])
Y = (RNG.uniform(size=ROWS) < 1 / (1 + np.exp(-X @ TRUTH - 0.2))).astype(float)
ORTHONORMAL, _ = np.linalg.qr(RNG.normal(size=(40, 6)))
TARGET = ORTHONORMAL @ np.array([2.0, -0.3, 0.9, 0.1, -1.5, 0.05]) + 0.01 * RNG.normal(size=40)
METHODS = {
    "newton": lhx.ProximalNewton(),
    "gradient": lhx.ProximalGradient(tolerance=1e-9),
}


class Linear(eqx.Module):
    intercept: lhx.Parameter
    coefficients: lhx.Parameter

    def __call__(self, x):
        return x @ self.coefficients + self.intercept


def coefficients(predictor):
    return predictor.model.coefficients


def logistic(columns=COLUMNS, start=0.0, scale=None):
    model = Linear(lhx.real(0.0), lhx.real(np.full(columns, start), scale=scale))
    return lhx.Predictor(model, lhx.likelihoods.Bernoulli())


def normal(columns=6):
    model = Linear(lhx.frozen(0.0), lhx.real(np.zeros(columns)))
    return lhx.Predictor(model, lhx.likelihoods.Normal(1.0))


def found(fit):
    return np.concatenate([[fit.estimates["intercept"]], fit.estimates["coefficients"]])


def logistic_nll(b, x=X, y=Y):
    return np.sum(np.logaddexp(0.0, (1 - 2 * y) * (x @ b[1:] + b[0])))


def logistic_slope(b, x=X, y=Y):
    error = 1 / (1 + np.exp(-(x @ b[1:] + b[0]))) - y
    return np.concatenate([[error.sum()], x.T @ error])


def by_split(weights, ridge=0.0):
    """The same minimum by bounded L-BFGS: each coefficient as a difference of two positive ones."""

    def value(split):
        b = np.concatenate([split[:1], split[1 : 1 + COLUMNS] - split[1 + COLUMNS :]])
        slope = logistic_slope(b) + ridge * np.concatenate([[0.0], b[1:]])
        total = logistic_nll(b) + weights @ (split[1 : 1 + COLUMNS] + split[1 + COLUMNS :])
        parts = [slope[:1], slope[1:] + weights, -slope[1:] + weights]
        return total + 0.5 * ridge * b[1:] @ b[1:], np.concatenate(parts)

    bounds = [(None, None)] + [(0.0, None)] * (2 * COLUMNS)
    options = {"maxiter": 10_000, "ftol": 1e-16, "gtol": 1e-10, "maxfun": 100_000}
    result = minimize(
        value,
        np.zeros(1 + 2 * COLUMNS),
        jac=True,
        bounds=bounds,
        method="L-BFGS-B",
        options=options,
    )
    x = result.x
    return result.fun, np.concatenate([x[:1], x[1 : 1 + COLUMNS] - x[1 + COLUMNS :]])


# ------------------------------------------------------------------------------------ the minima


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weight", [0.3, 4.0, 12.0])
def test_l1_finds_the_minimum_and_its_zeros(method, weight):
    objective = lhx.NLL() + weight * terms.L1(coefficients)
    fit = lhx.fit(objective, logistic(), lhx.Dataset(X, Y), method=METHODS[method])
    total, b = by_split(np.full(COLUMNS, weight))
    assert fit.success
    np.testing.assert_allclose(fit.nll, total, rtol=1e-10)
    np.testing.assert_allclose(found(fit), b, atol=2e-5)
    slope = logistic_slope(found(fit))
    zero = found(fit)[1:] == 0
    assert np.array_equal(zero, np.abs(b[1:]) < 1e-6)
    assert np.all(np.abs(slope[1:][zero]) <= weight)
    left = slope[1:][~zero] + weight * np.sign(found(fit)[1:][~zero])
    accuracy = 1e-8 if method == "newton" else 1e-6
    assert max(np.max(np.abs(left), initial=0.0), abs(slope[0])) < accuracy


def test_a_weight_for_each():
    weights = np.array([0.0, 1.0, 2.0, 3.0, 0.5, 4.0, 0.1])
    objective = lhx.NLL() + 2.0 * terms.L1(coefficients, weights=weights)
    fit = lhx.fit(objective, logistic(), lhx.Dataset(X, Y))
    total, b = by_split(2.0 * weights)
    np.testing.assert_allclose(fit.nll, total, rtol=1e-10)
    np.testing.assert_allclose(found(fit), b, atol=2e-5)


@pytest.mark.parametrize("method", METHODS)
def test_elastic_net(method):
    objective = lhx.NLL() + 5.0 * terms.ElasticNet(coefficients, 0.6)
    fit = lhx.fit(objective, logistic(), lhx.Dataset(X, Y), method=METHODS[method])
    total, b = by_split(np.full(COLUMNS, 3.0), ridge=2.0)
    np.testing.assert_allclose(fit.nll, total, rtol=1e-10)
    np.testing.assert_allclose(found(fit), b, atol=2e-5)
    assert 0 < np.sum(found(fit) == 0) < COLUMNS


def soft(x, threshold):
    return np.sign(x) * np.maximum(np.abs(x) - threshold, 0.0)


@pytest.mark.parametrize("method", METHODS)
def test_closed_forms_on_an_orthonormal_design(method):
    least_squares = ORTHONORMAL.T @ TARGET
    data = lhx.Dataset(ORTHONORMAL, TARGET)
    fitted = lambda term: np.asarray(
        lhx.fit(lhx.NLL() + 0.4 * term, normal(), data, method=METHODS[method]).estimates[
            "coefficients"
        ]
    )
    np.testing.assert_allclose(
        fitted(terms.L1(coefficients)), soft(least_squares, 0.4), atol=1e-9, rtol=0
    )
    np.testing.assert_allclose(
        fitted(terms.ElasticNet(coefficients, 0.25)),
        soft(least_squares, 0.1) / 1.3,
        atol=1e-9,
        rtol=0,
    )
    groups = np.array([0, 0, 1, 1, 2, 1])
    by_group = np.zeros(6)
    for g in range(3):
        own = least_squares[groups == g]
        share = max(1 - 0.4 * np.sqrt(own.size) / np.linalg.norm(own), 0.0)
        by_group[groups == g] = share * own
    np.testing.assert_allclose(
        fitted(terms.GroupL1(coefficients, groups)), by_group, atol=1e-9, rtol=0
    )


@pytest.mark.parametrize("method", METHODS)
def test_group_l1_meets_its_optimality_conditions(method):
    groups, weights = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([3.0, 14.0, 2.0])
    term = terms.GroupL1(coefficients, groups, weights=weights)
    fit = lhx.fit(lhx.NLL() + term, logistic(), lhx.Dataset(X, Y), method=METHODS[method])
    b, slope = found(fit)[1:], logistic_slope(found(fit))[1:]
    zero = [not np.any(b[groups == g]) for g in range(3)]
    assert any(zero)
    assert not all(zero)
    for g in range(3):
        own, steep = b[groups == g], slope[groups == g]
        if zero[g]:
            assert np.linalg.norm(steep) <= weights[g]
        else:
            assert np.max(np.abs(steep + weights[g] * own / np.linalg.norm(own))) < 1e-6


def test_columns_that_say_the_same_cost_no_convergence():
    doubled = np.column_stack([X, X[:, 0] + X[:, 1], 2 * X[:, 2]])
    objective = lhx.NLL() + terms.L1(coefficients)
    fit = lhx.fit(objective, logistic(COLUMNS + 2), lhx.Dataset(doubled, Y))
    slope = logistic_slope(found(fit), doubled)
    b = found(fit)[1:]
    assert fit.success
    assert fit.steps < 20
    # 2 x costs half as much as x, which is not needed beside it.
    assert b[2] == 0
    assert b[-1] != 0
    assert np.max(np.abs((slope[1:] + np.sign(b))[b != 0])) < 1e-8
    assert np.max(np.abs(slope[1:])) < 1 + 1e-8


def test_units_of_the_fit_do_not_matter():
    objective = lhx.NLL() + 3.0 * terms.L1(coefficients)
    data = lhx.Dataset(X, Y)
    plain = lhx.fit(objective, logistic(), data)
    scaled = lhx.fit(objective, logistic(start=0.5, scale=10.0 ** np.arange(-3, 4)), data)
    np.testing.assert_allclose(found(scaled), found(plain), atol=1e-9)


def test_a_likelihood_without_information_and_a_fitted_scale():
    """The Hessian serves where there is no Fisher information; noise is fitted beside zeros."""
    model = Linear(lhx.real(0.0), lhx.real(np.zeros(6)))
    data = lhx.Dataset(ORTHONORMAL, TARGET)
    objective = 300.0 * terms.L1(coefficients) + lhx.NLL()
    regular = lhx.Predictor(model, lhx.likelihoods.Normal(lhx.positive(0.3)))
    by_hessian = lhx.fit(
        objective + lhx.ScalarObjective(lambda p, d: 0.0 * jnp.sum(p.model.coefficients)),
        regular,
        data,
    )
    by_information = lhx.fit(objective, regular, data)
    assert by_hessian.success
    assert by_information.success
    np.testing.assert_allclose(by_hessian.nll, by_information.nll, rtol=1e-10)
    assert np.any(np.asarray(by_information.estimates["coefficients"]) == 0)


@given(
    st.lists(st.floats(-5, 5), min_size=4, max_size=4),
    st.lists(st.floats(-5, 5), min_size=4, max_size=4),
    st.floats(0.01, 3),
)
@settings(max_examples=60, deadline=None)
def test_the_proximal_step_is_firmly_nonexpansive(a, b, step):
    penalties = Penalties(
        jnp.ones(4),
        jnp.asarray([[0, 2], [1, 4], [3, 4]]),
        jnp.asarray([1.0, 0.5, 0.0]),
        jnp.asarray([0.0, 0.3, 0.0]),
    )
    a, b, step = jnp.asarray(a), jnp.asarray(b), jnp.asarray(step)
    p, q = penalties.prox(a, step), penalties.prox(b, step)
    assert jnp.sum((p - q) ** 2) <= (p - q) @ (a - b) + 1e-12
    # It is the minimum of what it says: the least subgradient there is zero.
    left = penalties.least_subgradient(p, (p - a) / step)
    np.testing.assert_allclose(left, np.zeros(4), atol=1e-8)


# ------------------------------------------------------------------------------------- the path


def test_the_path_begins_where_all_is_zero_and_warm_is_as_good_as_cold():
    data, penalty = lhx.Dataset(X, Y), terms.L1(coefficients)
    along = lhx.path(lhx.NLL(), penalty, logistic(), data, num_weights=6, ratio=0.05)
    null = np.concatenate([[np.log(Y.mean() / (1 - Y.mean()))], np.zeros(COLUMNS)])
    np.testing.assert_allclose(
        along.weights[0], np.max(np.abs(logistic_slope(null)[1:])), rtol=1e-9
    )
    assert along.success
    assert along.num_nonzero[0] == 0
    assert along.num_nonzero[-1] > 2
    np.testing.assert_allclose(along.weights[-1], 0.05 * along.weights[0])
    for weight, b, total in zip(along.weights, along.coefficients, along.totals, strict=True):
        cold = lhx.fit(lhx.NLL() + weight * penalty, logistic(), data)
        np.testing.assert_allclose(b, cold.estimates["coefficients"], atol=1e-9)
        np.testing.assert_allclose(total, cold.nll, rtol=1e-12)
    assert "nonzero" in repr(along)
    # Compiled once for all weights.
    assert all(fit.compile_seconds == 0 for fit in along.fits)


def test_cross_validation_scores_what_was_left_out():
    data, penalty = lhx.Dataset(X, Y), terms.L1(coefficients)
    folds = np.arange(ROWS) % 3
    chosen = lhx.cross_validate(
        lhx.NLL(), penalty, logistic(), data, folds=folds, num_weights=5, ratio=0.05
    )
    assert chosen.scores.shape == (3, 5)
    for fold, k in ((0, 4), (2, 1)):
        train = lhx.Dataset(X[folds != fold], Y[folds != fold])
        weight = chosen.path.weights[k] * 2 / 3
        alone = lhx.fit(lhx.NLL() + weight * penalty, logistic(), train)
        left_out = logistic_nll(found(alone), X[folds == fold], Y[folds == fold])
        np.testing.assert_allclose(chosen.scores[fold, k], left_out / (ROWS / 3), rtol=1e-8)
    assert chosen.weight == chosen.path.weights[np.argmin(chosen.scores.mean(axis=0))]
    assert chosen.sparsest <= chosen.best
    assert chosen.fit.success
    assert chosen.sparsest_fit.success
    assert "best" in repr(chosen)


def test_the_weight_of_a_mean_is_the_same_for_fewer_values():
    data, penalty = lhx.Dataset(X, Y), terms.L1(coefficients)
    mean = lhx.NLL(lhx.reductions.Mean())
    folds = np.arange(ROWS) % 2
    chosen = lhx.cross_validate(mean, penalty, logistic(), data, folds=folds, weights=[0.05])
    train = lhx.Dataset(X[folds == 1], Y[folds == 1])
    alone = lhx.fit(lhx.NLL() + 0.05 * (ROWS / 2) * penalty, logistic(), train)
    left_out = logistic_nll(b := found(alone), X[folds == 0], Y[folds == 0])
    assert np.any(b == 0)
    np.testing.assert_allclose(chosen.scores[0, 0], left_out / (ROWS / 2), rtol=1e-6)


def test_random_folds_come_from_the_key():
    data, penalty = lhx.Dataset(X, Y), terms.L1(coefficients)
    scores = [
        lhx.cross_validate(
            lhx.NLL(), penalty, logistic(), data, key=jax.random.key(seed), weights=[4.0]
        ).scores
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(scores[0], scores[1])
    assert not np.allclose(scores[0], scores[2])


# ------------------------------------------------------------------------------------ bad input


class WithPositive(eqx.Module):
    rate: lhx.Parameter
    known: lhx.Parameter
    coefficients: lhx.Parameter

    def __call__(self, x):
        return x @ self.coefficients + self.rate + self.known


def with_positive():
    model = WithPositive(lhx.positive(1.0), lhx.frozen(1.0), lhx.real(np.zeros(COLUMNS)))
    return lhx.Predictor(model, lhx.likelihoods.Bernoulli())


WRONG = {
    "nothing": (terms.L1(lambda p: ()), "selects nothing"),
    "absent": (terms.L1(lambda p: p.model.slope), "where cannot be applied"),
    "beyond": (terms.L1(lambda p: p.model.coefficients[COLUMNS:]), "selects nothing"),
    "known": (terms.L1(lambda p: p.model.known), "known"),
    "positive": (terms.L1(lambda p: p.model.rate), "constraint"),
    "computed": (terms.L1(lambda p: 2 * p.model.coefficients), "computes something"),
    "twice": (
        terms.L1(lambda p: (p.model.coefficients, p.model.coefficients[:1])),
        "selects a number twice",
    ),
    "weights": (terms.L1(coefficients, weights=[1.0, 2.0]), "2 weights for 7"),
    "groups": (terms.GroupL1(coefficients, [0, 1]), "2 numbers have a group, 7"),
    "two": (terms.L1(coefficients) + terms.GroupL1(coefficients, [0] * 7), "another penalty"),
    "l2_nothing": (terms.L2(lambda p: ()), "selects nothing"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_selection_that_cannot_be_right(name):
    term, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        lhx.fit(lhx.NLL() + term, with_positive(), lhx.Dataset(X, Y))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: -1.0 * terms.L1(coefficients), "weight of L1 is -1.0"),
        (lambda: float("nan") * lhx.NLL(), "weight of NLL is nan"),
        (lambda: np.ones(2) * lhx.NLL(), "must be one number"),
        (lambda: terms.L1(coefficients, weights=[1.0, -2.0]), r"weights\[1\] = -2.0"),
        (lambda: terms.L1(coefficients, weights=[np.nan]), r"weights\[0\] = nan"),
        (lambda: terms.L1("coefficients"), "must be a function"),
        (lambda: terms.GroupL1(coefficients, [0, 2, 2]), "group 1 has no member"),
        (lambda: terms.GroupL1(coefficients, [0.5, 1.0]), "whole numbers"),
        (lambda: terms.GroupL1(coefficients, [0, 1], weights=[1.0]), "1 weights for 2"),
        (lambda: terms.ElasticNet(coefficients, 0.0), "use L2"),
    ],
)
def test_a_term_that_cannot_be_right(make, message, as_a_user):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "method", [lhx.BFGS(), lhx.LevenbergMarquardt()], ids=lambda m: type(m).__name__
)
def test_other_methods_are_refused(method):
    with pytest.raises(ValueError, match="exact zeros"):
        lhx.fit(lhx.NLL() + terms.L1(coefficients), logistic(), lhx.Dataset(X, Y), method=method)


def test_a_penalty_alone_is_refused():
    with pytest.raises(ValueError, match="all penalty"):
        lhx.fit(terms.L1(coefficients), logistic(), lhx.Dataset(X, Y))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": [1.0, -1.0]}, r"weights\[1\] = -1.0"),
        ({"weights": []}, "there is no weight"),
        ({"ratio": 2.0}, "ratio between 0 and 1"),
    ],
)
def test_paths_that_cannot_be_right(arguments, message):
    with pytest.raises(ValueError, match=message):
        lhx.path(lhx.NLL(), terms.L1(coefficients), logistic(), lhx.Dataset(X, Y), **arguments)


def test_a_path_needs_a_penalty(as_a_user):
    with pytest.raises(ValueError, match="no penalty with exact zeros"):
        lhx.path(lhx.NLL(), terms.L2(coefficients), logistic(), lhx.Dataset(X, Y))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give key"),
        ({"key": jax.random.key(0), "num_folds": 1}, "1 folds of"),
        ({"folds": np.zeros(ROWS, int)}, "at least two"),
        ({"folds": np.arange(ROWS) % 2 * 2}, "without gaps"),
        ({"folds": np.arange(3)}, "one whole number for each"),
    ],
)
def test_folds_that_cannot_be_right(arguments, message):
    with pytest.raises(ValueError, match=message):
        lhx.cross_validate(
            lhx.NLL(), terms.L1(coefficients), logistic(), lhx.Dataset(X, Y), **arguments
        )
