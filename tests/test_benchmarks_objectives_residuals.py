"""The benchmark of residuals on few draws, and what its figures mean."""

import numpy as np
import pytest

from benchmarks.objectives import residuals
from benchmarks.objectives.residuals import Row

# Each compiles fits of its own.
pytestmark = pytest.mark.slow


def figures(rows):
    return {row.figure: row for row in rows}


@pytest.mark.parametrize(
    ("value", "below", "above", "met"),
    [
        (1.0, 2.0, -np.inf, True),
        (2.0, 2.0, -np.inf, False),
        (1.0, np.inf, 0.5, True),
        (1.0, np.inf, 1.5, False),
        (np.nan, np.inf, -np.inf, False),
        (1.0, np.inf, -np.inf, True),
    ],
)
def test_a_bar(value, below, above, met):
    row = Row("growth", "a figure", value, below, above)
    assert row.met is met
    has_bar = np.isfinite(below) or np.isfinite(above)
    assert ("NOT MET" in row.line()) == (has_bar and not met)
    assert ("met" in row.line().split()) == (has_bar and met)


def test_the_scale_of_a_right_model_is_at_its_floor_and_of_a_wrong_one_above():
    found = figures(residuals.scales(range(2)))
    assert all(row.met for row in found.values())
    assert 1 < found["right: largest scale over its floor"].value < 1.01
    # Without a limit the rate would have to fall from 1 to 0: a third of it is left over.
    assert 20 < found["no limit: smallest scale over its floor"].value < 40
    assert found["no limit: least standard errors above"].value > 6
    assert found["no limit: smallest likelihood ratio to the floor"].value > 1000


def test_the_standard_error_of_the_scale():
    fit = residuals.growth(None, residuals.lhx.positive(0.1), 0)
    # Two places in each of 24 intervals; the scale costs what the curve takes up as well.
    least = fit.estimates["scale"] / np.sqrt(2 * 48)
    assert 1.0 < fit.standard_errors()["scale"] / least < 1.3
