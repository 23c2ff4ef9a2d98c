"""Bounds beyond which a value was not seen, or not measured."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._parameters import Parameter, known
from ._argument import Argument
from ._likelihood import AbstractLikelihood

Bounds = tuple[Parameter | None, Parameter | None]


def known_bounds(
    base: object, lower: Any, upper: Any, wrapper: str, *, may_be_infinite: bool
) -> Bounds:
    """The bounds of a wrapper of single values; raises `ValueError` unless they are known.

    A bound is a number or an array, not NaN; the lower one is below the upper one.
    """
    check_base(base, wrapper)
    if lower is None and upper is None:
        raise ValueError(f"{wrapper}: give lower, upper or both.")
    low = _bound(lower, f"{wrapper}: lower", may_be_infinite)
    high = _bound(upper, f"{wrapper}: upper", may_be_infinite)
    if low is None or high is None or _is_traced(low) or _is_traced(high):
        return low, high
    try:
        ordered = bool(np.all(np.asarray(low.value) < np.asarray(high.value)))
    except ValueError:
        raise ValueError(
            f"{wrapper}: lower has shape {low.value.shape}, upper {high.value.shape}: they do not "
            "belong to the same values."
        ) from None
    if not ordered:
        raise ValueError(f"{wrapper}: lower must be below upper, got {lower} and {upper}.")
    return low, high


def bound_arguments(wrapper: str, bounds: tuple[Any, Any]) -> tuple[Argument, ...]:
    """Those of the bounds that there are, resolved or not; a kernel takes them as they are."""
    named = zip((f"{wrapper}: lower", f"{wrapper}: upper"), bounds, strict=True)
    return tuple(Argument(name, bound, "identity") for name, bound in named if bound is not None)


def check_base(base: object, wrapper: str) -> None:
    """Raises `ValueError` unless the base is a likelihood of single values."""
    if not isinstance(base, AbstractLikelihood):
        raise ValueError(f"{wrapper}: {base!r} is not a likelihood.")
    if base.event_ndim:
        raise ValueError(f"{wrapper}: {type(base).__name__} is of vectors: it has no order.")


def just_below(base: AbstractLikelihood, y: Array) -> Array:
    """The largest value below `y` as far as the cumulative distribution can tell."""
    return jnp.ceil(y) - 1 if base.support.discrete else y


def _bound(value: Any, what: str, may_be_infinite: bool) -> Parameter | None:
    if value is None:
        return None
    bound = known(value)
    if not isinstance(bound, Parameter) or bound.trainable:
        raise ValueError(f"{what} must be known, a number or an array, got {value!r}.")
    if _is_traced(bound):
        return bound
    array = np.asarray(bound.value)
    if np.any(np.isnan(array)):
        raise ValueError(f"{what} must not be NaN, got {array}.")
    if not may_be_infinite and np.any(np.isinf(array)):
        raise ValueError(f"{what} must be finite, got {array}: leave out what there is not.")
    return bound


def _is_traced(bound: Parameter) -> bool:
    return isinstance(bound.value, jax.core.Tracer)
