"""What the benchmark of posteriors calls met, on draws that are made up."""

from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest

import likelihax as lhx
from benchmarks.reference import posteriordb
from benchmarks.reference.posteriors import stated

DATA = {"K": 1, "T": 9, "y": [0.1, 0.3, 0.2, 0.5, 0.1, 0.4, 0.2, 0.3, 0.1]}


def drawn(shift=0.0, stretch=1.0, apart=0.0):
    """Four chains of 4,000 standard Normal draws."""
    each = np.random.default_rng(0).standard_normal((4, 4000))
    each = shift + stretch * each + apart * np.arange(4)[:, None]
    values = {"alpha": each, "beta": each[..., None], "sigma": each}
    run = SimpleNamespace(compile_seconds=0.0)
    return SimpleNamespace(
        values=values, run=run, ess_per_second=1.0, divergences=0, failed_solves=0
    )


def row(monkeypatch, draws):
    monkeypatch.setattr(posteriordb, "sampled", lambda problem: draws)
    gold = {
        "mean": Decimal("0.0"),
        "sd": Decimal("1.0"),
        "mcse": Decimal("0.01"),
        "ess_bulk": 10000,
    }
    (found,) = posteriordb.check(
        {"model_name": "arK", "data": DATA, "reference": {"alpha": gold, "beta[1]": gold}}
    )
    return found


def test_met(monkeypatch):
    assert row(monkeypatch, drawn()).met


@pytest.mark.parametrize("wrong", [{"shift": 0.25}, {"stretch": 1.15}, {"apart": 0.2}])
def test_not_met(monkeypatch, wrong):
    found = row(monkeypatch, drawn(**wrong))
    assert not found.met
    assert found.status.startswith("off: alpha, beta[1]")


def test_unknown_model_is_an_error():
    with pytest.raises(ValueError, match="no model is written down under the name 'unheard'"):
        stated("unheard", {})


def test_no_reference_is_nothing_to_meet():
    (found,) = posteriordb.check({"reference": None})
    assert found.met
    assert "no reference draws" in found.status


def test_models_have_the_references_numbers():
    problem = stated("arK", DATA)
    posterior = lhx.inference.Posterior(problem.objective, problem.predictor, problem.data)
    assert [label.name for label in posterior.labels] == ["alpha", "beta", "sigma"]
