"""Laws that every likelihood keeps, over one table, against SciPy and mpmath."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy import integrate, stats

import likelihax as lhx
from likelihax.likelihoods import AbstractRegularLikelihood, LogNormal, Normal


class Row(NamedTuple):
    """A family: how to make it, its SciPy witness, its exact NLL, and points to look at."""

    make: Callable[..., AbstractRegularLikelihood]
    scipy: Callable[..., object]
    exact: Callable[..., mpmath.mpf]
    predictions: tuple[float, ...]
    values: tuple[float, ...]
    support: tuple[float, float]


def exact_normal(y, loc, scale):
    y, loc, scale = map(mpmath.mpf, (y, loc, scale))
    return ((y - loc) / scale) ** 2 / 2 + mpmath.log(scale) + mpmath.log(2 * mpmath.pi) / 2


def exact_log_normal(y, median, sigma):
    return exact_normal(mpmath.log(y), mpmath.log(median), sigma) + mpmath.log(y)


TABLE = {
    "normal": Row(
        Normal,
        lambda loc, scale: stats.norm(loc, scale),
        exact_normal,
        (-3.0, 0.0, 2.0, 1e4),
        (-1e5, -1.0, 0.5, 3.0, 1e5),
        (-np.inf, np.inf),
    ),
    "log_normal": Row(
        LogNormal,
        lambda median, sigma: stats.lognorm(sigma, scale=median),
        exact_log_normal,
        (1e-6, 0.5, 2.0, 1e4),
        (1e-8, 0.3, 1.0, 7.0, 1e8),
        (0.0, np.inf),
    ),
}
SCALES = (1e-3, 0.3, 1.0, 50.0)

every_family = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)


def grid(row):
    mesh = np.meshgrid(row.predictions, row.values, SCALES, indexing="ij")
    return (axis.ravel() for axis in mesh)


@every_family
def test_value_against_mpmath(row):
    mpmath.mp.dps = 50
    for prediction, y, scale in zip(*grid(row), strict=True):
        found = row.make(float(scale)).nll(jnp.asarray([prediction]), jnp.asarray([y]))[0]
        exact = float(row.exact(y, prediction, scale))
        assert float(found) == pytest.approx(exact, rel=1e-12, abs=1e-12)


@every_family
def test_value_against_scipy_and_numpyro(row):
    for prediction, y, scale in zip(*grid(row), strict=True):
        likelihood = row.make(float(scale))
        found = float(likelihood.nll(jnp.asarray([prediction]), jnp.asarray([y]))[0])
        assert found == pytest.approx(-row.scipy(prediction, scale).logpdf(y), rel=1e-9)
        distribution = likelihood.distribution(jnp.asarray([prediction]))
        assert found == pytest.approx(-float(distribution.log_prob(jnp.asarray([y]))[0]), rel=1e-9)


@every_family
def test_it_integrates_to_one(row):
    likelihood = row.make(0.3)
    density = lambda y: float(jnp.exp(-likelihood.nll(jnp.asarray(2.0), jnp.asarray(y))))
    low, high = max(row.support[0], -2.0), 20.0
    total, _ = integrate.quad(density, low, high, points=(1.0, 2.0, 3.0), limit=200)
    assert total == pytest.approx(1.0, abs=1e-8)


@every_family
@pytest.mark.parametrize("scale", [0.1, 0.7, 3.0])
def test_derivatives_against_mpmath(row, scale):
    mpmath.mp.dps = 50

    def total(prediction, scale):
        return row.make(lhx.positive(scale)).nll(prediction, jnp.asarray(1.7))

    found = jax.grad(total, argnums=(0, 1))(jnp.asarray(2.5), jnp.asarray(scale))
    exact = (
        mpmath.diff(lambda p: row.exact(1.7, p, scale), 2.5),
        mpmath.diff(lambda s: row.exact(1.7, 2.5, s), scale),
    )
    np.testing.assert_allclose(found, [float(each) for each in exact], rtol=1e-12)


@every_family
def test_information_and_curvature_by_quadrature(row):
    likelihood = row.make(0.4)
    outputs = likelihood.outputs(jnp.asarray([2.0]))
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    noise = np.asarray(0.4 * nodes)
    values = 2.0 + noise if row.make is Normal else 2.0 * np.exp(noise)
    weights = weights / weights.sum()

    def kernel(stacked, y):
        return likelihood.kernel(tuple(stacked), y)[0]

    stacked = jnp.stack(outputs)
    score = jax.vmap(lambda y: jax.grad(kernel)(stacked, y[None]))(jnp.asarray(values))[:, :, 0]
    # The score has mean zero and the information as its variance; the curvature, as its mean.
    np.testing.assert_allclose(weights @ score, 0.0, atol=1e-10)
    information = np.stack(likelihood.information(outputs))[:, 0]
    np.testing.assert_allclose(weights @ np.square(score), information, rtol=1e-10)
    curvature = jax.vmap(lambda y: jnp.stack(likelihood.curvature(outputs, y[None])))(values)
    np.testing.assert_allclose(weights @ np.asarray(curvature)[:, :, 0], information, rtol=1e-10)
    assert np.all(np.asarray(curvature) > 0)


@every_family
def test_jit_vmap_and_float32_agree(row):
    prediction, y = jnp.asarray(row.predictions[1:3]), jnp.abs(jnp.asarray(row.values[1:3]))
    likelihood = row.make(0.5)
    eager = (
        likelihood.nll(prediction, y) if row.make is Normal else likelihood.nll(prediction, abs(y))
    )
    y = y if row.make is Normal else abs(y)
    np.testing.assert_allclose(eqx.filter_jit(likelihood.nll)(prediction, y), eager, rtol=1e-14)
    np.testing.assert_allclose(jax.vmap(likelihood.nll)(prediction, y), eager, rtol=1e-14)
    single = row.make(np.float32(0.5))
    found = single.nll(prediction.astype(jnp.float32), y.astype(jnp.float32))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, eager, rtol=1e-5)


@every_family
@pytest.mark.parametrize("shape", [(3, 1), (1, 2), (2,), (3, 2, 1)])
def test_shapes_never_broadcast(row, shape):
    with pytest.raises(ValueError, match=r"nothing is broadcast") as caught:
        row.make(0.5).nll(jnp.ones(shape), jnp.ones((3, 2)))
    assert str(shape) in str(caught.value)
    assert "(3, 2)" in str(caught.value)


@every_family
def test_noise_for_each_observable(row):
    prediction = jnp.full((3, 2), 2.0)
    together = row.make([0.1, 0.7]).nll(prediction, prediction + 0.1)
    for column, scale in enumerate((0.1, 0.7)):
        alone = row.make(scale).nll(prediction[:, column], prediction[:, column] + 0.1)
        np.testing.assert_allclose(together[:, column], alone, rtol=1e-14)
    with pytest.raises(ValueError, match=r"has shape \(3,\), the values have shape \(3, 2\)"):
        row.make([0.1, 0.2, 0.3]).nll(prediction, prediction)


def test_no_density_for_an_impossible_median():
    likelihood = LogNormal(0.5)
    value, slope = jax.value_and_grad(likelihood.nll)(jnp.asarray(-1.0), jnp.asarray(2.0))
    assert np.isinf(value)
    assert not np.isnan(slope)


def test_noise_may_be_traced_in_a_hand_written_loss():
    loss = lambda scale: Normal(scale).nll(jnp.zeros(2), jnp.ones(2)).sum()
    assert jax.jit(jax.grad(loss))(jnp.asarray(2.0)) == pytest.approx(2 * (0.5 - 1 / 8), rel=1e-12)
