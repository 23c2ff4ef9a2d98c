"""NIST StRD linear regression: https://www.itl.nist.gov/div898/strd/lls/lls.shtml.

Coefficients and standard deviations to 8 digits of the exact rational solution, or to as many as
the problem's conditioning leaves in float64.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import sympy

from benchmarks.reference import digits, report
from benchmarks.reference.fitting import fit
from benchmarks.reference.formula import evaluate, names_in
from benchmarks.reference.problem import Problem, numbers, regression, required
from benchmarks.reference.starts import linear_parameters

_DIGITS = 8
# In standard errors: in one problem these are 2e7 times the coefficients.
_TOLERANCE = 1e-13
_MOST_TERMS = 100


def check(fields: Mapping[str, Any]) -> Iterator[report.Row]:
    """One row: the fit from a start at zero, which a linear problem cannot mind."""
    exact = required(fields, "exact_rational")
    model = spelled_out(required(fields, "model"))
    names = fields.get("params") or [name for name in names_in(model) if name not in fields]
    problem = regression(fields, fields, names, model)
    if linear_parameters(problem.expression, problem.parameters) != list(problem.parameters):
        raise ValueError(f"the formula {model!r} is not linear in {', '.join(names)}")
    beta = numbers(exact, "beta", len(names))
    deviations = numbers(exact, "se", len(names))
    columns = design(problem)
    condition = digits.componentwise_condition(columns, problem.values)
    needed = min(_DIGITS, digits.reachable_digits(condition))
    fitted = fit(problem, dict.fromkeys(names, 0.0), tolerance=_TOLERANCE)
    estimates_right = digits.fewest_right_digits(fitted.estimates, beta)
    deviations_right = digits.fewest_right_digits(fitted.deviations, deviations)
    scaled = digits.column_scaled_condition(columns)
    said = f"{fitted.status}; condition {condition:.1e} (of the scaled design {scaled:.1e})"
    if needed < _DIGITS:
        said += f", which leaves {needed} digits"
    yield report.Row(
        "zero",
        report.reached(estimates_right, needed),
        report.reached(deviations_right, needed),
        said,
        fitted.seconds,
        min(estimates_right, deviations_right) >= needed,
    )


def spelled_out(model: str) -> str:
    """The formula of a model in words or with dots.

    `polynomial degree 2` is `b0 + b1*x**1 + b2*x**2`; in `b0 + b1*x1 + ... + b6*x6` the dots stand
    for the terms from the one before to the one after, the parameter's number counting up.
    """
    if not isinstance(model, str):
        raise ValueError(f"a model must be a string, got {type(model).__name__}")
    words = re.match(r"\s*polynomial\D*(\d{1,3})\b", model, re.IGNORECASE)
    if words:
        return " + ".join(["b0", *(f"b{k}*x**{k}" for k in range(1, int(words[1]) + 1))])
    dots = re.search(r"([^+]+)\+\s*\.\.\.\s*\+([^+]+)", model)
    if dots is None:
        return model
    before, after = (re.match(r"\s*([A-Za-z]+)(\d{1,4})\b", term) for term in dots.groups())
    if before is None or after is None or before[1] != after[1]:
        raise ValueError(f"the dots in {model!r} do not stand between numbered parameters")
    first, last = int(before[2]), int(after[2])
    if not 0 < last - first <= _MOST_TERMS:
        raise ValueError(f"the dots in {model!r} do not stand for 1 to {_MOST_TERMS} terms")
    number = re.compile(rf"(?<![\d.]){last}(?![\d.])")
    between = [number.sub(str(k), dots[2]).strip() for k in range(first + 1, last + 1)]
    whole = " + ".join([dots[1].strip(), *between])
    return f"{model[: dots.start()]}{whole}{model[dots.end() :]}"


def design(problem: Problem) -> np.ndarray:
    """The columns that multiply the parameters; shape (observations, parameters)."""
    slopes = [sympy.diff(problem.expression, sympy.Symbol(name)) for name in problem.parameters]
    columns = [np.asarray(evaluate(slope, problem.columns)) for slope in slopes]
    return np.stack([np.broadcast_to(c, problem.values.shape) for c in columns], axis=1)
