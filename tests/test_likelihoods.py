"""What single likelihoods promise beyond the laws: limits, other gradients, a hand-written loop."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

import likelihax as lhx
from likelihax import likelihoods as lk
from likelihax import predicted

# ------------------------------------------------------------------------------------ classes


def test_soft_targets_are_smoothed_too():
    logits, soft = np.array([0.4, -1.3, 2.0, 0.1]), np.array([0.1, 0.2, 0.3, 0.4])
    log_p = logits - np.log(np.sum(np.exp(logits)))
    family = lk.Categorical(4, soft=True, label_smoothing=0.2)
    value, gradient = jax.value_and_grad(family.nll)(jnp.asarray(logits), soft)
    target = 0.8 * soft + 0.2 / 4
    np.testing.assert_allclose(value, -np.sum(target * log_p), rtol=1e-14)
    np.testing.assert_allclose(gradient, np.exp(log_p) - target, rtol=1e-13)


def test_a_label_that_is_all_but_certain_keeps_the_digits_of_its_loss():
    value, gradient = jax.value_and_grad(lk.Categorical(3).nll)(jnp.asarray([50.0, 0.0, 1.0]), 0)
    rest = math.exp(-50) + math.exp(-49)
    np.testing.assert_allclose(value, rest, rtol=1e-14)
    np.testing.assert_allclose(gradient, [-rest, math.exp(-50), math.exp(-49)], rtol=1e-14)


# ------------------------------------------------------------------------------------ vectors


@pytest.mark.parametrize("dim", [1, 2, 4, 5, 9])
def test_vectors_of_any_length_are_scipys(dim):
    rng = np.random.default_rng(dim)
    tril = np.tril(rng.normal(size=(dim, dim)), -1) + np.diag(rng.uniform(0.5, 2.0, dim))
    loc, y = rng.normal(size=dim), rng.normal(size=dim)
    expected = -stats.multivariate_normal.logpdf(y, loc, tril @ tril.T)
    found = lk.MultivariateNormal(tril).nll(loc, y)
    np.testing.assert_allclose(found, expected, rtol=1e-12)

    below = tril[np.tril_indices(dim, -1)]
    outputs = np.concatenate([loc, below, np.log(np.diag(tril))])
    family = lk.MultivariateNormal(predicted(), dim=dim)
    value, gradient = jax.value_and_grad(family.nll)(jnp.asarray(outputs), y)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    # In the mean -w, in the triangle 1 / L on the diagonal less w z'.
    z = np.linalg.solve(tril, y - loc)
    w = np.linalg.solve(tril.T, z)
    in_tril = np.diag(1 / np.diag(tril)) - np.outer(w, z)
    of_diagonal = np.diag(in_tril) * np.diag(tril)
    score = np.concatenate([-w, in_tril[np.tril_indices(dim, -1)], of_diagonal])
    np.testing.assert_allclose(gradient, score, rtol=1e-10, atol=1e-12)


# ------------------------------------------------------------------------------------- limits

LARGE = 10.0 ** np.arange(3, 11)


def difference(wide, narrow, outputs, y):
    """Value and gradient of one NLL less another's, whose outputs are the first of its own."""
    shared = narrow.num_outputs
    first = jax.value_and_grad(lambda p: wide.nll(p, y))(jnp.asarray(outputs))
    of_narrow = jnp.asarray(outputs[:shared]) if shared > 1 else jnp.asarray(outputs[0])
    second = jax.value_and_grad(lambda p: narrow.nll(p, y))(of_narrow)
    slopes = np.array(first[1])
    slopes[:shared] -= np.atleast_1d(second[1])
    return np.array([first[0] - second[0], *slopes])


@pytest.mark.parametrize("y", [-3.0, 0.9, 4.5])
def test_student_t_becomes_normal(y):
    loc, scale = 0.7, 0.6
    r = (y - loc) / scale
    # Of 1 / dof the first term: that of (r^4 - 2 r^2 - 1) / 4, by Fisher's expansion (1925).
    value = -(r**4 - 2 * r**2 - 1) / 4
    expected = np.array([value, (r**3 - r) / scale, r**4 - r**2, -value])
    family = lk.StudentT(predicted(), predicted())
    normal = lk.Normal(predicted())
    for dof in LARGE:
        found = difference(family, normal, [loc, math.log(scale), math.log(dof)], y)
        rounding = 1e-15 * dof * (1 + r**2)
        np.testing.assert_allclose(dof * found, expected, rtol=40 * r**2 / dof, atol=rounding)


@pytest.mark.parametrize("y", [0.0, 1.0, 7.0])
def test_negative_binomial_becomes_poisson(y):
    mean = 2.2
    # Of 1 / concentration the first term.
    value = -((y - mean) ** 2 - y) / 2
    expected = np.array([value, (y - mean) * mean, -value])
    family, poisson = lk.NegativeBinomial(predicted()), lk.Poisson()
    for concentration in LARGE:
        found = difference(family, poisson, [math.log(mean), math.log(concentration)], y)
        rounding = 1e-14 * concentration * (1 + y)  # of the exponential of the logarithm
        np.testing.assert_allclose(
            concentration * found, expected, rtol=40 / concentration, atol=rounding
        )


# -------------------------------------------------------------------------- other gradients

LOC, LOG_SCALE, Y = jnp.asarray([0.7, -1.0]), jnp.asarray([-0.4, 0.8]), jnp.asarray([1.5, 2.0])


def gradient_of(remedy):
    likelihood = lk.Normal(predicted(), gradient=remedy)
    total = lambda loc, log_scale: likelihood.nll(jnp.stack([loc, log_scale], -1), Y).sum()
    return jax.value_and_grad(total, argnums=(0, 1))(LOC, LOG_SCALE)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_beta_nll_weighs_the_gradient_by_a_power_of_the_variance(beta):
    variance = np.exp(2 * LOG_SCALE)
    value, (of_loc, of_log_scale) = gradient_of(lk.BetaNLL(beta))
    assert value == gradient_of(None)[0]
    # Equations 6 and 7 of Seitzer and others (2022); d variance / d log-scale is 2 variance.
    np.testing.assert_allclose(of_loc, (LOC - Y) / variance ** (1 - beta), rtol=1e-13)
    of_variance = (variance - (Y - LOC) ** 2) / (2 * variance ** (2 - beta))
    np.testing.assert_allclose(of_log_scale, 2 * variance * of_variance, rtol=1e-12)


def test_faithful_gradient_is_that_of_least_squares_for_the_mean():
    value, (of_loc, of_log_scale) = gradient_of(lk.Faithful())
    assert value == gradient_of(None)[0]
    np.testing.assert_allclose(of_loc, LOC - Y, rtol=1e-13)
    np.testing.assert_allclose(of_log_scale, 1 - (Y - LOC) ** 2 / np.exp(2 * LOG_SCALE), rtol=1e-12)


def test_beta_is_between_0_and_1():
    with pytest.raises(ValueError, match=r"BetaNLL: beta must be between 0 and 1, got 1.5"):
        lk.BetaNLL(1.5)


class Straight(eqx.Module):
    """A line with a constant log-scale."""

    weights: jax.Array

    def __call__(self, x):
        intercept, slope, log_scale = self.weights
        return jnp.stack([intercept + slope * x, jnp.full_like(x, log_scale)], axis=-1)


def noisy_line():
    generator = np.random.default_rng(3)
    x = np.linspace(-1.0, 1.0, 40)
    return lhx.Dataset(x, 1.0 + 2.0 * x + 0.3 * generator.standard_normal(40))


@pytest.mark.parametrize("remedy", [lk.BetaNLL(), lk.Faithful()])
def test_methods_that_trust_a_gradient_refuse_one_that_is_none(remedy):
    likelihood = lk.Normal(predicted(), gradient=remedy)
    assert not likelihood.is_gradient
    assert not lk.Mixture([likelihood, lk.Normal(1.0)]).is_gradient
    predictor = lhx.Predictor(Straight(jnp.zeros(3)), likelihood)
    for method in (lhx.BFGS(), lhx.LevenbergMarquardt(), None):
        with pytest.raises(ValueError, match=r"GradientDescent"):
            lhx.fit(lhx.NLL(), predictor, noisy_line(), method=method)


def test_gradient_descent_takes_another_gradient_to_the_same_optimum():
    plain = lhx.Predictor(Straight(jnp.zeros(3)), lk.Normal(predicted()))
    assert plain.likelihood.is_gradient
    best = lhx.fit(lhx.NLL(), plain, noisy_line())
    assert type(best.method) is lhx.LevenbergMarquardt
    for remedy in (lk.BetaNLL(), lk.Faithful()):
        likelihood = lk.Normal(predicted(), gradient=remedy)
        predictor = lhx.Predictor(Straight(jnp.zeros(3)), likelihood)
        method = lhx.GradientDescent(optax.adam(0.05), max_steps=600)
        fit = lhx.fit(lhx.NLL(), predictor, noisy_line(), method=method)
        # With one scale for all, both gradients vanish where the NLL's does.
        assert fit.nll == pytest.approx(best.nll, abs=1e-4)


# ------------------------------------------------------------------------ a hand-written loop


def test_a_network_learns_the_noise_in_a_loop_of_ones_own():
    generator = np.random.default_rng(11)
    x = np.linspace(-1.0, 1.0, 1500)
    log_scale = -1.0 + 0.8 * np.sin(3 * x)
    y = jnp.asarray(np.cos(2 * x) + np.exp(log_scale) * generator.standard_normal(x.size))
    inputs = jnp.asarray(x[:, None])

    likelihood = lhx.likelihoods.Normal(scale=lhx.predicted())
    network = eqx.nn.MLP(1, likelihood.num_outputs, 16, 2, jnp.tanh, key=jax.random.key(0))
    optimiser = optax.adam(0.01)
    state = optimiser.init(eqx.filter(network, eqx.is_inexact_array))

    @eqx.filter_jit
    def step(network, state):
        loss = lambda network: likelihood.nll(jax.vmap(network)(inputs), y).mean()
        value, gradient = eqx.filter_value_and_grad(loss)(network)
        with jax.numpy_dtype_promotion("standard"):  # Optax is not as strict as these tests
            updates, state = optimiser.update(gradient, state)
        return eqx.apply_updates(network, updates), state, value

    for _ in range(400):
        network, state, value = step(network, state)
    found = np.asarray(jax.vmap(network)(inputs))
    assert np.sqrt(np.mean((found[:, 1] - log_scale) ** 2)) < 0.25
    assert np.sqrt(np.mean((found[:, 0] - np.cos(2 * x)) ** 2)) < 0.1
    truth = likelihood.nll(np.column_stack([np.cos(2 * x), log_scale]), y).mean()
    assert float(value) < float(truth) + 0.01


def test_the_curvature_of_a_censored_gamma_has_no_misleading_message():
    likelihood = lk.Censored(lk.Gamma(predicted()), upper=2.0)
    total = lambda outputs: likelihood.nll(outputs, jnp.asarray([1.0, 2.0])).sum()
    with pytest.raises(NotImplementedError):  # JAX's own word about `gammainc`
        jax.hessian(total)(jnp.asarray([[0.3, 0.5], [0.3, 0.5]]))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("shape", [predicted(), lk.tied()], ids=["four", "tied"])
def test_what_evidence_says_far_out_is_never_nan(shape, dtype):
    family = lk.NormalInverseGamma(shape=shape)
    far = jnp.asarray([-900.0, -60.0, 0.0, 60.0, 900.0], dtype)
    grids = jnp.meshgrid(*[far] * (family.num_outputs - 1), indexing="ij")
    raw = jnp.stack([jnp.zeros_like(grids[0]), *grids], axis=-1)
    said = family.distribution(raw)
    for part in (said.aleatoric, said.epistemic, said.variance, said.width, said.ignorance):
        assert not np.any(np.isnan(part))
        assert np.all(np.asarray(part) >= 0)
    assert not np.any(np.isnan(family.nll(raw, jnp.ones(raw.shape[:-1], dtype))))
