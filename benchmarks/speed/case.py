"""What a speed case measures and reports."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Row:
    """One comparison: our median beside the peer's, in seconds, and the bar it must meet.

    `ratio` is ours over the peer's, or the peer's over ours where `faster` is asked for.
    """

    case: str
    what: str
    ours: float
    peer: float
    bar: float
    faster: bool = False

    @property
    def ratio(self) -> float:
        """The figure that the bar speaks of."""
        return self.peer / self.ours if self.faster else self.ours / self.peer

    @property
    def met(self) -> bool:
        """Whether the bar is met."""
        return self.ratio >= self.bar if self.faster else self.ratio <= self.bar


def interleaved(
    ours: Callable[[], object], peer: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """Median seconds of both, called in turn, so that a drifting machine hits both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for function, kept in zip((ours, peer), times, strict=True):
            started = time.perf_counter()
            function()
            kept.append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


def first_calls(ours: str, peer: str, rounds: int) -> tuple[float, float]:
    """Median seconds of first calls, each in a new process that imports a module and prints.

    Each named module is run with `-m`; its last line must be the seconds of its first call.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for module, kept in zip((ours, peer), times, strict=True):
            command = [sys.executable, "-m", module]
            run = subprocess.run(
                command, cwd=ROOT, env=os.environ, check=True, capture_output=True, text=True
            )
            kept.append(float(run.stdout.split()[-1]))
    return statistics.median(times[0]), statistics.median(times[1])
