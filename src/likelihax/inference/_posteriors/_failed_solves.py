"""How often, and how far along, a model could not be solved while a sampler ran."""

import itertools
from collections.abc import Sequence
from threading import Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from ._posterior import Energy

# A failed point is rejected, and so leaves no trace in a chain: the compiled code has to say so
# when it happens. It knows a number only, and several samplers may run.
_open: dict[int, "FailedSolves"] = {}
_numbers = itertools.count(1)


class FailedSolves:
    """The account of one run.

    **Attributes:**

    - `warmup`, `sampling`: how many points could not be solved, by when.
    - `time_reached`: the last measured time that was reached when one failed last.
    - `by_experiment`: for each of several experiments that failed, how often and that time.
    """

    def __init__(self, names: Sequence[str] = ()):
        self.warmup = 0
        self.sampling = 0
        self.time_reached = float("inf")
        self.by_experiment: dict[str, tuple[int, float]] = {}
        self._names = tuple(names)
        self._lock = Lock()
        self.ticket = next(_numbers)

    def __enter__(self) -> "FailedSolves":
        _open[self.ticket] = self
        return self

    def __exit__(self, *error: object) -> None:
        jax.effects_barrier()
        _open.pop(self.ticket, None)

    def count(self, sampling: bool, reached: float, which: np.ndarray, where: np.ndarray) -> None:
        """One more."""
        with self._lock:
            if sampling:
                self.sampling += 1
            else:
                self.warmup += 1
            self.time_reached = reached
            for i in np.flatnonzero(which):
                before, _ = self.by_experiment.get(self._names[i], (0, 0.0))
                self.by_experiment[self._names[i]] = (before + 1, float(where[i]))


def count_failed(energy: Energy, ticket: Array, sampling: Array, axis: str | None) -> None:
    """Tells the account of the ticket where a solve failed; costs next to nothing where not.

    `axis` is that of chains side by side: the branch must then be the same for all of them.
    """
    failed = energy.failed_solve
    some = failed if axis is None else lax.pmax(failed.astype(int), axis) > 0
    solves = energy.solves
    which = jnp.zeros(0, bool) if solves is None else solves.failed
    where = jnp.zeros(0) if solves is None else solves.time_reached

    def tell() -> None:
        jax.debug.callback(_told, failed, ticket, sampling, energy.time_reached, which, where)

    lax.cond(some, tell, lambda: None)


def _told(failed: Any, ticket: Any, sampling: Any, reached: Any, which: Any, where: Any) -> None:
    account = _open.get(int(ticket))
    if account is not None and bool(failed):
        account.count(bool(sampling), float(reached), np.asarray(which), np.asarray(where))
