"""What fits to simulated data say of estimates and intervals."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtri

from .._profiles._table import refits_table
from ..intervals import Ends


@dataclass(frozen=True, eq=False, repr=False)
class SimulatedRefits:
    """What fits to simulated data found. `print(refits)` shows it as a table.

    All arrays are of the fits that converged, natural and flat in the order of `names`.

    **Attributes:**

    - `names`: what the fitted numbers are called.
    - `level`: that of the intervals.
    - `num`: how many data sets were to be simulated.
    - `results`: how each fit ended, the names in `likelihax.RESULTS`.
    - `truth`: what the data were simulated with, shape `(numbers,)`.
    - `estimates`: shape `(fits, numbers)`.
    - `standard_errors`: by the observed information of each fit; infinite where it says nothing.
    - `ends`: for each kind of intervals their lower and upper ends, and whether there is one; each
        of shape `(fits, numbers)`.
    - `roots`: the signed roots of the likelihood ratio of each true value, standard
        Normal for many data; infinite where not known, or not asked for.
    - `failed_solves`: at how many points the model could not be solved, in all fits.
    - `compile_seconds`, `run_seconds`: what that took; 0 where it was compiled before.
    """

    names: tuple[str, ...]
    level: float
    num: int
    results: tuple[str, ...]
    truth: np.ndarray
    estimates: np.ndarray
    standard_errors: np.ndarray
    ends: dict[str, Ends]
    roots: np.ndarray
    failed_solves: int
    compile_seconds: float
    run_seconds: float

    @property
    def endings(self) -> dict[str, int]:
        """How many fits ended in each way, the most frequent first."""
        return dict(Counter(self.results).most_common())

    @cached_property
    def bias(self) -> np.ndarray:
        """The mean of the estimates less the truth; its error is `sd / sqrt(fits)`."""
        return np.mean(self.estimates, axis=0) - self.truth

    @cached_property
    def sd(self) -> np.ndarray:
        """The standard deviation of the estimates: what standard errors should be."""
        return np.std(self.estimates, axis=0, ddof=1)

    @cached_property
    def mean_standard_error(self) -> np.ndarray:
        """The root of the mean squared standard error; infinite where one is."""
        return np.sqrt(np.mean(self.standard_errors**2, axis=0))

    @cached_property
    def coverage(self) -> dict[str, np.ndarray]:
        """For each kind the share of intervals with the truth inside, of those there are."""
        return {kind: self._share(kind) for kind in self.ends}

    @cached_property
    def coverage_error(self) -> dict[str, np.ndarray]:
        """The binomial standard error of each share, if intervals cover what they promise."""
        counts = {kind: np.sum(ends.known, axis=0) for kind, ends in self.ends.items()}
        promised = self.level * (1 - self.level)
        return {kind: np.sqrt(promised / np.maximum(n, 1)) for kind, n in counts.items()}

    @cached_property
    def missed(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """For each kind the shares of intervals that lie below the truth, and above it."""
        return {kind: self._missed(ends) for kind, ends in self.ends.items()}

    @cached_property
    def bartlett(self) -> np.ndarray:
        r"""What to multiply $\chi^2$ by in the profile interval of each number; 1 for many data.

        The mean of the likelihood ratio `roots**2`, which for many data is that of $\chi^2_1$. With
        few, it is larger, most for the scale of noise, of which the other parameters have fitted
        some away. Divided by its mean the ratio is $\chi^2_1$ to the second order (Bartlett 1937,
        Proceedings of the Royal Society A 160, 268-282; by simulation: Rocke 1989, Journal of the
        American Statistical Association 84, 598-601). Its relative standard error is about
        `sqrt(2 / fits)`.
        """
        return _mean_square(self.roots)

    @cached_property
    def bartlett_coverage(self) -> np.ndarray:
        """The coverage of profile intervals with that factor, taken from the other half of fits."""
        found = np.zeros((2, len(self.names)))
        halves = self.roots[::2], self.roots[1::2]
        limit = float(ndtri(0.5 + 0.5 * self.level)) ** 2
        for i, (mine, others) in enumerate((halves, halves[::-1])):
            known = np.isfinite(mine)
            inside = known & (np.where(known, mine, 0.0) ** 2 <= limit * _mean_square(others))
            found[i] = np.sum(inside, axis=0) / np.maximum(np.sum(known, axis=0), 1)
        shares = np.array([len(half) for half in halves]) / max(len(self.roots), 1)
        return np.asarray(shares @ found)

    def __repr__(self) -> str:
        return refits_table(self, False)

    def _repr_html_(self) -> str:
        return refits_table(self, True)

    def _share(self, kind: str) -> np.ndarray:
        below, above = self.missed[kind]
        return 1.0 - below - above

    def _missed(self, ends: Ends) -> tuple[np.ndarray, np.ndarray]:
        count = np.maximum(np.sum(ends.known, axis=0), 1)
        below = np.sum(ends.known & (ends.upper < self.truth), axis=0) / count
        above = np.sum(ends.known & (ends.lower > self.truth), axis=0) / count
        return below, above


def _mean_square(roots: np.ndarray) -> np.ndarray:
    known = np.isfinite(roots)
    total = np.sum(np.where(known, roots, 0.0) ** 2, axis=0)
    count = np.sum(known, axis=0)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), 1.0))
