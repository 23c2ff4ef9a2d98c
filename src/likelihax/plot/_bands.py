"""A prediction with its two bands."""

from typing import TYPE_CHECKING, Any

import jax.tree_util as jtu
import numpy as np

from ..data import Dataset, Experiment
from ..fits import Fit
from ..inference import bands as bands_of
from ..models import ODE
from ._panels import grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def bands(fit: Fit, at: Any = None, *, level: float = 0.95, points: int = 200) -> "Figure":
    """Draws measurements, the predicted mean, where it may be, and where observations may be.

    **Arguments:**

    - `fit`: the fit of one `Experiment`, or of a table with a single column of inputs.
    - `at`: the times, or the inputs, to draw it at; by default over the range of the data.
    - `level`: the probability of each band, value by value; see `likelihax.bands`.
    - `points`: at how many, if `at` does not say so.

    Returns the Matplotlib figure, one panel an observable. Raises `ValueError` for other data, and
    as `likelihax.bands` does.
    """
    data = fit.data
    measured_at = _abscissa(fit)
    if at is None:
        first = float(measured_at.min())
        if isinstance(data, Experiment) and isinstance(fit.predictor.model, ODE):
            first = float(fit.predictor.model.start_time(data.times))
        at = np.linspace(first, float(measured_at.max()), points, dtype=measured_at.dtype)
    at = np.asarray(at)
    shape = at.shape if isinstance(data, Experiment) else (-1, *_column(data).shape[1:])
    found = bands_of(fit, at.reshape(shape), level=level)
    columns = lambda array: np.asarray(array).reshape(len(array), -1)
    figure, axes = grid(len(data.observables), 1)
    values = np.where(data.observed, np.asarray(data.values), np.nan)
    for i, (axis, name) in enumerate(zip(axes[:, 0], data.observables, strict=True)):
        of = lambda array, i=i: columns(array)[:, i]
        axis.fill_between(at, of(found.lower), of(found.upper), color="C0", alpha=0.15, lw=0)
        axis.fill_between(
            at, of(found.mean_lower), of(found.mean_upper), color="C0", alpha=0.4, lw=0
        )
        axis.plot(at, of(found.mean), color="C0", lw=1.2, label="mean")
        axis.plot(measured_at, of(values), "k.", label="measured")
        axis.set_ylabel(name)
    share = f"{100 * level:g} %"
    axes[0, 0].fill_between([], [], [], color="C0", alpha=0.4, lw=0, label=f"{share}, the mean")
    axes[0, 0].fill_between(
        [], [], [], color="C0", alpha=0.15, lw=0, label=f"{share}, observations"
    )
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, ncols=4, loc="outside upper left", frameon=False)
    axes[-1, 0].set_xlabel("time" if isinstance(data, Experiment) else "input")
    return figure


def _abscissa(fit: Fit) -> np.ndarray:
    data = fit.data
    if isinstance(data, Experiment):
        return np.asarray(data.times)
    if isinstance(data, Dataset):
        column = _column(data)
        if column.size == column.shape[0]:
            return column.reshape(-1)
    raise ValueError(
        "bands: expected the fit of one Experiment, or of a table with a single column of inputs: "
        "take the numbers from likelihax.bands."
    )


def _column(data: Dataset) -> np.ndarray:
    leaves = jtu.tree_leaves(data.inputs)
    return np.asarray(leaves[0]) if len(leaves) == 1 else np.empty((2, 0))
