"""Scores of strangeness, as they are given."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import ArrayLike

# Of any shape, in any order.
Scores = ArrayLike | Sequence[float]


def as_scores(scores: Scores, what: str) -> np.ndarray:
    """Scores as a vector; raises `ValueError` where there is none, or one is NaN.

    An infinite one is as good as any: ranks are all that is looked at.
    """
    found: np.ndarray[Any, Any] = np.asarray(scores, float).ravel()
    if found.size == 0:
        raise ValueError(f"{what} is empty: give at least one score.")
    missing = np.flatnonzero(np.isnan(found))
    if missing.size:
        raise ValueError(
            f"{what}: score {missing[0]} is NaN: leave out what has no score, {missing.size} of "
            f"{found.size}."
        )
    return found
