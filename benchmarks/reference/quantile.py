"""Quantile regressions as Stata's qreg prints them: an asymmetric Laplace scatter's location.

The objective has kinks, across which its gradient jumps past zero. A fit therefore ends by the
distance that the parabola above the objective leaves, which no tolerance makes much finer.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.reference import family as families
from benchmarks.reference import report
from benchmarks.reference.design import regression_data
from benchmarks.reference.family import Stated, link_named
from benchmarks.reference.problem import required
from benchmarks.reference.regression_report import regression_row


def check(fields: Mapping[str, Any]) -> Iterator[report.Row]:
    """One row; distances are in standard errors of the expected information, scale fitted."""
    level = float(required(fields, "tau"))
    if not 0 < level < 1:
        raise ValueError(f"the field 'tau' is {level}, not between 0 and 1")
    stated = Stated(families.QUANTILE, link_named("identity"), level=level)
    yield regression_row(fields, stated, regression_data(fields))
