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
    needed = deviation_digits(problem, float(required(fields, "residual_sd")))
    for name in _starts(fields):
        start = dict(zip(problem.parameters, numbers(fields, name, count), strict=True))
        fitted = fit(problem, start)
        parameters_right = digits.fewest_right_digits(fitted.estimates, certified)
        deviations_right = digits.fewest_right_digits(fitted.deviations, deviations)
        status = fitted.status
        if needed < _DEVIATION_DIGITS:
            status += "; residuals are too small against float64's rounding for more digits"
        yield report.Row(
            name,
            report.reached(parameters_right, _PARAMETER_DIGITS),
            report.reached(deviations_right, needed),
            status,
            fitted.seconds,
            parameters_right >= _PARAMETER_DIGITS and deviations_right >= needed,
        )


def deviation_digits(problem: Problem, residual_sd: float) -> int:
    """The digits to ask of standard deviations: 6, unless the values' rounding leaves fewer."""
    amplification = digits.rounding_of_residuals(residual_sd, problem.values)
    return min(_DEVIATION_DIGITS, digits.reachable_digits(amplification))


def _starts(fields: Mapping[str, Any]) -> list[str]:
    given = [name for name, value in fields.items() if value is not None]
    names = sorted(name for name in given if name.startswith("start") and name[5:].isdigit())
    if not names:
        raise ValueError("no start: expected the fields 'start1', 'start2', ...")
    return names
