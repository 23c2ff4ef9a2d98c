"""A fitted curve, and the band that observations should fall in."""

from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro.distributions import Distribution

from ..data import Experiment
from ..models import ODE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_DRAWS = 4_000  # for a band without a formula


class Curve(NamedTuple):
    """Curves: each `(times, observables)`, but the times."""

    times: np.ndarray
    middle: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def curve_of(predictor: Any, data: Experiment, level: float, points: int, message: str) -> Curve:
    """The curve of one experiment; `ValueError` where the model cannot be solved."""
    first, last = float(data.times[0]), float(data.times[-1])
    if isinstance(predictor.model, ODE):
        first = float(predictor.model.start_time(data.times))
    times = np.linspace(first, last, points)
    arguments = (jnp.asarray(times, data.times.dtype), *data.arguments[1:])
    curves = quantiles(predictor, arguments, (0.5, 0.5 - level / 2, 0.5 + level / 2))
    shape = (times.size, len(data.observables))
    found = Curve(times, *(np.asarray(jax.device_get(curve)).reshape(shape) for curve in curves))
    if not np.all(np.isfinite(found.middle)):
        raise ValueError(
            f"trajectories: the model cannot be solved at the estimates for {data.name}. {message}"
        )
    return found


def draw_curve(
    axis: "Axes",
    data: Experiment,
    shown: Curve,
    column: int,
    colours: tuple[str, str],
    labels: tuple[str, str],
) -> None:
    """Draws one observable: the band, the curve, and what was measured."""
    of_curve, of_points = colours
    lower, upper = shown.lower[:, column], shown.upper[:, column]
    axis.fill_between(shown.times, lower, upper, color=of_curve, alpha=0.2, lw=0)
    axis.plot(shown.times, shown.middle[:, column], color=of_curve, label=labels[0])
    values = np.where(data.observed, np.asarray(data.values), np.nan)
    own = values.reshape(len(values), -1)[:, column]
    axis.plot(np.asarray(data.times), own, ".", color=of_points, label=labels[1] or None)


@eqx.filter_jit
def quantiles(
    predictor: Any, arguments: tuple[Any, ...], probabilities: tuple[float, ...]
) -> tuple[Array, ...]:
    """Quantiles of what would be measured, for some probabilities."""
    distribution: Distribution = predictor(*arguments)
    wanted = jnp.asarray(probabilities, jax.tree.leaves(arguments)[0].dtype)
    try:
        return tuple(distribution.icdf(p) for p in wanted)
    except NotImplementedError:  # not every family has its quantiles: draw them, always the same
        draws = distribution.sample(jax.random.key(0), (_DRAWS,)).astype(wanted.dtype)
        return tuple(jnp.quantile(draws, p, axis=0) for p in wanted)
