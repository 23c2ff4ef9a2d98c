"""An objective as a function of one unconstrained, unit-scaled vector."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._information import cholesky, residuals_of, rows_of
from .._objective import NLL, AbstractObjective
from .._parameters import pack, resolve, unpack
from .._result import RESULTS
from ..likelihoods import AbstractRegularLikelihood

# Up to this many parameters, that many forward tangents cost less than one reverse sweep
# through a solve with checkpoints, and compile faster.
FORWARD_LIMIT = 64


class Outcome(eqx.Module):
    """What an evaluation gave, and if nothing usable, why.

    **Attributes:**

    - `total`: the objective; infinite where it is not usable.
    - `gradient`: its gradient; zero where it is not usable.
    - `failed_solve`, `value_nan`, `gradient_nan`: at most one is true.
    """

    total: Float[Array, ""]
    gradient: Float[Array, " size"]
    failed_solve: Bool[Array, ""]
    value_nan: Bool[Array, ""]
    gradient_nan: Bool[Array, ""]


class Linearisation(eqx.Module):
    """The objective near a point as half the squared length of `rows @ step + residual`.

    `rows.T @ residual` is the exact gradient; `rows.T @ rows` a positive curvature that
    equals the Fisher information in expectation. `blur` is how far the error of
    the predictions, from rounding or from a solver's tolerance, may shift `residual`. Where the
    curvature may be much larger than the information, `share` is the root of their ratio for
    each row, at most 1.
    """

    outcome: Outcome
    rows: Float[Array, "rows size"]
    residual: Float[Array, " rows"]
    blur: Float[Array, ""]
    share: Float[Array, " rows"] | None = None


class Problem(eqx.Module):
    """An objective, a predictor and data, as functions of the vector that fitters see."""

    objective: AbstractObjective
    predictor: Any
    data: Any
    forward: bool = eqx.field(static=True)

    def start(self) -> Float[Array, " size"]:
        """Where the fit starts."""
        return pack(self.predictor)

    def value(self, theta: Float[Array, " size"]) -> tuple[Array, RESULTS]:
        """The objective as it comes, NaN and all, and how the solve ended."""
        tree = resolve(unpack(theta, self.predictor))
        evaluation = self.objective.evaluate(tree, self.data)
        return evaluation.total, evaluation.result

    def value_and_gradient(self, theta: Float[Array, " size"]) -> Outcome:
        """The objective and its exact gradient."""
        if self.forward:
            total, gradient, result = _forward_jacobian(self.value, theta)
        else:
            (total, result), gradient = jax.value_and_grad(self.value, has_aux=True)(theta)
        return screen(total, gradient, result)

    def num_averaged(self) -> Float[Array, ""]:
        """How many values the objective is a mean of."""
        return self.objective.num_averaged(self.predictor, self.data)

    @property
    def has_curvature(self) -> bool:
        """Whether `linearise` applies: the summed NLL of a regular likelihood."""
        return (
            isinstance(self.objective, NLL)
            and self.objective.is_sum
            and isinstance(self.predictor.likelihood, AbstractRegularLikelihood)
            and self.is_gradient
        )

    @property
    def is_gradient(self) -> bool:
        """Whether what the objective gives as its gradient is one, so that values confirm it."""
        if not isinstance(self.objective, NLL):
            return True
        return self.predictor.likelihood.is_gradient

    def linearise(self, theta: Float[Array, " size"]) -> Linearisation:
        """The objective, its gradient and the curvature of its likelihood, in one pass."""
        assert isinstance(self.objective, NLL)
        likelihood = self.predictor.likelihood
        observe = self.objective.observations

        def outputs(theta: Array) -> tuple[Array, Any]:
            seen = observe(resolve(unpack(theta, self.predictor)), self.data)
            return jnp.stack(seen.outputs), seen

        stacked, jacobian, seen = _forward_jacobian(outputs, theta)
        tuple_of = lambda array: tuple(array[i] for i in range(array.shape[0]))
        kernel = lambda stacked: likelihood.kernel(tuple_of(stacked), seen.values)
        # The kernel is elementwise, so one tangent of ones an output gives its score.
        each, pullback = jax.vjp(kernel, stacked)
        (score,) = pullback(jnp.ones_like(each))
        curvature = likelihood.curvature(tuple_of(stacked), seen.values)
        lower = cholesky(curvature)
        rows = rows_of(lower, jacobian, seen.observed)
        residual = residuals_of(lower, score, seen.observed)
        total = jnp.sum(jnp.where(seen.observed, each, 0.0))
        slopes = jnp.where(seen.observed[..., None], score[..., None] * jacobian, 0.0)
        gradient = jnp.sum(slopes.reshape(-1, theta.size), axis=0)
        outcome = screen(total, gradient, seen.result)
        usable = jnp.isfinite(outcome.total)
        root = jnp.stack([row[-1] for row in lower])
        size = jnp.where(seen.observed, root * stacked, 0.0)
        return Linearisation(
            outcome=outcome,
            rows=jnp.where(usable, rows, 0.0),
            residual=jnp.where(usable, residual, 0.0),
            blur=jnp.where(usable, seen.accuracy * jnp.sqrt(jnp.sum(size**2)), 0.0),
            share=_share(likelihood, tuple_of(stacked), curvature),
        )


def _share(
    likelihood: AbstractRegularLikelihood, outputs: tuple[Array, ...], curvature: Array
) -> Array | None:
    if not likelihood.majorises:
        return None
    diagonal = lambda matrix: jnp.stack([matrix[i, i] for i in range(matrix.shape[0])])
    ratio = diagonal(likelihood.information(outputs)) / diagonal(curvature)
    return jnp.sqrt(jnp.minimum(ratio, 1.0)).reshape(-1)


def screen(total: Array, gradient: Array, result: RESULTS) -> Outcome:
    """Turns whatever came out of an evaluation into an `Outcome` without NaN."""
    failed = jnp.asarray(result != RESULTS.successful)
    value_nan = ~failed & ~jnp.isfinite(total)
    gradient_nan = ~failed & ~value_nan & ~jnp.all(jnp.isfinite(gradient))
    usable = ~(failed | value_nan | gradient_nan)
    return Outcome(
        total=jnp.where(usable, total, jnp.inf),
        gradient=jnp.where(usable, gradient, 0.0),
        failed_solve=failed,
        value_nan=value_nan,
        gradient_nan=gradient_nan,
    )


def _forward_jacobian(function: Any, theta: Array) -> tuple[Array, Array, Any]:
    # One pass carries the value and all tangents, so that a solve is stepped through once.
    push = lambda tangent: jax.jvp(function, (theta,), (tangent,), has_aux=True)
    basis = jnp.eye(theta.size, dtype=theta.dtype)
    return jax.vmap(push, out_axes=(None, -1, None))(basis)
