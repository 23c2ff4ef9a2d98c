"""Each row by a fit that has not seen it: leave-one-out of least squares in closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from scipy import stats

import likelihax as lhx
from likelihax.likelihoods import Normal

ROWS = 12
X = np.column_stack([np.ones(ROWS), np.linspace(-1, 1, ROWS)])
VALUES = X @ [1.0, 2.0] + 0.1 * np.random.default_rng(0).normal(size=ROWS)
DATA = lhx.Dataset(X, VALUES)


class Line(eqx.Module):
    weights: Array

    def __call__(self, x):
        return x @ self.weights


LINE = lhx.Predictor(Line(jnp.zeros(2)), Normal(0.5))


def without(rows):
    """The line of least squares through the other rows."""
    kept = ~np.isin(np.arange(ROWS), rows)
    return np.linalg.lstsq(X[kept], VALUES[kept], rcond=None)[0]


def test_leave_one_out_is_the_closed_form():
    found = lhx.cross_fit(lhx.NLL(), LINE, DATA, folds=np.arange(ROWS), progress=False)
    hat = X @ np.linalg.solve(X.T @ X, X.T)
    wanted = (VALUES - hat @ VALUES) / (1 - np.diag(hat))
    np.testing.assert_allclose(VALUES - found.predictions, wanted, atol=1e-8)
    np.testing.assert_allclose(found.nll, -stats.norm.logpdf(wanted, 0.0, 0.5), atol=1e-8)
    assert found.refits.endings == {"successful": ROWS}
    assert "12 folds, 12 of 12 rows" in repr(found)


def test_folds_drawn_are_each_left_out_once():
    found = lhx.cross_fit(lhx.NLL(), LINE, DATA, num_folds=4, key=jax.random.key(3))
    assert np.bincount(found.folds).tolist() == [3, 3, 3, 3]
    for fold, predictor in enumerate(found.predictors):
        rows = np.flatnonzero(found.folds == fold)
        np.testing.assert_allclose(predictor.model.weights, without(rows), atol=1e-8)
        np.testing.assert_allclose(found.predictions[rows], X[rows] @ without(rows), atol=1e-8)


def test_a_single_part_held_out():
    folds = np.where(np.arange(ROWS) < 3, 0, -1)
    found = lhx.cross_fit(lhx.NLL(), LINE, DATA, folds=folds, progress=False)
    assert len(found.refits) == 1
    np.testing.assert_allclose(found.predictions[:3], X[:3] @ without(range(3)), atol=1e-8)
    assert np.all(np.isnan(found.predictions[3:]))
    assert np.all(found.nll[3:] == 0)


def test_missing_values_have_no_nll_and_starts_may_differ():
    missing = np.where(np.arange(ROWS) == 5, np.nan, VALUES)
    starts = [lhx.Predictor(Line(jnp.full(2, float(i))), Normal(0.5)) for i in range(2)]
    folds = np.arange(ROWS) % 2
    found = lhx.cross_fit(lhx.NLL(), starts, lhx.Dataset(X, missing), folds=folds)
    assert found.nll[5] == 0
    assert np.all(np.isfinite(found.predictions))
    np.testing.assert_allclose(
        found.predictors[1].model.weights, without(range(1, ROWS, 2)), atol=1e-8
    )


def test_the_noise_of_rows_left_out_is_not_too_small():
    """Twenty numbers fitted to thirty rows: what is left of the noise within is a third."""
    rng = np.random.default_rng(1)
    inputs, noise = rng.normal(size=(30, 20)), rng.normal(size=30)
    start = lhx.Predictor(Line(jnp.zeros(20)), Normal(lhx.positive(1.0)))
    data = lhx.Dataset(inputs, noise)
    within = lhx.fit(lhx.NLL(), start, data).predictor.likelihood.scale.value
    found = lhx.cross_fit(lhx.NLL(), start, data, folds=np.arange(30), progress=False)
    assert within < 0.7 < 1.0 < np.std(noise - found.predictions)


def test_errors(as_a_user):
    with pytest.raises(ValueError, match="cross_fit: the folds are drawn at random: give key="):
        lhx.cross_fit(lhx.NLL(), LINE, DATA)
    with pytest.raises(ValueError, match="cross_fit: 13 folds of 12 rows"):
        lhx.cross_fit(lhx.NLL(), LINE, DATA, num_folds=13, key=jax.random.key(0))
    with pytest.raises(
        ValueError, match="at least one of them; -1 for rows that are always fitted"
    ):
        lhx.cross_fit(lhx.NLL(), LINE, DATA, folds=np.full(ROWS, -1))
    with pytest.raises(ValueError, match="from 0 without gaps"):
        lhx.cross_fit(lhx.NLL(), LINE, DATA, folds=np.arange(ROWS) + 1)
    with pytest.raises(ValueError, match="nothing was measured in fold 0, or but in it"):
        lhx.cross_fit(lhx.NLL(), LINE, DATA, folds=np.zeros(ROWS, int))
    with pytest.raises(ValueError, match="cross_fit: 3 predictors for 2 folds"):
        lhx.cross_fit(lhx.NLL(), [LINE] * 3, DATA, folds=np.arange(ROWS) % 2)
    with pytest.raises(ValueError, match="must be an Experiment or a Dataset, got list"):
        lhx.cross_fit(lhx.NLL(), LINE, [DATA], num_folds=2, key=jax.random.key(0))
    with pytest.raises(ValueError, match="cross_fit: 3 is no JAX random key"):
        lhx.cross_fit(lhx.NLL(), LINE, DATA, key=3)
