"""One compiled fit with a pull on one number, asked for many points by many tasks."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from threading import Event
from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ..._compile import Compiled, compiled
from ..._result import RESULTS
from ...fits import BFGS, Bundle, LevenbergMarquardt, Problem, Record
from ...fits._anchor import Pull
from ...fits._loop import chunks, compile_loop
from ...fits._many import before_any_step_of_each, split, take_steps_of_each
from ...fits._method import AbstractMethod
from ...fits._threads import share_out
from ._quantity import Numbers


class Request(NamedTuple):
    """A fit that a task wants: where from, what is pulled where how hard, and to what values.

    `values` are those of the data, `None` where they stay as they are.
    """

    begin: np.ndarray
    direction: np.ndarray
    centre: float
    weight: float
    values: np.ndarray | None = None


# Asks for one fit after the other and is sent their records.
Steps = Generator[Request, Record, None]


@runtime_checkable
class Task(Protocol):
    """Something that needs fits one after the other, and keeps what it found."""

    def steps(self) -> Steps:
        """Asks for one fit at a time."""


# How exactly parameters are fitted, in standard errors: the NLL is right to half its square.
_TOLERANCE = 1e-3


def method_for(problem: Problem, method: AbstractMethod) -> AbstractMethod:
    """How to fit near an optimum that `method` found."""
    if isinstance(method, Bundle):
        return method
    if problem.forward and problem.has_curvature:
        return LevenbergMarquardt(tolerance=_TOLERANCE, max_steps=128)
    chosen = BFGS(tolerance=_TOLERANCE, max_steps=512)
    chosen.check(problem)
    return chosen


class Pulled:
    """The compiled fit of one problem that serves every request.

    `compile_seconds` is what tracing and compiling took, 0 where it was done before.
    """

    def __init__(
        self,
        method: AbstractMethod,
        problem: Problem,
        of: Numbers,
        num_numbers: int,
        check: Callable[[], Callable[[], None]] | None = None,
    ):
        theta = np.asarray(problem.start())
        # Strongly typed, and no two the same object, so that each is found in the problem again.
        strong = lambda array: jnp.asarray(np.array(array, theta.dtype))
        pull = Pull(
            of=of,
            direction=strong(np.zeros(num_numbers)),
            centre=strong(0.0),
            weight=strong(0.0),
        )
        problem = replace(problem, anchor=pull, begin=strong(theta))
        self.problem = problem
        self._dtype = theta.dtype
        self._method = method
        leaves = [leaf for leaf in jtu.tree_leaves(problem) if eqx.is_array(leaf)]
        values = getattr(problem.data, "values", None)
        wanted = [problem.begin, pull.direction, pull.centre, pull.weight]
        wanted += [values] if eqx.is_array(values) else []
        self._places = tuple(
            next(i for i, leaf in enumerate(leaves) if leaf is one) for one in wanted
        )
        self._given = tuple(np.asarray(one) for one in wanted)
        self._before = sum(eqx.is_array(leaf) for leaf in jtu.tree_leaves(method))
        self._check = check
        self.compile_seconds = 0.0

    def compile(self, num_tasks: int, workers: int | None) -> None:
        """Compiles what `pursue` needs, unless that was done before."""
        if jax.default_backend() == "cpu":
            chunk, _, fresh = compile_loop(self._method, self.problem, check=self._check)
        else:
            width = min(workers or num_tasks, num_tasks)
            chunk, _, fresh = self._compile_together(self._stacks([self._idle()] * width))
        self.compile_seconds += chunk.seconds if fresh else 0.0

    def pursue(
        self, tasks: Sequence[Task], workers: int | None, glance: Callable[[], None]
    ) -> bool:
        """Gives the tasks the fits that they ask for; whether the user interrupted.

        On a CPU on threads, each solve for itself; on an accelerator side by side.
        """
        if jax.default_backend() == "cpu":
            return self.on_threads(tasks, workers, glance)
        return self.side_by_side(tasks, workers, glance)

    def on_threads(
        self, tasks: Sequence[Task], workers: int | None, glance: Callable[[], None]
    ) -> bool:
        """One task a thread at a time."""
        chunk, given, fresh = compile_loop(self._method, self.problem, check=self._check)
        self.compile_seconds += chunk.seconds if fresh else 0.0

        def solve(request: Request, stop: Event) -> Record:
            arrays = list(given)
            for place, array in zip(self._places, self._arrays(request), strict=True):
                arrays[self._before + place] = array
            so_far = chunks(chunk, arrays)
            record = next(so_far)
            while not (record.done or stop.is_set()):
                record = next(so_far)
            return record

        def work(task: Task, stop: Event) -> None:
            steps = task.steps()
            request = next(steps, None)
            while request is not None and not stop.is_set():
                record = solve(request, stop)
                if not record.done:
                    break
                request = _send(steps, record)
            steps.close()

        return share_out(work, list(tasks), workers, glance)

    def side_by_side(
        self, tasks: Sequence[Task], workers: int | None, glance: Callable[[], None]
    ) -> bool:
        """All tasks, or `workers` of them, in step: one computation of more dimensions."""
        width = min(workers or len(tasks), len(tasks))
        waiting = list(reversed(tasks))
        under_way: list[tuple[Steps, Request]] = []
        try:
            while waiting or under_way:
                while waiting and len(under_way) < width:
                    steps = waiting.pop().steps()
                    request = next(steps, None)
                    if request is not None:
                        under_way.append((steps, request))
                if not under_way:
                    continue
                records = self._together([request for _, request in under_way], width)
                onward = []
                for (steps, _), record in zip(under_way, records, strict=True):
                    request = _send(steps, record)
                    if request is not None:
                        onward.append((steps, request))
                under_way = onward
                glance()
        except KeyboardInterrupt:
            for steps, _ in under_way:
                steps.close()
            return True
        return False

    def _together(self, requests: list[Request], width: int) -> list[Record]:
        # Filled up, so that all have the shape that was compiled.
        filled = requests + requests[-1:] * (width - len(requests))
        chunk, arrays, fresh = self._compile_together(self._stacks(filled))
        self.compile_seconds += chunk.seconds if fresh else 0.0
        *_, records = chunks(chunk, arrays)
        return split(records, len(requests))

    def _compile_together(self, stacks: list[Any]) -> tuple[Compiled, list[Any], bool]:
        arguments = (self._method, self.problem, self._places, len(stacks[0]), stacks)
        return compiled(take_steps_of_each, *arguments, initial=before_any_step_of_each)

    def _stacks(self, requests: list[Request]) -> list[Any]:
        rows = [self._arrays(request) for request in requests]
        return [jnp.asarray(np.stack(column)) for column in zip(*rows, strict=True)]

    def _idle(self) -> Request:
        begin, direction = self._given[:2]
        return Request(begin, direction, 0.0, 0.0)

    def _arrays(self, request: Request) -> list[np.ndarray]:
        """What differs from request to request, in the order of the places."""
        mine = (request.begin, request.direction, request.centre, request.weight)
        arrays = [np.asarray(one, self._dtype) for one in mine]
        if len(self._places) > len(mine):
            given = self._given[-1]
            arrays.append(given if request.values is None else request.values.astype(given.dtype))
        return arrays


def converged(record: Record) -> bool:
    """Whether a fit of a task did."""
    return bool(record.result._value == _SUCCESSFUL)


_SUCCESSFUL = int(RESULTS.successful._value)


def _send(steps: Steps, record: Record) -> Request | None:
    try:
        return steps.send(record)
    except StopIteration:
        return None
