"""What is known of a parameter beforehand, as a distribution."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro.distributions import Distribution

from .._parameters import resolve
from .._result import RESULTS
from ..objectives._objective import Evaluation, evaluated
from ..objectives._observations import CurvedLoss, Observations
from ._selection import Where, check_where, count_selected, places, selected
from ._term import AbstractTerm


@final
class Prior(AbstractTerm):
    r"""$-\sum_j \log p(x_j)$, in nats with all constants, at the natural values.

    With the NLL its minimum is the largest posterior density (MAP), in natural units: not of the
    logarithm of what is fitted through its logarithm. The standard errors are then those of the
    posterior's Normal approximation.

    **Arguments:**

    - `where`: from the predictor to the numbers that are meant, in natural units.
    - `distribution`: a NumPyro one, of single numbers or of the selected array; broadcast to each
        selected array.
    - `name`: what it is called in a breakdown.
    """

    where: Where
    distribution: Distribution
    name: str | None = eqx.field(static=True)

    def __init__(self, where: Where, distribution: Distribution, *, name: str | None = None):
        check_where(where, "Prior", "lambda p: p.model.field.growth")
        if not isinstance(distribution, Distribution):
            raise ValueError(
                f"Prior: {distribution!r} is no NumPyro distribution: give for instance "
                "numpyro.distributions.LogNormal(0.0, 1.0)."
            )
        self.where = where
        self.distribution = distribution
        self.name = name

    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """Minus the sum of the log-densities."""
        each = [self._log_prob(x) for x in selected(self.where, predictor)]
        return evaluated(-jnp.sum(jnp.stack([jnp.sum(log_prob) for log_prob in each])))

    def check(self, predictor: Any, data: Any) -> None:
        """Checks that what is selected is fitted, and starts where the prior has density."""
        places(self.where, predictor, self.title)
        for x in selected(self.where, resolve(predictor)):
            try:
                inside = np.asarray(self.distribution.support(x))
                jax.eval_shape(self.distribution.log_prob, x)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{self.title}: the distribution, of shape {self.distribution.shape()}, does "
                    f"not fit a selected array of shape {x.shape} ({error})."
                ) from error
            if not np.all(inside):
                raise ValueError(
                    f"{self.title}: the start {np.asarray(x)} has no density under the prior: "
                    "start inside its support."
                )

    def losses(self, predictor: Any) -> tuple[CurvedLoss, ...] | None:
        """Minus the log-density of each selected array, if it is one of single numbers."""
        if self.distribution.event_dim:
            return None
        return (_MinusLogDensity(self.distribution),) * count_selected(self.where, predictor)

    def observations(self, predictor: Any, data: Any) -> tuple[Observations, ...]:
        """Each selected array; there is nothing to compare it with."""
        eps = float(jnp.finfo(float).eps)
        return tuple(
            Observations((x,), jnp.zeros_like(x), jnp.ones_like(x), RESULTS.successful, eps)
            for x in selected(self.where, predictor)
        )

    def _log_prob(self, x: Array) -> Array:
        return _log_density(self.distribution, x)


@final
class _MinusLogDensity(eqx.Module):
    distribution: Distribution

    @property
    def majorises(self) -> bool:
        return False

    def kernel(self, outputs: tuple[Array, ...], values: Array) -> Array:
        return -_log_density(self.distribution, outputs[0])

    def curvature(self, outputs: tuple[Array, ...], values: Array) -> Array:
        return self.information(outputs)

    def information(self, outputs: tuple[Array, ...]) -> Array:
        (x,) = outputs
        value = lambda x: jnp.sum(self.kernel((x,), x))
        ones = jnp.ones_like(x)
        slope, second = jax.jvp(jax.grad(value), (x,), (ones,))
        # Where the density is not log-concave, the outer product of the slope is positive still.
        return jnp.where(second > 0, second, slope**2)[None, None]


def _log_density(distribution: Distribution, x: Array) -> Array:
    # NumPyro gives numbers outside the support too.
    return jnp.where(distribution.support(x), distribution.log_prob(x), -jnp.inf)
