"""Ordered logistic scatter: grades."""

from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from .._special._elementary import log1mexp, sigmoid, softplus
from ._argument import Argument, Source, predicted, source
from ._kernel import exact
from ._likelihood import AbstractLikelihood, Outputs
from ._support import Support, labels


@final
class OrderedLogistic(AbstractLikelihood):
    r"""`y ~ OrderedLogistic`: grades from 0, cut from a scale on which the scatter is logistic.

    $$p(y=k) = \sigma(c_{k+1}-\eta)-\sigma(c_k-\eta),\qquad c_0=-\infty,\; c_K=\infty,$$

    the proportional-odds model of P. McCullagh (1980, "Regression models for ordinal data",
    J. R. Stat. Soc. B 42). The difference is computed as
    `sigma(b) sigma(-a) (1 - exp(a - b))`, in which nothing cancels.

    **Arguments:**

    - `cutpoints`: increasing numbers, one less than there are grades: known, or fitted as
        `ordered([...])`; or `predicted()`, as the first and the logarithms of the steps.
    - `location`: where on the scale; by default the model predicts it.
    - `num_classes`: how many grades; only where the cutpoints are predicted.
    """

    location: Source
    cutpoints: Source
    num_classes: int = eqx.field(static=True)

    def __init__(
        self, cutpoints: Any, location: Any = predicted(), *, num_classes: int | None = None
    ):
        self.location = source(location, "OrderedLogistic: location", constraints.real, "real")
        self.cutpoints = source(
            cutpoints, "OrderedLogistic: cutpoints", constraints.ordered_vector, "increasing"
        )
        self.num_classes = _count_classes(self.cutpoints, num_classes)

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Location and cutpoints, a vector."""
        size = self.num_classes - 1
        return (
            Argument("OrderedLogistic: location", self.location, "identity"),
            Argument(
                "OrderedLogistic: cutpoints",
                self.cutpoints,
                constraints.ordered_vector,
                size,
                (size,),
            ),
        )

    @property
    def support(self) -> Support:
        """Grades."""
        return labels(self.num_classes)

    def from_outputs(self, outputs: Outputs) -> dist.OrderedLogistic:
        """`OrderedLogistic(location, cutpoints)`."""
        return dist.OrderedLogistic(*outputs)

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above."""
        location, cutpoints = outputs
        columns = jnp.unstack(cutpoints, axis=-1)
        lower, upper = _pick(columns, y - 1, -jnp.inf), _pick(columns, y, jnp.inf)
        each = ordered_logistic_nll(location, lower, upper)
        return jnp.where(jnp.all(jnp.isfinite(cutpoints), axis=-1), each, jnp.inf)


def _pick(columns: tuple[Array, ...], index: Array, otherwise: float) -> Array:
    # Not a gather, which is a scatter backwards.
    found = jnp.full_like(columns[0], otherwise)
    for k, column in enumerate(columns):
        found = jnp.where(index == k, column, found)
    return found


def _value(location: Array, lower: Array, upper: Array) -> Array:
    # No grade is left between cutpoints that rounding has made one.
    empty = upper <= lower
    width = jnp.where(empty, 1.0, upper - lower)
    each = softplus(location - upper) + softplus(lower - location) - log1mexp(width)
    return jnp.where(empty, jnp.inf, each)


def _partials(location: Array, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
    above, below = sigmoid(location - upper), sigmoid(lower - location)
    width = jnp.where(upper <= lower, 1.0, upper - lower)
    narrow = jnp.exp(-width) / -jnp.expm1(-width)  # the width may be infinite
    return above - below, below + narrow, -above - narrow


ordered_logistic_nll = exact(_value, _partials)


def _count_classes(cutpoints: Source, num_classes: int | None) -> int:
    value = getattr(cutpoints, "value", None)
    if value is None:
        if num_classes is None or num_classes < 2:
            raise ValueError(
                f"OrderedLogistic: with predicted cutpoints num_classes must be at least 2, got "
                f"{num_classes}."
            )
        return num_classes
    if value.ndim == 0:
        raise ValueError("OrderedLogistic: cutpoints must be a vector, got a number.")
    if num_classes not in (None, value.shape[-1] + 1):
        raise ValueError(
            f"OrderedLogistic: {value.shape[-1]} cutpoints make {value.shape[-1] + 1} grades, not "
            f"{num_classes}."
        )
    return int(value.shape[-1]) + 1
