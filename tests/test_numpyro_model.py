"""Predictors as parts of NumPyro models: densities, plates, predictions, other samplers."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer import MCMC, NUTS, SVI, Predictive, Trace_ELBO
from numpyro.infer.autoguide import AutoNormal
from numpyro.infer.util import log_density
from scipy import stats
from test_posterior import EFFECTS, ERRORS, Pick, line, schools
from test_sample import COUNTS, counted

import likelihax as lhx
from likelihax.inference import draw, observe, prior_predictive
from likelihax.terms import Flat, Prior

# NumPyro adds whole numbers to floating ones, and vectors to matrices.
pytestmark = pytest.mark.usefixtures("lenient")


@pytest.fixture
def lenient():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def density_of(model, data, **values):
    total, sites = log_density(model, (data,), {}, {k: jnp.asarray(v) for k, v in values.items()})
    return float(total), sites


def test_density_is_the_objective_and_scipys():
    objective, predictor, data = counted()
    total, sites = density_of(lhx.numpyro_model(objective, predictor), data, rate=2.5)
    by_hand = stats.gamma.logpdf(2.5, 2, scale=2) + stats.poisson.logpmf(COUNTS[:5], 2.5).sum()
    np.testing.assert_allclose(total, by_hand, rtol=1e-12)
    assert set(sites) == {"rate", "values"}
    at = lhx.Predictor(type(predictor.model)(lhx.positive(2.5)), predictor.likelihood)
    np.testing.assert_allclose(total, -float(objective(at, data)), rtol=1e-12)


def test_parts_of_a_leaf_are_one_site():
    objective, predictor, data = line()
    objective = objective + Prior(lambda p: p.model.weights[2], dist.Normal(1.0, 3.0))
    weights, scale = np.array([1.5, -0.7, 0.2]), 0.6
    total, sites = density_of(
        lhx.numpyro_model(objective, predictor, prefix="line "),
        data,
        **{"line weights": weights, "line scale": scale},
    )
    by_hand = (
        stats.norm.logpdf(weights[1:], 0, 2).sum()
        + stats.norm.logpdf(weights[2], 1, 3)  # a second prior, times the first
        + stats.halfnorm.logpdf(scale, scale=1.5)
        + stats.norm.logpdf(data.values, data.inputs @ weights, scale).sum()
    )
    np.testing.assert_allclose(total, by_hand, rtol=1e-12)
    assert sites["line weights"]["value"].shape == (3,)


def test_joined_parts_are_drawn_in_their_places():
    _, predictor, data = line()
    objective = (
        lhx.NLL()
        + Prior(lambda p: p.model.weights[1:], dist.Normal(50.0, 1e-3))
        + Prior(lambda p: p.model.weights[0], dist.Normal(-3.0, 1e-3))
        + Prior(lambda p: p.likelihood.scale, dist.HalfNormal(1.0))
    )
    drawn = numpyro.handlers.seed(draw, jax.random.key(0))(predictor, objective, data)
    np.testing.assert_allclose(drawn.model.weights, [-3.0, 50.0, 50.0], atol=0.01)


def test_varying_about_a_centre():
    objective, predictor, data = schools()
    theta = np.linspace(-3, 9, 8)
    model = lhx.numpyro_model(objective, predictor)
    total, _ = density_of(model, data, theta=theta, mu=2.0, tau=3.0)
    by_hand = (
        stats.norm.logpdf(theta, 2, 3).sum()
        + stats.norm.logpdf(2, 0, 5)
        + stats.halfcauchy.logpdf(3, scale=5)
        + stats.norm.logpdf(EFFECTS, theta, ERRORS).sum()
    )
    np.testing.assert_allclose(total, by_hand, rtol=1e-12)
    seeded = numpyro.handlers.seed(model, jax.random.key(2))
    order = list(numpyro.handlers.trace(seeded).get_trace(data))
    assert order.index("theta") > max(order.index("mu"), order.index("tau"))


def test_ordered_leaf_is_drawn_in_order():
    predictor = lhx.Predictor(Pick(lhx.ordered([0.0, 1.0, 2.0])), lhx.likelihoods.Normal(1.0))
    objective = lhx.NLL() + Prior(lambda p: p.model.levels, dist.Normal(0.0, 2.0))
    data = lhx.Dataset(np.arange(3), [0.3, 0.9, 1.0])
    model = lhx.numpyro_model(objective, predictor)
    found = Predictive(model, num_samples=4000)(jax.random.key(0), data, observed=False)["levels"]
    assert np.all(np.diff(found, axis=-1) > 0)
    # The middle one of three Normal draws, and the largest: known order statistics.
    np.testing.assert_allclose(found.mean(0), [-2 * 0.8463, 0.0, 2 * 0.8463], atol=0.1)


def test_plates_put_their_axes_in_front():
    objective, predictor, data = schools()
    values = np.stack([EFFECTS, EFFECTS + 1])

    def model():
        with numpyro.plate("replicates", 2):
            drawn = draw(predictor, objective, data)
            observe("y", drawn, data)
        return drawn

    seeded = numpyro.handlers.seed(model, jax.random.key(3))
    sites = numpyro.handlers.trace(seeded).get_trace()
    assert sites["theta"]["value"].shape == (2, 8)
    assert sites["tau"]["value"].shape == (2,)
    theta, mu, tau = (np.asarray(sites[name]["value"]) for name in ("theta", "mu", "tau"))
    each = sites["theta"]["fn"].log_prob(sites["theta"]["value"])
    expected = stats.norm.logpdf(theta, mu[:, None], tau[:, None]).sum(1)
    np.testing.assert_allclose(each, expected, rtol=1e-10)
    np.testing.assert_allclose(
        sites["y"]["fn"].log_prob(jnp.asarray(values)),
        stats.norm.logpdf(values, theta, ERRORS).sum(1),
        rtol=1e-12,
    )
    new = sites["y"]["fn"].sample(jax.random.key(0), (5,))
    assert new.shape == (5, 2, 8)


@pytest.mark.slow
def test_numpyros_own_samplers():
    objective, predictor, data = counted()
    model = lhx.numpyro_model(objective, predictor)
    chain = MCMC(NUTS(model), num_warmup=300, num_samples=2000, progress_bar=False)
    chain.run(jax.random.key(0), data)
    exact = stats.gamma(23, scale=1 / 5.5)
    rates = np.asarray(chain.get_samples()["rate"])
    # Four standard errors of some 800 effective draws.
    assert abs(rates.mean() - exact.mean()) < 0.15 * exact.std()
    assert abs(rates.std() / exact.std() - 1) < 0.1
    new = Predictive(model, chain.get_samples())(jax.random.key(1), data, observed=False)
    assert new["values"].shape == (2000, 6)
    np.testing.assert_allclose(new["values"].mean(), exact.mean(), rtol=0.05)


@pytest.mark.slow
def test_variational():
    objective, predictor, data = counted()
    model = lhx.numpyro_model(objective, predictor)
    guide = AutoNormal(model)
    found = SVI(model, guide, numpyro.optim.Adam(0.02), Trace_ELBO()).run(
        jax.random.key(0), 2000, data, progress_bar=False
    )
    median = guide.median(found.params)["rate"]
    np.testing.assert_allclose(median, stats.gamma.median(23, scale=1 / 5.5), rtol=0.1)


def test_prior_predictive():
    objective, predictor, data = counted()
    new = prior_predictive(objective, predictor, data, key=jax.random.key(0), num=4000)
    assert new.shape == (4000, 6)
    exact = stats.nbinom(2, 0.5 / 1.5)
    assert abs(new.mean() - exact.mean()) < 4 * exact.std() / np.sqrt(4000)
    np.testing.assert_allclose(new.var(), exact.var(), rtol=0.15)


# -------------------------------------------------------------------------------------- bad input


def test_improper_priors_are_not_drawn_from():
    objective, predictor, data = line()
    with pytest.raises(ValueError, match=r"flat prior on weights\[0\] is improper"):
        prior_predictive(objective, predictor, data, key=jax.random.key(0))
    _, predictor, data = counted()
    flat = dist.ImproperUniform(dist.constraints.positive, (), ())
    objective = lhx.NLL() + Prior(lambda p: p.model.value, flat)
    with pytest.raises(ValueError, match="Prior on rate is improper"):
        prior_predictive(objective, predictor, data, key=jax.random.key(0))


def test_priors_that_cannot_be_drawn():
    objective, predictor, data = counted()
    twice = lhx.NLL() + 2.0 * Prior(lambda p: p.model.value, dist.Gamma(2.0, 0.5))
    with pytest.raises(ValueError, match="weighs 2"):
        draw(predictor, twice, data)
    again = objective + Prior(lambda p: p.model.value, dist.LogNormal(0.0, 1.0))
    with pytest.raises(ValueError, match="rate has two priors"):
        prior_predictive(again, predictor, data, key=jax.random.key(0))
    with pytest.raises(ValueError, match="No prior is stated on: rate"):
        draw(predictor, lhx.NLL(), data)
    mean = lhx.NLL(lhx.reductions.Mean()) + Flat(lambda p: p)
    with pytest.raises(ValueError, match="no density"):
        lhx.numpyro_model(mean, predictor)
