"""An objective as a function of one unconstrained, unit-scaled vector."""

from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._information import cholesky, residuals_of, rows_of
from .._parameters import pack, resolve, unpack
from .._result import RESULTS
from ..data import Experiments
from ..models import Solves
from ..objectives import AbstractObjective, CurvedLoss, Observations, Unknowns
from ._anchor import AbstractAnchor

# Up to this many parameters, that many forward tangents cost less than one reverse sweep
# through a solve with checkpoints, and compile faster.
FORWARD_LIMIT = 64


class Ended(NamedTuple):
    """How the solves behind an evaluation ended, all together and each of several."""

    result: RESULTS
    solves: Solves | None


class Outcome(eqx.Module):
    """What an evaluation gave, and if nothing usable, why.

    **Attributes:**

    - `total`: the objective; infinite where it is not usable.
    - `gradient`: its gradient; zero where it is not usable.
    - `failed_solve`, `value_nan`, `gradient_nan`: at most one is true.
    - `solves`: how far each of several experiments was solved.
    """

    total: Float[Array, ""]
    gradient: Float[Array, " size"]
    failed_solve: Bool[Array, ""]
    value_nan: Bool[Array, ""]
    gradient_nan: Bool[Array, ""]
    solves: Solves | None = None


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
    """An objective, a predictor and data, as functions of the vector that fitters see.

    With an `anchor`, a pull towards a point is added to the objective. With `begin`, that is where
    a fit starts, and not at the unknowns.
    """

    unknowns: Unknowns
    data: Any
    forward: bool = eqx.field(static=True)
    anchor: AbstractAnchor | None = None
    begin: Float[Array, " size"] | None = None

    @property
    def predictor(self) -> Any:
        """The predictor at the start."""
        return self.unknowns.predictor

    @property
    def objective(self) -> AbstractObjective:
        """What is minimised."""
        objective: AbstractObjective = resolve(self.unknowns.objective)
        return objective

    def start(self) -> Float[Array, " size"]:
        """Where the fit starts."""
        return pack(self.unknowns) if self.begin is None else self.begin

    def value(self, theta: Float[Array, " size"]) -> tuple[Array, Ended]:
        """The objective as it comes, NaN and all, and how the solve ended."""
        evaluation = unpack(theta, self.unknowns).evaluate(self.data)
        total = evaluation.total
        if self.anchor is not None:
            total = total + self.anchor.cost(theta, self.unknowns).astype(total.dtype)
        return total, Ended(evaluation.result, evaluation.solves)

    def value_and_gradient(self, theta: Float[Array, " size"]) -> Outcome:
        """The objective and its exact gradient."""
        if self.forward:
            total, gradient, ended = _forward_jacobian(self.value, theta)
        else:
            (total, ended), gradient = jax.value_and_grad(self.value, has_aux=True)(theta)
        return screen(total, gradient, ended)

    def at(self, step: Array) -> "Problem":
        """The problem with scheduled weights as they are at a step."""
        objective = self.unknowns.objective
        if not objective.is_scheduled:
            return self
        unknowns = Unknowns(self.unknowns.predictor, objective.at(step))
        return replace(self, unknowns=unknowns)

    def no_solves(self) -> Solves | None:
        """What `Outcome.solves` is before anything was solved."""
        if not isinstance(self.data, Experiments):
            return None
        each = len(self.data)
        dtype = self.data.values.dtype
        return Solves(jnp.zeros(each, bool), jnp.full(each, jnp.inf, dtype))

    def num_averaged(self) -> Float[Array, ""]:
        """How many values the objective is a mean of."""
        return self.objective.num_averaged(self.predictor, self.data)

    @property
    def has_curvature(self) -> bool:
        """Whether `linearise` applies: all of the objective is a sum of regular likelihoods."""
        return self.is_gradient and self.objective.losses(self.predictor) is not None

    @property
    def is_gradient(self) -> bool:
        """Whether what the objective gives as its gradient is one, so that values confirm it."""
        return self.objective.is_gradient(self.predictor)

    def linearise(self, theta: Float[Array, " size"], expected: bool = False) -> Linearisation:
        """The objective, its gradient and the curvature of its likelihoods, in one pass.

        With `expected` the curvature is the information, where that is near the Hessian at the
        optimum; without, it is what makes steps from a bad start shorter.
        """

        def outputs(theta: Array) -> tuple[Any, Any]:
            now = resolve(unpack(theta, self.unknowns))
            seen = now.objective.observations(now.predictor, self.data)
            return [jnp.stack(each.outputs) for each in seen], seen

        stacked, jacobians, seen = _forward_jacobian(outputs, theta)
        losses = self.objective.losses(self.predictor)
        assert losses is not None
        each = zip(losses, stacked, jacobians, seen, strict=True)
        parts = [_linearised(*arguments, expected) for arguments in each]
        if self.anchor is not None:
            parts.append(_anchored(self.anchor, theta, self.unknowns))
        return _together(parts, [Ended(each.result, each.solves) for each in seen])


class _Part(NamedTuple):
    """One loss's contribution: its sum, the gradient, and its rows."""

    total: Array
    gradient: Array
    rows: Array
    residual: Array
    blur: Array
    share: Array | None


def _linearised(
    loss: CurvedLoss, stacked: Array, jacobian: Array, seen: Observations, expected: bool
) -> _Part:
    tuple_of = lambda array: tuple(array[i] for i in range(array.shape[0]))
    kernel = lambda stacked: loss.kernel(tuple_of(stacked), seen.values)
    # The kernel is elementwise, so one tangent of ones an output gives its score.
    each, pullback = jax.vjp(kernel, stacked)
    (score,) = pullback(jnp.ones_like(each))
    if expected and not loss.majorises:
        curvature = loss.information(tuple_of(stacked))
    else:
        curvature = loss.curvature(tuple_of(stacked), seen.values)
    lower = cholesky(curvature)
    weights = seen.weights[None]
    slopes = jnp.where(weights[..., None] > 0, (weights * score)[..., None] * jacobian, 0.0)
    root = jnp.stack([row[-1] for row in lower])
    size = jnp.where(weights > 0, jnp.sqrt(weights) * root * stacked, 0.0)
    return _Part(
        total=jnp.sum(jnp.where(seen.weights > 0, seen.weights * each, 0.0)),
        gradient=jnp.sum(slopes.reshape(-1, jacobian.shape[-1]), axis=0),
        rows=rows_of(lower, jacobian, seen.weights),
        residual=residuals_of(lower, score, seen.weights),
        blur=seen.accuracy * jnp.sqrt(jnp.sum(size**2)),
        share=_share(loss, tuple_of(stacked), curvature),
    )


def _anchored(anchor: AbstractAnchor, theta: Array, unknowns: Unknowns) -> _Part:
    residual, rows = anchor.residual(theta, unknowns), anchor.rows(theta, unknowns)
    nothing = jnp.zeros((), theta.dtype)
    return _Part(anchor.cost(theta, unknowns), rows.T @ residual, rows, residual, nothing, None)


def _together(parts: list[_Part], ends: list[Ended]) -> Linearisation:
    result = ends[0].result
    for other in ends[1:]:
        result = RESULTS.where(result == RESULTS.successful, other.result, result)
    solves = next((each.solves for each in ends if each.solves is not None), None)
    shares = None
    if any(part.share is not None for part in parts):
        ones = [jnp.ones_like(part.residual) for part in parts]
        pairs = zip(parts, ones, strict=True)
        shares = jnp.concatenate([one if p.share is None else p.share for p, one in pairs])
    total = jnp.sum(jnp.stack([part.total for part in parts]))
    gradient = jnp.sum(jnp.stack([part.gradient for part in parts]), axis=0)
    outcome = screen(total, gradient, Ended(result, solves))
    usable = jnp.isfinite(outcome.total)
    return Linearisation(
        outcome=outcome,
        rows=jnp.where(usable, jnp.concatenate([p.rows for p in parts]), 0.0),
        residual=jnp.where(usable, jnp.concatenate([p.residual for p in parts]), 0.0),
        blur=jnp.where(usable, jnp.sqrt(sum(p.blur**2 for p in parts)), 0.0),
        share=shares,
    )


def _share(loss: CurvedLoss, outputs: tuple[Array, ...], curvature: Array) -> Array | None:
    if not loss.majorises:
        return None
    diagonal = lambda matrix: jnp.stack([matrix[i, i] for i in range(matrix.shape[0])])
    ratio = diagonal(loss.information(outputs)) / diagonal(curvature)
    return jnp.sqrt(jnp.minimum(ratio, 1.0)).reshape(-1)


def screen(total: Array, gradient: Array, ended: Ended) -> Outcome:
    """Turns whatever came out of an evaluation into an `Outcome` without NaN."""
    failed = jnp.asarray(ended.result != RESULTS.successful)
    value_nan = ~failed & ~jnp.isfinite(total)
    gradient_nan = ~failed & ~value_nan & ~jnp.all(jnp.isfinite(gradient))
    usable = ~(failed | value_nan | gradient_nan)
    return Outcome(
        total=jnp.where(usable, total, jnp.inf),
        gradient=jnp.where(usable, gradient, 0.0),
        failed_solve=failed,
        value_nan=value_nan,
        gradient_nan=gradient_nan,
        solves=ended.solves,
    )


def _forward_jacobian(function: Any, theta: Array) -> tuple[Any, Any, Any]:
    # One pass carries the value and all tangents, so that a solve is stepped through once.
    push: Any = lambda tangent: jax.jvp(function, (theta,), (tangent,), has_aux=True)
    basis = jnp.eye(theta.size, dtype=theta.dtype)
    return jax.vmap(push, out_axes=(None, -1, None))(basis)
