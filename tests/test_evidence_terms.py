"""Terms about predicted evidence, against the formulas of the papers in NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import Array
from scipy import special, stats

import likelihax as lhx
from likelihax import links, predicted, terms
from likelihax.likelihoods import Normal, NormalInverseGamma, tied
from likelihax.reductions import Mean

Y = np.array([0.3, 1.9, -0.4, np.nan, 1.1])
SEEN = ~np.isnan(Y)
RAW = np.array(
    [
        [0.1, 0.5, -0.3, 0.2],
        [2.0, -1.0, 1.5, -0.7],
        [0.0, 3.0, 0.0, 1.0],
        [5.0, 5.0, 5.0, 5.0],
        [1.4, -2.0, -4.0, 0.0],
    ]
)


class Table(eqx.Module):
    """A row of predictions for each row of the table."""

    raw: Array

    def __call__(self, rows):
        return self.raw[rows]


def problem(likelihood, raw):
    predictor = lhx.Predictor(Table(jnp.asarray(raw)), likelihood)
    return predictor, lhx.Dataset(np.arange(len(Y)), Y)


def four():
    """Location, evidence, shape and rate of the default links."""
    loc, log_evidence, shape, log_rate = RAW.T
    return loc, np.exp(log_evidence), 1 + np.logaddexp(0, shape), np.exp(log_rate)


def total(term, likelihood=None, raw=RAW):
    predictor, data = problem(likelihood or NormalInverseGamma(), raw)
    term.check(predictor, data)
    return float(term.evaluate(predictor, data).total)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_misplaced_evidence(power):
    loc, nu, alpha, beta = four()
    error = np.abs(Y - loc)
    width = np.sqrt(beta * (1 + nu) / (alpha * nu))
    for per, by in (("unit", 1.0), ("width", width)):
        wanted = np.nansum((error / by) ** power * (2 * nu + alpha))
        found = total(terms.MisplacedEvidence(per, power=power))
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
        mean = total(terms.MisplacedEvidence(per, power=power, reduction=Mean()))
        np.testing.assert_allclose(mean, wanted / 4, rtol=1e-12)


def test_weak_evidence_is_a_divergence():
    """By Monte Carlo over SciPy's draws, and zero where no more is claimed."""
    _, nu, alpha, beta = four()
    rng = np.random.default_rng(0)
    wanted = 0.0
    for i in np.flatnonzero(SEEN):
        variance = stats.invgamma(alpha[i], scale=beta[i]).rvs(400_000, random_state=rng)
        away = rng.normal(size=variance.size) * np.sqrt(variance / nu[i])
        ratio = stats.invgamma.logpdf(variance, alpha[i], scale=beta[i])
        ratio -= stats.invgamma.logpdf(variance, 1.5, scale=0.7)
        ratio += stats.norm.logpdf(away, 0, np.sqrt(variance / nu[i]))
        ratio -= stats.norm.logpdf(away, 0, np.sqrt(variance / 0.2))
        wanted += ratio.mean()
    assert abs(total(terms.WeakEvidence(0.2, 1.5, 0.7)) - wanted) < 0.02
    same = np.tile([3.0, np.log(0.2), special.logit(1 - np.exp(-0.5)), np.log(0.7)], (5, 1))
    assert abs(total(terms.WeakEvidence(0.2, 1.5, 0.7), raw=same)) < 1e-14


def test_vanishing_evidence():
    loc, _, alpha, _ = four()
    above = np.log(np.expm1(alpha - 1))
    error = np.abs(Y - loc)
    np.testing.assert_allclose(
        total(terms.VanishingEvidence(np.inf)), -np.nansum(error * above), rtol=1e-12
    )
    bounded = np.minimum(above, np.log(np.expm1(1.0)))
    np.testing.assert_allclose(
        total(terms.VanishingEvidence(2.0)), -np.nansum(error * bounded), rtol=1e-12
    )


@pytest.mark.parametrize("raw_shape", [-3.0, -40.0, -800.0])
def test_its_slope_in_what_is_predicted_does_not_vanish(raw_shape):
    """The likelihood's does: that is what it is for."""
    raw = jnp.array([0.0, 0.0, raw_shape, 0.0])
    term, likelihood = terms.VanishingEvidence(), NormalInverseGamma()
    y = jnp.asarray(3.0)
    slope = jax.grad(lambda p: term.each(likelihood, p, y))(raw)
    np.testing.assert_allclose(slope[2], -3.0, rtol=1e-12)
    of_nll = jax.grad(lambda p: likelihood.nll(p, y))(raw)
    assert abs(of_nll[2]) <= 2 * np.exp(raw_shape)
    through_tie = NormalInverseGamma(shape=tied())
    raw = jnp.array([0.0, raw_shape, 0.0])
    slope = jax.grad(lambda p: term.each(through_tie, p, y))(raw)
    np.testing.assert_allclose(slope[1], -3.0, rtol=0.05)


@given(st.floats(-700, 700), st.floats(0.01, 10))
@settings(max_examples=60)
def test_how_far_a_tied_shape_is_above_one(log_evidence, ratio):
    likelihood = NormalInverseGamma(shape=tied(ratio))
    found = float(likelihood.log_expm1_shape(jnp.array([0.0, log_evidence, 0.0])))
    log_above = log_evidence + np.log(ratio / 2)
    if log_above > 6.5:
        np.testing.assert_allclose(found, np.exp(log_above), rtol=1e-12)
    elif log_above > -30:
        np.testing.assert_allclose(found, np.log(np.expm1(np.exp(log_above))), rtol=1e-10)
    else:
        np.testing.assert_allclose(found, log_above, rtol=1e-12)


def test_a_softplus_that_starts_higher():
    likelihood = NormalInverseGamma(shape=predicted(links.Softplus(least=1.5)))
    found = likelihood.log_expm1_shape(jnp.asarray(RAW))
    shape = 1.5 + np.logaddexp(0, RAW[:, 2])
    np.testing.assert_allclose(found, np.log(np.expm1(shape - 1)), rtol=1e-12)
    alone = NormalInverseGamma(0.0, 1.0, predicted(links.Softplus(least=1.0)), 1.0)
    np.testing.assert_array_equal(alone.log_expm1_shape(jnp.asarray(RAW[:, 2])), RAW[:, 2])


EACH = {
    "MisplacedEvidence": terms.MisplacedEvidence(),
    "WeakEvidence": terms.WeakEvidence(),
    "VanishingEvidence": terms.VanishingEvidence(),
}


@pytest.mark.parametrize("name", EACH)
def test_gradients_are_those_of_differences(name):
    predictor, data = problem(NormalInverseGamma(), RAW)

    def cost(raw):
        moved = eqx.tree_at(lambda p: p.model.raw, predictor, raw)
        return EACH[name].evaluate(moved, data).total

    slope = jax.grad(cost)(jnp.asarray(RAW))
    assert np.all(np.asarray(slope)[~SEEN] == 0)
    rng = np.random.default_rng(1)
    for _ in range(3):
        step = rng.normal(size=RAW.shape)
        ends = [cost(jnp.asarray(RAW + h * step)) for h in (1e-6, -1e-6)]
        np.testing.assert_allclose(np.sum(slope * step), (ends[0] - ends[1]) / 2e-6, rtol=1e-6)


@pytest.mark.parametrize("name", EACH)
def test_is_for_evidence_only(name):
    predictor, data = problem(Normal(1.0), RAW[:, 0])
    with pytest.raises(ValueError, match=f"{name}: Normal states no evidence: it is for"):
        EACH[name].check(predictor, data)
    with pytest.raises(ValueError, match=f"{name}: expected a Predictor"):
        EACH[name].check(3.0, data)
    assert not EACH[name].is_density


def test_what_is_not_possible_is_refused(as_a_user):
    predictor, data = problem(NormalInverseGamma(shape=predicted("log")), RAW)
    with pytest.raises(ValueError, match="the shape of this NormalInverseGamma may be 1 or less"):
        terms.VanishingEvidence().check(predictor, data)
    with pytest.raises(ValueError, match="the shape may be 1 or less: let it be tied"):
        predictor.likelihood.log_expm1_shape(jnp.asarray(RAW))
    with pytest.raises(ValueError, match='per is "width" or "unit", not \'mean\''):
        terms.MisplacedEvidence("mean")
    with pytest.raises(ValueError, match=r"power must be 1 or more, got 0\.5"):
        terms.MisplacedEvidence(power=0.5)
    with pytest.raises(ValueError, match=r"shape must be positive and finite, got 0\.0"):
        terms.WeakEvidence(0.1, 0.0)
    with pytest.raises(ValueError, match=r"until must be above 1, got 1\.0"):
        terms.VanishingEvidence(1.0)
    with pytest.raises(ValueError, match="WeakEvidence: the reduction 3 is none"):
        terms.WeakEvidence(reduction=3)
    with pytest.raises(ValueError, match="tied: ratio must be positive and finite, got -1"):
        tied(-1)


def test_the_likelihood_alone_leaves_evidence_open_and_a_term_settles_it():
    """Meinert, Gawlikowski and Lavin: along a curve in rate and evidence nothing changes."""
    rng = np.random.default_rng(0)
    y = rng.standard_t(6, size=400)

    class Constant(eqx.Module):
        at: Array

        def __call__(self, rows):
            return jnp.broadcast_to(self.at, (rows.shape[0], self.at.size))

    start = lhx.real(np.zeros(4), name=("loc", "log evidence", "shape", "log rate"))
    predictor = lhx.Predictor(Constant(start), NormalInverseGamma())
    data = lhx.Dataset(np.zeros((400, 1)), y)
    fit = lhx.fit(lhx.NLL(), predictor, data)
    said = " ".join(fit.identifiability.sentences)
    assert "log evidence" in said
    assert "log rate" in said
    # NLL alone: t's own, by SciPy.
    dof, loc, scale = stats.t.fit(y)
    wanted = -stats.t.logpdf(y, dof, loc, scale).sum()
    np.testing.assert_allclose(fit.nll, wanted, atol=1e-3)
    settled = lhx.fit(lhx.NLL() + 0.1 * terms.WeakEvidence(), predictor, data, method=lhx.BFGS())
    assert settled.success
    hessian = jax.hessian(lambda t: settled.problem.value(t)[0])(settled.record.theta)
    assert np.linalg.eigvalsh(hessian).min() > 1e-3
