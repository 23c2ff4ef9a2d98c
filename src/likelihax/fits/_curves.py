"""What a fit's learning curves look like to those who read them."""

from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from .._parameters import resolve
from .._result import RESULTS
from ..objectives import NLL, WeightedSum
from ._measure import Score
from ._method import Record
from ._problem import Problem


@dataclass(frozen=True, eq=False, repr=False)
class LearningCurves:
    """What was measured at each point that a fit evaluated, one number a step.

    Infinite, never NaN, where the point was not usable or the number is not finite. A curve that
    there is none of is `None`: of other data if none were given, of the mean squared error if
    the family has no mean (or its values are bounds, angles or classes).

    **Attributes:**

    - `objective`: what is minimised, with the weights of each step; `fit.history`.
    - `parts`: its named parts, each times its weight.
    - `train_nll`, `validation_nll`: the mean NLL of the measured values, in nats a value, whatever
        the objective makes of it; each measured value, or vector of them, counts once.
    - `train_mse`, `validation_mse`: the mean squared distance of the measured values from their
        predicted means, in the squared units of the values, all observables together.
    - `terms`: the names of those parts that are not the NLL's, where there is one.
    - `num_observed`: how many measured values the objective compares with.
    - `is_scheduled`: whether a weight changes with the step.
    - `result`: how the fit ended.
    """

    objective: np.ndarray
    parts: dict[str, np.ndarray]
    train_nll: np.ndarray | None = None
    train_mse: np.ndarray | None = None
    validation_nll: np.ndarray | None = None
    validation_mse: np.ndarray | None = None
    terms: tuple[str, ...] = ()
    num_observed: int = 0
    is_scheduled: bool = False
    result: RESULTS = field(default_factory=lambda: RESULTS.successful)

    @property
    def steps(self) -> int:
        """How many points were evaluated."""
        return len(self.objective)

    @property
    def best_step(self) -> int | None:
        """Where the validation NLL is lowest, counted from 0; `None` if it never was finite."""
        curve = self.validation_nll
        return None if curve is None or not np.isfinite(curve).any() else int(np.argmin(curve))

    def __repr__(self) -> str:
        named = ("train_nll", "train_mse", "validation_nll", "validation_mse")
        measured = [name for name in named if getattr(self, name) is not None]
        return f"LearningCurves of {self.steps} steps: {', '.join([*measured, *self.parts])}"


def curves_of(problem: Problem, record: Record) -> LearningCurves:
    """The curves that a record holds, cut to the steps that were made."""
    measured = record.curves
    if measured is None:
        raise ValueError(
            "No learning curves were recorded: fit with validation=data, or with curves=True for "
            "those of the fitted data alone."
        )
    steps = int(record.steps)
    cut = lambda curve: np.asarray(curve)[:steps]
    parts = {name: cut(part) for name, part in zip(measured.names, measured.parts, strict=True)}
    train_nll, train_mse = _pair(measured.train, steps)
    validation_nll, validation_mse = _pair(measured.validation, steps)
    return LearningCurves(
        objective=cut(record.history),
        parts=parts,
        train_nll=train_nll,
        train_mse=train_mse,
        validation_nll=validation_nll,
        validation_mse=validation_mse,
        terms=_terms(problem, measured.names),
        num_observed=problem.objective.num_observed(problem.predictor, problem.data),
        is_scheduled=problem.objective.is_scheduled,
        result=record.result,
    )


def _pair(score: Score | None, steps: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    if score is None:
        return None, None
    nll = np.asarray(score.nll)[:steps]
    mse = None if score.mse is None else np.asarray(score.mse)[:steps]
    # Where a family has no mean, NumPyro's is NaN, or infinite, everywhere.
    nowhere = mse is not None and np.isfinite(nll).any() and not np.isfinite(mse).any()
    return nll, None if nowhere else mse


def _terms(problem: Problem, names: tuple[str, ...]) -> tuple[str, ...]:
    objective = problem.objective
    if not isinstance(objective, WeightedSum):
        return ()
    if not any(isinstance(part, NLL) for part in objective.parts):
        return ()
    predictor = resolve(problem.predictor)
    terms: tuple[str, ...] = ()
    at = 0
    for part in objective.parts:
        count = _count(part, predictor, problem.data)
        if not isinstance(part, NLL):
            terms += names[at : at + count]
        at += count
    return terms


def _count(part: Any, predictor: Any, data: Any) -> int:
    # Traced, not computed.
    return len(jax.eval_shape(lambda: part.breakdown(predictor, data)))
