"""Bernoulli scatter: yes or no; its NLL is the binary cross-entropy."""

from typing import Any, final

from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from .._special._elementary import sigmoid, softplus
from ._argument import Argument, Source, predicted, source
from ._kernel import exact
from ._likelihood import AbstractRegularLikelihood, Outputs, diagonal
from ._support import BINARY, Support


@final
class Bernoulli(AbstractRegularLikelihood):
    r"""`y ~ Bernoulli(probability)`: 0 or 1, False or True.

    $$-\log p = \log(1+e^{(1-2y)\,\ell}),\qquad \ell = \operatorname{logit} p.$$

    **Arguments:**

    - `probability`: of a 1; by default the model predicts its logit.
    """

    probability: Source

    def __init__(self, probability: Any = predicted()):
        self.probability = source(
            probability, "Bernoulli: probability", constraints.unit_interval, "between 0 and 1"
        )

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The probability, of which the kernel takes the logit."""
        return (Argument("Bernoulli: probability", self.probability, "logit"),)

    @property
    def support(self) -> Support:
        """0 and 1."""
        return BINARY

    def from_outputs(self, outputs: Outputs) -> dist.BernoulliLogits:
        """`BernoulliLogits(logit)`."""
        return dist.BernoulliLogits(*outputs)

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in the logit."""
        return bernoulli_nll(*outputs, y)

    def information(self, outputs: Outputs) -> Array:
        """`p (1 - p)` for the logit."""
        (logit,) = outputs
        return diagonal(sigmoid(logit) * sigmoid(-logit))

    def curvature(self, outputs: Outputs, y: Array) -> Array:
        """The same in expectation, but not nearly zero for a confident mistake."""
        (logit,) = outputs
        surprise = sigmoid((1 - 2 * y) * logit)
        return diagonal(0.5 * sigmoid(logit) * sigmoid(-logit) + 0.25 * surprise)


def _value(logit: Array, y: Array) -> Array:
    return softplus((1 - 2 * y) * logit)


def _partials(logit: Array, y: Array) -> tuple[Array]:
    sign = 1 - 2 * y
    return (sign * sigmoid(sign * logit),)


bernoulli_nll = exact(_value, _partials)
