"""That nothing is known of a parameter beforehand, said in so many words."""

from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from .._parameters import KNOWN, positions
from ..objectives._objective import Evaluation, evaluated
from ..objectives._observations import CurvedLoss, Observations
from ._selection import Where, check_where, is_places
from ._term import AbstractTerm


@final
class Flat(AbstractTerm):
    """A flat prior: the density is the same at all natural values, an improper one as a rule.

    It adds nothing to an objective. A posterior needs a prior on every fitted number, and this
    says that none is known: the posterior is then the likelihood, normalised, if it can be.

    **Arguments:**

    - `where`: from the predictor to what is meant, leaves or parts of them; what is known (frozen)
        there is left out.
    - `name`: what it is called in a breakdown.
    """

    where: Where
    name: str | None = eqx.field(static=True)

    def __init__(self, where: Where, *, name: str | None = None):
        check_where(where, "Flat", "lambda p: p.model.coefficients")
        self.where = where
        self.name = name

    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """Zero."""
        return evaluated(jnp.zeros(()))

    def check(self, predictor: Any, data: Any) -> None:
        """Checks that something fitted is selected."""
        try:
            found = self.where(positions(predictor))
        except (AttributeError, TypeError, IndexError, KeyError) as error:
            raise ValueError(
                f"{self.title}: where cannot be applied to the predictor ({error}). It must select "
                "leaves or parts of them, for instance lambda p: p.model.coefficients[1:]."
            ) from error
        arrays = [leaf for leaf in jtu.tree_leaves(found) if is_places(leaf)]
        if not any(np.any(leaf != KNOWN) for leaf in arrays):
            raise ValueError(f"{self.title}: where selects nothing that is fitted.")

    def losses(self, predictor: Any) -> tuple[CurvedLoss, ...] | None:
        """None: it adds nothing, and keeps no method from the curvature of the rest."""
        return ()

    def observations(self, predictor: Any, data: Any) -> tuple[Observations, ...]:
        """None."""
        return ()

    @property
    def title(self) -> str:
        """The name that it was given, or `flat prior`."""
        return "flat prior" if self.name is None else self.name
