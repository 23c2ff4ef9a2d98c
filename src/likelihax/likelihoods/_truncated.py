"""Values that could not have been seen outside some bounds."""

from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import Distribution

from .._parameters import Parameter, resolve
from ._argument import Argument, matching
from ._bounds import bound_arguments, just_below, known_bounds
from ._cumulative import cumulative
from ._likelihood import AbstractByCases, AbstractLikelihood, Outputs
from ._support import Support


@final
class Truncated(AbstractByCases):
    r"""The base, given that the value lies between two bounds: nothing else was kept.

    $$-\log p = -\log f(y) + \log\bigl(F(b)-F(a)\bigr),\qquad a < y < b.$$

    **Arguments:**

    - `base`: a likelihood of single values whose cumulative distribution is known, here (Normal,
        LogNormal, Laplace, Quantile, Exponential: exact in both tails) or in NumPyro.
    - `lower`, `upper`: the bounds `a` and `b`: one for all values, one an observable, or one
        each. Leave out what there is not.

    Truncated values are not in the data at all; values that are there but count as 'at least'
    or 'at most' are `Censored`.
    """

    base: AbstractLikelihood
    lower: Parameter | None
    upper: Parameter | None

    def __init__(self, base: AbstractLikelihood, *, lower: Any = None, upper: Any = None):
        self.lower, self.upper = known_bounds(
            base, lower, upper, "Truncated", may_be_infinite=False
        )
        self.base = base

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The bounds that there are; the kernel takes them as they are."""
        return bound_arguments("Truncated", (self.lower, self.upper))

    @property
    def parts(self) -> tuple[AbstractLikelihood, ...]:
        """The base."""
        return (self.base,)

    @property
    def support(self) -> Support:
        """The base's, between the bounds."""
        base = self.base.support
        low, high = resolve((self.lower, self.upper))
        middle = _between(base.inside, low, high)

        def contains(y: Any) -> Any:
            inside = base.contains(y)
            inside = inside if low is None else inside & (y > matching(low, y))
            return inside if high is None else inside & (y < matching(high, y))

        where = [f"above {_short(low)}"] if low is not None else []
        where += [f"below {_short(high)}"] if high is not None else []
        mend = "Leave it out: it could not have been seen. If it was, use Censored or the base."
        return Support(contains, middle, f"{base.words}, {' and '.join(where)}", mend)

    def from_outputs(self, outputs: Outputs) -> Distribution:
        """NumPyro's `TruncatedDistribution` of the base's, where it knows how to; else raises."""
        low, high = resolve((self.lower, self.upper))
        base = self.base.from_outputs(self.split(outputs)[1][0])
        return dist.TruncatedDistribution(base, low=low, high=high)

    def by_cases(self, outputs: Outputs, y: Array) -> Array:
        """The formula above."""
        bounds, (own,) = self.split(outputs)
        base = cumulative(self.base)
        if self.upper is None:
            return base.kernel(own, y) + base.log_survival(own, bounds[0])
        highest = just_below(base, bounds[-1])
        if self.lower is None:
            return base.kernel(own, y) + base.log_cdf(own, highest)
        return base.nll_between(own, y, bounds[0], highest)


def _between(inside: Any, low: Array | None, high: Array | None) -> Any:
    """Some value between the bounds."""
    if low is not None and high is not None:
        return 0.5 * (jnp.max(low) + jnp.min(high))
    if low is not None:
        return jnp.maximum(inside, jnp.max(low) + 1)
    return inside if high is None else jnp.minimum(inside, jnp.min(high) - 1)


def _short(bound: Array) -> str:
    try:
        value = np.asarray(bound)
    except Exception:  # traced: there is no number to show
        return "the bound"
    return f"{value}" if value.ndim == 0 else f"bounds from {value.min()} to {value.max()}"
