"""One fit again and again, on other data or from other starts, with one compilation."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array

from ..._parameters import Label, by_name, is_parameter, natural, unpack
from ..._progress import Progress
from ...fits import AbstractMethod, Fit, Problem
from ...fits._candidates import AbstractSource, Candidates
from ...fits._many import AbstractRuns, Ran, runner
from ...fits._search import Search
from ...objectives import Unknowns
from ._ensemble import Stacked, alike


@dataclass(frozen=True, eq=False)
class Refits(AbstractRuns):
    """Many fits of problems that are built alike.

    **Attributes:**

    - `method`: how each was fitted.
    - `compile_seconds`: what tracing and compiling took; 0 where it was done before.
    - `run_seconds`: what all fits together took.
    - `problems`, `runs`: where each began, and its account.
    """

    method: AbstractMethod
    compile_seconds: float
    run_seconds: float
    problems: Candidates
    runs: tuple[Ran, ...]

    def __len__(self) -> int:
        return len(self.runs)

    @cached_property
    def converged(self) -> np.ndarray:
        """Which converged, shape `(fits,)`."""
        return np.array(self.results) == "successful"

    def fit(self, which: int) -> Fit:
        """One of them."""
        ran = self.runs[which]
        return Fit(self.problems.problem_of(which), self.method, ran.record, 0.0, ran.seconds)

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """What the parameters are called, in the order of `estimates`."""
        return self.problems.problem.unknowns.labels()

    @cached_property
    def estimates(self) -> np.ndarray:
        """The estimates of all, in natural units, shape `(fits, parameters)`.

        For fits whose parameters began in the same units.
        """
        thetas = jnp.asarray(np.stack([np.asarray(ran.record.theta) for ran in self.runs]))
        return np.asarray(in_natural_units(thetas, self.problems.problem.unknowns))

    def predictors(self, which: np.ndarray) -> Stacked:
        """The predictors of those that are marked, begun from one predictor in the same units."""
        unknowns = self.problems.problem.unknowns
        spec = jtu.tree_map(_is_fitted, unknowns.predictor, is_leaf=is_parameter)
        _, shared = eqx.partition(unknowns.predictor, spec)
        rows = [np.asarray(self.runs[i].record.theta) for i in np.flatnonzero(which)]
        if not rows:
            raise ValueError("None of the refits converged: there is nothing to predict from.")
        put = lambda theta: eqx.filter(unpack(theta, unknowns).predictor, spec)
        varying = jax.jit(jax.vmap(put))(jnp.asarray(np.stack(rows)))
        return Stacked(varying, shared, len(rows))

    def by_name(self, estimates: np.ndarray) -> dict[str, np.ndarray]:
        """Rows of numbers in the order of `labels`, as one array for each name."""
        named = by_name(self.labels, estimates)
        return {name: np.asarray(numbers) for name, numbers in named.items()}


def refits(
    method: AbstractMethod,
    problems: Sequence[Problem],
    *,
    workers: int | None = None,
    side_by_side: bool | None = None,
    progress: bool | None = None,
    label: str = "fits",
) -> Refits:
    """Fits many problems that differ in the numbers in them only: data, weights, starts.

    One loop is compiled for all. On a CPU they run on threads, each as it would alone; on an
    accelerator side by side. What cannot begin has the result `start_failed`; nothing raises.

    **Arguments:**

    - `method`: how to fit each.
    - `problems`: one or more, the first of which everything is compiled for.
    - `workers`: how many run at the same time: by default as many as there are cores on a CPU,
        and all on an accelerator.
    - `side_by_side`: whether as one computation rather than on threads; by default on an
        accelerator.
    - `progress`: whether to show a bar; by default in a terminal or a notebook.
    - `label`: what the bar is called.

    Raises `ValueError` where they are built differently. A user's interruption ends it with those
    that have ended.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"{label}: workers must be at least 1, got {workers}.")
    problems = [_strong(problem) for problem in problems]
    first = problems[0]
    source = _Given(_candidates(first, problems, label))
    fits = runner(method, first, workers, source, side_by_side)
    search = Search(source, fits)
    began = time.perf_counter()
    with Progress(source.num, label, progress) as bar:
        search.run(bar)
    seconds = time.perf_counter() - began
    chosen, runs = search.chosen()
    return Refits(method, fits.compile_seconds, seconds, chosen, runs)


def on_data(fit: Fit, data: Sequence[Any]) -> list[Problem]:
    """The problem of a fit with other data, each begun where that fit ended."""
    begun = replace(fit.problem, unknowns=fit.unknowns)
    return [replace(begun, data=each) for each in data]


def with_objectives(fit: Fit, objectives: Sequence[Any]) -> list[Problem]:
    """The problem of a fit with other objectives, each begun where that fit ended."""
    begun = replace(fit.problem, unknowns=fit.unknowns)
    predictor = begun.unknowns.predictor
    return [replace(begun, unknowns=Unknowns(predictor, each)) for each in objectives]


@final
class _Given(AbstractSource):
    """Problems that were given, all of them at once."""

    def __init__(self, known: Candidates):
        self.num = self.limit = known.count
        self.compile_seconds = 0.0
        self._known = known

    def begin(self) -> None:
        """They are there."""

    def reach(self, count: int) -> Candidates:
        """All of them."""
        return self._known


def _is_fitted(leaf: Any) -> Any:
    """Which arrays of a leaf a fit changes."""
    if not is_parameter(leaf):
        return eqx.is_inexact_array(leaf)
    nothing = jtu.tree_map(lambda _: False, leaf)
    return eqx.tree_at(lambda parameter: parameter.value, nothing, leaf.trainable)


def _strong(problem: Problem) -> Problem:
    """The problem with no weakly typed array, as stacked ones are none."""
    weak = lambda leaf: eqx.is_array(leaf) and getattr(leaf, "weak_type", False)
    firm = lambda leaf: jnp.asarray(np.asarray(leaf)) if weak(leaf) else leaf
    strong: Problem = jtu.tree_map(firm, problem)
    return strong


def _candidates(first: Problem, problems: list[Problem], label: str) -> Candidates:
    structure: Any
    other: Any
    ours, structure = jtu.tree_flatten(first)
    rows = []
    for i, problem in enumerate(problems):
        theirs, other = jtu.tree_flatten(problem)
        if other != structure or not all(map(alike, ours, theirs)):
            raise ValueError(
                f"{label}: number {i} is built differently from number 0: they must be the same "
                "but for the numbers in them."
            )
        rows.append([leaf for leaf in theirs if eqx.is_array(leaf)])
    columns = list(zip(*rows, strict=True))
    places = [
        k for k, column in enumerate(columns) if any(leaf is not column[0] for leaf in column)
    ]
    stacks = tuple(np.stack([np.asarray(leaf) for leaf in columns[k]]) for k in places)
    size = first.start().size
    everywhere = np.ones(len(problems), bool)
    return Candidates(first, tuple(places), stacks, everywhere, np.ones((len(problems), size)))


@eqx.filter_jit
def in_natural_units(thetas: Array, unknowns: Unknowns) -> Array:
    """The fitted numbers of each of several vectors, one a row."""
    return jax.vmap(lambda theta: natural(theta, unknowns))(thetas)
