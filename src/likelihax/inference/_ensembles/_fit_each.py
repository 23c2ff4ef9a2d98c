"""Predictors that are built alike, each fitted to data of its own at the same time."""

from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import Array

from ..._predictor import Predictor
from ...data import AbstractData
from ...fits import AbstractMethod, Problem
from ...fits._prepare import prepare, solved_like
from ...objectives import AbstractObjective
from ._refits import Refits, refits


def fit_each(
    objective: AbstractObjective | Callable[[Any, Any], Array] | Sequence[AbstractObjective],
    predictors: Predictor | Sequence[Predictor],
    data: AbstractData | Sequence[AbstractData],
    *,
    method: AbstractMethod | None = None,
    workers: int | None = None,
    side_by_side: bool | None = None,
    progress: bool | None = None,
) -> Refits:
    """Many fits with one compilation: the splits of a cross-validation, a grid of weights.

    Each ends as it would alone, and none keeps another from ending: one that cannot begin, or does
    not converge, is in `Refits.results` by its name.

    **Arguments:** of `objective`, `predictors` and `data` at least one is a list; where there are
    several lists, all are as long, and what is none serves every fit.

    - `objective`: as for `fit`; the weights in a list may differ.
    - `predictors`: where each fit starts, built alike: the same but for the numbers in them.
    - `data`: of the same shape and name each: fill what is shorter up with NaN.
    - `method`: as for `fit`, for all of them.
    - `workers`: how many fits run at the same time: by default as many as there are cores on a
        CPU, and all on an accelerator.
    - `side_by_side`: whether they run as one computation of one more dimension, rather than on
        threads. By default on an accelerator only: on a CPU, a fit that has ended then waits for
        those that have not.
    - `progress`: whether to show a bar; by default in a terminal or a notebook.

    Raises `ValueError` for arguments that cannot be right, with the number of the fit that they are
    for.
    """
    lists = {
        name: given
        for name, given in (("objective", objective), ("predictors", predictors), ("data", data))
        if isinstance(given, Sequence)
    }
    if not lists:
        raise ValueError(
            "fit_each: there is one objective, one predictor and one table: give a list of at "
            "least one of them, or use likelihax.fit."
        )
    counts = {name: len(given) for name, given in lists.items()}
    if len(set(counts.values())) > 1 or not min(counts.values()):
        told = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise ValueError(
            f"fit_each: the lists must be as long as each other, and not empty: {told}."
        )
    num = next(iter(counts.values()))
    of = lambda given, i: given[i] if isinstance(given, Sequence) else given
    problems: list[Problem] = []
    for i in range(num):
        try:
            method, problem = prepare(of(objective, i), of(predictors, i), of(data, i), method)
        except ValueError as error:
            raise ValueError(f"fit_each: number {i}: {error}") from error
        problems.append(solved_like(problems[0], problem) if problems else problem)
    assert method is not None
    return refits(
        method,
        problems,
        workers=workers,
        side_by_side=side_by_side,
        progress=progress,
        label="fit_each",
    )
