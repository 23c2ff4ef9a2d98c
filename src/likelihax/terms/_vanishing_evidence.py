"""A gradient where evidence is all but gone, so that it can come back."""

import math
from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ..likelihoods import NormalInverseGamma
from ..reductions import AbstractReduction
from ._evidence import AbstractEvidenceTerm, checked_reduction


@final
class VanishingEvidence(AbstractEvidenceTerm):
    r"""Draws the shape up from 1, where the likelihood's gradient in what is predicted vanishes.

    $$-\sum_i |y_i-\gamma_i|\,\min\bigl(\log(e^{\alpha_i-1}-1),\ \log(e^{a-1}-1)\bigr)$$

    A network states the shape through a function that flattens out towards 1, so that what it has
    come to call unknown it learns no more about. The slope of this term in what is predicted is
    the error itself, however flat the function (K. Ye, T. Chen, H. Wei and L. Zhan 2024,
    "Uncertainty regularized evidential regression", AAAI 38). Theirs has no minimum, and goes on
    without end where the shape grows; here it ends at `until`.

    **Arguments:**

    - `until`: $a$, the shape above which there is nothing to remedy; infinite for the original.
    - `reduction`: that of the `NLL` beside it; a sum by default.
    - `name`: what it is called in a breakdown.

    For a shape that is predicted through `links.Softplus(least=1.0)`, as by default, or tied.
    """

    until: float = eqx.field(static=True)
    reduction: AbstractReduction
    name: str | None = eqx.field(static=True)

    def __init__(
        self,
        until: float = 2.0,
        *,
        reduction: AbstractReduction | None = None,
        name: str | None = None,
    ):
        if not until > 1:
            raise ValueError(f"VanishingEvidence: until must be above 1, got {until}.")
        self.until = float(until)
        self.reduction = checked_reduction(reduction, "VanishingEvidence")
        self.name = name

    def check_likelihood(self, likelihood: NormalInverseGamma) -> None:
        """The shape has to be above 1, and how far has to be predicted."""
        if not likelihood.shape_is_above_one:
            raise ValueError(
                f"{self.title}: the shape of this NormalInverseGamma may be 1 or less, or is not "
                "predicted: let it be tied(), or predicted(links.Softplus(least=1.0))."
            )

    def each(self, likelihood: NormalInverseGamma, prediction: Array, y: Array) -> Array:
        """The formula above."""
        loc = likelihood.outputs(prediction)[0]
        above = likelihood.log_expm1_shape(prediction)
        if math.isfinite(self.until):
            above = jnp.minimum(above, math.log(math.expm1(self.until - 1)))
        return -jnp.abs(y - loc) * above

    @property
    def has_kinks(self) -> bool:
        """Where a prediction is right."""
        return True
