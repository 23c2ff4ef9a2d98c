"""Whether a batch without labels is like the data of reference."""

import textwrap
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from ._scores import Scores, as_scores

_WIDTH = 96
# As many ranks as SciPy's exact distribution is quick for.
_EXACT = 2000


@dataclass(frozen=True, repr=False)
class Verdict:
    """What `verdict` found; `print(verdict)` reads it out.

    **Attributes:**

    - `p_value`: how often a batch as usual as the reference would be as strange as this one.
    - `chance`: how often a row of the batch has a higher score than one of the reference, a tie
        counting half. 0.5 is as usual.
    - `p_values`: of each row, how often one as usual as the reference would be as strange.
    - `flagged`: which rows are strange, of which a share of `level` at most is a false alarm, on
        average over batches.
    - `level`: from which p-value on something counts.
    - `num_usual`: how many scores of reference there were.
    """

    p_value: float
    chance: float
    p_values: Float[np.ndarray, " batch"]
    flagged: Bool[np.ndarray, " batch"]
    level: float
    num_usual: int

    @property
    def unlike(self) -> bool:
        """Whether the batch as a whole is stranger than the reference."""
        return self.p_value <= self.level

    @property
    def num_flagged(self) -> int:
        """How many single rows are strange."""
        return int(self.flagged.sum())

    @property
    def least_flagged(self) -> int:
        """How many rows have to be stranger than all of the reference to be flagged."""
        return max(1, int(np.ceil(self.flagged.size / (self.num_usual + 1) / self.level - 1e-9)))

    @property
    def sentence(self) -> str:
        """What that means, and what to do."""
        size = self.flagged.size
        rows = f"{self.num_flagged} of {size} rows"
        if self.unlike and self.num_flagged:
            found = f"The batch is unlike the reference, {rows} by themselves."
            what = "Do not use predictions for those, and find out where they come from."
        elif self.unlike:
            found = "The batch is unlike the reference, though no single row stands out."
            what = (
                "Something has shifted, a little in many rows or more in a few: look at what is "
                "measured how, and take no error rate of the reference for this batch."
            )
        elif self.num_flagged:
            found = f"The batch as a whole is like the reference, but {rows} are not."
            what = "Look at those that are flagged before their predictions are used."
        else:
            found = "Nothing shows that the batch is unlike the reference."
            what = "That is no proof: this score may be blind to what has changed."
        return f"{found} {what}"

    def __repr__(self) -> str:
        lines = [
            f"{self.sentence}",
            f"Batch: a row of it is stranger than one of {self.num_usual} of reference with "
            f"probability {self.chance:.3f} (Mann-Whitney p = {self.p_value:.2g}, level "
            f"{self.level:g}).",
            f"Rows: {self.num_flagged} of {self.flagged.size} flagged (Benjamini-Hochberg), the "
            f"least p-value {self.p_values.min():.2g}.",
        ]
        if self.least_flagged > 1:
            lines.append(
                f"With so few of reference, fewer than {self.least_flagged} strange rows cannot be "
                "told from chance."
            )
        return "\n".join(textwrap.fill(line, _WIDTH, subsequent_indent="  ") for line in lines)


def verdict(usual: Scores, batch: Scores, *, level: float = 0.01) -> Verdict:
    r"""Whether a batch without labels is unlike the data of reference, as a whole or row by row.

    As a whole by the one-sided test of Mann and Whitney, exact for few scores without ties. Row
    by row by conformal p-values,

    $$p_j = \frac{1 + \#\{i : u_i \ge s_j\}}{n + 1},$$

    and after Benjamini and Hochberg, whose expected share of false alarms among what is flagged is
    `level` at most, although all rows share one reference (S. Bates, E. Candès, L. Lei, Y. Romano
    and M. Sesia 2023, "Testing for outliers with conformal p-values", Annals of Statistics 51).

    **Arguments:**

    - `usual`: $u$, scores of reference, see `strangeness`: of held-out data, as what was learnt
        from is too familiar. Before any of it is looked at, rows of reference and batch must be
        exchangeable; those of one patient, or of one hour, are not.
    - `batch`: $s$, scores of what is asked about.
    - `level`: how often a usual batch may be called unlike, and the share of false alarms among
        flagged rows. One strange row among $m$ can be flagged from $n \ge m / \text{level} - 1$.

    Less strange than the reference is as usual. Raises `ValueError` for NaN, where there is
    nothing, or for a level that is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"verdict: level must be between 0 and 1, got {level}.")
    reference = as_scores(usual, "verdict: usual")
    asked = as_scores(batch, "verdict: batch")
    ranks = stats.rankdata(np.concatenate([asked, reference]))
    pairs = ranks[: asked.size].sum() - 0.5 * asked.size * (asked.size + 1)
    below = np.searchsorted(np.sort(reference), asked, side="left")
    p_values = (1 + reference.size - below) / (reference.size + 1)
    return Verdict(
        p_value=_mann_whitney(ranks, asked, reference),
        chance=float(pairs / asked.size / reference.size),
        p_values=p_values,
        flagged=_benjamini_hochberg(p_values, level),
        level=level,
        num_usual=reference.size,
    )


def _mann_whitney(ranks: np.ndarray, asked: np.ndarray, reference: np.ndarray) -> float:
    if np.ptp(ranks) == 0:
        return 1.0  # all are alike: SciPy divides by their spread
    ties = np.unique(ranks).size < ranks.size
    exact = not ties and asked.size * reference.size <= _EXACT
    # SciPy needs numbers, and an infinite score is only the highest of them: ranks serve as well.
    own, other = ranks[: asked.size], ranks[asked.size :]
    method = "exact" if exact else "asymptotic"
    found = stats.mannwhitneyu(own, other, alternative="greater", method=method)
    return float(found.pvalue)


def _benjamini_hochberg(p_values: np.ndarray, level: float) -> np.ndarray:
    """All up to the largest that is at most its rank's share of the level."""
    increasing = np.sort(p_values)
    allowed = level * np.arange(1, p_values.size + 1) / p_values.size
    # A share that is met exactly is met, whatever the last digit says.
    good = np.flatnonzero(increasing <= allowed * (1 + 1e-12))
    if not good.size:
        return np.zeros(p_values.shape, bool)
    flagged: np.ndarray = p_values <= increasing[good[-1]]
    return flagged
