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

from .data import Dataset, Experiment, Experiments
from .diagnostics import learned_share
from .fits import CrossValidation, Fit, LearningCurves, MultiStart, Path
from .inference import Draws, Ensemble, Profile, Profiles, individuals, typical
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
    lower, upper = _quantiles(found, arguments, (0.5 - level / 2, 0.5 + level / 2))
    mixed = found(*arguments)
    reach = float(ndtri(0.5 + level / 2)) * np.sqrt(np.asarray(mixed.epistemic))
    shape = (along.size, len(data.observables))
    curves = (mixed.mean, lower, upper, reach)
    mean, low, high, reach = (np.asarray(curve).reshape(shape) for curve in curves)
    figure, axes = _grid(len(data.observables), 1)
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
    figure, axes = _grid(*_square(len(data)))
    for axis in axes.reshape(-1)[len(data) :]:
        axis.remove()
    for axis, one in zip(axes.reshape(-1), data.experiments, strict=False):
        own, other = (
            _shown(each.of(data, one.name), one, 0.5, points, fit.message)
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
    shown = dict(zip(reversed(names), reversed(handles), strict=True))
    figure.legend(shown.values(), shown.keys(), ncols=4, loc="outside upper left", frameon=False)
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
    rows, columns = _square(len(each))
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
    wanted = jnp.asarray(probabilities, jax.tree.leaves(arguments)[0].dtype)
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
