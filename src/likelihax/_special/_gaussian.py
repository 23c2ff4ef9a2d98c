"""The tails of the Normal distribution."""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import erfc
from jaxtyping import Array

from ._elementary import is_double

_SQRT_HALF = math.sqrt(0.5)
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


def mills_ratio(x: Array) -> Array:
    """`(1 - Phi(x)) / phi(x)` for `x >= 0`: about `1 / x` far out.

    Far out by Laplace's continued fraction (Abramowitz and Stegun 26.2.14).
    """
    bound, depth = (5.0, 50) if is_double(x) else (3.0, 28)
    far = x > bound
    out = jnp.where(far, x, bound)
    fraction = out
    for k in range(depth, 0, -1):
        fraction = out + k / fraction
    near = jnp.where(far, 0.0, x)
    # exp(x^2 / 2) of a product that is exact: the square's own rounding would be magnified.
    inner = 0.5 * erfc(near * _SQRT_HALF) * jnp.exp(0.5 * near * near + _HALF_LOG_TWO_PI)
    return jnp.where(far, 1 / fraction, inner)


@jax.custom_jvp
def log_ndtr(x: Array) -> Array:
    """`log Phi(x)`, in both tails."""
    lower = x < 0
    out = jnp.where(lower, -x, 0.0)
    tail = jnp.log(mills_ratio(out)) - 0.5 * out * out - _HALF_LOG_TWO_PI
    body = jnp.log1p(-0.5 * erfc(jnp.where(lower, 0.0, x) * _SQRT_HALF))
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
    density = jnp.exp(-0.5 * out * out - _HALF_LOG_TWO_PI)
    return jnp.where(lower, tail, density / (1 - 0.5 * erfc(out * _SQRT_HALF)))


@inverse_mills.defjvp
def _inverse_mills_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    ratio = inverse_mills(x)
    return ratio, -ratio * (x + ratio) * tangent
