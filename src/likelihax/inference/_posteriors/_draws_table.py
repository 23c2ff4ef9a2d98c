"""Draws as a table that a person likes to read, in a terminal and in a notebook."""

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from rich.text import Text

from ..._rendering import render

if TYPE_CHECKING:
    from ._draws import Draws

_LONGEST_LEAF = 16


def text_table(draws: "Draws") -> str:
    """The table as plain text."""
    return render(_headline(draws), _numbers(draws), *_account(draws), html=False)


def html_table(draws: "Draws") -> str:
    """The table as HTML, for notebooks."""
    return render(_headline(draws), _numbers(draws), *_account(draws), html=True)


def _headline(draws: "Draws") -> Text:
    what = f"{draws.num_chains} chains of {draws.num_draws} draws, warm-up {draws.run.warmup}"
    verdict = (
        "nothing speaks against them" if not draws.warnings else "NOT TO BE TRUSTED AS THEY ARE"
    )
    style = "bold" if not draws.warnings else "bold red"
    return Text(f"Posterior by NUTS: {what}: {verdict}", style=style)


def _numbers(draws: "Draws") -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    units = any(unit for label in draws.labels for unit in label.units)
    table.add_column("parameter")
    for title in ("mean", "sd", "5 %", "95 %", "bulk ESS", "tail ESS", "R-hat"):
        table.add_column(title, justify="right")
    if units:
        table.add_column("unit")
    columns = [
        draws.mean,
        draws.sd,
        draws.quantile(0.05),
        draws.quantile(0.95),
        draws.ess_bulk,
        draws.ess_tail,
        draws.rhat,
    ]
    for label in draws.labels:
        each = [np.ravel(column[label.name]) for column in columns]
        shown = _rows(label, each)
        for row in shown:
            table.add_row(*(Text(cell) for cell in (row if units else row[:-1])))
    return table


def _rows(label: Any, each: list[np.ndarray]) -> list[tuple[str, ...]]:
    if len(label.elements) > _LONGEST_LEAF:
        worst = (f"{each[4].min():.0f}", f"{each[5].min():.0f}", f"{each[6].max():.3f}")
        name = f"{label.name} {list(label.shape)}"
        return [(name, f"{len(label.elements)} values", "", "", "", *worst, label.units[0])]
    rows = []
    for i, name in enumerate(label.elements):
        mean, sd, low, high, bulk, tail, rhat = (float(column[i]) for column in each)
        places = _places(sd)
        cells = [_number(x, places) for x in (mean, sd, low, high)]
        rows.append((name, *cells, f"{bulk:.0f}", f"{tail:.0f}", f"{rhat:.3f}", label.units[i]))
    return rows


def _places(sd: float) -> int | None:
    """So many that the standard deviation has two digits."""
    if not np.isfinite(sd) or sd <= 0:
        return None
    places = 1 - int(np.floor(np.log10(sd)))
    return max(places, 0) if -6 < places < 8 else None


def _number(x: float, places: int | None) -> str:
    return f"{x:.4g}" if places is None else f"{x:.{places}f}"


def _account(draws: "Draws") -> list[Text]:
    run = draws.run
    seconds = f"compiled in {run.compile_seconds:.2f} s, ran in {run.run_seconds:.2f} s"
    lines = [
        Text(
            f"divergences {draws.divergences}; failed solves {draws.failed_solves}, of which "
            f"{run.failed_warmup} while warming up; {run.leapfrogs} gradients",
            style="dim",
        ),
        Text(f"{seconds}; bulk ESS a second {draws.ess_per_second:.3g}", style="dim"),
    ]
    return lines + [Text(warning, style="red") for warning in draws.warnings]
