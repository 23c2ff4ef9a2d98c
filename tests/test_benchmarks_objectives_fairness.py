"""The benchmark of fairness on a small table of its kind, and what its figures mean."""

import csv

import numpy as np
import pytest

from benchmarks.objectives import fairness
from benchmarks.objectives.fairness import Point

NAMES = (
    "age",
    "sex",
    "race",
    "priors_count",
    "juv_fel_count",
    "juv_misd_count",
    "juv_other_count",
    "c_charge_degree",
    "days_b_screening_arrest",
    "is_recid",
    "score_text",
    "two_year_recid",
)


def person(random, race):
    priors = random.poisson(3.0 if race == "African-American" else 1.5)
    again = int(random.uniform() < 1 / (1 + np.exp(1.2 - 0.5 * priors)))
    counts = random.poisson(0.3, 3)
    sex, charge = random.choice(["Male", "Female"]), random.choice(["F", "M"])
    age, days = random.integers(18, 60), random.integers(-30, 31)
    return [age, sex, race, priors, *counts, charge, days, again, "Low", again]


@pytest.fixture
def file(tmp_path):
    random = np.random.default_rng(5)
    races = random.choice(["African-American", "Caucasian", "Hispanic", "Other", "Asian"], 600)
    path = tmp_path / "small.csv"
    with path.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(NAMES)
        writer.writerows(person(random, race) for race in races)
        # Each of these is left out by one of the filters.
        for column, value in ((8, ""), (8, 31), (8, -31), (9, -1), (7, "O"), (10, "N/A")):
            row = person(random, "Caucasian")
            row[column] = value
            writer.writerow(row)
    return path


def test_the_filters_keep_whom_propublica_kept(file):
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))[:600]
    for races in (fairness.TWO, fairness.FOUR):
        kept = [row for row in rows if row["race"] in races]
        found = fairness.people(file, races)
        assert len(found.again) == len(kept) > 100
        assert [races[g] for g in found.groups] == [row["race"] for row in kept]
        np.testing.assert_array_equal(found.table[:, 0], [float(row["age"]) for row in kept])
        np.testing.assert_array_equal(found.table[:, 5], [row["sex"] == "Male" for row in kept])
        again = [float(row["two_year_recid"]) for row in kept]
        np.testing.assert_array_equal(found.again, again)


def test_a_split_is_standardised_by_its_training_half(file):
    everybody = fairness.people(file)
    known, new = fairness.split(everybody, 3)
    assert len(known.again) == round(0.7 * len(everybody.again))
    assert len(known.again) + len(new.again) == len(everybody.again)
    np.testing.assert_allclose(known.table[:, 1:].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(known.table[:, 1:].std(axis=0), 1)
    assert np.abs(new.table[:, 1:].mean(axis=0)).max() > 1e-3
    assert np.all(new.table[:, 0] == 1)
    assert not np.array_equal(fairness.split(everybody, 4)[0].again, known.again)


def test_where_decisions_are():
    some = fairness.People(np.zeros((4, 1)), np.array([1.0, 0, 1, 0]), np.array([0, 0, 1, 1]))
    assert fairness.point(np.array([1.0, 0, 0, 0]), some) == Point(0.5, 0.75)
    # By lot: a rate of 0.3 against one of 0.5, right with 0.6, 1, 0.5 and 0.5.
    found = fairness.point(np.array([0.6, 0, 0.5, 0.5]), some)
    assert found == pytest.approx((0.2, 0.65))


def test_between_two_points_the_frontier_is_a_line():
    frontier = [Point(0.2, 0.7), Point(0.0, 0.5), Point(0.1, 0.65)]
    beside = [Point(0.05, 0.6), Point(0.15, 0.67), Point(0.3, 0.9)]
    np.testing.assert_allclose(fairness.differences(frontier, beside), [-0.025, 0.005])


@pytest.mark.parametrize("seed", range(3))
def test_the_best_threshold_is_the_best_of_all(seed):
    random = np.random.default_rng(seed)
    again = (random.uniform(size=40) < 0.4).astype(float)
    log_odds = np.round(random.normal(size=40) + again, 1)  # with ties
    right = lambda line: np.mean((log_odds > line) == again)
    candidates = np.concatenate([[-9.0], np.unique(log_odds) + 0.05])
    assert right(fairness.best_threshold(log_odds, again)) == max(map(right, candidates))
    assert fairness.best_threshold(np.arange(3.0), np.zeros(3)) > 2
    assert fairness.best_threshold(np.arange(3.0), np.ones(3)) < 0


@pytest.mark.slow
def test_a_larger_weight_is_fairer(file, monkeypatch):
    monkeypatch.setattr(fairness, "WEIGHTS", (0.0, 10.0, 1000.0))
    known, _ = fairness.split(fairness.people(file), 0)
    means = []
    for coefficients in fairness.ours(known):
        probability = 1 / (1 + np.exp(-known.table @ coefficients))
        means.append(np.ptp([probability[known.groups == g].mean() for g in (0, 1)]))
    assert means[0] > 0.1
    assert means[0] > means[1] > means[2]
    assert means[2] < 0.005


def test_a_run_says_what_is_missing(tmp_path, capsys):
    assert fairness.run(tmp_path / "compas.csv") == 1
    assert "not run, there is no compas.csv" in capsys.readouterr().out


@pytest.mark.parametrize("better", [0.0, 0.2])
def test_a_run_judges_each_split(file, monkeypatch, capsys, better):
    line = np.array([0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    monkeypatch.setattr(fairness, "WEIGHTS", (0.0, 1.0))
    monkeypatch.setattr(fairness, "ours", lambda known: [line, 0 * line])

    def theirs(known, new):
        own = fairness.point((new.table @ line > 0).astype(float), new)
        return [Point(own.disparity, own.accuracy + better)]

    monkeypatch.setattr(fairness, "theirs", theirs)
    assert fairness.run(file, seeds=2) == int(better > 0)
    printed = capsys.readouterr().out
    assert f"mean {0 - 100 * better:.2f}, worst split {0 - 100 * better:.2f}" in printed
    assert printed.count("NOT MET") == (3 if better else 0)
    assert "four groups" in printed


@pytest.mark.slow
def test_fairlearn_is_asked_for_what_it_expects(file, monkeypatch):
    pytest.importorskip("fairlearn", reason="fairlearn is the peer of this benchmark")
    monkeypatch.setattr(fairness, "BOUNDS", (0.02, 0.5))
    known, new = fairness.split(fairness.people(file), 0)
    fair, free = fairness.theirs(known, new)
    assert fair.disparity < free.disparity
    # Without a constraint both are logistic regressions, theirs slightly shrunken.
    coefficients = fairness.ours(known)[0]
    own = fairness.point((new.table @ coefficients > 0).astype(float), new)
    assert free.accuracy == pytest.approx(own.accuracy, abs=0.03)
    assert free.disparity == pytest.approx(own.disparity, abs=0.1)
