"""Profiles and refits as tables that a person likes to read."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table
from rich.text import Text

from ..._rendering import render

if TYPE_CHECKING:
    from .._simulation._simulated_refits import SimulatedRefits
    from ._profile import Profile, Profiles

_SMALL = "by the chi-square, as for many data; simulate_and_refit says what they cover for these"
_CORRECTED = "by the chi-square times the Bartlett factor that was found by simulation"


def profiles_table(profiles: "Profiles", html: bool) -> str:
    """One row a profile, and below what went wrong."""
    each = list(profiles.values())
    units = any(profile.unit for profile in each)
    heads = ["parameter", "estimate", f"{100 * profiles.level:g} % interval", "", "verdict"]
    corrected = any(profile.bartlett != 1.0 for profile in each)
    heads += ["unit"] if units else []
    rows = [_row(profile)[: len(heads)] for profile in each]
    lines = [remark for profile in each for remark in profile.remarks]
    lines += [_SMALL if not corrected else _CORRECTED]
    points = sum(profile.values.size for profile in each)
    evaluations = sum(profile.evaluations for profile in each)
    failed = sum(profile.failed_solves for profile in each)
    lines.append(f"{points} points, {evaluations} evaluations, {failed} failed solves")
    if profiles.run_seconds:
        lines.append(
            f"compiled in {profiles.compile_seconds:.2f} s, ran in {profiles.run_seconds:.2f} s"
        )
    return rendered("Profile likelihoods", heads, rows, lines, html)


def _row(profile: "Profile") -> list[str]:
    digits = 5
    number = lambda x: _number(x, digits)
    if profile.verdict == "unfinished":
        ends = ("not known", "")
    else:
        lower, upper = profile.interval()
        ends = (number(lower), number(upper))
    return [profile.name, number(profile.estimate), *ends, profile.verdict, profile.unit]


def refits_table(refits: "SimulatedRefits", html: bool) -> str:
    """One row a fitted number, and below how the fits went."""
    heads = ["parameter", "truth", "bias", "sd", "mean s.e."]
    heads += list(refits.ends)
    corrected = bool(np.any(np.isfinite(refits.roots)))
    heads += ["corrected", "Bartlett"] if corrected else []
    rows = []
    few = len(refits.estimates) < 2
    for i, name in enumerate(refits.names):
        row = [name, _number(float(refits.truth[i]), 4)]
        if few:
            rows.append(row)
            continue
        row += [_number(float(refits.bias[i]), 2), _number(float(refits.sd[i]), 3)]
        row += [_number(float(refits.mean_standard_error[i]), 3)]
        row += [f"{100 * refits.coverage[kind][i]:.1f} %" for kind in refits.ends]
        if corrected:
            row += [f"{100 * refits.bartlett_coverage[i]:.1f} %", f"{refits.bartlett[i]:.2f}"]
        rows.append(row)
    return rendered(
        f"{len(refits.results)} simulated data sets, fitted again",
        heads,
        rows,
        _account(refits),
        html,
    )


def _account(refits: "SimulatedRefits") -> list[str]:
    good = len(refits.estimates)
    lines = [
        f"{good} of {len(refits.results)} fits converged, {refits.failed_solves} failed solves"
    ]
    others = [f"{name} {n}" for name, n in refits.endings.items() if name != "successful"]
    if others:
        lines.append(f"not converged, and left out: {', '.join(others)}")
    if len(refits.results) < refits.num:
        lines.append(f"interrupted: {refits.num} data sets were wanted")
    if good:
        error = 100 * (refits.level * (1 - refits.level) / good) ** 0.5
        lines.append(
            f"shares of {100 * refits.level:g} % intervals that hold the truth, to within "
            f"{error:.1f} % (one binomial standard error)"
        )
    if np.any(np.isfinite(refits.roots)):
        lines.append("corrected: of profile intervals, the chi-square times the Bartlett factor")
    for kind, ends in refits.ends.items():
        lost = int(ends.known.size - ends.known.sum())
        if lost:
            lines.append(f"{kind}: {lost} of {ends.known.size} intervals could not be found")
    lines.append(f"compiled in {refits.compile_seconds:.2f} s, ran in {refits.run_seconds:.2f} s")
    return lines


def _number(x: float, digits: int) -> str:
    return f"{x:.{digits}g}" if math.isfinite(x) else ("inf" if x > 0 else "-inf")


def rendered(
    title: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    lines: Iterable[str],
    html: bool,
) -> str:
    """A table with a title and some lines below, as text or as HTML for a notebook."""
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    for i, head in enumerate(heads):
        table.add_column(head, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    below = [Text(line, style="dim") for line in lines]
    return render(Text(title, style="bold"), table, *below, html=html)
