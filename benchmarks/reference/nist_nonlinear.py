"""NIST StRD nonlinear regression: https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml.

From every start, parameters to 8 digits and standard deviations to 6.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.reference import digits, report
from benchmarks.reference.fitting import fit
from benchmarks.reference.problem import Problem, numbers, regression, required

_PARAMETER_DIGITS = 8
_DEVIATION_DIGITS = 6


def check(fields: Mapping[str, Any]) -> Iterator[report.Row]:
    """One row a start."""
    problem = regression(fields, fields, required(fields, "params"), required(fields, "model"))
    count = len(problem.parameters)
    certified = numbers(fields, "certified", count)
    deviations = numbers(fields, "certified_sd", count)
    residual_sd = float(required(fields, "residual_sd"))
    for name in _starts(fields):
        start = dict(zip(problem.parameters, numbers(fields, name, count), strict=True))
        fitted = fit(problem, start)
        parameters_right = digits.fewest_right_digits(fitted.estimates, certified)
        deviations_right = digits.fewest_right_digits(fitted.deviations, deviations)
        status = fitted.status + rounding_note(problem, residual_sd)
        yield report.Row(
            name,
            report.reached(parameters_right, _PARAMETER_DIGITS),
            report.reached(deviations_right, _DEVIATION_DIGITS),
            status,
            fitted.seconds,
            parameters_right >= _PARAMETER_DIGITS and deviations_right >= _DEVIATION_DIGITS,
        )


def rounding_note(problem: Problem, residual_sd: float) -> str:
    """Says where rounding of the values leaves fewer digits than are asked; it excuses nothing."""
    amplification = digits.rounding_of_residuals(residual_sd, problem.values)
    left = digits.reachable_digits(amplification)
    if left >= _DEVIATION_DIGITS:
        return ""
    return f"; float64 leaves about {left} digits of residuals this small beside the values"


def _starts(fields: Mapping[str, Any]) -> list[str]:
    given = [name for name, value in fields.items() if value is not None]
    names = sorted(name for name in given if name.startswith("start") and name[5:].isdigit())
    if not names:
        raise ValueError("no start: expected the fields 'start1', 'start2', ...")
    return names
