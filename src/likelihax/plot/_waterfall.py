"""Where the fits of a multi-start ended."""

from typing import TYPE_CHECKING

import numpy as np

from ..fits import MultiStart

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def waterfall(found: MultiStart) -> "Figure":
    """Draws the objective that each fit of a multi-start ended with, from the lowest up.

    A flat stretch is an optimum, as long as it was found often; hollow points are fits that did not
    converge. The scale is linear up to 1 above the lowest, and logarithmic beyond.

    **Arguments:**

    - `found`: what `likelihax.multistart` returned.

    Returns the Matplotlib figure. Raises `ValueError` where no fit could begin.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    finite = np.flatnonzero(np.isfinite(found.totals))
    if not finite.size:
        raise ValueError("waterfall: nothing to draw: no fit ended with a finite objective.")
    order = finite[np.argsort(found.totals[finite], kind="stable")]
    above = found.totals[order] - found.totals[order[0]]
    ranks = np.arange(1, order.size + 1)
    figure = Figure(figsize=(8.0, 4.0), layout="constrained")
    axis = figure.subplots()
    converged = np.array([found.results[i] == "successful" for i in order])
    axis.plot(ranks[converged], above[converged], "C0o", ms=4, label="converged")
    others = sorted({found.results[i] for i in order} - {"successful"})
    for color, name in enumerate(others, 1):
        these = np.array([found.results[i] == name for i in order])
        label = name.replace("_", " ")
        axis.plot(ranks[these], above[these], f"C{color}o", mfc="none", ms=5, label=label)
    axis.set_yscale("symlog", linthresh=1.0)
    axis.set_ylim(bottom=-0.15 * max(1.0, np.log10(max(above[-1], 1.0))))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("fits, from the lowest objective up")
    axis.set_ylabel(f"objective above {found.totals[order[0]]:.6g}")
    axis.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    return figure
