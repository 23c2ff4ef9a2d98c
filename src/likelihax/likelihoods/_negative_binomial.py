"""Negative binomial scatter: counts that vary more than independent events do."""

import math
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betainc
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from .._special._compensated import less_log
from .._special._elementary import is_double, log_excess, logistic_divergence, sigmoid, softplus
from .._special._gamma import binet, binet_curvature, binet_slope
from ._argument import Argument, Source, predicted, source
from ._kernel import exact
from ._likelihood import AbstractRegularLikelihood, Outputs, diagonal
from ._support import COUNTS, Support

# Up to this count the information is summed, and beyond it integrated.
_SMALL = 1024


@final
class NegativeBinomial(AbstractRegularLikelihood):
    r"""`y ~ NegativeBinomial` of a given mean, whose variance is `mean + mean^2 / concentration`.

    $$-\log p = D + \tfrac12\log\frac{2\pi y(y+r)}{r} + B(y) + B(r) - B(y+r),\qquad
    D = y\log\frac y\mu - (y+r)\log\frac{y+r}{\mu+r},$$

    with Binet's function `B`, and `r log(1 + mean / r)` where `y = 0`. It becomes Poisson's as
    the concentration `r` grows.

    **Arguments:**

    - `concentration`: `r`, called size or theta in R; `1 / alpha` in Stata.
    - `mean`: the expected count; by default the model predicts its logarithm.
    """

    mean: Source
    concentration: Source

    def __init__(self, concentration: Any, mean: Any = predicted()):
        self.mean = source(mean, "NegativeBinomial: mean", constraints.positive, "positive")
        self.concentration = source(
            concentration, "NegativeBinomial: concentration", constraints.positive, "positive"
        )

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Mean and concentration; the kernel takes the logarithms of both."""
        return (
            Argument("NegativeBinomial: mean", self.mean, "log"),
            Argument("NegativeBinomial: concentration", self.concentration, "log"),
        )

    @property
    def support(self) -> Support:
        """Counts."""
        return COUNTS

    def from_outputs(self, outputs: Outputs) -> dist.NegativeBinomial2:
        """`NegativeBinomial2(mean, concentration)`."""
        log_mean, log_concentration = outputs
        return dist.NegativeBinomial2(jnp.exp(log_mean), jnp.exp(log_concentration))

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in the logarithms of mean and concentration."""
        return negative_binomial_nll(*outputs, y)

    def information(self, outputs: Outputs) -> Array:
        """Orthogonal in log-mean and log-concentration; the second is a sum over all counts."""
        log_mean, log_concentration = outputs
        return diagonal(*_mean_information(log_mean, log_concentration), _sum_over_counts(*outputs))

    def curvature(self, outputs: Outputs, y: Array) -> Array:
        """For the log-concentration what is right for small and for large means.

        For large ones that is the Gamma's, which mixes the Poissons; for small ones, where all
        is said by how often there are two, `(mean / r)^2 r / (2 (1 + r))`. Between them it is
        their mean, by the share of zeros, and within a factor of two.
        """
        log_mean, log_concentration = outputs
        r = jnp.exp(log_concentration)
        seen = 1 / (1 + jnp.exp(log_concentration - log_mean)) ** 2
        of_gamma = 0.5 + r**2 * binet_curvature(r)
        of_pairs = 0.5 * sigmoid(log_concentration)
        zeros = jnp.exp(-_none(log_mean, log_concentration))
        of_concentration = seen * ((1 - zeros) * of_gamma + zeros * of_pairs)
        return diagonal(*_mean_information(log_mean, log_concentration), of_concentration)


def _mean_information(log_mean: Array, log_concentration: Array) -> tuple[Array]:
    return (jnp.exp(log_mean - softplus(log_mean - log_concentration)),)


def _sum_over_counts(log_mean: Array, log_concentration: Array) -> Array:
    """`r^2 (psi'(r) - E psi'(r + Y) - mean / (r (r + mean)))`.

    The expectation is `sum_j P(Y > j) / (r + j)^2`, since `psi'(r) - psi'(r + y)` is the sum
    of `1 / (r + j)^2` below `y`. Of large counts, where it varies little from one to the next,
    the sum is an integral. Where the concentration is so large that the difference keeps no
    digit, its leading term is left.
    """
    mean, r = jnp.exp(log_mean), jnp.exp(log_concentration)
    share = mean / (mean + r)
    spread = jnp.sqrt(mean + mean**2 / r)
    # A geometric tail of ratio `share`, hence this many terms until nothing is left of it.
    last = mean + 40 * spread + 40 / -jnp.log(share)
    most = jnp.max(last)
    total = _sum_of_small(mean, r, share, jnp.minimum(most, float(_SMALL)))
    edges = (mean - 8 * spread, mean + 8 * spread, last)
    none = lambda: jnp.zeros_like(mean)
    total = total + jax.lax.cond(most > _SMALL, lambda: _sum_of_large(r, share, edges), none)
    lost = r**2 > jnp.where(last > _SMALL, 1e5, 1e9) * mean
    return jnp.where(lost, 0.5 * share**2, jnp.maximum(total - r * share, 0.0))


def _sum_of_small(mean: Array, r: Array, share: Array, last: Array) -> Array:
    def term(state: tuple) -> tuple:
        j, log_probability, above, total = state
        above = jnp.maximum(above - jnp.exp(log_probability), 0.0)
        total = total + above * (r / (r + j)) ** 2
        log_probability = log_probability + jnp.log((r + j) / (j + 1) * share)
        return j + 1, log_probability, above, total

    none = -r * jnp.log1p(mean / r)
    start = (jnp.zeros((), mean.dtype), none, jnp.ones_like(mean), jnp.zeros_like(mean))
    return jax.lax.while_loop(lambda state: state[0] < last, term, start)[-1]


def _sum_of_large(r: Array, share: Array, edges: tuple[Array, ...]) -> Array:
    """Gauss-Legendre in `log j`, apart where the probability falls from one to zero."""
    nodes, weights = (jnp.asarray(x, r.dtype) for x in np.polynomial.legendre.leggauss(48))
    total, low = jnp.zeros_like(r), jnp.full_like(r, math.log(_SMALL - 0.5))
    for edge in edges:
        high = jnp.maximum(jnp.log(jnp.maximum(edge, 1.0)), low)
        half = 0.5 * (high - low)

        def add(k: Array, total: Array, low: Array = low, half: Array = half) -> Array:
            j = jnp.exp(low + half * (nodes[k] + 1))
            above = betainc(j + 1, r, share)
            return total + half * weights[k] * j * above * (r / (r + j)) ** 2

        total = jax.lax.fori_loop(0, nodes.size, add, total)
        low = high
    return total


def _bounded(log_concentration: Array) -> Array:
    """`log_concentration`, or where it is Poisson's to the last digit the least that is.

    The mean as a share of a larger one may underflow.
    """
    most = 1e40 if is_double(log_concentration) else 1e25
    return jnp.minimum(log_concentration, math.log(most))


def _common(log_mean: Array, log_concentration: Array, y: Array) -> tuple[Array]:
    """How far the logarithm of the mean is above that of the count."""
    return (less_log(log_mean, jnp.where(y > 0, y, 1.0)),)


def _value(log_mean: Array, log_concentration: Array, y: Array, shift: Array) -> Array:
    log_concentration = _bounded(log_concentration)
    some, r = y > 0, jnp.exp(log_concentration)
    count = jnp.where(some, y, 1.0)
    whole = count + r
    deviance = whole * logistic_divergence(count, r, shift)
    # log((y + r) / r), which is next to nothing where r is large
    wider = jnp.where(r > count, jnp.log1p(count / r), jnp.log(whole) - log_concentration)
    constant = 0.5 * (jnp.log(count) + wider + math.log(2 * math.pi))
    gammas = binet(count) + (binet(r) - binet(whole))
    none = _none(log_mean, log_concentration)
    return jnp.where(some, deviance + constant + gammas, none)


def _none(log_mean: Array, log_concentration: Array) -> Array:
    """`r log(1 + mean / r)`."""
    return jnp.exp(log_concentration) * softplus(log_mean - log_concentration)


def _partials(log_mean: Array, log_concentration: Array, y: Array, shift: Array) -> tuple:
    log_concentration = _bounded(log_concentration)
    some, r = y > 0, jnp.exp(log_concentration)
    count = jnp.where(some, y, 1.0)
    mean, whole = jnp.exp(log_mean), count + r
    # r / (r + mean), without overflow
    kept = jnp.exp(-softplus(log_mean - log_concentration))
    of_mean = jnp.where(some, count * jnp.expm1(shift) * kept, mean * kept)
    # 1 - v = (r + y) / (r + mean)
    v = count * jnp.expm1(shift) / (mean + r)
    v = jnp.where(some, v, sigmoid(log_mean - log_concentration))
    small = jnp.abs(v) < 0.5
    near = log_excess(-jnp.where(small, v, 0.0))
    total = jnp.where(some, whole, r)
    apart = softplus(log_mean - log_concentration) + log_concentration - jnp.log(total) - v
    curved = r * jnp.where(small, near, apart)
    gammas = r * (binet_slope(r) - binet_slope(whole)) - 0.5 * count / whole
    return of_mean, curved + jnp.where(some, gammas, 0.0)


negative_binomial_nll = exact(_value, _partials, _common)
