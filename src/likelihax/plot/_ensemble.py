"""An ensemble, its two kinds of uncertainty told apart."""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ..data import Dataset, Experiment
from ..inference import Ensemble
from ._curves import quantiles
from ._panels import grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def ensemble(
    found: Ensemble,
    data: Experiment | Dataset,
    *,
    level: float = 0.95,
    ends: tuple[float, float] | None = None,
    points: int = 400,
) -> "Figure":
    """Draws what the members of an ensemble predict together, and how far they disagree.

    The wide band is the mixture's for one new observation; the narrow one is the mean, give or take
    the Normal quantile times the root of the epistemic variance: where the members put it.

    **Arguments:**

    - `found`: the ensemble.
    - `data`: an `Experiment`, or a `Dataset` with one column of inputs.
    - `level`: the probability that a band holds.
    - `ends`: from where to where, in time or in the input; by default as far as there are data.
    - `points`: how many times the curves are computed at.

    Returns the Matplotlib figure: one panel an observable. Raises `ValueError` for other data and
    for a level outside (0, 1).
    """
    from scipy.special import ndtri

    if not 0 < level < 1:
        raise ValueError(f"ensemble: the level must be in (0, 1), got {level}.")
    along, arguments, label = _along(data, ends, points)
    lower, upper = quantiles(found, arguments, (0.5 - level / 2, 0.5 + level / 2))
    mixed = found(*arguments)
    reach = float(ndtri(0.5 + level / 2)) * np.sqrt(np.asarray(mixed.epistemic))
    shape = (along.size, len(data.observables))
    curves = (mixed.mean, lower, upper, reach)
    mean, low, high, reach = (np.asarray(curve).reshape(shape) for curve in curves)
    figure, axes = grid(len(data.observables), 1)
    places = np.ravel(np.asarray(data.times if isinstance(data, Experiment) else data.inputs))
    values = np.where(data.observed, np.asarray(data.values), np.nan).reshape(places.size, -1)
    said = f"{100 * level:g} %"
    for column, (axis, name) in enumerate(zip(axes[:, 0], data.observables, strict=True)):
        draw = lambda below, above, alpha, text, axis=axis: axis.fill_between(
            along, below, above, color="C0", alpha=alpha, lw=0, label=text
        )
        draw(low[:, column], high[:, column], 0.2, f"{said} of observations")
        inner = mean[:, column] - reach[:, column], mean[:, column] + reach[:, column]
        draw(*inner, 0.45, f"{said} of means (epistemic)")
        axis.plot(along, mean[:, column], color="C0", label="mean")
        axis.plot(places, values[:, column], ".", color="k", ms=4, label="measured")
        axis.set_ylabel(name)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, ncols=4, loc="outside upper left", frameon=False)
    axes[-1, 0].set_xlabel(label)
    return figure


def _along(
    data: Any, ends: tuple[float, float] | None, points: int
) -> tuple[np.ndarray, tuple[Any, ...], str]:
    """Evenly spaced times or inputs, and the model's arguments there."""
    if isinstance(data, Experiment):
        column, label, rest = data.times, "time", data.arguments[1:]
    elif isinstance(data, Dataset) and _is_column(data.inputs):
        column, label, rest = data.inputs, "input", ()
    else:
        raise ValueError(
            "ensemble: expected an Experiment or a Dataset with one column of inputs, got "
            f"{type(data).__name__}."
        )
    low, high = (float(jnp.min(column)), float(jnp.max(column))) if ends is None else ends
    along = np.linspace(low, high, points)
    shaped = jnp.asarray(along, column.dtype).reshape((points,) + (1,) * (column.ndim - 1))
    return along, (shaped, *rest), label


def _is_column(inputs: Any) -> bool:
    return eqx.is_inexact_array(inputs) and inputs.size == inputs.shape[0]
