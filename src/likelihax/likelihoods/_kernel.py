"""Elementwise functions that come with their own partial derivatives."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array

Elementwise = Callable[..., Array]
Partials = Callable[..., tuple[Array, ...]]


def exact(value: Elementwise, partials: Partials) -> Elementwise:
    """`value`, whose derivatives are `partials` rather than what differentiating it gives.

    Both take the same arrays, all of one shape and dtype; `partials` returns one array for each
    of the leading arguments, and those that have none count as constants. A partial that is
    not finite is zero: it occurs where the value is infinite, and must not spoil a sum.

    The partials are recomputed from the arguments when they are needed. Between forward and
    backward pass XLA would otherwise store what it can compute faster than read.
    """

    @jax.custom_jvp
    def function(*arguments: Array) -> Array:
        each = value(*arguments)
        return jnp.where(jnp.isnan(each), jnp.inf, each)

    def jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
        moving = [i for i, t in enumerate(tangents) if not isinstance(t, SymbolicZero)]

        def push(arguments: tuple, *moved: Array) -> Array:
            found = partials(*jax.lax.optimization_barrier(arguments))
            total = jnp.zeros_like(arguments[0])
            for i, tangent in zip(moving, moved, strict=True):
                if i < len(found):
                    slope = jnp.where(jnp.isfinite(found[i]), found[i], 0.0)
                    total = total + slope * tangent
            return total

        tangent = jax.checkpoint(push, prevent_cse=False)(primals, *(tangents[i] for i in moving))
        return function(*primals), tangent

    function.defjvp(jvp, symbolic_zeros=True)
    return function


@jax.custom_jvp
def still(x: Array, where: Array) -> Array:
    """`x`, which counts as constant where `where` is true: no derivative gets through there.

    Not even one that is not a number, as backwards through a value that is infinite.
    """
    return x


@still.defjvp
def _still_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    x, where = primals
    return x, jnp.where(where, 0.0, tangents[0])
