"""Weights that make the mixture of several predictions predict best."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...data import AbstractData
from ._held_out import measured_nll

# How far the mean log score may be from the largest that there is, in nats.
_TOLERANCE = 1e-10
_MOST_STEPS = 100_000
# A weight below this is on its way to zero.
_NOTHING = 1e-9


def stack(predictions: Mapping[str, Any], held_out: AbstractData | None = None) -> dict[str, float]:
    r"""Weights whose mixture predicts best what was left out, by stacking.

    $$\max_w \sum_i \log\sum_k w_k\,p_k(y_i), \qquad w_k \ge 0,\ \sum_k w_k = 1$$

    (Y. Yao, A. Vehtari, D. Simpson and A. Gelman 2018, "Using stacking to average Bayesian
    predictive distributions", Bayesian Analysis 13). Unlike Akaike weights these do not end
    with one model where there are data enough: two that err differently both keep a part.

    **Arguments:**

    - `predictions`: by name, fits, predictors or ensembles, to be scored on `held_out`; or, without
        that, the NLL of each value that was left out, arrays of the same shape, such as
        `leave_one_out` gives.
    - `held_out`: data that none of them was fitted to.

    Raises `ValueError` where shapes differ or something is not finite.
    """
    if not isinstance(predictions, Mapping) or not predictions:
        raise ValueError('stack: give a dictionary such as {"line": fit, "curve": other}.')
    if held_out is not None:
        nlls = {name: measured_nll(one, held_out, name) for name, one in predictions.items()}
    else:
        nlls = {name: _as_array(one, name) for name, one in predictions.items()}
    columns = list(nlls.values())
    if len({column.shape for column in columns}) > 1:
        shapes = ", ".join(f"{name} {each.shape}" for name, each in nlls.items())
        raise ValueError(f"stack: the NLLs differ in shape, so not of the same values: {shapes}.")
    weights = stacking_weights(np.stack([np.ravel(column) for column in columns], axis=1))
    return dict(zip(nlls, weights.tolist(), strict=True))


def stacking_weights(nll: np.ndarray) -> np.ndarray:
    """The weights for NLLs of shape `(values, models)`.

    By expectation and maximisation, which cannot leave the simplex and always goes up. By
    concavity the mean score is within `max(slope) - 1` of the largest.
    """
    lowest = nll.min(axis=1, keepdims=True)
    if not np.all(np.isfinite(lowest)):
        row = int(np.flatnonzero(~np.isfinite(lowest[:, 0]))[0])
        raise ValueError(f"stack: no prediction gives value {row} a finite NLL.")
    densities = np.exp(lowest - nll)
    weights = np.full(nll.shape[1], 1.0 / nll.shape[1])
    weights = _newton(densities, weights)
    for _ in range(_MOST_STEPS):
        slopes = np.mean(densities / (densities @ weights)[:, None], axis=0)
        if slopes.max() - 1 < _TOLERANCE:
            break
        weights = weights * slopes
        weights /= weights.sum()
    kept = np.where(weights < _NOTHING, 0.0, weights)
    return kept / kept.sum()


def _newton(densities: np.ndarray, start: np.ndarray) -> np.ndarray:
    """A start near the best weights, by sequential quadratic programming."""
    from scipy.optimize import minimize

    if start.size == 1:
        return start

    def score(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = np.maximum(densities @ weights, np.finfo(float).tiny)
        return -float(np.mean(np.log(mixed))), -np.mean(densities / mixed[:, None], axis=0)

    found = minimize(
        score,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * start.size,
        constraints=[{"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like}],
        options={"ftol": 1e-14, "maxiter": 500},
    )
    # What is exactly zero could never grow again.
    weights = np.maximum(found.x, 1e-12)
    better = found.x.min() > -1e-6 and score(weights / weights.sum())[0] <= score(start)[0]
    return weights / weights.sum() if better else start


def _as_array(given: Any, name: str) -> np.ndarray:
    try:
        found = np.asarray(given, float)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if not found.size:
        raise ValueError(
            f"stack: {name!r} is {type(given).__name__}: without held_out=data, give the NLL of "
            "each value that was left out."
        )
    return found
