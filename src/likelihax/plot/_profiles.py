"""Profile likelihoods, with the parabola of the curvature beside."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..inference import Profile, Profiles
from ._panels import square

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def profiles(found: Profiles) -> "Figure":
    """Draws how far the objective rises with each number, and what the curvature promises.

    A panel a number: the profile as a line through its points, the rise at which the interval
    ends dashed, the interval shaded; dotted the parabola of the standard error, which is the
    profile where the likelihood is Normal in that number. Points that did not converge are crosses.

    Returns the Matplotlib figure.
    """
    if not isinstance(found, Profiles):
        raise ValueError(f"profiles: expected what likelihax.profile returned, not {type(found)}.")
    from matplotlib.figure import Figure

    each = list(found.values())
    rows, columns = square(len(each))
    size = (1.2 + 2.2 * columns, 1.0 + 1.9 * rows)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axis in axes[len(each) :]:
        axis.remove()
    for axis, one in zip(axes, each, strict=False):
        _draw_profile(axis, one)
    for row in range(rows):
        axes[row * columns].set_ylabel("rise of the NLL")
    known: dict[str, Any] = {}
    for axis in axes[: len(each)]:
        handles, names = axis.get_legend_handles_labels()
        known |= dict(zip(names, handles, strict=True))
    shown = (list(known.values()), list(known))
    figure.legend(*shown, ncols=2, loc="outside upper left", frameon=False)
    return figure


def _draw_profile(axis: "Axes", one: Profile) -> None:
    limit = one.limit
    top = max(1.6 * limit, 1e-3)
    good = one.converged
    axis.plot(one.values, one.rises, color="C0", marker=".", ms=4, label="profile")
    axis.plot(one.values[~good], one.rises[~good], "x", color="C3")
    if np.isfinite(one.standard_error) and one.standard_error > 0:
        x = np.linspace(one.values[0], one.values[-1], 200)
        parabola = 0.5 * ((x - one.estimate) / one.standard_error) ** 2
        axis.plot(x, parabola, ":", color="0.4", label="by the standard error")
    axis.axhline(
        limit, ls="--", lw=0.8, color="C1", label=f"end of the {100 * one.level:g} % interval"
    )
    if one.verdict != "unfinished":
        lower, upper = one.interval()
        first, last = max(lower, one.values[0]), min(upper, one.values[-1])
        axis.axvspan(first, last, color="C0", alpha=0.12, lw=0)
    axis.set_ylim(-0.04 * top, top)
    if one.quantity.is_logarithmic and one.values[0] > 0 and one.values[-1] > 100 * one.values[0]:
        axis.set_xscale("log")
    axis.set_xlabel(one.name + (f" [{one.unit}]" if one.unit else ""))
    axis.set_title(one.verdict, fontsize="small", loc="right")
