"""What an objective and some numbers look like at one point."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._compile import begin
from ..._parameters import map_nodes, unpack
from ...fits import Problem
from ...models import AbstractSimulator
from ...objectives import Unknowns
from ._quantity import LINEAR_REACH, Numbers, Quantity

# Beyond this many parameters there is no Hessian, and the fitter's own units must do.
_DENSE_LIMIT = 256


@dataclass(frozen=True, eq=False)
class Local:
    """An objective near its minimum, and how numbers depend on the parameters there.

    **Attributes:**

    - `theta`, `total`: the point, in the fitter's space, and the objective there.
    - `numbers`: the coordinates of the numbers that may be asked for.
    - `slopes`: their gradients, shape `(numbers, size)`.
    - `inverse`: of the Hessian; very large where the objective says nothing.
    """

    theta: np.ndarray
    total: float
    numbers: np.ndarray
    slopes: np.ndarray
    inverse: np.ndarray

    def standard_error(self, which: int) -> float:
        """By the curvature, of one coordinate."""
        slope = self.slopes[which]
        return float(np.sqrt(slope @ self.inverse @ slope))

    def known_error(self, quantity: Quantity) -> float:
        """The same, infinite where the objective is flat but for rounding."""
        error = self.standard_error(quantity.which)
        # Could be moved further than anybody would look.
        far = LINEAR_REACH * max(abs(float(self.numbers[quantity.which])), 1.0)
        return math.inf if error >= far else error

    def tangent(self, which: int) -> np.ndarray:
        """How the minimum moves with one coordinate that is held at a value."""
        moved = self.inverse @ self.slopes[which]
        return np.asarray(moved / (self.slopes[which] @ moved))


class Look:
    """Looks at points of one problem; compiled once, on a thread of its own.

    `compile_seconds` is what the caller waited for that.
    """

    def __init__(self, problem: Problem, of: Numbers):
        theta = jnp.asarray(np.array(problem.start()))
        values = getattr(problem.data, "values", None)
        # By itself, so that other values of the same data take its place.
        self._finish = begin(_look, of, problem.unknowns, problem.data, values, theta)
        self._called: Any = None
        self.compile_seconds = 0.0

    def ready(self) -> None:
        """Waits until it is compiled."""
        if self._called is None:
            self._called = self._finish()
            self.compile_seconds = self._called[2]

    def __call__(self, theta: np.ndarray, values: np.ndarray | None = None) -> Local:
        """The point, with other values than the data have if any are given."""
        self.ready()
        executable, arrays, _ = self._called
        given = list(arrays)
        given[-1] = np.asarray(theta, np.asarray(arrays[-1]).dtype)
        if values is not None:
            given[-2] = values.astype(np.asarray(arrays[-2]).dtype)
        total, numbers, slopes, hessian = jax.device_get(executable(given))
        return Local(np.asarray(theta), float(total), numbers, slopes, _inverse(hessian))


def _look(
    of: Numbers, unknowns: Unknowns, data: Any, values: Any, theta: Float[Array, " size"]
) -> tuple[Array, Array, Array, Array]:
    if values is not None:
        data = data.with_values(values)
    # Second derivatives only go forwards through a solver, whatever the fit itself did.
    unknowns = map_nodes(AbstractSimulator, lambda node: node.differentiated("forward"), unknowns)
    total = lambda vector: unpack(vector, unknowns).evaluate(data).total
    numbers = lambda vector: of(vector, unknowns)
    hessian = jnp.eye(theta.size, dtype=theta.dtype)
    if theta.size <= _DENSE_LIMIT:
        hessian = jax.jacfwd(jax.jacfwd(total))(theta)
    return total(theta), numbers(theta), jax.jacfwd(numbers)(theta), hessian


def _inverse(hessian: np.ndarray) -> np.ndarray:
    """The inverse, flat directions as uncertain as rounding lets one say."""
    if not np.all(np.isfinite(hessian)):
        return np.eye(len(hessian))
    diagonal = np.diag(hessian)
    largest = max(float(np.max(diagonal)), np.finfo(float).tiny)
    # What the objective says nothing of has no scale of its own; the fitter's is of order one.
    floor = np.finfo(float).eps * largest
    scale = np.sqrt(np.where(diagonal > floor, diagonal, 1.0))
    strengths, directions = np.linalg.eigh(hessian / np.outer(scale, scale))
    least = strengths.size * np.finfo(float).eps * max(float(np.max(strengths)), 1.0)
    directions = directions / scale[:, None]
    return np.asarray((directions / np.maximum(strengths, least)) @ directions.T)
