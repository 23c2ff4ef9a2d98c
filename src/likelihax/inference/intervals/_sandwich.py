"""Standard errors that do not take the likelihood's word for the scatter."""

from typing import final

import numpy as np

from ._intervals import AbstractIntervals, Ends, Estimated


@final
class Sandwich(AbstractIntervals):
    """So many robust standard errors about the estimate, in natural units.

    **Arguments:**

    - `cluster`: what was measured independently, as for `Fit.covariance`.
    """

    def __init__(self, cluster: str = "row"):
        self.cluster = cluster

    @property
    def title(self) -> str:
        """`sandwich`."""
        return "sandwich"

    def ends(self, estimated: Estimated, root: float) -> Ends:
        """See `AbstractIntervals`."""
        covariance = estimated.fit.covariance("sandwich", cluster=self.cluster)
        errors = root * np.sqrt(np.diag(covariance.matrix))
        values = estimated.values
        return Ends(values - errors, values + errors, np.isfinite(errors))
