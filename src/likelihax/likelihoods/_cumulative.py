"""Families whose cumulative distribution is known, also far out in its tails."""

import abc
from typing import final

import jax.numpy as jnp
from jaxtyping import Array
from numpyro.distributions import Distribution

from .._special._elementary import log1mexp
from ._argument import Argument
from ._likelihood import AbstractLikelihood, Outputs
from ._support import Support


class AbstractCumulative(AbstractLikelihood):
    """A family that can say how probable it is to be below or above a value."""

    @abc.abstractmethod
    def log_cdf(self, outputs: Outputs, y: Array) -> Array:
        """`log P(Y <= y)`, elementwise; minus infinity below the support."""

    @abc.abstractmethod
    def log_survival(self, outputs: Outputs, y: Array) -> Array:
        """`log P(Y > y)`, elementwise; zero below the support."""

    def log_between(self, outputs: Outputs, low: Array, high: Array) -> Array:
        """`log P(low < Y <= high)`, elementwise, from whichever tail is the smaller one.

        Either bound may be infinite. Rounding leaves about `1e-16 / s` of an interval as narrow
        as a share `s` of the scale; a family may know it to more digits.
        """
        no_low, no_high = jnp.isneginf(low), jnp.isposinf(high)
        first, last = jnp.where(no_low, high, low), jnp.where(no_high, low, high)
        below = (
            jnp.where(no_low, -jnp.inf, self.log_cdf(outputs, first)),
            jnp.where(no_high, 0.0, self.log_cdf(outputs, last)),
        )
        above = (
            jnp.where(no_low, 0.0, self.log_survival(outputs, first)),
            jnp.where(no_high, -jnp.inf, self.log_survival(outputs, last)),
        )
        lower = below[1] < above[0]
        larger = jnp.where(lower, below[1], above[0])
        smaller = jnp.where(lower, below[0], above[1])
        # Nothing is lost to a tail that is empty.
        gap = larger - smaller
        some = jnp.isfinite(gap) & (gap > 0)
        inside = larger + log1mexp(jnp.where(some, gap, 1.0))
        found = jnp.where(some, inside, jnp.where(gap > 0, larger, -jnp.inf))
        return jnp.where(no_low & no_high, 0.0, found)

    def nll_between(self, outputs: Outputs, y: Array, low: Array, high: Array) -> Array:
        """The NLL of `y`, given that it lies between the bounds."""
        return self.kernel(outputs, y) + self.log_between(outputs, low, high)


def cumulative(family: AbstractLikelihood) -> AbstractCumulative:
    """The family itself where it knows its tails, or else by way of NumPyro's `cdf`."""
    return family if isinstance(family, AbstractCumulative) else _ByNumPyro(family)


@final
class _ByNumPyro(AbstractCumulative):
    """A family of which NumPyro knows the cumulative distribution."""

    family: AbstractLikelihood

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The family's."""
        return self.family.arguments

    @property
    def support(self) -> Support:
        """The family's."""
        return self.family.support

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The family's."""
        return self.family.kernel(outputs, y)

    def from_outputs(self, outputs: Outputs) -> Distribution:
        """The family's."""
        return self.family.from_outputs(outputs)

    def log_cdf(self, outputs: Outputs, y: Array) -> Array:
        """The logarithm of NumPyro's `cdf`."""
        below = self._cdf(outputs, y)
        return jnp.where(below > 0, jnp.log(jnp.where(below > 0, below, 1.0)), -jnp.inf)

    def log_survival(self, outputs: Outputs, y: Array) -> Array:
        """The logarithm of what NumPyro's `cdf` leaves."""
        below = self._cdf(outputs, y)
        return jnp.where(below < 1, jnp.log1p(-jnp.where(below < 1, below, 0.0)), -jnp.inf)

    def _cdf(self, outputs: Outputs, y: Array) -> Array:
        distribution = self.from_outputs(outputs)
        if type(distribution).cdf is Distribution.cdf:
            raise ValueError(
                f"{type(self.family).__name__} has no cumulative distribution, neither here nor in "
                "NumPyro: choose another family for what is censored or truncated."
            )
        return distribution.cdf(y)
