"""What is left of Normal values once the noise behind them is integrated out."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from likelihax.distributions import InverseGammaScale, NormalInverseGamma

SOME = {"loc": 0.7, "evidence": 2.2, "concentration": 3.4, "rate": 1.9}


def test_marginal_of_values_is_scipys_multivariate_t():
    y = np.array([0.3, 1.9, -0.4, 0.8, 1.1])
    nu, a, b = (SOME[name] for name in ("evidence", "concentration", "rate"))
    shape = b / a * (np.eye(5) + 1 / nu)
    witness = stats.multivariate_t(np.full(5, SOME["loc"]), shape, df=2 * a).logpdf(y)
    d = NormalInverseGamma(**SOME)
    np.testing.assert_allclose(d.log_marginal(y), witness, rtol=1e-13)
    known = InverseGammaScale(a, b)
    witness = stats.multivariate_t(np.zeros(5), b / a * np.eye(5), df=2 * a).logpdf(y)
    np.testing.assert_allclose(known.log_marginal(y), witness, rtol=1e-13)
    # Along another axis, of two batches.
    both = d.log_marginal(np.stack([y, y + 1]), axis=1)
    np.testing.assert_allclose(both, [d.log_marginal(y), d.log_marginal(y + 1)], rtol=1e-14)


def test_marginal_of_values_is_the_chain_of_predictives():
    y = np.array([0.3, 1.9, -0.4, 0.8, 1.1])
    now, total = NormalInverseGamma(**SOME), 0.0
    for value in y:
        total += float(now.predictive().log_prob(value))
        now = now.update(jnp.array([value]))
    d = NormalInverseGamma(**SOME)
    np.testing.assert_allclose(d.log_marginal(y), total, rtol=1e-13)
    np.testing.assert_allclose(d.log_marginal(y[:1]), d.predictive().log_prob(y[0]), rtol=1e-13)
    # What was seen is prior times likelihood over marginal, at any point.
    pair = jnp.array([0.4, 1.7])
    joint = d.log_prob(pair) + stats.norm.logpdf(y, 0.4, np.sqrt(1.7)).sum()
    np.testing.assert_allclose(d.log_marginal(y), joint - d.update(y).log_prob(pair), rtol=1e-13)


def test_marginal_of_values_is_the_integral_over_scale():
    r = np.array([0.3, 1.9, -0.4])
    d = InverseGammaScale(1.7, 0.9)

    def density(log_variance):
        variance = np.exp(log_variance)
        prior = stats.invgamma.pdf(variance, 1.7, scale=0.9) * variance
        return prior * np.prod(stats.norm.pdf(r, 0, np.sqrt(variance)))

    exact, _ = integrate.quad(density, -8, 30, epsabs=0, epsrel=1e-12, limit=400)
    np.testing.assert_allclose(np.exp(d.log_marginal(r)), exact, rtol=1e-11)


def test_scale_whose_square_is_inverse_gamma(getkey):
    d = InverseGammaScale(1.7, 0.9)
    square = stats.invgamma(1.7, scale=0.9)
    x = np.array([0.05, 0.4, 1.0, 7.0, 300.0])
    np.testing.assert_allclose(d.log_prob(x), square.logpdf(x**2) + np.log(2 * x), rtol=1e-12)
    np.testing.assert_allclose(d.cdf(x), square.cdf(x**2), rtol=1e-12)
    assert d.cdf(-1.0) == 0
    moment = lambda k: integrate.quad(lambda v: v ** (k / 2) * square.pdf(v), 0, np.inf)[0]
    np.testing.assert_allclose(d.mean, moment(1), rtol=1e-6)
    np.testing.assert_allclose(d.variance, 0.9 / 0.7 - moment(1) ** 2, rtol=1e-6)
    assert np.isinf(InverseGammaScale(0.5, 1.0).mean)
    assert np.isinf(InverseGammaScale(1.0, 1.0).variance)
    drawn = np.asarray(d.sample(getkey(), (5000,)))
    assert stats.kstest(drawn**2, square.cdf).pvalue > 1e-3
    assert InverseGammaScale(jnp.ones(3), 1.0).sample(getkey(), (2,)).shape == (2, 3)
    few = InverseGammaScale(jnp.float32(0.02), jnp.float32(1.0)).sample(getkey(), (500,))
    assert np.all(np.isfinite(few))
    assert few.dtype == jnp.float32


def test_scale_knows_what_it_has_seen():
    r = np.array([0.3, 1.9, -0.4])
    d = InverseGammaScale(1.7, 0.9)
    known = d.update(r)
    x = np.array([0.2, 1.0, 3.0])
    joint = np.asarray(d.log_prob(x)) + stats.norm.logpdf(r[:, None], 0, x).sum(0)
    np.testing.assert_allclose(joint - known.log_prob(x), d.log_marginal(r), rtol=1e-12)
    with pytest.raises(ValueError, match="there are no values"):
        d.update(np.zeros(0))
    with pytest.raises(ValueError, match="values is a single number"):
        d.log_marginal(1.0)


@pytest.mark.parametrize("x", [1e-8, 0.3, 40.0, 1e6, 1e12])
@pytest.mark.parametrize("by", [0.0, 0.5, 11.0, 500.0])
def test_rise_of_the_gamma_function(x, by):
    import mpmath

    from likelihax._special._gamma import rise

    with mpmath.workdps(60):
        a, b = mpmath.mpf(x), mpmath.mpf(by)
        exact = float(mpmath.loggamma(a + b) - mpmath.loggamma(a) - b * mpmath.log(a))
    found = float(rise(jnp.asarray(x), jnp.asarray(by)))
    np.testing.assert_allclose(found, exact, rtol=1e-14, atol=0)
