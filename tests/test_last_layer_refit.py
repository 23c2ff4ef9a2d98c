"""A last layer moved to the mode of its posterior, against densities and optimisers of SciPy."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from parabola import FEATURES, WEIGHTS, Features, X, Y
from scipy import optimize, stats

import likelihax as lhx
from likelihax import likelihoods as lk
from likelihax import predicted

STATED = 1.5  # the noise that the likelihood is told, where 0.4 is true
COUNTS = np.random.default_rng(0).poisson(np.exp(1 + X))


def untrained(likelihood, columns=1):
    return lhx.Predictor(Features(jnp.full((3, columns), 0.3)), likelihood)


def marginal(precision, variance):
    """Minus the log-density of all values together, no weights in it."""
    together = variance * np.eye(30) + FEATURES @ FEATURES.T / precision
    return -stats.multivariate_normal(np.zeros(30), together).logpdf(Y)


def posterior(precision, variance):
    covariance = np.linalg.inv(FEATURES.T @ FEATURES / variance + precision * np.eye(3))
    return covariance @ FEATURES.T @ Y / variance, covariance


@pytest.mark.parametrize("known", [None, 2.0])
def test_is_bayesian_linear_regression_with_an_unknown_noise(known):
    data = lhx.Dataset(X, Y)
    layer = lhx.last_layer(untrained(lk.Normal(STATED)), WEIGHTS, data, precision=known, refit=True)
    if known is None:
        cost = lambda logs: marginal(*np.exp(logs))
        precision, variance = np.exp(optimize.minimize(cost, [0.0, -1.0], tol=1e-10).x)
    else:
        cost = lambda log: marginal(known, np.exp(log))
        precision, variance = known, np.exp(optimize.minimize_scalar(cost, bounds=(-4, 2)).x)
    np.testing.assert_allclose(layer.precision, precision, rtol=1e-3)
    np.testing.assert_allclose((STATED * layer.widening) ** 2, variance, rtol=1e-4)
    mean, covariance = posterior(layer.precision, (STATED * layer.widening) ** 2)
    np.testing.assert_allclose(layer.predictor.model.weights[:, 0], mean, rtol=1e-9)
    np.testing.assert_allclose(layer.factor @ layer.factor.T, covariance, rtol=1e-8, atol=1e-12)
    at = jnp.array([-3.0, 0.1])
    rows = np.column_stack([np.ones(2), at, at**2])
    epistemic = np.einsum("ni,ij,nj->n", rows, covariance, rows)
    found = layer(at)
    np.testing.assert_allclose(found.epistemic, epistemic, rtol=1e-8)
    np.testing.assert_allclose(found.aleatoric, (STATED * layer.widening) ** 2, rtol=1e-9)
    wanted = stats.norm(rows @ mean, np.sqrt(epistemic + (STATED * layer.widening) ** 2))
    np.testing.assert_allclose(found.log_prob(0.2), wanted.logpdf(0.2), rtol=1e-8)


def test_missing_values_do_not_count():
    values = np.where(np.arange(30) % 3 == 0, np.nan, Y)
    refit = lambda data: lhx.last_layer(untrained(lk.Normal(STATED)), WEIGHTS, data, refit=True)
    some, kept = refit(lhx.Dataset(X, values)), ~np.isnan(values)
    alone = refit(lhx.Dataset(X[kept], values[kept]))
    np.testing.assert_allclose(some.widening, alone.widening, rtol=1e-9)
    np.testing.assert_allclose(
        some.factor @ some.factor.T, alone.factor @ alone.factor.T, rtol=1e-9
    )
    np.testing.assert_allclose(
        some.predictor.model.weights, alone.predictor.model.weights, rtol=1e-9
    )


def test_a_scale_that_moves_too_is_not_widened():
    """Mean and log-scale both linear in what is selected: SciPy's optimum of the penalised NLL."""
    data = lhx.Dataset(X, Y)
    start = untrained(lk.Normal(predicted()), 2)
    layer = lhx.last_layer(start, WEIGHTS, data, precision=0.5, refit=True)

    def cost(flat):
        loc, log_scale = (FEATURES @ flat.reshape(3, 2)).T
        return -stats.norm.logpdf(Y, loc, np.exp(log_scale)).sum() + 0.25 * np.sum(flat**2)

    best = optimize.minimize(cost, np.zeros(6), tol=1e-10).x
    np.testing.assert_allclose(np.ravel(layer.predictor.model.weights), best, atol=2e-3)
    assert layer.widening == 1


def test_another_family_takes_a_few_steps_to_its_mode():
    data = lhx.Dataset(X, COUNTS)
    start = untrained(lk.Poisson())
    layer = lhx.last_layer(start, WEIGHTS, data, precision=0.5, refit=True)
    cost = lambda w: -stats.poisson.logpmf(COUNTS, np.exp(FEATURES @ w)).sum() + 0.25 * w @ w
    best = optimize.minimize(cost, np.zeros(3), tol=1e-12).x
    np.testing.assert_allclose(layer.predictor.model.weights[:, 0], best, atol=1e-4)
    information = FEATURES.T @ (np.exp(FEATURES @ best)[:, None] * FEATURES) + 0.5 * np.eye(3)
    covariance = np.linalg.inv(information)
    np.testing.assert_allclose(layer.factor @ layer.factor.T, covariance, rtol=2e-2, atol=1e-5)
    assert layer.widening == 1


def test_single_precision():
    data = lhx.Dataset(X.astype(np.float32), Y.astype(np.float32))
    start = lhx.Predictor(Features(jnp.full((3, 1), 0.3, jnp.float32)), lk.Normal(STATED))
    layer = lhx.last_layer(start, WEIGHTS, data, refit=True)
    double = lhx.last_layer(untrained(lk.Normal(STATED)), WEIGHTS, lhx.Dataset(X, Y), refit=True)
    assert layer(data.inputs).epistemic.dtype == jnp.float32
    np.testing.assert_allclose(layer.widening, double.widening, rtol=1e-4)
    np.testing.assert_allclose(
        layer.predictor.model.weights, double.predictor.model.weights, rtol=1e-3
    )


def test_what_does_not_reach_a_mode_says_so():
    class Root(eqx.Module):
        """A scoring step towards zero always ends as far away on the other side."""

        number: Array

        def __call__(self, x):
            root = self.number / jnp.sqrt(jnp.abs(self.number))
            return jnp.broadcast_to(root, x.shape)

    data = lhx.Dataset(X, 0.1 * (-1.0) ** np.arange(30))
    start = lhx.Predictor(Root(jnp.asarray(1.0)), lk.Normal(0.1))
    with pytest.raises(ValueError, match=r"standard errors from a mode\. Does where select a last"):
        lhx.last_layer(start, lambda p: p.model.number, data, precision=1e-6, refit=True)


def test_one_compilation_serves_all_layers_and_questions_of_a_shape():
    traces = []

    class Counting(eqx.Module):
        weights: Array

        def __call__(self, x):
            traces.append(x)
            return jnp.stack([jnp.ones_like(x), x, x**2], axis=-1) @ self.weights

    data = lhx.Dataset(X, Y)
    layers = [
        lhx.last_layer(
            lhx.Predictor(Counting(jnp.full(3, start)), lk.Normal(STATED)), WEIGHTS, data
        )
        for start in (0.3, 0.4)
    ]
    layers[0](jnp.array([-1.0, 2.0]))
    before = len(traces)
    for layer in layers:
        layer(jnp.array([0.5, 3.0]))
    assert len(traces) == before
