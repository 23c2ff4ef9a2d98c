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
    """`(1 - Phi(x)) / phi(x)` for `x >= 0`: about `1 / x` far out."""
    far, beyond = _remainder_far_out(x)
    near = jnp.where(far, 0.0, x)
    inner = 0.5 * erfc(near * SQRT_HALF) * jnp.exp(0.5 * near * near + HALF_LOG_TWO_PI)
    return jnp.where(far, 1 / (jnp.where(far, x, 1.0) + beyond), inner)


def mills_remainder(x: Array) -> Array:
    """`1 / mills_ratio(x) - x` for `x >= 0`: about `1 / x` far out."""
    far, beyond = _remainder_far_out(x)
    near = jnp.where(far, 0.0, x)
    return jnp.where(far, beyond, 1 / mills_ratio(near) - near)


def _remainder_far_out(x: Array) -> tuple[Array, Array]:
    """Where Laplace's continued fraction holds, and it (Abramowitz and Stegun 26.2.14)."""
    bound, depth = (3.0, 70) if is_double(x) else (2.0, 32)
    far = x > bound
    out = jnp.where(far, x, bound)
    fraction = out
    for k in range(depth, 1, -1):
        fraction = out + k / fraction
    return far, 1 / fraction


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
    # In the lower tail both are large, and their sum is what the ratio is more than -x.
    lower = x < 0
    more = jnp.where(lower, mills_remainder(jnp.where(lower, -x, 0.0)), x + ratio)
    return ratio, -ratio * more * tangent
