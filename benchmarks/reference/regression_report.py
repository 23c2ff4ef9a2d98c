"""A regression's estimates, log-likelihood and standard errors beside the printed ones.

Coefficients count as right within 1e-4 standard errors or if all printed digits agree, the
log-likelihood within 1e-8 of itself or if all printed digits agree, standard errors if all printed
digits agree, or six of them.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from benchmarks.reference import digits, programs, report
from benchmarks.reference.design import Regression
from benchmarks.reference.factors import plain_name
from benchmarks.reference.family import GAMMA, NORMAL, QUANTILE, Stated
from benchmarks.reference.printed import printed_value, printed_values
from benchmarks.reference.programs import Shift
from benchmarks.reference.regressing import Dispersion, Fitted, Information, regress

_SHARE = 1e-4  # of a standard error
_OF_OBJECTIVE = 1e-8
_ERROR_DIGITS = 6
_SAID = re.compile(r"\b(expected|observed)\b", re.IGNORECASE)
_SAID_OF_ERRORS = re.compile(r"\bSEs?\b[^;]*?\b(expected|observed)\b", re.IGNORECASE)
_HESSIAN = re.compile(r"hessian\s*=\s*TRUE")


class Entry(NamedTuple):
    """A value of ours beside the one that was printed, and the distance that is near enough."""

    name: str
    ours: float
    printed: Decimal
    near: float

    @property
    def agrees(self) -> bool:
        return digits.agrees_as_printed(self.ours, self.printed) or self.apart <= self.near

    @property
    def apart(self) -> float:
        return abs(self.ours - float(self.printed))


class Convention(NamedTuple):
    """Which standard errors a program prints: of the coefficients, of the second parameter."""

    information: Information
    of_second: Information
    dispersion: Dispersion

    @property
    def in_words(self) -> str:
        return "Pearson" if self.dispersion == "pearson" else self.information


class Comparison(NamedTuple):
    """Everything compared, and under which convention."""

    estimates: list[Entry]
    objective: list[Entry]
    errors: list[Entry]
    convention: Convention

    @property
    def wrong(self) -> list[Entry]:
        entries = [*self.estimates, *self.objective, *self.errors]
        return [entry for entry in entries if not entry.agrees]


def regression_row(fields: Mapping[str, Any], stated: Stated, data: Regression) -> report.Row:
    """The row of a fit: as it is, or, if only that agrees, as the file's program prints it."""
    fitted = regress(stated, data)
    best, said = _compare(fields, stated, data, fitted, None), ""
    seconds = fitted.seconds
    if best.wrong and programs.printed_by(fields, "Stata"):
        single = programs.in_single_precision(data)
        other = regress(stated, single)
        seconds += other.seconds
        compared = _compare(fields, stated, single, other, None)
        if not compared.wrong:
            best, said = compared, "; on the data in single precision, as Stata holds them"
    if best.wrong and programs.printed_by(fields, "R") and programs.fitted_by_glm(stated):
        pearson = best.convention.dispersion == "pearson"
        shift = programs.shift_of_glm(stated, data, pearson=pearson)
        compared = _compare(fields, stated, data, fitted, shift)
        if not compared.wrong:
            best, said = compared, f"; as R's glm prints it, an iterate early ({_size(shift)})"
    return _row(best, fitted.status + said, seconds)


def _size(shift: Shift) -> str:
    return f"standard errors off by up to {np.max(np.abs(shift.errors)):.1e}"


def _row(compared: Comparison, said: str, seconds: float) -> report.Row:
    wrong = "".join(
        f"; {entry.name} {entry.ours:.10g}, not {entry.printed}" for entry in compared.wrong
    )
    right = "".join(
        f"; {entry.name} {entry.ours:.12g}" for entry in compared.objective if entry.agrees
    )
    return report.Row(
        "from data",
        _cell(compared.estimates, ""),
        _cell(compared.errors, f", {compared.convention.in_words}"),
        said + right + wrong,
        seconds,
        not compared.wrong,
    )


def _cell(entries: Sequence[Entry], more: str) -> str:
    if not entries:
        return "none printed"
    return f"{sum(entry.agrees for entry in entries)} of {len(entries)}{more}"


def _compare(
    fields: Mapping[str, Any],
    stated: Stated,
    data: Regression,
    fitted: Fitted,
    shift: Shift | None,
) -> Comparison:
    """Under the convention that the file names, or the one that agrees where it names none."""
    found = [
        _under(one, fields, stated, data, fitted, shift) for one in conventions(fields, stated)
    ]
    return min(found, key=lambda compared: len(compared.wrong))


def conventions(fields: Mapping[str, Any], stated: Stated) -> list[Convention]:
    """The conventions for standard errors that a file's `se_kind` and `note` leave open.

    `se_kind` speaks of all, the note of the coefficients; `hessian=TRUE` asks betareg for the
    observed information. A fitted dispersion is Pearson's unless it is said to be another.
    """
    kind, note = str(fields.get("se_kind") or ""), str(fields.get("note") or "")
    of_all, of_first = _SAID.search(kind), _SAID_OF_ERRORS.search(note)
    both: tuple[Information, ...] = ("expected", "observed")
    all_said = [one for one in both if of_all and of_all[1].lower() == one]
    said = [one for one in both if of_first and of_first[1].lower() == one] or all_said
    if _HESSIAN.search(f"{kind} {note} {fields.get('model') or ''}"):
        said = all_said = ["observed"]
    if stated.family == QUANTILE:  # kinks have no curvature to observe
        said = all_said = ["expected"]
    dispersions: list[Dispersion] = ["model"]
    if re.search("pearson", kind, re.IGNORECASE):
        dispersions = ["pearson"]
    elif stated.family in (NORMAL, GAMMA):
        dispersions = ["pearson", "model"]
    return [
        Convention(one, all_said[0] if all_said else one, dispersion)
        for dispersion in dispersions
        for one in said or both
    ]


def _under(
    convention: Convention,
    fields: Mapping[str, Any],
    stated: Stated,
    data: Regression,
    fitted: Fitted,
    shift: Shift | None,
) -> Comparison:
    errors, second_errors = fitted.errors(convention.information, convention.dispersion)
    if convention.of_second != convention.information:
        second_errors = fitted.errors(convention.of_second, convention.dispersion)[1]
    coefficients = fitted.coefficients
    if shift is not None:
        coefficients, errors = coefficients + shift.coefficients, errors + shift.errors
    names = [*data.design.names, *(stated.second.names if stated.second else ())]
    ours = dict(zip(names, [*coefficients.tolist(), *fitted.second.tolist()], strict=True))
    deviations = dict(zip(names, [*errors.tolist(), *second_errors.tolist()], strict=True))
    estimates = [
        Entry(name, ours[key], value, _SHARE * deviations[key])
        for key, name, value in _matched(fields, "params", names)
    ]
    if not estimates and not fields.get("theta"):
        raise ValueError("the fields 'params' and 'theta' are missing: nothing to compare")
    compared = [
        Entry(f"se of {name}", deviations[key], value, float(value) * 10.0**-_ERROR_DIGITS)
        for key, name, value in _matched(fields, "se", names)
    ]
    if fields.get("theta") is not None:
        printed = printed_value(fields["theta"])
        estimates.append(Entry("theta", ours["theta"], printed, _SHARE * deviations["theta"]))
    if fields.get("theta_se") is not None:
        compared.append(_error_of_theta(fields, fitted, deviations["theta"]))
    return Comparison(estimates, _objective(fields, stated, data, fitted), compared, convention)


def _error_of_theta(fields: Mapping[str, Any], fitted: Fitted, ours: float) -> Entry:
    """MASS prints the standard error that theta has beside known coefficients."""
    printed = printed_value(fields["theta_se"])
    if programs.printed_by(fields, "glm.nb"):
        ours = float(fitted.second_at_fixed_mean()[0])
    return Entry("se of theta", ours, printed, float(printed) * 10.0**-_ERROR_DIGITS)


def _objective(
    fields: Mapping[str, Any], stated: Stated, data: Regression, fitted: Fitted
) -> list[Entry]:
    """The log-likelihood as it was printed: R prints twice that of some fits."""
    if stated.family == QUANTILE:
        return _deviations(fields, stated.level, data, fitted)
    for name, factor in (("two_loglik", 2.0), ("loglik", 1.0)):
        if fields.get(name) is not None:
            printed = printed_value(fields[name])
            near = _OF_OBJECTIVE * abs(float(printed))
            return [Entry(name, factor * fitted.log_likelihood, printed, near)]
    return []


def _deviations(
    fields: Mapping[str, Any], level: float, data: Regression, fitted: Fitted
) -> list[Entry]:
    """The sum of the check function, of which Stata printed twice as much up to release 12."""
    slopes = lambda away: np.sum(away * (level - (away < 0)))
    ours = float(slopes(data.values - data.design.columns @ fitted.coefficients - data.offset))
    raw = float(slopes(data.values - np.quantile(data.values, level, method="inverted_cdf")))
    found = []
    if fields.get("sum_adev") is not None:
        printed = printed_value(fields["sum_adev"])
        ours_as_printed = min(ours, 2 * ours, key=lambda one: abs(one - float(printed)))
        near = _OF_OBJECTIVE * abs(float(printed))
        found.append(Entry("sum of deviations", ours_as_printed, printed, near))
    if fields.get("psrsquared") is not None:
        printed = printed_value(fields["psrsquared"])
        found.append(Entry("pseudo R2", 1 - ours / raw, printed, 0.0))
    return found


def _matched(
    fields: Mapping[str, Any], name: str, ours: Sequence[str]
) -> list[tuple[str, str, Decimal]]:
    """Our name, the file's, and the printed value; `ValueError` for a name that is not ours."""
    exact = {one: one for one in ours}
    plain = {plain_name(one): one for one in ours}
    found = []
    for theirs, value in printed_values(fields, name).items():
        key = exact.get(theirs) or plain.get(plain_name(theirs))
        if key is None:
            raise ValueError(f"{name} has {theirs!r}, the design has {', '.join(ours)}")
        found.append((key, theirs, value))
    return found
