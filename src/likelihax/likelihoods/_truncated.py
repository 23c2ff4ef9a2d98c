"""Values that could not have been seen outside some bounds."""

from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import Distribution, constraints

from .._parameters import Parameter, resolve
from ._argument import Argument, source
from ._cumulative import check_base, just_below, log_cdf, log_survival, nll_between
from ._likelihood import AbstractLikelihood, Outputs
from ._support import Support


@final
class Truncated(AbstractLikelihood):
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
        check_base(base, "Truncated")
        self.base = base
        if lower is None and upper is None:
            raise ValueError("Truncated: give lower, upper or both.")
        self.lower = _bound(lower, "Truncated: lower")
        self.upper = _bound(upper, "Truncated: upper")

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The bounds that there are; the kernel takes them as they are."""
        bounds = (("Truncated: lower", self.lower), ("Truncated: upper", self.upper))
        return tuple(Argument(name, of, "identity") for name, of in bounds if of is not None)

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
            inside = inside if low is None else inside & (y > _matching(low, y))
            return inside if high is None else inside & (y < _matching(high, y))

        where = [f"above {_short(low)}"] if low is not None else []
        where += [f"below {_short(high)}"] if high is not None else []
        mend = "Leave it out: it could not have been seen. If it was, use Censored or the base."
        return Support(contains, middle, f"{base.words}, {' and '.join(where)}", mend)

    def from_outputs(self, outputs: Outputs) -> Distribution:
        """NumPyro's `TruncatedDistribution` of the base's, where it knows how to; else raises."""
        low, high = resolve((self.lower, self.upper))
        base = self.base.from_outputs(self.split(outputs)[1][0])
        return dist.TruncatedDistribution(base, low=low, high=high)

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above."""
        bounds, (own,) = self.split(outputs)
        each = self.base.kernel(own, y)
        if self.upper is None:
            return each + log_survival(self.base, own, bounds[0])
        highest = just_below(self.base, bounds[-1])
        if self.lower is None:
            return each + log_cdf(self.base, own, highest)
        return nll_between(self.base, own, y, bounds[0], highest)


def _bound(value: Any, what: str) -> Any:
    return None if value is None else source(value, what, constraints.real, "real")


def _matching(bound: Array, y: Any) -> Array:
    bound = bound.astype(y.dtype)
    return bound.reshape((1,) * (y.ndim - bound.ndim) + bound.shape)


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
