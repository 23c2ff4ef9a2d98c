"""What is known and what is learned of the rates of change."""

from typing import TYPE_CHECKING

import numpy as np

from ..diagnostics import learned_share
from ..fits import Fit
from ..models import Contributions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def learned(fit: Fit, *, points: int = 400) -> "Figure":
    """Draws what the known and the learned part contribute to the rates of change over time.

    **Arguments:**

    - `fit`: the fit of a model with a `models.Learned` in its vector field.
    - `points`: at how many times.

    Returns the Matplotlib figure: a panel a component of the state, with the learned share of it
    above; a row of them an experiment. Raises `ValueError` where nothing is learned, and for a fit
    whose model cannot be solved.
    """
    from matplotlib.figure import Figure

    share = learned_share(fit, points=points)
    if not share.success:
        raise ValueError(f"learned: the model cannot be solved at the estimates. {fit.message}")
    several = len(share.parts) > 1
    rows, columns = len(share.parts), len(share.components)
    if not several:
        rows, columns = columns, 1
    size = (8.0, 1.2 + 2.2 * rows) if columns == 1 else (1 + 3.2 * columns, 1.2 + 1.6 * rows)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, squeeze=False).reshape(len(share.parts), -1)
    for panels, (name, part) in zip(axes, share.parts.items(), strict=True):
        for i, axis in enumerate(panels):
            _draw_parts(axis, part, i)
            said = f"learned {100 * share.by_experiment[name][i]:.2g} %"
            axis.set_title(f"{name}, {said}" if several else said, fontsize="small", loc="right")
            if not several or panels is axes[0]:
                axis.set_ylabel(f"rate of {share.components[i]}")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, ncols=3, loc="outside upper left", frameon=False)
    for axis in figure.axes[-columns:]:
        axis.set_xlabel("time")
    return figure


def _draw_parts(axis: "Axes", part: Contributions, component: int) -> None:
    known, own = np.asarray(part.known)[:, component], np.asarray(part.learned)[:, component]
    axis.axhline(0.0, color="0.8", lw=0.8, zorder=0)
    axis.plot(part.times, known + own, color="k", lw=2.2, alpha=0.3, label="total")
    axis.plot(part.times, known, color="C0", lw=1.2, label="known")
    axis.plot(part.times, own, color="C1", lw=1.2, label="learned")
