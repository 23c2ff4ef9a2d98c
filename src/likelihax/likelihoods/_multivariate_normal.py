"""Normal scatter of several values that vary together."""

import math
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from ._argument import Argument, Predicted, Source, predicted, source
from ._likelihood import AbstractLikelihood, Outputs
from ._support import REAL, Support


@final
class MultivariateNormal(AbstractLikelihood):
    r"""`y ~ MultivariateNormal(loc, scale_tril)`: vectors, the last axis of the values.

    $$-\log p = \tfrac12|z|^2 + \sum_i\log L_{ii} + \tfrac d2\log 2\pi,\qquad Lz = y-\mu,$$

    with the covariance `L L^T`.

    **Arguments:**

    - `scale_tril`: `L`, lower triangular with a positive diagonal, shape `(dim, dim)`: known,
        fitted as `constrained(L, numpyro.distributions.constraints.lower_cholesky)`, or
        `predicted()` as `dim (dim + 1) / 2` numbers: first those below the diagonal, row by
        row, then the logarithms of those on it.
    - `loc`: the mean; by default the model predicts it.
    - `dim`: how many values make a vector; only where `scale_tril` is predicted.
    """

    loc: Source
    scale_tril: Source
    dim: int = eqx.field(static=True)

    def __init__(self, scale_tril: Any, loc: Any = predicted(), *, dim: int | None = None):
        self.loc = source(loc, "MultivariateNormal: loc", constraints.real, "real")
        self.scale_tril = source(
            scale_tril,
            "MultivariateNormal: scale_tril",
            constraints.lower_cholesky,
            "lower triangular with a positive diagonal",
        )
        value = getattr(self.scale_tril, "value", None)
        if value is not None and value.ndim < 2:
            raise ValueError(
                f"MultivariateNormal: scale_tril must be a matrix, got shape {value.shape}."
            )
        found = dim if value is None else int(value.shape[-1])
        if found is None or found < 1 or dim not in (None, found):
            raise ValueError(
                f"MultivariateNormal: dim={dim}: give it where scale_tril is predicted, and leave "
                "it out where that says it."
            )
        self.dim = found

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The mean, a vector, and the lower triangle."""
        d = self.dim
        is_predicted = isinstance(self.scale_tril, Predicted)
        # As predicted it is a vector of any numbers; `outputs` makes a triangle of it.
        kind = constraints.real_vector if is_predicted else constraints.lower_cholesky
        return (
            Argument("MultivariateNormal: loc", self.loc, constraints.real_vector, d, (d,)),
            Argument(
                "MultivariateNormal: scale_tril",
                self.scale_tril,
                kind,
                d * (d + 1) // 2,
                (d, d),
            ),
        )

    @property
    def support(self) -> Support:
        """Vectors of real numbers."""
        return REAL

    @property
    def event_ndim(self) -> int:
        """1: a value is a vector."""
        return 1

    def event_shape(self, y: Array) -> tuple[int, ...]:
        """`(dim,)`."""
        return (self.dim,)

    def outputs(self, prediction: Array) -> Outputs:
        """The mean and the lower triangle."""
        loc, scale_tril = super().outputs(prediction)
        if isinstance(self.scale_tril, Predicted):
            scale_tril = _triangle(scale_tril, self.dim)
        return loc, scale_tril

    def from_outputs(self, outputs: Outputs) -> dist.MultivariateNormal:
        """`MultivariateNormal(loc, scale_tril=scale_tril)`."""
        loc, scale_tril = outputs
        return dist.MultivariateNormal(loc, scale_tril=scale_tril)

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above: one number a vector."""
        loc, scale_tril = outputs
        residual = y - loc
        standard = solve_triangular(scale_tril, residual[..., None], lower=True)[..., 0]
        logarithms = jnp.log(jnp.diagonal(scale_tril, axis1=-2, axis2=-1))
        each = 0.5 * standard * standard + logarithms + 0.5 * math.log(2 * math.pi)
        return jnp.sum(each, axis=-1)


def _triangle(columns: Array, dim: int) -> Array:
    """A lower triangle from its entries: those below the diagonal, then logarithms of those on."""
    below = dim * (dim - 1) // 2
    entries = jnp.concatenate([columns[..., :below], jnp.exp(columns[..., below:])], axis=-1)
    places = np.zeros((dim, dim), int)
    places[np.tril_indices(dim, -1)] = np.arange(below)
    places[np.diag_indices(dim)] = below + np.arange(dim)
    inside = np.tril(np.ones((dim, dim), bool)).reshape((1,) * (columns.ndim - 1) + (dim, dim))
    return jnp.where(inside, entries[..., places], 0.0)
