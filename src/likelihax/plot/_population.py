"""Individuals beside somebody typical."""

from typing import TYPE_CHECKING

import numpy as np

from ..data import Experiments
from ..fits import Fit
from ..inference import individuals, typical
from ._curves import curve_of
from ._panels import grid, square

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def population(fit: Fit, *, points: int = 400) -> "Figure":
    """Draws each experiment's measurements, its own curve, and that of somebody typical.

    **Arguments:**

    - `fit`: the fit of a `Marginal` to `Experiments`.
    - `points`: how many times the curves are computed at.

    The typical curve is that of an individual at the population's centre
    (`likelihax.inference.typical`) who is otherwise as this one is, with the same inputs. Returns
    the Matplotlib figure, one panel an experiment, a colour an observable. Raises `ValueError` for
    other fits, and where the model cannot be solved.
    """
    data = fit.data
    anybody = typical(fit)
    if not isinstance(data, Experiments):
        raise ValueError(f"population: expected the fit of Experiments, not {type(data).__name__}.")
    figure, axes = grid(*square(len(data)))
    for axis in axes.reshape(-1)[len(data) :]:
        axis.remove()
    for axis, one in zip(axes.reshape(-1), data.experiments, strict=False):
        own, other = (
            curve_of(each.of(data, one.name), one, 0.5, points, fit.message)
            for each in (fit.predictor, anybody)
        )
        for column, name in enumerate(data.observables):
            colour = f"C{column}"
            axis.plot(other.times, other.middle[:, column], "--", color="0.6", label="typical")
            axis.plot(own.times, own.middle[:, column], color=colour, label=name)
            values = np.where(one.observed, np.asarray(one.values), np.nan)
            measured = values.reshape(len(values), -1)[:, column]
            axis.plot(np.asarray(one.times), measured, ".", color=colour)
        axis.set_title(one.name, fontsize="small", loc="right")
    handles, names = axes[0, 0].get_legend_handles_labels()
    named = dict(zip(reversed(names), reversed(handles), strict=True))
    figure.legend(named.values(), named.keys(), ncols=4, loc="outside upper left", frameon=False)
    for axis in axes[-1]:
        axis.set_xlabel("time")
    return figure


def individual_values(fit: Fit) -> "Figure":
    """Draws the individual values of a marginal fit in their order, with one standard error.

    `fit` is that of a `Marginal`; see `likelihax.inference.individuals`. One panel a number that
    varies; the dashed line is the population's centre, where it is the same for all. Returns
    the Matplotlib figure. Raises `ValueError` for other fits.
    """
    from matplotlib.figure import Figure

    found = individuals(fit)
    panels = [
        (name, index)
        for name, values in found.estimates.items()
        for index in np.ndindex(values.shape[1:])
    ]
    tallest = max(len(members) for members in found.members.values())
    size = (1.0 + 3.0 * len(panels), 1.2 + 0.2 * tallest)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (name, index) in zip(axes, panels, strict=True):
        each = (slice(None), *index)
        values, errors = found.estimates[name][each], found.standard_errors[name][each]
        order = np.argsort(values)
        rows = np.arange(values.size)
        axis.errorbar(values[order], rows, xerr=errors[order], fmt="o", ms=4, lw=1)
        centre = found.centres[name][each]
        if np.allclose(centre, centre[0]):
            axis.axvline(centre[0], color="0.6", ls="--", lw=1)
        axis.set_yticks(rows, [found.members[name][i] for i in order], fontsize="small")
        label = ", ".join(map(str, index))
        axis.set_xlabel(f"{name}[{label}]" if label else name)
    return figure
