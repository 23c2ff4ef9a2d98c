"""Simulated data, fitted again: against the closed forms of a Normal sample."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from scipy import stats

import likelihax as lhx
from likelihax.inference import intervals
from likelihax.inference._profiles import _pulled

pytestmark = pytest.mark.slow

N = 10
NUM = 300


class Constant(eqx.Module):
    mean: Array = lhx.real(0.0)

    def __call__(self, x):
        return self.mean * jnp.ones_like(x)


def sample(scale=None, likelihood=lhx.likelihoods.Normal):
    scale = lhx.positive(1.0) if scale is None else scale
    return lhx.Predictor(Constant(), likelihood(scale=scale))


# One of eleven values is missing.
MEASURED = [1.2, 0.4, np.nan, -0.3, 2.2, 1.9, 0.8, 0.1, 1.4, 1.0, 0.7]
DATA = lhx.Dataset(np.arange(11.0), MEASURED)


@pytest.fixture(scope="module")
def fit():
    return lhx.fit(lhx.NLL(), sample(), DATA)


@pytest.fixture(scope="module")
def refits(fit):
    kinds = ("wald", "laplace", "profile", "sandwich")
    return lhx.simulate_and_refit(fit, NUM, key=jax.random.key(1), intervals=kinds)


def near(share, probability, sds=4.0):
    """Whether a share of `NUM` is what a probability makes likely."""
    return abs(share - probability) < sds * np.sqrt(probability * (1 - probability) / NUM)


def test_intervals_are_those_of_each_sample(refits):
    assert refits.names == ("mean", "scale")
    assert refits.endings == {"successful": NUM}
    mean, scale = refits.estimates.T
    z = stats.norm.ppf(0.975)
    # The curvature: scale / sqrt(n) and scale / sqrt(2 n), n values and not the missing one.
    errors = np.stack([scale / np.sqrt(N), scale / np.sqrt(2 * N)], axis=1)
    np.testing.assert_allclose(refits.standard_errors, errors, rtol=3e-3)
    wald, laplace = refits.ends["wald"], refits.ends["laplace"]
    np.testing.assert_allclose(wald.upper, refits.estimates + z * refits.standard_errors)
    np.testing.assert_allclose(wald.lower, refits.estimates - z * refits.standard_errors)
    ratio = np.exp(z * refits.standard_errors[:, 1] / scale)
    np.testing.assert_allclose(laplace.upper[:, 1], scale * ratio)
    np.testing.assert_allclose(laplace.lower[:, 1], scale / ratio)
    np.testing.assert_allclose(laplace.upper[:, 0], wald.upper[:, 0])
    # n/2 log(1 + (away / scale)^2) = z^2 / 2
    away = scale * np.sqrt(np.expm1(z**2 / N))
    profile = refits.ends["profile"]
    np.testing.assert_allclose(profile.upper[:, 0], mean + away, atol=3e-3 * away.mean())
    np.testing.assert_allclose(profile.lower[:, 0], mean - away, atol=3e-3 * away.mean())


def test_coverage_is_what_theory_says(refits):
    z2 = stats.chi2.ppf(0.95, 1)
    t = stats.t(N - 1)
    # The estimate of the scale divides by n.
    wald = 1 - 2 * t.sf(np.sqrt(z2 * (N - 1) / N))
    profile = 1 - 2 * t.sf(np.sqrt((N - 1) * np.expm1(z2 / N)))
    assert near(refits.coverage["wald"][0], wald)
    assert near(refits.coverage["sandwich"][0], wald)
    assert near(refits.coverage["profile"][0], profile)
    below, above = refits.missed["profile"]
    np.testing.assert_allclose(below + above, 1 - refits.coverage["profile"], atol=1e-12)
    # The scale is estimated too small.
    truth = refits.truth[1]
    assert abs(refits.bias[1] - truth * (bias_of_scale() - 1)) < 4 * refits.sd[1] / np.sqrt(NUM)
    assert below[1] > above[1]


def bias_of_scale():
    return stats.chi(N - 1).mean() / np.sqrt(N)


def ratio_of_scale(chi_squared):
    """The likelihood ratio of the true scale, the mean unknown."""
    share = chi_squared / N
    return N * (share - 1 - np.log(share))


def test_likelihood_ratios_and_their_mean(refits):
    t = (refits.estimates[:, 0] - refits.truth[0]) / refits.estimates[:, 1]
    np.testing.assert_allclose(refits.roots[:, 0] ** 2, N * np.log1p(t**2), atol=4e-3)
    assert np.array_equal(np.sign(refits.roots[:, 0]), np.sign(t))
    squares = N * (refits.estimates[:, 1] / refits.truth[1]) ** 2
    np.testing.assert_allclose(refits.roots[:, 1] ** 2, ratio_of_scale(squares), atol=2e-2)
    grid = stats.chi2(N - 1).ppf((np.arange(20_000) + 0.5) / 20_000)
    exact = np.mean(ratio_of_scale(grid))
    spread = np.std(ratio_of_scale(grid)) / np.sqrt(NUM)
    assert abs(refits.bartlett[1] - exact) < 4 * spread
    plain = np.mean(ratio_of_scale(grid) < stats.chi2.ppf(0.95, 1))
    assert near(refits.coverage["profile"][1], plain)
    assert plain < 0.93
    assert near(refits.bartlett_coverage[1], 0.95)


def test_factors_widen_profiles(fit, refits):
    plain = lhx.profile(fit, num=9)
    wider = lhx.profile(fit, num=9, bartlett=refits)
    z2 = stats.chi2.ppf(0.95, 1)
    for i, name in enumerate(refits.names):
        assert wider[name].bartlett == refits.bartlett[i]
        assert wider[name].interval()[1] > plain[name].interval()[1]
    away = np.sqrt(np.expm1(z2 * refits.bartlett[0] / N)) * fit.estimates["scale"]
    wanted = (fit.estimates["mean"] - away, fit.estimates["mean"] + away)
    np.testing.assert_allclose(wider["mean"].interval(), wanted, rtol=1e-4)
    assert "Bartlett" in repr(wider)
    with pytest.raises(ValueError, match="no Bartlett factor for 'function'"):
        lhx.profile(fit, lambda p: p.model.mean, bartlett=refits)


def test_table(refits):
    text = repr(refits)
    assert f"{NUM} of {NUM} fits converged" in text
    assert f"{100 * refits.coverage['wald'][1]:.1f} %" in text
    assert "<pre" in refits._repr_html_()


def test_the_same_key_gives_the_same(fit, refits, monkeypatch):
    monkeypatch.setattr(_pulled.jax, "default_backend", lambda: "an accelerator")
    few = lhx.simulate_and_refit(fit, 5, key=jax.random.key(1), intervals="wald", start="start")
    again = lhx.simulate_and_refit(fit, 5, key=jax.random.key(1), intervals="wald", ratios=False)
    np.testing.assert_allclose(few.estimates, again.estimates, atol=1e-3)
    assert np.isfinite(few.roots).all()
    assert not np.isfinite(again.roots).any()
    with pytest.raises(ValueError, match="5 simulated fits converged, too few"):
        lhx.profile(fit, bartlett=few)


class Everywhere(intervals.AbstractIntervals):
    """Knows of no ends."""

    title = "everywhere"

    def ends(self, estimated, root):
        infinite = np.full(len(estimated.values), np.inf)
        return intervals.Ends(-infinite, infinite, np.array([True, False]))


def test_own_intervals_for_a_design_of_ones_own():
    truth = sample(scale=lhx.positive(2.0))
    design = lhx.Experiment([0.0, 1.0, 2.0, 3.0], [0.0, 0.0, np.nan, 0.0])
    found = lhx.simulate_and_refit(
        truth, 4, key=jax.random.key(0), data=design, intervals=[Everywhere()], ratios=False
    )
    np.testing.assert_allclose(found.truth, [0.0, 2.0], atol=1e-12)
    assert found.coverage["everywhere"].tolist() == [1.0, 1.0]
    assert "4 of 8 intervals could not be found" in repr(found)


def test_fits_that_fail_are_counted(monkeypatch):
    # A line through the origin whose slope must be positive, from data without one.
    class Growing(eqx.Module):
        slope: Array = lhx.positive(1e-3)

        def __call__(self, x):
            return self.slope * x

    predictor = lhx.Predictor(Growing(), lhx.likelihoods.Normal(scale=1.0))
    design = lhx.Dataset(np.array([0.1, 0.2, 0.3]), [0.0, 0.0, 0.0])
    found = lhx.simulate_and_refit(
        predictor, 20, key=jax.random.key(0), data=design, intervals=("wald",), ratios=False
    )
    failed = 20 - len(found.estimates)
    assert 3 <= failed <= 17
    assert sum(found.endings.values()) == 20
    assert f"{len(found.estimates)} of 20 fits converged" in repr(found)
    assert "left out" in repr(found)


def test_bad_input(fit, as_a_user):
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="no intervals are called 'bootstrap'"):
        lhx.simulate_and_refit(fit, key=key, intervals=("bootstrap",))
    with pytest.raises(ValueError, match="num is 1"):
        lhx.simulate_and_refit(fit, 1, key=key)
    with pytest.raises(ValueError, match='start is "estimates" or "start"'):
        lhx.simulate_and_refit(fit, key=key, start="middle")
    with pytest.raises(ValueError, match="a predictor needs a design"):
        lhx.simulate_and_refit(sample(), key=key)
    with pytest.raises(ValueError, match="leave them out"):
        lhx.simulate_and_refit(fit, key=key, data=DATA)
    own = lhx.fit(lambda tree, data: (tree["x"] - 1.0) ** 2, {"x": lhx.real(0.0)}, None)
    with pytest.raises(ValueError, match="does not say how data scatter"):
        lhx.simulate_and_refit(own, key=key)


def test_what_cannot_be_drawn_is_refused():
    pairs = lhx.Dataset(np.arange(3.0), [[0.0, 1.0], [1.0, 2.0], [0.5, 0.5]], bounds=True)
    censored = lhx.likelihoods.IntervalCensored(lhx.likelihoods.Normal(scale=lhx.positive(1.0)))
    predictor = lhx.Predictor(Constant(), censored)
    with pytest.raises(ValueError, match="censored to a pair of bounds cannot be simulated"):
        lhx.simulate_and_refit(predictor, 3, key=jax.random.key(0), data=pairs)
