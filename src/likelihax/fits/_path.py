"""A regularisation path: one fit a weight, each from the one before."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._parameters import fixed, pack, resolve, unpack
from ..objectives import AbstractObjective, Unknowns, as_sum
from ..terms import AbstractPenalty
from ..terms._selection import flat, plain_places
from ._fit import fit
from ._method import AbstractMethod
from ._penalties import lengths_of, penalties_of, smooth
from ._problem import Problem
from ._report import Fit

# How often the weight at which all is zero is sought, each time ten times as large.
_ATTEMPTS = 12


@dataclass(frozen=True, eq=False)
class Path:
    """The fits along a regularisation path, from the largest weight to the smallest.

    **Attributes:**

    - `weights`: what the penalty was multiplied by, shape `(weights,)`.
    - `fits`: one for each, whether or not it succeeded.
    - `penalty`: the penalty.
    """

    weights: np.ndarray
    fits: tuple[Fit, ...]
    penalty: AbstractPenalty

    @cached_property
    def coefficients(self) -> np.ndarray:
        """The penalised numbers, shape `(weights, selected)`."""
        return np.stack([self._selected(found) for found in self.fits])

    @cached_property
    def num_nonzero(self) -> np.ndarray:
        """How many of them are not exactly zero, shape `(weights,)`."""
        return np.count_nonzero(self.coefficients, axis=1)

    @cached_property
    def totals(self) -> np.ndarray:
        """The whole objective at each fit, shape `(weights,)`."""
        return np.array([found.nll for found in self.fits])

    @property
    def success(self) -> bool:
        """Whether all fits converged."""
        return all(found.success for found in self.fits)

    @property
    def seconds(self) -> float:
        """What iterating took, all fits together."""
        return sum(found.run_seconds for found in self.fits)

    def _selected(self, found: Fit) -> np.ndarray:
        return np.asarray(flat(self.penalty.where, resolve(found.predictor)))

    def __repr__(self) -> str:
        rows = ["   weight  nonzero      objective  result"]
        each = zip(self.weights, self.num_nonzero, self.fits, strict=True)
        rows += [f"{w:9.4g}  {count:7d}  {f.nll:13.8g}  {f.message}" for w, count, f in each]
        return "\n".join(rows)


def path(
    objective: AbstractObjective,
    penalty: AbstractPenalty,
    predictor: Any,
    data: Any,
    *,
    weights: Any = None,
    num_weights: int = 30,
    ratio: float = 1e-3,
    method: AbstractMethod | None = None,
    progress: bool | None = None,
) -> Path:
    """Fits `objective + weight * penalty` for falling weights, each from the fit before.

    **Arguments:**

    - `objective`: the smooth part, such as `NLL()`.
    - `penalty`: one of `likelihax.terms` with exact zeros, such as `L1(where)`.
    - `predictor`, `data`, `method`, `progress`: as for `fit`.
    - `weights`: what the penalty is multiplied by, in any order; they are gone through from the
        largest. By default `num_weights` of them, evenly in their logarithms, from the least at
        which everything that is penalised is zero down to `ratio` times that.

    Raises `ValueError` for arguments that cannot be right.
    """
    if not isinstance(penalty, AbstractPenalty):
        raise ValueError(
            f"path: {penalty!r} is no penalty with exact zeros: give for instance "
            "likelihax.terms.L1(where)."
        )
    plain_places(penalty.where, predictor, penalty.title)
    objective = fixed(objective)
    if weights is None:
        if num_weights < 1 or not 0 < ratio < 1:
            raise ValueError(
                f"path: num_weights {num_weights} and ratio {ratio}: at least one weight, and a "
                "ratio between 0 and 1."
            )
        objective, predictor, largest = _null_model(objective, penalty, predictor, data, method)
        weights = largest * np.logspace(0.0, np.log10(ratio), num_weights)
    falling = np.sort(_checked(weights))[::-1]
    fits = []
    for weight in falling:
        found = fit(
            objective + float(weight) * penalty,
            predictor,
            data,
            method=method,
            progress=progress,
            throw=False,
        )
        fits.append(found)
        if np.isfinite(found.nll):
            objective, predictor = _onward(found)
    return Path(falling, tuple(fits), penalty)


def _checked(weights: Any) -> np.ndarray:
    found = np.ravel(np.asarray(weights, dtype=float))
    bad = np.flatnonzero(~(np.isfinite(found) & (found >= 0)))
    if found.size == 0 or bad.size:
        what = f"weights[{bad[0]}] = {found[bad[0]]}" if bad.size else "there is no weight"
        raise ValueError(f"path: {what}: weights must be finite and not negative.")
    return found


def _onward(found: Fit) -> tuple[AbstractObjective, Any]:
    return as_sum(found.unknowns.objective).only(penalties=False), found.predictor


def _null_model(
    objective: AbstractObjective,
    penalty: AbstractPenalty,
    predictor: Any,
    data: Any,
    method: AbstractMethod | None,
) -> tuple[AbstractObjective, Any, float]:
    """The fit with all that is penalised at zero, and the least weight at which it is."""
    unknowns = Unknowns(predictor, as_sum(objective))
    start = pack(unknowns)
    at_zero = start.at[plain_places(penalty.where, predictor, penalty.title)].set(0.0)
    predictor = unpack(at_zero, unknowns).predictor
    weight = 1.0
    for _ in range(_ATTEMPTS):
        found = fit(objective + weight * penalty, predictor, data, method=method, progress=False)
        least = float(_least_weight(found.problem, found.record.theta)) * weight
        x = flat(penalty.where, resolve(found.predictor))
        if found.success and not np.any(np.asarray(x)):
            return *_onward(found), least
        weight = 10.0 * max(weight, least)
    raise ValueError(
        f"path: no weight was found at which all that {penalty.title} is about is zero: give the "
        "weights yourself."
    )


@eqx.filter_jit
def _least_weight(problem: Problem, theta: Array) -> Array:
    """As a share of the present weight: the steepest slope of a block over what it costs."""
    penalties = penalties_of(problem)
    gradient = smooth(problem).value_and_gradient(theta).gradient / penalties.unit
    penalised = penalties.lengths > 0
    steepness = lengths_of(penalties.gather(gradient))
    return jnp.max(
        jnp.where(penalised, steepness / jnp.where(penalised, penalties.lengths, 1.0), 0.0)
    )
