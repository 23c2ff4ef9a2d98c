"""The last layer's posterior, against Bayesian linear regression written out in NumPy and SciPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parabola import FEATURES, NOISE, WEIGHTS, Features, X, Y
from scipy import optimize, stats

import likelihax as lhx
from likelihax import likelihoods as lk
from likelihax import predicted


def linear(likelihood=None, columns=1):
    start = Features(jnp.zeros((3, columns)))
    return lhx.Predictor(start, lk.Normal(NOISE) if likelihood is None else likelihood)


DATA = lhx.Dataset(X, Y)
AT = jnp.array([-3.0, 0.1, 0.9])
AT_FEATURES = np.column_stack([np.ones(3), AT, AT**2])


def fitted(likelihood=None, columns=1):
    return lhx.fit(lhx.NLL(), linear(likelihood, columns), DATA)


def test_is_bayesian_linear_regression():
    layer = lhx.last_layer(fitted(), WEIGHTS, precision=2.0)
    covariance = np.linalg.inv(FEATURES.T @ FEATURES / NOISE**2 + 2.0 * np.eye(3))
    np.testing.assert_allclose(layer.factor @ layer.factor.T, covariance, rtol=1e-8, atol=1e-12)
    found = layer(AT)
    epistemic = np.einsum("ni,ij,nj->n", AT_FEATURES, covariance, AT_FEATURES)
    np.testing.assert_allclose(found.epistemic, epistemic, rtol=1e-8)
    np.testing.assert_allclose(found.aleatoric, NOISE**2, rtol=1e-12)
    np.testing.assert_allclose(found.evidence, NOISE**2 / epistemic, rtol=1e-8)
    least_squares = np.linalg.lstsq(FEATURES, Y, rcond=None)[0]
    wanted = stats.norm(AT_FEATURES @ least_squares, np.sqrt(NOISE**2 + epistemic))
    np.testing.assert_allclose(found.mean, wanted.mean(), rtol=1e-5)
    np.testing.assert_allclose(found.log_prob(jnp.ones(3)), wanted.logpdf(1.0), rtol=1e-5)
    np.testing.assert_allclose(found.icdf(0.9), wanted.ppf(0.9), rtol=1e-5)


def test_the_prior_is_the_one_with_the_largest_marginal_likelihood():
    """SciPy's Normal density of all values together, its covariance with and without weights.

    Equal to Laplace's where the estimates are those of that prior; here least squares, of which
    the penalty makes nearly no difference with so many values.
    """
    layer = lhx.last_layer(fitted(), WEIGHTS)
    weights = np.linalg.lstsq(FEATURES, Y, rcond=None)[0]
    information = FEATURES.T @ FEATURES / NOISE**2

    def cost(log_precision):
        """Of the Laplace approximation about the estimates, written out."""
        precision = np.exp(log_precision)
        prior = stats.multivariate_normal(np.zeros(3), np.eye(3) / precision).logpdf(weights)
        determinant = np.linalg.slogdet(information + precision * np.eye(3))[1]
        return -prior + 0.5 * determinant

    best = optimize.minimize_scalar(cost, bounds=(-8, 8), method="bounded").x
    np.testing.assert_allclose(layer.precision, np.exp(best), rtol=1e-3)

    def exact(log_precision):
        together = NOISE**2 * np.eye(30) + FEATURES @ FEATURES.T / np.exp(log_precision)
        return -stats.multivariate_normal(np.zeros(30), together).logpdf(Y)

    truly = optimize.minimize_scalar(exact, bounds=(-8, 8), method="bounded").x
    assert abs(truly - best) < 0.2


def test_a_predicted_scale_is_integrated_out():
    """Of Normal values by evenly spread draws of the scale; Monte Carlo over both says the same."""
    fit = fitted(lk.Normal(predicted()), 2)
    layer = lhx.last_layer(fit, WEIGHTS, precision=1.0)
    found = layer(AT)
    rng = np.random.default_rng(1)
    moves = rng.normal(size=(200_000, 6)) @ np.asarray(layer.factor).T
    weights = np.asarray(fit.predictor.model.weights).reshape(-1) + moves
    outputs = np.einsum("ni,sik->snk", AT_FEATURES, weights.reshape(-1, 3, 2))
    loc, scale = outputs[..., 0], np.exp(outputs[..., 1])
    np.testing.assert_allclose(found.aleatoric[1:], (scale**2).mean(0)[1:], rtol=0.02)
    np.testing.assert_allclose(found.epistemic, loc.var(0), rtol=0.03)
    for y in (0.2, 1.0, 1.6):
        density = stats.norm.pdf(y, loc, scale).mean(0)
        np.testing.assert_allclose(jnp.exp(found.log_prob(y))[1:], density[1:], rtol=0.02)


@pytest.mark.parametrize("family", ["StudentT", "Poisson"])
def test_other_families_are_mixtures_over_draws(family):
    counts = lhx.Dataset(X, np.random.default_rng(0).poisson(np.exp(1 + X)))
    likelihood, data = {
        "StudentT": (lk.StudentT(NOISE, 5.0), DATA),
        "Poisson": (lk.Poisson(), counts),
    }[family]
    fit = lhx.fit(lhx.NLL(), linear(likelihood), data)
    found = lhx.last_layer(fit, WEIGHTS, precision=1.0, num=1024)(AT)
    factor = lhx.last_layer(fit, WEIGHTS, precision=1.0).factor
    moves = np.random.default_rng(1).normal(size=(100_000, 3)) @ np.asarray(factor).T
    eta = AT_FEATURES @ (np.asarray(fit.predictor.model.weights)[:, 0] + moves).T
    if family == "Poisson":
        density, mean = stats.poisson.pmf(2, np.exp(eta)), np.exp(eta)
    else:
        density, mean = stats.t.pdf(2.0, 5.0, eta, NOISE), eta
    # Far out the mean of a count is that of a log-normal number, all in its tail.
    near = slice(1, None) if family == "Poisson" else slice(None)
    density, mean = density.mean(1)[near], mean[near]
    np.testing.assert_allclose(jnp.exp(found.log_prob(2.0))[near], density, rtol=0.05)
    np.testing.assert_allclose(found.mean[near], mean.mean(1), rtol=0.02, atol=0.01)
    np.testing.assert_allclose(found.epistemic[near], mean.var(1), rtol=0.05)


def test_a_classifier():
    labels = (X + 0.3 * np.random.default_rng(2).normal(size=30) > 0).astype(int)
    fit = lhx.fit(lhx.NLL(), linear(lk.Bernoulli()), lhx.Dataset(X, labels), throw=False)
    layer = lhx.last_layer(fit, WEIGHTS)
    # Far out, where the estimate is certain, it is not.
    sure = np.asarray(fit.predictor(AT[:1]).probs)
    unsure = np.asarray(layer(AT[:1]).mean)
    assert abs(unsure - 0.5) < abs(sure - 0.5)
    assert np.all(layer(AT).epistemic > 0)


def test_missing_values_and_predictive_of_data():
    values = np.where(np.arange(30) % 3 == 0, np.nan, Y)
    data = lhx.Dataset(X, values)
    fit = lhx.fit(lhx.NLL(), linear(), data)
    layer = lhx.last_layer(fit, WEIGHTS, precision=2.0)
    kept = FEATURES[~np.isnan(values)]
    covariance = np.linalg.inv(kept.T @ kept / NOISE**2 + 2.0 * np.eye(3))
    np.testing.assert_allclose(layer.factor @ layer.factor.T, covariance, rtol=1e-8, atol=1e-12)
    each = layer.nll(data)
    assert np.all(np.asarray(each)[np.isnan(values)] == 0)
    found = -layer.predictive(DATA).log_prob(jnp.asarray(Y))
    np.testing.assert_allclose(each[1:3], found[1:3], rtol=1e-12)
    by_hand = lhx.last_layer(fit.predictor, WEIGHTS, data, precision=2.0)
    np.testing.assert_allclose(by_hand.factor, layer.factor)


def test_vectors_of_a_network_in_float32(getkey):
    """An MLP of Equinox: weight and bias of its last layer together, values of two columns."""
    network = eqx.nn.MLP(1, 2, 8, 1, key=getkey(), dtype=jnp.float32)
    inputs = jnp.asarray(X[:, None], jnp.float32)
    values = jnp.stack([inputs[:, 0], -inputs[:, 0]], axis=1)
    predictor = lhx.Predictor(eqx.filter_vmap(network), lk.Normal(lhx.positive(jnp.float32(0.1))))
    where = lambda p: (p.model._fun.layers[-1].weight, p.model._fun.layers[-1].bias)
    data = lhx.Dataset(inputs, values)
    layer = lhx.last_layer(predictor, where, data)
    found = layer(inputs)
    assert found.mean.shape == (30, 2)
    assert found.epistemic.dtype == jnp.float32
    hidden = np.asarray(jax.vmap(lambda x: jax.nn.relu(network.layers[0](x)))(inputs), float)
    rows = np.column_stack([hidden, np.ones(30)])
    covariance = np.linalg.inv(rows.T @ rows / 0.01 + layer.precision * np.eye(9))
    wanted = np.einsum("ni,ij,nj->n", rows, covariance, rows)
    np.testing.assert_allclose(found.epistemic[:, 0], wanted, rtol=2e-3)
    np.testing.assert_allclose(found.epistemic[:, 1], wanted, rtol=2e-3)


def test_errors(as_a_user):
    fit = fitted()
    with pytest.raises(ValueError, match="last_layer: a fit has data of its own: leave data out"):
        lhx.last_layer(fit, WEIGHTS, DATA)
    with pytest.raises(ValueError, match="last_layer: expected a Fit or a Predictor, got int"):
        lhx.last_layer(3, WEIGHTS)
    with pytest.raises(ValueError, match="what was the network trained on"):
        lhx.last_layer(fit.predictor, WEIGHTS)
    with pytest.raises(ValueError, match="last_layer: where selects nothing"):
        lhx.last_layer(fit, lambda p: ())
    with pytest.raises(ValueError, match="precision must be positive and finite, got 0"):
        lhx.last_layer(fit, WEIGHTS, precision=0.0)
    with pytest.raises(ValueError, match="num must be 2 or more draws, got 1"):
        lhx.last_layer(fit, WEIGHTS, num=1)
    mixture = lk.Mixture([lk.Normal(1.0), lk.Normal(2.0)], weights=np.array([0.5, 0.5]))
    predictor = lhx.Predictor(Features(jnp.zeros((3, 2))), mixture)
    with pytest.raises(ValueError, match="the Fisher information of Mixture is not known"):
        lhx.last_layer(predictor, WEIGHTS, DATA)
    lost = eqx.tree_at(lambda p: p.model.weights, linear(), jnp.full((3, 1), jnp.nan))
    with pytest.raises(ValueError, match="not finite at the estimates: was the network trained"):
        lhx.last_layer(lost, WEIGHTS, DATA)
