"""What the data say about the parameters: Fisher information and the covariance from it."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._parameters import map_nodes, natural, pack, resolve, unpack
from .models import AbstractSimulator
from .objectives import Unknowns

InformationKind = Literal["observed", "expected"]


class Covariance(NamedTuple):
    """The covariance of the parameters, in natural units, and what is not determined.

    **Attributes:**

    - `matrix`: shape `(parameters, parameters)`; an infinite variance, and zero covariances,
        for a parameter that the data do not determine.
    - `determined`: for each parameter, whether the data determine it.
    """

    matrix: np.ndarray
    determined: np.ndarray


def observed_information(
    unknowns: Unknowns, data: Any
) -> tuple[Float[Array, "size size"], Float[Array, "natural size"]]:
    """The Hessian of the objective in the fitter's space, and the way to natural units."""
    unknowns = _forward(unknowns)
    theta = pack(unknowns)
    hessian = jax.jacfwd(jax.jacfwd(lambda t: unpack(t, unknowns).evaluate(data).total))(theta)
    return hessian, _to_natural(theta, unknowns)


def expected_rows(
    unknowns: Unknowns, data: Any
) -> tuple[Float[Array, "rows size"], Float[Array, "natural size"]]:
    """Rows whose cross product is the expected Fisher information, and the way to natural."""
    unknowns = _forward(unknowns)
    theta = pack(unknowns)

    def outputs(theta: Array) -> tuple[Any, Any]:
        now = resolve(unpack(theta, unknowns))
        seen = now.objective.observations(now.predictor, data)
        return [jnp.stack(each.outputs) for each in seen], seen

    jacobians, seen = jax.jacfwd(outputs, has_aux=True)(theta)
    losses = unknowns.objective.losses(unknowns.predictor) or ()
    rows = [
        rows_of(cholesky(loss.information(each.outputs)), jacobian, each.weights)
        for loss, each, jacobian in zip(losses, seen, jacobians, strict=True)
    ]
    return jnp.concatenate(rows), _to_natural(theta, unknowns)


def cholesky(information: Float[Array, "k k *shape"]) -> list[list[Array]]:
    """The lower triangle `L` with `L L^T` the information of each value, as lists of arrays.

    An output of which the data say nothing beyond the others has a zero column.
    """
    size = information.shape[0]
    lower: list[list[Array]] = []
    for i in range(size):
        row: list[Array] = []
        for j in range(i):
            left = information[i, j] - sum(row[k] * lower[j][k] for k in range(j))
            pivot = lower[j][j]
            row.append(jnp.where(pivot > 0, left / jnp.where(pivot > 0, pivot, 1.0), 0.0))
        rest = information[i, i] - sum(entry * entry for entry in row)
        floor = 4 * jnp.finfo(rest.dtype).eps * information[i, i]
        row.append(jnp.sqrt(jnp.where(rest > floor, rest, 0.0)))
        lower.append(row)
    return lower


def rows_of(
    lower: list[list[Array]], jacobian: Float[Array, "k *shape size"], weights: Array
) -> Float[Array, "rows size"]:
    """`L^T` times the outputs' Jacobian, value by value: rows of a least-squares problem.

    A value that weighs 4 counts as four: its rows are twice as long.
    """
    size = len(lower)
    rows = [sum(lower[i][j][..., None] * jacobian[i] for i in range(j, size)) for j in range(size)]
    root = jnp.sqrt(weights)[None, ..., None]
    stacked = jnp.where(root > 0, root * jnp.stack(rows), 0.0)
    return stacked.reshape(-1, jacobian.shape[-1])


def residuals_of(
    lower: list[list[Array]], score: Float[Array, "k *shape"], weights: Array
) -> Float[Array, " rows"]:
    """`L^-1` times the score, value by value, so that `rows.T @ residuals` is the gradient."""
    found: list[Array] = []
    for i, row in enumerate(lower):
        left = score[i] - sum(row[k] * found[k] for k in range(i))
        pivot = row[i]
        found.append(jnp.where(pivot > 0, left / jnp.where(pivot > 0, pivot, 1.0), 0.0))
    root = jnp.sqrt(weights)[None]
    return jnp.where(root > 0, root * jnp.stack(found), 0.0).reshape(-1)


def pearson_dispersion(predictor: Any, data: Any, dof: int) -> float:
    """The sum of the squared standardised residuals over the degrees of freedom left."""
    if dof <= 0:
        raise ValueError("The measured values leave no residual degrees of freedom.")
    try:
        distribution = resolve(predictor).predictive(data)
        mean, variance = distribution.mean, distribution.variance
    except NotImplementedError:
        family = type(predictor.likelihood).__name__
        raise ValueError(f"{family} has no variance to compare the residuals with.") from None
    residuals = np.square(np.asarray(data.values) - np.asarray(mean)) / np.asarray(variance)
    total = float(np.sum(residuals[np.asarray(data.observed)]))
    if not np.isfinite(total):
        raise ValueError(
            f"{type(predictor.likelihood).__name__} has no finite variance at the estimates."
        )
    return total / dof


def covariance_of_hessian(hessian: np.ndarray, to_natural: np.ndarray) -> Covariance:
    """Inverts an information matrix, direction by direction, into natural units."""
    diagonal = np.diag(hessian)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    strengths, directions = np.linalg.eigh(hessian / np.outer(scale, scale))
    floor = strengths.size * np.finfo(float).eps
    return _covariance(strengths, floor, directions / scale[:, None], to_natural)


def covariance_of_rows(rows: np.ndarray, to_natural: np.ndarray) -> Covariance:
    """Inverts `rows.T @ rows` without forming it, which would lose half the digits."""
    lengths = np.linalg.norm(rows, axis=0)
    scale = np.where(lengths > 0, lengths, 1.0)
    # The triangle first: the left singular vectors of many rows would not fit into memory.
    _, singular, right = np.linalg.svd(np.linalg.qr(rows / scale, mode="r"), full_matrices=True)
    strengths = np.zeros(right.shape[0])
    strengths[: singular.size] = singular**2
    floor = (strengths.size * np.finfo(float).eps) ** 2
    return _covariance(strengths, floor, right.T / scale[:, None], to_natural)


def _covariance(
    strengths: np.ndarray, floor: float, directions: np.ndarray, to_natural: np.ndarray
) -> Covariance:
    # Directions weaker than rounding in the strongest one cannot be told from flat ones.
    usable = strengths > floor * max(float(np.max(strengths)), 0.0)
    known = to_natural @ directions[:, usable]
    matrix = (known / strengths[usable]) @ known.T
    # A parameter is undetermined if it noticeably takes part in a flat direction.
    flat = np.abs(to_natural @ directions[:, ~usable])
    reach = np.linalg.norm(to_natural @ directions, axis=1, keepdims=True)
    undetermined = np.any(flat > 1e-6 * np.maximum(reach, np.finfo(float).tiny), axis=1)
    matrix[undetermined, :] = 0.0
    matrix[:, undetermined] = 0.0
    matrix[undetermined, undetermined] = np.inf
    return Covariance(matrix, ~undetermined)


def _forward(unknowns: Unknowns) -> Unknowns:
    # Second derivatives only go forwards through a solver, whatever the fit itself did.
    return map_nodes(AbstractSimulator, lambda node: node.differentiated("forward"), unknowns)


def _to_natural(theta: Array, unknowns: Unknowns) -> Array:
    return jax.jacfwd(lambda vector: natural(vector, unknowns))(theta)
