"""Normal scatter of several values that vary together."""

import math
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from .._special._compensated import Pair, exp_rest, two_sum
from .._special._triangle import solve_lower, solve_transposed
from ._argument import Argument, Predicted, Source, predicted, source
from ._kernel import Arrays, elementwise
from ._likelihood import AbstractLikelihood, Outputs
from ._support import REAL, Support


@final
class MultivariateNormal(AbstractLikelihood):
    r"""`y ~ MultivariateNormal(loc, scale_tril)`: vectors, the last axis of the values.

    $$-\log p = \tfrac12|z|^2 + \sum_i\log L_{ii} + \tfrac d2\log 2\pi,\qquad Lz = y-\mu,$$

    with the covariance `L L^T`. Of up to four values `z` is found to the last digit, however
    nearly they determine each other; of more, by LAPACK.

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
        # As predicted it is a vector of any numbers; `kernel` makes a triangle of it.
        kind = constraints.real_vector if self._is_predicted else constraints.lower_cholesky
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

    def from_outputs(self, outputs: Outputs) -> dist.MultivariateNormal:
        """`MultivariateNormal(loc, scale_tril=scale_tril)`."""
        loc, scale = outputs
        return dist.MultivariateNormal(loc, scale_tril=self._triangle(scale))

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above: one number a vector."""
        loc, scale = outputs
        if self.dim > _MOST:
            return _by_solver(loc, self._triangle(scale), y)
        below, diagonal, rest = self._entries(scale)
        columns = (*jnp.unstack(loc, axis=-1), *below, *diagonal, *jnp.unstack(y, axis=-1))
        return multivariate_normal_nll(columns, rest)

    @property
    def _is_predicted(self) -> bool:
        return isinstance(self.scale_tril, Predicted)

    def _entries(self, scale: Array) -> tuple[tuple[Array, ...], ...]:
        """What is below the diagonal, row by row, on it, and what that has lost by rounding."""
        if self._is_predicted:
            entries = jnp.unstack(scale, axis=-1)
            below, logarithms = entries[: -self.dim], entries[-self.dim :]
            rest = (jax.lax.stop_gradient(exp_rest(each)) for each in logarithms)
            return below, tuple(map(jnp.exp, logarithms)), tuple(rest)
        rows = [jnp.unstack(row, axis=-1) for row in jnp.unstack(scale, axis=-2)]
        below = tuple(entry for i, row in enumerate(rows) for entry in row[:i])
        diagonal = tuple(row[i] for i, row in enumerate(rows))
        return below, diagonal, tuple(map(jnp.zeros_like, diagonal))

    def _triangle(self, scale: Array) -> Array:
        return _triangle(scale, self.dim) if self._is_predicted else scale


# So many values in a vector are solved for one by one: the code grows with their square.
_MOST = 4


def _by_solver(loc: Array, scale_tril: Array, y: Array) -> Array:
    residual = y - loc
    standard = solve_triangular(scale_tril, residual[..., None], lower=True)[..., 0]
    logarithms = jnp.log(jnp.diagonal(scale_tril, axis1=-2, axis2=-1))
    each = 0.5 * standard * standard + logarithms + 0.5 * math.log(2 * math.pi)
    return jnp.sum(each, axis=-1)


def _rows(columns: Arrays, rest: Arrays) -> list[list[Pair]]:
    """The lower triangle, from all columns and what its diagonal has lost by rounding."""
    dim = len(rest)
    exact = lambda x: (x, jnp.zeros_like(x))
    below = iter(columns[dim : -2 * dim])
    diagonal = zip(columns[-2 * dim : -dim], rest, strict=True)
    return [[*(exact(next(below)) for _ in range(i)), pair] for i, pair in enumerate(diagonal)]


def _standard(columns: Arrays, rest: Arrays) -> list[Pair]:
    """The values less their mean, in units that make them independent."""
    dim = len(rest)
    pairs = zip(columns[-dim:], columns[:dim], strict=True)
    return solve_lower(_rows(columns, rest), [two_sum(y, -loc) for y, loc in pairs])


def _value(columns: Arrays, rest: Arrays) -> Array:
    dim = len(rest)
    total = jnp.full_like(columns[0], 0.5 * dim * math.log(2 * math.pi))
    for (z, z_rest), scale in zip(_standard(columns, rest), columns[-2 * dim : -dim], strict=True):
        total = total + ((0.5 * z + z_rest) * z + jnp.log(scale))
    return total


def _slopes(columns: Arrays, rest: Arrays, moving: list[int]) -> list[Array]:
    dim = len(rest)
    standard, rows = _standard(columns, rest), _rows(columns, rest)
    pulls = [w + w_rest for w, w_rest in solve_transposed(rows, standard)]
    below = [-pulls[i] * standard[j][0] for i in range(dim) for j in range(i)]
    diagonal = [1 / rows[i][i][0] - pulls[i] * standard[i][0] for i in range(dim)]
    slopes = [*(-pull for pull in pulls), *below, *diagonal, *pulls]
    return [slopes[i] for i in moving]


multivariate_normal_nll = elementwise(_value, _slopes)


def _triangle(columns: Array, dim: int) -> Array:
    """A lower triangle from its entries: those below the diagonal, then logarithms of those on."""
    below = dim * (dim - 1) // 2
    entries = jnp.concatenate([columns[..., :below], jnp.exp(columns[..., below:])], axis=-1)
    places = np.zeros((dim, dim), int)
    places[np.tril_indices(dim, -1)] = np.arange(below)
    places[np.diag_indices(dim)] = below + np.arange(dim)
    inside = np.tril(np.ones((dim, dim), bool)).reshape((1,) * (columns.ndim - 1) + (dim, dim))
    return jnp.where(inside, entries[..., places], 0.0)
