"""Elementwise functions that come with their own partial derivatives."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array

Arrays = tuple[Array, ...]
Elementwise = Callable[..., Array]
Several = Callable[..., Arrays]


def _nothing(*arguments: Array) -> Arrays:
    return ()


def exact(value: Elementwise, partials: Several, common: Several = _nothing) -> Elementwise:
    """`value`, whose derivatives are `partials` rather than what differentiating it gives.

    All take the same arrays, of one shape and dtype; `partials` returns one array for each
    of the leading arguments, and those that have none count as constants. What `common`
    returns is computed once and given to both of the others behind their arguments.
    """

    def slopes(arguments: Arrays, known: Arrays, moving: list[int]) -> list[Array]:
        found = partials(*arguments, *known)
        still = jnp.zeros_like(arguments[0])
        return [found[i] if i < len(found) else still for i in moving]

    function = elementwise(lambda arguments, known: value(*arguments, *known), slopes)
    return lambda *arguments: function(arguments, common(*arguments))


def forwards(value: Callable[[Arrays, Any], Array], arguments: Arrays, known: Any) -> Array:
    """`value(arguments, known)`, differentiated forwards in each of the arguments.

    Backwards, what is not selected would be multiplied by zero, and so might be infinite.
    The arguments are arrays of one shape and dtype; what is known counts as constant.
    """

    def slopes(arguments: Arrays, known: Any, moving: list[int]) -> list[Array]:
        def slope(i: int) -> Array:
            alone = lambda x: value((*arguments[:i], x, *arguments[i + 1 :]), known)
            return jax.jvp(alone, (arguments[i],), (jnp.ones_like(arguments[i]),))[1]

        return [slope(i) for i in moving]

    return elementwise(value, slopes)(arguments, known)


def elementwise(
    value: Callable[[Arrays, Any], Array],
    slopes: Callable[[Arrays, Any, list[int]], list[Array]],
) -> Callable[[Arrays, Any], Array]:
    """A function of `arguments` and `known` that has the slopes given for some arguments.

    A slope that is not finite is zero: it occurs where the value is infinite, and must not
    spoil a sum. The slopes are computed anew where they are needed: between forward and
    backward pass XLA would otherwise store what it can compute faster than read.
    """

    @jax.custom_jvp
    def function(arguments: Arrays, known: Any) -> Array:
        each = value(arguments, known)
        # XLA's library for sums on CPUs takes in what is summed, but writes out its constants
        # as arrays; it takes no selection.
        return jnp.where(jnp.isnan(each), jnp.inf, each)

    def jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
        moving = [i for i, t in enumerate(tangents[0]) if not isinstance(t, SymbolicZero)]

        def push(arguments: Arrays, known: Any, *moved: Array) -> Array:
            # Behind the barrier nothing is recognised as part of the value.
            arguments, known = jax.lax.optimization_barrier((arguments, known))
            total = jnp.zeros_like(arguments[0])
            for slope, tangent in zip(slopes(arguments, known, moving), moved, strict=True):
                total = total + jnp.where(jnp.isfinite(slope), slope, 0.0) * tangent
            return total

        moved = (tangents[0][i] for i in moving)
        tangent = jax.checkpoint(push, prevent_cse=False)(*primals, *moved)
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
