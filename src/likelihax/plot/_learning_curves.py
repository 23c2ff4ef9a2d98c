"""How well each step of a fit did."""

from typing import TYPE_CHECKING

import numpy as np

from ..fits import Fit, LearningCurves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def learning_curves(fit: Fit | LearningCurves) -> "Figure":
    """Draws how well each step of a fit did, on the fitted data and on those for validation.

    Above the mean NLL, below the mean squared error if there is one; a line marks where the
    validation NLL was lowest. What the first twentieth of the steps, or a spike, had beyond the
    rest is cut off.

    **Arguments:**

    - `fit`: a fit with `validation=...` or `curves=True`, or its curves.

    Returns the Matplotlib figure. Raises `ValueError` where no curves were recorded, and for a
    fit without a likelihood.
    """
    from matplotlib.figure import Figure

    curves = fit.curves if isinstance(fit, Fit) else fit
    if curves.train_nll is None:
        raise ValueError("learning_curves: nothing to draw: there is no likelihood to measure by.")
    panels = [
        ("NLL [nats a value]", curves.train_nll, curves.validation_nll),
        ("mean squared error", curves.train_mse, curves.validation_mse),
    ]
    if curves.train_mse is None and curves.validation_mse is None:
        panels.pop()
    figure = Figure(figsize=(8.0, 1.2 + 2.2 * len(panels)), layout="constrained")
    axes = np.atleast_1d(figure.subplots(len(panels), 1, sharex=True))
    for axis, (name, *pair) in zip(axes, panels, strict=True):
        for curve, label in zip(pair, ("fitted", "validation"), strict=True):
            if curve is not None:
                axis.plot(np.where(np.isfinite(curve), curve, np.nan), label=label)
        if curves.best_step is not None:
            label = f"validation NLL lowest, step {curves.best_step}"
            axis.axvline(curves.best_step, color="0.4", lw=1, ls="--", label=label)
        axis.set_ylabel(name)
        _cut_to_most(axis, pair)
    axes[0].legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    axes[-1].set_xlabel("step")
    return figure


def _cut_to_most(axis: "Axes", curves: list[np.ndarray | None]) -> None:
    """Limits for what most steps show: starts and spikes would flatten the rest."""
    shown = [curve[np.isfinite(curve)] for curve in curves if curve is not None]
    shown = [curve for curve in shown if curve.size]
    if not shown:
        return
    lowest = min(float(curve.min()) for curve in shown)
    highest = max(float(np.quantile(curve[curve.size // 20 :], 0.98)) for curve in shown)
    highest = max(highest, *(float(curve[-1]) for curve in shown))
    margin = 0.05 * (highest - lowest) or 1.0
    axis.set_ylim(lowest - margin, highest + margin)
