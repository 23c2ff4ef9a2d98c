"""Exponentials and logarithms less their first terms, where subtracting would lose the rest."""

import jax
import jax.numpy as jnp
from jaxtyping import Array


def is_double(x: Array) -> bool:
    """Whether a series has to be summed to float64's last digit rather than float32's."""
    return bool(jnp.finfo(x.dtype).bits == 64)


def polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """`c[0] + c[1] x + c[2] x^2 + ...`, by Horner's rule."""
    total = jnp.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total


@jax.custom_jvp
def log1p_share(x: Array) -> Array:
    """`log(1 + x)` for `-1/2 <= x <= 1`, faster than XLA's.

    `2 artanh w` by its series, with `w = x / (2 + x)`.
    """
    w = x / (2 + x)
    order = 16 if is_double(x) else 7
    return 2 * (w + w * w * w * polynomial(w * w, _ARTANH[:order]))


@log1p_share.defjvp
def _log1p_share_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    return log1p_share(x), tangent / (1 + x)


def log1p(x: Array) -> Array:
    """`log(1 + x)` for `x > -1`, faster than XLA's, which computes `x` twice."""
    near = jnp.abs(x) < 0.5
    return jnp.where(near, log1p_share(jnp.where(near, x, 0.0)), jnp.log(1 + x))


@jax.custom_jvp
def sigmoid(x: Array) -> Array:
    """`1 / (1 + exp(-x))`, also in its lower tail to the last digit."""
    share = jnp.exp(-jnp.abs(x))
    return jnp.where(x < 0, share, 1.0) / (1 + share)


@sigmoid.defjvp
def _sigmoid_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    return sigmoid(x), sigmoid(x) * sigmoid(-x) * tangent


@jax.custom_jvp
def softplus(x: Array) -> Array:
    """`log(1 + exp(x))`, whose derivative is `sigmoid`."""
    return jnp.maximum(x, 0.0) + log1p_share(jnp.exp(-jnp.abs(x)))


@softplus.defjvp
def _softplus_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    return softplus(x), sigmoid(x) * tangent


@jax.custom_jvp
def exp_excess(x: Array) -> Array:
    """`exp(x) - 1 - x`, by its series where the terms would cancel."""
    near = jnp.abs(x) < 0.5
    return jnp.where(near, _exp_excess_near(jnp.where(near, x, 0.0)), jnp.expm1(x) - x)


def _exp_excess_near(x: Array) -> Array:
    order = 14 if is_double(x) else 7
    return x * x * polynomial(x, _EXPONENTIAL[:order])


@exp_excess.defjvp
def _exp_excess_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    return exp_excess(x), jnp.expm1(x) * tangent


@jax.custom_jvp
def log_excess(u: Array) -> Array:
    """`u - log(1 + u)` for `u > -1`: never negative, and zero at zero.

    Near zero, with `w = u / (2 + u)`, it is `u w - 2 (w^3/3 + w^5/5 + ...)`, since
    `log(1 + u) = 2 artanh w`.
    """
    near = jnp.abs(u) < _NEAR
    return jnp.where(near, _log_excess_near(jnp.where(near, u, 0.0)), u - log1p(u))


def _log_excess_near(u: Array) -> Array:
    w = u / (2 + u)
    order = 12 if is_double(u) else 5
    return w * (u - 2 * w * w * polynomial(w * w, _ARTANH[:order]))


@log_excess.defjvp
def _log_excess_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (u,), (tangent,) = primals, tangents
    return log_excess(u), u / (1 + u) * tangent


def log1mexp(x: Array) -> Array:
    """`log(1 - exp(-x))` for `x > 0`.

    The change of formula at `log 2` is Maechler's (2012, "Accurately computing
    log(1 - exp(-|a|))", vignette of the R package Rmpfr).
    """
    near = x < 0.6931471805599453
    from_expm1 = jnp.log(-jnp.expm1(-jnp.where(near, x, 1.0)))
    from_log1p = log1p_share(-jnp.exp(-jnp.where(near, 1.0, x)))
    return jnp.where(near, from_expm1, from_log1p)


def logistic_divergence(yes: Array, no: Array, shift: Array) -> Array:
    """`log(1 - q + q exp(shift)) - q shift`, for `q = yes / (yes + no)`.

    How far two Bernoulli distributions are apart whose logits differ by `shift`: never
    negative, and `q (1 - q) shift^2 / 2` near zero. The odds need not be precise where
    `shift` is small.
    """
    # Of q and 1 - q the smaller one: the difference below then loses at most a bit.
    swapped = yes > no
    smaller, moved = jnp.where(swapped, no, yes) / (yes + no), jnp.where(swapped, -shift, shift)
    near = jnp.abs(moved) < 0.5
    # Farther away nothing cancels, but the exponential may overflow.
    huge = moved > (700.0 if is_double(shift) else 80.0)
    growth = smaller * jnp.expm1(jnp.where(huge, 0.0, moved))
    small = jnp.where(near, moved, 0.0)
    close = smaller * _exp_excess_near(small) - _log_excess_near(jnp.where(near, growth, 0.0))
    most = moved + jnp.log(smaller + (1 - smaller) * jnp.exp(-jnp.where(huge, moved, 0.0)))
    apart = jnp.where(huge, most, log1p(growth)) - smaller * moved
    return jnp.where(near, close, apart)


def _reciprocal_factorials(count: int) -> tuple[float, ...]:
    # 1/2!, 1/3!, ...
    terms, factorial = [], 2.0
    for n in range(3, count + 3):
        terms.append(1 / factorial)
        factorial *= n
    return tuple(terms)


# Half of e^(1/2) - 1: as far as a share of at most one half grows near the centre.
_NEAR = 0.33
_EXPONENTIAL = _reciprocal_factorials(14)
_ARTANH = tuple(1 / (2 * k + 3) for k in range(16))
