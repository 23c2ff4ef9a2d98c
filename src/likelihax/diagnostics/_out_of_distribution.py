"""How well scores tell what is strange from what is usual."""

import math
from dataclasses import dataclass

import numpy as np
from rich.table import Table
from rich.text import Text
from scipy import stats

from .._rendering import render
from ._scores import Scores, as_scores

_USUAL_SHARE = 0.95


@dataclass(frozen=True, repr=False)
class OutOfDistribution:
    """How well a score tells the strange from the usual; what `out_of_distribution` returns.

    **Attributes:**

    - `auroc`: how often one of the strange has a higher score than one of the usual, a tie counting
        half: the area under the ROC curve. 0.5 is chance.
    - `auprc`: the average precision, strange ones being what is looked for. Chance is `prevalence`.
    - `threshold`: the least score that at most 5 % of the usual are above.
    - `caught`: the share of the strange above that.
    - `false_alarms`: the share of the usual at or above the highest score that 95 % of the strange
        reach.
    - `num_usual`, `num_strange`: how many there were.
    """

    auroc: float
    auprc: float
    threshold: float
    caught: float
    false_alarms: float
    num_usual: int
    num_strange: int

    @property
    def prevalence(self) -> float:
        """The share of the strange among all."""
        return self.num_strange / (self.num_usual + self.num_strange)

    def __repr__(self) -> str:
        return self._rendered(html=False)

    def _repr_html_(self) -> str:
        return self._rendered(html=True)

    def _rendered(self, html: bool) -> str:
        table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
        for head in ("", "found", "by chance"):
            table.add_column(head, justify="left" if not head else "right")
        for row in (
            ("AUROC", self.auroc, 0.5),
            ("AUPRC (average precision)", self.auprc, self.prevalence),
            ("strange ones caught at 5 % false alarms", self.caught, 0.05),
            ("false alarms where 95 % are caught", self.false_alarms, 0.95),
        ):
            table.add_row(Text(row[0]), *(Text(f"{each:.3f}") for each in row[1:]))
        title = f"Strange or usual: {self.num_strange} strange, {self.num_usual} usual scores"
        return render(Text(title, style="bold"), table, html=html)


def out_of_distribution(usual: Scores, strange: Scores) -> OutOfDistribution:
    """How well scores tell what is known to be strange from what is known to be usual.

    **Arguments:**

    - `usual`: scores of what is like the data that were learnt from, but was not among them:
        what has been learnt is more familiar than anything to come.
    - `strange`: scores of what is unlike them. Higher scores are to mean stranger, as those of
        `strangeness` do.

    Ties count as ties, nothing is interpolated. The answer holds for this kind of strangeness: what
    is told apart from noise may not be told apart from a near miss. Raises `ValueError` for NaN or
    where there is nothing.
    """
    low = as_scores(usual, "out_of_distribution: usual")
    high = as_scores(strange, "out_of_distribution: strange")
    threshold = np.sort(low)[math.ceil(_USUAL_SHARE * low.size) - 1]
    reached = np.sort(high)[::-1][math.ceil(_USUAL_SHARE * high.size) - 1]
    ranks = stats.rankdata(np.concatenate([high, low]))[: high.size]
    pairs = ranks.sum() - 0.5 * high.size * (high.size + 1)
    return OutOfDistribution(
        auroc=float(pairs / high.size / low.size),
        auprc=_average_precision(low, high),
        threshold=float(threshold),
        caught=float(np.mean(high > threshold)),
        false_alarms=float(np.mean(low >= reached)),
        num_usual=low.size,
        num_strange=high.size,
    )


def _average_precision(low: np.ndarray, high: np.ndarray) -> float:
    """The precision at each score that occurs, weighted by the strange ones found there."""
    levels, which = np.unique(np.concatenate([high, low]), return_inverse=True)
    count = lambda of: np.bincount(of, minlength=levels.size)[::-1]
    strange, usual = count(which[: high.size]), count(which[high.size :])
    found = np.cumsum(strange)
    precision = found / (found + np.cumsum(usual))
    return float(strange @ precision / high.size)
