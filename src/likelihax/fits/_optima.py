"""Which of many fits found the same optimum."""

from collections.abc import Sequence

import numpy as np

# Two fits are at one optimum if they are closer than this in the objective, plus a millionth of it,
# and in each entry of the vector that fits see, or a hundredth of an entry beyond 1.
SAME_TOTAL = 1e-3
_SAME_ENTRY = 1e-2


def group(totals: np.ndarray, points: Sequence[np.ndarray]) -> list[list[int]]:
    """The fits at each optimum by their numbers, lowest first, optima and fits alike.

    `totals` has shape `(fits,)`, `points` a vector for each fit. A fit belongs to the lowest
    optimum whose lowest fit is close.
    """
    groups: list[list[int]] = []
    for i in np.argsort(totals, kind="stable").tolist():
        for members in groups:
            if _close(totals, points, members[0], i):
                members.append(i)
                break
        else:
            groups.append([i])
    return groups


def _close(totals: np.ndarray, points: Sequence[np.ndarray], a: int, b: int) -> bool:
    if abs(totals[b] - totals[a]) > SAME_TOTAL + 1e-6 * abs(totals[a]):
        return False
    allowed = _SAME_ENTRY * np.maximum(1.0, np.abs(points[a]))
    return bool(np.all(np.abs(points[b] - points[a]) <= allowed))
