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

    def log_between(self, outputs: Outputs, low: Array, high: Array) -> Array:
        """`log P(low < Y <= high)`, elementwise; a family may know it to more digits.

        From the tails, rounding leaves about `1e-16 / s` of an interval as narrow as a share `s`
        of the scale.
        """
        return _from_tails(self, outputs, low, high)

    def nll_between(self, outputs: Outputs, y: Array, low: Array, high: Array) -> Array:
        """The NLL of `y`, given that it lies between the bounds."""
        return self.kernel(outputs, y) + self.log_between(outputs, low, high)


def log_cdf(family: AbstractLikelihood, outputs: Outputs, y: Array) -> Array:
    """`log P(Y <= y)`: the family's own, or else the logarithm of NumPyro's `cdf`."""
    if isinstance(family, AbstractCumulative):
        return family.log_cdf(outputs, y)
    below = _cdf(family, outputs, y)
    return jnp.where(below > 0, jnp.log(jnp.where(below > 0, below, 1.0)), -jnp.inf)


def log_survival(family: AbstractLikelihood, outputs: Outputs, y: Array) -> Array:
    """`log P(Y > y)`: the family's own, or else what NumPyro's `cdf` leaves of it."""
    if isinstance(family, AbstractCumulative):
        return family.log_survival(outputs, y)
    below = _cdf(family, outputs, y)
    return jnp.where(below < 1, jnp.log1p(-jnp.where(below < 1, below, 0.0)), -jnp.inf)


def log_between(family: AbstractLikelihood, outputs: Outputs, low: Array, high: Array) -> Array:
    """`log P(low < Y <= high)`: the family's own, or else from its tails."""
    if isinstance(family, AbstractCumulative):
        return family.log_between(outputs, low, high)
    return _from_tails(family, outputs, low, high)


def nll_between(
    family: AbstractLikelihood, outputs: Outputs, y: Array, low: Array, high: Array
) -> Array:
    """The NLL of `y` given `low < Y <= high`: the family's own, or else the sum of both."""
    if isinstance(family, AbstractCumulative):
        return family.nll_between(outputs, y, low, high)
    return family.kernel(outputs, y) + log_between(family, outputs, low, high)


def _from_tails(family: AbstractLikelihood, outputs: Outputs, low: Array, high: Array) -> Array:
    """`log P(low < Y <= high)`, from whichever tail is the smaller one."""
    below = log_cdf(family, outputs, low), log_cdf(family, outputs, high)
    above = log_survival(family, outputs, low), log_survival(family, outputs, high)
    lower = below[1] < above[0]
    larger = jnp.where(lower, below[1], above[0])
    smaller = jnp.where(lower, below[0], above[1])
    # Nothing is lost to a tail that is empty.
    gap = larger - smaller
    some = jnp.isfinite(gap) & (gap > 0)
    inside = larger + log1mexp(jnp.where(some, gap, 1.0))
    return jnp.where(some, inside, jnp.where(gap > 0, larger, -jnp.inf))


def just_below(family: AbstractLikelihood, y: Array) -> Array:
    """The largest value below `y` as far as the cumulative distribution can tell."""
    return jnp.ceil(y) - 1 if family.support.discrete else y


def check_base(base: object, wrapper: str) -> None:
    """Raises `ValueError` unless the base is a likelihood of single values."""
    if not isinstance(base, AbstractLikelihood):
        raise ValueError(f"{wrapper}: {base!r} is not a likelihood.")
    if base.event_ndim:
        raise ValueError(f"{wrapper}: {type(base).__name__} is of vectors: it has no order.")


def _cdf(family: AbstractLikelihood, outputs: Outputs, y: Array) -> Array:
    try:
        return family.from_outputs(outputs).cdf(y)
    except NotImplementedError:
        raise ValueError(
            f"{type(family).__name__} has no cumulative distribution, neither here nor in "
            "NumPyro: choose another family for what is censored or truncated."
        ) from None
