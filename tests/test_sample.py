"""Draws by NUTS: against closed forms and quadrature; failed solves, interruptions, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import integrate, stats
from test_posterior import EFFECTS, ERRORS, Constant, exploding, line, schools

import likelihax as lhx
from likelihax.fits import _threads
from likelihax.inference._posteriors import _sample
from likelihax.terms import Flat, Prior

# Each compiles samplers of its own.
pytestmark = pytest.mark.slow

KEY = jax.random.key(7)
COUNTS = np.array([3.0, 5.0, 2.0, 7.0, 4.0, np.nan])


def counted():
    """Counts with a Gamma prior of their rate: the posterior is Gamma(2 + 21, 0.5 + 5)."""
    predictor = lhx.Predictor(
        Constant(lhx.positive(3.0, name="rate")),
        lhx.likelihoods.Poisson(lhx.predicted("identity")),
    )
    objective = lhx.NLL() + Prior(lambda p: p.model.value, dist.Gamma(2.0, 0.5))
    return objective, predictor, lhx.Dataset(np.zeros(6), COUNTS)


@pytest.fixture(scope="module")
def draws():
    return lhx.sample(*counted(), key=KEY, num=1500, chains=4)


def near(found, exact, error):
    assert abs(found - exact) < 4 * error, (found, exact, error)


def test_gamma_posterior(draws):
    exact = stats.gamma(23, scale=1 / 5.5)
    near(draws.mean["rate"], exact.mean(), draws.mcse["rate"])
    near(draws.sd["rate"], exact.std(), exact.std() / np.sqrt(draws.ess_bulk["rate"]))
    ranks = exact.cdf(np.ravel(draws.values["rate"]))
    for level in (0.05, 0.25, 0.5, 0.75, 0.95):
        error = np.sqrt(level * (1 - level) / draws.ess_bulk["rate"])
        near(np.mean(ranks < level), level, error)
    assert draws.rhat["rate"] < 1.01
    assert draws.warnings == ()
    assert draws.divergences == draws.failed_solves == 0
    # The mode is that of the logarithm's density, a shape more.
    mode = draws.posterior.natural(jnp.asarray(draws.mode))
    np.testing.assert_allclose(mode, [23 / 5.5], rtol=1e-4)


def test_pointwise_and_predictive(draws):
    rates = np.ravel(draws.values["rate"])
    found = draws.log_likelihood
    assert found.shape == (4, 1500, 5)  # the missing one is left out
    np.testing.assert_allclose(
        found.reshape(-1, 5), stats.poisson.logpmf(COUNTS[:5], rates[:, None]), rtol=1e-10
    )
    new = draws.posterior_predictive(jax.random.key(1))
    assert new.shape == (4, 1500, 6)
    exact = stats.nbinom(23, 5.5 / 6.5)
    near(new.mean(), exact.mean(), exact.std() / np.sqrt(2000))
    np.testing.assert_allclose(new.var(), exact.var(), rtol=0.1)


def test_arviz_groups(draws):
    tree = draws.to_arviz(predictive_key=jax.random.key(1))
    assert set(tree.children) == {
        "posterior",
        "sample_stats",
        "log_likelihood",
        "observed_data",
        "posterior_predictive",
    }
    np.testing.assert_array_equal(tree["posterior"]["rate"].values, draws.values["rate"])
    assert dict(tree["log_likelihood"]["values"].sizes) == {
        "chain": 4,
        "draw": 1500,
        "measured": 5,
    }
    assert {"lp", "energy", "diverging", "n_steps"} <= set(tree["sample_stats"])


def test_predictors(draws):
    every = draws.predictors
    assert every.model.value.value.shape == (6000,)
    np.testing.assert_array_equal(every.model.value.value, np.ravel(draws.values["rate"]))
    np.testing.assert_allclose(draws.predictor.model.value.value, draws.mean["rate"])


def test_table(draws):
    text = repr(draws)
    assert "4 chains of 1500 draws, warm-up 200: nothing speaks against them" in text
    assert f"{draws.mean['rate']:.2f}" in text
    assert "divergences 0; failed solves 0" in text
    assert "<pre" in draws._repr_html_()


def test_same_key_same_draws_and_nothing_to_compile(draws):
    posterior = draws.posterior
    again = lhx.sample(posterior, key=KEY, num=1500, chains=2)
    other = lhx.sample(posterior, key=KEY, num=1500, chains=2)
    assert again.run.compile_seconds == 0
    np.testing.assert_array_equal(again.natural, other.natural)
    assert again.num_chains == 2


@pytest.mark.parametrize("cores", [1, 2])
def test_interrupted(draws, monkeypatch, cores):
    """All chains are kept, however few run at the same time."""
    posterior = draws.posterior
    monkeypatch.setattr(_threads, "num_cores", lambda: cores)

    class Impatient:
        def __init__(self, *ignored):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *ignored):
            pass

        def update(self, done, note):
            if done > 2 * 2000:
                raise KeyboardInterrupt

    monkeypatch.setattr(_sample, "Progress", Impatient)
    monkeypatch.setattr(_sample, "chunk_size", lambda notes: 100)
    monkeypatch.setattr(_threads, "_GLANCE", 0.0)
    found = lhx.sample(posterior, key=KEY, num=60_000, warmup=200, chains=2)
    assert found.run.interrupted
    assert found.num_chains == 2
    assert 0 < found.num_draws < 60_000
    assert np.all(found.natural > 0)
    assert any("Interrupted" in warning for warning in found.warnings)


def test_chains_side_by_side(draws, monkeypatch):
    """As an accelerator runs them: the same chains, until rounding parts them."""
    posterior = draws.posterior
    alone = lhx.sample(posterior, key=KEY, num=20, warmup=5, chains=3)
    monkeypatch.setattr(_sample.jax, "default_backend", lambda: "gpu")
    beside = lhx.sample(posterior, key=KEY, num=20, warmup=5, chains=3)
    assert beside.natural.shape == alone.natural.shape
    np.testing.assert_allclose(beside.natural, alone.natural, rtol=1e-6)


def exact_schools():
    """Moments of mu and tau by quadrature, the effects integrated out in closed form."""
    mu, log_tau = np.meshgrid(np.linspace(-25, 30, 700), np.linspace(-12, 7, 1500), indexing="ij")
    tau = np.exp(log_tau)
    log_density = stats.norm.logpdf(mu, 0, 5) + stats.halfcauchy.logpdf(tau, scale=5) + log_tau
    for effect, error in zip(EFFECTS, ERRORS, strict=True):
        log_density += stats.norm.logpdf(effect, mu, np.hypot(tau, error))
    weight = np.exp(log_density - log_density.max())
    weight /= integrate.simpson(integrate.simpson(weight))
    total = lambda x: integrate.simpson(integrate.simpson(weight * x))
    return total(mu), total(tau), np.sqrt(total(mu**2) - total(mu) ** 2)


def test_eight_schools_from_the_users_start():
    draws = lhx.sample(*schools(), key=KEY, num=2500, chains=4, target_accept=0.95)
    mean_mu, mean_tau, sd_mu = exact_schools()
    near(draws.mean["mu"], mean_mu, draws.mcse["mu"])
    near(draws.mean["tau"], mean_tau, draws.mcse["tau"])
    assert abs(draws.sd["mu"] / sd_mu - 1) < 0.05
    assert max(np.max(each) for each in draws.rhat.values()) < 1.01
    assert draws.values["theta"].shape == (4, 2500, 8)


def test_failed_solves_are_rejected_and_counted():
    """Half of the posterior cannot be solved: what is left is the prior there, cut off."""
    objective, predictor, data = exploding(spread=2.0)
    draws = lhx.sample(objective, predictor, data, key=KEY, num=1000, chains=4, throw=False)
    rates = np.ravel(draws.values["rate"])
    assert draws.run.failed_sampling > 20
    assert draws.failed_solves == draws.run.failed_warmup + draws.run.failed_sampling
    assert rates.max() < 1.0
    assert draws.divergences < draws.run.failed_sampling
    said = " ".join(draws.warnings)
    assert f"{draws.run.failed_sampling} points could not be solved" in said
    y = lambda rate, t: 1 / (1 - rate * t)
    density = lambda rate: (
        stats.lognorm.pdf(rate, 1.0, scale=np.exp(-1.0))
        * np.exp(stats.norm.logpdf([1.4, 2.2], [y(rate, 0.5), y(rate, 1.0)], 2.0).sum())
    )
    total, _ = integrate.quad(density, 0, 1, limit=200)
    mean, _ = integrate.quad(lambda rate: rate * density(rate) / total, 0, 1, limit=200)
    near(rates.mean(), mean, draws.mcse["rate"])


# -------------------------------------------------------------------------------------- bad input


def test_failed_fit_is_not_sampled():
    objective, predictor, data = line()
    fit = lhx.fit(objective, predictor, data, method=lhx.BFGS(max_steps=2))
    assert not fit.success
    with pytest.raises(ValueError, match=r"did not converge.*throw=False"):
        lhx.sample(fit, key=KEY)
    draws = lhx.sample(fit, key=KEY, num=50, chains=2, throw=False)
    assert draws.num_draws == 50


def test_no_mode_to_be_found():
    """Centred, the density grows without bound as the spread falls to zero."""
    objective, predictor, data = schools()
    with pytest.raises(ValueError, match=r"did not converge|no mode"):
        lhx.sample(objective, predictor, data, key=KEY, centred=True)


def test_fit_without_priors():
    _, predictor, data = line()
    fit = lhx.fit(lhx.NLL(), predictor, data)
    with pytest.raises(ValueError, match="No prior is stated on: weights, scale"):
        lhx.sample(fit, key=KEY)


@pytest.mark.parametrize(
    "wrong", [{"num": 1}, {"chains": 0}, {"warmup": 0}, {"target_accept": 1.0}, {"max_depth": 0}]
)
def test_settings(wrong):
    ((name, _),) = wrong.items()
    with pytest.raises(ValueError, match=name):
        lhx.sample(*line(), key=KEY, **wrong)


def test_what_is_sampled(as_a_user):
    _, predictor, data = line()
    with pytest.raises(ValueError, match="expected a Fit"):
        lhx.sample(3.0, predictor, data, key=KEY)
    fit = lhx.fit(lhx.NLL() + Flat(lambda p: p), predictor, data)
    with pytest.raises(ValueError, match="has its predictor and data"):
        lhx.sample(fit, predictor, data, key=KEY)
