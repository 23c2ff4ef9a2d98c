"""The Normal-Inverse-Gamma distribution against quadrature, SciPy and its own draws."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro import distributions as dist
from numpyro.distributions import biject_to, kl_divergence
from numpyro.infer import MCMC, NUTS
from scipy import integrate, stats

from likelihax.distributions import (
    MEAN_AND_VARIANCE,
    NormalInverseGamma,
    PredictiveStudentT,
)

SOME = {"loc": 0.7, "evidence": 2.2, "concentration": 3.4, "rate": 1.9}
OTHER = {"loc": 0.2, "evidence": 0.6, "concentration": 2.5, "rate": 4.0}


def log_density(mean, variance, loc, evidence, concentration, rate):
    of_variance = stats.invgamma.logpdf(variance, concentration, scale=rate)
    return of_variance + stats.norm.logpdf(mean, loc, np.sqrt(variance / evidence))


def expected(function, loc, evidence, concentration, rate):
    """The integral over mean and variance, nested Gauss quadrature in quantiles."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    # log variance = a point of the line, far into both tails
    centre = np.log(rate / concentration)
    half = 60.0 / concentration + 14.0 / np.sqrt(concentration)
    log_variance = centre + half * nodes
    variance = np.exp(log_variance)[:, None]
    z, of_z = np.polynomial.hermite_e.hermegauss(60)
    mean = loc + z[None] * np.sqrt(variance / evidence)
    of_variance = stats.invgamma.pdf(variance[:, 0], concentration, scale=rate) * variance[:, 0]
    outer = half * weights * of_variance
    inner = function(mean, variance) @ (of_z / np.sqrt(2 * np.pi))
    return float(outer @ inner)


def test_density():
    d = NormalInverseGamma(**SOME)
    pairs = np.array([[0.3, 0.5], [-2.0, 3.0], [0.7, 1e-3], [5.0, 200.0]])
    found = d.log_prob(jnp.asarray(pairs))
    np.testing.assert_allclose(found, log_density(*pairs.T, **SOME), rtol=1e-12)
    assert d.event_shape == (2,)
    assert d.batch_shape == ()


def test_entropy_and_divergence_are_integrals():
    p, q = NormalInverseGamma(**SOME), NormalInverseGamma(**OTHER)
    entropy = expected(lambda m, v: -log_density(m, v, **SOME), **SOME)
    np.testing.assert_allclose(p.entropy(), entropy, rtol=1e-9)
    apart = expected(lambda m, v: log_density(m, v, **SOME) - log_density(m, v, **OTHER), **SOME)
    np.testing.assert_allclose(kl_divergence(p, q), apart, rtol=1e-9)
    assert kl_divergence(p, p) == 0
    close = NormalInverseGamma(**SOME | {"evidence": 2.2 * (1 + 1e-6)})
    # Half the information times the squared step: nothing cancels.
    np.testing.assert_allclose(kl_divergence(p, close), 0.25e-12, rtol=1e-4)


def test_moments():
    d = NormalInverseGamma(**SOME)
    for power, found in ((1, d.mean), (2, d.variance + d.mean**2)):
        for which in (0, 1):
            moment = expected(lambda m, v, w=which, k=power: ((m, v + 0 * m)[w]) ** k, **SOME)
            np.testing.assert_allclose(found[which], moment, rtol=1e-8)
    heavy = NormalInverseGamma(0.0, 1.0, jnp.array([0.9, 1.5]), 1.0)
    np.testing.assert_array_equal(heavy.mean[:, 1], [np.inf, 2.0])
    np.testing.assert_array_equal(heavy.variance, [[np.inf, np.inf], [2.0, np.inf]])


def test_draws(getkey):
    d = NormalInverseGamma(**SOME)
    means, variances = np.asarray(d.sample(getkey(), (20_000,))).T
    of_variance = stats.kstest(variances, stats.invgamma(3.4, scale=1.9).cdf)
    scale = np.sqrt(1.9 / (3.4 * 2.2))
    of_mean = stats.kstest(means, stats.t(6.8, 0.7, scale).cdf)
    assert min(of_variance.pvalue, of_mean.pvalue) > 1e-3
    away = (means - 0.7) * np.sqrt(2.2 / variances)
    assert stats.kstest(away, stats.norm.cdf).pvalue > 1e-3
    batch = NormalInverseGamma(jnp.zeros(3), 1.0, 2.0, 1.0).sample(getkey(), (5,))
    assert batch.shape == (5, 3, 2)


def test_draws_of_little_concentration_are_finite_in_float32(getkey):
    d = NormalInverseGamma(*(jnp.asarray(x, jnp.float32) for x in (0.0, 1.0, 0.05, 1.0)))
    drawn = d.sample(getkey(), (1000,))
    assert drawn.dtype == jnp.float32
    assert not np.any(np.isnan(drawn))
    assert np.all(np.asarray(drawn[:, 1]) > 0)


@pytest.mark.parametrize("axis", [0, -1])
def test_update_is_bayes_theorem(axis):
    """The posterior density over prior times likelihood is the same everywhere."""
    y = np.array([0.3, 1.9, -0.4, 0.8, 1.1])
    prior = NormalInverseGamma(**SOME)
    values = y if axis == 0 else np.stack([y, y])
    posterior = prior.update(values, axis=axis)
    rng = np.random.default_rng(0)
    mean, variance = rng.normal(size=20), rng.gamma(2.0, size=20)
    likelihood = stats.norm.logpdf(y[:, None], mean, np.sqrt(variance)).sum(0)
    pairs = jnp.asarray(np.stack([mean, variance], -1))
    one = (
        posterior
        if axis == 0
        else NormalInverseGamma(
            posterior.loc[1], posterior.evidence[1], posterior.concentration[1], posterior.rate[1]
        )
    )
    ratio = np.asarray(one.log_prob(pairs) - prior.log_prob(pairs)) - likelihood
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-10)
    # ... and it is the marginal likelihood, chained through the predictive.
    total, now = 0.0, prior
    for value in y:
        total += float(now.predictive().log_prob(value))
        now = now.update(jnp.array([value]))
    np.testing.assert_allclose(-ratio[0], total, rtol=1e-12)
    np.testing.assert_allclose(now.rate, one.rate, rtol=1e-13)


def test_update_says_what_is_missing():
    d = NormalInverseGamma(**SOME)
    with pytest.raises(ValueError, match="values is a single number: give an array"):
        d.update(1.0)
    with pytest.raises(ValueError, match="there are no values along that axis"):
        d.update(jnp.zeros(0))


def test_predictive_is_the_integral_over_mean_and_variance():
    d = NormalInverseGamma(**SOME).predictive()
    assert isinstance(d, PredictiveStudentT)
    for y in (-3.0, 0.7, 1.5, 9.0):
        integral = expected(lambda m, v, y=y: stats.norm.pdf(y, m, np.sqrt(v)), **SOME)
        np.testing.assert_allclose(np.exp(d.log_prob(y)), integral, rtol=1e-10)
    np.testing.assert_allclose(d.aleatoric, 1.9 / 2.4, rtol=1e-14)
    np.testing.assert_allclose(d.epistemic, 1.9 / 2.4 / 2.2, rtol=1e-14)
    np.testing.assert_allclose(d.variance, stats.t(6.8, scale=d.width).var(), rtol=1e-13)
    np.testing.assert_allclose(d.width, np.sqrt(1.9 * 3.2 / (3.4 * 2.2)), rtol=1e-14)
    np.testing.assert_allclose(d.ignorance, 2.2**-0.5, rtol=1e-14)
    no_variance = PredictiveStudentT(0.0, 1.0, jnp.array([0.8, 1.0]), 1.0)
    assert np.all(np.isinf(no_variance.aleatoric))
    assert np.all(np.isinf(no_variance.epistemic))
    assert np.all(np.isinf(no_variance.variance))


def test_cumulative_distribution_of_the_predictive():
    d = NormalInverseGamma(**SOME).predictive()
    for y in (-3.0, 0.7, 1.5, 9.0):
        share = expected(lambda m, v, y=y: stats.norm.cdf(y, m, np.sqrt(v)), **SOME)
        np.testing.assert_allclose(d.cdf(y), share, rtol=1e-9)


def test_unconstrained_pairs():
    to = biject_to(MEAN_AND_VARIANCE)
    x = jnp.array([[0.3, -2.0], [-1.0, 5.0]])
    y = to(x)
    assert np.all(MEAN_AND_VARIANCE(y))
    np.testing.assert_allclose(to._inverse(y), x, rtol=1e-14)
    jacobian = jax.vmap(jax.jacfwd(to))(x)
    wanted = np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(to.log_abs_det_jacobian(x, y), wanted, rtol=1e-14)
    np.testing.assert_array_equal(
        MEAN_AND_VARIANCE(jnp.array([[0.0, 0.0], [jnp.inf, 1.0], [1.0, -1.0]])), False
    )


@pytest.mark.parametrize("bad", ["evidence", "concentration", "rate"])
def test_what_is_not_positive_is_refused(bad):
    with pytest.raises(ValueError, match=bad):
        NormalInverseGamma(**SOME | {bad: -1.0}, validate_args=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_a_site_of_a_model_has_the_conjugate_posterior(getkey):
    """NUTS over mean and variance, and the update in closed form."""
    y = np.array([0.3, 1.9, -0.4, 0.8, 1.1, 0.2])

    def model():
        pair = numpyro.sample("pair", NormalInverseGamma(**SOME))
        numpyro.sample("y", dist.Normal(pair[0], jnp.sqrt(pair[1])), obs=jnp.asarray(y))

    mcmc = MCMC(NUTS(model), num_warmup=500, num_samples=4000, progress_bar=False)
    # NumPyro adapts step sizes with whole numbers and floats together.
    with jax.numpy_dtype_promotion("standard"):
        mcmc.run(getkey())
    drawn = np.asarray(mcmc.get_samples()["pair"])
    exact = NormalInverseGamma(**SOME).update(y)
    error = np.sqrt(np.asarray(exact.variance) / 1000)  # of a thousand draws or more
    assert np.all(np.abs(drawn.mean(0) - exact.mean) < 4 * error)
    marginal = stats.invgamma(float(exact.concentration), scale=float(exact.rate))
    found = np.quantile(drawn[:, 1], [0.1, 0.5, 0.9])
    np.testing.assert_allclose(found, marginal.ppf([0.1, 0.5, 0.9]), rtol=0.08)


def test_scipy_agrees_on_a_double_integral():
    """The quadrature of this file against SciPy's adaptive one."""
    mine = expected(lambda m, v: stats.norm.pdf(1.5, m, np.sqrt(v)), **SOME)
    theirs, _ = integrate.dblquad(
        lambda m, v: stats.norm.pdf(1.5, m, np.sqrt(v)) * np.exp(log_density(m, v, **SOME)),
        1e-3,
        200.0,
        lambda v: 0.7 - 9 * np.sqrt(v),
        lambda v: 0.7 + 9 * np.sqrt(v),
    )
    np.testing.assert_allclose(mine, theirs, rtol=1e-4)
