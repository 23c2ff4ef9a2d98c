"""A fit as a table that a person likes to read, in a terminal and in a notebook."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from rich.text import Text

from .._rendering import render
from .._result import RESULTS
from ._problem import FORWARD_LIMIT
from ._share import share_line

if TYPE_CHECKING:
    from ._report import Fit

# A leaf with more elements than this, a network's weights say, is summed up in one row.
_LONGEST_LEAF = 16


def text_table(fit: "Fit") -> str:
    """The table as plain text."""
    return render(_headline(fit), _parameters(fit), *_account(fit), html=False)


def html_table(fit: "Fit") -> str:
    """The table as HTML, for notebooks."""
    return render(_headline(fit), _parameters(fit), *_account(fit), html=True)


def _headline(fit: "Fit") -> Text:
    method = type(fit.method).__name__
    if fit.success:
        return Text(f"Fit by {method}: converged in {fit.steps} steps", style="bold")
    return Text(f"Fit by {method}: NOT CONVERGED. {fit.message}", style="bold red")


def _parameters(fit: "Fit") -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    with_errors = _errors_to_show(fit)
    determined = iter(() if with_errors is None else fit.identifiability.determined.tolist())
    units = any(unit for label in fit.labels for unit in label.units)
    table.add_column("parameter")
    table.add_column("estimate", justify="right")
    table.add_column("standard error", justify="right")
    table.add_column("relative", justify="right")
    if units:
        table.add_column("unit")
    for label in fit.labels:
        values = np.ravel(fit.estimates[label.name])
        errors = None if with_errors is None else np.ravel(with_errors[label.name])
        if errors is not None:
            # No symmetric interval for what is open along a flat direction.
            own = [next(determined) for _ in label.elements]
            errors = np.where(own, errors, np.inf)
        for row in _rows(label, values, errors):
            cells = row if units else row[:-1]
            table.add_row(*(Text(cell) for cell in cells))
    return table


def _errors_to_show(fit: "Fit") -> dict[str, Any] | None:
    # Unasked, only where they mean something and cost little.
    cheap = fit.record.theta.size <= FORWARD_LIMIT
    known = fit.success and fit.problem.objective.is_density
    return fit.standard_errors() if known and cheap else None


def _rows(label: Any, values: np.ndarray, errors: np.ndarray | None) -> list[tuple[str, ...]]:
    if values.size > _LONGEST_LEAF:
        spread = f"{values.size} values, rms {math.sqrt(float(np.mean(values**2))):.3g}"
        return [(f"{label.name} {list(label.shape)}", spread, "", "", label.units[0])]
    rows: list[tuple[str, ...]] = []
    for i, (name, value) in enumerate(zip(label.elements, values, strict=True)):
        error = None if errors is None else float(errors[i])
        rows.append((name, *_with_error(float(value), error), label.units[i]))
    return rows


def _with_error(value: float, error: float | None) -> tuple[str, str, str]:
    if error is None or not math.isfinite(value):
        return f"{value:.6g}", "", ""
    if not math.isfinite(error):
        return f"{value:.6g}", "not determined", ""
    if error == 0:
        return f"{value:.6g}", "0", ""
    # Two digits of the error, and as many places of the estimate as it leaves meaning in.
    places = 1 - math.floor(math.log10(error))
    relative = f"{100 * error / abs(value):.2g} %" if error < 10 * abs(value) else "over 1000 %"
    if error > 100 * abs(value):
        return f"{value:.3g}", f"{error:.2g}", relative
    if -6 < places < 10:
        places = max(places, 0)
        return f"{value:.{places}f}", f"{error:.{places}f}", relative
    digits = max(places + math.floor(math.log10(abs(value) or 1.0)), 1)
    return f"{value:.{digits}e}", f"{error:.1e}", relative


def _account(fit: "Fit") -> list[Text]:
    lines = []
    count = fit.num_observed
    values = f" of {count} measured values" if count else ""
    lines.append(f"{fit.problem.objective.title} {fit.nll:.8g}{values}{_parts(fit)}")
    lines.append(
        f"largest gradient {fit.gradient_norm:.1e}; failed solves {fit.failed_solves}, "
        f"non-finite values {fit.value_nans}, non-finite gradients {fit.gradient_nans}"
    )
    share = share_line(fit.predictor, fit.data)
    if share is not None:
        lines.append(share)
    lines.append(f"compiled in {fit.compile_seconds:.2f} s, ran in {_seconds(fit.run_seconds)}")
    lines.extend(_way(fit))
    lines.extend(_left_open(fit))
    if not fit.success:
        lines.append("No standard errors: they mean nothing away from a minimum.")
    elif not fit.problem.objective.is_density:
        lines.append("No standard errors: take them from a fit of the summed NLL.")
    return [Text(line, style="dim") for line in lines]


def _left_open(fit: "Fit") -> list[str]:
    """What the data do not determine, where that is known at little cost."""
    cheap = fit.record.theta.size <= FORWARD_LIMIT and np.isfinite(fit.nll)
    told = fit.success or fit.result == RESULTS.runaway
    if not (cheap and told and fit.problem.objective.is_density):
        return []
    return list(fit.identifiability.sentences)


def _way(fit: "Fit") -> list[str]:
    """What led to the start of the fit, if anything did."""
    lines = [fit.reason] if fit.reason else []
    if fit.stages:
        steps = sum(stage.steps for stage in fit.stages)
        compiling = sum(stage.compile_seconds for stage in fit.stages)
        running = sum(stage.run_seconds for stage in fit.stages)
        last = fit.stages[-1]
        lines.append(
            f"{len(fit.stages)} fits on the way, {steps} steps, compiled in {compiling:.2f} s, ran "
            f"in {_seconds(running)}; the last one, {last.name}: {last.result}"
        )
    return lines


def _parts(fit: "Fit") -> str:
    if not math.isfinite(fit.nll) or len(fit.breakdown) < 2:
        return ""
    return " (" + ", ".join(f"{name} {part:.6g}" for name, part in fit.breakdown.items()) + ")"


def _seconds(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
