"""Absolute values and squares together."""

from typing import Any, final

import equinox as eqx
from jaxtyping import Array

from ._penalty import AbstractPenalty, Groups
from ._selection import Where, check_where, checked_weights, weights_for


@final
class ElasticNet(AbstractPenalty):
    r"""Sparse, and numbers that stand for the same come in together.

    $$\sum_j a_j\left(r\,\lvert x_j\rvert + \tfrac{1-r}{2}\,x_j^2\right)$$

    (H. Zou and T. Hastie 2005, "Regularization and variable selection via the elastic net",
    J. Royal Statistical Society B 67).

    **Arguments:**

    - `where`: from the predictor to the numbers that are penalised; plain real parameters.
    - `l1_ratio`: `r`, above 0 and up to 1, where it is `L1`. For 0 use `L2`.
    - `weights`: `a`, one number for each that is selected; by default 1.
    - `name`: what it is called in a breakdown.
    """

    where: Where
    l1_ratio: float = eqx.field(static=True)
    weights: Array | None
    name: str | None = eqx.field(static=True)

    def __init__(
        self,
        where: Where,
        l1_ratio: float = 0.5,
        *,
        weights: Any = None,
        name: str | None = None,
    ):
        check_where(where, "ElasticNet", "lambda p: p.model.coefficients[1:]")
        if not 0 < l1_ratio <= 1:
            raise ValueError(
                f"ElasticNet: l1_ratio {l1_ratio} is not above 0 and at most 1. For squares alone "
                "use L2."
            )
        self.where = where
        self.l1_ratio = float(l1_ratio)
        self.weights = checked_weights(weights, "ElasticNet")
        self.name = name

    def groups(self, size: int) -> Groups:
        """Each number on its own."""
        own = weights_for(self.weights, size, self.title)
        members = tuple(range(size))
        return Groups(members, self.l1_ratio * own, (1 - self.l1_ratio) * own)
