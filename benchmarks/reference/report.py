"""What a run says: a row a problem and start, a line for what was not run, a verdict."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One fit against its reference values, or the reason why there is none."""

    start: str
    parameters: str  # what was reached and what was asked, as text
    deviations: str
    status: str
    seconds: float
    met: bool


_TITLES = ("suite", "problem", "start", "parameters", "standard deviations", "status", "time")
_WIDTHS = (15, 25, 9, 22, 22)
_ABSENT = "-"


def unread(reason: str) -> Row:
    """The row of a problem that could not be read, expressed or fitted."""
    return Row(_ABSENT, _ABSENT, _ABSENT, reason, 0.0, False)


def reached(digits: float, required: int) -> str:
    """Digits reached, rounded down, and digits asked, as a cell."""
    return f"{math.floor(10 * digits) / 10:4.1f} digits (need {required})"


def header() -> str:
    """The titles of the columns, underlined."""
    titles = _line(*_TITLES[:5], f"{'':7}{_TITLES[6]:>8}  {_TITLES[5]}")
    return f"{titles}\n{'-' * len(titles)}"


def line(suite: str, problem: str, row: Row) -> str:
    """A row as text; what was not met says so first."""
    verdict = "met" if row.met else "NOT MET"
    rest = f"{verdict:7}{row.seconds:6.2f} s  {row.status}"
    return _line(suite, problem, row.start, row.parameters, row.deviations, rest)


def not_run(suites: Iterable[str]) -> str:
    """One line about the files of suites that are not known here; empty if there are none."""
    counts: dict[str, int] = {}
    for suite in suites:
        counts[suite] = counts.get(suite, 0) + 1
    listed = ", ".join(f"{suite} ({count})" for suite, count in sorted(counts.items()))
    return f"Not run, unknown suites: {listed}" if listed else ""


def verdict(met: Sequence[bool]) -> str:
    """The last line."""
    return f"{sum(met)} of {len(met)} problems met"


def _line(*cells: str) -> str:
    padded = [f"{cell:<{width}}" for cell, width in zip(cells, _WIDTHS, strict=False)]
    return "  ".join([*padded, *cells[len(_WIDTHS) :]]).rstrip()
