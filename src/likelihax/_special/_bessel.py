"""The modified Bessel functions of the von Mises distribution, also where they are huge."""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import i0e, i1e
from jaxtyping import Array

from ._elementary import is_double, polynomial


def _hankel(order: int, count: int) -> tuple[float, ...]:
    """`(-1)^k a_k` of DLMF 10.40.1: the series of `I(x) exp(-x) sqrt(2 pi x)` in `1 / x`."""
    terms = [1.0]
    for k in range(1, count):
        terms.append(-terms[-1] * (4 * order**2 - (2 * k - 1) ** 2) / (8 * k))
    return tuple(terms)


_ZEROTH, _FIRST = _hankel(0, 20), _hankel(1, 20)
_DIFFERENCE = tuple(b - a for a, b in zip(_ZEROTH, _FIRST, strict=True))[1:]


@jax.custom_jvp
def log_bessel(x: Array) -> Array:
    """`log(I0(x) exp(-x))` for `x >= 0`."""
    far = x > _far(x)
    inverse = 1 / jnp.where(far, x, 100.0)
    series = jnp.log(polynomial(inverse, _ZEROTH[: _count(x)])) + 0.5 * jnp.log(inverse)
    near = jnp.log(i0e(jnp.where(far, 1.0, x)))
    return jnp.where(far, series - 0.5 * math.log(2 * math.pi), near)


@log_bessel.defjvp
def _log_bessel_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    return log_bessel(x), -bessel_deficit(x) * tangent


def bessel_deficit(x: Array) -> Array:
    """`1 - I1(x) / I0(x)` for `x >= 0`: one less the mean resultant length."""
    far = x > _far(x)
    inverse = 1 / jnp.where(far, x, 100.0)
    count = _count(x)
    series = -inverse * polynomial(inverse, _DIFFERENCE[: count - 1])
    series = series / polynomial(inverse, _ZEROTH[:count])
    small = jnp.where(far, 1.0, x)
    zeroth = i0e(small)
    return jnp.where(far, series, (zeroth - i1e(small)) / zeroth)


def _far(x: Array) -> float:
    return 30.0 if is_double(x) else 12.0


def _count(x: Array) -> int:
    return 20 if is_double(x) else 9
