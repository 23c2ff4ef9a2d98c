"""Which priors an objective states on which numbers, and whether they can be meant."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Bool, Float
from numpyro.distributions import Distribution, ImproperUniform, biject_to, constraints
from numpyro.distributions.constraints import Constraint

from ..._parameters import (
    KNOWN,
    Label,
    natural,
    pack,
    positions,
    resolve,
    trainable_constraints,
    trainable_values,
    unit_scales,
)
from ...objectives import AbstractObjective, Unknowns, as_sum
from ...terms import Flat, Prior
from ...terms._selection import is_places, selected


class Stated(NamedTuple):
    """A prior of an objective, and what it is on.

    **Attributes:**

    - `part`: which of the objective's parts.
    - `term`: the prior, or that it is flat.
    - `weight`: how much it weighs; 1 for a density.
    - `places`: of each selected array, the numbers' places among all natural ones.
    """

    part: int
    term: Prior | Flat
    weight: float
    places: tuple[np.ndarray, ...]

    def density(self, predictor: Any) -> Distribution:
        """Its distribution, given a predictor whose `Parameter`s are resolved."""
        assert isinstance(self.term, Prior)
        found: Distribution = self.term._density(predictor)
        return found

    @property
    def is_function(self) -> bool:
        """Whether the distribution depends on other parameters."""
        return isinstance(self.term, Prior) and not isinstance(self.term.distribution, Distribution)


def natural_places(tree: Any) -> Any:
    """`tree` with each fitted number's place among all natural ones, `KNOWN` where none is."""
    offset = 0

    def place(leaf: Any) -> Any:
        nonlocal offset
        if not isinstance(leaf, np.ndarray) or np.all(leaf == KNOWN):
            return leaf
        found = np.arange(offset, offset + leaf.size).reshape(leaf.shape)
        offset += leaf.size
        return found

    return jtu.tree_map(place, positions(tree))


def stated_priors(unknowns: Unknowns) -> list[Stated]:
    """The priors of an objective, in its order.

    Raises `ValueError` where one is on something that is computed.
    """
    places = natural_places(unknowns).predictor
    now = resolve(unknowns.predictor)
    traced = is_traced(unknowns)
    everything = None if traced else np.asarray(natural(pack(unknowns), unknowns))
    found = []
    whole = as_sum(unknowns.objective)
    for i, part in enumerate(whole.parts):
        if not isinstance(part, Prior | Flat):
            continue
        leaves = jtu.tree_leaves(part.where(places))
        arrays = tuple(np.asarray(leaf) for leaf in leaves if is_places(leaf))
        if isinstance(part, Flat):
            arrays = tuple(leaf for leaf in arrays if not np.any(leaf == KNOWN))
        else:
            _check_plain(part, arrays, selected(part.where, now), everything)
        found.append(Stated(i, part, 1.0 if traced else float(whole.weight(i)), arrays))
    return found


def is_traced(tree: Any) -> bool:
    """Whether there are no values to look at, inside somebody's jitted function."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jtu.tree_leaves(tree))


def check_density(objective: AbstractObjective) -> None:
    """Raises `ValueError` where an objective is not minus the logarithm of a density."""
    for part in as_sum(objective).parts:
        if part.is_penalty:
            raise ValueError(
                f"A posterior has no density for {part.title}: state what it means as a prior, "
                "for instance likelihax.terms.Prior(where, numpyro.distributions.Laplace(0.0, "
                "1 / weight)) in the place of L1."
            )
        if not part.is_density:
            raise ValueError(
                f"A posterior has no density for {part.title}: it needs minus the logarithm of "
                "one, such as NLL(), the sum, without another reduction."
            )
    if not objective.is_density:
        raise ValueError(
            f"{objective.title} is not minus the logarithm of a density: the NLL must count once, "
            "not weighted, and no weight may be a schedule."
        )


def check_covered(unknowns: Unknowns, stated: Sequence[Stated]) -> None:
    """Raises `ValueError` where a fitted number has no prior, naming all that have none."""
    labels = unknowns.labels()
    names = [element for label in labels for element in label.elements]
    covered = np.zeros(len(names), bool)
    for each in stated:
        for array in each.places:
            covered[array] = True
    if np.all(covered):
        return
    missing = _whole_leaves(labels, covered)
    own = [label for label in labels if label.path.startswith("objective.")]
    hint = ""
    if any(label.name in missing for label in own):
        hint = " What an objective brings with it can have none: make that a known number."
    raise ValueError(
        f"No prior is stated on: {', '.join(missing)}. A posterior needs one on every fitted "
        "number: add likelihax.terms.Prior(lambda p: ..., distribution) to the objective, or, if "
        f"nothing is known, likelihax.terms.Flat(lambda p: ...), or freeze it.{hint}"
    )


def check_supports(unknowns: Unknowns, stated: Sequence[Stated]) -> None:
    """Raises `ValueError` where a prior lives elsewhere than the leaf's constraint lets it."""
    constraint_of = _constraint_of(unknowns)
    names = [element for label in unknowns.labels() for element in label.elements]
    now = resolve(unknowns.predictor)
    for each in stated:
        if not isinstance(each.term, Prior):
            continue
        support = each.density(now).support
        for array in each.places:
            for place in np.ravel(array):
                constraint = constraint_of[int(place)]
                if not _agree(constraint, support):
                    raise ValueError(_disagreement(each, names[int(place)], constraint, support))


def check_proper(unknowns: Unknowns, stated: Sequence[Stated]) -> None:
    """Raises `ValueError` where a number has no prior that can be drawn from, naming it."""
    names = [element for label in unknowns.labels() for element in label.elements]
    taken = np.zeros(len(names), int)
    now = resolve(unknowns.predictor)
    for each in stated:
        places = np.concatenate([np.ravel(at) for at in each.places])
        if isinstance(each.term, Flat) or isinstance(each.density(now), ImproperUniform):
            raise ValueError(
                f"{each.term.title} on {names[int(places[0])]} is improper, without a finite "
                "total, and cannot be drawn from: state a proper distribution."
            )
        taken[places] += 1
    if np.any(taken > 1):
        raise ValueError(
            f"{names[int(np.argmax(taken > 1))]} has two priors, whose product cannot be drawn "
            "from: state one."
        )


def log_jacobian(
    theta: Float[Array, " size"], unknowns: Unknowns, without: Bool[Array, " size"]
) -> Float[Array, ""]:
    """`log |d natural / d theta|` of the fitters' vector; what is marked in `without` left out.

    Marked may be what has one number in the vector for each natural one.
    """
    scales = unit_scales(unknowns)
    offset, total = 0, jnp.zeros((), theta.dtype)
    for value, constraint in zip(
        trainable_values(unknowns), trainable_constraints(unknowns), strict=True
    ):
        transform = biject_to(constraint)
        shape = transform.inverse_shape(value.shape)
        size = math.prod(shape)
        own = slice(offset, offset + size)
        x = theta[own].reshape(shape)
        each = jnp.ravel(transform.log_abs_det_jacobian(x, transform(x)))
        if each.size == size:
            each = each + jnp.log(scales[own].astype(each.dtype))
            each = jnp.where(without[own], 0.0, each)
        total = total + jnp.sum(each)
        offset += size
    return total


def bounds_of(constraint: Constraint) -> tuple[Any, Any] | None:
    """Between what single numbers must lie; `None` for a constraint of vectors."""
    constraint = _base(constraint)
    if isinstance(constraint, type(constraints.real)):
        return -np.inf, np.inf
    lower = getattr(constraint, "lower_bound", None)
    upper = getattr(constraint, "upper_bound", None)
    if constraint.event_dim or (lower is None and upper is None):
        return None
    return -np.inf if lower is None else lower, np.inf if upper is None else upper


def is_ordered(constraint: Constraint) -> bool:
    """Whether it is of vectors whose entries increase."""
    kinds = (type(constraints.ordered_vector), type(constraints.positive_ordered_vector))
    return isinstance(_base(constraint), kinds)


def _base(constraint: Constraint) -> Constraint:
    while (inner := getattr(constraint, "base_constraint", None)) is not None:
        constraint = inner
    return constraint


def _agree(constraint: Constraint, support: Constraint) -> bool:
    own, of_prior = bounds_of(constraint), bounds_of(support)
    if own is not None and of_prior is not None:
        return all(np.allclose(a, b) for a, b in zip(own, of_prior, strict=True))
    if is_ordered(constraint) and of_prior is not None:
        # The density of single numbers, where these are in order, up to a constant factor.
        positive = isinstance(_base(constraint), type(constraints.positive_ordered_vector))
        return bool(np.all(np.equal(of_prior, (0.0 if positive else -np.inf, np.inf))))
    return own is None and of_prior is None and isinstance(_base(support), type(_base(constraint)))


def _disagreement(each: Stated, name: str, constraint: Constraint, support: Constraint) -> str:
    own = bounds_of(constraint)
    distribution = getattr(each.term, "distribution", None)
    kind = type(distribution).__name__ if isinstance(distribution, Distribution) else "The prior"
    mend = "choose a distribution on the same set, or another constraint"
    if own is not None and np.all(np.equal(own, (0, np.inf))):
        mend = (
            "give a distribution of positive numbers, such as TruncatedNormal(loc, scale, "
            "low=0.0), HalfNormal or LogNormal, or bounded(...) where the prior is bounded"
        )
    elif own is not None and np.all(np.isinf(own)):
        mend = "make the parameter positive(...) or bounded(...), or give a prior of real numbers"
    return (
        f"{each.term.title} on {name}: {kind} has the support {_words(support)}, and {name} is "
        f"{_words(constraint)}: {mend}."
    )


def _words(constraint: Constraint) -> str:
    bounds = bounds_of(constraint)
    if bounds is None:
        return type(_base(constraint)).__name__.strip("_")
    lower, upper = (np.asarray(bound) for bound in bounds)
    if np.all(np.isinf(lower)) and np.all(np.isinf(upper)):
        return "real"
    if np.all(lower == 0) and np.all(np.isinf(upper)):
        return "positive"
    return f"between {lower} and {upper}"


def _constraint_of(unknowns: Unknowns) -> list[Constraint]:
    pairs = zip(trainable_values(unknowns), trainable_constraints(unknowns), strict=True)
    return [constraint for value, constraint in pairs for _ in range(value.size)]


def _check_plain(
    prior: Prior,
    places: Sequence[np.ndarray],
    values: Sequence[Any],
    everything: np.ndarray | None,
) -> None:
    plain = len(places) == len(values) and all(
        np.issubdtype(at.dtype, np.integer)
        and at.shape == value.shape
        and at.size
        and at.min() >= 0
        and (
            everything is None or np.allclose(everything[at], np.asarray(value), rtol=1e-6, atol=0)
        )
        for at, value in zip(places, values, strict=True)
    )
    if not plain:
        raise ValueError(
            f"{prior.title}: where computes something, and the density of what is computed is not "
            "that of the parameters: state priors on the numbers themselves."
        )


def _whole_leaves(labels: Sequence[Label], covered: np.ndarray) -> list[str]:
    """Names of what is not covered: of whole leaves where nothing of them is."""
    missing, offset = [], 0
    for label in labels:
        own = covered[offset : offset + len(label.elements)]
        offset += len(label.elements)
        if not np.any(own):
            missing.append(label.name)
        else:
            missing += [name for name, done in zip(label.elements, own, strict=True) if not done]
    return missing
