"""Simulated data, fitted again."""

import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.special import ndtri

from ..._parameters import pack
from ..._predictor import Predictor
from ..._progress import Progress
from ..._result import name_of
from ...data import AbstractData
from ...fits import Fit, Problem, Record
from ...fits._method import AbstractMethod
from ...fits._prepare import prepare
from ...objectives import NLL, AbstractObjective
from .._checks import check_fit, check_level
from .._profiles._local import Local, Look
from .._profiles._pulled import Pulled, Request, Steps, converged, method_for
from .._profiles._quantity import FittedNumbers, Quantity, Units, fitted_numbers, measure_of, one_of
from .._profiles._walk import Walk
from .._simulated_values import simulated_values
from ..intervals import (
    AbstractIntervals,
    Ends,
    Estimated,
    Laplace,
    Profiled,
    Sandwich,
    Wald,
)
from ._simulated_refits import SimulatedRefits

KINDS: Mapping[str, type[AbstractIntervals]] = {
    "wald": Wald,
    "laplace": Laplace,
    "profile": Profiled,
    "sandwich": Sandwich,
}


@dataclass(eq=False)
class _Shared:
    """What all tasks look at."""

    problem: Problem
    method: AbstractMethod
    look: Look
    units: Units
    quantities: tuple[Quantity, ...]
    kinds: tuple[AbstractIntervals, ...]
    measure: Any
    truth: np.ndarray
    root: float
    ratios: bool


@dataclass(eq=False)
class _Refit:
    """One data set: fitted, and its intervals found."""

    shared: _Shared
    begin: np.ndarray
    values: np.ndarray
    result: str | None = None
    estimates: np.ndarray | None = None
    standard_errors: np.ndarray | None = None
    ends: list[Ends] = field(default_factory=list)
    roots: np.ndarray | None = None
    failed_solves: int = 0

    def steps(self) -> Steps:
        """The fit, and then what the intervals need."""
        shared = self.shared
        nowhere = np.zeros(len(shared.quantities))
        record = yield Request(self.begin, nowhere, 0.0, 0.0, self.values)
        self.failed_solves += int(record.failed_solves)
        if not converged(record):
            self.result = name_of(record.result)
            return
        theta = np.array(record.theta)
        local = replace(shared.look(theta, self.values), total=float(record.total))
        walks, roots = [], np.full(len(shared.quantities), np.inf)
        if any(kind.needs_walks for kind in shared.kinds):
            for quantity in shared.quantities:
                pair = yield from self._walked(quantity, local)
                walks.append(pair)
        if shared.ratios:
            for quantity in shared.quantities:
                roots[quantity.which] = yield from self._root(quantity, local)
        natural, slopes = shared.units.all(local.numbers)
        errors = np.abs(slopes) * [local.known_error(quantity) for quantity in shared.quantities]
        data = shared.problem.data.with_values(jnp.asarray(self.values))
        fit = Fit(replace(shared.problem, data=data), shared.method, record, 0.0, 0.0)
        estimated = Estimated(
            fit,
            shared.quantities,
            shared.units,
            natural,
            local.numbers,
            slopes,
            errors,
            tuple(walks),
        )
        self.ends = [kind.ends(estimated, shared.root) for kind in shared.kinds]
        self.estimates, self.standard_errors = natural, errors
        self.roots = roots
        self.result = name_of(record.result)

    def _walked(
        self, quantity: Quantity, local: Local
    ) -> Generator[Request, Record, tuple[Walk, Walk]]:
        """The two ends of an interval, with few points on the way."""
        # One point half way and one near the end: enough to interpolate.
        roots = (0.5 * self.shared.root, self.shared.root)
        pair = (self._walk(quantity, local, -1, roots), self._walk(quantity, local, 1, roots))
        for walk in pair:
            yield from walk.steps()
            self.failed_solves += walk.failed_solves
        return pair

    def _root(self, quantity: Quantity, local: Local) -> Generator[Request, Record, float]:
        """The signed root of the likelihood ratio of the truth; infinite where not known."""
        truth = float(self.shared.truth[quantity.which])
        side: Literal[-1, 1] = 1 if truth > local.numbers[quantity.which] else -1
        walk = self._walk(quantity, local, side, (self.shared.root,))
        rise = yield from walk.rise_at(truth)
        self.failed_solves += walk.failed_solves
        return math.inf if rise is None else -side * math.sqrt(2.0 * max(rise, 0.0))

    def _walk(
        self, quantity: Quantity, local: Local, side: Literal[-1, 1], roots: tuple[float, ...]
    ) -> Walk:
        shared = self.shared
        measure = one_of(shared.measure, quantity.which)
        return Walk(quantity, measure, local, side, roots, shared.root, self.values)


def simulate_and_refit(
    fit: Fit | Predictor,
    num: int = 200,
    *,
    key: Array,
    level: float = 0.95,
    intervals: Sequence[str | AbstractIntervals] = ("wald", "laplace", "profile"),
    ratios: bool = True,
    start: Literal["estimates", "start"] = "estimates",
    data: AbstractData | None = None,
    objective: AbstractObjective | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> SimulatedRefits:
    """Simulates data as the fitted predictor says they scatter, and fits each set again.

    The parametric bootstrap (Efron and Tibshirani 1993, "An Introduction to the Bootstrap",
    section 6.5), asked what errors are worth for this model, this design and this many data: the
    bias and the scatter of the estimates, and how often intervals hold the truth.

    **Arguments:**

    - `fit`: a fit that converged; its estimates are the truth. Or a `Predictor` with a truth of
        one's own, for a design that was not measured yet: then with `data`.
    - `num`: how many data sets. With 500, a coverage of 95 % is known to within 2 %.
    - `key`: a JAX random key.
    - `level`: that of the intervals.
    - `intervals`: kinds of them: `"wald"`, `"laplace"`, `"profile"`, `"sandwich"`, or one's own
        `inference.intervals.AbstractIntervals`.
    - `ratios`: whether to find the likelihood ratio of each true value, a fit more for each number,
        for `SimulatedRefits.roots` and `SimulatedRefits.bartlett`.
    - `start`: where each fit starts: at the `"estimates"`, or where the fit itself did, the
        `"start"`.
    - `data`: with a predictor, the design: times, inputs and which values are missing; the
        values themselves are not looked at.
    - `objective`: with a predictor, what to fit by; `NLL()` unless given.
    - `workers`: how many fits at the same time; by default one a core on a CPU, 16 on an
        accelerator.
    - `progress`: whether to show a bar; by default in a terminal or a notebook.

    Missing values stay missing; values that were censored are simulated as if they had been
    measured, so that such data raise. Fits that do not converge are counted and left out. Raises
    `ValueError` where the predictor cannot be simulated. A user's interruption returns what there
    is.
    """
    problem, method, truth = _settled(fit, data, objective)
    check_level(level, "simulate_and_refit")
    if num < 2:
        raise ValueError(f"simulate_and_refit: num is {num}: two data sets or more make a scatter.")
    if start not in ("estimates", "start"):
        raise ValueError(f'simulate_and_refit: start is "estimates" or "start", not {start!r}.')
    kinds = _kinds(intervals)
    theta = np.asarray(truth)
    at_truth = replace(problem, begin=jnp.asarray(theta))
    values = _simulated(fit.predictor if isinstance(fit, Fit) else fit, problem, num, key)
    numbers = FittedNumbers()
    look = Look(at_truth, numbers)
    wanted = fitted_numbers(problem.unknowns)
    pulled = Pulled(method, at_truth, numbers, len(wanted), check=lambda: look.ready)
    workers = workers or (None if jax.default_backend() == "cpu" else min(num, 16))
    pulled.compile(num, workers)
    origin = look(theta)
    units = Units(numbers, problem.unknowns, origin.numbers)
    root = float(ndtri(0.5 + 0.5 * level))
    measure = measure_of(numbers, problem.unknowns, jnp.asarray(theta))
    shared = _Shared(
        problem, method, look, units, wanted, kinds, measure, origin.numbers, root, ratios
    )
    begin = theta if start == "estimates" else np.asarray(pack(problem.unknowns))
    tasks = [_Refit(shared, begin, values[i, ...]) for i in range(num)]
    started = time.perf_counter()
    with Progress(num, "simulate and refit", progress) as bar:
        glance = lambda: bar.update(sum(task.result is not None for task in tasks), "")
        pulled.pursue(tasks, workers, glance)
    seconds = time.perf_counter() - started
    compiling = pulled.compile_seconds + look.compile_seconds
    true_values = units.all(origin.numbers)[0]
    return _summed_up(tasks, shared, true_values, num, level, (compiling, seconds))


def _settled(
    fit: Any, data: Any, objective: AbstractObjective | None
) -> tuple[Problem, AbstractMethod, Array]:
    """The problem, how to fit it, and the truth in the fitter's space."""
    if isinstance(fit, Predictor):
        if not isinstance(data, AbstractData):
            raise ValueError(
                "simulate_and_refit: a predictor needs a design: give data=, an Experiment with "
                "the times and any values."
            )
        method, problem = prepare(objective or NLL(), fit, data, None)
        return problem, method_for(problem, method), problem.start()
    check_fit(fit, "simulate_and_refit")
    if data is not None or objective is not None:
        raise ValueError(
            "simulate_and_refit: a fit has data and an objective of its own: leave them out."
        )
    if not isinstance(fit.predictor, Predictor) or not isinstance(fit.data, AbstractData):
        raise ValueError(
            "simulate_and_refit: a function of one's own does not say how data scatter: fit a "
            "Predictor to an Experiment or a Dataset by likelihax.NLL()."
        )
    return fit.problem, method_for(fit.problem, fit.method), jnp.asarray(fit.record.theta)


def _kinds(intervals: Sequence[str | AbstractIntervals]) -> tuple[AbstractIntervals, ...]:
    found = []
    for kind in [intervals] if isinstance(intervals, str) else intervals:
        if isinstance(kind, str):
            if kind not in KINDS:
                raise ValueError(
                    f"simulate_and_refit: no intervals are called {kind!r}; there are "
                    f"{', '.join(map(repr, KINDS))}."
                )
            kind = KINDS[kind]()
        found.append(kind)
    return tuple(found)


def _simulated(predictor: Predictor, problem: Problem, num: int, key: Array) -> np.ndarray:
    """Values of so many data sets, stand-ins where nothing was measured."""
    data, family = problem.data, type(predictor.likelihood).__name__
    try:
        drawn = np.asarray(simulated_values(problem.objective, predictor, data, key, num))
    except NotImplementedError:
        raise ValueError(
            f"simulate_and_refit: no values can be drawn from {family}, whose distribution has no "
            "`sample`."
        ) from None
    given = np.asarray(data.values)
    if drawn.shape[1:] != given.shape:
        raise ValueError(
            f"simulate_and_refit: {family} draws values of shape {drawn.shape[1:]}, measured were "
            f"{given.shape}: what was censored to a pair of bounds cannot be simulated."
        )
    observed = np.asarray(data.observed)
    measured = drawn[:, observed]
    if not np.all(np.isfinite(measured)):
        raise ValueError(
            f"simulate_and_refit: values drawn from {family} are not finite: can the model be "
            "solved with these parameters?"
        )
    return np.where(observed[None], drawn.astype(given.dtype), given[None])


def _summed_up(
    tasks: list[_Refit],
    shared: _Shared,
    truth: np.ndarray,
    num: int,
    level: float,
    seconds: tuple[float, float],
) -> SimulatedRefits:
    ended = [task for task in tasks if task.result is not None]
    good = [task for task in ended if task.estimates is not None]
    size = len(shared.quantities)
    stacked = lambda pick: np.array([pick(task) for task in good]).reshape(len(good), size)
    ends = {
        kind.title: Ends(
            stacked(lambda task, k=k: task.ends[k].lower),
            stacked(lambda task, k=k: task.ends[k].upper),
            stacked(lambda task, k=k: task.ends[k].known),
        )
        for k, kind in enumerate(shared.kinds)
    }
    return SimulatedRefits(
        names=tuple(quantity.name for quantity in shared.quantities),
        level=level,
        num=num,
        results=tuple(str(task.result) for task in ended),
        truth=truth,
        estimates=stacked(lambda task: task.estimates),
        standard_errors=stacked(lambda task: task.standard_errors),
        ends=ends,
        roots=stacked(lambda task: task.roots),
        failed_solves=sum(task.failed_solves for task in ended),
        compile_seconds=seconds[0],
        run_seconds=seconds[1],
    )
