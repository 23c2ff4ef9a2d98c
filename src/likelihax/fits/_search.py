"""Starts tried in the order in which they come, until enough of them can be evaluated."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from .._progress import Progress
from .._result import RESULTS
from ._candidates import AbstractSource, Candidates
from ._many import AbstractRunner, Ran
from ._method import Record
from ._start import StartError, begin_check, not_started


class Search:
    """Runs fits from a source's candidates, replacing those at which none can begin.

    Which candidates are used depends on their order only, not on which run ends first.

    **Attributes:**

    - `tried`: how many candidates were looked at.
    - `interrupted`: whether the user ended it.
    """

    def __init__(self, source: AbstractSource, runner: AbstractRunner):
        self.tried = 0
        self.interrupted = False
        self._source = source
        self._runner = runner
        self._ran: dict[int, Ran] = {}
        self._failed: list[int] = []

    @property
    def lacking(self) -> int:
        """How many fits are missing of those that are wanted."""
        return self._source.num - len(self._ran)

    def run(self, bar: Progress) -> None:
        """Tries candidates; raises `KeyboardInterrupt` if that came before anything was found."""

        def watch(ended: Sequence[Ran]) -> None:
            done = [*self._ran.values(), *ended]
            lowest = min((float(ran.record.total) for ran in done), default=np.inf)
            bar.update(min(len(done), self._source.num), f"{lowest:.6g}")

        while self.lacking and self.tried < self._source.limit and not self.interrupted:
            now = range(self.tried, min(self.tried + self.lacking, self._source.limit))
            starts = self._source.reach(now.stop)
            inside = [i for i in now if starts.inside[i]]
            found, self.interrupted = self._runner.run(starts, inside, watch)
            if self.interrupted and not (found or self._ran):
                raise KeyboardInterrupt
            begun = {i: found[i] for i in inside if i in found and _begun(found[i].record)}
            self._ran |= begun
            self._failed += [
                i for i in now if i not in begun and (i in found or not starts.inside[i])
            ]
            self.tried = now.stop

    def chosen(self) -> tuple[Candidates, tuple[Ran, ...]]:
        """Starts and runs in their order; where runs are missing, some that could not begin."""
        missing = [] if self.interrupted else self._failed[: self.lacking]
        which = sorted([*self._ran, *missing])
        starts = self._source.reach(self.tried).take(which)
        runs = [
            self._ran.get(i) or Ran(_never_begun(starts, at), 0.0) for at, i in enumerate(which)
        ]
        return starts, tuple(runs)

    def first_failure(self) -> tuple[int, str]:
        """The number of the first start at which no fit can begin, and why not."""
        first = self._failed[0]
        starts = self._source.reach(self.tried)
        if not starts.inside[first]:
            return first, "It is outside the constraint of a parameter."
        problem = starts.problem_of(first)
        try:
            begin_check(problem.at(jnp.asarray(0)).unknowns, problem.data)()
        except StartError as error:
            return first, str(error)
        return first, "The gradient of the objective is not finite there."


def _begun(record: Record) -> bool:
    return bool(np.isfinite(record.total)) or not bool(record.result == RESULTS.start_failed)


def _never_begun(starts: Candidates, which: int) -> Record:
    record: Record = jax.device_get(not_started(starts.problem_of(which)))
    return record
