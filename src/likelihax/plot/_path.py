"""How penalised numbers leave zero."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..fits import CrossValidation, Path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def path(found: Path | CrossValidation, names: Sequence[str] | None = None) -> "Figure":
    """Draws how the penalised numbers leave zero as the weight falls.

    **Arguments:**

    - `found`: what `likelihax.path` returned, or `likelihax.cross_validate`: then a second panel
        shows the NLL of what was left out, a standard error about it, and the two choices.
    - `names`: what the numbers are called, in their order; by default their numbers.

    Returns the Matplotlib figure. Raises `ValueError` where the names are not as many.
    """
    from matplotlib.figure import Figure

    along = found.path if isinstance(found, CrossValidation) else found
    coefficients = along.coefficients
    names = [str(i) for i in range(coefficients.shape[1])] if names is None else names
    if len(names) != coefficients.shape[1]:
        raise ValueError(f"path: {len(names)} names for {coefficients.shape[1]} numbers.")
    panels = 2 if isinstance(found, CrossValidation) else 1
    figure = Figure(figsize=(8.0, 1.4 + 2.8 * panels), layout="constrained")
    axes = np.atleast_1d(figure.subplots(panels, 1, sharex=True))
    axes[0].plot(along.weights, coefficients)
    _name_lines(axes[0], coefficients[-1], along.weights[-1], names)
    axes[0].axhline(0.0, color="0.7", lw=0.8, zorder=0)
    axes[0].margins(x=0.08)
    axes[0].set_ylabel("coefficient")
    if isinstance(found, CrossValidation):
        _scores(axes[1], found)
        for axis, which, style in [(a, w, s) for a in axes for w, s in _choices(found)]:
            axis.axvline(along.weights[which], color="0.4", lw=0.9, ls=style, zorder=0)
    axes[-1].set(xscale="log", xlabel="weight of the penalty")
    axes[-1].invert_xaxis()
    return figure


def _choices(found: CrossValidation) -> list[tuple[int, str]]:
    return [(found.best, "-"), (found.sparsest, ":")]


def _scores(axis: "Axes", found: CrossValidation) -> None:
    weights = found.path.weights
    axis.errorbar(weights, found.mean, found.standard_error, color="C0", lw=1, capsize=2)
    labels = ("best", "sparsest within a standard error")
    for (which, style), label in zip(_choices(found), labels, strict=True):
        axis.plot(weights[which], found.mean[which], "o", color="k", ms=4)
        axis.plot([], [], color="0.4", ls=style, label=label)
    axis.set_ylabel("NLL left out, a value")
    axis.legend(frameon=False, loc="upper right")


def _name_lines(axis: "Axes", ends: np.ndarray, at: float, names: Sequence[str]) -> None:
    """Each line's name at its end, moved apart where they would overlap."""
    low, high = axis.get_ylim()
    room = 0.05 * (high - low)
    order = np.argsort(ends)
    places = ends[order].astype(float)
    for i in range(1, places.size):
        places[i] = max(places[i], places[i - 1] + room)
    places -= np.mean(places - ends[order])
    for place, which in zip(places, order, strict=True):
        axis.annotate(
            names[which],
            (at, float(place)),
            xytext=(4, 0),
            textcoords="offset points",
            color=f"C{which % 10}",
            va="center",
            fontsize="small",
            annotation_clip=False,
        )
