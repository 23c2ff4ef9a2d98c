"""Half the sum of squares."""

from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from .._result import RESULTS
from ..objectives._objective import Evaluation, evaluated
from ..objectives._observations import CurvedLoss, Observations
from ._selection import Where, check_where, checked_weights, flat, places, weights_for
from ._term import AbstractTerm


@final
class L2(AbstractTerm):
    r"""Ridge, weight decay: small numbers, none exactly zero.

    $$\tfrac12\sum_j a_j\,x_j^2$$

    It is the negative logarithm of a Normal prior of variance `1 / (weight a)`, its constant left
    out.

    **Arguments:**

    - `where`: from the predictor to the numbers that are penalised, in natural units.
    - `weights`: `a`, one number for each that is selected; by default 1.
    - `name`: what it is called in a breakdown.
    """

    where: Where
    weights: Array | None
    name: str | None = eqx.field(static=True)

    def __init__(self, where: Where, *, weights: Any = None, name: str | None = None):
        check_where(where, "L2", "lambda p: p.model")
        self.where = where
        self.weights = checked_weights(weights, "L2")
        self.name = name

    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """Half the weighted sum of squares."""
        x = flat(self.where, predictor)
        return evaluated(0.5 * jnp.sum(self._weights(x) * x**2))

    def check(self, predictor: Any, data: Any) -> None:
        """Checks that `where` selects numbers that are fitted."""
        weights_for(self.weights, places(self.where, predictor, self.title).size, self.title)

    def losses(self, predictor: Any) -> tuple[CurvedLoss, ...]:
        """One square for each number."""
        return (HalfSquare(),)

    def observations(self, predictor: Any, data: Any) -> tuple[Observations, ...]:
        """Each number beside zero."""
        x = flat(self.where, predictor)
        eps = float(jnp.finfo(x.dtype).eps)
        zeros = jnp.zeros_like(x)
        return (Observations((x,), zeros, self._weights(x), RESULTS.successful, eps),)

    def _weights(self, x: Array) -> Array:
        return weights_for(self.weights, x.size, self.title).astype(x.dtype)


@final
class HalfSquare(eqx.Module):
    @property
    def majorises(self) -> bool:
        return False

    def kernel(self, outputs: tuple[Array, ...], values: Array) -> Array:
        return 0.5 * (outputs[0] - values) ** 2

    def curvature(self, outputs: tuple[Array, ...], values: Array) -> Array:
        return self.information(outputs)

    def information(self, outputs: tuple[Array, ...]) -> Array:
        return jnp.ones_like(outputs[0])[None, None]
