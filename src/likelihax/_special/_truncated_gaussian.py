"""The standard Normal distribution between two bounds, without the parts that cancel.

Far out in a tail the logarithm of a probability is large, that of a density as large, and what is
left of their difference of order one. So distances are used: from the centre to the bound that
is nearer to it, `start`; from that bound to the other one, `width`; and from it to the value,
`beyond`. The density at some place, the anchor, is taken out of the probability and put
together with that of the value before anything is rounded.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._elementary import is_double, log1p
from ._gaussian import HALF_LOG_TWO_PI, density, mills_remainder

# Gauss-Legendre of order 6 on (-1/2, 1/2): half of the nodes, and twice their weights.
_NODES = (0.11930959304159845, 0.33060469323313226, 0.46623475710157601)
_WEIGHTS = (0.46791393457269104, 0.36076157304813861, 0.17132449237917036)


@jax.custom_jvp
def log_ndtr_between(start: Array, width: Array) -> Array:
    """`log(Phi(start + width) - Phi(start))`, for `width > 0` and `2 start >= -width`."""
    found = _probability(start, width)
    anchor = start + found.to_anchor
    return found.log_rest - 0.5 * anchor * anchor - found.constant


@log_ndtr_between.defjvp
def _log_ndtr_between_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (start, width), (start_dot, width_dot) = primals, tangents
    found = _probability(start, width)
    moved = found.of_start * start_dot + found.of_width * width_dot
    return log_ndtr_between(start, width), moved


@jax.custom_jvp
def truncated_gaussian_nll(start: Array, width: Array, beyond: Array) -> Array:
    """`log(Phi(start + width) - Phi(start)) - log(phi(start + beyond))`, as above."""
    found = _probability(start, width)
    ahead = beyond - found.to_anchor
    constant = HALF_LOG_TWO_PI - found.constant
    return found.log_rest + constant + ahead * (start + found.to_anchor + 0.5 * ahead)


@truncated_gaussian_nll.defjvp
def _truncated_gaussian_nll_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (start, width, beyond), (start_dot, width_dot, beyond_dot) = primals, tangents
    found = _probability(start, width)
    moved = (beyond - found.to_anchor + found.slope) * start_dot + found.of_width * width_dot
    return truncated_gaussian_nll(start, width, beyond), moved + (start + beyond) * beyond_dot


class _Probability(NamedTuple):
    """The probability between the bounds.

    - `log_rest`: its logarithm, less that of the density at the anchor.
    - `constant`: what of that density's logarithm does not depend on the anchor and is taken
        out; where the probability is nearly one, whose logarithm is small, nothing is.
    - `to_anchor`: how far the anchor is from the nearer bound.
    - `slope`: the derivative of `log_rest` in `start`.
    - `of_start`, `of_width`: those of the logarithm itself: densities over the probability.
    """

    log_rest: Array
    constant: Array
    to_anchor: Array
    slope: Array
    of_start: Array
    of_width: Array


def _probability(start: Array, width: Array) -> _Probability:
    middle = start + 0.5 * width
    if is_double(width):
        narrow = width * (1 + middle) < 0.6
    else:
        narrow = (width * (1 + middle) < 3) & (width < 1.8)
    near = _narrow(jnp.where(narrow, start, 0.0), jnp.where(narrow, width, 0.1))
    apart = _by_tails(jnp.where(narrow, 1.0, start), jnp.where(narrow, 1.0, width))
    return _Probability(*(jnp.where(narrow, a, b) for a, b in zip(near, apart, strict=True)))


def _narrow(start: Array, width: Array) -> _Probability:
    """By a quadrature, anchored in the middle: exact to the last digit where it is used."""
    step = (start + 0.5 * width) * width
    total, slope = jnp.zeros_like(width), jnp.zeros_like(width)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        share = weight * jnp.exp(-0.5 * (node * width) ** 2)
        # Hyperbolic cosine and sine; XLA's sine keeps no digits where its argument is small.
        growth = jnp.expm1(node * step)
        decay = 1 / (1 + growth)
        total = total + share * 0.5 * (1 + growth + decay)
        slope = slope + share * node * width * (0.5 * growth * (1 + decay))
    mass = width * total
    at_bounds = jnp.exp(-0.125 * width * width) / mass
    return _Probability(
        log_rest=jnp.log(mass),
        constant=jnp.full_like(width, HALF_LOG_TWO_PI),
        to_anchor=0.5 * width,
        slope=slope / total,
        of_start=at_bounds * jnp.exp(0.5 * step) * jnp.expm1(-step),
        of_width=at_bounds * jnp.exp(-0.5 * step),
    )


def _by_tails(start: Array, width: Array) -> _Probability:
    """By the Mills ratios at both bounds.

    With the centre between the bounds it is one less both tails, and anchored there; to one
    side of it a difference of two tails, anchored at the nearer bound.
    """
    outside, end = start > 0, start + width
    rest_near, rest_far = mills_remainder(jnp.abs(start)), mills_remainder(end)
    near, far = 1 / (jnp.abs(start) + rest_near), 1 / (end + rest_far)
    step = width * (start + 0.5 * width)
    fall = jnp.exp(-step)
    at_start = density(start)
    # Outside the probability over the density at the start, inside itself.
    left = jnp.where(outside, near - far * fall, 1 - at_start * (near + far * fall))
    # (1 - fall) / left - start, by what the Mills ratios are less than 1 / start and 1 / end.
    slope_outside = fall * far * (rest_far + width) - near * rest_near
    # The difference of both densities, which may be nearly the same.
    slope_inside = at_start * jnp.expm1(-step)
    slope = jnp.where(outside, slope_outside, slope_inside) / left
    log_inside = log1p(-at_start * (near + far * fall))
    return _Probability(
        log_rest=jnp.where(outside, jnp.log(jnp.where(outside, left, 1.0)), log_inside),
        constant=jnp.where(outside, HALF_LOG_TWO_PI, 0.0),
        to_anchor=jnp.where(outside, 0.0, -start),
        slope=slope,
        of_start=jnp.where(outside, slope - start, slope),
        of_width=jnp.where(outside, fall, at_start * fall) / left,
    )
