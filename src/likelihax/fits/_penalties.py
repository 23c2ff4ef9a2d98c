"""The penalties of an objective, as functions of one vector."""

from dataclasses import replace
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._parameters import unit_scales
from ..objectives import Unknowns, as_sum
from ..terms import AbstractPenalty
from ..terms._selection import places
from ._problem import Problem


@final
class Penalties(eqx.Module):
    r"""$\sum_b a_b\lVert z_b\rVert + \tfrac12 c_b\lVert z_b\rVert^2$ over blocks of `z`.

    `z` is the fitters' vector with what is penalised in natural units. Each of its entries is in
    one block; one that is not penalised is a block without cost.

    **Attributes:**

    - `unit`: `z` over the fitters' vector.
    - `members`: the entries of each block, filled up with a number that is none of them.
    - `lengths`, `squares`: `a` and `c`.
    """

    unit: Float[Array, " size"]
    members: Int[Array, "blocks most"]
    lengths: Float[Array, " blocks"]
    squares: Float[Array, " blocks"]

    def gather(self, z: Float[Array, " size"]) -> Float[Array, "blocks most"]:
        """The entries block by block, zero where a block has no more."""
        return z.at[self.members].get(mode="fill", fill_value=0.0)

    def scatter(self, blocks: Float[Array, "blocks most"]) -> Float[Array, " size"]:
        """Undoes `gather`."""
        return jnp.zeros_like(self.unit).at[self.members].set(blocks, mode="drop")

    def spread(self, each: Array) -> Array:
        """One number a block, as one number an entry."""
        return self.scatter(jnp.broadcast_to(each[:, None], self.members.shape))

    def cost(self, z: Float[Array, " size"]) -> Float[Array, ""]:
        """The formula above."""
        length = lengths_of(self.gather(z))
        return jnp.sum(self.lengths * length + 0.5 * self.squares * length**2)

    def prox(self, z: Float[Array, " size"], step: Float[Array, ""]) -> Float[Array, " size"]:
        """What minimises `step * cost(x) + |x - z|^2 / 2`: block by block, zero exactly or not."""
        blocks = self.gather(z)
        kept = shrunk(lengths_of(blocks), step * self.lengths, step * self.squares)
        return self.scatter(kept[:, None] * blocks)

    def least_subgradient(
        self, z: Float[Array, " size"], gradient: Float[Array, " size"]
    ) -> Float[Array, " size"]:
        """The shortest of `gradient + subgradients of the cost`: zero at a minimum, only there."""
        x, slope = self.gather(z), self.gather(gradient)
        length, steepness = lengths_of(x), lengths_of(slope)
        per_unit = self.lengths / jnp.where(length > 0, length, 1.0) + self.squares
        excess = shrunk(steepness, self.lengths, jnp.zeros_like(self.squares))
        off_zero = slope + per_unit[:, None] * x
        return self.scatter(jnp.where(length[:, None] > 0, off_zero, excess[:, None] * slope))


def lengths_of(blocks: Float[Array, "*blocks most"]) -> Float[Array, "*blocks"]:
    """The Euclidean length of each block."""
    return jnp.sqrt(jnp.sum(blocks**2, axis=-1))


def shrunk(length: Array, by_length: Array, by_square: Array) -> Array:
    """The share of a block that is left of it."""
    nonzero = jnp.where(length > 0, length, 1.0)
    return jnp.maximum(1.0 - by_length / nonzero, 0.0) / (1.0 + by_square)


def smooth(problem: Problem) -> Problem:
    """The problem without its penalties."""
    rest = as_sum(problem.unknowns.objective).only(penalties=False)
    return replace(problem, unknowns=Unknowns(problem.predictor, rest))


def penalties_of(problem: Problem) -> Penalties:
    """The penalties, weighted; `ValueError` where two are about the same number."""
    theta = problem.start()
    costs = as_sum(problem.objective).only(penalties=True)
    unit, free = np.ones(theta.size, bool), np.ones(theta.size, bool)
    blocks: list[list[int]] = []
    lengths, squares = [], []
    for i, part in enumerate(costs.parts):
        assert isinstance(part, AbstractPenalty)
        found = places(part.where, problem.predictor, part.title)
        if not np.all(free[found]):
            raise ValueError(
                f"{part.title}: it is about a number that another penalty is about too: use one "
                "penalty for each, such as ElasticNet, with weights."
            )
        free[found] = unit[found] = False
        groups = part.groups(found.size)
        weight = costs.weight(i).astype(theta.dtype)
        of_group = np.asarray(groups.members)
        blocks += [found[of_group == g].tolist() for g in range(len(groups.lengths))]
        lengths.append(weight * groups.lengths.astype(theta.dtype))
        squares.append(weight * groups.squares.astype(theta.dtype))
    alone = [[int(i)] for i in np.flatnonzero(free)]
    nothing = jnp.zeros(len(alone), theta.dtype)
    most = max(len(block) for block in blocks + alone)
    filled = [block + [theta.size] * (most - len(block)) for block in blocks + alone]
    return Penalties(
        unit=jnp.where(unit, 1.0, unit_scales(problem.unknowns)).astype(theta.dtype),
        members=jnp.asarray(filled),
        lengths=jnp.concatenate([*lengths, nothing]),
        squares=jnp.concatenate([*squares, nothing]),
    )
