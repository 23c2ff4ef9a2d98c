"""Simulation-based calibration, and checks of what is predicted."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax import Array
from scipy import stats

import likelihax as lhx
from likelihax.inference import Ranks, predictive_check, simulation_based_calibration
from likelihax.inference._posteriors import _calibration
from likelihax.terms import Flat, Prior


class Level(eqx.Module):
    level: Array = lhx.real(0.0)

    def __call__(self, x):
        return self.level + 0 * x


PREDICTOR = lhx.Predictor(Level(), lhx.likelihoods.Normal(lhx.positive(0.5)))
DATA = lhx.Dataset(np.zeros(6), np.array([0.0, 1.0, np.nan, 2.0, -1.0, 0.5]))


def level(p):
    return p.model.level


def scale(p):
    return p.likelihood.scale


OBJECTIVE = (
    lhx.NLL() + Prior(level, dist.Normal(0.0, 1.0)) + Prior(scale, dist.LogNormal(-1.0, 0.5))
)


@pytest.mark.slow
def test_ranks_of_a_right_posterior_are_uniform_and_of_a_wrong_one_are_not(monkeypatch):
    key = jax.random.key(3)
    ranks = simulation_based_calibration(OBJECTIVE, PREDICTOR, DATA, key=key, num=80)
    assert ranks.names == ("level", "scale")
    assert ranks.ranks.shape == (80, 2)
    assert np.all(ranks.p_values > 0.01)
    assert np.all(np.abs(ranks.location) < 3)
    assert ranks.unsolved == ranks.failed == 0
    measured = _calibration._measured
    # As if every value had been read one too high.
    monkeypatch.setattr(_calibration, "_measured", lambda data, values: measured(data, values + 1))
    wrong = simulation_based_calibration(OBJECTIVE, PREDICTOR, DATA, key=key, num=20)
    assert wrong.location[0] < -5
    assert wrong.p_values[0] < 1e-4


def test_the_test_of_ranks_is_scipys():
    ranks = Ranks(("a",), np.array([[0], [10], [127], [64], [65], [3]] * 10), 127, 0, 0, 2)
    assert ranks.bins == 8
    np.testing.assert_array_equal(ranks.counts, [[30, 0, 0, 0, 20, 0, 0, 10]])
    expected = stats.chisquare([30, 0, 0, 0, 20, 0, 0, 10]).pvalue
    np.testing.assert_allclose(ranks.p_values, expected, rtol=1e-12)
    assert "in 2 the draws are worth fewer than 127" in str(ranks)


def test_improper_priors_and_too_little_are_refused():
    improper = lhx.NLL() + Flat(level) + Prior(scale, dist.LogNormal(-1.0, 0.5))
    words = {"key": jax.random.key(0)}
    with pytest.raises(ValueError, match="level"):
        simulation_based_calibration(improper, PREDICTOR, DATA, **words)
    with pytest.raises(ValueError, match="give 10 simulations or more"):
        simulation_based_calibration(OBJECTIVE, PREDICTOR, DATA, num=3, **words)
    with pytest.raises(ValueError, match="draw more"):
        simulation_based_calibration(OBJECTIVE, PREDICTOR, DATA, draws=16, **words)


def test_predictive_check_counts_draws():
    draws = np.arange(10.0)[:, None] + np.zeros(6)
    draws[9, 0] = np.nan  # could not be solved
    found = predictive_check(draws, DATA, {"largest": np.nanmax, "first": lambda y: y[0]})
    assert found.observed == {"largest": 2.0, "first": 0.0}
    assert len(found.replicated["first"]) == 9
    # Of 0 to 8, six are above 2 and one ties; eight are above 0 and one ties.
    assert found.p_values == {"largest": 6.5 / 9, "first": 8.5 / 9}
    assert (
        predictive_check(draws.reshape(2, 5, 6), DATA).p_values
        == predictive_check(draws, DATA).p_values
    )
    usual = predictive_check(draws, DATA)
    np.testing.assert_allclose(usual.observed["sd"], np.std([0.0, 1.0, 2.0, -1.0, 0.5]))
    assert "predicted, 95 %" in str(usual)


def test_predictive_check_of_other_shapes():
    with pytest.raises(ValueError, match=r"draws of shape \(3, 5\) for values of shape \(6,\)"):
        predictive_check(np.zeros((3, 5)), DATA)
    with pytest.raises(ValueError, match="no draw is finite"):
        predictive_check(np.full((3, 6), np.nan), DATA)


def test_prior_draws_are_checked():
    draws = lhx.inference.prior_predictive(
        OBJECTIVE, PREDICTOR, DATA, key=jax.random.key(1), num=200
    )
    found = predictive_check(draws, DATA)
    assert 0.2 < found.p_values["mean"] < 0.6
    far = eqx.tree_at(lambda d: d.values, DATA, DATA.values + jnp.asarray(50.0))
    assert predictive_check(draws, far).p_values["mean"] == 0.0
