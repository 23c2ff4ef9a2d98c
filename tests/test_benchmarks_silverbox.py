"""The benchmark of the Silverbox on a small table of its kind."""

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp

from benchmarks.experiments import silverbox

FIRST, COUNT = 300, 260


def strength(t):
    """It grows, and then has one strength."""
    return np.minimum(0.02 + 0.1 * t / (FIRST * silverbox.PERIOD), 0.08)


def volts(t):
    """Five sines, smooth between the samples as well."""
    frequencies = np.array([17.0, 31.0, 52.0, 71.0, 90.0])
    return strength(t) * np.sin(2 * np.pi * np.multiply.outer(t, frequencies) + frequencies).sum(-1)


def table(folder, friction=0.0):
    """By SciPy, the input known at all times; with a friction that is not in the model."""
    times = silverbox.PERIOD * np.arange(FIRST + COUNT)

    def field(t, y):
        spring = y[0] * (1 - 0.03 * y[0] + 4.0 * y[0] ** 2)
        force = 1.01 * (volts(t) - 0.005) - friction * np.tanh(y[1] / 0.01)
        return [430.0 * y[1], 430.0 * (force - spring - 0.1 * y[1])]

    end = (0, times[-1])
    position = solve_ivp(field, end, [0.0, 0.0], t_eval=times, rtol=1e-9, atol=1e-11).y[0]
    noise = 1e-4 * np.random.default_rng(0).standard_normal(times.size)
    file = folder / "silverbox.csv"
    pd.DataFrame({"V1": volts(times), "V2": position + noise}).to_csv(file, index=False)
    return file


@pytest.mark.slow
def test_an_oscillator_is_found_and_simulated(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(silverbox, "FIRST", FIRST)
    # A short arrow is mostly its start, where a spline has no neighbours.
    monkeypatch.setattr(silverbox, "BAR", 0.7e-3)
    file = table(tmp_path)
    assert silverbox.run(file, tmp_path, count=COUNT, arrow=FIRST) == 0
    assert "met: the arrow simulated to within 0.7 mV" in capsys.readouterr().out
    assert (tmp_path / "silverbox.png").exists()
    row, errors, fit = silverbox.compare(file, COUNT, FIRST)
    assert errors.shape == (FIRST,)
    true = {"frequency": 430.0, "damping": 0.05, "cubic": 0.04, "gain": 1.01, "offset": 0.005}
    for name, value in true.items():
        assert fit.estimates[name] == pytest.approx(value, rel=0.03), name
    assert row.fitted < 1.3e-4
    np.testing.assert_allclose(row.simulated, np.sqrt(np.mean(errors**2)))


@pytest.mark.slow
def test_another_friction_is_not_met(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(silverbox, "FIRST", FIRST)
    # A short arrow is mostly its start, where a spline has no neighbours.
    monkeypatch.setattr(silverbox, "BAR", 0.7e-3)
    assert silverbox.run(table(tmp_path, friction=0.02), None, count=COUNT, arrow=FIRST) == 1
    assert "NOT MET: the arrow simulated" in capsys.readouterr().out
