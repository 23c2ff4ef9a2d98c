"""The gamma function and its relatives, without the parts that cancel in likelihoods.

Stirling's formula splits `log Gamma(x)` into `(x - 1/2) log x - x + log(2 pi) / 2`, which
cancels in every likelihood and is left to be cancelled on paper, and Binet's function, which
is small. Both asymptotic series are those of DLMF 5.11.1 and 5.11.8 (https://dlmf.nist.gov/5.11);
smaller arguments are shifted up to where the series hold by DLMF 5.5.1.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._elementary import is_double, log1p, log_excess, polynomial

_BERNOULLI = (  # B_2, B_4, ...
    1 / 6,
    -1 / 30,
    1 / 42,
    -1 / 30,
    5 / 66,
    -691 / 2730,
    7 / 6,
    -3617 / 510,
    43867 / 798,
)
_STIRLING = tuple(b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, 1))
# The same for Gamma(x + 1/2) / Gamma(x): B_2k(1/2) = -(1 - 2^(1 - 2k)) B_2k, DLMF 24.4.27.
_HALF = tuple(-(2 - 2.0 ** (1 - 2 * k)) * s for k, s in enumerate(_STIRLING, 1))


@jax.custom_jvp
def binet(x: Array) -> Array:
    """`log Gamma(x) - (x - 1/2) log x + x - log(2 pi) / 2` for `x > 0`."""
    return _by_shift(x, _binet_far, _binet_shift)


@jax.custom_jvp
def binet_slope(x: Array) -> Array:
    """The derivative of `binet`: `digamma(x) - log x + 1 / (2 x)`, negative."""
    return _by_shift(x, _binet_slope_far, _binet_slope_shift)


def binet_curvature(x: Array) -> Array:
    """The derivative of `binet_slope`: `trigamma(x) - 1 / x - 1 / (2 x^2)`, positive."""
    return _by_shift(x, _binet_curvature_far, _binet_curvature_shift)


@jax.custom_jvp
def half_step(x: Array) -> Array:
    """`log Gamma(x + 1/2) - log Gamma(x) - log(x) / 2` for `x > 0`."""
    return _by_shift(x, _half_step_far, _half_step_shift)


@jax.custom_jvp
def half_step_slope(x: Array) -> Array:
    """The derivative of `half_step`."""
    return _by_shift(x, _half_step_slope_far, _half_step_slope_shift)


def half_step_curvature(x: Array) -> Array:
    """The derivative of `half_step_slope`."""
    return _by_shift(x, _half_step_curvature_far, _half_step_curvature_shift)


def rise(x: Array, by: Array) -> Array:
    """`log Gamma(x + by) - log Gamma(x) - by log(x)` for `x > 0` and `by >= 0`.

    Zero where `by` is zero, and of order `by^2 / x` where `x` is large: nothing larger cancels.
    """
    share = by / x
    stretch = log1p(share)
    # ((1 + u) log(1 + u) - u) x, in which u log(1 + u) is twice what is taken from it
    return x * (share * stretch - log_excess(share)) - 0.5 * stretch + binet(x + by) - binet(x)


def _chain(function: jax.custom_jvp, derivative: Callable[[Array], Array]) -> None:
    @function.defjvp
    def jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
        (x,), (tangent,) = primals, tangents
        return function(x), derivative(x) * tangent


_chain(binet, binet_slope)
_chain(binet_slope, binet_curvature)
_chain(half_step, half_step_slope)
_chain(half_step_slope, half_step_curvature)


# --------------------------------------------------------------------------- far and near


def _by_shift(
    x: Array, far: Callable[[Array], Array], shift: Callable[[Array, int], Array]
) -> Array:
    """The series where it holds; nearer to zero, that of `x + steps`, and the way back."""
    steps = 9 if is_double(x) else 4
    near = x < steps
    small = jnp.where(near, x, 1.0)
    # One series serves both: nearer to zero it is taken at the shifted place.
    series = far(jnp.where(near, small + steps, x))
    return series + jnp.where(near, shift(small, steps), 0.0)


def _terms(x: Array, coefficients: tuple[float, ...]) -> tuple[Array, Array]:
    """`1 / x`, and the series in `1 / x^2`, as many terms as the dtype can tell."""
    inverse = 1 / x
    count = 9 if is_double(x) else 4
    return inverse, polynomial(inverse * inverse, coefficients[:count])


def _binet_far(x: Array) -> Array:
    inverse, series = _terms(x, _STIRLING)
    return inverse * series


def _binet_slope_far(x: Array) -> Array:
    inverse, series = _terms(x, _once(_STIRLING))
    return -inverse * inverse * series


def _binet_curvature_far(x: Array) -> Array:
    inverse, series = _terms(x, _twice(_STIRLING))
    return inverse * inverse * inverse * series


def _half_step_far(x: Array) -> Array:
    inverse, series = _terms(x, _HALF)
    return inverse * series


def _half_step_slope_far(x: Array) -> Array:
    inverse, series = _terms(x, _once(_HALF))
    return -inverse * inverse * series


def _half_step_curvature_far(x: Array) -> Array:
    inverse, series = _terms(x, _twice(_HALF))
    return inverse * inverse * inverse * series


def _once(coefficients: tuple[float, ...]) -> tuple[float, ...]:
    return tuple((2 * k - 1) * c for k, c in enumerate(coefficients, 1))


def _twice(coefficients: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(2 * k * (2 * k - 1) * c for k, c in enumerate(coefficients, 1))


def _binet_shift(x: Array, steps: int) -> Array:
    # x stands apart, so that nothing overflows where it is all but zero.
    above = x + steps
    ratio = above / steps
    for k in range(1, steps):
        ratio = ratio * (above / (x + k))
    return (x - 0.5) * jnp.log(above) - (x + 0.5) * jnp.log(x) + jnp.log(ratio * steps) - steps


def _binet_slope_shift(x: Array, steps: int) -> Array:
    above = x + steps
    total = jnp.log(above) - jnp.log(x) - 0.5 / above - 0.5 / x
    for k in range(1, steps):
        total = total - 1 / (x + k)
    return total


def _binet_curvature_shift(x: Array, steps: int) -> Array:
    above = x + steps
    total = 1 / above + 0.5 / above**2 - 1 / x + 0.5 / x**2
    for k in range(1, steps):
        total = total + 1 / (x + k) ** 2
    return total


def _half_step_shift(x: Array, steps: int) -> Array:
    above = x + steps
    ratio = 1 / (x + 0.5)
    for k in range(1, steps):
        ratio = ratio * ((x + k) / (x + k + 0.5))
    return 0.5 * (jnp.log(above) + jnp.log(x)) + jnp.log(ratio)


def _half_step_slope_shift(x: Array, steps: int) -> Array:
    total = 0.5 / (x + steps) + 0.5 / x - 1 / (x + 0.5)
    for k in range(1, steps):
        total = total + 0.5 / ((x + k) * (x + k + 0.5))
    return total


def _half_step_curvature_shift(x: Array, steps: int) -> Array:
    total = -0.5 / (x + steps) ** 2 - 0.5 / x**2 + 1 / (x + 0.5) ** 2
    for k in range(1, steps):
        total = total - 1 / (x + k) ** 2 + 1 / (x + k + 0.5) ** 2
    return total
