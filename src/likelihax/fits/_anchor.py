"""Pulls that are added to an objective: towards a point, or of one number towards a value."""

import abc
from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..objectives import Unknowns


class AbstractAnchor(eqx.Module):
    """What it costs to be away from where one should be: half the squared length of a residual."""

    weight: eqx.AbstractVar[Float[Array, ""]]

    @abc.abstractmethod
    def residual(self, theta: Float[Array, " size"], unknowns: Unknowns) -> Float[Array, " rows"]:
        """How far away a point is, as a least-squares method sees it."""

    @abc.abstractmethod
    def rows(self, theta: Float[Array, " size"], unknowns: Unknowns) -> Float[Array, "rows size"]:
        """The Jacobian of `residual`."""

    def cost(self, theta: Float[Array, " size"], unknowns: Unknowns) -> Float[Array, ""]:
        """What a point costs."""
        return 0.5 * jnp.sum(self.residual(theta, unknowns) ** 2)


@final
class Anchor(AbstractAnchor):
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

    def residual(self, theta: Float[Array, " size"], unknowns: Unknowns) -> Float[Array, " size"]:
        """How far away it is in each number."""
        return jnp.sqrt(self.weight) * (theta - self.centre)

    def rows(self, theta: Float[Array, " size"], unknowns: Unknowns) -> Float[Array, "size size"]:
        """A multiple of the identity."""
        return jnp.sqrt(self.weight) * jnp.eye(self.centre.size, dtype=self.centre.dtype)


@final
class Pull(AbstractAnchor):
    r"""What it costs one number `g(theta)` to be away from a value: `weight / 2 (g - centre)^2`.

    At the minimum of an objective with it, `g` is not quite `centre`; but of all points with that
    same `g` it is the lowest, so it is a point of the profile of `g`, exactly and for any weight,
    and the slope of the profile there is `weight (centre - g)`.

    **Attributes:**

    - `of`: from the vector and the unknowns to several numbers; compared by identity or `==`.
    - `direction`: which of them `g` is, 1 for it and 0 for the others.
    - `centre`, `weight`: as above; 0 for no pull at all. All arrays, so that what was compiled
        serves every number and every value.
    """

    of: Callable[[Array, Unknowns], Array] = eqx.field(static=True)
    direction: Float[Array, " numbers"]
    centre: Float[Array, ""]
    weight: Float[Array, ""]

    def residual(self, theta: Float[Array, " size"], unknowns: Unknowns) -> Float[Array, " 1"]:
        """How far `g` is from where it should be."""
        # Chosen, not multiplied: another number that is not finite here is none of this one's.
        numbers = jnp.where(self.direction > 0, self.of(theta, unknowns), 0.0)
        away = jnp.sum(numbers) - self.centre
        return jnp.where(self.weight > 0, jnp.sqrt(self.weight) * away, 0.0)[None]

    def rows(self, theta: Float[Array, " size"], unknowns: Unknowns) -> Float[Array, "1 size"]:
        """The gradient of `g`, times the root of the weight."""
        rows: Any = jax.jacfwd(lambda point: self.residual(point, unknowns))(theta)
        return rows
