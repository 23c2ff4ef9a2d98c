"""Where the profile has risen by half a chi-square quantile."""

from typing import final

import numpy as np

from ._intervals import AbstractIntervals, Ends, Estimated


@final
class Profiled(AbstractIntervals):
    """Where the profile likelihood has risen enough for a likelihood-ratio test to reject.

    An end is infinite, or the end of the range, where it does not.
    """

    @property
    def title(self) -> str:
        """`profile`."""
        return "profile"

    @property
    def needs_walks(self) -> bool:
        """It does."""
        return True

    def ends(self, estimated: Estimated, root: float) -> Ends:
        """See `AbstractIntervals`."""
        found = np.zeros((len(estimated.quantities), 2))
        known = np.ones(len(estimated.quantities), bool)
        for i, (quantity, walks) in enumerate(
            zip(estimated.quantities, estimated.walks, strict=True)
        ):
            for k, walk in enumerate(walks):
                at = walk.found(root)
                if at is not None:
                    found[i, k] = estimated.units.one(quantity.which, at)
                else:
                    found[i, k] = quantity.ends[k]
                    known[i] &= walk.end in ("reach", "edge")
        return Ends(found.min(axis=1), found.max(axis=1), known)
