"""The draws of a posterior, one by one and in pairs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..inference import Draws

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def posterior(draws: Draws, *, names: Sequence[str] | None = None, most: int = 8) -> "Figure":
    """Draws the marginals of a posterior, and how each pair of numbers goes together.

    On the diagonal a histogram, its mean and its 90 % interval; below it the draws of two numbers.
    Draws whose trajectory diverged are marked.

    **Arguments:**

    - `draws`: what `likelihax.sample` returned.
    - `names`: which numbers, by the names that the table prints (`sigma[hare]`); by default the
        first ones.
    - `most`: how many at most where no names are given.

    Returns the Matplotlib figure. Raises `ValueError` for a name that there is not.
    """
    from matplotlib.figure import Figure

    known = [name for label in draws.labels for name in label.elements]
    chosen = known[:most] if names is None else list(names)
    missing = [name for name in chosen if name not in known]
    if missing or not chosen:
        raise ValueError(f"posterior: no number is called {missing}: there are {', '.join(known)}.")
    flat = draws.natural.reshape(-1, len(known))[:, [known.index(name) for name in chosen]]
    diverging = np.ravel(draws.drawn.diverging)
    count = len(chosen)
    side = max(1.6 * count, 4.0)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes: Any = figure.subplots(count, count, sharex="col", squeeze=False)
    for i, j in np.ndindex(count, count):
        if j > i:
            axes[i, j].remove()
        elif i == j:
            _marginal(axes[i, i], flat[:, i])
        else:
            _pair(axes[i, j], flat[:, j], flat[:, i], diverging)
            axes[i, j].tick_params(labelleft=j == 0)
    for i, name in enumerate(chosen):
        axes[-1, i].set_xlabel(name)
        if i:
            axes[i, 0].set_ylabel(name)
    figure.align_labels()
    return figure


def _marginal(axis: "Axes", each: np.ndarray) -> None:
    axis.hist(each, bins=40, color="C0", alpha=0.5)
    low, high = np.quantile(each, [0.05, 0.95])
    axis.axvspan(low, high, color="C0", alpha=0.12, lw=0)
    axis.axvline(float(each.mean()), color="k", lw=1)
    axis.set_yticks([])
    axis.locator_params(axis="x", nbins=3)


def _pair(axis: "Axes", x: np.ndarray, y: np.ndarray, diverging: np.ndarray) -> None:
    # More points would hide how they crowd, and make a large file.
    step = max(x.size // 1500, 1)
    axis.plot(x[::step], y[::step], ".", color="C0", ms=1.5, alpha=0.3, rasterized=True)
    axis.plot(x[diverging], y[diverging], "x", color="C3", ms=4)
    axis.locator_params(nbins=3)
