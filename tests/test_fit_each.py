"""Many fits with one compilation: each as it would be alone, by closed forms."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import likelihax as lhx
from likelihax.likelihoods import Normal

X = np.column_stack([np.ones(12), np.linspace(-1, 1, 12)])
RNG = np.random.default_rng(0)
VALUES = [X @ [1.0, 2.0] + 0.1 * RNG.normal(size=12), X @ [-3.0, 0.5], X @ [0.0, 7.0] + 1.0]
SHORT = np.where(np.arange(12) < 8, VALUES[0], np.nan)
TABLES = [lhx.Dataset(X, y) for y in (*VALUES, SHORT)]
WEIGHTS = lambda p: p.model.weights


class Line(eqx.Module):
    weights: Array

    def __call__(self, x):
        return x @ self.weights


LINE = lhx.Predictor(Line(jnp.zeros(2)), Normal(1.0))


def least_squares(table, ridge=0.0):
    seen = np.asarray(table.observed)
    x, y = X[seen], np.asarray(table.values)[seen]
    return np.linalg.solve(x.T @ x + ridge * np.eye(2), x.T @ y)


@pytest.mark.parametrize("side_by_side", [None, True, False])
def test_each_is_fitted_to_its_own_data(side_by_side):
    found = lhx.fit_each(lhx.NLL(), LINE, TABLES, side_by_side=side_by_side, progress=False)
    assert found.endings == {"successful": 4}
    wanted = np.stack([least_squares(table) for table in TABLES])
    np.testing.assert_allclose(found.estimates, wanted, atol=1e-4)
    alone = lhx.fit(lhx.NLL(), LINE, TABLES[2])
    np.testing.assert_allclose(found.fit(2).nll, alone.nll, rtol=1e-10)


@pytest.mark.parametrize("data", [TABLES[:1], [TABLES[0]] * 3])
def test_nothing_to_tell_them_apart(data):
    found = lhx.fit_each(lhx.NLL(), LINE, data, side_by_side=True, progress=False)
    wanted = np.stack([least_squares(table) for table in data])
    np.testing.assert_allclose(found.estimates, wanted, atol=1e-4)


def test_many_parameters_side_by_side():
    x = RNG.normal(size=(60, 40))  # 1600 numbers in what BFGS knows of the curvature
    tables = [lhx.Dataset(x, x @ RNG.normal(size=40)) for _ in range(3)]
    start = lhx.Predictor(Line(jnp.zeros(40)), Normal(1.0))
    found = lhx.fit_each(
        lhx.NLL(), start, tables, method=lhx.BFGS(), side_by_side=True, progress=False
    )
    wanted = [np.linalg.lstsq(x, table.values)[0] for table in tables]
    np.testing.assert_allclose(found.estimates, np.stack(wanted), atol=1e-4)


def test_objectives_and_starts_of_their_own():
    ridges = [0.1, 1.0, 10.0, 100.0]
    objectives = [lhx.NLL() + lhx.terms.L2(WEIGHTS, weights=np.full(2, r)) for r in ridges]
    starts = [lhx.Predictor(Line(jnp.full(2, float(i))), Normal(1.0)) for i in range(4)]
    found = lhx.fit_each(
        objectives, starts, TABLES[0], method=lhx.BFGS(), side_by_side=True, progress=False
    )
    wanted = np.stack([least_squares(TABLES[0], ridge) for ridge in ridges])
    np.testing.assert_allclose(found.estimates, wanted, atol=1e-4)


def test_one_that_cannot_begin_keeps_no_other_from_ending():
    lost = lhx.Predictor(Line(jnp.full(2, jnp.nan)), Normal(1.0))
    found = lhx.fit_each(lhx.NLL(), [LINE, lost, LINE], TABLES[0], progress=False)
    assert found.results == ("successful", "start_failed", "successful")


def test_errors(as_a_user):
    with pytest.raises(ValueError, match="one objective, one predictor and one table: give a list"):
        lhx.fit_each(lhx.NLL(), LINE, TABLES[0])
    with pytest.raises(ValueError, match=r"as long as each other.* predictors: 2, data: 4"):
        lhx.fit_each(lhx.NLL(), [LINE, LINE], TABLES)
    with pytest.raises(ValueError, match=r"as long as each other.* data: 0"):
        lhx.fit_each(lhx.NLL(), LINE, [])
    with pytest.raises(ValueError, match="number 1: NLL: expected an Experiment or a Dataset"):
        lhx.fit_each(lhx.NLL(), LINE, [TABLES[0], 3.0])
    other = lhx.Dataset(X[:5], VALUES[0][:5])
    with pytest.raises(ValueError, match="fit_each: number 1 is built differently from number 0"):
        lhx.fit_each(lhx.NLL(), LINE, [TABLES[0], other])
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        lhx.fit_each(lhx.NLL(), LINE, TABLES, workers=0)
