"""Fair lending: who repays, learned from records that are unfair to one group.

The data are made here, so that the truth is known. Whether somebody repays depends on income and
debt alone, and both groups repay equally often. But of group 1, two in five of those who repaid
were recorded as not having done so. The model does not see the group. It sees the district, which
says nothing about repaying, but much about the group, and so the fit by likelihood alone learns
from the records to mark a district down.

`DemographicParity` says what is known of the truth: that groups do not differ. The larger its
weight, the worse the fit agrees with the records, and the better with the truth. Its `compare`
says what shall not differ: the mean of what is predicted, or all of its distribution, so that
wherever a bank draws the line the same share of each group is above it.

Where groups do differ in truth, parity costs accuracy there too; this example says nothing else.
"""

from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import matplotlib.pyplot as plt
import numpy as np
from jax import Array

import likelihax as lhx

jax.config.update("jax_enable_x64", True)

PEOPLE = 4000
TRUTH = np.array([0.8, 1.2, -1.0, 0.0])  # log-odds: constant, income, debt, district
UNFAIR = 0.4  # the share of repayments in group 1 that the records have lost
DISTRICT = 2.5  # how far apart the groups live, in standard deviations
WEIGHTS = np.array([0.0, 0.3, 1.0, 3.0, 10.0, 30.0, 1000.0])


class Records(NamedTuple):
    """What the bank has, what it does not use, and what it does not know."""

    data: lhx.Dataset
    groups: np.ndarray
    repaid: np.ndarray


class LogOdds(eqx.Module):
    """The log-odds of repaying, linear in what is known of a person."""

    coefficients: Array

    def __call__(self, table: Array) -> Array:
        return table @ self.coefficients


def records(seed: int = 0) -> Records:
    """Draws people, their fate, and what was written down of it."""
    random = np.random.default_rng(seed)
    groups = (random.uniform(size=PEOPLE) < 0.4).astype(int)
    income, debt, district = random.normal(size=(3, PEOPLE))
    table = np.column_stack([np.ones(PEOPLE), income, debt, district + DISTRICT * groups])
    repaid = random.uniform(size=PEOPLE) < 1 / (1 + np.exp(-table @ TRUTH))
    lost = (groups == 1) & (random.uniform(size=PEOPLE) < UNFAIR)
    return Records(lhx.Dataset(table, repaid & ~lost, name="records"), groups, repaid)


def predictor() -> lhx.Predictor:
    """Logistic regression; the group is no input."""
    names = ("constant", "income", "debt", "district")
    return lhx.Predictor(LogOdds(lhx.real(np.zeros(4), name=names)), lhx.likelihoods.Bernoulli())


def fits(known: Records, **how: object) -> list[lhx.Fit]:
    """One for each weight. It multiplies a term that does not grow with the number of people."""
    term = lhx.terms.DemographicParity(known.groups, **how)
    weights = WEIGHTS * PEOPLE
    return [lhx.fit(lhx.NLL() + w * term, predictor(), known.data) for w in weights]


def probabilities(fit: lhx.Fit) -> np.ndarray:
    """The predicted probability of repaying, for each person."""
    return np.asarray(fit.predictor(*fit.data.arguments).mean)


def accuracy(fit: lhx.Fit, outcome: np.ndarray) -> float:
    """The share of people of whom the likelier outcome is the one that came."""
    return float(np.mean((probabilities(fit) > 0.5) == outcome))


def accepted(fit: lhx.Fit, groups: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """The share of each group above each line, shape `(groups, lines)`."""
    found = probabilities(fit)
    return np.array([np.mean(found[groups == g][:, None] > lines, axis=0) for g in (0, 1)])


def main() -> tuple[Records, dict[str, list[lhx.Fit]]]:
    """Fits by both comparisons, prints what they say, draws the picture."""
    known = records()
    found = {
        "means": fits(known),
        "distributions": fits(known, compare="distributions", smoothing=0.02),
    }
    term = lhx.terms.DemographicParity(known.groups)
    recorded = np.asarray(known.data.values) == 1
    columns = ("weight", "difference", "district", "records", "truth")
    print(f"{'compare':14}" + "".join(f"{name:>11}" for name in columns))
    for name, each in found.items():
        for weight, fit in zip(WEIGHTS, each, strict=True):
            difference = float(term.disparity(fit.predictor, known.data))
            district = fit.estimates["coefficients"][3]
            shares = accuracy(fit, recorded), accuracy(fit, known.repaid)
            print(
                f"{name:14}{weight:11.1f}{difference:11.4f}{district:11.3f}"
                f"{shares[0]:11.3f}{shares[1]:11.3f}"
            )
    draw(known, found)
    return known, found


def draw(known: Records, found: dict[str, list[lhx.Fit]]) -> None:
    """Agreement with records and truth along the weights; who is above which line."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    term = lhx.terms.DemographicParity(known.groups)
    recorded = np.asarray(known.data.values) == 1
    path = found["means"]
    differences = [float(term.disparity(fit.predictor, known.data)) for fit in path]
    for outcome, label, style in (
        (known.repaid, "the truth", "o-"),
        (recorded, "the records", "s--"),
    ):
        left.plot(differences, [accuracy(fit, outcome) for fit in path], style, ms=4, label=label)
    left.set(xlabel="difference of the groups' mean predictions", ylabel="share predicted right")
    left.legend(frameon=False, title="compared with")
    lines = np.linspace(0.02, 0.98, 97)
    for fit, label, colour in (
        (path[0], "likelihood alone", "C3"),
        (path[-1], "parity of means", "C0"),
        (found["distributions"][-1], "parity of distributions", "C2"),
    ):
        first, second = accepted(fit, known.groups, lines)
        right.plot(lines, first - second, color=colour, label=label)
    right.axhline(0, color="0.7", lw=0.8, zorder=0)
    right.set(xlabel="line drawn at this probability", ylabel="share above it: group 0 - group 1")
    right.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.53, 0.2))
    picture = Path("fair_lending.png").resolve()
    figure.savefig(picture, dpi=120)
    plt.close(figure)
    print(f"The picture is at {picture}")


def check(known: Records, found: dict[str, list[lhx.Fit]]) -> None:
    """What this script claims."""
    term = lhx.terms.DemographicParity(known.groups)
    recorded = np.asarray(known.data.values) == 1
    lines = np.linspace(0.05, 0.95, 91)
    for name, each in found.items():
        for weight, fit in zip(WEIGHTS, each, strict=True):
            assert fit.success, (name, weight, fit.message)
        free, fair = each[0], each[-1]
        # The records' unfairness was learned, through the district, and is unlearned ...
        before = float(term.disparity(free.predictor, known.data))
        after = float(term.disparity(fair.predictor, known.data))
        assert before > 0.08
        assert after < 0.003
        assert free.estimates["coefficients"][3] < -0.2
        assert abs(fair.estimates["coefficients"][3]) < 0.05
        # ... which costs agreement with the records, and gains agreement with the truth.
        assert accuracy(fair, recorded) < accuracy(free, recorded)
        assert accuracy(fair, known.repaid) > accuracy(free, known.repaid) + 0.01
        # What is said of income and debt stays, relative to each other, what it is in truth.
        _, income, debt, _ = fair.estimates["coefficients"]
        assert abs(income / debt - TRUTH[1] / TRUTH[2]) < 0.1
        # Wherever the line is drawn, nearly the same share of both groups is above it.
        first, second = accepted(fair, known.groups, lines)
        assert np.max(np.abs(first - second)) < 0.05, name
        first, second = accepted(free, known.groups, lines)
        assert np.max(np.abs(first - second)) > 0.15, name
    print("With parity the fit agrees less with the records, and more with the truth.")


if __name__ == "__main__":
    check(*main())
