"""How good predictive distributions of the test rows are, and the table of it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.uci import published
from benchmarks.uci.methods import Said
from benchmarks.uci.sets import Split


class Score(NamedTuple):
    """Of one split: nats a row, and the target's own unit."""

    nll: float
    rmse: float


# The splits' scores by the method, and by whether it is one network or an ensemble.
Scores = Mapping[tuple[str, str], Sequence[Score]]


def scores_of(said: Mapping[str, Said], split: Split) -> dict[tuple[str, str], Score]:
    """The scores of what was said, in the target's own unit."""
    found = {}
    for name, each in said.items():
        for kind, predictive in (("single", each.single), ("ensemble", each.ensemble)):
            if predictive is not None:
                found[name, kind] = _score(predictive, split)
    return found


def _score(predictive: Any, split: Split) -> Score:
    scaled = ((split.test_target - split.centre) / split.unit).astype(split.target.dtype)
    density = np.asarray(predictive.log_prob(scaled), float) - np.log(split.unit)
    away = np.asarray(predictive.mean, float) * split.unit + split.centre - split.test_target
    return Score(float(-np.mean(density)), float(np.sqrt(np.mean(away**2))))


def lines(name: str, scores: Scores) -> list[str]:
    """The rows of a set: each method, then what papers print."""
    found = []
    for (method, kind), each in scores.items():
        nll, rmse = "{:8.3f} ± {:5.3f}".format(*nll_of(each)), _of_any_size(*rmse_of(each))
        found.append(f"  {method:16} {kind:9} {nll}   {rmse}")
    for who, nll in published.NLL.get(name, {}).items():
        found.append(f"  {who:16} {'published':9} {nll:8.2f}")
    return found


def nll_of(scores: Sequence[Score]) -> tuple[float, float]:
    """Mean and standard error over the splits."""
    return _mean_and_error([one.nll for one in scores])


def rmse_of(scores: Sequence[Score]) -> tuple[float, float]:
    """The same of the errors."""
    return _mean_and_error([one.rmse for one in scores])


def _of_any_size(mean: float, error: float) -> str:
    return f"{mean:8.4g} ± {error:.2g}"


def _mean_and_error(numbers: Sequence[float]) -> tuple[float, float]:
    error = np.std(numbers, ddof=1) / np.sqrt(len(numbers)) if len(numbers) > 1 else np.nan
    return float(np.mean(numbers)), float(error)


def lost(scores: Scores) -> int:
    """How many scores are not finite."""
    return sum(not np.all(np.isfinite(one)) for each in scores.values() for one in each)


def no_worse(name: str, scores: Scores, kind: str) -> bool | None:
    """Whether what was chosen is at or below what is published; `None` where nothing is."""
    bar = published.best(name, networks=kind == "single")
    reached, _ = nll_of(scores["chosen", kind])
    return None if bar is None else bool(reached <= bar)
