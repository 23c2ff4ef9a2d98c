"""The entropy of predictions: values against SciPy, edges, fits and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from credit import LABELS, LOGITS, TABLE, N, X, binary, given_predictor, logistic, table
from numpyro import distributions as dist
from scipy import special, stats

import likelihax as lhx
from likelihax import likelihoods as lk
from likelihax.terms import Entropy


def test_entropy_of_classes():
    p = special.expit(LOGITS)
    bits = special.entr(p) + special.entr(1 - p)
    np.testing.assert_allclose(Entropy()(binary(), TABLE), -bits.mean(), rtol=1e-13)
    np.testing.assert_allclose(Entropy("certain")(binary(), TABLE), bits.mean(), rtol=1e-13)
    logits = np.random.default_rng(1).normal(size=(N, 4))
    predictor = given_predictor(logits, lk.Categorical(4))
    expected = -stats.entropy(special.softmax(logits, axis=-1), axis=-1).mean()
    np.testing.assert_allclose(Entropy()(predictor, table(np.zeros(N))), expected, rtol=1e-13)


DENSITIES = {
    "Normal": (lk.Normal(scale=lhx.predicted()), lambda a, b: stats.norm(a, np.exp(b))),
    "Laplace": (lk.Laplace(scale=lhx.predicted()), lambda a, b: stats.laplace(a, np.exp(b))),
    "StudentT": (
        lk.StudentT(scale=lhx.predicted(), dof=5.0),
        lambda a, b: stats.t(5.0, a, np.exp(b)),
    ),
    "LogNormal": (
        lk.LogNormal(lhx.predicted(), lhx.predicted("log")),
        lambda a, b: stats.lognorm(np.exp(b), scale=np.exp(a)),
    ),
    "Gamma": (
        lk.Gamma(concentration=lhx.predicted()),
        lambda a, b: stats.gamma(np.exp(b), scale=np.exp(a - b)),
    ),
}


@pytest.mark.parametrize("name", DENSITIES)
def test_entropy_of_densities(name):
    likelihood, witness = DENSITIES[name]
    predictor = given_predictor(X, likelihood)
    data = table(np.ones(N))
    Entropy().check(predictor, data)
    expected = -np.mean([witness(a, b).entropy() for a, b in X])
    np.testing.assert_allclose(Entropy()(predictor, data), expected, rtol=1e-8)


def test_entropy_of_a_vector():
    covariance = np.array([[2.0, 0.3], [0.3, 1.0]])
    predictor = given_predictor(X, lk.MultivariateNormal(np.linalg.cholesky(covariance)))
    values = np.zeros((N, 2))
    values[3] = np.nan
    expected = -stats.multivariate_normal(cov=covariance).entropy()
    for chosen in ("all", "measured", "missing"):
        term = Entropy(rows=chosen)
        term.check(predictor, table(values))
        np.testing.assert_allclose(term(predictor, table(values)), expected, rtol=1e-12)


def test_entropy_of_chosen_rows():
    values = np.where(np.arange(N) % 3 == 0, np.nan, LABELS)
    p = special.expit(LOGITS)
    bits = special.entr(p) + special.entr(1 - p)
    for chosen, where in {"measured": ~np.isnan(values), "missing": np.isnan(values)}.items():
        found = Entropy("certain", rows=chosen)(binary(), table(values))
        np.testing.assert_allclose(found, bits[where].mean(), rtol=1e-13)
    with pytest.raises(ValueError, match="credit has no value that is missing"):
        Entropy(rows="missing").check(binary(), TABLE)


EXTREME = np.array([0.0, 1e-300, 36.0, -745.0, 800.0, -1e5, 1e300, -1.7e308])


def test_entropy_of_saturated_logits():
    data = table(np.zeros(1))
    entropy = lambda logit: Entropy("certain")(binary(logit[None]), data)
    value_and_slope = jax.jit(jax.value_and_grad(entropy))
    found = np.array([value_and_slope(logit) for logit in jnp.asarray(EXTREME)])
    assert np.all(np.isfinite(found))
    rare = np.exp(-36.0)  # and to first order
    expected = [np.log(2), np.log(2), 37 * rare, 746 * np.exp(-745.0), 0, 0, 0, 0]
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-14, atol=1e-320)
    np.testing.assert_allclose(found[2, 1], -36 * rare, rtol=1e-12)
    assert np.all(found[4:, 1] == 0)


FAMILIES_AT_THE_EDGE = {
    "Categorical": (lk.Categorical(3), np.array([[0.0, 1e5, -1e300], [-np.inf, 0.0, 0.0]])),
    "OrderedLogistic": (lk.OrderedLogistic(np.array([-1.0, 1.0])), np.array([900.0, -1e200])),
    "probabilities": (lk.FromNumPyro(dist.BernoulliProbs, probs=lhx.predicted()), None),
}


@pytest.mark.parametrize("name", FAMILIES_AT_THE_EDGE)
def test_entropy_is_never_nan(name):
    likelihood, outputs = FAMILIES_AT_THE_EDGE[name]
    outputs = np.array([-800.0, 800.0]) if outputs is None else outputs
    term = lambda outputs: Entropy("certain")(
        given_predictor(outputs, likelihood), table(np.zeros(2))
    )
    value, slope = jax.value_and_grad(term)(jnp.asarray(outputs))
    assert value == pytest.approx(np.log(2) / 2 if name == "Categorical" else 0.0, abs=1e-14)
    assert np.all(np.isfinite(slope))


@pytest.mark.slow
def test_entropy_in_fits():
    free = lhx.fit(lhx.NLL(), logistic(), TABLE).estimates["coefficients"]
    modest = lhx.fit(lhx.NLL() + 0.5 * N * Entropy(), logistic(), TABLE)
    decided = lhx.fit(lhx.NLL() + 0.5 * N * Entropy("certain"), logistic(), TABLE)
    assert modest.success
    assert decided.success
    lengths = [np.linalg.norm(f.estimates["coefficients"]) for f in (modest, decided)]
    assert lengths[0] < np.linalg.norm(free) < lengths[1]


def test_families_without_entropy():
    for likelihood in (lk.Poisson(), lk.Mixture([lk.Normal(1.0), lk.Normal(2.0)], [0.5, 0.5])):
        outputs = np.zeros((N, likelihood.num_outputs))
        outputs = outputs[:, 0] if likelihood.num_outputs == 1 else outputs
        with pytest.raises(ValueError, match=f"what {type(likelihood).__name__} predicts has no"):
            Entropy().check(given_predictor(outputs, likelihood), table(np.zeros(N)))
