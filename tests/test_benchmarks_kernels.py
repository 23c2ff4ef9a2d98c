"""The digits of the kernels at a few points of each domain, and the benchmark that counts them."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from benchmarks.kernels import accuracy, speed
from benchmarks.kernels.__main__ import main
from benchmarks.kernels.catalogue import CASES
from benchmarks.kernels.workloads import FAMILIES

FEW = 40


@pytest.mark.parametrize("dtype", accuracy.BARS)
@pytest.mark.parametrize("name", CASES)
def test_value_and_every_partial_against_mpmath(name, dtype):
    table = accuracy.check(CASES[name], dtype, FEW)
    for quantity in table.quantities:
        assert quantity.ours.error <= table.bar, (quantity.name, quantity.ours)


# ------------------------------------------------------------------------- the checker itself


def off_by(factor):
    """A Normal kernel whose value is right and whose derivative in the location is not."""
    right = CASES["Normal"].kernel

    @jax.custom_jvp
    def kernel(loc, log_scale, y):
        return right(loc, log_scale, y)

    @kernel.defjvp
    def jvp(primals, tangents):
        loc_dot, *others = tangents
        return jax.jvp(right, primals, (factor * loc_dot, *others))

    return dataclasses.replace(CASES["Normal"], kernel=kernel)


@pytest.mark.parametrize(("factor", "met"), [(1.0, True), (1 + 1e-11, False), (np.nan, False)])
def test_a_wrong_derivative_is_seen(factor, met):
    table = accuracy.check(off_by(factor), "float64", FEW)
    assert table.met is met
    missed = [q.name for q in table.quantities if not q.ours.error <= table.bar]
    assert missed == ([] if met else ["loc"])
    assert any("NOT MET" in line for line in accuracy.lines(table)) is not met


def test_a_wrong_value_is_seen():
    right = CASES["Poisson"].kernel
    wrong = dataclasses.replace(CASES["Poisson"], kernel=lambda *c: right(*c) * (1 + 1e-11))
    table = accuracy.check(wrong, "float64", FEW)
    assert table.quantities[0].ours.error > table.bar


def test_the_reference_has_the_derivatives_of_the_normal():
    """To thirty digits and more, against what one writes down by hand."""
    case = CASES["Normal"]
    points = (np.array([0.5]), np.array([0.0]), np.array([2.5]))
    value, loc, log_scale, y = (column[0] for column in accuracy.reference(case, points))
    with accuracy.mpmath.workdps(60):
        assert abs(value - 2 - accuracy.mpmath.log(2 * accuracy.mpmath.pi) / 2) < 1e-55
        for found, wanted in ((loc, -2), (log_scale, -3), (y, 2)):
            assert abs(found - wanted) < 1e-40


@pytest.mark.slow
def test_known_failures_of_numpyro_show():
    def worst(name, dtype, quantity, count=200):
        table = accuracy.check(CASES[name], dtype, count)
        return {q.name: q.peer.error for q in table.quantities}[quantity]

    assert worst("StudentT", "float32", "log_dof") > 1e-2
    assert worst("NegativeBinomial-large-concentration", "float64", "log_concentration") > 1e-2
    assert worst("Poisson", "float64", "value") > 1e-8
    assert worst("Beta", "float32", "value") > 1e-4


@pytest.mark.parametrize("name", ["Beta", "Truncated-Normal", "Categorical-soft"])
def test_points_are_the_same_at_every_run(name):
    first, again = (CASES[name].points(FEW, np.dtype("float32")) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, other)


# -------------------------------------------------------------------------------- the command


def test_exit_status_and_table(tmp_path, capsys):
    file = tmp_path / "figures.json"
    assert main(["accuracy", "Exponential", "--count", "20", "--json", str(file)]) == 0
    told = capsys.readouterr().out
    assert "Exponential" in told
    assert "2 of 2 bars met" in told
    assert [entry["dtype"] for entry in json.loads(file.read_text())] == ["float64", "float32"]


def test_exit_status_of_a_missed_bar(monkeypatch, capsys):
    monkeypatch.setitem(CASES, "Normal", off_by(1.001))
    assert main(["accuracy", "Normal", "--count", "20"]) == 1
    assert "NOT MET" in capsys.readouterr().out


def test_unknown_family(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["accuracy", "Normale"])
    assert stopped.value.code == 2
    assert "unknown family 'Normale'" in capsys.readouterr().err


@pytest.mark.parametrize("family", FAMILIES)
def test_both_sides_of_a_speed_row_compute_the_same(family):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        ours, peer = speed.values(family, 200)
    np.testing.assert_allclose(ours, peer, rtol=2e-3, atol=2e-3)


@pytest.mark.slow
def test_speed_command(tmp_path, capsys):
    file = tmp_path / "figures.json"
    status = main(["speed", "Normal", "Categorical", "--scale", "1e-4", "--json", str(file)])
    rows = json.loads(file.read_text())
    assert status == (0 if all(row["met"] for row in rows) else 1)
    assert {row["family"] for row in rows} >= {"Normal", "Categorical"}
    assert all(row["ours"] > 0 and row["stream"] > 0 and row["numpyro"] > 0 for row in rows)
    assert "bars met" in capsys.readouterr().out
