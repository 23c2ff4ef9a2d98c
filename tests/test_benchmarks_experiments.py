"""The benchmarks of experiments on small tables of their kind."""

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import lognorm

import likelihax as lhx
from benchmarks.experiments import chemostat, warfarin
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


@pytest.mark.parametrize(("swings", "status"), [(True, 0), (False, 1)])
def test_whether_animals_swing(tmp_path, capsys, monkeypatch, swings, status):
    """Solved by SciPy, or noise about a line."""
    days = np.arange(0.0, 41.0, 2.0)
    truth = np.log([2.0, 30.0, 0.3, 0.2, 30.0, 1.0])
    grazed = lambda t, y: 2.0 * y[0] / (30.0 + y[0]) * y[1]
    field = lambda t, y: [
        0.4 * y[0] * (1 - y[0] / 50) - grazed(t, y),
        0.3 * grazed(t, y) - 0.2 * y[1],
    ]
    solved = solve_ivp(field, (0, 40), np.exp(truth[4:]), t_eval=days, rtol=1e-9).y.T
    noise = np.exp(0.1 * np.random.default_rng(0).standard_normal((21, 2)))
    counts = (solved if swings else np.array([20.0, 5.0])) * noise
    file = tmp_path / "chemostat.csv"
    pd.DataFrame({"day": days, "algae": counts[:, 0], "rotifers": counts[:, 1]}).to_csv(file)
    monkeypatch.setattr(chemostat, "NUM_STARTS", 8)
    assert chemostat.run(file, tmp_path) == status
    printed = capsys.readouterr().out
    assert "chemostat: 21 days, 42 counts" in printed
    assert (tmp_path / "chemostat.png").exists()


def test_constants_in_closed_form():
    """Against SciPy's fit of the log-normal with a location of 0."""
    counts = np.exp(np.random.default_rng(1).standard_normal((9, 2)))
    data = lhx.Experiment(np.arange(9.0), counts)
    fitted = [lognorm.fit(column, floc=0) for column in counts.T]
    expected = -sum(lognorm.logpdf(c, *f).sum() for c, f in zip(counts.T, fitted, strict=True))
    np.testing.assert_allclose(chemostat.constant(data), expected, rtol=1e-9)


def test_an_unknown_part(capsys):
    with pytest.raises(SystemExit):
        main(["warfarine"])
    assert "unknown part 'warfarine'" in capsys.readouterr().err
