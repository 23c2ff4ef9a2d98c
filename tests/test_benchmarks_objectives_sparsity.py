"""The benchmark of sparsity on a small table of its kind, and what its figures mean."""

import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is the peer of this benchmark")

from benchmarks.objectives import sparsity


@pytest.fixture
def file(tmp_path):
    rng = np.random.default_rng(7)
    readings = rng.normal(size=(400, 3)).round(6)
    stab = readings[:, 0] - 0.5 * readings[:, 1] * readings[:, 2] + 0.3 * rng.normal(size=400)
    path = tmp_path / "small.csv"
    rows = np.column_stack([readings, stab])
    np.savetxt(path, rows, delimiter=";", header="a;b;c;stab", comments="")
    return path


def test_the_design_has_readings_and_products_standardised(file):
    x, y = sparsity.design(file)
    table = np.genfromtxt(file, delimiter=";", skip_header=1)
    assert x.shape == (400, 6)
    product = table[:, 1] * table[:, 2]
    np.testing.assert_allclose(x[:, 5], (product - product.mean()) / product.std())
    np.testing.assert_array_equal(y, table[:, 3] > 0)


def test_kkt_is_zero_at_the_minimum_and_nowhere_near():
    # One column and values 0, 1, 1 at -1, 0, 1, weight 0.2, by the closed form of the conditions.
    x, y = np.array([[-1.0], [0.0], [1.0]]), np.array([0.0, 1.0, 1.0])
    found, _ = sparsity.peers(x, y, np.array([0.2]))
    assert sparsity.kkt(found[0], 0.2, x, y) < 1e-6
    assert sparsity.kkt(found[0] + [0.0, 0.01], 0.2, x, y) > 1e-3
    assert sparsity.kkt(np.zeros(2), 0.2, x, y) == pytest.approx(0.8)
    by_hand = 3 * np.log(2.0)
    assert sparsity.objective(np.zeros(2), 0.2, x, y) == pytest.approx(by_hand)


@pytest.mark.slow
def test_both_find_the_same_zeros(file, capsys, monkeypatch):
    monkeypatch.setattr(sparsity, "WEIGHTS", 6)
    monkeypatch.setattr(sparsity, "_RUNS", 1)
    x, y = sparsity.design(file)
    found, _ = sparsity.ours(x, y)
    theirs, _ = sparsity.peers(x, y, found.weights)
    for row in sparsity.rows(found, theirs, x, y):
        assert row.same_support
        assert -1e-6 < row.relative <= 1e-10
        assert row.kkt <= 1e-8
    assert found.weights.size == 6
    assert jnp.all(jnp.asarray(found.num_nonzero[1:]) > 0)


def test_a_missing_file_is_said(tmp_path, capsys):
    assert sparsity.run(tmp_path / "absent.csv") == 1
    assert "absent.csv" in capsys.readouterr().out
