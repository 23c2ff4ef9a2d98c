"""Evidence costs where the prediction is wrong."""

from typing import Literal, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from .._special._elementary import softplus
from ..likelihoods import NormalInverseGamma
from ..reductions import AbstractReduction
from ._evidence import AbstractEvidenceTerm, checked_reduction

Per = Literal["width", "unit"]


@final
class MisplacedEvidence(AbstractEvidenceTerm):
    r"""Evidence costs as much as the prediction is wrong there.

    $$\sum_i \Bigl(\frac{|y_i-\gamma_i|}{w_i}\Bigr)^p\,(2\nu_i+\alpha_i)$$

    With `per="unit"` the error is in the unit of the values, $w=1$, as A. Amini and others have it
    (2020, "Deep evidential regression", NeurIPS 33, equation 9): then the weight depends on the
    unit, and noise counts as error, so that evidence is small where there is much noise. With
    `per="width"` it is in widths of the predictive distribution, $w^2=\beta(1+\nu)/(\alpha\nu)$
    (N. Meinert, J. Gawlikowski and A. Lavin 2023, AAAI 37), which takes the noise out. Either way
    something is asked of the evidence that the likelihood alone leaves open.

    **Arguments:**

    - `per`: what errors are measured in, `"width"` or `"unit"`.
    - `power`: $p$, 1 or more.
    - `reduction`: that of the `NLL` beside it; a sum by default.
    - `name`: what it is called in a breakdown.
    """

    per: Per = eqx.field(static=True)
    power: float = eqx.field(static=True)
    reduction: AbstractReduction
    name: str | None = eqx.field(static=True)

    def __init__(
        self,
        per: Per = "width",
        *,
        power: float = 1.0,
        reduction: AbstractReduction | None = None,
        name: str | None = None,
    ):
        if per not in ("width", "unit"):
            raise ValueError(f'MisplacedEvidence: per is "width" or "unit", not {per!r}.')
        if not power >= 1:
            raise ValueError(f"MisplacedEvidence: power must be 1 or more, got {power}.")
        self.per = per
        self.power = float(power)
        self.reduction = checked_reduction(reduction, "MisplacedEvidence")
        self.name = name

    def each(self, likelihood: NormalInverseGamma, prediction: Array, y: Array) -> Array:
        """The formula above."""
        loc, log_evidence, log_shape, log_rate = likelihood.all_four(likelihood.outputs(prediction))
        error = jnp.abs(y - loc)
        if self.per == "width":
            log_width = 0.5 * (log_rate + softplus(-log_evidence) - log_shape)
            error = error * jnp.exp(-log_width)
        if self.power != 1:
            error = error**self.power
        return error * (2 * jnp.exp(log_evidence) + jnp.exp(log_shape))

    @property
    def has_kinks(self) -> bool:
        """Where a prediction is right."""
        return self.power == 1
