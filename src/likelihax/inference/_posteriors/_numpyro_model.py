"""A predictor, priors on its leaves and data as parts of a NumPyro model."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import numpyro
from jaxtyping import Array
from numpyro.distributions import Distribution
from numpyro.distributions.constraints import Constraint

from ..._parameters import (
    is_parameter,
    resolve,
    trainable_constraints,
    trainable_values,
    value_of,
)
from ...data import AbstractData
from ...objectives import NLL, AbstractObjective, GroupNLL, Unknowns, as_sum
from ...objectives._objective import varied
from ...terms import Flat, Prior
from ._hidden_sites import observe_given_hidden
from ._non_centred import in_order
from ._priors import (
    Stated,
    check_covered,
    check_density,
    check_supports,
    is_ordered,
    is_traced,
    stated_priors,
)
from ._sites import Joined, Observation, Piece, batch_shape_of, drawn_leaf, flat, over_batch, whole


def draw(
    predictor: Any,
    priors: AbstractObjective,
    data: AbstractData | None = None,
    *,
    prefix: str = "",
) -> Any:
    """The predictor, its fitted leaves drawn from their priors: part of a NumPyro model.

    Adds a sample site for each leaf, called as in a fit's table (`prefix` before it), in natural
    units and shaped like the leaf; where parts of a leaf have priors of their own, they are joined.
    Inside `numpyro.plate`, leaves get the plate's axes in front, and `observe` knows them.

    **Arguments:**

    - `predictor`: with its `Parameter`s.
    - `priors`: an objective; its `terms.Prior` and `terms.Flat` say what sites there are, all else
        in it is left to `observe`.
    - `data`: what will be observed, where parameters vary by experiment or group.
    - `prefix`: for a model with several predictors.

    Raises `ValueError` where a fitted number has no prior, a prior has another weight than 1, or
    its support is not the constraint of what it is on.
    """
    # Whatever is being traced around this, what is known about leaves and priors is known now.
    with jax.ensure_compile_time_eval():
        unknowns = Unknowns(varied(predictor, data), priors)
        stated = _checked(unknowns, data)
        labels, constraints_ = unknowns.labels(), trainable_constraints(unknowns)
        shapes = [value.shape for value in trainable_values(unknowns)]
        by_leaf, again = _by_leaf(stated, shapes)
        order = _leaf_order(by_leaf, stated, unknowns)
    values: list[Any] = [None] * len(labels)
    for i in order:
        now = _with_drawn(unknowns, values)
        pieces = [(places, stated[which]) for which, places in by_leaf[i]]
        site = _site(pieces, shapes[i], constraints_[i], now)
        values[i] = numpyro.sample(prefix + labels[i].name, site)
    found = _with_drawn(unknowns, values)
    for which in again:
        part = stated[which].term
        cost = over_batch(
            lambda p, part=part: part.evaluate(resolve(p), data).total, found.predictor
        )
        numpyro.factor(f"{prefix}{part.title} {which}", -cost)
    return found.predictor


def observe(
    name: str,
    predictor: Any,
    data: AbstractData,
    *,
    nll: NLL | GroupNLL | None = None,
    observed: bool = True,
    latent: bool = False,
) -> Array:
    """The measured values as a site of a NumPyro model, given a drawn predictor.

    Its log-density is minus the exact NLL; missing values add nothing to it.

    **Arguments:**

    - `name`: of the site.
    - `predictor`: what `draw` returned, or any predictor.
    - `data`: what was measured.
    - `nll`: an NLL with weights, if there are any, or a `GroupNLL`.
    - `observed`: whether the values are what was measured; if not, the site is drawn, for
        predictions.
    - `latent`: whether what is hidden in the noise is a site of its own, called `name hidden`, and
        the values are Normal given it. For `StudentT` it is a standard deviation, for
        `NormalInverseGamma` a pair, the offset from the prediction and the variance: one a value
        under `NLL`, one a group under `GroupNLL`. Integrated out, it leaves the same as without.

    Returns the values, shape `(*plates, *values.shape)`. Raises `ValueError` for `latent` where
    nothing is hidden.
    """
    nll = NLL() if nll is None else nll
    if latent:
        return observe_given_hidden(name, predictor, data, nll, observed)
    site = Observation(predictor, data, nll)
    found: Array = numpyro.sample(name, site, obs=data.values if observed else None)
    return found


def numpyro_model(
    objective: AbstractObjective,
    predictor: Any,
    *,
    name: str = "values",
    prefix: str = "",
    latent: bool = False,
) -> Callable[..., Any]:
    """A NumPyro model `model(data, observed=True)` of an objective with priors.

    It draws the predictor (`draw`), observes the data (`observe`) under `name`, and adds all else
    in the objective as factors. It returns the drawn predictor. For `numpyro.infer`: MCMC, SVI,
    and `Predictive(...)(key, data, observed=False)`. `latent`: whether what is hidden in random
    noise is a site too, as `observe` says.

    Raises `ValueError` where the objective is no density, or nothing is hidden that should be.
    """
    check_density(objective)

    def model(data: AbstractData, observed: bool = True) -> Any:
        drawn = draw(predictor, objective, data, prefix=prefix)
        whole = as_sum(objective)
        nlls = [part for part in whole.parts if isinstance(part, NLL | GroupNLL)]
        for i, nll in enumerate(nlls):
            site = name if len(nlls) == 1 else f"{name} {i + 1}"
            observe(prefix + site, drawn, data, nll=nll, observed=observed, latent=latent)
        for i, part in enumerate(whole.parts):
            if not isinstance(part, NLL | GroupNLL | Prior | Flat):
                weight = whole.weight(i)
                value = lambda p, part=part: resolve(part).evaluate(resolve(p), data).total
                cost = over_batch(value, drawn)
                numpyro.factor(f"{prefix}{part.title} {i}", -weight * cost)
        return drawn

    return model


def _checked(unknowns: Unknowns, data: AbstractData | None) -> list[Stated]:
    stated = stated_priors(unknowns)
    check_covered(unknowns, stated)
    if is_traced(unknowns):  # there are no values to look at
        return stated
    for each in stated:
        each.term.check(unknowns.predictor, data)
    check_supports(unknowns, stated)
    for each in stated:
        if each.weight != 1.0 and not isinstance(each.term, Flat):
            raise ValueError(
                f"{each.term.title} weighs {each.weight:g}: a prior to draw from must weigh 1. Say "
                "what is meant by its distribution."
            )
    return stated


# The prior's number, and the numbers' places in the leaf.
_Own = tuple[int, np.ndarray]


def _by_leaf(
    stated: Sequence[Stated], shapes: Sequence[tuple[int, ...]]
) -> tuple[list[list[_Own]], list[int]]:
    """What priors each leaf has, and which priors are on numbers that had one already."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    ends = np.cumsum(sizes)
    taken = np.zeros(int(ends[-1]), bool)
    found: list[list[_Own]] = [[] for _ in shapes]
    again = []
    for which, each in enumerate(stated):
        flat_places = np.concatenate([np.ravel(at) for at in each.places])
        if np.any(taken[flat_places]):
            if not isinstance(each.term, Flat):
                again.append(which)
            continue
        taken[flat_places] = True
        for array in each.places:  # a part of one leaf: nothing computed is selected
            leaf = int(np.searchsorted(ends, np.ravel(array)[0], side="right"))
            start = int(ends[leaf]) - sizes[leaf]
            found[leaf].append((which, np.asarray(array - start)))
    return found, again


def _leaf_order(
    by_leaf: list[list[_Own]], stated: Sequence[Stated], unknowns: Unknowns
) -> list[int]:
    """The leaves, those behind whose priors are functions of others."""
    functions = [i for i, each in enumerate(stated) if each.is_function]
    if is_traced(unknowns):
        order: list[int] | None = list(range(len(functions)))
    else:
        order = in_order([stated[i] for i in functions], unknowns)
    if order is None:
        raise ValueError("Priors hang on each other in a ring: none of them can be drawn first.")
    rank = {functions[i]: place + 1 for place, i in enumerate(order)}
    last = [max((rank.get(which, 0) for which, _ in own), default=0) for own in by_leaf]
    return sorted(range(len(by_leaf)), key=lambda i: (last[i], i))


def _site(
    pieces: list[tuple[np.ndarray, Stated]],
    shape: tuple[int, ...],
    constraint: Constraint,
    now: Unknowns,
) -> Distribution:
    size = int(np.prod(shape))
    places, first = pieces[0]
    is_whole = len(pieces) == 1 and np.array_equal(np.ravel(places), np.arange(size))
    if is_whole and isinstance(first.term, Flat):
        return flat(shape, constraint)
    if is_whole and not is_ordered(constraint) and places.shape == shape:
        return _density(first, shape, now)
    joined = []
    for places, each in pieces:
        if isinstance(each.term, Flat):
            joined.append(Piece(places, None, False))
        else:
            alike = isinstance(each.term.distribution, Distribution) and not (
                each.term.distribution.batch_shape or each.term.distribution.event_shape
            )
            joined.append(Piece(places, _density(each, places.shape, now), alike))
    return Joined(joined, shape, constraint)


def _density(each: Stated, shape: tuple[int, ...], now: Unknowns) -> Distribution:
    """The prior of an array of a shape, in the plates that what it is a function of is in."""
    batch = batch_shape_of(now.predictor) if each.is_function else ()
    if not batch:
        return whole(each.density(resolve(now.predictor)), shape)
    kind = type(each.density(resolve(_first_of(now.predictor, batch))))

    def parameters(predictor: Any) -> dict[str, Array]:
        density = each.density(resolve(predictor))
        spread = lambda x: jnp.broadcast_to(x, shape)
        return {name: spread(getattr(density, name)) for name in density.arg_constraints}

    found: Any = over_batch(parameters, now.predictor)
    return whole(kind(**found), shape, batch)


def _first_of(predictor: Any, batch: tuple[int, ...]) -> Any:
    def first(leaf: Any) -> Any:
        if not is_parameter(leaf) or leaf.value.ndim == leaf.scale.ndim:
            return leaf
        return replace(leaf, value=leaf.value[(0,) * len(batch)])

    return jtu.tree_map(first, predictor, is_leaf=is_parameter)


def _with_drawn(unknowns: Unknowns, values: Sequence[Any]) -> Unknowns:
    """What was drawn so far in its place; the start where nothing was."""
    old = trainable_values(unknowns)
    each = iter(zip(old, values, strict=True))

    def put(leaf: Any) -> Any:
        is_fitted = leaf.trainable if is_parameter(leaf) else _is_inexact(leaf)
        if not is_fitted:
            return leaf
        before, value = next(each)
        return leaf if value is None else drawn_leaf(leaf, jnp.asarray(value, before.dtype))

    found: Unknowns = jtu.tree_map(put, unknowns, is_leaf=is_parameter)
    return found


def _is_inexact(leaf: Any) -> bool:
    return eqx.is_inexact_array(value_of(leaf))
