"""The weight of a penalty, chosen by what it leaves unexplained in data that were left out."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array

from .._parameters import resolve
from ..data import AbstractData
from ..objectives import NLL, AbstractObjective, as_sum
from ..reductions import Mean
from ..terms import AbstractPenalty
from ._folds import folds_of, without
from ._method import AbstractMethod
from ._path import Path, path
from ._report import Fit


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """The NLL of left-out data along a regularisation path.

    **Attributes:**

    - `path`: the path of all data.
    - `scores`: the mean NLL of the values left out, in nats a value, shape `(folds, weights)`.
    """

    path: Path
    scores: np.ndarray

    @cached_property
    def mean(self) -> np.ndarray:
        """The mean over the folds, shape `(weights,)`."""
        return np.mean(self.scores, axis=0)

    @cached_property
    def standard_error(self) -> np.ndarray:
        """The standard error of that mean, from the scatter of the folds."""
        return np.std(self.scores, axis=0, ddof=1) / np.sqrt(self.scores.shape[0])

    @property
    def best(self) -> int:
        """Which weight has the least mean."""
        return int(np.argmin(self.mean))

    @property
    def sparsest(self) -> int:
        """Which is the largest weight whose mean is within a standard error of the least.

        The rule of L. Breiman and others (1984, "Classification and regression trees", section
        3.4.3): the simplest model that is not clearly worse.
        """
        good = self.mean <= self.mean[self.best] + self.standard_error[self.best]
        return int(np.argmax(good))

    @property
    def weight(self) -> float:
        """The best weight."""
        return float(self.path.weights[self.best])

    @property
    def fit(self) -> Fit:
        """The fit of all data at the best weight."""
        return self.path.fits[self.best]

    @property
    def sparsest_fit(self) -> Fit:
        """The fit of all data at the weight of `sparsest`."""
        return self.path.fits[self.sparsest]

    def __repr__(self) -> str:
        rows = ["   weight  nonzero  NLL left out  standard error"]
        columns = (self.path.weights, self.path.num_nonzero, self.mean, self.standard_error)
        for i, (weight, count, mean, error) in enumerate(zip(*columns, strict=True)):
            mark = " best" if i == self.best else ""
            mark += " sparsest within a standard error" if i == self.sparsest else ""
            rows.append(f"{weight:9.4g}  {count:7d}  {mean:12.6g}  {error:14.2g}{mark}")
        return "\n".join(rows)


def cross_validate(
    objective: AbstractObjective,
    penalty: AbstractPenalty,
    predictor: Any,
    data: AbstractData,
    *,
    num_folds: int = 5,
    folds: Any = None,
    key: Array | None = None,
    weights: Any = None,
    num_weights: int = 30,
    ratio: float = 1e-3,
    method: AbstractMethod | None = None,
    progress: bool | None = None,
) -> CrossValidation:
    """Chooses the weight of a penalty by the NLL of data that were left out of the fit.

    Each fold in turn is left out, a path is fitted to the others, and the mean NLL of what was left
    out is its score. Penalties on sums weigh against fewer values there, so their weights are
    lowered by the share of the values that is left.

    **Arguments:**

    - `objective`, `penalty`, `predictor`, `data`, `weights`, `num_weights`, `ratio`, `method`,
        `progress`: as for `path`.
    - `num_folds`: how many folds, of rows drawn at random with `key`.
    - `folds`: or which fold each row belongs to, whole numbers from 0 without gaps: for rows that
        belong together.

    Raises `ValueError` for folds that cannot be right.
    """
    if not isinstance(data, AbstractData):
        raise ValueError(
            "cross_validate: the data must be an Experiment or a Dataset, got "
            f"{type(data).__name__}."
        )
    of_row = folds_of("cross_validate", data, num_folds, folds, key)
    along = path(
        objective,
        penalty,
        predictor,
        data,
        weights=weights,
        num_weights=num_weights,
        ratio=ratio,
        method=method,
        progress=progress,
    )
    score = NLL(Mean())
    scores = []
    for fold in range(int(of_row.max()) + 1):
        train, test = without(data, of_row == fold), without(data, of_row != fold)
        share = 1.0 if _is_mean(objective) else train.num_observed / data.num_observed
        fitted = path(
            objective,
            penalty,
            predictor,
            train,
            weights=share * along.weights,
            method=method,
            progress=progress,
        )
        scores.append([float(_score(score, found.predictor, test)) for found in fitted.fits])
    return CrossValidation(along, np.array(scores))


@eqx.filter_jit
def _score(score: NLL, predictor: Any, data: Any) -> Array:
    return score.evaluate(resolve(predictor), data).total


def _is_mean(objective: AbstractObjective) -> bool:
    parts = as_sum(objective).parts
    return any(isinstance(part, NLL) and not part.is_density for part in parts)
