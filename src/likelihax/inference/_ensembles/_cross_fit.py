"""What each value is predicted as by a fit that has not seen it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._keys import check_key
from ..._parameters import resolve
from ..._predictor import Predictor
from ...data import AbstractData
from ...fits import AbstractMethod
from ...fits._folds import folds_of, without
from ...objectives import NLL, AbstractObjective
from ._fit_each import fit_each
from ._refits import Refits


@dataclass(frozen=True, eq=False, repr=False)
class CrossFit:
    """Fits that each left some rows out, and what they say of those.

    **Attributes:**

    - `refits`: the fits, one for each fold, and how they ended.
    - `data`: all of the data.
    - `folds`: which fit left each row out, shape `(rows,)`; -1 for rows that none did.
    """

    refits: Refits
    data: AbstractData
    folds: np.ndarray

    @cached_property
    def predictors(self) -> tuple[Predictor, ...]:
        """What each fit found, in the order of the folds."""
        return tuple(self.refits.fit(i).predictor for i in range(len(self.refits)))

    @cached_property
    def predictions(self) -> np.ndarray:
        """What the model gives for each row in the fit without it; NaN for rows none left out."""
        each = [np.asarray(_predicted(one, self.data)) for one in self.predictors]
        return self._without_it(each, np.nan)

    @cached_property
    def nll(self) -> np.ndarray:
        """The NLL of each value in the fit without it; 0 where missing, or none left it out.

        A mean of it over what was left out estimates the NLL of new rows.
        """
        each = [np.asarray(_nll(one, self.data)) for one in self.predictors]
        return self._without_it(each, 0.0)

    def _without_it(self, each: Sequence[np.ndarray], otherwise: float) -> np.ndarray:
        found = np.full_like(each[0], otherwise)
        for fold, one in enumerate(each):
            found[self.folds == fold] = one[self.folds == fold]
        return found

    def __repr__(self) -> str:
        left_out = int(np.sum(self.folds >= 0))
        ended = ", ".join(f"{n.replace('_', ' ')} {c}" for n, c in self.refits.endings.items())
        return (
            f"Cross-fit of {len(self.refits)} folds, {left_out} of {self.folds.size} rows left "
            f"out once\nhow the fits ended: {ended}"
        )


def cross_fit(
    objective: AbstractObjective,
    predictors: Predictor | Sequence[Predictor],
    data: AbstractData,
    *,
    num_folds: int = 5,
    folds: Any = None,
    key: Array | None = None,
    method: AbstractMethod | None = None,
    workers: int | None = None,
    side_by_side: bool | None = None,
    progress: bool | None = None,
) -> CrossFit:
    """Fits once without each fold of rows, and predicts each row by the fit without it.

    Errors on rows that a flexible model was fitted to are too small, and a noise that is learned
    from them too. Errors on rows left out are what new rows will show: learn the noise from those
    (cross-fitting, V. Chernozhukov and others 2018, "Double/debiased machine learning for
    treatment and structural parameters", Econometrics J. 21).

    **Arguments:**

    - `objective`, `method`, `workers`, `side_by_side`, `progress`: as for `fit_each`. Penalties
        keep their weights, against fewer values.
    - `predictors`: where the fits start: one for all, or one for each fold, built alike.
    - `data`: a `Dataset`, an `Experiment` or `Experiments`.
    - `num_folds`: how many folds, of rows drawn at random with `key`.
    - `folds`: or which fold each row belongs to, whole numbers from 0 without gaps, for rows that
        belong together; -1 for rows that are always fitted, so that zeros and -1 are a single
        part held out.

    Raises `ValueError` for arguments that cannot be right. How the fits ended is in
    `refits.results`; none of them raises.
    """
    if not isinstance(data, AbstractData):
        raise ValueError(
            f"cross_fit: the data must be an Experiment or a Dataset, got {type(data).__name__}."
        )
    if folds is None and key is not None:
        check_key(key, "cross_fit")
    of_row = folds_of("cross_fit", data, num_folds, folds, key, kept=True)
    count = int(of_row.max()) + 1
    starts = [predictors] * count if isinstance(predictors, Predictor) else list(predictors)
    if len(starts) != count:
        raise ValueError(f"cross_fit: {len(starts)} predictors for {count} folds.")
    found = fit_each(
        objective,
        starts,
        [without(data, of_row == fold) for fold in range(count)],
        method=method,
        workers=workers,
        side_by_side=side_by_side,
        progress=progress,
    )
    return CrossFit(found, data, of_row)


@eqx.filter_jit
def _predicted(predictor: Predictor, data: AbstractData) -> Array:
    return predictor.predict(data).values


@eqx.filter_jit
def _nll(predictor: Predictor, data: AbstractData) -> Array:
    each, _ = NLL().elementwise(resolve(predictor), data)
    return jnp.asarray(each)
