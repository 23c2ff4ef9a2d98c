"""Pictures of a fit. Matplotlib is imported when one is drawn, and by nothing else here."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro.distributions import Distribution

from .data import Experiment, Experiments
from .diagnostics import learned_share
from .fits import CrossValidation, Fit, LearningCurves, MultiStart, Path
from .inference import Draws
from .models import ODE, Contributions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_DRAWS = 4_000  # for a band without a formula


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
        figure, axes = _grid(len(data.observables), 1)
        shown = _shown(fit.predictor, data, level, points, fit.message)
        for column, (axis, name) in enumerate(zip(axes[:, 0], data.observables, strict=True)):
            _draw(axis, data, shown, column, ("C0", "k"), ("fit (median)", "measured"))
            axis.set_ylabel(name)
    else:
        figure, axes = _grid(*_square(len(data)))
        for axis in axes.reshape(-1)[len(data) :]:
            axis.remove()
        for axis, one in zip(axes.reshape(-1), data.experiments, strict=False):
            shown = _shown(fit.predictor.of(data, one.name), one, level, points, fit.message)
            for column, name in enumerate(data.observables):
                colour = f"C{column}"
                _draw(axis, one, shown, column, (colour, colour), (name, ""))
            axis.set_title(one.name, fontsize="small", loc="right")
    band = f"{100 * level:g} % of observations"
    axes[0, 0].fill_between([], [], [], color="C0", alpha=0.2, lw=0, label=band)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, ncols=4, loc="outside upper left", frameon=False)
    for axis in axes[-1]:
        axis.set_xlabel("time")
    return figure


def _square(count: int) -> tuple[int, int]:
    """Rows and columns of about as many panels each way, rather wide than high."""
    columns = min(count, 1 + math.isqrt(max(2 * count - 1, 0)))
    return -(-count // columns), columns


def _grid(rows: int, columns: int) -> "tuple[Figure, np.ndarray]":
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    size = (8.0, 1.2 + 2.2 * rows) if columns == 1 else (1 + 1.6 * columns, 1.2 + 1.4 * rows)
    figure = Figure(figsize=size, layout="constrained")
    share: Any = "row" if columns == 1 else "all"
    axes = figure.subplots(rows, columns, sharex=True, sharey=share, squeeze=False)
    # Years and days read better without halves.
    most = 9 if columns == 1 else 3
    axes[-1, 0].xaxis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))
    return figure, axes


class _Shown(NamedTuple):
    """Curves: each `(times, observables)`, but the times."""

    times: np.ndarray
    middle: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def _shown(predictor: Any, data: Experiment, level: float, points: int, message: str) -> _Shown:
    first, last = float(data.times[0]), float(data.times[-1])
    if isinstance(predictor.model, ODE):
        first = float(predictor.model.start_time(data.times))
    times = np.linspace(first, last, points)
    arguments = (jnp.asarray(times, data.times.dtype), *data.arguments[1:])
    curves = _quantiles(predictor, arguments, (0.5, 0.5 - level / 2, 0.5 + level / 2))
    shape = (times.size, len(data.observables))
    found = _Shown(times, *(np.asarray(jax.device_get(curve)).reshape(shape) for curve in curves))
    if not np.all(np.isfinite(found.middle)):
        raise ValueError(
            f"trajectories: the model cannot be solved at the estimates for {data.name}. {message}"
        )
    return found


def _draw(
    axis: "Axes",
    data: Experiment,
    shown: _Shown,
    column: int,
    colours: tuple[str, str],
    labels: tuple[str, str],
) -> None:
    of_curve, of_points = colours
    lower, upper = shown.lower[:, column], shown.upper[:, column]
    axis.fill_between(shown.times, lower, upper, color=of_curve, alpha=0.2, lw=0)
    axis.plot(shown.times, shown.middle[:, column], color=of_curve, label=labels[0])
    values = np.where(data.observed, np.asarray(data.values), np.nan)
    own = values.reshape(len(values), -1)[:, column]
    axis.plot(np.asarray(data.times), own, ".", color=of_points, label=labels[1] or None)


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


def waterfall(found: MultiStart) -> "Figure":
    """Draws the objective that each fit of a multi-start ended with, from the lowest up.

    A flat stretch is an optimum, as long as it was found often; hollow points are fits that did not
    converge. The scale is linear up to 1 above the lowest, and logarithmic beyond.

    **Arguments:**

    - `found`: what `likelihax.multistart` returned.

    Returns the Matplotlib figure. Raises `ValueError` where no fit could begin.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    finite = np.flatnonzero(np.isfinite(found.totals))
    if not finite.size:
        raise ValueError("waterfall: nothing to draw: no fit ended with a finite objective.")
    order = finite[np.argsort(found.totals[finite], kind="stable")]
    above = found.totals[order] - found.totals[order[0]]
    ranks = np.arange(1, order.size + 1)
    figure = Figure(figsize=(8.0, 4.0), layout="constrained")
    axis = figure.subplots()
    converged = np.array([found.results[i] == "successful" for i in order])
    axis.plot(ranks[converged], above[converged], "C0o", ms=4, label="converged")
    others = sorted({found.results[i] for i in order} - {"successful"})
    for color, name in enumerate(others, 1):
        these = np.array([found.results[i] == name for i in order])
        label = name.replace("_", " ")
        axis.plot(ranks[these], above[these], f"C{color}o", mfc="none", ms=5, label=label)
    axis.set_yscale("symlog", linthresh=1.0)
    axis.set_ylim(bottom=-0.15 * max(1.0, np.log10(max(above[-1], 1.0))))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("fits, from the lowest objective up")
    axis.set_ylabel(f"objective above {found.totals[order[0]]:.6g}")
    axis.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    return figure


def learned(fit: Fit, *, points: int = 400) -> "Figure":
    """Draws what the known and the learned part contribute to the rates of change over time.

    **Arguments:**

    - `fit`: the fit of a model with a `models.Learned` in its vector field.
    - `points`: at how many times.

    Returns the Matplotlib figure: a panel a component of the state, with the learned share of it
    above; a row of them an experiment. Raises `ValueError` where nothing is learned, and for a fit
    whose model cannot be solved.
    """
    from matplotlib.figure import Figure

    share = learned_share(fit, points=points)
    if not share.success:
        raise ValueError(f"learned: the model cannot be solved at the estimates. {fit.message}")
    several = len(share.parts) > 1
    rows, columns = len(share.parts), len(share.components)
    if not several:
        rows, columns = columns, 1
    size = (8.0, 1.2 + 2.2 * rows) if columns == 1 else (1 + 3.2 * columns, 1.2 + 1.6 * rows)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, squeeze=False).reshape(len(share.parts), -1)
    for panels, (name, part) in zip(axes, share.parts.items(), strict=True):
        for i, axis in enumerate(panels):
            _draw_parts(axis, part, i)
            said = f"learned {100 * share.by_experiment[name][i]:.2g} %"
            axis.set_title(f"{name}, {said}" if several else said, fontsize="small", loc="right")
            if not several or panels is axes[0]:
                axis.set_ylabel(f"rate of {share.components[i]}")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, ncols=3, loc="outside upper left", frameon=False)
    for axis in figure.axes[-columns:]:
        axis.set_xlabel("time")
    return figure


def _draw_parts(axis: "Axes", part: Contributions, component: int) -> None:
    known, own = np.asarray(part.known)[:, component], np.asarray(part.learned)[:, component]
    axis.axhline(0.0, color="0.8", lw=0.8, zorder=0)
    axis.plot(part.times, known + own, color="k", lw=2.2, alpha=0.3, label="total")
    axis.plot(part.times, known, color="C0", lw=1.2, label="known")
    axis.plot(part.times, own, color="C1", lw=1.2, label="learned")


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
