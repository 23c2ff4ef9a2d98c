"""The benchmark on tables: how sets are read and scored, and a set whose noise is known."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from scipy import stats

from benchmarks.uci import __main__ as command
from benchmarks.uci import held_out_noise, published, scores, sets, training
from benchmarks.uci.methods import Said

ROWS = 120


def write(folder, table, name="made", splits=2, **files):
    """A set in the shared format; `files` are written in place of what would be right."""
    data = folder / name / "data"
    data.mkdir(parents=True)
    rows = np.arange(len(table))
    right = {"data": table, "index_features": np.arange(table.shape[1] - 1)}
    right |= {"index_target": [table.shape[1] - 1]}
    for number in range(splits):
        test = rows % 10 == number
        right |= {f"index_train_{number}": rows[~test], f"index_test_{number}": rows[test]}
    for file, content in (right | files).items():
        np.savetxt(data / f"{file}.txt", np.asarray(content, float))
    return folder


def noisy(rows=ROWS, idle=0):
    """Linear, with a noise that grows tenfold along the first feature, and features that idle."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (rows, 2 + idle))
    scale = 0.1 * 10 ** (0.5 * (x[:, 0] + 1))
    return np.column_stack([x, 3 * x[:, 0] - x[:, 1] + scale * rng.normal(size=rows)])


def test_features_are_whitened_and_nothing_is_made_of_rounding(tmp_path):
    table = noisy()
    twice = np.column_stack([2 * table[:, 1], table])  # one feature is another's double
    (found,) = sets.read(write(tmp_path, twice, n_hidden=[7]))
    split = sets.split(found, 1)
    assert found.width == 7
    assert split.features.shape == (108, 2)
    np.testing.assert_allclose(np.cov(split.features.T), np.eye(2), atol=1e-12)
    np.testing.assert_allclose(split.target.std(), 1.0)
    train, test = found.splits[1]
    np.testing.assert_allclose(split.target * split.unit + split.centre, found.target[train])
    # The test rows by the same map: it is linear.
    coefficients, *_ = np.linalg.lstsq(
        np.column_stack([np.ones(108), found.features[train]]), split.features, rcond=None
    )
    mapped = np.column_stack([np.ones(12), found.features[test]]) @ coefficients
    np.testing.assert_allclose(split.test_features, mapped, atol=1e-12)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"index_test_0": [0, 1, 2]}, "split 0: row 1 is both trained on and tested on"),
        (
            {"index_train_0": [1, 500]},
            "index_train_0.txt: numbers of rows must be .* from 0 to 119",
        ),
        ({"index_target": [1.5]}, "index_target.txt: numbers of columns must be whole"),
        ({"index_target": [1, 2]}, "one target is wanted, got 2"),
        ({"data": np.full((ROWS, 3), np.nan)}, "data.txt: some numbers are not finite"),
        ({"data": np.ones((ROWS, 3))}, "split 0: the target is 1.0 everywhere"),
    ],
)
def test_a_set_that_is_wrong_is_named(tmp_path, files, message):
    with pytest.raises(SystemExit, match=message):
        sets.read(write(tmp_path, noisy(), **files))


def test_a_folder_without_sets_is_named(tmp_path):
    with pytest.raises(SystemExit, match="no set there"):
        sets.read(tmp_path)
    with pytest.raises(SystemExit, match="is no folder"):
        sets.read(tmp_path / "nowhere")
    with pytest.raises(SystemExit, match=r"no index_train_0.txt"):
        sets.read(write(tmp_path, noisy(), splits=0))


def test_scores_are_in_the_unit_of_the_target():
    y = np.array([3.0, 5.0, 9.0])
    nothing = np.zeros((3, 0))
    split = sets.Split(nothing, np.zeros(1), nothing, y, centre=4.0, unit=2.0)
    said = Said(dist.Normal(jnp.array([0.0, 0.5, 1.0]), 0.25), None, 0.0)
    found = scores.scores_of({"Normal": said}, split)["Normal", "single"]
    np.testing.assert_allclose(found.nll, -np.mean(stats.norm.logpdf(y, [4.0, 5.0, 6.0], 0.5)))
    np.testing.assert_allclose(found.rmse, np.sqrt((1 + 0 + 9) / 3))
    rows = scores.lines("yacht", {("Normal", "single"): [found, found]})
    assert f"{found.nll:.3f} ± 0.000" in rows[0]
    assert any("NGBoost" in row and "0.20" in row for row in rows)


def test_what_is_published_is_a_bar_of_its_kind():
    assert published.best("yacht", networks=True) == 1.03
    assert published.best("yacht", networks=False) == 0.20
    assert published.best("made", networks=True) is None
    one, lost = scores.Score(1.0, 1.0), scores.Score(np.nan, 0.0)
    reached = {("chosen", "single"): [one], ("chosen", "ensemble"): [one]}
    assert scores.no_worse("yacht", reached, "single")
    assert not scores.no_worse("yacht", reached, "ensemble")
    assert scores.no_worse("made", reached, "single") is None
    assert scores.lost({("chosen", "single"): [lost, one]}) == 1


def test_goals_are_judged_on_all_six_sets_only(capsys):
    good = {name: {"single": True, "ensemble": True} for name in published.NLL}
    one_less = good | {name: {"single": False, "ensemble": True} for name in list(good)[:2]}
    assert command._verdict(0, good, judged=True) == 0
    assert command._verdict(0, one_less, judged=True) == 1
    assert "NOT MET: goal 5" in capsys.readouterr().out
    assert command._verdict(0, one_less, judged=False) == 0
    assert command._verdict(1, good, judged=True) == 1


@pytest.mark.slow
def test_noise_that_is_learned_from_rows_left_out_is_that_of_new_rows(tmp_path):
    """Two hundred rows, and 750 numbers: errors on those rows would be about half as large."""
    table, rows = noisy(1200, idle=12), np.arange(1200)
    files = {"index_train_0": rows[:200], "index_test_0": rows[200:]}
    (found,) = sets.read(write(tmp_path, table, splits=1, **files))
    effort = training.Effort(first=150, further=150, rounds=1, costs=(0.1,), members=1)
    trained = training.expected(found, 0, effort)
    (member, *_), held_out = held_out_noise.learned(trained)
    split = trained.split
    said = member(split.test_features)
    off = (split.test_target - split.centre) / split.unit - np.asarray(said.mean)
    assert 0.85 < np.sqrt(np.mean(off**2 / np.asarray(said.variance))) < 1.15
    score = scores.scores_of({"": Said(said, None, 0.0)}, split)["", "single"]
    assert abs(score.nll - held_out - np.log(split.unit)) < 0.15
    wide, narrow = table[200:, 0] > 0.5, table[200:, 0] < -0.5
    assert np.median(said.scale[wide]) > 1.5 * np.median(said.scale[narrow])


@pytest.mark.slow
def test_the_command_on_a_folder_of_ones_own(tmp_path, capsys):
    folder = str(write(tmp_path, noisy()))
    assert command.main([folder, "--quick", "--pictures", str(tmp_path)]) == 0
    assert (tmp_path / "uci.png").stat().st_size > 5000
    out = capsys.readouterr().out
    assert re.search(r"chosen by rows left out: [a-zN ]+ [12]\b", out)
    assert "made: 2 splits" in out
    assert "scores that are not finite: 0" in out
    assert "times as fast" in out
    for method in ("Normal", "last layer", "evidential", "mixture", "noise left out", "chosen"):
        assert f"  {method} " in out
    with pytest.raises(SystemExit):
        command.main([str(tmp_path), "other"])
    assert "no set 'other' there: choose from made" in capsys.readouterr().err
