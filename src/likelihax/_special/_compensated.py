"""Differences of logarithms to more digits than a logarithm has.

The deviance of a large count is a difference of numbers millions of times its size. Written
in the logarithm of predicted over measured it is not, but only as long as that logarithm is
exact to its own last digit, however near to zero. So logarithms are held here as sums of
floats that no rounding has touched, and added up last.

Sums of two floats keep their rounding error (D. E. Knuth, "The art of computer
programming", volume 2, section 4.2.2). Products are formed of factors with so few bits that
they are exact, since a compiler may fuse a product with a sum and so round it differently.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._elementary import is_double, polynomial

# log 2 in three parts; the first has so few bits that an exponent times it is exact.
_LOG2_DOUBLE = (
    float.fromhex("0x1.62e42fefa38p-1"),
    float.fromhex("0x1.ef35793c7673p-45"),
)
_LOG2_SINGLE = (
    float.fromhex("0x1.62e4p-1"),
    float.fromhex("0x1.7f7d1cf79abcap-20"),
)
_ARTANH = tuple(2 / (2 * k + 3) for k in range(12))


@jax.custom_jvp
def less_log(x: Array, y: Array) -> Array:
    """`x - log(y)` for `y > 0`, to the last digit of the difference."""
    total, rest = x, jnp.zeros_like(x)
    total, rest = _add_log(total, rest, y, jnp.zeros_like(y), -1.0)
    return total + rest


@less_log.defjvp
def _less_log_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x, y), (x_dot, y_dot) = primals, tangents
    return less_log(x, y), x_dot - y_dot / y


@jax.custom_jvp
def less_log_odds(x: Array, y: Array, n: Array) -> Array:
    """`x - log(y / (n - y))` for `0 < y < n`, to the last digit of the difference."""
    total, rest = x, jnp.zeros_like(x)
    total, rest = _add_log(total, rest, y, jnp.zeros_like(y), -1.0)
    total, rest = _add_log(total, rest, *_two_sum(n, -y), 1.0)
    return total + rest


@less_log_odds.defjvp
def _less_log_odds_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x, y, n), (x_dot, y_dot, n_dot) = primals, tangents
    other = n - y
    return less_log_odds(x, y, n), x_dot - y_dot / y + (n_dot - y_dot) / other


def _add_log(total: Array, rest: Array, y: Array, y_rest: Array, sign: float) -> tuple:
    """`total + rest + sign * log(y + y_rest)`, again as a sum of two."""
    exponent, leading, small = _log_parts(y)
    high, low = _LOG2_DOUBLE if is_double(y) else _LOG2_SINGLE
    total, first = _two_sum(total, sign * (exponent * high))
    total, second = _two_sum(total, sign * leading)
    small = small + exponent * low + y_rest / y
    return total, rest + first + second + sign * small


def _log_parts(y: Array) -> tuple[Array, Array, Array]:
    """`e`, `a`, `b` with `log y = e log 2 + a + b`, where `b` is small.

    For `y = m 2^e`, `log m = 2 artanh s` with `s = (m - 1) / (m + 1)`, and the quotient's
    own rounding error goes into `b`.
    """
    exponent, mantissa = _split_exponent(y)
    above = mantissa - 1  # exact: the mantissa is between sqrt(1/2) and sqrt(2)
    below, lost = _two_sum(mantissa, jnp.ones_like(mantissa))
    s = above / below
    s_high, below_high = _upper_half(s), _upper_half(below)
    s_low, below_low = s - s_high, below - below_high
    left = above - s_high * below_high
    left = left - s_high * below_low
    left = left - s_low * below_high
    left = left - (s_low * below_low + s * lost)
    square = s * s
    order = 11 if is_double(y) else 4
    tail = s * square * polynomial(square, _ARTANH[:order])
    return exponent, 2 * s, 2 * left / below + tail


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded sum and what rounding took from it."""
    total = a + b
    from_b = total - a
    return total, (a - (total - from_b)) + (b - from_b)


def _upper_half(x: Array) -> Array:
    """The leading half of the digits."""
    integers, dropped = (np.int64, 27) if is_double(x) else (np.int32, 12)
    bits = jax.lax.bitcast_convert_type(x, integers)
    mask = integers(-1) << integers(dropped)
    return jax.lax.bitcast_convert_type(bits & mask, x.dtype)


def _split_exponent(y: Array) -> tuple[Array, Array]:
    """`e` and `m` with `y = m 2^e` and `m` between `sqrt(1/2)` and `sqrt(2)`."""
    integers, digits = (np.int64, 52) if is_double(y) else (np.int32, 23)
    bits = jax.lax.bitcast_convert_type(y, integers)
    # Counting the exponent from that of sqrt(1/2) puts the mantissa where it is wanted.
    lowest = jax.lax.bitcast_convert_type(jnp.asarray(0.7071067811865476, y.dtype), integers)
    above = bits - lowest
    exponent = above >> integers(digits)
    mantissa = (above & integers((1 << digits) - 1)) + lowest
    return exponent.astype(y.dtype), jax.lax.bitcast_convert_type(mantissa, y.dtype)
