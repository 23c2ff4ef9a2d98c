"""The speed case of a learned part: both sides compute the same, and are told apart if not."""

import numpy as np
import pytest

from benchmarks.speed import learned
from benchmarks.speed import learned_by_hand as by_hand


def test_both_sides_compute_the_same():
    ours, peer = learned.gradients()
    outcome = ours()
    value, gradient = peer()
    np.testing.assert_allclose(outcome.total, value, rtol=1e-7)
    theirs = learned.flat(gradient)
    assert theirs.shape == (2 * 32 + 32 + 32 + 1 + 1,)
    learned.check(np.asarray(outcome.gradient), theirs, 1e-6, "by hand")
    with pytest.raises(RuntimeError, match=r"the gradient by hand differs by 1\.0e-02"):
        learned.check(1.01 * theirs, theirs, 1e-6, "by hand")


def test_torchdiffeq_computes_the_same():
    other = by_hand.torch_gradient()
    if other is None:
        pytest.skip("torchdiffeq is not installed")
    _, gradient = learned.gradients()[1]()
    learned.check(learned.flat(gradient), learned.flat(other()), 1e-4, "by torchdiffeq")


def test_rows(monkeypatch, capsys):
    monkeypatch.setattr(learned, "_ROUNDS", 3)
    monkeypatch.setattr(by_hand, "torch", None)
    (row,) = learned.run()
    assert row.bar == 1.10
    assert 0.3 < row.ratio < 3
    assert "torchdiffeq is not installed" in capsys.readouterr().out
