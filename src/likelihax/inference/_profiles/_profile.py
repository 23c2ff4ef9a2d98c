"""Profile likelihoods: how far each number may be moved, the others following."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtri

from ..._parameters import by_name, natural, unpack
from ..._progress import Progress
from ...fits import Fit, Problem
from .._checks import check_fit, check_level
from .._simulation._simulated_refits import SimulatedRefits
from ._local import Look
from ._pulled import Pulled, method_for
from ._quantity import (
    FittedNumbers,
    Functions,
    Numbers,
    Of,
    Quantity,
    Units,
    measure_of,
    one_of,
    quantities,
)
from ._table import profiles_table
from ._walk import Point, Walk

Verdict = Literal["bounded", "one-sided", "flat", "unfinished"]

# From fewer simulated fits a Bartlett factor is known to no better than a fifth.
_FEWEST = 50
# How much further than the level asked for a profile goes, as a share of the root of the rise.
_BEYOND = 0.15


class Interval(NamedTuple):
    """Two ends, in natural units; infinite, or the end of the range, where there is none."""

    lower: float
    upper: float


@dataclass(frozen=True, eq=False, repr=False)
class Profile:
    """The lowest NLL for each value of one number. `print(profile)` shows its interval.

    **Attributes:**

    - `name`, `unit`: what the number is called, and measured in.
    - `estimate`: its value at the minimum.
    - `standard_error`: that of the curvature at the minimum, in natural units; infinite where
        the NLL is flat there.
    - `level`: the confidence that the profile was followed for.
    - `bartlett`: what the chi-square is multiplied by; 1 unless simulation said otherwise.
    - `values`: increasing values of the number, in natural units, shape `(points,)`.
    - `rises`: the lowest objective with each, above the minimum, in nats.
    - `thetas`: all parameters there, in the fitter's space, shape `(points, size)`.
    - `converged`: whether the fit of the others was, at each.
    - `failed_solves`, `evaluations`: how many points could not be solved, of how many.
    """

    name: str
    unit: str
    estimate: float
    standard_error: float
    level: float
    bartlett: float
    values: np.ndarray
    rises: np.ndarray
    thetas: np.ndarray
    converged: np.ndarray
    failed_solves: int
    evaluations: int
    quantity: Quantity
    numbers: Numbers
    units: Units
    walks: tuple[Walk, Walk]
    problem: Problem

    @property
    def nll(self) -> np.ndarray:
        """The objective at each of `values`, the other parameters at their best."""
        return self.rises + self.walks[0].origin.total

    @property
    def limit(self) -> float:
        """How far the objective has risen at the ends of the interval."""
        return 0.5 * self._root(self.level) ** 2

    @cached_property
    def verdict(self) -> Verdict:
        """What the data say of the number.

        `"bounded"`: the interval has two ends. `"one-sided"`: the NLL does not rise enough to one
        side, as far as was looked. `"flat"`: to neither. `"unfinished"`: fits failed on the way,
        a lower minimum was met, or the user interrupted, before one could say.
        """
        root = self._root(self.level)
        ends = [walk.found(root) for walk in self.walks]
        if any(
            end is None and walk.end not in ("reach", "edge")
            for end, walk in zip(ends, self.walks, strict=True)
        ):
            return "unfinished"
        missing = sum(end is None for end in ends)
        return ("bounded", "one-sided", "flat")[missing]

    @property
    def lower_minimum(self) -> Any | None:
        """A predictor with a lower objective than the fit, if one was met; start a fit there."""
        lower = [walk.lower for walk in self.walks if walk.lower is not None]
        if not lower:
            return None
        return self._at(min(lower, key=lambda point: point.rise).theta)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What there is to say of the way, in words; empty where all went well."""
        return tuple(_remarks(self))

    @cached_property
    def estimates(self) -> dict[str, np.ndarray]:
        """All fitted numbers along the profile, by name, natural; the first axis is `values`'."""
        flat = np.asarray(_naturals(jnp.asarray(self.thetas), self.problem.unknowns))
        return by_name(self.problem.unknowns.labels(), flat)

    def predictor(self, which: int) -> Any:
        """The predictor at one of `values`."""
        return self._at(self.thetas[which])

    def interval(self, level: float | None = None) -> Interval:
        r"""Where the NLL is less than $\chi^2_{1, level} / 2$ above its minimum.

        Its `level` is the confidence for many data, whatever the number is measured in (Wilks
        1938, Annals of Mathematical Statistics 9, 60-62); for few, intervals are too short, most
        those of the scale of noise, unless the chi-square is multiplied by `bartlett`. An end is
        infinite, or the end of the parameter's range, where the NLL does not rise so much as far
        as was looked; for a function that can be moved no further, as far as it could be.

        Raises `ValueError` for a level beyond the one that was profiled for, and where the walk
        ended before one could say; see `verdict` and `remarks`.
        """
        level = self.level if level is None else level
        check_level(level, self.name)
        root = self._root(level)
        ends = []
        for walk in self.walks:
            at = walk.found(root)
            if at is None and walk.end not in ("reach", "edge"):
                raise ValueError(self._why_none(walk, level))
            if at is None and walk.end == "edge" and isinstance(self.numbers, Functions):
                # It can be moved no further, whatever the parameters.
                ends.append(walk.points[-1].at)
            elif at is None:
                ends.append(self.quantity.ends[0 if walk.side < 0 else 1])
            else:
                ends.append(self.units.one(self.quantity.which, at))
        return Interval(min(ends), max(ends))

    def __repr__(self) -> str:
        return profiles_table(Profiles({self.name: self}, self.level, 0.0, 0.0), False)

    def _repr_html_(self) -> str:
        return profiles_table(Profiles({self.name: self}, self.level, 0.0, 0.0), True)

    def _root(self, level: float) -> float:
        return _root(level, self.bartlett)

    def _at(self, theta: np.ndarray) -> Any:
        return _unpack(jnp.asarray(theta), self.problem.unknowns).predictor

    def _why_none(self, walk: Walk, level: float) -> str:
        side = "below" if walk.side < 0 else "above"
        if walk.end == "crossed":
            return (
                f"{self.name}: the profile was followed for level {self.level}, not {level}: ask "
                f"for profile(fit, level={level})."
            )
        return (
            f"{self.name}: there is no interval: {side} the estimate {_REASONS[walk.end]}. "
            f"{' '.join(self.remarks)}"
        )


_REASONS = {
    "lost": "the fits of the other parameters failed",
    "lower": "a lower minimum was met",
    "interrupted": "the profile was interrupted",
}


@dataclass(frozen=True, eq=False, repr=False)
class Profiles(Mapping[str, Profile]):
    """Profiles by name. `print(profiles)` shows their intervals as a table.

    **Attributes:**

    - `level`: the confidence that they were followed for.
    - `compile_seconds`: what tracing and compiling took; 0 where it was done before.
    - `run_seconds`: what all walks together took.
    """

    profiles: dict[str, Profile]
    level: float
    compile_seconds: float
    run_seconds: float

    def __getitem__(self, name: str) -> Profile:
        if name not in self.profiles:
            raise KeyError(f"no profile of {name!r}; there are {', '.join(self.profiles)}.")
        return self.profiles[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.profiles)

    def __len__(self) -> int:
        return len(self.profiles)

    @property
    def lower_minimum(self) -> Any | None:
        """A predictor with a lower objective than the fit, if one was met; start a fit there."""
        rise = lambda profile: min(walk.lower.rise for walk in profile.walks if walk.lower)
        lower = [p for p in self.profiles.values() if p.lower_minimum is not None]
        return min(lower, key=rise).lower_minimum if lower else None

    def __repr__(self) -> str:
        return profiles_table(self, False)

    def _repr_html_(self) -> str:
        return profiles_table(self, True)


def profile(
    fit: Fit,
    of: Of = None,
    *,
    num: int = 30,
    level: float = 0.95,
    bartlett: SimulatedRefits | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> Profiles:
    r"""The profile likelihood of fitted numbers, or of functions of them.

    The profile of a number $g$ is the lowest objective with each value of it,

    $$\operatorname{nll}_\text{p}(c) = \min_{\theta:\, g(\theta) = c} \operatorname{nll}(\theta)$$

    Its interval takes the values that the data do not speak against by a likelihood-ratio test,
    needs no standard errors, and is the same in whatever units (Venzon and Moolgavkar 1988,
    Applied Statistics 37, 87-94).

    From the minimum outwards, `nll + weight / 2 (g - centre)^2` is minimised for one centre after
    the other: what is found is on the profile exactly. Points are about evenly spaced in the root
    of twice the rise; one compiled fit serves all numbers and both sides.

    **Arguments:**

    - `fit`: a fit that converged, of the summed NLL, with priors or without.
    - `of`: `None` for every fitted number; the name of one, or several, as in the fit's table; a
        function from the fitted predictor to a number or an array,
        `lambda p: p.model.field.growth * p.model.field.death`; or a dictionary of functions. A
        function that is made anew is compiled anew.
    - `num`: about how many points each profile has.
    - `level`: the confidence that profiles are followed a little beyond.
    - `bartlett`: what `likelihax.simulate_and_refit` returned for this fit, to make up for few
        data: the chi-square is multiplied by `SimulatedRefits.bartlett`. Without it they are for
        many data.
    - `workers`: how many walks at the same time; by default one a core on a CPU, all on an
        accelerator.
    - `progress`: whether to show a bar; by default in a terminal or a notebook.

    Raises `ValueError` for a fit that did not converge, an objective that is no density, and names
    that are not there. A user's interruption returns what there is.
    """
    check_fit(fit, "profile")
    if num < 5:
        raise ValueError(f"profile: num is {num}: a profile needs at least 5 points.")
    check_level(level, "profile")
    theta = jnp.asarray(fit.record.theta)
    problem = replace(fit.problem, begin=theta)
    numbers, wanted = quantities(of, fit.unknowns, theta, "profile")
    look = Look(problem, numbers)
    method = method_for(problem, fit.method)
    all_numbers = _count(numbers, wanted, fit)
    pulled = Pulled(method, problem, numbers, all_numbers, check=lambda: look.ready)
    pulled.compile(2 * len(wanted), workers)
    factors = _factors(bartlett, wanted)
    measure = measure_of(numbers, problem.unknowns, theta)
    origin = look(np.asarray(theta))
    units = Units(numbers, problem.unknowns, origin.numbers)
    walks = [
        Walk(quantity, one_of(measure, quantity.which), origin, side, _roots(root, half), root)
        for quantity in wanted
        for root in (_root(level, factors[quantity.name]),)
        for side, half in _sides(num)
    ]
    started = time.perf_counter()
    with Progress(num * len(wanted), "profile", progress) as bar:
        glance = lambda: bar.update(sum(len(walk.points) - 1 for walk in walks), "")
        pulled.pursue(walks, workers, glance)
    seconds = time.perf_counter() - started
    pairs = zip(walks[::2], walks[1::2], strict=True)
    found = {
        quantity.name: _profile(
            quantity, pair, (numbers, units), problem, (level, factors[quantity.name])
        )
        for quantity, pair in zip(wanted, pairs, strict=True)
    }
    compiling = pulled.compile_seconds + look.compile_seconds
    return Profiles(found, level, compiling, seconds)


def _sides(num: int) -> tuple[tuple[Literal[-1, 1], int], ...]:
    """Both sides, and how many points each has besides the minimum."""
    return ((-1, (num - 1) // 2), (1, num // 2))


def _root(level: float, factor: float) -> float:
    """The root of twice the rise at the end of an interval."""
    return float(ndtri(0.5 + 0.5 * level)) * math.sqrt(factor)


def _factors(refits: SimulatedRefits | None, wanted: tuple[Quantity, ...]) -> dict[str, float]:
    """By what to multiply the chi-square of each number."""
    if refits is None:
        return {quantity.name: 1.0 for quantity in wanted}
    if len(refits.roots) < _FEWEST:
        raise ValueError(
            f"profile: {len(refits.roots)} simulated fits converged, too few for a Bartlett "
            f"factor: simulate {_FEWEST} data sets or more, better 200."
        )
    known = dict(zip(refits.names, refits.bartlett.tolist(), strict=True))
    lacking = [quantity.name for quantity in wanted if quantity.name not in known]
    if lacking:
        raise ValueError(
            f"profile: there is no Bartlett factor for {lacking[0]!r}: the simulation found those "
            f"of {', '.join(known)}."
        )
    return {quantity.name: known[quantity.name] for quantity in wanted}


def _roots(root: float, count: int) -> tuple[float, ...]:
    """Evenly spaced up to the one that is asked for, and one beyond."""
    inside = np.linspace(0.0, root, max(count, 2))[1:]
    spacing = min(root - (inside[-2] if inside.size > 1 else 0.0), _BEYOND * root)
    return (*inside.tolist(), root + spacing)


def _count(numbers: Numbers, wanted: tuple[Quantity, ...], fit: Fit) -> int:
    """How many coordinates are computed together."""
    if isinstance(numbers, FittedNumbers):
        return sum(len(label.elements) for label in fit.labels)
    return len(wanted)


def _profile(
    quantity: Quantity,
    walks: tuple[Walk, Walk],
    numbers_and_units: tuple[Numbers, Units],
    problem: Problem,
    level_and_factor: tuple[float, float],
) -> Profile:
    left, right = walks
    numbers, units = numbers_and_units
    points: list[Point] = [*reversed(left.points[1:]), *right.points]
    values = np.array([units.one(quantity.which, point.at) for point in points])
    order = np.argsort(values, kind="stable")
    each = lambda pick: np.array([pick(points[i]) for i in order])
    estimate, slope = (float(x[quantity.which]) for x in units.all(left.origin.numbers))
    return Profile(
        name=quantity.name,
        unit=quantity.unit,
        estimate=estimate,
        standard_error=abs(slope) * left.standard_error,
        level=level_and_factor[0],
        bartlett=level_and_factor[1],
        values=values[order],
        rises=each(lambda point: max(point.rise, 0.0)),
        thetas=each(lambda point: point.theta),
        converged=each(lambda point: point.converged),
        failed_solves=left.failed_solves + right.failed_solves,
        evaluations=left.evaluations + right.evaluations,
        quantity=quantity,
        numbers=numbers,
        units=units,
        walks=(left, right),
        problem=problem,
    )


def _remarks(profile: Profile) -> list[str]:
    found = []
    for walk in profile.walks:
        side = "below" if walk.side < 0 else "above"
        if walk.lower is not None:
            found.append(
                f"{profile.name}: {side} the estimate the objective is {-walk.lower.rise:.3g} "
                "lower than at the fit, which is not the minimum: fit again from `lower_minimum`."
            )
        elif walk.end in ("lost", "interrupted"):
            found.append(f"{profile.name}: {side} the estimate {_REASONS[walk.end]}.")
        elif walk.end in ("reach", "edge") and walk.found(profile._root(profile.level)) is None:
            most = max(point.rise for point in walk.points)
            beyond = ", where it can no longer be evaluated" if walk.end == "edge" else ""
            beyond = beyond if walk.unusable else ""
            reached = profile.units.one(profile.quantity.which, walk.points[-1].at)
            found.append(
                f"{profile.name}: {side} the estimate the objective rises by {most:.3g} at most, "
                f"as far as {reached:.3g}{beyond}."
            )
    lost = int(np.sum(~profile.converged))
    if lost:
        found.append(
            f"{profile.name}: {lost} of {lost + int(np.sum(profile.converged))} points "
            "did not converge."
        )
    return found


_unpack = eqx.filter_jit(unpack)
_naturals = eqx.filter_jit(eqx.filter_vmap(natural, in_axes=(0, None)))
