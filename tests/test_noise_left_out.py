"""Noise of rows left out: each step by SciPy, and what it says of rows never seen."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from scipy import optimize, stats

import likelihax as lhx
from likelihax.likelihoods import Normal

ROWS, COLUMNS = 60, 3
RNG = np.random.default_rng(0)
X = np.column_stack([np.ones(ROWS), RNG.uniform(-1, 1, (ROWS, COLUMNS - 1))])
SCALE = 0.3 * np.exp(X[:, 1])
VALUES = X @ [1.0, 2.0, -1.0] + SCALE * RNG.standard_t(4, size=ROWS)
DATA = lhx.Dataset(X, VALUES)
FOLDS = np.arange(ROWS) % 6


class Line(eqx.Module):
    weights: Array

    def __call__(self, x):
        return x @ self.weights


LINE = lhx.Predictor(Line(jnp.zeros(COLUMNS)), Normal(lhx.positive(1.0)))


def noise_of(predictor):
    """A log-scale that is linear in the inputs."""
    return Line(jnp.zeros(predictor.model.weights.shape))


@pytest.fixture(scope="module")
def begun():
    fit = lhx.fit(lhx.NLL(), LINE, DATA)
    return fit, lhx.cross_fit(lhx.NLL(), LINE, DATA, folds=FOLDS, progress=False)


def t_fit(errors, x=X):
    """Log-scale weights and degrees of freedom with the largest posterior, by SciPy."""

    def cost(numbers):
        dof = 2 + np.exp(numbers[-1])
        density = stats.t.logpdf(errors, dof, 0.0, np.exp(x @ numbers[:-1]))
        return -np.sum(density) - stats.gamma.logpdf(dof, 2.0, scale=10.0)

    start = np.r_[np.zeros(COLUMNS), 1.0]
    options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 10000, "maxfev": 10000}
    found = optimize.minimize(cost, start, method="Nelder-Mead", options=options).x
    return found[:-1], 2 + np.exp(found[-1])


def test_noise_is_fitted_to_errors_on_rows_left_out(begun):
    fit, left_out = begun
    found = lhx.noise_left_out(fit, left_out, noise_of, rounds=0)
    errors = np.empty(ROWS)
    for fold in range(6):
        kept = fold != FOLDS
        weights = np.linalg.lstsq(X[kept], VALUES[kept], rcond=None)[0]
        errors[~kept] = (VALUES - X @ weights)[~kept]
    np.testing.assert_allclose(found.errors, errors, atol=1e-5)
    weights, dof = t_fit(errors)
    said = found.predictor(jnp.asarray(X))
    np.testing.assert_allclose(said.scale, np.exp(X @ weights), rtol=2e-3)
    np.testing.assert_allclose(said.df, dof, rtol=5e-3)
    np.testing.assert_allclose(said.loc, fit.predictor.model(X))
    assert "60 of 60 rows left out once" in repr(found)


def told_by_the_others(errors, folds):
    """The NLL of the errors of each fold under the noise of all others."""
    total = 0.0
    for fold in range(folds.max() + 1):
        unseen = folds == fold
        weights, dof = t_fit(errors[~unseen], X[~unseen])
        scale = np.exp(X[unseen] @ weights)
        total -= np.sum(stats.t.logpdf(errors[unseen], dof, 0.0, scale))
    return total / len(errors)


def test_what_to_expect_of_new_rows_is_told_by_the_noise_of_others(begun):
    found = lhx.noise_left_out(*begun, noise_of, rounds=0)
    np.testing.assert_allclose(found.held_out, told_by_the_others(found.errors, FOLDS), atol=1e-4)
    seen = lhx.NLL().elementwise(found.noises[0].predictor, found.noises[0].data)[0]
    assert found.held_out > np.mean(seen) + 0.01


def test_the_errors_of_a_single_part_are_left_out_by_fifths(begun):
    half = np.where(np.arange(ROWS) < 40, 0, -1)
    left_out = lhx.cross_fit(lhx.NLL(), LINE, DATA, folds=half, progress=False)
    found = lhx.noise_left_out(begun[0], left_out, noise_of, rounds=0)
    folds = found.noise_left_out.folds
    assert np.all(folds[40:] == -1)
    assert np.bincount(folds[:40]).tolist() == [8] * 5
    assert np.isfinite(found.held_out)


def test_the_mean_is_fitted_anew_with_that_noise_known(begun):
    before = lhx.noise_left_out(*begun, noise_of, rounds=0).predictor(jnp.asarray(X))
    found = lhx.noise_left_out(*begun, noise_of, rounds=1)

    def best(kept):
        cost = lambda w: (
            -np.sum(stats.t.logpdf(VALUES - X @ w, np.asarray(before.df), 0.0, before.scale)[kept])
        )
        return optimize.minimize(cost, [1.0, 2.0, -1.0], tol=1e-10).x

    weights = found.predictor.model.mean.weights
    np.testing.assert_allclose(weights, best(np.full(ROWS, True)), atol=2e-5)
    np.testing.assert_allclose(
        found.left_out.predictors[2].model.weights, best(FOLDS != 2), atol=2e-5
    )
    # The second noise is that of the second errors.
    scale = np.exp(X @ t_fit(found.errors)[0])
    np.testing.assert_allclose(found.predictor(jnp.asarray(X)).scale, scale, rtol=2e-3)


def test_fits_that_began_elsewhere_are_an_ensemble(begun):
    fit, left_out = begun
    other = lhx.Predictor(Line(jnp.ones(COLUMNS)), Normal(lhx.positive(2.0)))
    fits = [fit, lhx.fit(lhx.NLL(), other, DATA)]
    found = lhx.noise_left_out(fits, left_out, noise_of, rounds=1)
    one, two = (each(jnp.asarray(X)) for each in found.predictors)
    np.testing.assert_allclose(one.mean, two.mean, atol=1e-4)
    together = found.ensemble(jnp.asarray(X))
    np.testing.assert_allclose(together.log_prob(VALUES), one.log_prob(VALUES), atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_honest_of_rows_never_seen(dtype):
    """Forty numbers for sixty rows: what is left within is far less than what new rows show."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1060, 40)).astype(dtype)
    y = (x[:, 0] + rng.normal(size=1060)).astype(dtype)
    data = lhx.Dataset(x[:60], y[:60])
    start = lhx.Predictor(Line(jnp.zeros(40, dtype)), Normal(lhx.positive(dtype(1.0))))
    objective = lhx.NLL() + dtype(1e-3) * lhx.terms.L2(lambda p: p.model.weights)
    fit = lhx.fit(objective, start, data, throw=False)
    left_out = lhx.cross_fit(objective, start, data, num_folds=20, key=jax.random.key(0))

    class Constant(eqx.Module):
        level: Array

        def __call__(self, x):
            return jnp.broadcast_to(self.level, x.shape[:1])

    found = lhx.noise_left_out(fit, left_out, lambda _: Constant(jnp.zeros((), dtype)), rounds=1)
    said = found.predictor(x[60:])
    off = np.sqrt(np.mean((y[60:] - np.asarray(said.mean)) ** 2))
    stated = float(np.sqrt(np.mean(np.asarray(said.variance))))
    assert said.scale.dtype == dtype
    assert float(fit.predictor.likelihood.scale.value) < 0.5 * off
    assert 0.75 < stated / off < 1.35


def test_errors(begun, as_a_user):
    fit, left_out = begun
    learn = lhx.noise_left_out
    with pytest.raises(ValueError, match="give a fit of what is expected"):
        learn([], left_out, noise_of)
    with pytest.raises(ValueError, match="left_out must be what cross_fit returns, got Fit"):
        learn(fit, fit, noise_of)
    with pytest.raises(ValueError, match="must be of the same data"):
        learn(lhx.fit(lhx.NLL(), LINE, lhx.Dataset(X, VALUES + 1)), left_out, noise_of)
    alone = lhx.cross_fit(lhx.NLL(), LINE, DATA, folds=np.r_[0, np.full(ROWS - 1, -1)])
    with pytest.raises(ValueError, match="no noise can be learned from one error"):
        learn(fit, alone, noise_of)
    with pytest.raises(ValueError, match="rounds must be 0 or more, got -1"):
        learn(fit, left_out, noise_of, rounds=-1)
    both = lhx.Predictor(Pair(jnp.zeros((COLUMNS, 2))), Normal(lhx.predicted()))
    with pytest.raises(ValueError, match="the model predicts 2 numbers a value"):
        learn(lhx.fit(lhx.NLL(), both, DATA, throw=False), left_out, noise_of)
    lost = lambda predictor: Line(jnp.full(COLUMNS, jnp.nan))
    with pytest.raises(ValueError, match="the noise could not be fitted"):
        learn(fit, left_out, lost)


class Pair(eqx.Module):
    weights: Array

    def __call__(self, x):
        return x @ self.weights
