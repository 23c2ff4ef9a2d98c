"""The tails of the Normal distribution."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._elementary import is_double, log1p_share, polynomial

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)

# `(x + 3/2) (1 / mills_ratio(x) - x)` is smooth from zero to infinity: these are its Chebyshev
# coefficients in `t = (x - 3) / (x + 3)`.
_CENTRE, _OFFSET = 3.0, 1.5
_CHEBYSHEV = (
    1.1836953699280068,
    -0.12175617828715583,
    -0.08765008627351221,
    0.02498664304297883,
    0.0024736475979196103,
    -0.0017621395230561136,
    -0.00011408756311380978,
    0.00012689837080448563,
    9.543002028281456e-06,
    -9.255896096001543e-06,
    -1.0767780861421257e-06,
    6.506139335748961e-07,
    1.2223115336082947e-07,
    -4.083564400178064e-08,
    -1.2593112203429089e-08,
    1.9419286952774813e-09,
    1.1307441411663751e-09,
    -2.2213930300171686e-11,
    -8.446202398690983e-11,
    -8.783555860948983e-12,
    4.714009945276852e-12,
    1.2488755066163625e-12,
    -1.2258381826568929e-13,
    -9.794575883384662e-14,
    -9.528548978615652e-15,
    3.790944521326812e-15,
    1.3539465478095359e-15,
    1.422395353871969e-16,
    -4.168099825937164e-17,
    -2.8825941881709054e-17,
    -7.346161034357605e-18,
)


def _powers(count: int) -> tuple[float, ...]:
    return tuple(map(float, np.polynomial.chebyshev.cheb2poly(_CHEBYSHEV[:count])))


_DOUBLE, _SINGLE = _powers(31), _powers(15)


def mills_remainder(x: Array) -> Array:
    """`1 / mills_ratio(x) - x` for `x >= 0`: about `1 / x` far out."""
    share = 1 / (x + _CENTRE)
    smooth = polynomial((x - _CENTRE) * share, _DOUBLE if is_double(x) else _SINGLE)
    return smooth / (x + _OFFSET)


def mills_ratio(x: Array) -> Array:
    """`(1 - Phi(x)) / phi(x)` for `x >= 0`: about `1 / x` far out."""
    return 1 / (x + mills_remainder(x))


def density(x: Array) -> Array:
    """`phi(x)`."""
    return jnp.exp(-0.5 * x * x - HALF_LOG_TWO_PI)


@jax.custom_jvp
def log_ndtr(x: Array) -> Array:
    """`log Phi(x)`, in both tails."""
    out = jnp.abs(x)
    ratio = mills_ratio(out)
    tail = jnp.log(ratio) - 0.5 * out * out - HALF_LOG_TWO_PI
    return jnp.where(x < 0, tail, log1p_share(-density(out) * ratio))


@log_ndtr.defjvp
def _log_ndtr_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    return log_ndtr(x), inverse_mills(x) * tangent


@jax.custom_jvp
def inverse_mills(x: Array) -> Array:
    """`phi(x) / Phi(x)`: the derivative of `log_ndtr`."""
    out = jnp.abs(x)
    tail = out + mills_remainder(out)
    at = density(out)
    return jnp.where(x < 0, tail, at / (1 - at / tail))


@inverse_mills.defjvp
def _inverse_mills_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    ratio = inverse_mills(x)
    # In the lower tail both are large, and their sum is what the ratio is more than -x.
    more = jnp.where(x < 0, mills_remainder(jnp.abs(x)), x + ratio)
    return ratio, -ratio * more * tangent
