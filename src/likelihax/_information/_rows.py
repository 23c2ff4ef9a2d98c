"""The curvature of each value's NLL as rows of a least-squares problem."""

import jax.numpy as jnp
from jaxtyping import Array, Float


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
