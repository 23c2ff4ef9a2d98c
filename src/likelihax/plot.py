"""Pictures of a fit. Matplotlib is imported when one is drawn, and by nothing else here."""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro.distributions import Distribution

from ._data import Experiment
from .fits import Fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_DRAWS = 4_000  # for a band without a formula


def trajectories(fit: Fit, *, level: float = 0.95, points: int = 400) -> "Figure":
    """Draws measurements, fitted curve and the band that observations should fall in.

    **Arguments:**

    - `fit`: the fit of one `Experiment`.
    - `level`: the probability that the band holds: that of one new observation, its noise as
        fitted, the parameters taken to be exactly the estimates.
    - `points`: how many times the curve is computed at.

    Returns the Matplotlib figure, one panel an observable. Raises `ValueError` for other data,
    for a level outside (0, 1), and for a fit whose model cannot be solved.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    data = fit.data
    if not isinstance(data, Experiment):
        raise ValueError(f"trajectories: expected the fit of an Experiment, not {type(data)}.")
    if not 0 < level < 1:
        raise ValueError(f"trajectories: the level must be in (0, 1), got {level}.")
    times = np.linspace(float(data.times[0]), float(data.times[-1]), points)
    middle, lower, upper = _bands(fit, jnp.asarray(times, data.times.dtype), level)
    if not np.all(np.isfinite(middle)):
        raise ValueError(
            f"trajectories: the model cannot be solved at the estimates. {fit.message}"
        )
    count = len(data.observables)
    figure = Figure(figsize=(8.0, 1.2 + 2.2 * count), layout="constrained")
    axes = np.atleast_1d(figure.subplots(count, 1, sharex=True))
    values = np.where(data.observed, np.asarray(data.values), np.nan).reshape(-1, count)
    for column, (axis, name) in enumerate(zip(axes, data.observables, strict=True)):
        label = f"{100 * level:g} % of observations"
        axis.fill_between(times, lower[:, column], upper[:, column], alpha=0.2, lw=0, label=label)
        axis.plot(times, middle[:, column], label="fit (median)")
        axis.plot(np.asarray(data.times), values[:, column], "k.", label="measured")
        axis.set_ylabel(name)
    axes[0].legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    # Years and days read better without halves.
    axes[-1].xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    axes[-1].set_xlabel("time")
    return figure


def _bands(fit: Fit, times: Array, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    arguments = (times, *fit.data.arguments[1:])
    probabilities = (0.5, 0.5 - level / 2, 0.5 + level / 2)
    curves = _quantiles(fit.predictor, arguments, probabilities)
    shape = (times.size, len(fit.data.observables))
    middle, lower, upper = (np.asarray(jax.device_get(curve)).reshape(shape) for curve in curves)
    return middle, lower, upper


@eqx.filter_jit
def _quantiles(
    predictor: Any, arguments: tuple[Any, ...], probabilities: tuple[float, ...]
) -> tuple[Array, ...]:
    distribution: Distribution = predictor(*arguments)
    wanted = jnp.asarray(probabilities, arguments[0].dtype)
    try:
        return tuple(distribution.icdf(p) for p in wanted)
    except NotImplementedError:  # not every family has its quantiles: draw them, always the same
        draws = distribution.sample(jax.random.key(0), (_DRAWS,)).astype(wanted.dtype)
        return tuple(jnp.quantile(draws, p, axis=0) for p in wanted)
