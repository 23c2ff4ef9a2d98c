"""The sum of the lengths of groups."""

import math
from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from .._groups import counted_groups
from ._penalty import AbstractPenalty, Groups
from ._selection import Where, check_where, checked_weights, weights_for


@final
class GroupL1(AbstractPenalty):
    r"""Whole groups become zero together.

    $$\sum_g a_g\,\lVert x_g\rVert_2$$

    (M. Yuan and Y. Lin 2006, "Model selection and estimation in regression with grouped variables",
    J. Royal Statistical Society B 68).

    **Arguments:**

    - `where`: from the predictor to the numbers that are penalised; plain real parameters.
    - `groups`: which group each of them belongs to, whole numbers from 0 without gaps, in the
        order of the selected numbers; shaped like them or flat.
    - `weights`: `a`, one number a group; by default the root of how many belong to it.
    - `name`: what it is called in a breakdown.
    """

    where: Where
    members: tuple[int, ...] = eqx.field(static=True)
    weights: Array
    name: str | None = eqx.field(static=True)

    def __init__(
        self,
        where: Where,
        groups: ArrayLike | Sequence[int],
        *,
        weights: Any = None,
        name: str | None = None,
    ):
        check_where(where, "GroupL1", "lambda p: p.model.coefficients")
        found, counts = counted_groups(groups, "GroupL1", "number")
        self.where = where
        self.members = tuple(int(each) for each in found.reshape(-1))
        own = checked_weights(weights, "GroupL1")
        roots = jnp.asarray([math.sqrt(count) for count in counts])
        self.weights = roots if own is None else weights_for(own, counts.size, "GroupL1")
        self.name = name

    def groups(self, size: int) -> Groups:
        """As they were given."""
        if len(self.members) != size:
            raise ValueError(
                f"{self.title}: {len(self.members)} numbers have a group, {size} are selected."
            )
        return Groups(self.members, self.weights, jnp.zeros_like(self.weights))
