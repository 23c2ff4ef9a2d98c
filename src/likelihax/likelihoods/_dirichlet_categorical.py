"""Labels whose probabilities are themselves uncertain, with evidence for each class."""

import math
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array
from numpyro.distributions import constraints

from .._special._elementary import softplus
from ..distributions import PredictiveCategorical
from ._argument import Argument, Source, predicted, source
from ._categorical import label_nll
from ._likelihood import AbstractLikelihood, Outputs
from ._support import Support, labels


@final
class DirichletCategorical(AbstractLikelihood):
    r"""`y ~ Categorical(p)`, and the probabilities under a Dirichlet distribution.

    There is evidence $e_k$ for each class, and $p \sim \mathrm{Dirichlet}(e + 1)$, uniform where
    there is none. What a label alone tells about is its marginal, and this is the NLL:

    $$-\log\Pr(y) = \log S - \log(e_y + 1),\qquad S = \sum_k (e_k + 1)$$

    (M. Sensoy, L. Kaplan and M. Kandemir 2018, "Evidential deep learning to quantify classification
    uncertainty", NeurIPS 31, section 3, the type II maximum likelihood). **This is the
    cross-entropy of the expected probabilities**: it asks that these are right, and says next to
    nothing of how much evidence there should be in all (V. Bengs, E. Hüllermeier and W. Waegeman
    2022, "Pitfalls of epistemic uncertainty quantification through loss minimisation", NeurIPS 35).
    `terms.EvidenceAgainst` asks for little where it does not speak for the label; nothing asks
    for little where no labels are. Whether strange inputs are known as such is therefore to be
    measured, with `diagnostics.out_of_distribution`.

    **Arguments:**

    - `num_classes`: $K$; labels count from 0.
    - `evidence`: $e$, positive, one a class. By default predicted through a softplus;
        `predicted("log")` takes its logarithm.

    `distribution` gives a `distributions.PredictiveCategorical`, with `aleatoric`, `epistemic` and
    `vacuity`. Raises `ValueError` for fewer than 2 classes.
    """

    evidence: Source
    num_classes: int = eqx.field(static=True)

    def __init__(self, num_classes: int, evidence: Any = predicted("softplus")):
        if num_classes < 2:
            raise ValueError(
                f"DirichletCategorical: at least 2 classes are needed, got {num_classes}."
            )
        self.evidence = source(
            evidence, "DirichletCategorical: evidence", constraints.positive, "positive"
        )
        self.num_classes = num_classes

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The evidence, a vector, of which the kernel takes the logarithms."""
        size = self.num_classes
        return (Argument("DirichletCategorical: evidence", self.evidence, "log", size, (size,)),)

    @property
    def support(self) -> Support:
        """Labels."""
        return labels(self.num_classes)

    def from_outputs(self, outputs: Outputs) -> PredictiveCategorical:
        """The marginal, which knows what it is the marginal of."""
        (log_evidence,) = outputs
        # What a float cannot hold is scaled down, all of it, so that shares stay what they are.
        most = math.log(float(jnp.finfo(log_evidence.dtype).max) / self.num_classes) - 1
        beyond = jnp.max(log_evidence, axis=-1, keepdims=True) - most
        return PredictiveCategorical(1 + jnp.exp(log_evidence - jnp.maximum(beyond, 0.0)))

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in the log-evidence: a cross-entropy in the log-concentrations."""
        (log_evidence,) = outputs
        return label_nll(softplus(log_evidence), y.astype(int))
