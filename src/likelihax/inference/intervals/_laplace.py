"""The Normal approximation where there are no bounds, taken back to natural units."""

from typing import final

import numpy as np

from ._intervals import AbstractIntervals, Ends, Estimated


@final
class Laplace(AbstractIntervals):
    """So many standard errors about the estimate in the fitter's space, taken back: asymmetric.

    For a positive number those of its logarithm, for a bounded one those of its logit.
    """

    @property
    def title(self) -> str:
        """`laplace`."""
        return "laplace"

    def ends(self, estimated: Estimated, root: float) -> Ends:
        """See `AbstractIntervals`."""
        slopes = np.abs(estimated.slopes)
        known = np.isfinite(estimated.standard_errors) & (slopes > 0)
        each = np.where(known, estimated.standard_errors, 0.0) / np.where(known, slopes, 1.0)
        there = [estimated.units.all(estimated.coordinates + s * root * each)[0] for s in (-1, 1)]
        return Ends(np.minimum(*there), np.maximum(*there), known)
