"""The Normal distribution between two bounds, without the parts that cancel.

Far out in a tail the NLL is large, the logarithm of the probability between the bounds as large
with the other sign, and what is left of both is of order one. So it is written in three
distances, in units of the scale: from the centre to the bound that is nearer to it, from that
bound to the other one, and from that bound to the value.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import erfc
from jaxtyping import Array

from ._gaussian import (
    HALF_LOG_TWO_PI,
    NODES,
    SQRT_HALF,
    WEIGHTS,
    is_narrow,
    mills_ratio,
    mills_remainder,
)


@jax.custom_jvp
def truncated_gaussian_nll(start: Array, width: Array, beyond: Array) -> Array:
    """`-log(phi(start + beyond) / (Phi(start + width) - Phi(start)))`, for `2 start > -width`."""
    return _value_and_partials(start, width, beyond)[0]


@truncated_gaussian_nll.defjvp
def _jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    value, partials = _value_and_partials(*primals)
    return value, sum(p * t for p, t in zip(partials, tangents, strict=True))


def _value_and_partials(
    start: Array, width: Array, beyond: Array
) -> tuple[Array, tuple[Array, Array, Array]]:
    narrow = is_narrow(start + 0.5 * width, width)
    outside = ~narrow & (start > 0)
    inside = ~narrow & ~outside
    stand_in = lambda chosen, x, other: jnp.where(chosen, x, other)
    results = (
        _narrow(*map(stand_in, 3 * (narrow,), (start, width, beyond), (0.0, 0.1, 0.0))),
        _outside(*map(stand_in, 3 * (outside,), (start, width, beyond), (1.0, 1.0, 0.0))),
        _inside(*map(stand_in, 3 * (inside,), (start, width, beyond), (-1.0, 3.0, 0.0))),
    )
    choose = lambda a, b, c: jnp.where(narrow, a, jnp.where(outside, b, c))
    value, of_start, of_width = (choose(*each) for each in zip(*results, strict=True))
    return value, (of_start, of_width, start + beyond)


def _narrow(start: Array, width: Array, beyond: Array) -> tuple[Array, Array, Array]:
    """By a quadrature about the middle, of which the NLL there has been taken out."""
    middle, offset = start + 0.5 * width, beyond - 0.5 * width
    step = middle * width
    total, slope = jnp.zeros_like(width), jnp.zeros_like(width)
    for node, weight in zip(NODES, WEIGHTS, strict=True):
        share = weight * jnp.exp(-0.5 * (node * width) ** 2)
        total = total + share * jnp.cosh(node * step)
        slope = slope + share * node * width * _sinh(node * step)
    value = jnp.log(width * total) + offset * (middle + 0.5 * offset)
    of_width = jnp.exp(-0.5 * step - 0.125 * width * width) / (width * total)
    return value, offset + slope / total, of_width


def _outside(start: Array, width: Array, beyond: Array) -> tuple[Array, Array, Array]:
    """By Mills ratios, of which the NLL at the nearer bound has been taken out."""
    end = start + width
    near, far = mills_ratio(start), mills_ratio(end)
    fall = jnp.exp(-width * (start + 0.5 * width))
    left = near - far * fall
    # a - (1 - fall) / left, by what the Mills ratios are less than 1 / a and 1 / b.
    rest = near * mills_remainder(start) - fall * far * (mills_remainder(end) + width)
    value = jnp.log(left) + beyond * (start + 0.5 * beyond)
    return value, beyond - rest / left, fall / left


def _inside(start: Array, width: Array, beyond: Array) -> tuple[Array, Array, Array]:
    """The centre is between the bounds: one less both tails."""
    end, residual = start + width, start + beyond
    tails = 0.5 * (erfc(-start * SQRT_HALF) + erfc(end * SQRT_HALF))
    density = lambda x: jnp.exp(-0.5 * x * x - HALF_LOG_TWO_PI) / (1 - tails)
    value = 0.5 * residual * residual + HALF_LOG_TWO_PI + jnp.log1p(-tails)
    return value, residual + density(end) - density(start), density(end)


def _sinh(x: Array) -> Array:
    # XLA's keeps no digits where x is small.
    return 0.5 * (jnp.expm1(x) - jnp.expm1(-x))
