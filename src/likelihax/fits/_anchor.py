"""A pull towards a point, in the fitter's own space."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


@final
class Anchor(eqx.Module):
    r"""What it costs to be away from a point: `weight / 2` times the squared distance.

    The negative logarithm of a Normal density of variance `1 / weight`, its constant left out, for
    each unconstrained, unit-scaled number. It keeps where they were the numbers that a part of
    the data says nothing of.

    **Attributes:**

    - `centre`: the point.
    - `weight`: 0 for no pull at all; as an array, so that what was compiled serves any.
    """

    centre: Float[Array, " size"]
    weight: Float[Array, ""]

    def cost(self, theta: Float[Array, " size"]) -> Float[Array, ""]:
        """What a point costs."""
        return 0.5 * jnp.sum(self.residual(theta) ** 2)

    def residual(self, theta: Float[Array, " size"]) -> Float[Array, " size"]:
        """How far away it is in each number, as a least-squares method sees it."""
        return jnp.sqrt(self.weight) * (theta - self.centre)

    def rows(self) -> Float[Array, "size size"]:
        """The Jacobian of `residual`."""
        return jnp.sqrt(self.weight) * jnp.eye(self.centre.size, dtype=self.centre.dtype)
