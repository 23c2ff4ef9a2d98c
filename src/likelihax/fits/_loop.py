"""The one loop: runs any method in compiled chunks, shows progress, can be interrupted."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array

from .._compile import Compiled, compiled
from .._progress import Progress
from .._result import RESULTS
from ._measure import Measure, blank
from ._method import AbstractMethod, Record
from ._problem import Problem

# A chunk lasts about this long: seldom enough that returning to Python costs nothing, often
# enough that the bar moves and Ctrl-C is heard.
_CHUNK_SECONDS = 0.25


class Run(NamedTuple):
    """A finished run: its account, and what compiling and running took in seconds."""

    record: Record
    compile_seconds: float
    run_seconds: float


def run(
    method: AbstractMethod,
    problem: Problem,
    key: Array | None,
    progress: bool | None,
    check: Callable[[], Callable[[], None]],
    measure: Measure | None = None,
    most: int | None = None,
) -> Run:
    """Iterates until the method ends, gives up, or the user interrupts.

    `check` begins a check of the start and returns what finishes it; see `compiled`. `measure`
    says what to measure at each point besides the objective, `most` after how many steps to end
    where that is sooner than the method would.
    """
    chunk, arrays, fresh = compile_loop(method, problem, key, measure, check)
    record = None
    started = time.perf_counter()
    with Progress(method.max_steps, "fit", progress) as bar:
        try:
            for record in chunks(chunk, arrays, most):
                if not record.done:
                    bar.update(int(record.steps), f"{float(record.total):.6g}")
        except KeyboardInterrupt:
            if record is None:
                raise
            record = record.end(jnp.asarray(True), RESULTS.interrupted)
    assert record is not None
    seconds = time.perf_counter() - started
    return Run(record, chunk.seconds if fresh else 0.0, seconds)


def compile_loop(
    method: AbstractMethod,
    problem: Problem,
    key: Array | None = None,
    measure: Measure | None = None,
    check: Callable[[], Callable[[], None]] | None = None,
) -> tuple[Compiled, list[Any], bool]:
    """The compiled chunk of steps, its arrays, and whether it was compiled just now."""
    return compiled(take_steps, method, problem, key, measure, initial=before_any_step, check=check)


def chunks(chunk: Compiled, arrays: list[Any], most: int | None = None) -> Iterator[Record]:
    """The account after each chunk of steps, or those of many at once, until all have ended.

    Or until `most` steps were taken.
    """
    carry = chunk.carry
    steps = 0
    while True:
        size = chunk_size(chunk.notes)
        limit = np.asarray(steps + (size if most is None else min(size, most - steps)))
        before = time.perf_counter()
        carry = chunk(arrays, carry, limit)
        record = chunk.packings[0].unpack(jax.device_get(carry[0]))
        taken = int(np.max(record.steps)) - steps
        note_speed(chunk.notes, time.perf_counter() - before, taken)
        steps += taken
        exhausted = steps == most and not np.all(record.done)
        if exhausted:
            record = record.end(jnp.asarray(True), RESULTS.steps_used_up)
        yield record
        if np.all(record.done):
            return


def chunk_size(notes: dict[str, float]) -> int:
    """How many steps to take at once; the first alone, to learn how long a step takes."""
    seconds = notes.get("seconds_per_step")
    return 1 if seconds is None else max(1, int(_CHUNK_SECONDS / max(seconds, 1e-9)))


def note_speed(notes: dict[str, float], seconds: float, steps: int) -> None:
    """Remembers how long the last steps took, for the size of the next chunk."""
    notes["seconds_per_step"] = seconds / max(steps, 1)


def before_any_step(
    method: AbstractMethod, problem: Problem, key: Array | None, measure: Measure | None
) -> Any:
    """What `take_steps` carries on from, before any."""
    record, state = method.init(problem, key)
    if measure is not None:
        curves = blank(measure(problem.at(record.steps), record.theta), method.max_steps)
        record = replace(record, curves=curves)
    return record, state


def take_steps(
    method: AbstractMethod,
    problem: Problem,
    key: Array | None,
    measure: Measure | None,
    record: Record,
    state: Any,
    limit: Array,
) -> Any:
    """Steps on until the method ends, or as many as the limit have been taken."""

    def begin() -> Any:
        fresh, state = method.init(problem, key)
        nothing = jtu.tree_map(lambda curve: jnp.full_like(curve, jnp.inf), record.curves)
        return replace(fresh, curves=nothing), state

    # The first chunk starts from zeros: to begin inside the one compiled function is cheaper
    # than to compile another for the beginning.
    record, state = jax.lax.cond(record.steps == 0, begin, lambda: (record, state))

    def unfinished(carry: Any) -> Array:
        record, _ = carry
        return ~record.done & (record.steps < limit)

    def step(carry: Any) -> Any:
        record, state = method.step(problem, *carry)
        if measure is not None:
            record = _drawn(record, method, problem, measure)
        record = record.between_steps()
        exhausted = record.steps >= method.max_steps
        return record.end(exhausted, RESULTS.steps_used_up), state

    return jax.lax.while_loop(unfinished, step, (record, state))


def _drawn(record: Record, method: AbstractMethod, problem: Problem, measure: Measure) -> Record:
    if record.trial is None:
        raise ValueError(
            f"{type(method).__name__} does not say which points it evaluates, so that there are no "
            "learning curves to draw: let its step call record.count(outcome, point)."
        )
    return record.draw(measure(problem.at(record.steps - 1), record.trial))
