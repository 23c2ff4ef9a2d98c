"""Many runs of one compiled loop: on threads, or side by side in one computation."""

import abc
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from threading import Event
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array

from .._compile import compiled
from .._result import RESULTS, name_of
from ._candidates import AbstractSource, Candidates, put
from ._loop import before_any_step, chunks, compile_loop, take_steps
from ._method import AbstractMethod, Record
from ._problem import Problem
from ._threads import share_out


class Ran(NamedTuple):
    """One run: its account, and how long it took in seconds."""

    record: Record
    seconds: float


class AbstractRuns(abc.ABC):
    """What there is to say of many runs, whatever they are for.

    **Attributes:**

    - `runs`: their accounts.
    """

    runs: tuple[Ran, ...]

    @cached_property
    def totals(self) -> np.ndarray:
        """The objective at the end of each fit, shape `(fits,)`; infinite where none began."""
        return np.array([float(ran.record.total) for ran in self.runs])

    @cached_property
    def results(self) -> tuple[str, ...]:
        """How each fit ended: `"successful"`, `"runaway"` and so on, the names in `RESULTS`."""
        return tuple(name_of(ran.record.result) for ran in self.runs)

    @cached_property
    def endings(self) -> dict[str, int]:
        """How many fits ended in each way, the most frequent first."""
        return dict(Counter(self.results).most_common())


# Called now and then with the runs of this call that have ended.
Watch = Callable[[Sequence[Ran]], None]


class AbstractRunner(abc.ABC):
    """Runs the same fit from many starts.

    `compile_seconds` is what that took to compile.
    """

    compile_seconds: float

    @abc.abstractmethod
    def run(
        self, starts: Candidates, which: Sequence[int], watch: Watch
    ) -> tuple[dict[int, Ran], bool]:
        """The runs from some of the starts by their numbers, and whether the user interrupted.

        Runs that had not begun then are left out.
        """


@final
class OnThreads(AbstractRunner):
    """Each run for itself, some at the same time, each on a thread.

    On a CPU a compiled call leaves Python to other threads, and a solve that chooses its own
    steps takes as many as it needs; side by side, each would wait for the longest.
    """

    def __init__(
        self,
        method: AbstractMethod,
        problem: Problem,
        workers: int | None,
        source: AbstractSource,
    ):
        # Between tracing, which needs Python, and compiling, which leaves it to others.
        meanwhile = lambda: source.begin
        self._chunk, self._arrays, fresh = compile_loop(method, problem, check=meanwhile)
        self._before = sum(eqx.is_array(leaf) for leaf in jtu.tree_leaves(method))
        self._workers = workers
        self.compile_seconds = self._chunk.seconds if fresh else 0.0

    def run(
        self, starts: Candidates, which: Sequence[int], watch: Watch
    ) -> tuple[dict[int, Ran], bool]:
        """See `AbstractRunner`; what was under way when the user interrupted ends there."""
        found: dict[int, Ran] = {}

        def one(which: int, stop: Event) -> None:
            found[which] = self._one(starts, which, stop)

        glance = lambda: watch(list(found.values()))
        interrupted = share_out(one, list(which), self._workers, glance)
        return {i: _ended(ran) for i, ran in found.items()}, interrupted

    def _one(self, starts: Candidates, which: int, stop: Event) -> Ran:
        arrays = list(self._arrays)
        for place, array in zip(starts.places, starts.arrays(which), strict=True):
            arrays[self._before + place] = array
        began = time.perf_counter()
        so_far = chunks(self._chunk, arrays)
        record = next(so_far)
        while not (record.done or stop.is_set()):
            record = next(so_far)
        return Ran(record, time.perf_counter() - began)


@final
class SideBySide(AbstractRunner):
    """All runs, or `workers` of them, as one computation of more dimensions: for accelerators."""

    def __init__(
        self,
        method: AbstractMethod,
        problem: Problem,
        workers: int | None,
        starts: Candidates,
        num: int,
    ):
        self._width = min(workers or num, num)
        self._compiled = lambda stacks: compiled(
            take_steps_of_each,
            method,
            problem,
            starts.places,
            self._width,
            stacks,
            initial=before_any_step_of_each,
        )
        chunk, _, fresh = self._compiled(self._stacks(starts, [0] * self._width))
        self.compile_seconds = chunk.seconds if fresh else 0.0

    def run(
        self, starts: Candidates, which: Sequence[int], watch: Watch
    ) -> tuple[dict[int, Ran], bool]:
        """See `AbstractRunner`."""
        found: dict[int, Ran] = {}
        for first in range(0, len(which), self._width):
            batch = list(which[first : first + self._width])
            records = None
            began = time.perf_counter()
            interrupted = False
            try:
                for records in self._chunks(starts, batch):
                    ended = [Ran(r, 0.0) for r in split(records, len(batch)) if r.done]
                    watch([*found.values(), *ended])
            except KeyboardInterrupt:
                interrupted = True
            if records is not None:
                seconds = time.perf_counter() - began
                each = split(records, len(batch))
                found |= {i: _ended(Ran(r, seconds)) for i, r in zip(batch, each, strict=True)}
            if interrupted:
                return found, True
        return found, False

    def _chunks(self, starts: Candidates, batch: list[int]) -> Iterator[Record]:
        # The last batch is filled up, so that all have the shape that was compiled.
        filled = batch + batch[-1:] * (self._width - len(batch))
        chunk, arrays, _ = self._compiled(self._stacks(starts, filled))
        return chunks(chunk, arrays)

    def _stacks(self, starts: Candidates, which: list[int]) -> list[Any]:
        return [jnp.asarray(stack[which]) for stack in starts.stacks]


def take_steps_of_each(
    method: AbstractMethod,
    problem: Problem,
    places: tuple[int, ...],
    width: int,
    stacks: Any,
    records: Record,
    states: Any,
    limit: Array,
) -> Any:
    def one(arrays: Any, record: Record, state: Any) -> Any:
        return take_steps(method, put(problem, places, arrays), None, None, record, state, limit)

    return jax.vmap(one, axis_size=width)(stacks, records, states)


def before_any_step_of_each(
    method: AbstractMethod, problem: Problem, places: tuple[int, ...], width: int, stacks: Any
) -> Any:
    one = lambda arrays: before_any_step(method, put(problem, places, arrays), None, None)
    # Of starts that are all alike there are no stacks to tell how many.
    return jax.vmap(one, axis_size=width)(stacks)


def split(records: Record, count: int) -> list[Record]:
    one = lambda i: jtu.tree_map(lambda leaf: leaf[i, ...], records)
    return [one(i) for i in range(count)]


def _ended(ran: Ran) -> Ran:
    if ran.record.done:
        return ran
    return ran._replace(record=ran.record.end(jnp.asarray(True), RESULTS.interrupted))


def runner(
    method: AbstractMethod,
    problem: Problem,
    workers: int | None,
    source: AbstractSource,
    side_by_side: bool | None = None,
) -> AbstractRunner:
    """The one that was asked for, or else the one for this hardware."""
    if side_by_side is None:
        side_by_side = jax.default_backend() != "cpu"
    if not side_by_side:
        return OnThreads(method, problem, workers, source)
    return SideBySide(method, problem, workers, source.reach(1).take(range(1)), source.num)
