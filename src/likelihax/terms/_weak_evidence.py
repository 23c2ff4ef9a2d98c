"""Evidence costs unless it is needed."""

import math
from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array
from numpyro.distributions import kl_divergence

from .. import distributions
from ..likelihoods import NormalInverseGamma
from ..reductions import AbstractReduction
from ._evidence import AbstractEvidenceTerm, checked_reduction


@final
class WeakEvidence(AbstractEvidenceTerm):
    r"""How much more is claimed to be known of each mean and variance than a weak prior does.

    $$\sum_i \mathrm{KL}\bigl(\mathrm{NIG}(\gamma_i,\nu_i,\alpha_i,\beta_i)\,\big\|\,
    \mathrm{NIG}(\gamma_i,\nu_0,\alpha_0,\beta_0)\bigr)$$

    The prior has the predicted mean, so that this says nothing about the mean. It costs evidence
    everywhere alike, with its weight saying how much; it is zero where no more is claimed than the
    prior does.

    **Arguments:** what the prior is worth, all positive.

    - `evidence`: $\nu_0$, in values seen.
    - `shape`: $\alpha_0$.
    - `rate`: $\beta_0$, in the squared unit of the values; the prior's scale is
        $\sqrt{\beta_0(1+\nu_0)/(\alpha_0\nu_0)}$.
    - `reduction`: that of the `NLL` beside it; a sum by default.
    - `name`: what it is called in a breakdown.
    """

    evidence: float = eqx.field(static=True)
    shape: float = eqx.field(static=True)
    rate: float = eqx.field(static=True)
    reduction: AbstractReduction
    name: str | None = eqx.field(static=True)

    def __init__(
        self,
        evidence: float = 0.1,
        shape: float = 1.1,
        rate: float = 1.0,
        *,
        reduction: AbstractReduction | None = None,
        name: str | None = None,
    ):
        for what, value in (("evidence", evidence), ("shape", shape), ("rate", rate)):
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"WeakEvidence: {what} must be positive and finite, got {value}.")
        self.evidence, self.shape, self.rate = float(evidence), float(shape), float(rate)
        self.reduction = checked_reduction(reduction, "WeakEvidence")
        self.name = name

    def each(self, likelihood: NormalInverseGamma, prediction: Array, y: Array) -> Array:
        """The divergence, in nats."""
        loc, *logs = likelihood.all_four(likelihood.outputs(prediction))
        full = lambda value: jnp.full_like(loc, value)
        stated = distributions.NormalInverseGamma(loc, *map(jnp.exp, logs))
        prior = distributions.NormalInverseGamma(
            loc, full(self.evidence), full(self.shape), full(self.rate)
        )
        found: Array = kl_divergence(stated, prior)
        return found
