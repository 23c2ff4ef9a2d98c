"""Beta regressions as R's betareg prints them, with a constant or a modelled precision."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.reference import family as families
from benchmarks.reference import report
from benchmarks.reference.design import Design, Regression, is_constant, regression_data
from benchmarks.reference.family import Stated, link_named
from benchmarks.reference.regression_report import regression_row

_PREFIXES = ("phi_", "precision_", "(phi)_")
_ALONE = ("phi", "(phi)", "precision")


def check(fields: Mapping[str, Any]) -> Iterator[report.Row]:
    """One row."""
    data = regression_data(fields)
    model = str(fields.get("model") or "")
    link = link_named(fields.get("link") or _link_in_words(model, "mean") or "logit")
    second, second_link = second_design(fields, data)
    yield regression_row(fields, Stated(families.BETA, link, second, second_link), data)


def second_design(fields: Mapping[str, Any], data: Regression) -> tuple[Design, Any]:
    """The precision's design, its columns named as the file names the coefficients, and its link.

    betareg models a constant precision as it is and any other one by its logarithm.
    """
    design = data.second
    if design is None:
        design = Design(("const",), np.ones((len(data.values), 1)))
    names = tuple(_named(name, fields, alone=len(design.names) == 1) for name in design.names)
    said = fields.get("precision_link") or fields.get("link_precision")
    said = said or _link_in_words(str(fields.get("model") or ""), "precision")
    return Design(names, design.columns), link_named(
        said or ("log" if len(names) > 1 else "identity")
    )


def _named(name: str, fields: Mapping[str, Any], *, alone: bool) -> str:
    printed = fields.get("params") or {}
    candidates = [prefix + name for prefix in _PREFIXES]
    if alone and is_constant(name):
        candidates += _ALONE
    return next((one for one in candidates if one in printed), candidates[0])


def _link_in_words(model: str, of: str) -> str | None:
    """`logit` in `logit mean link, identity precision link`."""
    match = re.search(rf"\b([a-z]+)\s+(?:{of}\s+link|link\s+for\s+the\s+{of})", model)
    return match[1] if match else None
