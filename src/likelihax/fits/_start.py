"""Whether a fit can start at all: found before anything costly is compiled."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from .._compile import Lowered
from .._parameters import is_parameter, resolve, trainable_size, trainable_values, value_of
from .._predictor import Predictor
from .._result import RESULTS, describe
from ..data import AbstractData, Experiments
from ..objectives import NLL, Evaluation, Unknowns
from ._method import Record, new_record
from ._problem import Problem

# Of more experiments than this that cannot be solved, only so many are listed.
_LISTED = 5


class StartError(ValueError):
    """The objective cannot be evaluated at the start."""


def check_trainable(predictor: Any) -> int:
    """The number of trainable numbers; `ValueError` where there is none."""
    size = trainable_size(predictor)
    if size == 0:
        raise ValueError(
            "The predictor has no trainable leaves: every parameter is known or frozen. Make one "
            "with likelihax.positive(...), bounded(...) or real(...), or give arrays as fields."
        )
    return size


def check_dtypes(predictor: Any, data: Any) -> None:
    """`ValueError` where a trainable leaf has another floating dtype than the data."""
    values = getattr(data, "values", None)
    if values is None or not eqx.is_array(values):
        return
    for path, leaf in jtu.tree_leaves_with_path(predictor, is_leaf=is_parameter):
        array = value_of(leaf)
        if eqx.is_inexact_array(array) and array.dtype != values.dtype:
            raise ValueError(
                f"predictor{jtu.keystr(path)} is {array.dtype}, the data are {values.dtype}: "
                'call jax.config.update("jax_enable_x64", True) before the model is built, or '
                "convert one to the other."
            )


def begin_check(unknowns: Unknowns, data: Any) -> Callable[[], None]:
    """Begins to evaluate the objective once, without derivatives; returns what finishes it.

    Finishing raises `StartError` where the objective cannot be evaluated. In between, it is
    compiled on another thread, while the caller traces what comes next on this one.
    """
    lowered = Lowered(_evaluate, (unknowns, data))
    with_own_thread = ThreadPoolExecutor(max_workers=1)
    executable = with_own_thread.submit(lowered.compile)
    with_own_thread.shutdown(wait=False)

    def finish() -> None:
        evaluation = jax.device_get(executable.result()(lowered.arrays))
        _judge(evaluation, unknowns, data)

    return finish


def not_started(problem: Problem, result: RESULTS = RESULTS.start_failed) -> Record:
    """The account of a fit that did not begin."""
    return new_record(problem, 1).end(jnp.asarray(True), result)


def _evaluate(unknowns: Unknowns, data: Any) -> Evaluation:
    return unknowns.evaluate(data)


def _judge(evaluation: Evaluation, unknowns: Unknowns, data: Any) -> None:
    if evaluation.result == RESULTS.no_mode:
        name = getattr(data, "name", "the data")
        raise StartError(f"{name}: {describe(RESULTS.no_mode)} That was with {_values(unknowns)}.")
    if evaluation.result != RESULTS.successful:
        raise StartError(_unsolved(evaluation, unknowns, data))
    if not np.isfinite(evaluation.total):
        name = getattr(data, "name", "the data")
        raise StartError(
            f"{name}: the objective is {float(evaluation.total)} at the start, with "
            f"{_values(unknowns)}. {_offender(unknowns.predictor, data)}Start elsewhere, or choose "
            "another likelihood."
        )


def _offender(predictor: Any, data: Any) -> str:
    """Which measured value has no finite NLL, and what was predicted for it."""
    if not isinstance(predictor, Predictor) or not isinstance(data, AbstractData):
        return ""
    elementwise, simulation = NLL().elementwise(resolve(predictor), data)
    bad = np.argwhere(~np.isfinite(np.asarray(elementwise)))
    if not bad.size:
        return ""
    index = tuple(int(i) for i in bad[0])
    return (
        f"For values{list(index)} = {_short(data.values[index])} it predicts "
        f"{_short(simulation.values[index])}, which the likelihood gives no finite density. "
    )


def _short(numbers: Any) -> str:
    """A number, or the few that are predicted for one value."""
    found = [f"{number:g}" for number in np.ravel(np.asarray(numbers)).tolist()]
    return found[0] if np.ndim(numbers) == 0 else f"[{', '.join(found)}]"


def _unsolved(evaluation: Evaluation, unknowns: Unknowns, data: Any) -> str:
    if evaluation.solves is not None:
        return _unsolved_ones(evaluation, unknowns, data)
    last = float(np.asarray(data.arguments[0])[-1])
    reached = float(evaluation.time_reached)
    # The solver reports only the measured times that it passed.
    how_far = f"t = {reached:g}" if np.isfinite(reached) else "not even the first time"
    return (
        f"{data.name}: the model could not be solved at the start. It reached {how_far} of "
        f"t = {last:g} in {int(evaluation.num_steps)} steps, with {_values(unknowns)}. "
        f"{describe(evaluation.result)} Start elsewhere, allow more steps (max_steps), loosen the "
        "tolerances, or choose a solver for stiff equations."
    )


def _unsolved_ones(evaluation: Evaluation, unknowns: Unknowns, data: Experiments) -> str:
    """Which of several experiments could not be solved, and how far they got."""
    assert evaluation.solves is not None
    failed = np.flatnonzero(evaluation.solves.failed)
    ends = [float(data.experiments[i].arguments[0][-1]) for i in failed[:_LISTED]]
    reached = evaluation.solves.time_reached[failed[:_LISTED]].tolist()
    listed = [
        f"{data.names[i]} (to t = {where:g} of {end:g})"
        for i, where, end in zip(failed[:_LISTED], reached, ends, strict=True)
    ]
    more = f" and {failed.size - _LISTED} more" if failed.size > _LISTED else ""
    return (
        f"{data.name}: {failed.size} of {len(data)} experiments could not be solved at the start: "
        f"{', '.join(listed)}{more}; with {_values(unknowns)}. {describe(evaluation.result)} Start "
        'elsewhere, allow more steps (max_steps), loosen the tolerances, or say solver="auto".'
    )


def _values(unknowns: Unknowns) -> str:
    show = lambda array: np.array2string(array, precision=4, threshold=8)
    return ", ".join(
        f"{label.name} = {show(np.asarray(value))}"
        for label, value in zip(unknowns.labels(), trainable_values(unknowns), strict=True)
    )
