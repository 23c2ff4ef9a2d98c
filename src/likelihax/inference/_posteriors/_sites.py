"""NumPyro distributions for a predictor's leaves and for all that was measured."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import Distribution, constraints
from numpyro.distributions.constraints import Constraint

from ..._parameters import Parameter, is_parameter, resolve
from ...data import AbstractData
from ...objectives import NLL, GroupNLL
from .._drawn_values import drawn_values
from ._priors import is_ordered


class Piece(NamedTuple):
    """A prior of some of a leaf's numbers: their places in it, flat, and the distribution.

    The distribution's event is what is selected; `None` is a flat one. `alike`: whether all of
    the numbers have the same.
    """

    places: np.ndarray
    distribution: Distribution | None
    alike: bool


class Joined(Distribution):
    """One leaf whose numbers have priors of their own, or whose order is held.

    Log-densities add up; on an ordered leaf they are those of the pieces, up to the constant that
    putting draws in order brings.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    pytree_data_fields = ("_distributions",)
    pytree_aux_fields = ("_places", "_constraint", "_alike", "_shapes")

    def __init__(self, pieces: Sequence[Piece], shape: tuple[int, ...], constraint: Constraint):
        self._places = tuple(tuple(map(int, np.ravel(piece.places))) for piece in pieces)
        self._distributions = tuple(piece.distribution for piece in pieces)
        self._alike = len(pieces) == 1 and pieces[0].alike
        self._constraint = constraints.independent(constraint, len(shape) - constraint.event_dim)
        self._shapes = tuple(piece.places.shape for piece in pieces)
        known = [d.batch_shape for d in self._distributions if d is not None]
        super().__init__(jnp.broadcast_shapes((), *known), shape)

    @property
    def support(self) -> Constraint:
        """The leaf's constraint."""
        return self._constraint

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Each piece's draw in its place, then put in order where that is held."""
        known = [each for each in self._distributions if each is not None]
        if len(known) < len(self._distributions):
            raise NotImplementedError("A flat prior cannot be drawn from.")
        ordered = is_ordered(self._constraint)
        if ordered and not self._alike:
            raise NotImplementedError(
                "Numbers in order can be drawn where all have one prior, not where it differs."
            )
        shape = (*sample_shape, *self.batch_shape)
        flat = jnp.zeros((*shape, int(np.prod(self.event_shape))))
        keys = jax.random.split(key, len(self._places))
        for own, each, places in zip(keys, known, self._places, strict=True):
            drawn = each.expand(self.batch_shape).sample(own, sample_shape)
            drawn = drawn.reshape(*shape, len(places)).astype(flat.dtype)
            flat = flat.at[..., np.asarray(places)].set(drawn)
        whole = flat.reshape(*shape, *self.event_shape)
        return jnp.sort(whole, axis=-1) if ordered else whole

    def log_prob(self, value: Array) -> Array:
        """The sum of the pieces', minus infinity outside the constraint."""
        batch = value.shape[: value.ndim - len(self.event_shape)]
        flat = value.reshape(*batch, -1)
        total = jnp.zeros(batch, value.dtype)
        pieces = zip(self._distributions, self._places, self._shapes, strict=True)
        for each, places, shape in pieces:
            if each is not None:
                own = flat[..., np.asarray(places)].reshape(*batch, *shape)
                total = total + each.log_prob(own)
        return jnp.where(self._constraint(value), total, -jnp.inf)


class Observation(Distribution):
    """All measured values of data at once, about a predictor's prediction.

    Its log-density is minus the exact NLL, in which missing values add nothing; minus infinity
    where the model cannot be solved. Under a `GroupNLL`, a draw's hidden noise is drawn with it.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    pytree_data_fields = ("_predictor", "_data", "_nll")

    def __init__(self, predictor: Any, data: AbstractData, nll: NLL | GroupNLL):
        self._predictor = predictor
        self._data = data
        self._nll = nll
        super().__init__(batch_shape_of(predictor), data.values.shape)

    @property
    def support(self) -> Constraint:
        """Arrays of numbers; the likelihood knows which."""
        return constraints.independent(constraints.real, len(self.event_shape))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """What would be measured, also where nothing was."""
        count = int(np.prod((*sample_shape, *self.batch_shape)))
        keys = jax.random.split(key, count)  # NumPyro's may be of the old kind, of two words
        keys = keys.reshape(*sample_shape, *self.batch_shape, *keys.shape[1:])
        one = lambda p, key: drawn_values(self._nll, p, self._data, key, again=False)
        found: Array = over_batch(one, self._predictor, keys, len(sample_shape))
        return found.astype(self._data.values.dtype)

    def log_prob(self, value: Array) -> Array:
        """Minus the NLL."""
        ahead = value.ndim - len(self.event_shape) - len(self.batch_shape)
        if ahead < 0:  # measured once for all of a plate
            value = jnp.broadcast_to(value, (*self.batch_shape, *self.event_shape))
            ahead = 0
        found: Array = over_batch(self._log_likelihood, self._predictor, value, ahead)
        return found

    def _log_likelihood(self, predictor: Any, value: Array) -> Array:
        values = jnp.asarray(value, self._data.values.dtype)
        data = self._data.with_values(values)
        total = resolve(self._nll).evaluate(resolve(predictor), data).total
        return -jnp.where(jnp.isnan(total), jnp.inf, total)


def batch_shape_of(tree: Any) -> tuple[int, ...]:
    """The plates that a drawn predictor's leaves are in; `ValueError` where these differ."""
    leaves = [leaf for leaf in jtu.tree_leaves(tree, is_leaf=is_parameter) if is_parameter(leaf)]
    found = {leaf.value.shape[: leaf.value.ndim - leaf.scale.ndim] for leaf in leaves} - {()}
    if len(found) > 1:
        raise ValueError(f"Leaves of one predictor are in plates of other sizes: {found}.")
    return found.pop() if found else ()


def over_batch(function: Callable[..., Any], tree: Any, own: Any = None, ahead: int = 0) -> Any:
    """`function(tree, own)` for each place of the plates that `tree` is in.

    `own` has the plates' axes in front, and `ahead` more before those.
    """
    leaves, treedef = jtu.tree_flatten(tree, is_leaf=is_parameter)
    batch = batch_shape_of(tree)
    where = [i for i, leaf in enumerate(leaves) if _is_batched(leaf)]

    def one(values: list[Array], own: Any) -> Any:
        filled = list(leaves)
        for i, value in zip(where, values, strict=True):
            filled[i] = replace(leaves[i], value=value)
        rebuilt = jtu.tree_unflatten(treedef, filled)
        return function(rebuilt) if own is None else function(rebuilt, own)

    mapped: Any = one
    for _ in batch:
        mapped = jax.vmap(mapped)
    for _ in range(ahead):
        mapped = jax.vmap(mapped, in_axes=(None, 0))
    return mapped([leaves[i].value for i in where], own)


def _is_batched(leaf: Any) -> bool:
    return is_parameter(leaf) and leaf.value.ndim > leaf.scale.ndim


def drawn_leaf(leaf: Any, value: Array) -> Any:
    """A leaf at a drawn value, which may have the axes of plates in front."""
    if isinstance(leaf, Parameter):
        return replace(leaf, value=value)
    if value.ndim == leaf.ndim:
        return value
    # A bare array would not tell which axes are its own.
    scale = jnp.ones_like(leaf)
    return Parameter(value, constraints.real, scale, True, None, None)


def whole(
    density: Distribution, shape: tuple[int, ...], batch: tuple[int, ...] = ()
) -> Distribution:
    """A distribution of numbers or arrays as one of an array of a shape, in plates of `batch`."""
    own = shape[: len(shape) - density.event_dim]
    if density.batch_shape != (*batch, *own):
        density = density.expand((*batch, *own))
    return density.to_event(len(own)) if own else density


def flat(shape: tuple[int, ...], constraint: Constraint) -> Distribution:
    """A flat prior on an array."""
    return dist.ImproperUniform(constraint, (), shape)
