"""The benchmark of cascaded tanks on a small table of its kind."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp

import likelihax as lhx
from benchmarks.experiments import cascaded_tanks as tanks

COUNT, PERIOD = 120, 8.0
TIMES = PERIOD * np.arange(COUNT)
RATES = {"out": 0.06, "into": 0.05, "away": 0.055, "pump": 0.045, "idle": 0.4}


def pumped(seed):
    return np.repeat(np.random.default_rng(seed).uniform(1.2, 5.0, 12), 10)


def levels(volts):
    """By SciPy, sample by sample."""
    state, found = np.array([4.0, 4.0]), [4.0]
    for held in volts[:-1]:

        def field(t, y, held=held):
            upper, lower = np.sqrt(np.maximum(y, 0))
            filled = RATES["pump"] * (held - RATES["idle"]) - RATES["out"] * upper
            passed = RATES["into"] * upper - RATES["away"] * lower
            return [filled, passed]

        state = solve_ivp(field, (0, PERIOD), state, rtol=1e-8, atol=1e-8).y[:, -1]
        found.append(state[1])
    return np.array(found)


def table(folder):
    columns = {}
    for which, seed in (("Est", 0), ("Val", 1)):
        columns[f"u{which}"] = pumped(seed)
        noise = 0.02 * np.random.default_rng(10 + seed).standard_normal(COUNT)
        columns[f"y{which}"] = levels(columns[f"u{which}"]) + noise
    columns["Ts"] = [PERIOD] + [np.nan] * (COUNT - 1)
    file = folder / "tanks.csv"
    pd.DataFrame(columns).to_csv(file, index=False)
    return file


def exact():
    return tanks.Tanks(*(lhx.frozen(RATES[name]) for name in RATES), None)


def test_the_model_is_scipys():
    volts = lhx.inputs.Steps(TIMES, pumped(0))
    model = lhx.ODE(exact(), [4.0, 4.0], t0=0.0, observe=tanks._sensor)
    expected = levels(pumped(0))
    assert expected.max() < 9
    np.testing.assert_allclose(model(jnp.asarray(TIMES), volts), expected, atol=2e-4)


@pytest.mark.parametrize("upper", [9.0, 10.5])
def test_what_overflows_is_caught_below(upper):
    rates = lhx.resolve(exact())(0.0, jnp.asarray([upper, 5.0]), lambda t: 4.0)
    over = max(upper - 10, 0.0)
    filled = 0.045 * 3.6 - 0.06 * np.sqrt(upper) - over
    passed = 0.05 * np.sqrt(upper) + over - 0.055 * np.sqrt(5.0)
    np.testing.assert_allclose(rates, [filled, passed], atol=2e-5)
    assert tanks._sensor(0.0, jnp.asarray([5.0, upper])) == pytest.approx(min(upper, 10), abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("better", "status"), [(0.9, 1), (2.0, 0)])
def test_where_physics_is_all_nothing_is_left_to_learn(
    tmp_path, capsys, monkeypatch, better, status
):
    monkeypatch.setattr(tanks, "BETTER", better)
    assert tanks.run(table(tmp_path), tmp_path, max_steps=5) == status
    printed = capsys.readouterr().out
    assert printed.count("\nmet: ") == 4 - status
    assert ("NOT MET: and at most 0.9 times the physics" in printed) == bool(status)
    assert (tmp_path / "cascaded_tanks.png").exists()
    assert (tmp_path / "cascaded_tanks_parts.png").exists()
