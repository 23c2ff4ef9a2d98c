"""Small convex programmes, solved to nearly all digits inside a compiled step."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import jax.tree_util as jtu
from jaxtyping import Array, Float, Int

_MOST_ITERATIONS = 40
# So many iterations without a smaller error mean that rounding allows no smaller one.
_PATIENCE = 5
# How much of the way to the nearest bound a step goes.
_SHORT_OF_THE_BOUND = 0.995


class Programme(NamedTuple):
    """Minimise `sum(curvature * z**2) / 2 + linear @ z` where `rows @ z <= bounds`.

    No curvature is negative; with none at all, it is a linear programme. The rows may have any
    length, as each is scaled by its own; one of zeros with a bound above zero says nothing. There
    must be a point inside of all bounds, and a lowest one.
    """

    curvature: Float[Array, " size"]
    linear: Float[Array, " size"]
    rows: Float[Array, "bounds size"]
    bounds: Float[Array, " bounds"]


class _Iterate(NamedTuple):
    point: Float[Array, " size"]
    slack: Float[Array, " bounds"]
    multipliers: Float[Array, " bounds"]


class _Errors(NamedTuple):
    """How far an iterate is from stationary, from feasible, and the mean of slack by multiplier."""

    dual: Float[Array, " size"]
    primal: Float[Array, " bounds"]
    product: Float[Array, ""]


class _Search(NamedTuple):
    iterate: _Iterate
    best: _Iterate
    error: Float[Array, ""]
    iteration: Int[Array, ""]
    since: Int[Array, ""]


def solve(programme: Programme) -> tuple[Float[Array, " size"], Float[Array, " bounds"]]:
    """The lowest point and the bounds' multipliers.

    A primal-dual interior-point method from an infeasible start, with S. Mehrotra's predictor
    and corrector (1992, SIAM J. Optim. 2, 575-601). Of all iterates that with the smallest error
    is returned; rounding decides how small it is.
    """
    lengths = jnp.sqrt(jnp.sum(programme.rows**2, axis=1))
    lengths = jnp.where(lengths > 0, lengths, 1.0)
    scaled = programme._replace(
        rows=programme.rows / lengths[:, None], bounds=programme.bounds / lengths
    )
    tolerance = float(jnp.finfo(scaled.rows.dtype).eps) ** 0.7

    def unfinished(search: _Search) -> Array:
        tired = (search.since > _PATIENCE) | (search.iteration >= _MOST_ITERATIONS)
        return (search.error > tolerance) & ~tired

    def improve(search: _Search) -> _Search:
        iterate = _advance(scaled, search.iterate)
        error = _size(_errors(scaled, iterate))
        # An iterate with a NaN is not better than anything.
        better = error < search.error
        return _Search(
            iterate=iterate,
            best=jtu.tree_map(lambda a, b: jnp.where(better, a, b), iterate, search.best),
            error=jnp.where(better, error, search.error),
            iteration=search.iteration + 1,
            since=jnp.where(better, 0, search.since + 1),
        )

    start = _Iterate(
        point=jnp.zeros_like(scaled.linear),
        slack=jnp.maximum(scaled.bounds, 1.0),
        multipliers=jnp.ones_like(scaled.bounds),
    )
    none = jnp.asarray(0)
    search = _Search(start, start, _size(_errors(scaled, start)), none, none)
    best = jax.lax.while_loop(unfinished, improve, search).best
    return best.point, best.multipliers / lengths


def _errors(programme: Programme, iterate: _Iterate) -> _Errors:
    curvature, linear, rows, bounds = programme
    point, slack, multipliers = iterate
    return _Errors(
        dual=curvature * point + linear + rows.T @ multipliers,
        primal=rows @ point + slack - bounds,
        product=jnp.mean(slack * multipliers),
    )


def _size(errors: _Errors) -> Array:
    largest = jnp.maximum(jnp.max(jnp.abs(errors.dual)), jnp.max(jnp.abs(errors.primal)))
    return jnp.maximum(largest, errors.product * errors.primal.size)


def _advance(programme: Programme, iterate: _Iterate) -> _Iterate:
    """One step of Newton's method towards products of slack and multiplier that are all alike."""
    errors = _errors(programme, iterate)
    _, slack, multipliers = iterate
    weights = jnp.minimum(multipliers / slack, 1 / jnp.finfo(slack.dtype).eps)
    matrix = jnp.diag(programme.curvature) + programme.rows.T @ (weights[:, None] * programme.rows)
    solve_matrix = _factorised(matrix)

    def towards(products: Array) -> _Iterate:
        pull = (products - multipliers * errors.primal) / slack
        point = solve_matrix(programme.rows.T @ pull - errors.dual)
        change = -errors.primal - programme.rows @ point
        return _Iterate(point, change, -(products + multipliers * change) / slack)

    predicted = towards(slack * multipliers)
    ahead = _moved(programme, iterate, predicted, 1.0)
    # The less the straight step could reduce the products, the more it is centred.
    reduced = jnp.mean(ahead.slack * ahead.multipliers) / errors.product
    centre = reduced**3 * errors.product
    second_order = predicted.slack * predicted.multipliers
    corrected = towards(slack * multipliers + second_order - centre)
    return _moved(programme, iterate, corrected, _SHORT_OF_THE_BOUND)


def _moved(programme: Programme, iterate: _Iterate, change: _Iterate, share: float) -> _Iterate:
    primal = _longest(iterate.slack, change.slack)
    dual = _longest(iterate.multipliers, change.multipliers)
    # Only of a linear programme are the two conditions independent of each other.
    both = jnp.minimum(primal, dual)
    is_linear = jnp.all(programme.curvature == 0)
    primal = share * jnp.where(is_linear, primal, both)
    dual = share * jnp.where(is_linear, dual, both)
    return _Iterate(
        point=iterate.point + primal * change.point,
        slack=iterate.slack + primal * change.slack,
        multipliers=iterate.multipliers + dual * change.multipliers,
    )


def _longest(values: Array, change: Array) -> Array:
    """The longest step, at most 1, that leaves all values at or above zero."""
    shrinking = change < 0
    steps = jnp.where(shrinking, -values / jnp.where(shrinking, change, 1.0), 1.0)
    return jnp.minimum(jnp.min(steps), 1.0)


def _factorised(matrix: Array) -> Callable[[Array], Array]:
    """What solves for a right-hand side, refined once: near the end the matrix is singular."""
    scale = 1 / jnp.sqrt(jnp.diag(matrix))
    tiny = 4 * jnp.finfo(matrix.dtype).eps * jnp.eye(len(scale), dtype=scale.dtype)
    factor = jnp.linalg.cholesky(matrix * scale[:, None] * scale[None, :] + tiny)

    def once(right: Array) -> Array:
        return scale * jsp.linalg.cho_solve((factor, True), scale * right)

    def refined(right: Array) -> Array:
        found = once(right)
        return found + once(right - matrix @ found)

    return refined
