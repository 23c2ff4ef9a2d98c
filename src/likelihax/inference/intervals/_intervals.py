"""What a kind of intervals is, and what it may look at."""

import abc
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ...fits import Fit
from .._profiles._quantity import Quantity, Units
from .._profiles._walk import Walk


class Ends(NamedTuple):
    """The intervals of all fitted numbers, in natural units.

    **Attributes:**

    - `lower`, `upper`: shape `(numbers,)`; infinite where there is no end.
    - `known`: whether there is an interval at all.
    """

    lower: np.ndarray
    upper: np.ndarray
    known: np.ndarray


@dataclass(frozen=True, eq=False)
class Estimated:
    """A fit to simulated data that converged, and what intervals are made of.

    **Attributes:**

    - `fit`: the fit itself.
    - `values`: the estimates, natural and flat, in the order of the labels.
    - `coordinates`: the same, each in a coordinate without bounds.
    - `slopes`: how much the natural values change for each unit of these.
    - `standard_errors`: by the observed information, natural; infinite where it says nothing.
    - `walks`: how each profile leaves the minimum to both sides, where that was asked for.
    """

    fit: Fit
    quantities: tuple[Quantity, ...]
    units: Units
    values: np.ndarray
    coordinates: np.ndarray
    slopes: np.ndarray
    standard_errors: np.ndarray
    walks: tuple[tuple[Walk, Walk], ...] = field(default=())


class AbstractIntervals(abc.ABC):
    """A way to say how sure one is of each fitted number."""

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """What it is called in a table."""

    @property
    def needs_walks(self) -> bool:
        """Whether it looks at profiles."""
        return False

    @abc.abstractmethod
    def ends(self, estimated: Estimated, root: float) -> Ends:
        """The intervals; `root` is the Normal quantile of their level, 1.96 for 95 %."""
