"""The minimum of a quadratic function plus penalties: what a proximal Newton step has to solve."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy as jsp
from jaxtyping import Array, Float

from ._penalties import Penalties, lengths_of, shrunk

# Sweeps with a Newton step behind each; a warm start needs two or three.
_MOST_ROUNDS = 200


class Solved(NamedTuple):
    """The model's minimum.

    **Attributes:**

    - `z`: where it is.
    - `left_before`: the length of the least subgradient where the search began, each entry over
        the root of its curvature.
    - `rounding`: how long that may seem to be for rounding.
    - `rounds`: how many rounds the search took.
    """

    z: Array
    left_before: Array
    rounding: Array
    rounds: Array


class _Point(NamedTuple):
    """Where the search is: the entries, the quadratic's gradient there, and what is left."""

    z: Array
    slope: Array
    left: Array


def minimise_model(
    penalties: Penalties,
    z: Float[Array, " size"],
    gradient: Float[Array, " size"],
    hessian: Float[Array, "size size"],
    tolerance: float,
) -> Solved:
    r"""The minimum over $x$ of $g\cdot(x-z) + \tfrac12 (x-z) H (x-z) + \mathrm{cost}(x)$.

    Rounds of two moves: a sweep of coordinate descent over the blocks, which finds those that are
    zero (J. Friedman, T. Hastie and R. Tibshirani 2010, "Regularization paths for generalized
    linear models via coordinate descent", J. Statistical Software 33), and a Newton step among the
    others, which coordinate descent is slow with where they are correlated. It ends when the
    least subgradient, each entry over the root of its curvature, is at most `tolerance` long.
    """
    diagonal = jnp.diagonal(hessian)
    floor = jnp.finfo(z.dtype).eps * jnp.maximum(jnp.max(diagonal), jnp.finfo(z.dtype).tiny)
    scale = jnp.sqrt(jnp.maximum(diagonal, floor))
    steepness = _steepness(penalties, hessian, floor)

    size = jnp.abs(gradient) + jnp.abs(hessian) @ jnp.abs(z)
    rounding = 4 * jnp.finfo(z.dtype).eps * jnp.sqrt(jnp.sum((size / scale) ** 2))
    goal = jnp.maximum(tolerance, rounding)

    def measured(x: Array, slope: Array) -> _Point:
        left = penalties.least_subgradient(x, slope) / scale
        return _Point(x, slope, jnp.sqrt(jnp.sum(left**2)))

    def round_of(carry: tuple[_Point, Array]) -> tuple[_Point, Array]:
        point, count = carry
        x, slope = _sweep(penalties, hessian, steepness, point.z, point.slope)
        x = _newton(penalties, hessian, x, slope, floor)
        # Anew, so that rounding does not add up.
        return measured(x, gradient + hessian @ (x - z)), count + 1

    def unfinished(carry: tuple[_Point, Array]) -> Array:
        point, count = carry
        return (point.left > goal) & (count < _MOST_ROUNDS)

    start = measured(z, gradient)
    point, count = jax.lax.while_loop(unfinished, round_of, (start, jnp.asarray(0)))
    return Solved(point.z, start.left, rounding, count)


def _steepness(penalties: Penalties, hessian: Array, floor: Array) -> Array:
    """For each block, an upper bound of the Hessian's largest eigenvalue in it."""
    inside = penalties.members < hessian.shape[0]
    rows = jnp.where(inside, penalties.members, 0)
    within = hessian[rows[:, :, None], rows[:, None, :]]
    within = jnp.where(inside[:, :, None] & inside[:, None, :], within, 0.0)
    return jnp.maximum(jnp.max(jnp.sum(jnp.abs(within), axis=-1), axis=-1), floor)


def _sweep(
    penalties: Penalties, hessian: Array, steepness: Array, z: Array, slope: Array
) -> tuple[Array, Array]:
    """Each block in turn to its minimum, or to that of a parabola above it if it has many."""

    def move(block: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        z, slope = carry
        where = penalties.members[block]
        old = z.at[where].get(mode="fill", fill_value=0.0)
        step = 1.0 / steepness[block]
        ahead = old - step * slope.at[where].get(mode="fill", fill_value=0.0)
        kept = shrunk(
            lengths_of(ahead), step * penalties.lengths[block], step * penalties.squares[block]
        )
        new = kept * ahead
        columns = hessian.at[where].get(mode="fill", fill_value=0.0)
        return z.at[where].set(new, mode="drop"), slope + (new - old) @ columns

    return jax.lax.fori_loop(0, penalties.members.shape[0], move, (z, slope))


def _newton(penalties: Penalties, hessian: Array, z: Array, slope: Array, floor: Array) -> Array:
    """A Newton step of all that is not zero, as far as the first sign that would change."""
    blocks = penalties.gather(z)
    length = lengths_of(blocks)
    active = penalties.spread(((length > 0) | (penalties.lengths == 0)).astype(z.dtype)) > 0
    gradient = jnp.where(active, penalties.least_subgradient(z, slope), 0.0)
    curved = hessian + _curvature(penalties, blocks, length)
    both = active[:, None] & active[None, :]
    identity = jnp.eye(z.size, dtype=z.dtype)
    # A trace of the identity: directions that the data leave open have only the penalty's slope,
    # and lead to the point where an entry becomes zero.
    system = jnp.where(both, curved, 0.0) + jnp.where(active, 8 * floor, 1.0)[:, None] * identity
    factor = jsp.linalg.cho_factor(system, lower=True)
    step = -jsp.linalg.cho_solve(factor, gradient)
    step = jnp.where(jnp.all(jnp.isfinite(step)), step, 0.0)

    alone = penalties.spread((jnp.sum(blocks != 0, axis=-1) == 1).astype(z.dtype)) > 0
    kinked = alone & (penalties.spread(penalties.lengths) > 0)
    turns = kinked & (z * (z + step) < 0)
    reach = jnp.where(turns, z / jnp.where(turns, -step, 1.0), jnp.inf)
    first = jnp.minimum(jnp.min(reach), 1.0)
    clipped = jnp.where(turns & (reach <= first), 0.0, z + first * step)

    def gain(x: Array) -> Array:
        moved = x - z
        quadratic = slope @ moved + 0.5 * moved @ (hessian @ moved)
        return quadratic + penalties.cost(x) - penalties.cost(z)

    # All that would change sign set to zero at once is better still, if it is lower.
    jumped = jnp.where(turns, 0.0, z + step)
    candidates = jnp.stack([z, z + 0.125 * first * step, clipped, jumped])
    gains = jax.vmap(gain)(candidates)
    gains = jnp.where(jnp.isnan(gains), jnp.inf, gains)
    # Rounding must not keep the last, shortest step from being taken.
    noise = 32 * jnp.finfo(z.dtype).eps * (penalties.cost(z) + jnp.abs(slope) @ jnp.abs(z))
    gains = gains.at[0].add(noise)
    return candidates[jnp.argmin(gains)]


def _curvature(penalties: Penalties, blocks: Array, length: Array) -> Array:
    """The Hessian of the cost where no block is zero, as a matrix over all entries."""
    size, most = penalties.unit.size, blocks.shape[-1]
    nonzero = jnp.where(length > 0, length, 1.0)
    unit = blocks / nonzero[:, None]
    bent = jnp.where(length > 0, penalties.lengths, 0.0) / nonzero
    inside = jnp.eye(most, dtype=blocks.dtype)[None] - unit[:, :, None] * unit[:, None, :]
    each = bent[:, None, None] * inside
    each = each + penalties.squares[:, None, None] * jnp.eye(most, dtype=blocks.dtype)[None]
    rows, columns = penalties.members[:, :, None], penalties.members[:, None, :]
    return jnp.zeros((size, size), blocks.dtype).at[rows, columns].add(each, mode="drop")
