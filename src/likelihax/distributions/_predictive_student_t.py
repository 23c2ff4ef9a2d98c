"""What is expected of a value whose mean and variance are not known for sure."""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike
from numpyro import distributions as dist
from numpyro.distributions import constraints


class PredictiveStudentT(dist.StudentT):
    r"""`y ~ Normal(mean, variance)` with both under a `NormalInverseGamma`: Student's t.

    $$y \sim \mathrm{StudentT}\Bigl(2\alpha,\ \gamma,\ \sqrt{\beta(1+\nu)/(\alpha\nu)}\Bigr)$$

    It knows how its uncertainty is made up, as it is stated: `aleatoric` and `epistemic` in the
    squared unit of the values, as A. Amini and others define them (2020, "Deep evidential
    regression", NeurIPS 33); `width` and `ignorance` as N. Meinert, J. Gawlikowski and A. Lavin do
    (2023, "The unreasonable effectiveness of deep evidential regression", AAAI 37), who show that
    the first two say little where the four numbers were fitted by their likelihood alone.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real,
        "evidence": constraints.positive,
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    reparametrized_params: ClassVar[list[str]] = ["loc", "evidence", "concentration", "rate"]
    pytree_data_fields = ("evidence", "concentration", "rate")

    def __init__(
        self,
        loc: ArrayLike,
        evidence: ArrayLike,
        concentration: ArrayLike,
        rate: ArrayLike,
        *,
        validate_args: bool | None = None,
    ):
        loc, self.evidence, self.concentration, self.rate = jnp.broadcast_arrays(
            loc, evidence, concentration, rate
        )
        scale = jnp.sqrt(self.rate / self.concentration * (1 + 1 / self.evidence))
        super().__init__(2 * self.concentration, loc, scale, validate_args=validate_args)

    @property
    def aleatoric(self) -> Array:
        r"""$\mathrm E\,\sigma^2 = \beta/(\alpha-1)$, the scatter expected; infinite up to 1."""
        finite = self.concentration > 1
        found = self.rate / jnp.where(finite, self.concentration - 1, 1.0)
        return jnp.where(finite, found, jnp.inf)

    @property
    def epistemic(self) -> Array:
        r"""$\mathrm{Var}\,\mu = \beta/(\nu(\alpha-1))$: how far the mean may be off."""
        return self.aleatoric / self.evidence

    @property
    def variance(self) -> Array:
        """The sum of both; infinite where there is none."""
        return self.aleatoric + self.epistemic

    @property
    def width(self) -> Array:
        r"""$\sqrt{\beta(1+\nu)/(\alpha\nu)}$, the scale, which the likelihood determines."""
        return self.scale

    @property
    def ignorance(self) -> Array:
        r"""$1/\sqrt\nu$: how far the mean may be off, in standard deviations of the scatter."""
        return 1 / jnp.sqrt(self.evidence)
