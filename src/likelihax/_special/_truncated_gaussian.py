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

from ._elementary import is_double, log1p_share
from ._gaussian import HALF_LOG_TWO_PI, density, mills_remainder

# Gauss-Legendre of order 6 on (-1/2, 1/2): half of the nodes, and twice their weights.
_NODES = (0.11930959304159845, 0.33060469323313226, 0.46623475710157601)
_WEIGHTS = (0.46791393457269104, 0.36076157304813861, 0.17132449237917036)


@jax.custom_jvp
def log_ndtr_between(start: Array, width: Array, middle: Array) -> Array:
    """`log(Phi(start + width) - Phi(start))`, for `width > 0`.

    `middle` is `start + width / 2`, at least 0, which is small where both of these are large.
    """
    found = _probability(start, width, middle)
    anchor = start + found.to_anchor
    return found.log_rest() - 0.5 * anchor * anchor - found.constant


@log_ndtr_between.defjvp
def _log_ndtr_between_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    start_dot, width_dot, _ = tangents
    found = _probability(*primals)
    moved = found.of_start * start_dot + found.of_width * width_dot
    return log_ndtr_between(*primals), moved


@jax.custom_jvp
def truncated_gaussian_nll(
    start: Array, width: Array, middle: Array, beyond: Array, centred: Array
) -> Array:
    """`log(Phi(start + width) - Phi(start)) - log(phi(centred))`, as above.

    `centred` is `start + beyond`, which too is small where both of these are large.
    """
    found = _probability(start, width, middle)
    ahead = beyond - found.to_anchor
    away = ahead * (start + found.to_anchor + 0.5 * ahead)
    away = jnp.where(found.is_inside, 0.5 * centred * centred, away)
    return found.log_rest() + (HALF_LOG_TWO_PI - found.constant) + away


@truncated_gaussian_nll.defjvp
def _truncated_gaussian_nll_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    start, width, middle, beyond, centred = primals
    start_dot, width_dot, _, beyond_dot, centred_dot = tangents
    found = _probability(start, width, middle)
    moved = (beyond - found.to_anchor) * start_dot + centred * beyond_dot
    moved = jnp.where(found.is_inside, centred * centred_dot, moved)
    moved = moved + found.slope * start_dot + found.of_width * width_dot
    return truncated_gaussian_nll(*primals), moved


class _Probability(NamedTuple):
    """The probability between the bounds.

    - `rest`: itself over the density at the anchor.
    - `tails`: what `rest` is less than one, if that is what is known precisely, or else 1.
    - `constant`: what of that density's logarithm does not depend on the anchor and is taken
        out; where the probability is nearly one, whose logarithm is small, nothing is.
    - `to_anchor`: how far the anchor is from the nearer bound.
    - `slope`: the derivative of `log_rest()` in `start`.
    - `of_start`, `of_width`: those of the logarithm itself: densities over the probability.
    """

    rest: Array
    tails: Array
    constant: Array
    to_anchor: Array
    slope: Array
    of_start: Array
    of_width: Array

    @property
    def is_inside(self) -> Array:
        """Whether the centre is the anchor."""
        return self.tails < 1

    def log_rest(self) -> Array:
        """Its logarithm, less that of the density at the anchor."""
        most = self.tails < 0.5
        known = log1p_share(jnp.where(most, -self.tails, 0.0))
        return jnp.where(most, known, jnp.log(self.rest))


def _probability(start: Array, width: Array, middle: Array) -> _Probability:
    if is_double(width):
        narrow = width * (1 + middle) < 0.6
    else:
        narrow = (width * (1 + middle) < 3) & (width < 1.8)
    step = width * middle
    near = _narrow(jnp.where(narrow, width, 0.1), jnp.where(narrow, step, 0.0))
    apart = _by_tails(start, width, step, ~narrow)
    return _Probability(*(jnp.where(narrow, a, b) for a, b in zip(near, apart, strict=True)))


def _narrow(width: Array, step: Array) -> _Probability:
    """By a quadrature, anchored in the middle: exact to the last digit where it is used."""
    total, slope = jnp.zeros_like(width), jnp.zeros_like(width)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        share = weight * jnp.exp(-0.5 * (node * width) ** 2)
        growth, decay = _hyperbola(node * step)
        total = total + share * 0.5 * (1 + growth + decay)
        slope = slope + share * node * width * (0.5 * growth * (1 + decay))
    mass = width * total
    at_bounds = jnp.exp(-0.125 * width * width) / mass
    growth, decay = _hyperbola(0.5 * step)
    return _Probability(
        rest=mass,
        tails=jnp.ones_like(width),
        constant=jnp.full_like(width, HALF_LOG_TWO_PI),
        to_anchor=0.5 * width,
        slope=slope / total,
        of_start=-at_bounds * growth * (1 + decay),
        of_width=at_bounds * decay,
    )


def _hyperbola(x: Array) -> tuple[Array, Array]:
    """`exp(x) - 1` and `exp(-x)`, of which twice the hyperbolic sine is `first (1 + second)`.

    XLA's own keeps no digits where its argument is small.
    """
    growth = jnp.expm1(x)
    return growth, 1 / (1 + growth)


def _by_tails(start: Array, width: Array, step: Array, wanted: Array) -> _Probability:
    """By the Mills ratios at both bounds.

    With the centre between the bounds it is one less both tails, and anchored there; to one
    side of it a difference of two tails, anchored at the nearer bound.
    """
    outside, end = start > 0, start + width
    rest_near, rest_far = mills_remainder(jnp.abs(start)), mills_remainder(end)
    near, far = 1 / (jnp.abs(start) + rest_near), 1 / (end + rest_far)
    fall = jnp.exp(-step)
    at_start = density(start)
    # Outside the probability over the density at the start, inside itself.
    tails = at_start * (near + far * fall)
    left = jnp.where(outside, near - far * fall, 1 - tails)
    left = jnp.where(wanted, left, 1.0)  # next to nothing is left of a narrow interval
    # (1 - fall) / left - start, by what the Mills ratios are less than 1 / start and 1 / end.
    slope_outside = fall * far * (rest_far + width) - near * rest_near
    # The difference of both densities, which may be nearly the same.
    slope_inside = at_start * jnp.expm1(-step)
    slope = jnp.where(outside, slope_outside, slope_inside) / left
    return _Probability(
        rest=left,
        tails=jnp.where(outside, 1.0, tails),
        constant=jnp.where(outside, HALF_LOG_TWO_PI, 0.0),
        to_anchor=jnp.where(outside, 0.0, -start),
        slope=slope,
        of_start=jnp.where(outside, slope - start, slope),
        of_width=jnp.where(outside, fall, at_start * fall) / left,
    )
