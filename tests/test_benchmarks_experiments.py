"""The benchmark of warfarin on a small table of its kind."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.experiments import warfarin
from benchmarks.experiments.__main__ import main

# Each compiles fits of its own.
pytestmark = pytest.mark.slow

HOURS = np.array([0.5, 2.0, 6.0, 12.0, 24.0, 48.0])


def table(clearances):
    """One dose each, concentrations by Bateman's formula with some noise; one measured twice."""
    rows = []
    for i, clearance in enumerate(clearances):
        k, ka = clearance / 8.0, 0.9
        exact = 100 / 8.0 * ka / (ka - k) * (np.exp(-k * HOURS) - np.exp(-ka * HOURS))
        noisy = exact + 0.3 * np.random.default_rng(i).standard_normal(6)
        rows.append([i, 0.0, 100.0, 0.0, "cp", 1, "female"])
        rows += [[i, t, 0.0, y, "cp", 0, "female"] for t, y in zip(HOURS, noisy, strict=True)]
    rows.append([0, 6.0, 0.0, 9.0, "cp", 0, "female"])
    return pd.DataFrame(rows, columns=["id", "time", "amt", "dv", "dvid", "evid", "sex"])


@pytest.mark.parametrize(("clearances", "status"), [((0.1, 0.3, 0.6), 0), ((0.2, 0.2, 0.2), 1)])
def test_whether_clearances_differ(tmp_path, capsys, clearances, status):
    file = tmp_path / "people.csv"
    table(clearances).to_csv(file, index=False)
    assert warfarin.run(file, tmp_path) == status
    printed = capsys.readouterr().out
    assert "3 subjects, 19 concentrations" in printed
    assert printed.count(" met") == 2
    assert (tmp_path / "warfarin.png").exists()


def test_an_unknown_part(capsys):
    with pytest.raises(SystemExit):
        main(["warfarine"])
    assert "unknown part 'warfarine'" in capsys.readouterr().err
