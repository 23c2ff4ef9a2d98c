"""What data are to everything that is fitted to them."""

import abc
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array


class AbstractData(eqx.Module):
    """Measured values and what the model needs to predict them."""

    values: eqx.AbstractVar[Array]
    observed: eqx.AbstractVar[Array]
    name: eqx.AbstractVar[str]
    observables: eqx.AbstractVar[tuple[str, ...]]

    @property
    @abc.abstractmethod
    def arguments(self) -> tuple[Any, ...]:
        """What the model is called with."""

    @property
    def experiments(self) -> "tuple[AbstractData, ...]":
        """What is solved by itself: each of several experiments, or all of the data."""
        return (self,)

    @property
    def members(self) -> dict[str, tuple[str, ...]]:
        """Who parameters may vary by: for each kind, its members; none for a table."""
        return {}

    @property
    def num_observed(self) -> int:
        """How many values were measured, missing ones left out."""
        return int(np.sum(np.asarray(self.observed)))

    def with_values(self, values: Array) -> "AbstractData":
        """The same, as if other values had been measured; traceable, nothing is checked."""
        other: AbstractData = eqx.tree_at(lambda data: data.values, self, values)
        return other
