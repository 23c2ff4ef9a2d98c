"""Figures of several panels."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def square(count: int) -> tuple[int, int]:
    """Rows and columns of about as many panels each way, rather wide than high."""
    columns = min(count, 1 + math.isqrt(max(2 * count - 1, 0)))
    return -(-count // columns), columns


def grid(rows: int, columns: int) -> "tuple[Figure, np.ndarray]":
    """A figure of panels that share their horizontal axis."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    size = (8.0, 1.2 + 2.2 * rows) if columns == 1 else (1 + 1.6 * columns, 1.2 + 1.4 * rows)
    figure = Figure(figsize=size, layout="constrained")
    share: Any = "row" if columns == 1 else "all"
    axes = figure.subplots(rows, columns, sharex=True, sharey=share, squeeze=False)
    # Years and days read better without halves.
    most = 9 if columns == 1 else 3
    axes[-1, 0].xaxis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))
    return figure, axes
