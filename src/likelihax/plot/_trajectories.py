"""What was measured, and the fitted curves."""

from typing import TYPE_CHECKING

from ..data import Experiment, Experiments
from ..fits import Fit
from ._curves import curve_of, draw_curve
from ._panels import grid, square

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def trajectories(fit: Fit, *, level: float = 0.95, points: int = 400) -> "Figure":
    """Draws measurements, fitted curve and the band that observations should fall in.

    **Arguments:**

    - `fit`: the fit of an `Experiment`, or of `Experiments`.
    - `level`: the probability that the band holds: that of one new observation, its noise as
        fitted, the parameters taken to be exactly the estimates.
    - `points`: how many times the curve is computed at.

    Returns the Matplotlib figure: one panel an observable, or one panel an experiment, a colour an
    observable. Curves begin with the solve. Raises `ValueError` for other data, for a level outside
    (0, 1), and for a fit whose model cannot be solved.
    """
    data = fit.data
    if not isinstance(data, Experiment | Experiments):
        raise ValueError(f"trajectories: expected the fit of an Experiment, not {type(data)}.")
    if not 0 < level < 1:
        raise ValueError(f"trajectories: the level must be in (0, 1), got {level}.")
    if isinstance(data, Experiment):
        figure, axes = grid(len(data.observables), 1)
        shown = curve_of(fit.predictor, data, level, points, fit.message)
        for column, (axis, name) in enumerate(zip(axes[:, 0], data.observables, strict=True)):
            draw_curve(axis, data, shown, column, ("C0", "k"), ("fit (median)", "measured"))
            axis.set_ylabel(name)
    else:
        figure, axes = grid(*square(len(data)))
        for axis in axes.reshape(-1)[len(data) :]:
            axis.remove()
        for axis, one in zip(axes.reshape(-1), data.experiments, strict=False):
            shown = curve_of(fit.predictor.of(data, one.name), one, level, points, fit.message)
            for column, name in enumerate(data.observables):
                colour = f"C{column}"
                draw_curve(axis, one, shown, column, (colour, colour), (name, ""))
            axis.set_title(one.name, fontsize="small", loc="right")
    band = f"{100 * level:g} % of observations"
    axes[0, 0].fill_between([], [], [], color="C0", alpha=0.2, lw=0, label=band)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, ncols=4, loc="outside upper left", frameon=False)
    for axis in axes[-1]:
        axis.set_xlabel("time")
    return figure
