"""Values of which only a bound is known."""

from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array
from numpyro.distributions import Distribution

from .._parameters import Parameter
from ._argument import Argument
from ._bounds import bound_arguments, check_base, just_below, known_bounds
from ._cumulative import cumulative
from ._likelihood import AbstractByCases, AbstractLikelihood, Outputs
from ._support import REAL, Support, is_finite


@final
class Censored(AbstractByCases):
    r"""Values at a limit of detection count as 'at most', or 'at least', that much.

    $$-\log p = \begin{cases}-\log F(a) & y\le a\\ -\log(1-F(b)) & y\ge b\\
    \text{the base's}&\text{else,}\end{cases}$$

    the tobit model where the base is Normal (J. Tobin 1958, "Estimation of relationships for
    limited dependent variables", Econometrica 26).

    **Arguments:**

    - `base`: a likelihood of single values whose cumulative distribution is known, here (Normal,
        LogNormal, Laplace, Quantile, Exponential: exact in both tails) or in NumPyro.
    - `lower`, `upper`: the limits `a` and `b`: one for all values, one an observable, or one
        each. Leave out what there is not, and give infinity for a value without a limit: of
        survival times, `upper=numpy.where(died, numpy.inf, times)`.

    For values known only to lie between two bounds, see `IntervalCensored`.
    """

    base: AbstractLikelihood
    lower: Parameter | None
    upper: Parameter | None

    def __init__(self, base: AbstractLikelihood, *, lower: Any = None, upper: Any = None):
        self.lower, self.upper = known_bounds(base, lower, upper, "Censored", may_be_infinite=True)
        self.base = base

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The limits that there are; the kernel takes them as they are."""
        return bound_arguments("Censored", (self.lower, self.upper))

    @property
    def parts(self) -> tuple[AbstractLikelihood, ...]:
        """The base."""
        return (self.base,)

    @property
    def support(self) -> Support:
        """Any finite number: what is outside the base's is beyond a limit, or infinitely bad."""
        base = self.base.support
        return Support(is_finite, base.inside, "finite numbers", REAL.mend)

    def from_outputs(self, outputs: Outputs) -> Distribution:
        """The base's: of the value itself, had there been no limit."""
        return self.base.from_outputs(self.split(outputs)[1][0])

    def by_cases(self, outputs: Outputs, y: Array) -> Array:
        """The formula above."""
        limits, (own,) = self.split(outputs)
        bounds, base = iter(limits), cumulative(self.base)
        inside = base.support.contains(y)
        stand_in = jnp.asarray(base.support.inside, y.dtype)
        each = base.kernel(own, jnp.where(inside, y, stand_in))
        each = jnp.where(inside, each, jnp.inf)
        if self.lower is not None:
            bound = next(bounds)
            below = y <= bound
            each = jnp.where(below, -base.log_cdf(own, jnp.where(below, bound, y)), each)
        if self.upper is not None:
            bound = next(bounds)
            above = y >= bound
            below = just_below(base, jnp.where(above, bound, y))
            each = jnp.where(above, -base.log_survival(own, below), each)
        return each


@final
class IntervalCensored(AbstractByCases):
    r"""Each value is a pair of bounds, the last axis of `y`, between which the truth lies.

    $$-\log p = -\log\bigl(F(b)-F(a)\bigr),$$

    or the base's NLL where both bounds are the same, so that exact, left-censored (lower bound
    minus infinity), right-censored (upper bound infinity) and interval-censored values mix.

    **Arguments:**

    - `base`: a likelihood of single values whose cumulative distribution is known, here (Normal,
        LogNormal, Laplace, Quantile, Exponential: exact in both tails) or in NumPyro.
    """

    base: AbstractLikelihood

    def __init__(self, base: AbstractLikelihood):
        check_base(base, "IntervalCensored")
        self.base = base

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """None of its own."""
        return ()

    @property
    def parts(self) -> tuple[AbstractLikelihood, ...]:
        """The base."""
        return (self.base,)

    @property
    def support(self) -> Support:
        """Pairs of increasing bounds; equal ones must be in the base's support."""
        return Support(
            self._are_bounds,
            self.base.support.inside,
            f"pairs of bounds (last axis), lower first, {self.base.support.words} where both are "
            "the same",
            "Sort each pair; leave out (NaN in both) a pair that says nothing.",
        )

    @property
    def event_ndim(self) -> int:
        """1: a value is a pair."""
        return 1

    def event_shape(self, y: Array) -> tuple[int, ...]:
        """`(2,)`."""
        return (2,)

    @property
    def _is_bare(self) -> bool:
        # A pair is one value of the base's.
        return self.base._is_bare

    def from_outputs(self, outputs: Outputs) -> Distribution:
        """The base's: of the value itself."""
        return self.base.from_outputs(self.split(outputs)[1][0])

    def by_cases(self, outputs: Outputs, y: Array) -> Array:
        """The formula above: one number a pair."""
        low, high = y[..., 0], y[..., 1]
        same = low == high
        inside = jnp.asarray(self.base.support.inside, y.dtype)
        known = self.base.kernel(outputs, jnp.where(same, low, inside))
        below = jnp.where(same, low - 1, low)
        return jnp.where(same, known, -cumulative(self.base).log_between(outputs, below, high))

    def _are_bounds(self, y: Any) -> Any:
        low, high = y[..., 0], y[..., 1]
        exact = (low == high) & self.base.support.contains(low)
        return ((low < high) | exact)[..., None] & (y == y)
