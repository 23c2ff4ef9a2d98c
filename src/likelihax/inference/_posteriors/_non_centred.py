"""Other coordinates for what varies about a fitted centre, so that a sampler can move."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpyro import distributions as dist
from numpyro.distributions import Distribution, constraints

from ..._parameters import (
    natural,
    pack,
    resolve,
    trainable_constraints,
    trainable_values,
    unit_scales,
    unpack,
    with_values,
)
from ...distributions import InverseGammaScale
from ...objectives import Unknowns
from ._priors import Stated, bounds_of


class LocationScale(NamedTuple):
    """A distribution in the unconstrained coordinate `u = loc + scale * z`.

    **Attributes:**

    - `loc`, `scale`: where and how wide.
    - `log_base`: from `z` to its log-density.
    """

    loc: Any
    scale: Any
    log_base: Callable[[Array], Array]


def _direct(base: Callable[[Any], Distribution]) -> Callable[[Any], LocationScale]:
    return lambda d: LocationScale(d.loc, d.scale, base(d).log_prob)


def _of_logarithm(base: Distribution, scale: Callable[[Any], Any]) -> Callable[..., LocationScale]:
    log_base = lambda z: base.log_prob(jnp.exp(z)) + z
    return lambda d: LocationScale(jnp.log(scale(d)), jnp.ones_like(scale(d)), log_base)


def _inverse_gamma_scale(d: InverseGammaScale) -> LocationScale:
    alone = InverseGammaScale(d.concentration, d.concentration)
    log_base = lambda z: alone.log_prob(jnp.exp(z)) + z
    loc = 0.5 * jnp.log(d.rate / d.concentration)
    return LocationScale(loc, jnp.ones_like(loc), log_base)


# On the line, and above zero, where the coordinate is the logarithm.
_REAL: dict[type, Callable[[Any], LocationScale]] = {
    dist.Normal: _direct(lambda d: dist.Normal(0.0, 1.0)),
    dist.StudentT: _direct(lambda d: dist.StudentT(d.df, 0.0, 1.0)),
    dist.Cauchy: _direct(lambda d: dist.Cauchy(0.0, 1.0)),
    dist.Laplace: _direct(lambda d: dist.Laplace(0.0, 1.0)),
    dist.Logistic: _direct(lambda d: dist.Logistic(0.0, 1.0)),
    dist.Gumbel: _direct(lambda d: dist.Gumbel(0.0, 1.0)),
}
_POSITIVE: dict[type, Callable[[Any], LocationScale]] = {
    dist.LogNormal: _direct(lambda d: dist.Normal(0.0, 1.0)),
    dist.HalfNormal: _of_logarithm(dist.HalfNormal(1.0), lambda d: d.scale),
    dist.HalfCauchy: _of_logarithm(dist.HalfCauchy(1.0), lambda d: d.scale),
    dist.Exponential: _of_logarithm(dist.Exponential(1.0), lambda d: 1 / d.rate),
    InverseGammaScale: _inverse_gamma_scale,
}


def location_scale(density: Distribution, is_positive: bool) -> LocationScale | None:
    """The distribution as one of location and scale in the unconstrained coordinate, if it is."""
    known = (_POSITIVE if is_positive else _REAL).get(type(density))
    return None if known is None else known(density)


@final
class Standardised(eqx.Module):
    """The numbers under one prior with a fitted centre, each in units of its spread.

    **Attributes:**

    - `prior`: which of the objective's parts.
    - `places`: of each selected array, the places in the fitters' vector.
    - `positive`: whether the coordinate is the logarithm.
    """

    prior: int = eqx.field(static=True)
    places: tuple[Int[Array, "..."], ...]
    positive: bool = eqx.field(static=True)

    def there(self, unknowns: Unknowns, objective: Any) -> LocationScale:
        """Centre and spread, with the predictor as it is."""
        density = objective.parts[self.prior]._density(resolve(unknowns.predictor))
        found = location_scale(density, self.positive)
        assert found is not None
        return found

    def forth(
        self, z: Float[Array, " size"], theta: Array, scales: Array, there: LocationScale
    ) -> tuple[Array, Array]:
        """The fitters' vector with these numbers in it, and the log-density of theirs in `z`."""
        log_base = jnp.zeros((), theta.dtype)
        for at in self.places:
            own = z[at]
            loc, scale = _spread(there, own)
            theta = theta.at[at].set((loc + scale * own) / scales[at])
            log_base = log_base + jnp.sum(there.log_base(own))
        return theta, log_base

    def back(self, theta: Array, z: Array, scales: Array, there: LocationScale) -> Array:
        """The sampled vector with these numbers in it."""
        for at in self.places:
            loc, scale = _spread(there, theta[at])
            z = z.at[at].set((theta[at] * scales[at] - loc) / scale)
        return z


def _spread(there: LocationScale, like: Array) -> tuple[Array, Array]:
    whole = lambda x: jnp.broadcast_to(jnp.asarray(x, like.dtype), like.shape)
    return whole(there.loc), whole(there.scale)


def standardised(unknowns: Unknowns, stated: Sequence[Stated]) -> tuple[Standardised, ...]:
    """What can be sampled non-centred, parents before what hangs on them."""
    places = _places_in_vector(unknowns)
    now = resolve(unknowns.predictor)
    taken = np.bincount(
        np.concatenate([np.ravel(at) for each in stated for at in each.places]),
        minlength=sum(value.size for value in trainable_values(unknowns)),
    )
    found: list[tuple[Stated, Standardised]] = []
    for each in stated:
        if not each.is_function or each.weight != 1.0:
            continue
        flat = np.concatenate([np.ravel(at) for at in each.places])
        kinds = {places[int(i)][1] for i in flat}
        if len(kinds) != 1 or None in kinds or np.any(taken[flat] != 1):
            continue
        is_positive = kinds.pop() == "positive"
        density = each.density(now)
        if density.event_dim or location_scale(density, is_positive) is None:
            continue
        theirs = np.vectorize(lambda i: places[int(i)][0], otypes=[int])
        at = tuple(jnp.asarray(theirs(array)) for array in each.places)
        found.append((each, Standardised(each.part, at, is_positive)))
    order = in_order([each for each, _ in found], unknowns)
    return () if order is None else tuple(found[i][1] for i in order)


def in_order(stated: Sequence[Stated], unknowns: Unknowns) -> list[int] | None:
    """Priors whose distributions are functions, each behind those that it hangs on.

    `None` where they hang on each other in a ring.
    """
    needs = [_hangs_on(each, stated, unknowns) for each in stated]
    order: list[int] = []
    while len(order) < len(stated):
        ready = [i for i, need in enumerate(needs) if i not in order and need <= set(order)]
        if not ready:
            return None
        order += ready
    return order


def _hangs_on(each: Stated, stated: Sequence[Stated], unknowns: Unknowns) -> set[int]:
    """Which of the priors are on numbers that the distribution of this one is a function of."""
    values = np.tile(np.asarray(natural(pack(unknowns), unknowns)), (len(stated), 1))
    for row, other in zip(values, stated, strict=True):
        for at in other.places:
            row[at] = np.nan

    def is_lost(row: Array) -> Array:
        density = each.density(resolve(with_natural(row, unknowns).predictor))
        leaves = [leaf for leaf in jtu.tree_leaves(density) if eqx.is_inexact_array(leaf)]
        return jnp.any(jnp.stack([jnp.any(jnp.isnan(leaf)) for leaf in leaves]))

    # Mapped, since NumPyro looks at parameters that it can see, and would refuse these.
    return set(np.flatnonzero(np.asarray(jax.vmap(is_lost)(jnp.asarray(values)))).tolist())


def with_natural(values: Any, tree: Any) -> Any:
    """The tree with all fitted numbers at natural values, a flat vector."""
    pieces, offset = [], 0
    for old in trainable_values(tree):
        piece = values[offset : offset + old.size].reshape(old.shape)
        pieces.append(jnp.asarray(piece, old.dtype))
        offset += old.size
    return with_values(tree, pieces)


def _places_in_vector(unknowns: Unknowns) -> list[tuple[int, str | None]]:
    """For each natural number its place in the fitters' vector, and whether it is real there."""
    found: list[tuple[int, str | None]] = []
    offset = 0
    pairs = zip(trainable_values(unknowns), trainable_constraints(unknowns), strict=True)
    for value, constraint in pairs:
        bounds = bounds_of(constraint)
        kind = None
        if isinstance(constraint, type(constraints.real)):
            kind = "real"
        elif bounds is not None and np.all(np.equal(bounds, (0, np.inf))):
            kind = "positive"
        size = int(np.prod(dist.biject_to(constraint).inverse_shape(value.shape)))
        single = bounds is not None
        found += [(offset + i if single else -1, kind) for i in range(value.size)]
        offset += size
    return found


def to_theta(
    z: Float[Array, " size"], unknowns: Unknowns, each: Sequence[Standardised], objective: Any
) -> tuple[Array, Array]:
    """The fitters' vector for a sampled one, and the log-density of what is standardised in it."""
    theta, log_base = z, jnp.zeros((), z.dtype)
    scales = unit_scales(unknowns).astype(z.dtype)
    for one in each:
        there = one.there(unpack(theta, unknowns), objective)
        theta, more = one.forth(z, theta, scales, there)
        log_base = log_base + more
    return theta, log_base


def to_sampled(
    theta: Float[Array, " size"], unknowns: Unknowns, each: Sequence[Standardised], objective: Any
) -> Array:
    """The sampled vector for the fitters' one: undoes `to_theta`."""
    z = theta
    scales = unit_scales(unknowns).astype(theta.dtype)
    for one in each:
        there = one.there(unpack(theta, unknowns), objective)
        z = one.back(theta, z, scales, there)
    return z


def marked(each: Sequence[Standardised], size: int) -> Bool[Array, " size"]:
    """Which numbers of the vector are standardised."""
    found = np.zeros(size, bool)
    for one in each:
        for at in one.places:
            found[np.asarray(at)] = True
    return jnp.asarray(found)
