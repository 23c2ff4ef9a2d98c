"""Penalties with exact zeros: weighted lengths of groups of numbers."""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..objectives._objective import Evaluation, evaluated
from ._selection import Where, flat, plain_places
from ._term import AbstractTerm


class Groups(NamedTuple):
    """Which group each selected number belongs to, and what each group costs.

    **Attributes:**

    - `members`: for each number its group, from 0 without gaps.
    - `lengths`: for each group, what a unit of its Euclidean length costs.
    - `squares`: for each group, what half its squared length costs.
    """

    members: tuple[int, ...]
    lengths: Float[Array, " groups"]
    squares: Float[Array, " groups"]


class AbstractPenalty(AbstractTerm):
    r"""Weighted lengths, and squares, of groups of numbers.

    $$\sum_g a_g \lVert x_g\rVert_2 + \tfrac12 b_g \lVert x_g\rVert_2^2$$

    It has a kink where a group is zero, and its minima lie there, exactly: `fit` takes a
    proximal method for it.
    """

    where: eqx.AbstractVar[Where]

    @abc.abstractmethod
    def groups(self, size: int) -> Groups:
        """How `size` selected numbers are grouped."""

    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """The sum of the groups' costs, at the natural values."""
        return evaluated(self.cost(flat(self.where, predictor)))

    def cost(self, x: Float[Array, " selected"]) -> Float[Array, ""]:
        """The same, of the selected numbers."""
        members, lengths, squares = self.groups(x.size)
        squared = jax.ops.segment_sum(x**2, jnp.asarray(members), len(lengths))
        positive = squared > 0
        length = jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1.0)), 0.0)
        cost = lengths.astype(x.dtype) * length + 0.5 * squares.astype(x.dtype) * squared
        return jnp.sum(cost)

    def check(self, predictor: Any, data: Any) -> None:
        """Checks that `where` selects plain numbers that are fitted."""
        self.groups(plain_places(self.where, predictor, self.title).size)

    @property
    def is_penalty(self) -> bool:
        """It is one."""
        return True

    @property
    def is_density(self) -> bool:
        """At a kink there is no curvature to read a standard error from."""
        return False
