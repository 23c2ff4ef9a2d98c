"""Counts with more zeros than their distribution has."""

from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import Distribution, constraints

from .._special._elementary import sigmoid, softplus
from ._argument import Argument, Source, predicted, source
from ._likelihood import AbstractByCases, AbstractLikelihood, Outputs
from ._support import Support


@final
class ZeroInflated(AbstractByCases):
    r"""With probability `gate` nothing is counted at all, else `y` is as the base says.

    $$p(0) = g + (1-g)\,p_0(0),\qquad p(y) = (1-g)\,p_0(y)\text{ for } y>0$$

    (D. Lambert 1992, "Zero-inflated Poisson regression", Technometrics 34).

    **Arguments:**

    - `base`: a likelihood of counts: `Poisson()`, `NegativeBinomial(...)`, `Binomial(...)`.
    - `gate`: the probability of a zero that is not the base's; by default the model predicts
        its logit, before the base's outputs.
    """

    base: AbstractLikelihood
    gate: Source

    def __init__(self, base: AbstractLikelihood, gate: Any = predicted()):
        if not isinstance(base, AbstractLikelihood):
            raise ValueError(f"ZeroInflated: {base!r} is not a likelihood.")
        self.base = base
        self.gate = source(gate, "ZeroInflated: gate", constraints.unit_interval, "between 0 and 1")

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The gate, of which the kernel takes the logit."""
        return (Argument("ZeroInflated: gate", self.gate, "logit"),)

    @property
    def parts(self) -> tuple[AbstractLikelihood, ...]:
        """The base."""
        return (self.base,)

    @property
    def support(self) -> Support:
        """The base's."""
        return self.base.support

    def from_outputs(self, outputs: Outputs) -> Distribution:
        """`ZeroInflatedDistribution` of the base's distribution."""
        (gate,), (own,) = self.split(outputs)
        return dist.ZeroInflatedDistribution(self.base.from_outputs(own), gate_logits=gate)

    def by_cases(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in the logit of the gate and the base's outputs."""
        (gate,), (own,) = self.split(outputs)
        counted = self.base.kernel(own, y)
        # -log(g + (1 - g) exp(-n)), by the form that keeps the smaller of its two terms.
        likely = gate > 0
        shut = -jnp.log1p(
            jnp.where(likely, sigmoid(-gate), 0.0) * jnp.expm1(-jnp.where(likely, counted, 0.0))
        )
        open_ = jnp.where(likely, 0.0, gate)
        rest = softplus(open_) - jnp.logaddexp(open_, -counted)
        return jnp.where(y == 0, jnp.where(likely, shut, rest), softplus(gate) + counted)
