"""Nonlinear least squares as R's `nls` prints it: every printed digit must be reached.

The files have no starts: several are searched for, and the best fit counts.
"""

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from benchmarks.reference import digits, report
from benchmarks.reference.fitting import Fitted, fit
from benchmarks.reference.printed import printed_value, printed_values
from benchmarks.reference.problem import Problem, regression, required
from benchmarks.reference.starts import propose_starts
from benchmarks.reference.symmetry import Relabelling, relabellings

_STARTS = 5
# `nls` stops once its relative offset is below 1e-5: its estimates may be off by that many
# standard errors (D. M. Bates and D. G. Watts, "A relative offset orthogonality convergence
# criterion for nonlinear least squares", Technometrics 23, 1981).
_OFFSET = 1e-5


class Entry(NamedTuple):
    """A value of ours beside the one that was printed."""

    name: str
    ours: float
    printed: Decimal
    slack: float

    @property
    def agrees(self) -> bool:
        return digits.agrees_as_printed(self.ours, self.printed, self.slack)


def check(fields: Mapping[str, Any]) -> Iterator[report.Row]:
    """One row: the best fit over the searched starts."""
    data = required(fields, "data")
    printed = printed_values(fields, "params")
    if not isinstance(data, dict) or not printed:
        raise ValueError("the fields 'data' and 'params' must be objects with entries")
    problem = regression(fields, data, printed, required(fields, "model"))
    fits = [fit(problem, start) for start in propose_starts(problem, _STARTS)]
    best = min(fits, key=lambda one: one.nll if math.isfinite(one.nll) else math.inf)
    found = relabellings(problem, best.estimates.tolist())
    labelled = [_relabelled(best, one) for one in found]
    compared = [_compare(fields, problem, one, printed) for one in labelled]
    estimates, errors = min(compared, key=lambda entries: len(_wrong(*entries)))
    wrong = _wrong(estimates, errors)
    said = "".join(f"; {entry.name} {entry.ours:.8g}, not {entry.printed}" for entry in wrong)
    if len(labelled) > 1:
        said += f"; {len(labelled)} equal labellings, the closest is compared"
    yield report.Row(
        f"{len(fits)} found",
        _cell(estimates),
        _cell(errors),
        best.status + said,
        sum(one.seconds for one in fits),
        not wrong,
    )


def summary_values(problem: Problem, fitted: Fitted) -> dict[str, float]:
    """What else R prints of a fit, by the names that files give it (R: `logLik`, `AIC`, `BIC`)."""
    count = problem.values.size
    freedoms = len(problem.parameters) + 1  # the noise scale is counted
    log_likelihood = -count / 2 * (math.log(2 * math.pi * fitted.rss / count) + 1)
    return {
        "aic": 2 * freedoms - 2 * log_likelihood,
        "bic": math.log(count) * freedoms - 2 * log_likelihood,
        "deviance": fitted.rss,
        "df": float(problem.dof),
        "dfresidual": float(problem.dof),
        "loglik": log_likelihood,
        "loglikelihood": log_likelihood,
        "residualse": fitted.residual_sd,
        "rss": fitted.rss,
        "sigma": fitted.residual_sd,
    }


def _compare(
    fields: Mapping[str, Any], problem: Problem, fitted: Fitted, printed: Mapping[str, Decimal]
) -> tuple[list[Entry], list[Entry]]:
    return _estimate_entries(problem, fitted, printed), _error_entries(fields, problem, fitted)


def _wrong(*entries: list[Entry]) -> list[Entry]:
    return [entry for group in entries for entry in group if not entry.agrees]


def _relabelled(fitted: Fitted, relabelling: Relabelling) -> Fitted:
    """The same optimum under other labels."""
    order, sign = relabelling
    return fitted._replace(
        estimates=sign * fitted.estimates[order], deviations=fitted.deviations[order]
    )


def _estimate_entries(
    problem: Problem, best: Fitted, printed: Mapping[str, Decimal]
) -> list[Entry]:
    rows = zip(problem.parameters, best.estimates, best.deviations, strict=True)
    return [Entry(name, float(v), printed[name], _OFFSET * float(sd)) for name, v, sd in rows]


def _error_entries(fields: Mapping[str, Any], problem: Problem, best: Fitted) -> list[Entry]:
    """Standard errors, the residual standard error and the other printed values, if any."""
    ours = dict(zip(problem.parameters, best.deviations.tolist(), strict=True))
    printed = printed_values(fields, "se")
    if unknown := printed.keys() - ours.keys():
        raise ValueError(f"standard errors of {sorted(unknown)}, which are no parameters")
    entries = [Entry(f"se of {name}", ours[name], printed[name], 0.0) for name in printed]
    if (value := fields.get("residual_se")) is not None:
        entries.append(Entry("residual_se", best.residual_sd, printed_value(value), 0.0))
    known = summary_values(problem, best)
    for name, value in printed_values(fields, "other").items():
        key = "".join(filter(str.isalpha, name.lower()))
        if key not in known:
            raise ValueError(f"the entry {name!r} of 'other' is not one of {', '.join(known)}")
        entries.append(Entry(name, known[key], value, 0.0))
    return entries


def _cell(entries: list[Entry]) -> str:
    if not entries:
        return "none printed"
    right = sum(entry.agrees for entry in entries)
    most = digits.printed_digits(entry.printed for entry in entries)
    return f"{right} of {len(entries)}, to {most} digits"
