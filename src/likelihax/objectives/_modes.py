"""Where several functions are least, side by side: Newton's method, each with a step of its own."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# From rows, one for each block, to one value each and whatever else is to be kept. The value of a
# block depends on no other block's row.
Function = Callable[[Array], tuple[Array, Any]]

# After how many points to give up, and how far, in standard errors, one may then be from the mode
# where what remains is hidden by the error of the values themselves.
_MAX_STEPS = 64
_HIDDEN = 1e-3
# How long the first step may be, and any, in the unconstrained coordinates.
_FIRST_RADIUS = 1.0
_LARGEST_RADIUS = 1e3
# So many steps with a constant matrix make that many derivatives of the mode exact.
_POLISHING_STEPS = 2


class Expansion(eqx.Module):
    """The functions at a point to second order, and what else they gave there."""

    value: Float[Array, " blocks"]
    gradient: Float[Array, "blocks size"]
    hessian: Float[Array, "blocks size size"]
    aux: Any


class Modes(eqx.Module):
    """Where each function is least, its Hessian there, and whether it was found."""

    rows: Float[Array, "blocks size"]
    hessian: Float[Array, "blocks size size"]
    found: Bool[Array, " blocks"]


class _State(eqx.Module):
    rows: Float[Array, "blocks size"]
    value: Float[Array, " blocks"]
    gradient: Float[Array, "blocks size"]
    hessian: Float[Array, "blocks size size"]
    radius: Float[Array, " blocks"]
    ended: Bool[Array, " blocks"]
    steps: Int[Array, ""]


def expand(function: Function, rows: Float[Array, "blocks size"]) -> Expansion:
    """Values, gradients and Hessians, by as many tangents as a row is long."""
    push = lambda tangent: jax.jvp(
        lambda rows: _gradient(function, rows), (rows,), (tangent,), has_aux=True
    )
    gradient, hessian, (value, aux) = _along_each(push, rows)
    return Expansion(value, gradient, hessian, aux)


def find_modes(function: Function, start: Float[Array, "blocks size"]) -> Modes:
    """The nearest minimum of each function, downhill from the start.

    Newton's method with the absolute values of the Hessian's eigenvalues, so that every direction
    is one of descent, and a longest step that shrinks where a step was no good (J. Nocedal and
    S. Wright 2006, "Numerical optimization", sections 3.4 and 4.1). A row is found where the
    Newton decrement is small and the Hessian positive. Not to be differentiated; see `polished`.
    """
    blocks, size = start.shape
    each = jnp.ones(blocks, start.dtype)
    state = _State(
        rows=start,
        value=jnp.inf * each,
        gradient=jnp.zeros_like(start),
        hessian=jnp.broadcast_to(jnp.eye(size, dtype=start.dtype), (blocks, size, size)),
        radius=_FIRST_RADIUS * each,
        ended=jnp.zeros(blocks, bool),
        steps=jnp.asarray(0),
    )
    unfinished = lambda state: ~jnp.all(state.ended) & (state.steps < _MAX_STEPS)
    state = jax.lax.while_loop(unfinished, lambda state: _stepped(function, state), state)
    _, decrement, positive = _newton(state)
    found = jnp.isfinite(state.value) & positive & (decrement <= _HIDDEN)
    return Modes(state.rows, state.hessian, found)


def polished(function: Function, modes: Modes) -> Float[Array, "blocks size"]:
    """The modes as functions of whatever the functions depend on, to second derivatives.

    The modes come without derivatives. A step `-H^-1 g(row)`, its matrix constant, has the exact
    first derivatives of the mode (the implicit function theorem); each further step one more.
    """
    rows = jax.lax.stop_gradient(modes.rows)
    usable = modes.found[:, None, None]
    eye = jnp.broadcast_to(jnp.eye(rows.shape[1], dtype=rows.dtype), modes.hessian.shape)
    hessian = jax.lax.stop_gradient(jnp.where(usable, modes.hessian, eye))
    inverse = jnp.where(usable, jnp.linalg.inv(hessian), 0.0)

    def step(rows: Array, _: None) -> tuple[Array, None]:
        gradient = _gradient(function, rows)[0]
        return rows - jnp.einsum("bij,bj->bi", inverse, gradient), None

    rows, _ = jax.lax.scan(step, rows, None, length=_POLISHING_STEPS)
    return rows


def _stepped(function: Function, state: _State) -> _State:
    first = state.steps == 0
    newton, decrement, _ = _newton(state)
    length = jnp.sqrt(jnp.sum(newton**2, axis=1))
    share = jnp.minimum(1.0, state.radius / jnp.where(length > 0, length, 1.0))
    step = jnp.where(state.ended[:, None], 0.0, share[:, None] * newton)
    at = expand(function, state.rows + step)
    usable = jnp.isfinite(at.value) & jnp.all(jnp.isfinite(at.gradient), axis=1)
    usable &= jnp.all(jnp.isfinite(at.hessian), axis=(1, 2))
    slope = jnp.sum(state.gradient * step, axis=1)
    # What a step promises may be below the rounding of the value: then only the gradient tells.
    quiet = -slope <= _resolution(state.value)
    lower = at.value <= state.value + 1e-4 * slope
    after = _State(
        rows=state.rows + step,
        value=at.value,
        gradient=at.gradient,
        hessian=at.hessian,
        radius=state.radius,
        ended=state.ended,
        steps=state.steps,
    )
    _, closer, positive = _newton(after)
    good = usable & ~state.ended & (first | lower | (quiet & (closer < decrement)))
    keep = lambda new, old: jnp.where(good.reshape(good.shape + (1,) * (new.ndim - 1)), new, old)
    longer = jnp.where(share < 1, 4 * state.radius, state.radius)
    shorter = 0.25 * jnp.minimum(length, state.radius)
    radius = jnp.where(good, jnp.minimum(longer, _LARGEST_RADIUS), shorter)
    there = good & positive & (closer <= _tolerance(state.value.dtype))
    hidden = ~good & quiet & ~first
    lost = (radius < jnp.finfo(radius.dtype).eps) | (first & ~usable)
    return _State(
        rows=keep(after.rows, state.rows),
        value=keep(at.value, state.value),
        gradient=keep(at.gradient, state.gradient),
        hessian=keep(at.hessian, state.hessian),
        radius=jnp.where(first, state.radius, radius),
        ended=state.ended | there | hidden | lost,
        steps=state.steps + 1,
    )


def _newton(state: _State) -> tuple[Array, Array, Array]:
    """The steps downhill on the local models, their lengths, and whether these have a minimum.

    Lengths are in standard errors. The eigenvalues of a Hessian count by their absolute values.
    """
    strengths, directions = jnp.linalg.eigh(state.hessian)
    positive = jnp.all(strengths > 0, axis=1)
    size = jnp.abs(strengths)
    floor = jnp.finfo(size.dtype).eps * jnp.max(size, axis=1, keepdims=True)
    size = jnp.maximum(size, jnp.maximum(floor, jnp.finfo(size.dtype).tiny))
    along = jnp.einsum("bij,bi->bj", directions, state.gradient)
    step = -jnp.einsum("bij,bj->bi", directions, along / size)
    return step, jnp.sqrt(jnp.sum(along**2 / size, axis=1)), positive


def _resolution(value: Array) -> Array:
    finite = jnp.where(jnp.isfinite(value), jnp.abs(value), 0.0)
    return jnp.sqrt(jnp.asarray(jnp.finfo(value.dtype).eps, value.dtype)) * (1.0 + finite)


def _tolerance(dtype: Any) -> float:
    return float(10 * jnp.finfo(dtype).eps ** 0.5)


def _gradient(
    function: Function, rows: Float[Array, "blocks size"]
) -> tuple[Array, tuple[Array, Any]]:
    # A block sees its own row only, so one tangent serves all blocks at the same time.
    push = lambda tangent: jax.jvp(function, (rows,), (tangent,), has_aux=True)
    value, gradient, aux = _along_each(push, rows)
    return gradient, (value, aux)


def _along_each(push: Callable[[Array], Any], rows: Array) -> Any:
    basis = jnp.eye(rows.shape[1], dtype=rows.dtype)
    tangents = jnp.broadcast_to(basis[:, None], (rows.shape[1], *rows.shape))
    return jax.vmap(push, out_axes=(None, -1, None))(tangents)
