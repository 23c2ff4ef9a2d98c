"""Estimate and standard error."""

from typing import final

import numpy as np

from ._intervals import AbstractIntervals, Ends, Estimated


@final
class Wald(AbstractIntervals):
    """So many standard errors about the estimate, in natural units: symmetric, even past a bound.

    Standard errors by the observed information.
    """

    @property
    def title(self) -> str:
        """`wald`."""
        return "wald"

    def ends(self, estimated: Estimated, root: float) -> Ends:
        """See `AbstractIntervals`."""
        values, errors = estimated.values, root * estimated.standard_errors
        return Ends(values - errors, values + errors, np.isfinite(errors))
