"""Constrained leaves of a model, and the vector that every fitter sees.

A `Parameter` is a leaf of an Equinox module that knows its constraint, name and unit. A
fit never sees it: it sees one flat vector in which every entry is unconstrained and of
order one (`pack`), and the model never sees it either: it is called with plain arrays
(`resolve`).
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PyTree
from numpyro.distributions import biject_to, constraints
from numpyro.distributions.constraints import Constraint

from ._varying import Varying, places_of

# What a person writes: a number, an array, or a list of numbers.
Numbers = ArrayLike | Sequence[Any]


class Parameter(eqx.Module):
    """An array in a model together with what is known about it.

    Made by `positive`, `bounded`, `ordered`, `real`, `frozen` or `constrained`, and used
    as a field of any Equinox module. When the module is called by a `Predictor`, the
    field holds the plain array.

    **Attributes:**

    - `value`: the present value, in natural units; any shape, a floating dtype.
    - `constraint`: the set that the value must stay in, a NumPyro constraint.
    - `scale`: the size of a unit step in unconstrained space, shaped like `value`.
    - `trainable`: whether a fit may change it.
    - `name`: one name, or one for each element; `None` takes the field's own name.
    - `unit`: one unit, or one for each element; only for the reader.
    - `by`: what it varies by, `"experiment"` or a kind of groups; `None`: it is the same in all.
    - `members`: whose values they are, along a first axis of `value`; `None` before data say.
    """

    value: Array
    constraint: Constraint
    scale: Array
    trainable: bool = eqx.field(static=True)
    name: str | tuple[str, ...] | None = eqx.field(static=True)
    unit: str | tuple[str, ...] | None = eqx.field(static=True)
    by: str | None = eqx.field(static=True, default=None)
    members: tuple[str, ...] | None = eqx.field(static=True, default=None)

    def __jax_array__(self) -> Array:
        return self.value


def constrained(
    value: Numbers,
    constraint: Constraint,
    *,
    name: str | Sequence[str] | None = None,
    unit: str | Sequence[str] | None = None,
    by: str | None = None,
) -> Any:
    """A parameter that stays in the set of any NumPyro constraint.

    `value` is where the fit starts; it must lie inside the set, not on its boundary, where
    the unconstrained value would be infinite. Raises `ValueError` otherwise.
    """
    start = _as_float(value)
    _check_inside(start, constraint, name)
    return _parameter(start, constraint, jnp.ones_like(start), True, name, unit, by)


def positive(
    value: Numbers,
    *,
    name: str | Sequence[str] | None = None,
    unit: str | Sequence[str] | None = None,
    by: str | None = None,
) -> Any:
    """A parameter above zero, fitted through its logarithm, starting from `value`.

    With `by="experiment"`, or a kind of groups, each experiment or group has one of its own.
    Raises `ValueError` where `value` is not above zero.
    """
    return constrained(value, constraints.positive, name=name, unit=unit, by=by)


def bounded(
    value: Numbers,
    lower: float,
    upper: float,
    *,
    name: str | Sequence[str] | None = None,
    unit: str | Sequence[str] | None = None,
    by: str | None = None,
) -> Any:
    """A parameter between `lower` and `upper`, fitted through its logit, from `value`.

    Raises `ValueError` where `value` is not strictly between them.
    """
    if not lower < upper:
        raise ValueError(f"bounded: lower {lower} must be below upper {upper}.")
    if not (math.isfinite(lower) and math.isfinite(upper)):
        raise ValueError(
            f"bounded: both bounds must be finite, got {lower} and {upper}. Use positive(...), "
            "real(...), or constrained(...) with a one-sided constraint of NumPyro."
        )
    return constrained(value, constraints.interval(lower, upper), name=name, unit=unit, by=by)


def ordered(
    value: Numbers,
    *,
    name: str | Sequence[str] | None = None,
    unit: str | Sequence[str] | None = None,
    by: str | None = None,
) -> Any:
    """A vector whose entries increase, fitted through the logarithms of its increments.

    Raises `ValueError` where `value` is not a vector with strictly increasing entries.
    """
    shape = np.shape(np.asarray(value))
    if len(shape) != 1:
        raise ValueError(f"ordered: expected a vector, got shape {shape}.")
    return constrained(value, constraints.ordered_vector, name=name, unit=unit, by=by)


def real(
    value: Numbers,
    *,
    scale: Numbers | None = None,
    name: str | Sequence[str] | None = None,
    unit: str | Sequence[str] | None = None,
    by: str | None = None,
) -> Any:
    """A parameter on the whole line, fitted in units of `scale`, starting from `value`.

    `scale` is a typical change, shaped like `value`; by default the size of the start
    itself, and 1 where the start is 0. Raises `ValueError` where it is not positive.
    """
    start = _as_float(value)
    _check_inside(start, constraints.real, name)
    if scale is None:
        size = jnp.where(start == 0, jnp.ones_like(start), jnp.abs(start))
    else:
        size = jnp.broadcast_to(jnp.asarray(scale, dtype=start.dtype), start.shape)
        if not bool(jnp.all((size > 0) & jnp.isfinite(size))):
            raise ValueError(f"real: the scale must be positive and finite, got {scale}.")
    return _parameter(start, constraints.real, size, True, name, unit, by)


def frozen(
    value: Numbers,
    *,
    name: str | Sequence[str] | None = None,
    unit: str | Sequence[str] | None = None,
) -> Any:
    """A known constant: part of the model, never changed by a fit."""
    start = jnp.asarray(value, dtype=jnp.asarray(value).dtype)
    return _parameter(start, constraints.real, jnp.ones_like(start), False, name, unit)


def resolve(tree: PyTree) -> PyTree:
    """The same tree with every `Parameter` replaced by its plain array.

    One that varies, and knows by what members, becomes a `Varying`.
    """

    def plain(leaf: Any) -> Any:
        if not isinstance(leaf, Parameter):
            return leaf
        if leaf.by is None or leaf.members is None:
            return leaf.value
        return Varying(leaf.value, leaf.by, leaf.members)

    return jtu.tree_map(plain, tree, is_leaf=is_parameter)


def vary(tree: PyTree, members: Mapping[str, tuple[str, ...]], whose: str) -> PyTree:
    """The same tree, each `Parameter` that varies with a value for each of its members.

    Members that it had before keep theirs; where it had none, all start from the one value.
    `members` says who they are, for each kind; `whose` data they belong to, for messages. Raises
    `ValueError` where there is no such kind, or one has no value of its own.
    """

    def spread(leaf: Any) -> Any:
        if not isinstance(leaf, Parameter) or leaf.by is None:
            return leaf
        if leaf.by not in members:
            known = ", ".join(map(repr, members))
            raise ValueError(
                f"{whose}: a parameter varies by {leaf.by!r}, but experiments are told apart by "
                f"{known} only: give experiments groups={{{leaf.by!r}: ...}}."
            )
        wanted = members[leaf.by]
        if leaf.members is None:
            each = lambda array: jnp.broadcast_to(array, (len(wanted), *array.shape))
        else:
            places = places_of(leaf.members, wanted, leaf.by, whose)
            each = lambda array: array[places]
        return dataclasses.replace(
            leaf, value=each(leaf.value), scale=each(leaf.scale), members=wanted
        )

    return jtu.tree_map(spread, tree, is_leaf=is_parameter)


def select_parameters(tree: PyTree, at: Mapping[str, int]) -> PyTree:
    """The same tree, each `Parameter` that varies with the value of one member only, for good."""

    def one(leaf: Any) -> Any:
        if not isinstance(leaf, Parameter) or leaf.members is None or leaf.by is None:
            return leaf
        place = at[leaf.by]
        return dataclasses.replace(
            leaf, value=leaf.value[place], scale=leaf.scale[place], by=None, members=None
        )

    return jtu.tree_map(one, tree, is_leaf=is_parameter)


def value_of(leaf: Any) -> Any:
    """The value of a `Parameter`, all members' where it varies; anything else as it is."""
    return leaf.value if isinstance(leaf, Parameter) else leaf


def is_parameter(leaf: Any) -> bool:
    """Whether a node of a tree is a `Parameter`."""
    return isinstance(leaf, Parameter)


def known(tree: PyTree) -> PyTree:
    """Freezes the plain numbers and arrays of a tree; its `Parameter`s stay as they are.

    Likelihoods and ODEs pass what they are given through this, so that `scale=0.3` is a
    known noise and `scale=positive(0.3)` a fitted one.
    """

    def freeze(leaf: Any) -> Any:
        return frozen(_as_float(leaf)) if _is_numeric(leaf) else leaf

    return jtu.tree_map(freeze, tree, is_leaf=lambda x: is_parameter(x) or _is_numeric(x))


def fixed(tree: PyTree) -> PyTree:
    """The same tree, its bare arrays known: only its `Parameter`s are trainable."""

    def freeze(leaf: Any) -> Any:
        return frozen(leaf) if eqx.is_inexact_array(leaf) else leaf

    return jtu.tree_map(freeze, tree, is_leaf=is_parameter)


# What `positions` says of a number that has no place of its own in the vector.
TRANSFORMED, KNOWN = -1, -2


def positions(tree: PyTree) -> PyTree:
    """`tree` with each number's place in the vector of `pack`, in arrays of the leaves' shapes.

    `TRANSFORMED` where a constraint stands between the two, `KNOWN` where nothing is fitted.
    """
    offset = 0

    def place(leaf: Any) -> Any:
        nonlocal offset
        if not (isinstance(leaf, Parameter) or eqx.is_array(leaf)):
            return leaf
        shape = jnp.shape(value_of(leaf))
        if not _is_trainable(leaf):
            return np.full(shape, KNOWN)
        first, size = offset, _unit_size(leaf)
        offset += size
        if isinstance(leaf, Parameter) and not _is_real(leaf.constraint):
            return np.full(shape, TRANSFORMED)
        return np.arange(first, first + size).reshape(shape)

    return jtu.tree_map(place, tree, is_leaf=is_parameter)


def unit_scales(tree: PyTree) -> Float[Array, " size"]:
    """How much the natural value changes for each unit of the vector, 1 for what is transformed."""
    pieces = []
    for _, leaf in _trainable(tree):
        plain = isinstance(leaf, Parameter) and _is_real(leaf.constraint)
        pieces.append(jnp.ravel(leaf.scale) if plain else jnp.ones(_unit_size(leaf)))
    dtype = pack(tree).dtype
    return jnp.concatenate([piece.astype(dtype) for piece in pieces])


class Label(NamedTuple):
    """What a trainable leaf is called: its path, a short name, and a name an element."""

    path: str
    name: str
    elements: tuple[str, ...]
    units: tuple[str, ...]
    shape: tuple[int, ...]


def labels(tree: PyTree) -> tuple[Label, ...]:
    """The labels of the trainable leaves, in the order of `pack`.

    A leaf's short name is the one it was given, or its field's; where two leaves would
    share a short name both are called by their whole path.
    """
    found = [(_dotted(path), leaf) for path, leaf in _trainable(tree)]
    short = [_short_name(path, leaf) for path, leaf in found]
    paths = [path for path, _ in found]
    names = [
        path if short.count(name) > 1 or name in paths else name
        for path, name in zip(paths, short, strict=True)
    ]
    return tuple(_label(path, name, leaf) for (path, leaf), name in zip(found, names, strict=True))


def by_name(named: Sequence[Label], flat: np.ndarray) -> dict[str, Any]:
    """Numbers in the order of the labels, along the last axis, as one array for each name.

    A single number, with no axes before, is a float.
    """
    ends = np.cumsum([len(label.elements) for label in named])[:-1]
    found: dict[str, Any] = {}
    for label, piece in zip(named, np.split(flat, ends, axis=-1), strict=True):
        shaped = piece.reshape((*flat.shape[:-1], *label.shape))
        found[label.name] = shaped if shaped.ndim else float(shaped)
    return found


def pack(tree: PyTree) -> Float[Array, " size"]:
    """The trainable leaves as one flat, unconstrained, unit-scaled vector."""
    pieces = [jnp.ravel(_to_unit(leaf)) for _, leaf in _trainable(tree)]
    if not pieces:
        return jnp.zeros((0,))
    dtype = jnp.result_type(*(piece.dtype for piece in pieces))
    return jnp.concatenate([piece.astype(dtype) for piece in pieces])


def trainable_size(tree: PyTree) -> int:
    """How many numbers a fit may change: the length of `pack`."""
    leaves = jtu.tree_leaves(tree, is_leaf=is_parameter)
    return sum(_unit_size(leaf) for leaf in leaves if _is_trainable(leaf))


def unpack(vector: Float[Array, " size"], tree: PyTree) -> PyTree:
    """`tree` with its trainable leaves replaced by what `vector` says; undoes `pack`."""
    offset = 0

    def replace(leaf: Any) -> Any:
        nonlocal offset
        if not _is_trainable(leaf):
            return leaf
        size = _unit_size(leaf)
        new = _from_unit(leaf, vector[offset : offset + size])
        offset += size
        return new

    return jtu.tree_map(replace, tree, is_leaf=is_parameter)


def natural(vector: Float[Array, " size"], tree: PyTree) -> Float[Array, " natural"]:
    """The trainable leaves in natural units, flat, for a given unit-scaled vector."""
    values = trainable_values(unpack(vector, tree))
    return jnp.concatenate([jnp.ravel(value).astype(vector.dtype) for value in values])


def to_natural(tree: PyTree) -> Float[Array, "natural size"]:
    """The Jacobian of `natural` at the present values."""
    return jax.jacfwd(lambda vector: natural(vector, tree))(pack(tree))


def trainable_values(tree: PyTree) -> list[Array]:
    """The trainable leaves as plain arrays, in the order of `labels`."""
    return [jnp.asarray(value_of(leaf)) for _, leaf in _trainable(tree)]


def with_values(tree: PyTree, values: Sequence[Any]) -> PyTree:
    """`tree` with its trainable leaves at `values`, natural ones in the order of `labels`."""
    each = iter(values)

    def put(leaf: Any) -> Any:
        if not _is_trainable(leaf):
            return leaf
        value = next(each)
        return eqx.tree_at(lambda p: p.value, leaf, value) if is_parameter(leaf) else value

    return jtu.tree_map(put, tree, is_leaf=is_parameter)


def are_inside(tree: PyTree) -> Array:
    """Whether all trainable leaves are finite and strictly inside their constraints, traceable."""
    inside = [jnp.all(jnp.isfinite(pack(tree)))]
    for _, leaf in _trainable(tree):
        inside.append(jnp.all(jnp.isfinite(value_of(leaf))))
        if isinstance(leaf, Parameter):
            inside.append(jnp.all(leaf.constraint(leaf.value)))
    return jnp.all(jnp.stack(inside))


def trainable_constraints(tree: PyTree) -> list[Constraint]:
    """The constraints of the trainable leaves, in the order of `labels`; a bare array is real."""
    leaves = [leaf for _, leaf in _trainable(tree)]
    return [leaf.constraint if is_parameter(leaf) else constraints.real for leaf in leaves]


def unit_kinds(tree: PyTree) -> list[str]:
    """How each trainable number is fitted, flat and in natural order.

    `"bare"`: as it is; `"real"`: in units of its scale; `"transformed"`: through a constraint.
    """
    kinds: list[str] = []
    for _, leaf in _trainable(tree):
        if not isinstance(leaf, Parameter):
            kind = "bare"
        else:
            kind = "real" if _is_real(leaf.constraint) else "transformed"
        kinds += [kind] * int(value_of(leaf).size)
    return kinds


def _trainable(tree: PyTree) -> list[tuple[Any, Any]]:
    leaves, _ = jtu.tree_flatten_with_path(tree, is_leaf=is_parameter)
    return [(path, leaf) for path, leaf in leaves if _is_trainable(leaf)]


def _is_trainable(leaf: Any) -> bool:
    # Bare inexact arrays are trainable, as everywhere in Equinox: a network's weights.
    return leaf.trainable if isinstance(leaf, Parameter) else eqx.is_inexact_array(leaf)


def _unit_shape(leaf: Any) -> tuple[int, ...]:
    if not isinstance(leaf, Parameter):
        return leaf.shape
    return biject_to(leaf.constraint).inverse_shape(leaf.value.shape)


def _unit_size(leaf: Any) -> int:
    return math.prod(_unit_shape(leaf))


def _to_unit(leaf: Any) -> Array:
    if not isinstance(leaf, Parameter):
        return leaf
    if _is_real(leaf.constraint):
        return leaf.value / leaf.scale
    return biject_to(leaf.constraint)._inverse(leaf.value)


def _from_unit(leaf: Any, flat: Array) -> Any:
    if not isinstance(leaf, Parameter):
        return flat.reshape(leaf.shape).astype(leaf.dtype)
    unit = flat.reshape(_unit_shape(leaf)).astype(leaf.value.dtype)
    if _is_real(leaf.constraint):
        value = unit * leaf.scale
    else:
        value = biject_to(leaf.constraint)(unit)
    return eqx.tree_at(lambda p: p.value, leaf, value)


def _as_float(value: Any) -> Array:
    if isinstance(value, Parameter):
        raise ValueError("A Parameter was given where a number or an array is expected.")
    given = jnp.asarray(value).dtype
    dtype = given if jnp.issubdtype(given, jnp.inexact) else jnp.result_type(float)
    # With the dtype said, the array is not weakly typed, and what is traced with it is traced
    # once: a fit's own values are not weak either.
    return jnp.asarray(value, dtype=dtype)


def _is_real(constraint: Constraint) -> bool:
    # Not `is`: JAX rebuilds constraints, which are pytrees, whenever a tree is mapped.
    return isinstance(constraint, type(constraints.real))


def _is_numeric(leaf: Any) -> bool:
    if isinstance(leaf, list | tuple) and leaf:
        return all(_is_numeric(item) for item in leaf)
    return isinstance(leaf, bool | int | float | np.ndarray | np.generic | jax.Array)


def _check_inside(value: Array, constraint: Constraint, name: Any) -> None:
    if isinstance(value, jax.core.Tracer):
        return
    unconstrained = biject_to(constraint)._inverse(value)
    inside = bool(jnp.all(constraint(value))) and bool(jnp.all(jnp.isfinite(unconstrained)))
    if not inside:
        where = f"parameter {name!r}" if name else "a parameter"
        raise ValueError(
            f"The start of {where}, {np.asarray(value)}, is not strictly inside its constraint "
            f"({_describe(constraint)}). Start from an interior point, or choose another one."
        )


def _describe(constraint: Constraint) -> str:
    if isinstance(constraint, type(constraints.positive)):
        return "positive"
    if _is_real(constraint):
        return "real and finite"
    if isinstance(constraint, type(constraints.ordered_vector)):
        return "strictly increasing"
    lower = getattr(constraint, "lower_bound", None)
    upper = getattr(constraint, "upper_bound", None)
    if lower is not None and upper is not None:
        return f"between {lower} and {upper}"
    return type(constraint).__name__.strip("_")


def _parameter(
    value: Array,
    constraint: Constraint,
    scale: Array,
    trainable: bool,
    name: str | Sequence[str] | None,
    unit: str | Sequence[str] | None,
    by: str | None = None,
) -> Parameter:
    return Parameter(
        value=value,
        constraint=constraint,
        scale=scale,
        trainable=trainable,
        name=_per_element(name, value, "name"),
        unit=_per_element(unit, value, "unit"),
        by=by,
    )


def _per_element(
    text: str | Sequence[str] | None, value: Array, what: str
) -> str | tuple[str, ...] | None:
    if text is None or isinstance(text, str):
        return text
    if len(text) != value.size:
        raise ValueError(
            f"Got {len(text)} {what}s for a parameter of {value.size} elements: "
            f"give one {what} for all, or one for each element."
        )
    return tuple(text)


def _dotted(path: Any) -> str:
    # A dictionary's keys read like fields: model.rates.k, not model.rates['k'].
    steps = (f".{key.key}" if isinstance(key, jtu.DictKey) else str(key) for key in path)
    return "".join(steps).lstrip(".") or "parameter"


def _short_name(path: str, leaf: Any) -> str:
    name = getattr(leaf, "name", None)
    return name if isinstance(name, str) else path.rsplit(".", maxsplit=1)[-1]


def _label(path: str, name: str, leaf: Any) -> Label:
    value = leaf.value if isinstance(leaf, Parameter) else leaf
    given = getattr(leaf, "name", None)
    unit = getattr(leaf, "unit", None)
    members = leaf.members if isinstance(leaf, Parameter) else None
    own = value.shape[1:] if members else value.shape
    if isinstance(given, tuple):
        parts = list(given)
    else:
        parts = [", ".join(map(str, index)) for index in np.ndindex(own)]
    if members:
        parts = [", ".join(filter(None, (member, part))) for member in members for part in parts]
    elements = tuple(f"{name}[{part}]" if part else name for part in parts)
    units = unit if isinstance(unit, tuple) else (unit or "",) * math.prod(own)
    units = units * (len(members) if members else 1)
    return Label(path, name, elements, units, value.shape)


def map_nodes(kind: type, change: Callable[[Any], Any], tree: PyTree) -> PyTree:
    """`tree` with `change` applied to every node of the given type."""
    return jtu.tree_map(
        lambda node: change(node) if isinstance(node, kind) else node,
        tree,
        is_leaf=lambda node: isinstance(node, kind),
    )


def nodes_of(kind: type, tree: PyTree) -> list[Any]:
    """The nodes of the given type in a tree, in the order in which `map_nodes` meets them."""
    is_one = lambda node: isinstance(node, kind)
    return [node for node in jtu.tree_leaves(tree, is_leaf=is_one) if is_one(node)]
