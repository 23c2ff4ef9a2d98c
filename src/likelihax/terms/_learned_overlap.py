"""How much of the learned part of a vector field the known part could say."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import jax.tree_util as jtu
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .._parameters import is_parameter, map_nodes
from ..models._contributions import field_of
from ..models._learned import Learned, without_learned
from ._law import increasing_times
from ._learned_size import AbstractLearnedTerm, Along, checked_scale
from ._selection import Where, check_where, places


@final
class LearnedOverlap(AbstractLearnedTerm):
    r"""The learned part should not say what the known part can say by other parameters.

    $$\frac1{2T}\,\bigl\lVert P\,g\bigr\rVert^2,\qquad
    P = J\,(J^\top J)^{-1}J^\top,\qquad J = \frac{\partial f^\text{known}}{\partial\theta}$$

    `g` are the learned rates at `T` times of the trajectory, all components in units of their
    scale, and `P` projects them on the directions in which the physical parameters can change the
    known ones, at the same states. What is left is a rest that no change of parameters could
    take over, and the parameters mean what they mean without the network (B. M. Györök and others
    2025, "Orthogonal projection-based regularization for efficient model augmentation", Proc.
    Machine Learning Research 283; M. Plumlee 2017, "Bayesian calibration of inexact computer
    models", J. American Statistical Association 112). It is at most `LearnedSize`, and zero where
    both are orthogonal; where `LearnedSize` is least, so they are.

    **Arguments:**

    - `where`: from the predictor to the parameters of the known part: leaves of the vector field,
        `lambda p: [p.model.field.rate, p.model.field.loss]`.
    - `scale`, `times`, `name`: as for `LearnedSize`.

    Directions are told apart to about 1e-8 in float64, 1e-3 in float32, of their lengths: one
    parameter that does the same as others, or nothing, does no harm.
    """

    where: Where
    scale: Array | None
    times: Array | None
    count: int | None = eqx.field(static=True)
    name: str | None = eqx.field(static=True)

    def __init__(
        self, where: Where, *, scale: Any = None, times: Any = None, name: str | None = None
    ):
        check_where(where, "LearnedOverlap", "lambda p: [p.model.field.rate]")
        self.where = where
        self.scale = checked_scale(scale, "LearnedOverlap")
        self.times, self.count = increasing_times(times, "LearnedOverlap")
        self.name = name

    def check(self, predictor: Any, data: Any) -> None:
        """Checks also that `where` selects fitted leaves of the vector field."""
        super().check(predictor, data)
        if not _are_known_leaves(self.where, predictor):
            raise ValueError(
                f"{self.title}: where selects something else than leaves of the vector field's "
                "known part: select whole parameters, lambda p: [p.model.field.rate]."
            )
        places(self.where, predictor, self.title)

    def numbers(self, predictor: Any, along: Along) -> Float[Array, " numbers"]:
        """The coordinates of the projection, one for each parameter."""
        directions = self._directions(predictor, along)
        length = jnp.sum(directions**2, axis=0)
        # A parameter without effect has no direction: a column of zeros.
        root = jnp.sqrt(jnp.where(length > 0, length, 1.0))
        unit = directions / root[None]
        products = unit.T @ unit
        eps = jnp.sqrt(jnp.finfo(products.dtype).eps).astype(products.dtype)
        lower = jnp.linalg.cholesky(products + eps * jnp.eye(len(products), dtype=products.dtype))
        along_each = unit.T @ jnp.ravel(along.learned)
        return jsl.solve_triangular(lower, along_each, lower=True)

    def _directions(self, predictor: Any, along: Along) -> Float[Array, "rates numbers"]:
        """How the known rates change with each parameter, in units of the scales."""
        chosen, rest = eqx.partition(self.where(predictor), eqx.is_inexact_array)
        vector, restore = ravel_pytree(chosen)

        def known(vector: Array) -> Array:
            moved = eqx.tree_at(self.where, predictor, eqx.combine(restore(vector), rest))
            field = without_learned(field_of(moved.model))
            at = lambda t, y: ravel_pytree(field(t, y, along.inputs))[0]
            return jnp.ravel(jax.vmap(at)(along.times, along.states) / along.unit[None])

        found: Array = jax.jacfwd(known)(vector)
        return found


def _are_known_leaves(where: Where, predictor: Any) -> bool:
    """Whether only leaves as they are, of the field and of nothing learned, are selected."""
    marked = jtu.tree_map(lambda leaf: object(), predictor, is_leaf=is_parameter)
    try:
        chosen = jtu.tree_leaves(where(marked))
    except TypeError:  # nothing can be computed with a mark
        return False
    except (AttributeError, IndexError, KeyError):  # there is nothing: `places` says so
        return True
    known = jtu.tree_leaves(map_nodes(Learned, lambda node: None, field_of(marked.model)))
    return {id(mark) for mark in chosen} <= {id(mark) for mark in known}
