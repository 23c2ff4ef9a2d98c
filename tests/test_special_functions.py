"""Special functions against mpmath at 50 digits, in both precisions, with their derivatives."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from likelihax._special import (
    _bessel,
    _compensated,
    _elementary,
    _gamma,
    _gaussian,
    _truncated_gaussian,
)

DIGITS = 50
DTYPES = {"float64": np.float64, "float32": np.float32}


class Case(NamedTuple):
    """A function, what it is, its derivatives, and where it is wanted."""

    function: Callable[..., jax.Array]
    exact: Callable[..., mp.mpf]
    slopes: tuple[Callable[..., mp.mpf], ...]
    points: tuple[np.ndarray, ...]


def grid(low, high, count=150):
    """Positive numbers, evenly over the decades, with odd digits."""
    return np.geomspace(low, high, count) * (1 + 1e-3 * np.sin(np.arange(count)))


def both_signs(low, high, count=150):
    half = grid(low, high, count)
    return np.concatenate([-half, [0.0], half])


def pairs(first, second, count=300, seed=0):
    generator = np.random.default_rng(seed)
    return tuple(generator.choice(values, count) for values in (first, second))


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def binet(x):
    return mp.loggamma(x) - (x - mp.mpf(1) / 2) * mp.log(x) + x - mp.log(2 * mp.pi) / 2


def binet_slope(x):
    return mp.digamma(x) - mp.log(x) + 1 / (2 * x)


def binet_curvature(x):
    return mp.polygamma(1, x) - 1 / x - 1 / (2 * x**2)


def binet_third(x):
    return mp.polygamma(2, x) + 1 / x**2 + 1 / x**3


def half_step(x):
    return mp.loggamma(x + mp.mpf(1) / 2) - mp.loggamma(x) - mp.log(x) / 2


def half_step_slope(x):
    return mp.digamma(x + mp.mpf(1) / 2) - mp.digamma(x) - 1 / (2 * x)


def half_step_curvature(x):
    return mp.polygamma(1, x + mp.mpf(1) / 2) - mp.polygamma(1, x) + 1 / (2 * x**2)


def half_step_third(x):
    return mp.polygamma(2, x + mp.mpf(1) / 2) - mp.polygamma(2, x) - 1 / x**3


def tail(x):
    """`1 - Phi(x)`."""
    return mp.erfc(x / mp.sqrt(2)) / 2


def density(x):
    return mp.exp(-(x**2) / 2) / mp.sqrt(2 * mp.pi)


def inverse_mills(x):
    return density(x) / tail(-x)


def between(start, width):
    return tail(start) - tail(start + width)


def from_nearer_bound(middle, width):
    return middle - width / 2, width


def mean_length(x):
    return mp.besseli(1, x) / mp.besseli(0, x)


def divergence(log_odds, shift):
    q = sigmoid(log_odds)
    return mp.log(1 - q + q * mp.exp(shift)) - q * shift


def divergence_slope(log_odds, shift):
    q = sigmoid(log_odds)
    return sigmoid(log_odds + shift) - q


def divergence_in_log_odds(log_odds, shift):
    q = sigmoid(log_odds)
    return (mp.expm1(shift) / (1 - q + q * mp.exp(shift)) - shift) * q * (1 - q)


def near_logs(y, seed):
    """Logarithms of `y`, off by anything from nothing much to a lot."""
    generator = np.random.default_rng(seed)
    off = generator.choice([-1.0, 1.0], y.size) * 10.0 ** generator.uniform(-8, 1, y.size)
    return np.log(y) + off


COUNTS = grid(1e-3, 1e9, 300)
CASES = {
    "sigmoid": Case(
        _elementary.sigmoid, sigmoid, (lambda x: sigmoid(x) * sigmoid(-x),), (both_signs(1e-5, 80),)
    ),
    "softplus": Case(
        _elementary.softplus,
        lambda x: mp.log1p(mp.exp(x)),
        (sigmoid,),
        (both_signs(1e-5, 80),),
    ),
    "exp_excess": Case(
        _elementary.exp_excess,
        lambda x: mp.expm1(x) - x,
        (mp.expm1,),
        (both_signs(1e-6, 60),),
    ),
    "log_excess": Case(
        _elementary.log_excess,
        lambda u: u - mp.log1p(u),
        (lambda u: u / (1 + u),),
        (np.concatenate([grid(1e-6, 1e6), -grid(1e-6, 0.99)]),),
    ),
    "log1mexp": Case(
        _elementary.log1mexp,
        lambda x: mp.log(-mp.expm1(-x)),
        (lambda x: 1 / mp.expm1(x),),
        (grid(1e-6, 80, 300),),
    ),
    "log1p": Case(
        _elementary.log1p,
        mp.log1p,
        (lambda x: 1 / (1 + x),),
        (np.concatenate([-grid(1e-9, 0.99, 100), grid(1e-9, 1e6, 200)]),),
    ),
    "logistic_divergence": Case(
        lambda log_odds, shift: _elementary.logistic_divergence(
            _elementary.sigmoid(log_odds), _elementary.sigmoid(-log_odds), shift
        ),
        divergence,
        (divergence_in_log_odds, divergence_slope),
        pairs(both_signs(1e-3, 30), both_signs(1e-4, 50)),
    ),
    "binet": Case(_gamma.binet, binet, (binet_slope,), (grid(1e-6, 1e8, 300),)),
    "binet_slope": Case(
        _gamma.binet_slope,
        binet_slope,
        (binet_curvature,),
        (grid(1e-6, 1e6, 300),),
    ),
    "binet_curvature": Case(
        _gamma.binet_curvature,
        binet_curvature,
        (binet_third,),
        (grid(1e-4, 1e5, 300),),
    ),
    "half_step": Case(_gamma.half_step, half_step, (half_step_slope,), (grid(1e-6, 1e8, 300),)),
    "half_step_slope": Case(
        _gamma.half_step_slope,
        half_step_slope,
        (half_step_curvature,),
        (grid(1e-6, 1e6, 300),),
    ),
    "half_step_curvature": Case(
        _gamma.half_step_curvature,
        half_step_curvature,
        (half_step_third,),
        (grid(1e-4, 1e5, 300),),
    ),
    "log_bessel": Case(
        _bessel.log_bessel,
        lambda x: mp.log(mp.besseli(0, x)) - x,
        (lambda x: mean_length(x) - 1,),
        (grid(1e-6, 1e4, 300),),
    ),
    "bessel_deficit": Case(
        _bessel.bessel_deficit,
        lambda x: 1 - mean_length(x),
        (lambda x: mean_length(x) / x - 1 + mean_length(x) ** 2,),
        (grid(1e-3, 1e4, 300),),
    ),
    "mills_ratio": Case(
        _gaussian.mills_ratio,
        lambda x: tail(x) / density(x),
        (lambda x: x * tail(x) / density(x) - 1,),
        (grid(1e-6, 1e4, 300),),
    ),
    "log_ndtr": Case(
        _gaussian.log_ndtr,
        lambda x: mp.log(tail(-x)),
        (inverse_mills,),
        (np.concatenate([-grid(1e-5, 1e4), grid(1e-5, 12)]),),
    ),
    "inverse_mills": Case(
        _gaussian.inverse_mills,
        inverse_mills,
        (lambda x: -inverse_mills(x) * (x + inverse_mills(x)),),
        (np.concatenate([-grid(1e-5, 1e2), grid(1e-5, 12)]),),
    ),
    "log_ndtr_between": Case(
        lambda start, width: _truncated_gaussian.log_ndtr_between(
            start, width, start + 0.5 * width
        ),
        lambda start, width: mp.log(between(start, width)),
        (
            lambda start, width: (density(start + width) - density(start)) / between(start, width),
            lambda start, width: density(start + width) / between(start, width),
        ),
        from_nearer_bound(*pairs(np.append(grid(1e-3, 20), 0.0), grid(1e-4, 10))),
    ),
    "less_log": Case(
        _compensated.less_log,
        lambda x, y: x - mp.log(y),
        (lambda x, y: mp.mpf(1), lambda x, y: -1 / y),
        (near_logs(COUNTS, 1), COUNTS),
    ),
    "less_log_odds": Case(
        _compensated.less_log_odds,
        lambda x, y, n: x - mp.log(y / (n - y)),
        (
            lambda x, y, n: mp.mpf(1),
            lambda x, y, n: -1 / y - 1 / (n - y),
            lambda x, y, n: 1 / (n - y),
        ),
        (near_logs(np.linspace(0.01, 100, 300), 2), np.linspace(1, 99, 300), np.full(300, 101.0)),
    ),
}


# About twice the largest error found, in units in the last place: of values and of derivatives.
# Where second derivatives are differences of numbers that are nearly equal, they are large.
ULPS = {
    "logistic_divergence": (12, 20_000),
    "binet": (40, 12),
    "binet_slope": (40, 12),
    "binet_curvature": (8, 40),
    "half_step_curvature": (8, 80),
    "log_bessel": (8, 80),
    "bessel_deficit": (140, 4000),
    "log_ndtr": (45, 45),
    "inverse_mills": (45, 45),
    # Of the width, the density at the farther bound: an exponential of a number that is rounded.
    "log_ndtr_between": (10, 64),
}

# Where a value is small beside what it is added to, an error is measured against that.
FLOORS = {
    "binet": lambda x, eps: 1.0,
    "binet_slope": lambda x, eps: 1 / x,
    "binet_curvature": lambda x, eps: 1 / x**2,
    "half_step": lambda x, eps: 1.0,
    "half_step_slope": lambda x, eps: 1 / x,
    "half_step_curvature": lambda x, eps: 1 / x**2,
    "log_bessel": lambda x, eps: 1.0,
    "less_log": lambda x, eps: 4 * eps * abs(x),
    "less_log_odds": lambda x, eps: 4 * eps * abs(x),
}


@pytest.mark.parametrize(("dtype", "of_eps"), [(np.float64, 4e-10), (np.float32, 2e-6)])
def test_what_an_exponential_has_lost(dtype, of_eps):
    x = jnp.asarray(both_signs(1e-6, 60, 200), dtype)
    columns = (np.asarray(each).tolist() for each in (x, jnp.exp(x), _compensated.exp_rest(x)))
    with mp.workdps(DIGITS):
        for each, rounded, rest in zip(*columns, strict=True):
            error = (mp.mpf(rounded) + mp.mpf(rest)) / mp.exp(mp.mpf(each)) - 1
            assert abs(error) <= of_eps * float(np.finfo(dtype).eps) * max(1.0, abs(each))


def test_the_coefficients_of_the_mills_ratio_are_those_of_the_interpolation():
    def smooth(t):
        x = 3 * (1 + t) / (1 - t)
        ratio = mp.exp(x * x / 2) * mp.sqrt(mp.pi / 2) * mp.erfc(x / mp.sqrt(2))
        return (x + mp.mpf(3) / 2) * (1 / ratio - x)

    count = 81
    with mp.workdps(80):
        angles = [mp.pi * (j + mp.mpf(1) / 2) / count for j in range(count)]
        values = [smooth(mp.cos(angle)) for angle in angles]
        for k, found in enumerate(_gaussian._CHEBYSHEV):
            terms = (v * mp.cos(k * angle) for v, angle in zip(values, angles, strict=True))
            assert abs(found - mp.fsum(terms) * (2 if k else 1) / count) < 1e-16


def assert_close(found, exact, floor, ulps):
    """Within some units in the last place of the exact value, or of the floor."""
    kind = np.finfo(found.dtype)
    eps, tiny = float(kind.eps), float(kind.tiny)
    exact = np.asarray([float(each) for each in exact])
    size = np.maximum(np.maximum(np.abs(exact), floor), tiny / eps)
    error = np.abs(np.asarray(found, float) - exact) / (eps * size)
    assert np.all(error <= ulps), f"{np.max(error):.3g} units at index {np.argmax(error)}"


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives_are_those_of_mpmath(name, dtype):
    case = CASES[name]
    points = [jnp.asarray(each, dtype) for each in case.points]
    # The floats themselves, so that their own rounding is no error.
    rows = [[mp.mpf(float(each)) for each in row] for row in zip(*points, strict=True)]
    x = np.asarray(points[0], float)
    floor = FLOORS.get(name, lambda x, eps: 0.0)(x, float(np.finfo(dtype).eps))
    of_slope = floor / np.where(x == 0, 1.0, np.abs(x))
    ulps, slope_ulps = ULPS.get(name, (8, 8))
    with mp.workdps(DIGITS):
        found = case.function(*points)
        assert found.dtype == dtype
        assert_close(found, [case.exact(*row) for row in rows], floor, ulps)
        for i, slope in enumerate(case.slopes):
            gradient = jax.vmap(jax.grad(case.function, i))(*points)
            exact = [slope(*row) for row in rows]
            assert_close(gradient, exact, of_slope, slope_ulps)
