"""What is expected of a label whose probabilities are not known for sure."""

from typing import Any, ClassVar

import jax.numpy as jnp
from jax.scipy.special import digamma
from jaxtyping import Array, ArrayLike
from numpyro import distributions as dist
from numpyro.distributions import constraints

from .._special._gamma import binet_slope


class PredictiveCategorical(dist.CategoricalProbs):
    r"""`y ~ Categorical(p)` with `p ~ Dirichlet(concentration)`: a categorical distribution.

    $$\Pr(y = k) = a_k / S,\qquad S = \sum_j a_j$$

    It knows how its uncertainty is made up, in nats: `aleatoric`, what would be left to chance were
    the probabilities known, and `epistemic`, what comes of not knowing them; together they are
    the entropy of the label (S. Depeweg and others 2018, "Decomposition of uncertainty in Bayesian
    deep learning for efficient and risk-sensitive learning", ICML). `vacuity` is that of M. Sensoy,
    L. Kaplan and M. Kandemir (2018, "Evidential deep learning to quantify classification
    uncertainty", NeurIPS 31).

    **Arguments:**

    - `concentration`: $a$, positive, one a class along the last axis.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "concentration": constraints.independent(constraints.positive, 1)
    }

    def __init__(self, concentration: ArrayLike, *, validate_args: bool | None = None):
        self.concentration = jnp.asarray(concentration)
        if self.concentration.ndim == 0:
            raise ValueError(
                "PredictiveCategorical: concentration is a single number: give one a class, along "
                "the last axis."
            )
        total = jnp.sum(self.concentration, axis=-1, keepdims=True)
        super().__init__(self.concentration / total, validate_args=validate_args)

    @property
    def total(self) -> Array:
        r"""$S$, the concentrations of all classes together."""
        return jnp.sum(self.concentration, axis=-1)

    @property
    def aleatoric(self) -> Array:
        r"""$\mathrm E\,H(p) = \psi(S+1) - \sum_k a_k\,\psi(a_k+1) / S$, the expected entropy."""
        behind = digamma(self.total + 1)[..., None] - digamma(self.concentration + 1)
        return jnp.maximum(jnp.sum(self.probs * behind, axis=-1), 0.0)

    @property
    def epistemic(self) -> Array:
        r"""$H(\mathrm E\,p) - \mathrm E\,H(p)$: what the label would tell about its probabilities.

        The mutual information of the two, of the order of $(K-1)/(2S)$. Zero is certain.
        """
        # With the logarithms of the digammas taken out, the entropy of the mean has gone.
        excess = _excess(self.concentration) - _excess(self.total)[..., None]
        return jnp.maximum(jnp.sum(self.probs * excess, axis=-1), 0.0)

    @property
    def vacuity(self) -> Array:
        r"""$K / S$: one where nothing is known, next to zero where there is much evidence.

        Above one for concentrations below one.
        """
        return self.concentration.shape[-1] / self.total


def _excess(a: Array) -> Array:
    """`digamma(a + 1) - log(a)`: positive, falling, and like `1 / (2 a)` where `a` is large."""
    near = a < 1
    small, large = jnp.where(near, a, 1.0), jnp.where(near, 1.0, a)
    return jnp.where(near, digamma(small + 1) - jnp.log(small), 0.5 / large + binet_slope(large))
