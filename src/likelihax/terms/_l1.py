"""The sum of absolute values."""

from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ._penalty import AbstractPenalty, Groups
from ._selection import Where, check_where, checked_weights, weights_for


@final
class L1(AbstractPenalty):
    r"""Sparse, with exact zeros.

    $$\sum_j a_j\,\lvert x_j\rvert$$

    (R. Tibshirani 1996, "Regression shrinkage and selection via the lasso", J. Royal Statistical
    Society B 58). It is the negative logarithm of a Laplace prior, its constant left out.

    **Arguments:**

    - `where`: from the predictor to the numbers that are penalised, for instance
        `lambda p: p.model.coefficients[1:]`; plain real parameters, in natural units. Standardise
        what they multiply, or say by `weights` what a unit of each means.
    - `weights`: `a`, one number for each that is selected; by default 1.
    - `name`: what it is called in a breakdown.
    """

    where: Where
    weights: Array | None
    name: str | None = eqx.field(static=True)

    def __init__(self, where: Where, *, weights: Any = None, name: str | None = None):
        check_where(where, "L1", "lambda p: p.model.coefficients[1:]")
        self.where = where
        self.weights = checked_weights(weights, "L1")
        self.name = name

    def groups(self, size: int) -> Groups:
        """Each number on its own."""
        own = weights_for(self.weights, size, self.title)
        return Groups(tuple(range(size)), own, jnp.zeros_like(own))
