"""What is integrated out, as unconstrained rows: one for each member, or one of everything."""

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any, NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array, Float
from numpyro.distributions import biject_to
from numpyro.distributions.constraints import Constraint

from .._parameters import Parameter, is_parameter
from .._varying import Varying, is_varying

Over = Callable[[Any], Any]


@final
class Individuals(eqx.Module):
    """Parameters that vary, in the coordinates of `pack`: unconstrained, real ones in units.

    The parameters themselves are left out, so that nobody takes them for unknowns of a fit.

    **Attributes:**

    - `over`: from the predictor to them.
    - `start`: where they begin, shape `(blocks, size)`: a row for each member, or all in one row.
    - `by`: what the rows are told apart by; `None` where there is one.
    - `members`: whose values each array has, along its first axis.
    """

    over: Over
    start: Float[Array, "blocks size"]
    constraints: tuple[Constraint, ...]
    scales: tuple[Array, ...]
    shapes: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    members: tuple[tuple[str, ...], ...] = eqx.field(static=True)
    kinds: tuple[str, ...] = eqx.field(static=True)
    by: str | None = eqx.field(static=True)

    def put(self, rows: Float[Array, "blocks size"], predictor: Any) -> Any:
        """A resolved predictor with what these rows say."""
        return self.put_values(self.values(rows), predictor)

    def put_values(self, values: list[Array], predictor: Any) -> Any:
        """A resolved predictor with these values in natural units."""
        leaves, treedef = jtu.tree_flatten(predictor, is_leaf=is_varying)
        for i, place in enumerate(marked(self.over, leaves, treedef)):
            leaves[place] = Varying(values[i], self.kinds[i], self.members[i])
        return jtu.tree_unflatten(treedef, leaves)

    def values(self, rows: Float[Array, "blocks size"]) -> list[Array]:
        """The arrays in natural units, one for each parameter, members along the first axis."""
        units = self._units(rows)
        each = zip(units, self.constraints, self.scales, strict=True)
        return [biject_to(constraint)(unit) * scale for unit, constraint, scale in each]

    def log_jacobian(self, rows: Float[Array, "blocks size"]) -> Float[Array, " blocks"]:
        """The logarithm of the volume of a unit of each row, in natural units."""
        total = jnp.zeros(rows.shape[0], rows.dtype)
        for unit, constraint, scale in zip(
            self._units(rows), self.constraints, self.scales, strict=True
        ):
            transform = biject_to(constraint)
            log_det = transform.log_abs_det_jacobian(unit, transform(unit))
            for found in (log_det, jnp.log(scale)):
                total = total + found.reshape(rows.shape[0], -1).sum(axis=1).astype(rows.dtype)
        return total

    def joined(self) -> "Individuals":
        """The same in one row, where members depend on one another."""
        if self.by is None:
            return self
        return replace(self, start=_joined(self._units(self.start)), by=None)

    def completed(self, rows: Float[Array, "blocks size"], predictor: Any) -> Any:
        """A predictor, its `Parameter`s in place, with these values, and free again."""
        leaves, treedef = jtu.tree_flatten(predictor, is_leaf=is_parameter)
        values = self.values(rows)
        for i, place in enumerate(marked(self.over, leaves, treedef)):
            leaves[place] = replace(leaves[place], value=values[i], trainable=True)
        return jtu.tree_unflatten(treedef, leaves)

    def _units(self, rows: Float[Array, "blocks size"]) -> list[Array]:
        units, offset = [], 0
        for shape in self._unit_shapes():
            size = prod(shape[1:]) if self.by is not None else prod(shape)
            units.append(rows[:, offset : offset + size].reshape(shape))
            offset += size
        return units

    def _unit_shapes(self) -> list[tuple[int, ...]]:
        each = zip(self.constraints, self.shapes, strict=True)
        return [biject_to(constraint).inverse_shape(shape) for constraint, shape in each]


class Chosen(NamedTuple):
    """A predictor's leaves, how to put them together, and which of them were chosen."""

    leaves: list[Any]
    treedef: Any
    places: tuple[int, ...]

    @property
    def parameters(self) -> list[Parameter]:
        """The chosen ones."""
        return [self.leaves[place] for place in self.places]


def chosen(over: Over, predictor: Any) -> Chosen:
    """What `over` selects in a predictor whose `Parameter`s are in place; `ValueError` if nothing.

    Neither may it select anything but parameters that vary and are fitted, each once.
    """
    leaves, treedef = jtu.tree_flatten(predictor, is_leaf=is_parameter)
    try:
        places = marked(over, leaves, treedef)
    except (AttributeError, TypeError, IndexError, KeyError) as error:
        raise ValueError(
            f"Marginal: over cannot be applied to the predictor ({error}). It must select "
            "parameters as they are, for instance lambda p: p.model.rate, or several in a tuple."
        ) from error
    if not places:
        raise ValueError(
            "Marginal: over selects nothing: no array is there. It must select parameters that "
            "vary, for instance lambda p: p.model.rate."
        )
    if len(set(places)) < len(places):
        raise ValueError("Marginal: over selects a parameter twice.")
    for place in places:
        _check_one(leaves[place])
    return Chosen(leaves, treedef, places)


def individuals(over: Over, found: Chosen) -> tuple[Individuals, Any]:
    """What was chosen as rows, and the predictor in which it is known to a fit.

    A row a member, where all vary by the same kind.
    """
    each = found.parameters
    kinds = tuple(one.by or "" for one in each)
    values = [one.value / one.scale for one in each]
    units = [biject_to(p.constraint)._inverse(x) for p, x in zip(each, values, strict=True)]
    same = len(set(kinds)) == 1
    rows = [unit.reshape(unit.shape[0], -1) for unit in units]
    made = Individuals(
        over=over,
        start=jnp.concatenate(rows, axis=1) if same else _joined(units),
        constraints=tuple(one.constraint for one in each),
        scales=tuple(one.scale for one in each),
        shapes=tuple(one.value.shape for one in each),
        members=tuple(one.members or () for one in each),
        kinds=kinds,
        by=kinds[0] if same else None,
    )
    leaves = list(found.leaves)
    for place in found.places:
        leaves[place] = replace(leaves[place], trainable=False)
    return made, jtu.tree_unflatten(found.treedef, leaves)


class _Mark:
    """Stands for a leaf, so that it can be seen which ones a function selects."""

    def __init__(self, place: int):
        self.place = place


def marked(over: Over, leaves: list[Any], treedef: Any) -> tuple[int, ...]:
    """The numbers of the leaves that a function selects."""
    marks = jtu.tree_unflatten(treedef, [_Mark(i) for i in range(len(leaves))])
    found = jtu.tree_leaves(over(marks))
    return tuple(each.place for each in found if isinstance(each, _Mark))


def _joined(units: list[Array]) -> Float[Array, "1 size"]:
    return jnp.concatenate([jnp.ravel(unit) for unit in units])[None]


def _check_one(leaf: Any) -> None:
    if not is_parameter(leaf):
        raise ValueError(
            f"Marginal: over selects {type(leaf).__name__}, no parameter: select what was made by "
            'positive(..., by="experiment"), real(..., by=...) or their like.'
        )
    if not leaf.trainable:
        raise ValueError(
            "Marginal: over selects something that is known (frozen): there is nothing to "
            "integrate over. Select parameters that are free."
        )
    if leaf.by is None:
        raise ValueError(
            "Marginal: over selects a parameter that is the same for all, which is estimated: "
            'select parameters that vary, positive(..., by="experiment") for instance.'
        )
