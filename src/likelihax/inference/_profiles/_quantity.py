"""Numbers that one may want to be sure of: fitted ones, and functions of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpyro.distributions import biject_to, constraints
from numpyro.distributions.constraints import Constraint

from ..._compile import compiled
from ..._parameters import (
    Label,
    resolve,
    trainable_constraints,
    trainable_values,
    unit_scales,
    unpack,
)
from ...objectives import Unknowns

# How far to look for where a number matters, in its coordinate: a factor of a million for what is
# seen through a logarithm or a logit; so many standard errors, or typical sizes where these are
# shorter, for what is not.
LOGARITHMIC_REACH = math.log(1e6)
LINEAR_REACH = 1e3
# Nobody reads more profiles than this, unasked.
_MOST = 100

Of = str | Sequence[str] | Callable[[Any], Any] | Mapping[str, Callable[[Any], Any]] | None


@dataclass(frozen=True)
class Quantity:
    """A number that depends on what is fitted, and the coordinate that it is looked at in.

    **Attributes:**

    - `name`, `unit`: what it is called, and measured in.
    - `which`: its place among the coordinates that are computed together.
    - `ends`: the natural value at the lower and at the upper end of the coordinate.
    - `is_logarithmic`: whether a unit of the coordinate is a factor.
    """

    name: str
    unit: str
    which: int
    ends: tuple[float, float]
    is_logarithmic: bool

    def reach(self, at: float, standard_error: float) -> float:
        """How far from `at` the coordinate is followed at most."""
        if self.is_logarithmic:
            return LOGARITHMIC_REACH
        return LINEAR_REACH * min(standard_error, abs(at) or 1.0)


@final
@dataclass(frozen=True)
class FittedNumbers:
    """The coordinates of all fitted numbers, one for each natural one.

    The fitter's own where a constraint is one of single numbers. Vectors that are constrained as
    a whole have fewer there than elements, or others; theirs are the natural elements, or their
    logits where these are shares.
    """

    def __call__(
        self, theta: Float[Array, " size"], unknowns: Unknowns
    ) -> Float[Array, " numbers"]:
        """The coordinates at a point."""
        rules = trainable_constraints(unknowns)
        if all(_is_elementwise(rule) for rule in rules):
            return theta
        pieces, offset = [], 0
        for value, rule in zip(trainable_values(unpack(theta, unknowns)), rules, strict=True):
            size = math.prod(biject_to(rule).inverse_shape(value.shape))
            if _is_elementwise(rule):
                pieces.append(theta[offset : offset + size])
            else:
                pieces.append(_to_coordinate(rule, jnp.ravel(value)).astype(theta.dtype))
            offset += size
        return jnp.concatenate(pieces)

    def natural(
        self, coordinates: Float[Array, " numbers"], unknowns: Unknowns
    ) -> Float[Array, " numbers"]:
        """What the coordinates are in natural units, each by itself."""
        pieces, offset, place = [], 0, 0
        scales = unit_scales(unknowns)
        rules, values = trainable_constraints(unknowns), trainable_values(unknowns)
        for value, rule in zip(values, rules, strict=True):
            mine = coordinates[offset : offset + value.size]
            own = math.prod(biject_to(rule).inverse_shape(value.shape))
            if _is_real(rule):
                mine = mine * scales[place : place + own].astype(mine.dtype)
            elif _is_elementwise(rule):
                mine = jnp.ravel(biject_to(rule)(mine.reshape(value.shape)))
            elif _are_shares(rule):
                mine = jax.nn.sigmoid(mine)
            pieces.append(mine.astype(coordinates.dtype))
            offset, place = offset + value.size, place + own
        return jnp.concatenate(pieces)


@final
@dataclass(frozen=True)
class Functions:
    """The values of functions of the predictor, one after the other, flat."""

    functions: tuple[Callable[[Any], Any], ...]

    def __call__(
        self, theta: Float[Array, " size"], unknowns: Unknowns
    ) -> Float[Array, " numbers"]:
        """The values at a point."""
        predictor = resolve(unpack(theta, unknowns)).predictor
        each = [jnp.ravel(jnp.asarray(f(predictor))) for f in self.functions]
        return jnp.concatenate([piece.astype(theta.dtype) for piece in each])

    def natural(
        self, coordinates: Float[Array, " numbers"], unknowns: Unknowns
    ) -> Float[Array, " numbers"]:
        """The coordinates are natural."""
        return coordinates


Numbers = FittedNumbers | Functions


class Units:
    """The way of some numbers from their coordinates to natural units; compiled once."""

    def __init__(self, of: Numbers, unknowns: Unknowns, like: np.ndarray):
        executable, arrays, _ = compiled(_natural, of, unknowns, jnp.asarray(np.array(like)))
        self._call = lambda coordinates: executable([*arrays[:-1], coordinates])
        self._like = np.asarray(like)

    def all(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Natural values, and how much each changes for a unit of its coordinate."""
        natural, slopes = jax.device_get(self._call(np.asarray(coordinates, self._like.dtype)))
        return natural, slopes

    def one(self, which: int, at: float) -> float:
        """One of them."""
        coordinates = self._like.copy()
        coordinates[which] = at
        return float(self.all(coordinates)[0][which])


def _natural(of: Numbers, unknowns: Unknowns, coordinates: Array) -> tuple[Array, Array]:
    # Each depends on its own coordinate alone, so that one tangent of ones gives all slopes.
    natural = lambda x: of.natural(x, unknowns)
    return jax.jvp(natural, (coordinates,), (jnp.ones_like(coordinates),))


def measure_of(of: Numbers, unknowns: Unknowns, theta: Array) -> Callable[[np.ndarray], np.ndarray]:
    """All coordinates at a point; compiled where that takes more than to look."""
    like = jnp.asarray(np.array(theta))
    if isinstance(of, FittedNumbers) and of(like, unknowns) is like:
        return lambda point: point
    executable, arrays, _ = compiled(_coordinates, of, unknowns, like)
    return lambda point: np.asarray(executable([*arrays[:-1], point]))


def one_of(measure: Callable[[np.ndarray], np.ndarray], which: int) -> Callable[..., float]:
    """One coordinate at a point."""
    return lambda point: float(measure(point)[which])


def _coordinates(of: Numbers, unknowns: Unknowns, theta: Array) -> Array:
    return of(theta, unknowns)


def quantities(
    of: Of, unknowns: Unknowns, theta: Array, verb: str
) -> tuple[Numbers, tuple[Quantity, ...]]:
    """What computes the coordinates, and which of them are asked for.

    Raises `ValueError` where there is no such number, or a function gives none.
    """
    if callable(of):
        of = {_name_of(of): of}
    if isinstance(of, Mapping):
        return _of_functions(of, unknowns, theta, verb)
    known = fitted_numbers(unknowns)
    if of is None:
        if len(known) > _MOST:
            raise ValueError(
                f"{verb}: {len(known)} numbers are fitted: say which of them, by name, or give a "
                "function of the predictor."
            )
        return FittedNumbers(), known
    wanted = [of] if isinstance(of, str) else list(of)
    places = [place for name in wanted for place in _named(name, unknowns.labels(), verb)]
    return FittedNumbers(), tuple(known[place] for place in dict.fromkeys(places))


def fitted_numbers(unknowns: Unknowns) -> tuple[Quantity, ...]:
    """Every fitted number, in the order of the natural ones."""
    rules, values = trainable_constraints(unknowns), trainable_values(unknowns)
    labels = unknowns.labels()
    size = sum(len(label.elements) for label in labels)
    infinite = jnp.full(size, jnp.inf, jnp.result_type(*(value.dtype for value in values)))
    ends = np.stack(
        [np.asarray(FittedNumbers().natural(x, unknowns)) for x in (-infinite, infinite)]
    )
    found: list[Quantity] = []
    for label, rule, value in zip(labels, rules, values, strict=True):
        logarithmic = _are_shares(rule) or (_is_elementwise(rule) and not _is_real(rule))
        mine = _snapped(ends[:, len(found) : len(found) + value.size], rule, value.shape)
        for k, name in enumerate(label.elements):
            pair = (float(mine[0, k]), float(mine[1, k])) if logarithmic else (-math.inf, math.inf)
            found.append(Quantity(name, label.units[k], len(found), pair, logarithmic))
    return tuple(found)


def _snapped(ends: np.ndarray, rule: Constraint, shape: tuple[int, ...]) -> np.ndarray:
    """Both ends, on the bounds: a bijection stops a rounding before."""
    ends = np.where(np.isnan(ends), np.array([[-np.inf], [np.inf]]), ends)
    for side in ("lower_bound", "upper_bound"):
        bound = getattr(rule, side, None)
        if bound is not None:
            each = np.ravel(np.broadcast_to(np.asarray(bound, float), shape))
            ends = np.where(np.isclose(ends, each, rtol=1e-6, atol=1e-6), each, ends)
    return ends


def _of_functions(
    of: Mapping[str, Callable[[Any], Any]], unknowns: Unknowns, theta: Array, verb: str
) -> tuple[Numbers, tuple[Quantity, ...]]:
    found: list[Quantity] = []
    predictor = lambda vector: resolve(unpack(vector, unknowns)).predictor
    for name, function in of.items():
        if not callable(function):
            raise ValueError(
                f"{verb}: {name!r}: {function!r} is no function of the predictor: give for "
                "instance {'rate': lambda p: p.model.field.growth}."
            )
        shape = jax.eval_shape(lambda vector, f=function: f(predictor(vector)), theta)
        if not isinstance(shape, jax.ShapeDtypeStruct) or not jnp.issubdtype(
            shape.dtype, jnp.floating
        ):
            raise ValueError(
                f"{verb}: the function {name!r} returned {shape}: it must return one floating "
                "number, or an array of them. What varies by experiment is in `.value`."
            )
        for index in np.ndindex(shape.shape):
            element = f"{name}[{', '.join(map(str, index))}]" if index else name
            everywhere = (-math.inf, math.inf)
            found.append(Quantity(element, "", len(found), everywhere, False))
    if not found:
        raise ValueError(f"{verb}: there is nothing to look at: the functions return no numbers.")
    return Functions(tuple(of.values())), tuple(found)


def _named(name: str, labels: tuple[Label, ...], verb: str) -> list[int]:
    """The places of a leaf's elements, or of one element."""
    offset = 0
    for label in labels:
        places = range(offset, offset + len(label.elements))
        if name in (label.name, label.path):
            return list(places)
        if name in label.elements:
            return [offset + label.elements.index(name)]
        offset = places.stop
    known = [element for label in labels for element in label.elements]
    more = ", ..." if len(known) > 20 else ""
    raise ValueError(
        f"{verb}: no fitted number is called {name!r}; there are {', '.join(known[:20])}{more}."
    )


def _name_of(function: Callable[[Any], Any]) -> str:
    name = getattr(function, "__name__", "")
    return "function" if name in ("", "<lambda>") else name


def _is_elementwise(rule: Constraint) -> bool:
    return _is_real(rule) or biject_to(rule).domain.event_dim == 0


def _is_real(rule: Constraint) -> bool:
    return isinstance(rule, type(constraints.real))


def _are_shares(rule: Constraint) -> bool:
    return isinstance(rule, type(constraints.simplex))


def _to_coordinate(rule: Constraint, value: Array) -> Array:
    return jnp.log(value) - jnp.log1p(-value) if _are_shares(rule) else value
