"""Predicted distributions beside what was measured, for methods that use their curvature."""

from typing import Protocol, runtime_checkable

import equinox as eqx
from jaxtyping import Array, Float

from .._result import RESULTS
from ..models import Solves


@runtime_checkable
class CurvedLoss(Protocol):
    """An elementwise loss with a positive curvature; every regular likelihood is one.

    Its functions take a tuple of `k` outputs, each shaped like `values`.
    """

    @property
    def majorises(self) -> bool:
        """Whether `curvature` may be much larger than `information`."""

    def kernel(self, outputs: tuple[Array, ...], values: Array) -> Array:
        """The loss of each value."""

    def curvature(self, outputs: tuple[Array, ...], values: Array) -> Array:
        """A positive matrix for each value, shape `(k, k, *values.shape)`."""

    def information(self, outputs: tuple[Array, ...]) -> Array:
        """Its expectation, of the same shape."""


class Observations(eqx.Module):
    """What one part of an objective compares, before anything is reduced.

    **Attributes:**

    - `outputs`: the distribution's parameters on the kernel's scales, each shaped like `values`.
    - `values`: the measured values, stand-ins where nothing was measured.
    - `weights`: how much each counts, shaped like `values`; 0 where nothing was measured.
    - `result`: how the solve behind the prediction ended.
    - `accuracy`: the relative error of the prediction that is to be expected.
    - `solves`: how far each of several experiments was solved.
    """

    outputs: tuple[Array, ...]
    values: Array
    weights: Float[Array, "..."]
    result: RESULTS
    accuracy: float = eqx.field(static=True)
    solves: Solves | None = None

    def weighted(self, weight: Array) -> "Observations":
        """The same, each value counting `weight` times as much."""
        scaled = weight.astype(self.weights.dtype) * self.weights
        return eqx.tree_at(lambda seen: seen.weights, self, scaled)
