"""Differences of logarithms to more digits than a logarithm has.

The deviance of a large count is a difference of numbers millions of times its size. Written
in the logarithm of predicted over measured it is not, but only as long as that logarithm is
exact to its own last digit, however near to zero. So logarithms are held here as sums of
floats that no rounding has touched, to about twice the digits of one, and added up last.

Such a sum is a `Pair` here. Sums of two floats keep their rounding error (D. E. Knuth, "The
art of computer programming", volume 2, section 4.2.2). Products are formed of factors with so
few bits that they are exact, since a compiler may fuse a product with a sum and so round it
differently.
"""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._elementary import is_double, polynomial

# log 2 in parts: all but the last have so few bits that an exponent times one is exact.
_LOG2_DOUBLE = (
    float.fromhex("0x1.62e42fefa38p-1"),
    float.fromhex("0x1.ef35793c7673p-45"),
)
_LOG2_SINGLE = (
    float.fromhex("0x1.62e4p-1"),
    float.fromhex("0x1.7f7cp-20"),
    float.fromhex("0x1.1cf79abc9e3b4p-36"),
)
Pair = tuple[Array, Array]  # a float, and what of the number it leaves over
_ARTANH = tuple(Fraction(2, 2 * k + 3) for k in range(15))


@jax.custom_jvp
def less_log(x: Array, y: Array) -> Array:
    """`x - log(y)` for `y > 0`, to the last digit of the difference."""
    total, rest = _add_log(x, jnp.zeros_like(x), y, jnp.zeros_like(y), -1.0)
    return _once(total + rest)


@less_log.defjvp
def _less_log_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x, y), (x_dot, y_dot) = primals, tangents
    return less_log(x, y), x_dot - y_dot / y


@jax.custom_jvp
def less_log_odds(x: Array, y: Array, n: Array) -> Array:
    """`x - log(y / (n - y))` for `0 < y < n`, to the last digit of the difference.

    An `n` that is the same number for all must be `opaque`.
    """
    zero = jnp.zeros_like(x)
    total, rest = _add_log(x, zero, *quotient((y, zero), two_sum(n, -y)), -1.0)
    return _once(total + rest)


@less_log_odds.defjvp
def _less_log_odds_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x, y, n), (x_dot, y_dot, n_dot) = primals, tangents
    other = n - y
    return less_log_odds(x, y, n), x_dot - y_dot / y + (n_dot - y_dot) / other


def _once(x: Array) -> Array:
    """`x`, as an array of its own: fused, XLA would compute it anew at each of its uses.

    There are several in a likelihood, and a sum into which so much is fused is not vectorised.
    """
    return jax.lax.optimization_barrier(x)


def opaque(constant: float, like: Array) -> Array:
    """A constant in the shape and dtype of an array, which no compiler looks into.

    JAX 0.10 simplifies a sum with a constant that is taken away again, and with it goes the
    rounding error that was looked for.
    """
    hidden = jax.lax.optimization_barrier(jnp.asarray(constant, like.dtype))
    return jnp.broadcast_to(hidden, like.shape)


def _add_log(total: Array, rest: Array, y: Array, y_rest: Array, sign: float) -> tuple:
    """`total + rest + sign * log(y + y_rest)`, again as a sum of two."""
    exponent, leading, tail, small = _log_parts(y)
    *parts, last = _LOG2_DOUBLE if is_double(y) else _LOG2_SINGLE
    for part in (*(exponent * part for part in parts), leading, tail):
        total, lost = two_sum(total, sign * part)
        rest = rest + lost
    return total, rest + sign * (small + exponent * last + y_rest / y)


def _log_parts(y: Array) -> tuple[Array, Array, Array, Array]:
    """`e`, `a`, `b`, `c` with `log y = e log 2 + a + b + c`, each smaller than the one before.

    For `y = m 2^e`, `log m = 2 artanh s` with `s = (m - 1) / (m + 1)`; the quotient's own
    rounding error goes on with it.
    """
    exponent, mantissa = _split_exponent(y)
    above = mantissa - 1  # exact: the mantissa is between sqrt(1/2) and sqrt(2)
    below, lost = two_sum(mantissa, jnp.ones_like(mantissa))
    s, s_rest = quotient((above, jnp.zeros_like(above)), (below, lost))
    tail, tail_rest = _artanh_tail(s, s_rest)
    return exponent, 2 * s, tail, 2 * s_rest + tail_rest


def _artanh_tail(s: Array, s_rest: Array) -> tuple[Array, Array]:
    """`2 artanh(s) - 2 s`, by its series; the terms that matter twice as precise as the others."""
    order, precise = (15, 4) if is_double(s) else (8, 3)
    square = product((s, s_rest), (s, s_rest))
    series = polynomial(square[0], tuple(map(float, _ARTANH[precise:order]))), jnp.zeros_like(s)
    for coefficient in reversed(_ARTANH[:precise]):
        leading = float(s.dtype.type(float(coefficient)))
        total, lost = product(square, series)
        above, more = two_sum(opaque(leading, s), total)
        series = above, more + (lost + float(coefficient - Fraction(leading)))
    return product(product((s, s_rest), square), series)


def product(a: Pair, b: Pair) -> Pair:
    """The product of two pairs."""
    a_high, b_high = _upper_half(a[0]), _upper_half(b[0])
    a_low, b_low = a[0] - a_high, b[0] - b_high
    total, lost = two_sum(a_high * b_high, a_high * b_low + a_low * b_high)
    return total, lost + (a_low * b_low + (a[0] * b[1] + a[1] * b[0]))


def quotient(a: Pair, b: Pair) -> Pair:
    """The quotient of two pairs."""
    q = a[0] / b[0]
    q_high, b_high = _upper_half(q), _upper_half(b[0])
    q_low, b_low = q - q_high, b[0] - b_high
    left = a[0] - q_high * b_high
    left = left - q_high * b_low
    left = left - q_low * b_high
    left = left - (q_low * b_low + (q * b[1] - a[1]))
    return q, left / b[0]


def difference(a: Pair, b: Pair) -> Pair:
    """The difference of two pairs, as one whose first is the number but for rounding."""
    total, lost = two_sum(a[0], -b[0])
    return two_sum(total, lost + (a[1] - b[1]))


def exp_rest(x: Array) -> Array:
    """What `exp(x)` has lost by rounding, if not more than there are digits for."""
    rounded = jnp.exp(x)
    some = (rounded >= jnp.finfo(x.dtype).tiny) & jnp.isfinite(rounded)
    return jnp.where(some, rounded * less_log(x, jnp.where(some, rounded, 1.0)), 0.0)


def two_sum(a: Array, b: Array) -> Pair:
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
