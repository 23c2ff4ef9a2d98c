"""Posterior densities: against SciPy by hand, quadrature, finite differences."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax import Array
from problems import Line, line_problem
from scipy import integrate, special, stats

import likelihax as lhx
from likelihax.inference import Posterior
from likelihax.terms import L1, Flat, Prior


class Constant(eqx.Module):
    """The same for all rows."""

    value: Array

    def __call__(self, rows):
        return jnp.broadcast_to(self.value, rows.shape)


class Schools(eqx.Module):
    theta: Array
    mu: Array
    tau: Array

    def __call__(self, which):
        return self.theta[which]


EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def schools(theta=EFFECTS, mu=4.0, tau=5.0):
    model = Schools(lhx.real(theta), lhx.real(mu), lhx.positive(tau))
    predictor = lhx.Predictor(model, lhx.likelihoods.Normal(scale=ERRORS))
    objective = (
        lhx.NLL()
        + Prior(lambda p: p.model.theta, lambda p: dist.Normal(p.model.mu, p.model.tau))
        + Prior(lambda p: p.model.mu, dist.Normal(0.0, 5.0))
        + Prior(lambda p: p.model.tau, dist.HalfCauchy(5.0))
    )
    return objective, predictor, lhx.Dataset(np.arange(8), EFFECTS)


def line():
    predictor, data = line_problem(lhx.positive(0.4))
    objective = (
        lhx.NLL()
        + Prior(lambda p: p.model.weights[1:], dist.Normal(0.0, 2.0))
        + Flat(lambda p: p.model.weights[0])
        + Prior(lambda p: p.likelihood.scale, dist.HalfNormal(1.5))
    )
    return objective, predictor, data


def test_density_by_hand():
    posterior = Posterior(*line())
    z = np.array([1.5, -0.7, 0.2, -0.9])
    data = posterior.data
    scale = np.exp(z[3])
    likelihood = stats.norm.logpdf(np.asarray(data.values), data.inputs @ z[:3], scale).sum()
    # The prior of the scale is stated in natural units: in its logarithm it is times the scale.
    prior = stats.norm.logpdf(z[1:3], 0, 2).sum() + stats.halfnorm.logpdf(scale, scale=1.5) + z[3]
    z = jnp.asarray(z)
    np.testing.assert_allclose(posterior.log_likelihood(z), likelihood, rtol=1e-12)
    np.testing.assert_allclose(posterior.log_prior(z), prior, rtol=1e-12)
    np.testing.assert_allclose(posterior.log_density(z), likelihood + prior, rtol=1e-12)
    np.testing.assert_allclose(posterior.potential(z), -likelihood - prior, rtol=1e-12)


def test_real_numbers_are_in_units_of_their_scale():
    predictor = lhx.Predictor(Constant(lhx.real(3.0, scale=4.0)), lhx.likelihoods.Normal(2.0))
    objective = lhx.NLL() + Prior(lambda p: p.model.value, dist.Normal(1.0, 3.0))
    posterior = Posterior(objective, predictor, lhx.Dataset(np.zeros(1), [2.5]))
    density = jax.jit(lambda z: jnp.exp(posterior.log_density(z[None])))
    evidence, _ = integrate.quad(lambda z: float(density(z)), -15, 15)
    np.testing.assert_allclose(evidence, stats.norm.pdf(2.5, 1.0, np.hypot(2.0, 3.0)), rtol=1e-8)


def test_integral_is_the_evidence():
    predictor = lhx.Predictor(
        Constant(lhx.bounded(0.4, 0.0, 1.0)), lhx.likelihoods.Bernoulli(lhx.predicted("identity"))
    )
    objective = lhx.NLL() + Prior(lambda p: p.model.value, dist.Beta(2.0, 3.0))
    values = np.array([1.0, 0, 0, 1, 1, 0, 0, 0])
    posterior = Posterior(objective, predictor, lhx.Dataset(np.zeros(8), values))
    density = jax.jit(lambda z: jnp.exp(posterior.log_density(z[None])))
    evidence, _ = integrate.quad(lambda z: float(density(z)), -12, 12)
    np.testing.assert_allclose(evidence, special.beta(5, 8) / special.beta(2, 3), rtol=1e-8)


@pytest.mark.parametrize("forward", [True, False])
def test_gradient_is_that_of_the_potential(forward):
    posterior = Posterior(*line())
    posterior = replace_forward(posterior, forward)
    z = jnp.asarray([1.5, -0.7, 0.2, -0.9])
    potential = jax.jit(lambda z: posterior.potential(z))
    energy, gradient = jax.jit(lambda z: posterior.potential_and_gradient(z))(z)
    np.testing.assert_allclose(energy.value, potential(z), rtol=1e-13)
    for i in range(4):
        step = jnp.zeros(4).at[i].set(1e-5)
        slope = (potential(z + step) - potential(z - step)) / 2e-5
        np.testing.assert_allclose(gradient[i], slope, rtol=1e-6)


def replace_forward(posterior, forward):
    return eqx.tree_at(lambda p: p.direct, _with_forward(posterior, forward), posterior.direct)


def _with_forward(posterior, forward):
    changed = object.__new__(Posterior)
    for name in ("unknowns", "data", "standardised", "direct"):
        object.__setattr__(changed, name, getattr(posterior, name))
    object.__setattr__(changed, "forward", forward)
    return changed


def test_varying_about_a_centre_by_hand():
    posterior = Posterior(*schools())
    z = np.array([*np.linspace(-1.0, 1.5, 8), 0.8, 1.2])  # theta's in units of the spread, mu, log
    scale = 4.0  # mu is fitted in units of its start
    mu, tau = scale * z[8], np.exp(z[9])
    theta = mu + tau * z[:8]
    expected = (
        stats.norm.logpdf(EFFECTS, theta, ERRORS).sum()
        + stats.norm.logpdf(z[:8]).sum()
        + stats.norm.logpdf(mu, 0, 5)
        + np.log(scale)
        + stats.halfcauchy.logpdf(tau, scale=5)
        + z[9]
    )
    z = jnp.asarray(z)
    np.testing.assert_allclose(posterior.log_density(z), expected, rtol=1e-12)
    np.testing.assert_allclose(posterior.log_prior(z) + posterior.log_likelihood(z), expected)
    np.testing.assert_allclose(posterior.natural(z), [*theta, mu, tau], rtol=1e-12)


def test_centred_and_not_are_one_density():
    away, close = Posterior(*schools()), Posterior(*schools(), centred=True)
    assert not close.standardised
    z = away.start()
    np.testing.assert_allclose(away.natural(z)[:8], EFFECTS, rtol=1e-12)
    np.testing.assert_allclose(close.natural(close.start()), away.natural(z), rtol=1e-12)
    # Eight numbers in units of the spread, which were in units of their start.
    units = 8 * np.log(5.0) - np.sum(np.log(np.abs(EFFECTS)))
    difference = away.log_density(z) - close.log_density(close.start())
    np.testing.assert_allclose(difference, units, rtol=1e-10)


def test_no_spread_is_no_failure():
    """Where all are alike, centred numbers are divided by nothing."""
    posterior = Posterior(*schools())
    z = jnp.asarray([*np.linspace(-1.0, 1.5, 8), 0.8, -700.0])
    energy, gradient = jax.jit(lambda z: posterior.potential_and_gradient(z))(z)
    assert np.isfinite(energy.value)
    assert np.all(np.isfinite(gradient))


class Nested(eqx.Module):
    low: Array
    middle: Array
    top: Array
    spread: Array

    def __call__(self, which):
        return self.low[which]


def test_centres_with_centres_of_their_own():
    model = Nested(
        lhx.positive(np.full(4, 2.0)), lhx.real([1.0, 2.0]), lhx.real(0.5), lhx.positive(0.7)
    )
    predictor = lhx.Predictor(model, lhx.likelihoods.Normal(1.0))
    objective = (  # children are stated before their parents
        lhx.NLL()
        + Prior(
            lambda p: p.model.low,
            lambda p: dist.LogNormal(jnp.repeat(p.model.middle, 2), p.model.spread),
        )
        + Prior(lambda p: p.model.middle, lambda p: dist.Normal(p.model.top, 2 * p.model.spread))
        + Prior(lambda p: p.model.top, dist.Normal(0.0, 1.0))
        + Prior(lambda p: p.model.spread, dist.HalfNormal(1.0))
    )
    posterior = Posterior(objective, predictor, lhx.Dataset(np.arange(4), np.ones(4)))
    z = jnp.asarray([0.1, -0.2, 0.3, 0.4, 1.0, -1.0, 0.6, -0.1])
    spread, top = np.exp(-0.1), 0.5 * 0.6
    middle = top + 2 * spread * np.array([1.0, -1.0])
    low = np.exp(np.repeat(middle, 2) + spread * np.array([0.1, -0.2, 0.3, 0.4]))
    np.testing.assert_allclose(posterior.natural(z), [*low, *middle, top, spread], rtol=1e-12)
    np.testing.assert_allclose(posterior.natural(posterior.start())[:4], 2.0, rtol=1e-12)


def test_ordered_numbers_take_a_prior_of_single_ones():
    predictor = lhx.Predictor(Pick(lhx.ordered([0.0, 1.0])), lhx.likelihoods.Normal(1.0))
    objective = lhx.NLL() + Prior(lambda p: p.model.levels, dist.Normal(0.0, 2.0))
    posterior = Posterior(objective, predictor, lhx.Dataset(np.arange(2), [0.3, 0.9]))
    z = np.array([0.2, -0.5])
    levels = np.array([0.2, 0.2 + np.exp(-0.5)])
    expected = (
        stats.norm.logpdf([0.3, 0.9], levels, 1.0).sum()
        + stats.norm.logpdf(levels, 0, 2).sum()
        - 0.5
    )
    np.testing.assert_allclose(posterior.log_density(jnp.asarray(z)), expected, rtol=1e-12)


class Pick(eqx.Module):
    levels: Array

    def __call__(self, which):
        return self.levels[which]


# ---------------------------------------------------------------------------------- failed solves


class Explosion(eqx.Module):
    """Reaches infinity at a time of one over the rate."""

    rate: Array

    def __call__(self, t, y, inputs):
        return self.rate * y**2


def exploding(spread=3.0):
    field = Explosion(lhx.positive(0.5))
    ode = lhx.ODE(field, [1.0], t0=0.0, max_steps=256, observe=lambda t, y: y[0])
    predictor = lhx.Predictor(ode, lhx.likelihoods.Normal(spread))
    objective = lhx.NLL() + Prior(lambda p: p.model.field.rate, dist.LogNormal(-1.0, 1.0))
    return objective, predictor, lhx.Experiment([0.5, 1.0], [1.4, 2.2])


def test_failed_solve_is_infinite_with_no_gradient():
    posterior = Posterior(*exploding())
    energy, gradient = jax.jit(lambda z: posterior.potential_and_gradient(z))(jnp.asarray([0.5]))
    assert energy.value == np.inf
    assert energy.failed_solve
    assert 0.4 < energy.time_reached < 0.7 or energy.time_reached in (0.0, 0.5)
    np.testing.assert_array_equal(gradient, 0.0)
    assert posterior.log_density(jnp.asarray([0.5])) == -np.inf
    assert posterior.log_likelihood(jnp.asarray([0.5])) == -np.inf


# -------------------------------------------------------------------------------------- bad input


def refuses(objective, predictor, data, *parts):
    with pytest.raises(ValueError, match=".*".join(map(re.escape, parts))):
        Posterior(objective, predictor, data)


def test_numbers_without_a_prior_are_named():
    _, predictor, data = line()
    some = Prior(lambda p: p.model.weights[1:], dist.Normal(0.0, 2.0))
    refuses(lhx.NLL() + some, predictor, data, "weights[0], scale", "Prior(", "Flat(")


def test_priors_elsewhere_than_the_parameter():
    _, predictor, data = line()
    on_scale = lambda d: (
        lhx.NLL() + Flat(lambda p: p.model) + Prior(lambda p: p.likelihood.scale, d)
    )
    refuses(on_scale(dist.Normal(1.0, 1.0)), predictor, data, "scale", "real", "TruncatedNormal")
    refuses(on_scale(dist.Uniform(0.0, 5.0)), predictor, data, "scale", "between", "bounded(")
    on_weights = (
        lhx.NLL()
        + Flat(lambda p: p.likelihood)
        + Prior(lambda p: p.model.weights, dist.LogNormal(0.0, 1.0))
    )
    predictor = lhx.Predictor(Line(jnp.ones(3)), predictor.likelihood)
    refuses(on_weights, predictor, data, "weights", "LogNormal", "positive", "real")


def test_what_is_no_density():
    _, predictor, data = line()
    rest = Flat(lambda p: p)
    refuses(lhx.NLL(lhx.reductions.Mean()) + rest, predictor, data, "Mean of the NLL")
    refuses(
        lhx.NLL() + 0.1 * L1(lambda p: p.model.weights) + rest, predictor, data, "L1", "Laplace"
    )
    refuses(0.5 * lhx.NLL() + rest, predictor, data, "count once")


def test_prior_of_something_computed():
    _, predictor, data = line()
    product = Prior(lambda p: p.model.weights[0] * 2.0, dist.Normal(0.0, 1.0))
    refuses(lhx.NLL() + Flat(lambda p: p) + product, predictor, data, "computes something")


def test_objective_is_needed(as_a_user):
    _, predictor, data = line()
    with pytest.raises(ValueError, match="no objective"):
        Posterior(lambda p, d: 0.0, predictor, data)


def test_flat_prior_selects_something_fitted():
    _, predictor, data = line()
    with pytest.raises(ValueError, match="nothing that is fitted"):
        Posterior(lhx.NLL() + Flat(lambda p: ()), predictor, data)
    with pytest.raises(ValueError, match="cannot be applied"):
        Posterior(lhx.NLL() + Flat(lambda p: p.model.nothing), predictor, data)
