"""Binomial scatter: how many of a known number."""

import math
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from .._parameters import Numbers, Parameter, known, resolve
from .._special._compensated import less_log_odds
from .._special._elementary import logistic_divergence, sigmoid, softplus
from .._special._gamma import binet
from ._argument import Argument, Source, matching, predicted, source
from ._kernel import exact
from ._likelihood import AbstractRegularLikelihood, Outputs, diagonal
from ._support import Support


@final
class Binomial(AbstractRegularLikelihood):
    r"""`y ~ Binomial(total, probability)`: `y` of `total` trials succeed.

    $$-\log p = n\,\mathrm{KL}(y/n\|p) + \tfrac12\log\frac{2\pi y(n-y)}{n}
    + B(y) + B(n-y) - B(n),$$

    with Binet's function `B` and the divergence of two Bernoulli distributions; `n log(1 + e^l)`
    in the logit `l` where `y = 0`, `n log(1 + e^-l)` where `y = n`: the saddle-point form of
    C. Loader (2000, "Fast and accurate computation of binomial probabilities").

    **Arguments:**

    - `total`: the number of trials: one for all values, one an observable, or one each.
    - `probability`: of success; by default the model predicts its logit.
    """

    total: Parameter
    probability: Source

    def __init__(self, total: Numbers, probability: Any = predicted()):
        self.total = known(jnp.asarray(total, jnp.result_type(float)))
        if not isinstance(self.total.value, jax.core.Tracer):
            found = np.asarray(self.total.value)
            if not np.all((found >= 0) & (found == np.round(found)) & np.isfinite(found)):
                raise ValueError(f"Binomial: total must be whole numbers from 0 up, got {found}.")
        self.probability = source(
            probability, "Binomial: probability", constraints.unit_interval, "between 0 and 1"
        )

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The probability, of which the kernel takes the logit, and the total as it is."""
        return (
            Argument("Binomial: probability", self.probability, "logit"),
            Argument("Binomial: total", self.total, "identity"),
        )

    @property
    def support(self) -> Support:
        """Counts up to the total."""
        total = resolve(self.total)
        return Support(
            lambda y: (y >= 0) & (y <= matching(total, y)) & (y == y.round()),
            0.0,
            "whole numbers from 0 to the total",
            "Give the number of successes, not the share, and their number of trials as `total`.",
            discrete=True,
        )

    def from_outputs(self, outputs: Outputs) -> dist.BinomialLogits:
        """`BinomialLogits(logit, total)`."""
        logit, total = outputs
        return dist.BinomialLogits(logit, total.astype(int))

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in the logit and the total."""
        return binomial_nll(*outputs, y)

    def information(self, outputs: Outputs) -> Array:
        """`n p (1 - p)` for the logit; the total is known."""
        logit, total = outputs
        return diagonal(total * sigmoid(logit) * sigmoid(-logit), jnp.zeros_like(total))


def _inside(total: Array, y: Array) -> tuple[Array, Array, Array]:
    """Where neither all nor none succeed, and successes and trials, with stand-ins elsewhere."""
    some = (y > 0) & (y < total)
    return some, jnp.where(some, y, 1.0), jnp.where(some, total, 2.0)


def _common(logit: Array, total: Array, y: Array) -> tuple[Array]:
    """How far the logit is above that of the share which succeeded."""
    _, k, n = _inside(total, y)
    return (less_log_odds(logit, k, n),)


def _value(logit: Array, total: Array, y: Array, shift: Array) -> Array:
    some, k, n = _inside(total, y)
    rest = n - k
    deviance = n * logistic_divergence(k, rest, shift)
    spread = 0.5 * (jnp.log(k * (rest / n)) + math.log(2 * math.pi))
    gammas = binet(k) + binet(rest) - binet(n)
    edge = total * softplus(jnp.where(y > 0, -logit, logit))
    return jnp.where(some, deviance + spread + gammas, edge)


def _partials(logit: Array, total: Array, y: Array, shift: Array) -> tuple[Array]:
    some, k, n = _inside(total, y)
    # n (p - k / n) by whichever form does not overflow
    above = shift > 0
    away = jnp.where(
        above,
        -(n - k) * sigmoid(logit) * jnp.expm1(-jnp.where(above, shift, 0.0)),
        k * sigmoid(-logit) * jnp.expm1(jnp.where(above, 0.0, shift)),
    )
    edge = jnp.where(y > 0, -total * sigmoid(-logit), total * sigmoid(logit))
    return (jnp.where(some, away, edge),)


binomial_nll = exact(_value, _partials, _common)
