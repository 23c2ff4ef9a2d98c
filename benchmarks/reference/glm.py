"""Generalised linear models as R and Stata print them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.reference import family as families
from benchmarks.reference import report
from benchmarks.reference.beta_regression import second_design
from benchmarks.reference.design import Design, Regression, regression_data
from benchmarks.reference.family import Stated, link_named, stated_family
from benchmarks.reference.penalised import penalised_row
from benchmarks.reference.regression_report import regression_row

_PROPORTIONAL = re.compile(r"\bNB-?1\b|\bmu\s*\+\s*alpha\s*\*\s*mu\b(?!\s*[\^*])")  # the variance
_NUMBER = r"=\s*(\d+\.?\d*(?:[eE][-+]?\d+)?)"


def check(fields: Mapping[str, Any]) -> Iterator[report.Row]:
    """One row."""
    data = regression_data(fields)
    row = regression_row if fields.get("penalty") is None else penalised_row
    yield row(fields, stated(fields, data), data)


def stated(fields: Mapping[str, Any], data: Regression) -> Stated:
    """The distribution by the file's own fields."""
    family, link = stated_family(fields)
    model = str(fields.get("model") or "")
    if family == families.BETA:
        design, second_link = second_design(fields, data)
        return Stated(family, link, design, second_link)
    if family == families.NEGATIVE_BINOMIAL and _PROPORTIONAL.search(model):
        family = families.NEGATIVE_BINOMIAL_1
    if family not in (families.NEGATIVE_BINOMIAL, families.NEGATIVE_BINOMIAL_1):
        return Stated(family, link)
    printed = {*(fields.get("params") or ()), *(("theta",) if fields.get("theta") else ())}
    return _negative_binomial(family, link, model, printed, len(data.values))


def _negative_binomial(family: str, link: Any, model: str, printed: set[str], count: int) -> Stated:
    """By Stata's alpha or by MASS's theta, its reciprocal; known, if the model says its value."""
    name = "alpha" if "alpha" in printed or family == families.NEGATIVE_BINOMIAL_1 else "theta"
    if family == families.NEGATIVE_BINOMIAL and name not in printed:
        if known := re.search(rf"\balpha\s*{_NUMBER}", model):
            return Stated(family, link, constant=1 / float(known[1]))
        if known := re.search(rf"\btheta\s*{_NUMBER}", model):
            return Stated(family, link, constant=float(known[1]))
    if family == families.NEGATIVE_BINOMIAL_1:
        if not isinstance(link, type(link_named("log"))):
            raise ValueError("a variance proportional to the mean is known here with the log link")
        return Stated(family, link, _constant(name, count), link_named("inverse"))
    second_link = link_named("inverse" if name == "alpha" else "identity")
    return Stated(family, link, _constant(name, count), second_link)


def _constant(name: str, count: int) -> Design:
    return Design((name,), np.ones((count, 1)))
