"""How far the estimates may be off, in the fitter's space and through any function of it."""

from typing import NamedTuple

import numpy as np

# A number of which a flat direction makes up more than this share is not determined.
_NOTICED = 1e-6


class Covariance(NamedTuple):
    """The covariance of the parameters, in natural units, and what is not determined.

    **Attributes:**

    - `matrix`: shape `(parameters, parameters)`; an infinite variance, and zero covariances,
        for a parameter that the data do not determine.
    - `determined`: for each parameter, whether the data determine it.
    """

    matrix: np.ndarray
    determined: np.ndarray


class Spread(NamedTuple):
    """The covariance in unconstrained, unit-scaled space, direction by direction.

    **Attributes:**

    - `strengths`: the eigenvalues of the information, its diagonal scaled to 1, shape `(size,)`.
    - `directions`: what each of them moves, one a column, shape `(size, size)`: not scaled.
    - `usable`: which of them are not lost in the rounding of the strongest.
    - `factor`: a matrix whose product with its transpose is the covariance on those.
    """

    strengths: np.ndarray
    directions: np.ndarray
    usable: np.ndarray
    factor: np.ndarray

    def through(self, jacobian: np.ndarray) -> Covariance:
        """The covariance of what depends on the parameters by a Jacobian `(outputs, size)`."""
        spread = jacobian @ self.factor
        matrix = spread @ spread.T
        lost = ~self.determines(jacobian)
        matrix[lost, :] = 0.0
        matrix[:, lost] = 0.0
        matrix[lost, lost] = np.inf
        return Covariance(matrix, ~lost)

    def determines(self, jacobian: np.ndarray) -> np.ndarray:
        """Which outputs do not change, noticeably, along a flat direction."""
        flat = np.abs(jacobian @ self.directions[:, ~self.usable])
        reach = np.linalg.norm(jacobian @ self.directions, axis=1, keepdims=True)
        known: np.ndarray = np.all(
            flat <= _NOTICED * np.maximum(reach, np.finfo(float).tiny), axis=1
        )
        return known

    def sandwiched(self, scores: np.ndarray) -> "Spread":
        """With the scatter of the scores, one a row, between two of these."""
        weighed = self.factor @ (self.factor.T @ scores.T)
        return self._replace(factor=weighed)


def spread_of_hessian(hessian: np.ndarray) -> Spread:
    """Inverts an information matrix direction by direction."""
    diagonal = np.diag(hessian)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    strengths, directions = np.linalg.eigh(hessian / np.outer(scale, scale))
    floor = strengths.size * np.finfo(float).eps
    return _spread(strengths, floor, directions / scale[:, None])


def spread_of_rows(rows: np.ndarray) -> Spread:
    """Inverts `rows.T @ rows` without forming it, which would lose half the digits."""
    lengths = np.linalg.norm(rows, axis=0)
    scale = np.where(lengths > 0, lengths, 1.0)
    # The triangle first: the left singular vectors of many rows would not fit into memory.
    _, singular, right = np.linalg.svd(np.linalg.qr(rows / scale, mode="r"), full_matrices=True)
    strengths = np.zeros(right.shape[0])
    strengths[: singular.size] = singular**2
    floor = (strengths.size * np.finfo(float).eps) ** 2
    return _spread(strengths, floor, right.T / scale[:, None])


def nothing_known(size: int) -> Spread:
    """Of estimates at which the objective has no value."""
    none = np.zeros(size)
    return Spread(none, np.eye(size), none > 0, np.zeros((size, 0)))


def _spread(strengths: np.ndarray, floor: float, directions: np.ndarray) -> Spread:
    # Directions weaker than rounding in the strongest one cannot be told from flat ones.
    usable = strengths > floor * max(float(np.max(strengths)), 0.0)
    factor = directions[:, usable] / np.sqrt(strengths[usable])
    return Spread(strengths, directions, usable, factor)
