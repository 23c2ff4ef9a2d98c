"""Normal scatter about the prediction: least squares when the scale is known."""

import math
from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from .._special._gaussian import log_ndtr
from .._special._truncated_gaussian import log_ndtr_between, truncated_gaussian_nll
from ._argument import Argument, Source, predicted, source
from ._cumulative import AbstractCumulative
from ._heteroscedastic import AbstractGradient
from ._kernel import exact
from ._likelihood import AbstractRegularLikelihood, Outputs, diagonal
from ._support import REAL, Support


@final
class Normal(AbstractRegularLikelihood, AbstractCumulative):
    r"""`y ~ Normal(loc, scale)`.

    $$-\log p = \tfrac12 r^2 + \log\sigma + \tfrac12\log 2\pi,\qquad r = (y-\mu)/\sigma.$$

    **Arguments:**

    - `scale`: the standard deviation in the units of `y`: a number is known, `positive(...)` is
        fitted, `predicted()` makes it the second output of the model, as its logarithm.
    - `loc`: the mean; by default the model predicts it.
    - `gradient`: `BetaNLL(...)` or `Faithful()` change the gradient, not the value, where
        training a predicted scale stalls; by default the gradient is that of the NLL.
    """

    loc: Source
    scale: Source
    gradient: AbstractGradient | None

    def __init__(
        self, scale: Any, loc: Any = predicted(), *, gradient: AbstractGradient | None = None
    ):
        self.loc = source(loc, "Normal: loc", constraints.real, "real")
        self.scale = source(scale, "Normal: scale", constraints.positive, "positive")
        self.gradient = gradient

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Location and scale; the kernel takes the logarithm of the scale."""
        return (
            Argument("Normal: loc", self.loc, "identity"),
            Argument("Normal: scale", self.scale, "log"),
        )

    @property
    def support(self) -> Support:
        """The real line."""
        return REAL

    @property
    def is_gradient(self) -> bool:
        """False with `gradient`."""
        return self.gradient is None

    def from_outputs(self, outputs: Outputs) -> dist.Normal:
        """`Normal(loc, scale)`."""
        loc, log_scale = outputs
        return dist.Normal(loc, jnp.exp(log_scale))

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in location and log-scale."""
        each = normal_nll(*outputs, y)
        return each if self.gradient is None else self.gradient.reweight(each, outputs, y)

    def log_cdf(self, outputs: Outputs, y: Array) -> Array:
        """`log Phi(r)`."""
        loc, log_scale = outputs
        return log_ndtr((y - loc) * jnp.exp(-log_scale))

    def log_survival(self, outputs: Outputs, y: Array) -> Array:
        """`log Phi(-r)`."""
        loc, log_scale = outputs
        return log_ndtr((loc - y) * jnp.exp(-log_scale))

    def log_between(self, outputs: Outputs, low: Array, high: Array) -> Array:
        """`log(Phi(b) - Phi(a))`, in distances from the bound nearer to the location."""
        start, width, middle, *_ = _distances(outputs, low, low, high)
        found = jnp.where(high > low, log_ndtr_between(start, width, middle), -jnp.inf)
        return jnp.where(jnp.isneginf(low) & jnp.isposinf(high), 0.0, found)

    def nll_between(self, outputs: Outputs, y: Array, low: Array, high: Array) -> Array:
        """The NLL between two bounds, in the same distances."""
        return outputs[1] + truncated_gaussian_nll(*_distances(outputs, y, low, high))

    def information(self, outputs: Outputs) -> Array:
        """`1 / scale^2` for the location and 2 for the log-scale."""
        return normal_information(outputs)

    def curvature(self, outputs: Outputs, y: Array) -> Array:
        """`1 / scale^2` for the location and `1 + r^2` for the log-scale."""
        return normal_curvature(outputs, y)


def _value(loc: Array, log_scale: Array, y: Array) -> Array:
    residual = (y - loc) * jnp.exp(-log_scale)
    return 0.5 * residual * residual + log_scale + 0.5 * math.log(2 * math.pi)


def _partials(loc: Array, log_scale: Array, y: Array) -> tuple[Array, Array, Array]:
    per_scale = jnp.exp(-log_scale)
    residual = (y - loc) * per_scale
    pull = residual * per_scale
    return -pull, (1 - residual) * (1 + residual), pull


normal_nll = exact(_value, _partials)


_FAR = 1e18


def _distances(outputs: Outputs, y: Array, low: Array, high: Array) -> tuple[Array, ...]:
    """In scales, counted from the nearer bound to the other one.

    From location to nearer bound, from there to the other one; from location to their middle;
    from nearer bound to value; from location to value.
    """
    loc, log_scale = outputs
    per_scale = jnp.exp(-log_scale)
    twice = (low - loc) + (high - loc)
    above = twice > 0
    start = jnp.where(above, low - loc, loc - high) * per_scale
    beyond = jnp.where(above, y - low, high - y) * per_scale
    width = jnp.where(high > low, (high - low) * per_scale, 1.0)
    # Nothing is left so far out, and the square of the width is a float yet.
    far = ~(width < _FAR)
    width = jnp.where(far, _FAR, width)
    middle = jnp.where(above, twice, -twice) * (0.5 * per_scale)
    middle = jnp.where(far, start + 0.5 * width, middle)
    return start, width, middle, beyond, jnp.where(above, y - loc, loc - y) * per_scale


def normal_information(outputs: Outputs) -> Array:
    """The Fisher information of a Normal in location and log-scale."""
    _, log_scale = outputs
    return diagonal(jnp.exp(-2 * log_scale), jnp.full_like(log_scale, 2.0))


def normal_curvature(outputs: Outputs, y: Array) -> Array:
    """The Normal's curvature for scoring steps.

    In the log-scale the observed curvature is `2 r^2` and the expected one 2. Their mean
    keeps a step between -1 and 1 however wrong the scale is at the start (from the
    expected one alone a scale ten times too small would leap by a factor of e^50), and it
    equals both at the optimum.
    """
    loc, log_scale = outputs
    residual = (y - loc) * jnp.exp(-log_scale)
    return diagonal(jnp.exp(-2 * log_scale), 1 + residual**2)
