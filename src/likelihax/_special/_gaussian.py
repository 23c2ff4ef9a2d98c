"""The tails of the Normal distribution."""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import erfc
from jaxtyping import Array

from ._elementary import is_double

SQRT_HALF = math.sqrt(0.5)
HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


def mills_ratio(x: Array) -> Array:
    """`(1 - Phi(x)) / phi(x)` for `x >= 0`: about `1 / x` far out.

    Far out by Laplace's continued fraction (Abramowitz and Stegun 26.2.14).
    """
    bound, depth = (3.0, 70) if is_double(x) else (2.0, 32)
    far = x > bound
    out = jnp.where(far, x, bound)
    fraction = out
    for k in range(depth, 0, -1):
        fraction = out + k / fraction
    near = jnp.where(far, 0.0, x)
    # exp(x^2 / 2) of a product that is exact: the square's own rounding would be magnified.
    inner = 0.5 * erfc(near * SQRT_HALF) * jnp.exp(0.5 * near * near + HALF_LOG_TWO_PI)
    return jnp.where(far, 1 / fraction, inner)


def mills_remainder(x: Array) -> Array:
    """`1 / mills_ratio(x) - x` for `x >= 0`: about `1 / x` far out, from the same fraction."""
    bound, depth = (3.0, 70) if is_double(x) else (2.0, 32)
    far = x > bound
    out = jnp.where(far, x, bound)
    fraction = out
    for k in range(depth, 1, -1):
        fraction = out + k / fraction
    near = jnp.where(far, 0.0, x)
    return jnp.where(far, 1 / fraction, 1 / mills_ratio(near) - near)


@jax.custom_jvp
def log_ndtr(x: Array) -> Array:
    """`log Phi(x)`, in both tails."""
    lower = x < 0
    out = jnp.where(lower, -x, 0.0)
    tail = jnp.log(mills_ratio(out)) - 0.5 * out * out - HALF_LOG_TWO_PI
    body = jnp.log1p(-0.5 * erfc(jnp.where(lower, 0.0, x) * SQRT_HALF))
    return jnp.where(lower, tail, body)


@log_ndtr.defjvp
def _log_ndtr_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    return log_ndtr(x), inverse_mills(x) * tangent


@jax.custom_jvp
def inverse_mills(x: Array) -> Array:
    """`phi(x) / Phi(x)`: the derivative of `log_ndtr`."""
    lower = x < 0
    tail = 1 / mills_ratio(jnp.where(lower, -x, 0.0))
    out = jnp.where(lower, 0.0, x)
    density = jnp.exp(-0.5 * out * out - HALF_LOG_TWO_PI)
    return jnp.where(lower, tail, density / (1 - 0.5 * erfc(out * SQRT_HALF)))


@inverse_mills.defjvp
def _inverse_mills_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    ratio = inverse_mills(x)
    return ratio, -ratio * (x + ratio) * tangent


# Gauss-Legendre of order 6 on (-1/2, 1/2): half of the nodes, and twice their weights.
NODES = (0.11930959304159845, 0.33060469323313226, 0.46623475710157601)
WEIGHTS = (0.46791393457269104, 0.36076157304813861, 0.17132449237917036)


def is_narrow(middle: Array, width: Array) -> Array:
    """Where the quadrature over that many nodes is exact to the last digit, for `middle >= 0`."""
    if is_double(width):
        return width * (1 + middle) < 0.6
    return (width * (1 + middle) < 3) & (width < 1.8)


@jax.custom_jvp
def log_ndtr_between(middle: Array, width: Array) -> Array:
    """`log(Phi(middle + width / 2) - Phi(middle - width / 2))` for `width > 0`.

    However narrow the interval is and wherever it lies, nothing cancels: the integral of a
    narrow one is a sum over nodes, that of a wider one is a difference of Mills ratios, or one
    less both tails where the middle of the distribution is inside.
    """
    return _between(middle, width)[0]


@log_ndtr_between.defjvp
def _log_ndtr_between_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (middle, width), (middle_dot, width_dot) = primals, tangents
    value, nearer = _between(middle, width)
    fall = jnp.expm1(-_size(middle) * width)
    of_middle = jnp.where(middle < 0, -1.0, 1.0).astype(middle.dtype) * nearer * fall
    of_width = nearer * (1 + 0.5 * fall)
    return value, of_middle * middle_dot + of_width * width_dot


def _size(x: Array) -> Array:
    """`abs(x)`, with a derivative of one at zero, not of zero: that of the side it is taken on."""
    return jnp.where(x < 0, -x, x)


def _between(middle: Array, width: Array) -> tuple[Array, Array]:
    """The logarithm, and the density at the bound nearer to zero over the probability."""
    m = _size(middle)
    a, b = m - 0.5 * width, m + 0.5 * width
    narrow, outside = is_narrow(m, width), a > 0
    # narrow
    h = jnp.where(narrow, width, 0.1)
    step = jnp.where(narrow, m * width, 0.1)
    mean = sum(
        w * jnp.cosh(x * step) * jnp.exp(-0.5 * (x * h) ** 2)
        for x, w in zip(NODES, WEIGHTS, strict=True)
    )
    log_mean = jnp.log(h * mean) - 0.5 * m * m - HALF_LOG_TWO_PI
    of_mean = jnp.exp(0.5 * step - 0.125 * h * h) / (h * mean)
    # wider, to one side of zero
    near = jnp.where(outside, a, 0.0)
    far = jnp.where(outside, b, 1.0)
    left = mills_ratio(near) - mills_ratio(far) * jnp.exp(-jnp.where(outside, m * width, 0.5))
    left = jnp.where(narrow, 1.0, left)
    log_side = jnp.log(left) - 0.5 * near * near - HALF_LOG_TWO_PI
    # wider, with zero inside
    reach = jnp.where(outside, 0.0, -a)
    tails = 0.5 * (erfc(reach * SQRT_HALF) + erfc(jnp.where(outside, 1.0, b) * SQRT_HALF))
    tails = jnp.where(narrow, 0.5, tails)
    log_most = jnp.log1p(-tails)
    of_most = jnp.exp(-0.5 * reach * reach - HALF_LOG_TWO_PI) / (1 - tails)
    value = jnp.where(narrow, log_mean, jnp.where(outside, log_side, log_most))
    return value, jnp.where(narrow, of_mean, jnp.where(outside, 1 / left, of_most))
