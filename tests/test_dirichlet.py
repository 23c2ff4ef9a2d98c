"""Evidence for classes: the predictive, the likelihood and its term against SciPy and mpmath."""

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest
from credit import given_predictor, table
from likelihood_table import as_numpyro_needs
from numpyro import distributions as dist
from scipy import integrate, special, stats

import likelihax as lhx
from likelihax import likelihoods as lk
from likelihax.distributions import PredictiveCategorical
from likelihax.terms import EvidenceAgainst

SOME = np.array([[1.3, 4.0, 2.2], [1.0, 1.0, 1.0], [30.0, 1.5, 0.2]])


# ---------------------------------------------------------------------------- the predictive


def test_probabilities_are_the_dirichlets_mean():
    found = PredictiveCategorical(SOME)
    expected = np.array([stats.dirichlet(a).mean() for a in SOME])
    np.testing.assert_allclose(found.probs, expected, rtol=1e-14)
    np.testing.assert_allclose(
        found.log_prob(jnp.asarray([1, 0, 2])), np.log(expected[[0, 1, 2], [1, 0, 2]])
    )
    assert isinstance(found, dist.CategoricalProbs)
    assert found.batch_shape == (3,)
    assert found.event_shape == ()


@pytest.mark.parametrize("a", [(0.4, 7.0), (1.0, 1.0), (55.0, 2.5)])
def test_expected_entropy_is_an_integral(a):
    """Of two classes, over the Beta distribution of the first's probability."""
    bits = lambda p: (special.entr(p) + special.entr(1 - p)) * stats.beta.pdf(p, *a)
    expected, error = integrate.quad(bits, 0, 1, epsabs=1e-12, limit=200)
    assert error < 1e-8
    found = PredictiveCategorical(np.asarray(a))
    np.testing.assert_allclose(found.aleatoric, expected, rtol=1e-8)
    entropy = stats.entropy(np.asarray(a) / sum(a))
    np.testing.assert_allclose(found.epistemic, entropy - expected, rtol=1e-7)


def test_kinds_of_uncertainty_by_draws():
    found = PredictiveCategorical(SOME)
    draws = [stats.dirichlet(a).rvs(200_000, random_state=0) for a in SOME]
    each = np.array([stats.entropy(p, axis=1) for p in draws])
    error = each.std(axis=1) / np.sqrt(each.shape[1])
    assert np.all(np.abs(found.aleatoric - each.mean(axis=1)) < 4 * error)
    np.testing.assert_allclose(found.aleatoric + found.epistemic, found.entropy(), rtol=1e-13)
    np.testing.assert_allclose(found.vacuity, 3 / SOME.sum(axis=1), rtol=1e-15)
    np.testing.assert_allclose(found.total, SOME.sum(axis=1), rtol=1e-15)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_epistemic_uncertainty_without_cancellation(dtype, rtol):
    """From next to none to next to certain, at 50 digits."""
    for size in (1e-6, 1e-2, 1.0, 1e3, 1e9, 1e15):
        a = (np.array([3.0, 1.0, 0.5, 2.0]) * size).astype(dtype)
        with mpmath.workdps(50):
            exact = [mpmath.mpf(float(each)) for each in a]
            total = sum(exact)
            known = sum(
                x / total * (mpmath.psi(0, total + 1) - mpmath.psi(0, x + 1)) for x in exact
            )
            entropy = -sum(x / total * mpmath.log(x / total) for x in exact)
            wanted = float(entropy - known)
        found = PredictiveCategorical(a).epistemic
        assert found.dtype == dtype
        np.testing.assert_allclose(found, wanted, rtol=rtol)


def test_nothing_is_known_of_a_uniform_dirichlet():
    nothing = PredictiveCategorical(np.ones(4))
    assert nothing.vacuity == 1
    np.testing.assert_allclose(nothing.entropy(), np.log(4), rtol=1e-15)
    np.testing.assert_allclose(nothing.aleatoric, special.digamma(5) - special.digamma(2))


def test_predictive_goes_through_jax(getkey):
    found = jax.jit(lambda a: PredictiveCategorical(a))(jnp.asarray(SOME))
    np.testing.assert_allclose(found.vacuity, PredictiveCategorical(SOME).vacuity, rtol=1e-15)
    each = jax.vmap(lambda a: PredictiveCategorical(a).epistemic)(jnp.asarray(SOME))
    np.testing.assert_allclose(each, found.epistemic, rtol=1e-14)
    with as_numpyro_needs():
        drawn = np.asarray(found.sample(getkey(), (4000,)))
    shares = np.stack([(drawn == k).mean(axis=0) for k in range(3)], axis=1)
    np.testing.assert_allclose(shares, found.probs, atol=0.04)


def test_predictive_refuses():
    with pytest.raises(ValueError, match="is a single number: give one a class"):
        PredictiveCategorical(1.0)
    with pytest.raises(ValueError, match="concentration"):
        PredictiveCategorical(np.array([1.0, -1.0]), validate_args=True)


# ---------------------------------------------------------------------------- the likelihood


def test_evidence_through_a_softplus_by_default():
    raw = jnp.array([[0.3, -2.0, 5.0], [-800.0, -30.0, 0.0]])
    labels = np.array([1, 0])
    concentration = 1 + np.logaddexp(0, raw)
    expected = -np.log(concentration[[0, 1], labels] / concentration.sum(axis=1))
    found = lk.DirichletCategorical(3)
    np.testing.assert_allclose(found.nll(raw, labels), expected, rtol=1e-14)
    np.testing.assert_allclose(found.distribution(raw).concentration, concentration, rtol=1e-14)
    by_log = lk.DirichletCategorical(3, lhx.predicted("log"))
    logs = np.log(concentration[:1] - 1)
    np.testing.assert_allclose(by_log.nll(logs, labels[:1]), expected[:1], rtol=1e-14)


def test_more_evidence_than_a_float_can_hold():
    for dtype, far in ((jnp.float64, 5000.0), (jnp.float32, 500.0)):
        outputs = jnp.asarray([[far, far - 1.0, -far], [far, 0.0, 0.0]], dtype)
        likelihood = lk.DirichletCategorical(3, lhx.predicted("log"))
        value, slope = jax.value_and_grad(
            lambda x, f=likelihood: f.nll(x, jnp.array([1, 1])).sum()
        )(outputs)
        np.testing.assert_allclose(value, 1 + np.log1p(np.exp(-1)) + far - np.log(2), rtol=1e-6)
        assert np.all(np.isfinite(slope))
        found = likelihood.distribution(outputs)
        for each in (found.probs, found.epistemic, found.aleatoric, found.vacuity):
            assert np.all(np.isfinite(each))
        np.testing.assert_allclose(found.probs[0, 0], special.expit(1.0), rtol=1e-6)


def test_likelihood_refuses():
    with pytest.raises(ValueError, match="at least 2 classes are needed, got 1"):
        lk.DirichletCategorical(1)
    with pytest.raises(ValueError, match="evidence must be positive"):
        lk.DirichletCategorical(2, np.array([1.0, -2.0]))


def test_evidence_for_all_is_fitted_to_shares():
    """Without inputs, shares of 1 + e are all that the likelihood asks for."""
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    evidence = lhx.constrained(
        np.ones(3), dist.constraints.independent(dist.constraints.positive, 1)
    )
    predictor = given_predictor(np.zeros((100, 0)), lk.DirichletCategorical(3, evidence))
    fit = lhx.fit(lhx.NLL(), predictor, table(labels))
    np.testing.assert_allclose(fit.nll, 100 * stats.entropy([0.5, 0.3, 0.2]), rtol=1e-8)


# ------------------------------------------------------------------------------------ the term


def divergence(evidence, label):
    """KL from the uniform Dirichlet as the paper prints it."""
    with mpmath.workdps(50):
        a = [1 + mpmath.mpf(float(e)) * (k != label) for k, e in enumerate(evidence)]
        total, count = sum(a), len(a)
        gammas = mpmath.loggamma(total) - mpmath.loggamma(count) - sum(map(mpmath.loggamma, a))
        pull = sum((x - 1) * (mpmath.psi(0, x) - mpmath.psi(0, total)) for x in a)
        return float(gammas + pull)


def rows(dtype=np.float64):
    rng = np.random.default_rng(0)
    sizes = np.repeat([1e-7, 1e-3, 0.3, 3.0, 1e4, 1e12], 20)[:, None]
    evidence = (sizes * rng.uniform(size=(120, 4)) ** 2).astype(dtype)
    return evidence, rng.integers(0, 4, 120)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_divergence_at_fifty_digits(dtype, rtol):
    evidence, _ = rows(dtype)
    likelihood = lk.DirichletCategorical(4, lhx.predicted("identity"))
    data = lhx.Dataset(np.zeros(1, dtype), [2], dtype=dtype)
    one = lambda row: EvidenceAgainst()(given_predictor(row[None], likelihood), data)
    found = jax.jit(jax.vmap(one))(jnp.asarray(evidence))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, [divergence(row, 2) for row in evidence], rtol=rtol)


def test_divergence_is_an_integral():
    """Of two classes, over the Beta distribution of one; SciPy's quadrature."""
    a = 3.7
    law = stats.beta(a, 1.0)
    expected, _ = integrate.quad(lambda p: law.pdf(p) * law.logpdf(p), 0, 1)
    likelihood = lk.DirichletCategorical(2, lhx.predicted("identity"))
    found = EvidenceAgainst()(given_predictor([[a - 1, 9.0]], likelihood), table([1]))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_slope_of_the_divergence():
    """Finite differences at 50 digits, in the evidence."""
    evidence, labels = rows()
    likelihood = lk.DirichletCategorical(4, lhx.predicted("identity"))
    pick = slice(None, None, 7)
    data = table(labels[pick])
    term = lambda e: EvidenceAgainst()(given_predictor(e, likelihood), data)
    found = np.asarray(jax.grad(term)(jnp.asarray(evidence[pick])))
    for row, label, slope in zip(evidence[pick], labels[pick], found, strict=True):
        with mpmath.workdps(50):
            a = [1 + mpmath.mpf(float(e)) * (k != label) for k, e in enumerate(row)]
            total = sum(a)
            exact = [
                float((x - 1) * mpmath.psi(1, x) - (total - 4) * mpmath.psi(1, total)) for x in a
            ]
        wanted = np.where(np.arange(4) == label, 0.0, exact)
        np.testing.assert_allclose(slope, wanted, rtol=1e-12, atol=1e-14 * np.abs(wanted).max())


def test_sum_over_what_was_measured():
    evidence, labels = rows()
    each = [divergence(row, label) for row, label in zip(evidence, labels, strict=True)]
    likelihood = lk.DirichletCategorical(4, lhx.predicted("log"))
    predictor = given_predictor(np.log(evidence), likelihood)
    np.testing.assert_allclose(EvidenceAgainst()(predictor, table(labels)), sum(each), rtol=1e-12)
    some = np.arange(120) % 3 > 0
    values = np.where(some, labels, np.nan)
    found = EvidenceAgainst()(predictor, table(values))
    np.testing.assert_allclose(found, np.sum(np.array(each)[some]), rtol=1e-12)
    assert EvidenceAgainst(name="doubt").title == "doubt"


def test_no_evidence_against_costs_nothing():
    right = np.full((3, 3), -800.0) + 900.0 * np.eye(3)
    likelihood = lk.DirichletCategorical(3, lhx.predicted("log"))
    term = lambda x: EvidenceAgainst()(given_predictor(x, likelihood), table([0, 1, 2]))
    value, slope = jax.value_and_grad(term)(jnp.asarray(right))
    assert value == 0
    np.testing.assert_array_equal(slope, np.zeros((3, 3)))


def test_infinite_evidence_is_no_number_that_is_not_one():
    likelihood = lk.DirichletCategorical(2, lhx.predicted("log"))
    assert EvidenceAgainst()(given_predictor([[900.0, 1.0]], likelihood), table([1])) == np.inf


def test_term_refuses_other_likelihoods_and_values():
    wrong = given_predictor(np.zeros((2, 3)), lk.Categorical(3))
    with pytest.raises(ValueError, match="likelihood is Categorical, which knows no evidence"):
        EvidenceAgainst().check(wrong, table([0, 1]))
    right = given_predictor(np.zeros((2, 3)), lk.DirichletCategorical(3))
    EvidenceAgainst().check(right, table([0, 2]))
    with pytest.raises(ValueError, match=r"credit: values\[1\] = 3.0 under DirichletCategorical"):
        EvidenceAgainst().check(right, table([0, 3]))
    with pytest.raises(ValueError, match="expected a Predictor"):
        EvidenceAgainst().check(lambda x: x, table([0, 1]))
    assert not EvidenceAgainst().is_density


class Linear(eqx.Module):
    weights: lhx.Parameter

    def __call__(self, x):
        return x @ self.weights


@pytest.mark.slow
def test_a_schedule_holds_evidence_back():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(150, 2))
    labels = (x @ np.array([2.0, 1.0]) + rng.logistic(size=150) > 0).astype(int)
    inputs = np.column_stack([x, np.ones(150)])
    data = lhx.Dataset(inputs, labels)
    predictor = lhx.Predictor(Linear(lhx.real(np.zeros((3, 2)))), lk.DirichletCategorical(2))
    method = lhx.GradientDescent(optax.sgd(0.01), max_steps=400)
    free = lhx.fit(lhx.NLL(), predictor, data, method=method)
    schedule = lambda step: jnp.minimum(1.0, step / 200)
    held = lhx.fit(lhx.NLL() + schedule * EvidenceAgainst(), predictor, data, method=method)
    misplaced = [float(EvidenceAgainst()(fit.predictor, data)) for fit in (free, held)]
    assert misplaced[1] < 0.7 * misplaced[0]
    guess = np.argmax(held.predictor(jnp.asarray(inputs)).probs, axis=-1)
    assert np.mean(guess == labels) > 0.7
