"""Groups, numbered from 0 without gaps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def counted_groups(groups: Any, owner: str, unit: str) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """The groups as whole numbers, and how many members each has.

    `unit` is what has a group, in the singular. Raises `ValueError` where they are not whole, or a
    number is left out.
    """
    found = np.asarray(groups)
    whole = np.issubdtype(found.dtype, np.integer) or found.dtype == np.bool_
    if not whole or found.size == 0 or found.min() < 0:
        raise ValueError(
            f"{owner}: groups must be whole numbers from 0 up, one a {unit}, got {found!r}. Of "
            "names, numpy.unique(names, return_inverse=True)[1] makes such numbers."
        )
    counts = np.bincount(found.reshape(-1))
    empty = np.flatnonzero(counts == 0)
    if empty.size:
        raise ValueError(
            f"{owner}: group {int(empty[0])} has no member among {found.size} {unit}s: number the "
            "groups from 0 without gaps."
        )
    return found.astype(int), counts
