"""Families whose cumulative distribution is known, also far out in its tails."""

import abc

import jax.numpy as jnp
from jaxtyping import Array

from .._special._elementary import log1mexp
from ._likelihood import AbstractLikelihood, Outputs


class AbstractCumulative(AbstractLikelihood):
    """A family that can say how probable it is to be below or above a value."""

    @abc.abstractmethod
    def log_cdf(self, outputs: Outputs, y: Array) -> Array:
        """`log P(Y <= y)`, elementwise; minus infinity below the support."""

    @abc.abstractmethod
    def log_survival(self, outputs: Outputs, y: Array) -> Array:
        """`log P(Y > y)`, elementwise; zero below the support."""


def log_between(family: AbstractCumulative, outputs: Outputs, low: Array, high: Array) -> Array:
    """`log P(low < Y <= high)`, from whichever tail is the smaller one.

    Of an interval as narrow as a share `s` of the scale, rounding leaves about `1e-16 / s`.
    """
    below = family.log_cdf(outputs, low), family.log_cdf(outputs, high)
    above = family.log_survival(outputs, low), family.log_survival(outputs, high)
    lower = below[1] < above[0]
    larger = jnp.where(lower, below[1], above[0])
    smaller = jnp.where(lower, below[0], above[1])
    # Nothing is lost to a tail that is empty.
    gap = larger - smaller
    some = jnp.isfinite(gap) & (gap > 0)
    inside = larger + log1mexp(jnp.where(some, gap, 1.0))
    return jnp.where(some, inside, jnp.where(gap > 0, larger, -jnp.inf))


def as_cumulative(base: object, wrapper: str) -> AbstractCumulative:
    """The base, or a `ValueError` that lists what can be wrapped."""
    if not isinstance(base, AbstractCumulative):
        raise ValueError(
            f"{wrapper}: {type(base).__name__} has no cumulative distribution here. Those that "
            "have: Normal, LogNormal, Laplace, Quantile, Exponential, and FromNumPyro of any "
            "distribution with a cdf."
        )
    return base
