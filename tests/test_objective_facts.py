"""What is known of the usual losses, held against the likelihoods that they are."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.special import entr

import likelihax as lhx
from likelihax.likelihoods import Bernoulli, Categorical, Laplace, Normal


class Constant(eqx.Module):
    """The same prediction for every row: a number, or a vector."""

    value: lhx.Parameter

    def __call__(self, x):
        return jnp.broadcast_to(self.value, x.shape + self.value.shape)


class Linear(eqx.Module):
    coefficients: lhx.Parameter

    def __call__(self, table):
        return table @ self.coefficients


# -------------------------------------------------------------- smoothed labels: the entropy stays

CASES = pytest.mark.parametrize(
    ("classes", "smoothing"), [(2, 0.1), (3, 0.01), (3, 0.9), (10, 0.1), (10, 0.5)]
)


def targets(labels, classes, smoothing):
    return (1 - smoothing) * np.eye(classes)[labels] + smoothing / classes


@CASES
def test_a_smoothed_label_costs_the_entropy_of_its_target_at_best(classes, smoothing):
    likelihood = Categorical(classes, label_smoothing=smoothing)
    nll = jax.jit(jax.value_and_grad(lambda logits: likelihood.nll(logits, np.ones(1))[0]))
    target = targets([1], classes, smoothing)
    best = np.log(target) + 0.7  # whatever is added to all logits
    least, gradient = nll(best)
    np.testing.assert_allclose(least, entr(target).sum(), rtol=0, atol=1e-10)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-14)
    for seed in range(20):
        away = np.random.default_rng(seed).normal(size=target.shape)
        assert nll(best + away)[0] > least
    surer = 5 * np.eye(classes)[[1]]  # of the right label, and it costs more
    assert nll(best + surer)[0] > least + 0.01


def test_without_smoothing_there_is_no_best():
    likelihood = Categorical(3)
    sure = [
        float(likelihood.nll(np.array([[0.0, logit, 0.0]]), np.ones(1))[0]) for logit in (5, 50)
    ]
    assert sure[0] > sure[1] > 0


@CASES
def test_a_fit_to_smoothed_labels_costs_the_entropy_of_the_mean_target(classes, smoothing):
    labels = np.random.default_rng(classes).integers(0, classes, 200) ** 2 // classes
    start = lhx.real(np.linspace(-1.0, 1.0, classes), name="logits")
    predictor = lhx.Predictor(Constant(start), Categorical(classes, label_smoothing=smoothing))
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(np.arange(200.0), labels))
    assert fit.success, fit.message
    mean = targets(labels, classes, smoothing).mean(axis=0)
    np.testing.assert_allclose(fit.nll / 200, entr(mean).sum(), rtol=0, atol=1e-10)
    found = np.exp(fit.estimates["logits"])
    np.testing.assert_allclose(found / found.sum(), mean, atol=1e-5)


# -------------------------------------------------------- the gradient of cross-entropy is -1 / p

PROBABILITIES = np.array([1e-12, 1e-6, 0.01, 0.3, 0.5, 0.9, 1 - 1e-6])


def of_yes(p):
    return Bernoulli().nll(jnp.log(p) - jnp.log1p(-p), np.ones(p.shape))


def of_no(p):
    return Bernoulli().nll(jnp.log1p(-p) - jnp.log(p), np.zeros(p.shape))


def logits_of_the_third(p):
    rest = jnp.log1p(-p) - np.log(3)
    return jnp.stack([rest, rest, jnp.log(p), rest], axis=-1)


def of_a_label(p):
    return Categorical(4).nll(logits_of_the_third(p), np.full(p.shape, 2.0))


def of_a_soft_label(p):
    target = np.broadcast_to(np.eye(4)[2], (*p.shape, 4))
    return Categorical(4, soft=True).nll(logits_of_the_third(p), target)


@pytest.mark.parametrize("nll", [of_yes, of_no, of_a_label, of_a_soft_label])
def test_the_gradient_in_the_probability_of_what_happened_is_minus_one_over_it(nll):
    p = PROBABILITIES
    np.testing.assert_allclose(nll(p), -np.log(p), rtol=1e-9)
    slope = jax.grad(lambda p: nll(p).sum())(jnp.asarray(p))
    np.testing.assert_allclose(slope, -1 / p, rtol=1e-12)
    step = 1e-4 * np.minimum(p, 1 - p)
    difference = (nll(p + step) - nll(p - step)) / (2 * step)
    np.testing.assert_allclose(slope, difference, rtol=3e-6)


# ----------------------------------------------- least squares: the Normal of known scale

ROWS = 40
TABLE = np.column_stack([np.ones(ROWS), np.random.default_rng(1).normal(size=(ROWS, 2))])
Y = TABLE @ [1.0, -2.0, 0.5] + np.random.default_rng(2).standard_t(3, size=ROWS)


def regression(coefficients, likelihood):
    return lhx.Predictor(Linear(lhx.real(coefficients, name="b")), likelihood)


@pytest.mark.parametrize("sigma", [0.2, 7.0])
def test_least_squares_are_where_the_normal_nll_is_least(sigma):
    fit = lhx.fit(lhx.NLL(), regression(np.zeros(3), Normal(sigma)), lhx.Dataset(TABLE, Y))
    assert fit.success, fit.message
    solved, squares, *_ = np.linalg.lstsq(TABLE, Y, rcond=None)
    np.testing.assert_allclose(fit.estimates["b"], solved, rtol=1e-9)
    constants = ROWS * (np.log(sigma) + 0.5 * np.log(2 * np.pi))
    np.testing.assert_allclose(fit.nll, squares[0] / (2 * sigma**2) + constants, rtol=1e-12)


@pytest.mark.parametrize("sigma", [0.2, 1.0, 7.0])
def test_gradients_of_mean_square_and_normal_nll_are_proportional(sigma):
    data = lhx.Dataset(TABLE, Y)

    def nll(coefficients):
        predictor = lhx.Predictor(Linear(coefficients), Normal(sigma))
        return lhx.NLL().evaluate(predictor, data).total

    gradient = jax.jit(jax.grad(nll))
    for seed in range(3):
        b = np.random.default_rng(seed).normal(size=3)
        of_mean_square = -2 / ROWS * TABLE.T @ (Y - TABLE @ b)
        expected = ROWS / (2 * sigma**2) * of_mean_square
        np.testing.assert_allclose(gradient(b), expected, rtol=1e-12)


# ------------------------------------------- least absolute deviations: the Laplace distribution


@pytest.mark.parametrize("count", [5, 201])
def test_the_median_is_where_the_laplace_nll_is_least(count):
    y = np.random.default_rng(count).gumbel(3.0, 2.0, size=count)
    predictor = lhx.Predictor(Constant(lhx.real(0.0, name="m")), Laplace(lhx.positive(1.0)))
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(np.arange(float(count)), y))
    assert fit.success, fit.message
    away = np.mean(np.abs(y - np.median(y)))
    np.testing.assert_allclose(fit.estimates["m"], np.median(y), rtol=1e-6)
    np.testing.assert_allclose(fit.estimates["scale"], away, rtol=1e-5)
    np.testing.assert_allclose(fit.nll / count, 1 + np.log(2 * away), rtol=1e-8)


def test_between_the_two_middle_values_all_are_medians():
    y = np.array([-4.0, 0.0, 1.0, 30.0])
    predictor = lhx.Predictor(Constant(lhx.real(-3.0, name="m")), Laplace(1.0))
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(np.arange(4.0), y))
    assert -1e-6 < fit.estimates["m"] < 1 + 1e-6
    least = np.abs(y - np.median(y)).sum() + 4 * np.log(2)
    np.testing.assert_allclose(fit.nll, least, rtol=1e-7)


def least_absolute_deviations():
    """Coefficients and the sum of deviations, each split in what is above and below the line."""
    costs = np.concatenate([np.zeros(3), np.ones(2 * ROWS)])
    equal = np.hstack([TABLE, np.eye(ROWS), -np.eye(ROWS)])
    bounds = [*[(None, None)] * 3, *[(0, None)] * (2 * ROWS)]
    solved = linprog(costs, A_eq=equal, b_eq=Y, bounds=bounds, method="highs")
    return solved.x[:3], solved.fun


@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_least_absolute_deviations_are_where_the_laplace_nll_is_least(scale):
    fit = lhx.fit(lhx.NLL(), regression(np.zeros(3), Laplace(scale)), lhx.Dataset(TABLE, Y))
    assert fit.success, fit.message
    coefficients, deviations = least_absolute_deviations()
    np.testing.assert_allclose(fit.estimates["b"], coefficients, atol=1e-4)
    least = deviations / scale + ROWS * np.log(2 * scale)
    np.testing.assert_allclose(fit.nll, least, rtol=1e-7)
