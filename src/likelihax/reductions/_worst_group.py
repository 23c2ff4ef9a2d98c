"""The group that is worst off."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._groups import counted_groups
from ._reduction import AbstractReduction, weighted_sum


@final
class WorstGroup(AbstractReduction):
    r"""The largest of the groups' mean losses.

    $$\max_g\; \sum_{i\in g} w_i\,l_i \Big/ \sum_{i\in g} w_i$$

    (S. Sagawa and others 2020, "Distributionally robust neural networks", ICLR). Where two groups
    are the worst the gradient is that of the first of them.

    **Arguments:**

    - `groups`: which group each loss belongs to, whole numbers from 0, shaped like the losses.
        Every number up to the largest must occur.
    """

    groups: Array
    num_groups: int = eqx.field(static=True)

    def __init__(self, groups: Any):
        found, counts = counted_groups(groups, "WorstGroup", "value")
        self.groups = jnp.asarray(found)
        self.num_groups = len(counts)

    def num_averaged(self, weights: Array) -> Array:
        """The weight of a group, on average."""
        return jnp.sum(weights) / self.num_groups

    @property
    def has_kinks(self) -> bool:
        """Where another group becomes the worst."""
        return True

    def means(self, losses: Array, weights: Array) -> Array:
        """The mean of each group; minus infinity where none of it has a weight."""
        groups = self.groups.reshape(-1)
        if groups.shape != losses.shape:
            raise ValueError(
                f"WorstGroup: {groups.size} values have a group, there are {losses.size} losses."
            )
        total = lambda x: jax.ops.segment_sum(x, groups, self.num_groups)
        mass = total(weights)
        sums = total(jnp.where(weights > 0, weights * losses, 0.0))
        return jnp.where(mass > 0, sums / jnp.where(mass > 0, mass, 1.0), -jnp.inf)

    def reduce(self, losses: Array, weights: Array) -> Array:
        """The largest mean."""
        worst = jnp.argmax(jax.lax.stop_gradient(self.means(losses, weights)))
        own = jnp.where(self.groups.reshape(-1) == worst, weights, 0.0)
        return weighted_sum(losses, own / jnp.sum(own))
