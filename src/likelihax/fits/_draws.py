"""Ways to draw where fits start: each from a point of the unit cube."""

import abc
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpyro.distributions import Distribution

from .._parameters import (
    Label,
    Numbers,
    pack,
    trainable_constraints,
    trainable_size,
    trainable_values,
    unpack,
)
from ..objectives import Unknowns

# SciPy's Sobol points are whole multiples of this; moved up by half of it, none is 0 or 1.
_GRID = 2.0**-30


class AbstractDraws(eqx.Module):
    """A way to draw starts: `likelihax.multistart` gives it one point of a unit cube for each.

    The points are scrambled Sobol points: together they fill the cube more evenly than
    independent ones (A. B. Owen 1998, "Scrambling Sobol' and Niederreiter-Xing points",
    J. Complexity 14).
    """

    @abc.abstractmethod
    def check(self, unknowns: Unknowns) -> None:
        """Raises `ValueError` where the draws do not suit the parameters."""

    @abc.abstractmethod
    def num_dimensions(self, unknowns: Unknowns) -> int:
        """How many numbers between 0 and 1 make one start."""

    @abc.abstractmethod
    def values(self, unknowns: Unknowns, point: Float[Array, " dimensions"]) -> list[Array]:
        """One start: the trainable values in natural units, in the order of the labels."""


@final
class Spread(AbstractDraws):
    """Normal about the given start, with standard deviation `sd` in the space that fits see.

    That space is unconstrained, of unit scale: `sd` is the standard deviation of a positive
    parameter's logarithm, of a bounded one's logit, and of one on the whole line in units of its
    `scale`, the size of its start unless told otherwise.

    **Arguments:**

    - `sd`: the standard deviation, one positive number for all parameters.
    """

    sd: Array

    def __init__(self, sd: float):
        found = _number_or_array(sd, "Spread: sd")
        if found.shape != () or not (found > 0 and np.isfinite(found)):
            raise ValueError(f"Spread: sd must be one positive, finite number, got {sd}.")
        self.sd = jnp.asarray(found)

    def check(self, unknowns: Unknowns) -> None:
        """Any parameters will do."""

    def num_dimensions(self, unknowns: Unknowns) -> int:
        """One for each unconstrained number."""
        return trainable_size(unknowns)

    def values(self, unknowns: Unknowns, point: Float[Array, " dimensions"]) -> list[Array]:
        """Quantiles of the Normal, brought to natural units."""
        start = pack(unknowns)
        normal = math.sqrt(2.0) * jax.lax.erf_inv(2.0 * point - 1.0)
        # Without the barrier, XLA would compile the quantile again for each parameter.
        away = jax.lax.optimization_barrier((self.sd * normal).astype(start.dtype))
        return trainable_values(unpack(start + away, unknowns))


@final
class Box(AbstractDraws):
    """Uniform between bounds in natural units; parameters that are not named keep their start.

    **Arguments:**

    - `bounds`: a lower and an upper bound for each name, as in `Fit.labels`: that of a whole
        parameter, with numbers or arrays of its shape, or that of one element, such as
        `"initial[hare]"`.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    lower: tuple[Array, ...]
    upper: tuple[Array, ...]

    def __init__(self, bounds: Mapping[str, tuple[Numbers, Numbers]]):
        _check_mapping(bounds, "Box", '{"rate": (0.1, 10.0)}')
        pairs = [_bounds(name, pair) for name, pair in bounds.items()]
        self.names = tuple(bounds)
        self.lower = tuple(jnp.asarray(lower) for lower, _ in pairs)
        self.upper = tuple(jnp.asarray(upper) for _, upper in pairs)

    def check(self, unknowns: Unknowns) -> None:
        """The names must be known, and the bounds of their shapes and within their constraints."""
        constraints = trainable_constraints(unknowns)
        placed = _placed(self.names, unknowns.labels(), "Box")
        for name, place, lower, upper in zip(
            self.names, placed, self.lower, self.upper, strict=True
        ):
            for bound in (lower, upper):
                if bound.shape not in ((), place.shape):
                    raise ValueError(
                        f"Box: a bound of {name!r} has shape {bound.shape}, the parameter has "
                        f"{place.shape}: give one number, or one for each element."
                    )
            if constraints[place.leaf].event_dim:
                raise ValueError(
                    f"Box: the elements of {name!r} depend on each other, so that they fill no "
                    "box. Use Spread(sd), or Priors with a distribution of the whole."
                )
            self._check_edges(name, place, lower, upper, unknowns)

    def _check_edges(
        self, name: str, place: "_Place", lower: Array, upper: Array, unknowns: Unknowns
    ) -> None:
        constraint = trainable_constraints(unknowns)[place.leaf]
        bounds = (np.ravel(np.asarray(bound)) for bound in (lower, upper))
        low, high = (np.broadcast_to(bound, place.elements.shape) for bound in bounds)
        for share in (0.5 * _GRID, 1 - 0.5 * _GRID):
            # In NumPy: JAX would compile a little function for each operation.
            leaf = np.array(trainable_values(unknowns)[place.leaf])
            leaf.reshape(-1)[place.elements] = (1 - share) * low + share * high
            if not np.all(np.ravel(constraint(leaf))[place.elements]):
                raise ValueError(
                    f"Box: the box of {name!r}, from {low} to {high}, reaches outside its "
                    "constraint: choose bounds within it."
                )

    def num_dimensions(self, unknowns: Unknowns) -> int:
        """One for each number that is named."""
        placed = _placed(self.names, unknowns.labels(), "Box")
        return sum(place.elements.size for place in placed)

    def values(self, unknowns: Unknowns, point: Float[Array, " dimensions"]) -> list[Array]:
        """The start with what is named between its bounds."""
        placed = _placed(self.names, unknowns.labels(), "Box")
        shares = _split(point, [place.elements.size for place in placed])
        found = trainable_values(unknowns)
        for place, share, *pair in zip(placed, shares, self.lower, self.upper, strict=True):
            lower, upper = (jnp.broadcast_to(jnp.ravel(b), share.shape) for b in pair)
            share = share.astype(lower.dtype)
            place.put(found, (1 - share) * lower + share * upper)
        return found


@final
class Priors(AbstractDraws):
    """From distributions, in natural units; parameters that are not named keep their start.

    What falls outside a parameter's constraint is drawn again. A distribution whose quantiles are
    not known, or one of a whole array, is sampled, with a seed from the Sobol point.

    **Arguments:**

    - `distributions`: a continuous NumPyro distribution for each name, as in `Fit.labels`: of
        single numbers, for a parameter, its elements or one of them; or of the parameter's shape.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    distributions: tuple[Distribution, ...]

    def __init__(self, distributions: Mapping[str, Distribution]):
        _check_mapping(distributions, "Priors", '{"rate": numpyro.distributions.LogNormal(0, 1)}')
        for name, distribution in distributions.items():
            if not isinstance(distribution, Distribution) or distribution.is_discrete:
                raise ValueError(
                    f"Priors: {distribution!r}, for {name!r}, is no continuous NumPyro "
                    "distribution: give for instance numpyro.distributions.LogNormal(0.0, 1.0)."
                )
        self.names = tuple(distributions)
        self.distributions = tuple(distributions.values())

    def check(self, unknowns: Unknowns) -> None:
        """The names must be known, and the distributions of their shapes."""
        placed = _placed(self.names, unknowns.labels(), "Priors")
        for name, place, each in zip(self.names, placed, self.distributions, strict=True):
            allowed = (place.shape,) if each.event_dim else ((), place.shape)
            if each.shape() not in allowed:
                raise ValueError(
                    f"Priors: the distribution for {name!r} has shape {each.shape()}, the "
                    f"parameter has {place.shape}: give one of single numbers, or of that shape."
                )

    def num_dimensions(self, unknowns: Unknowns) -> int:
        """One for each number with a quantile, one for each array without."""
        return sum(self._sizes(_placed(self.names, unknowns.labels(), "Priors")))

    def values(self, unknowns: Unknowns, point: Float[Array, " dimensions"]) -> list[Array]:
        """The start with what is named at quantiles of its distribution."""
        placed = _placed(self.names, unknowns.labels(), "Priors")
        shares = _split(point, self._sizes(placed))
        found = trainable_values(unknowns)
        for place, share, each in zip(placed, shares, self.distributions, strict=True):
            if _has_quantiles(each):
                drawn = each.icdf(share.reshape(place.shape))
            else:
                seed = (share[0] * 2.0**32).astype(jnp.uint32)
                rest = () if each.shape() == place.shape else place.shape
                drawn = each.sample(jax.random.key(seed), rest)
            place.put(found, jnp.ravel(drawn))
        return found

    def _sizes(self, placed: list["_Place"]) -> list[int]:
        each = zip(placed, self.distributions, strict=True)
        return [place.elements.size if _has_quantiles(d) else 1 for place, d in each]


def block_size(num: int) -> int:
    """How many points to draw at once: a power of two, as others are not balanced, and warn."""
    return 2 ** math.ceil(math.log2(num))


def cube(dimensions: int, seed: Sequence[int], size: int) -> Iterator[np.ndarray]:
    """Scrambled Sobol points strictly within the unit cube, in blocks `(size, dimensions)`.

    Raises `ValueError` beyond the dimensions that Sobol
    points are tabulated for.
    """
    # SciPy's statistics take a second to import, which only those who draw should pay.
    from scipy.stats.qmc import Sobol

    if dimensions > Sobol.MAXDIM:
        raise ValueError(
            f"multistart: starts in {dimensions} dimensions: Sobol points exist up to "
            f"{Sobol.MAXDIM}. Name fewer parameters in a Box or Priors, or give the starts "
            "themselves as a list of predictors."
        )
    engine = Sobol(dimensions, scramble=True, bits=30, rng=np.random.default_rng(seed))
    while True:
        yield engine.random(size) + 0.5 * _GRID


class _Place(NamedTuple):
    """Where a named parameter is: its leaf, its elements there, and the shape of them all."""

    leaf: int
    elements: np.ndarray
    shape: tuple[int, ...]

    def put(self, values: list[Array], new: Array) -> None:
        old = values[self.leaf]
        flat = jnp.ravel(old).at[self.elements].set(new.astype(old.dtype))
        values[self.leaf] = flat.reshape(old.shape)


def _placed(names: tuple[str, ...], labels: tuple[Label, ...], who: str) -> list[_Place]:
    places = [_place(name, labels, who) for name in names]
    taken: dict[tuple[int, int], str] = {}
    for name, place in zip(names, places, strict=True):
        for element in place.elements.tolist():
            before = taken.setdefault((place.leaf, element), name)
            if before != name:
                raise ValueError(
                    f"{who}: {before!r} and {name!r} name the same parameter: name it once."
                )
    return places


def _place(name: str, labels: tuple[Label, ...], who: str) -> _Place:
    for leaf, label in enumerate(labels):
        if name == label.name:
            return _Place(leaf, np.arange(len(label.elements)), label.shape)
        if name in label.elements:
            return _Place(leaf, np.array([label.elements.index(name)]), ())
    known = [label.name for label in labels]
    known += [each for label in labels if label.shape for each in label.elements]
    listed = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    raise ValueError(f"{who}: no fitted parameter is called {name!r}. There are: {listed}.")


def _split(point: Array, sizes: list[int]) -> list[Array]:
    ends = np.cumsum([0, *sizes]).tolist()
    return [point[first:last] for first, last in pairwise(ends)]


def _has_quantiles(distribution: Distribution) -> bool:
    if distribution.event_dim:
        return False
    try:
        quantile = jax.ShapeDtypeStruct(distribution.batch_shape, jnp.result_type(float))
        jax.eval_shape(distribution.icdf, quantile)
    except (NotImplementedError, ImportError):  # some quantiles of NumPyro's need a further package
        return False
    return True


def _check_mapping(given: Any, who: str, example: str) -> None:
    if not isinstance(given, Mapping) or not given:
        raise ValueError(f"{who}: expected a dictionary by parameter names, such as {example}.")


def _bounds(name: str, pair: Any) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ValueError(f"Box: {name!r} needs a pair (lower, upper), got {pair!r}.")
    lower, upper = (_number_or_array(bound, f"Box: a bound of {name!r}") for bound in pair)
    if not (np.all(np.isfinite(lower)) and np.all(np.isfinite(upper))):
        raise ValueError(f"Box: the bounds of {name!r} must be finite, got {lower} and {upper}.")
    try:
        ordered = bool(np.all(lower < upper))
    except ValueError:
        raise ValueError(
            f"Box: the bounds of {name!r} have shapes {lower.shape} and {upper.shape}: give both "
            "the parameter's shape, or numbers."
        ) from None
    if not ordered:
        raise ValueError(f"Box: lower {lower} of {name!r} must be below upper {upper}.")
    return lower, upper


def _number_or_array(given: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(given, dtype=jnp.result_type(float))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}, {given!r}, is no number.") from error
