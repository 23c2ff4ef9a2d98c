"""Levenberg-Marquardt by Fisher scoring: least squares that fits the noise as well."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array, Float

from .._result import RESULTS
from ._method import AbstractMethod, Record, new_record
from ._problem import Linearisation, Problem


class _Model(eqx.Module):
    """The local quadratic model, its columns scaled to length one, by its singular values."""

    back: Float[Array, "size size"]
    singular: Float[Array, " size"]
    projection: Float[Array, " size"]
    offset: Float[Array, ""]


class _State(eqx.Module):
    trial: Float[Array, " size"]
    predicted: Float[Array, ""]
    damping: Float[Array, ""]
    growth: Float[Array, ""]
    model: _Model


@final
class LevenbergMarquardt(AbstractMethod):
    """Levenberg-Marquardt on the likelihood's own curvature; the default for few parameters.

    Each step solves the least-squares problem that the score and the Fisher information of
    every measured value pose (scoring), so that the noise scale is fitted together with the
    model and the minimum is that of the full NLL. With known noise it is the classical
    method. Derivatives go forward through the solver, in the same pass as the value.

    It has converged when the undamped step that remains is at most `tolerance` standard errors
    long: the relative-offset criterion of Bates and Watts (1981, Technometrics 23, 179-183),
    or when it is below what rounding in the prediction lets one see.

    **Arguments:**

    - `tolerance`: the distance to the optimum, in standard errors, that is good enough.
    - `max_steps`: after how many evaluations to give up.

    The damping follows Nielsen (1999, IMM-REP-1999-05), on columns scaled to length one
    (Marquardt 1963).
    """

    tolerance: float = eqx.field(static=True, default=1e-6)
    max_steps: int = eqx.field(static=True, default=512)

    def __check_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"LevenbergMarquardt: tolerance {self.tolerance} is not positive.")
        if self.max_steps < 1:
            raise ValueError(f"LevenbergMarquardt: max_steps {self.max_steps} is below 1.")

    def check(self, problem: Problem) -> None:
        """The objective must be the NLL of a regular likelihood."""
        if not problem.has_curvature:
            raise ValueError(
                "LevenbergMarquardt needs the NLL of a likelihood with a Fisher information. "
                "Use likelihax.BFGS() or likelihax.GradientDescent(...) for this objective."
            )

    def init(self, problem: Problem, key: Array | None) -> tuple[Record, _State]:
        """Nothing is known yet: the first step evaluates the start."""
        theta = problem.start()
        zero = jnp.zeros((), theta.dtype)
        size = theta.size
        model = _Model(
            jnp.zeros((size, size), theta.dtype),
            jnp.zeros_like(theta),
            jnp.zeros_like(theta),
            zero + jnp.inf,
        )
        state = _State(theta, zero, zero + 1e-3, zero + 2.0, model)
        return new_record(theta, self.max_steps), state

    def step(self, problem: Problem, record: Record, state: _State) -> tuple[Record, _State]:
        """Evaluates the trial point, accepts it or not, and proposes the next."""
        linear = problem.linearise(state.trial)
        outcome = linear.outcome
        model = _factorise(linear)
        first = record.steps == 0
        gain = (record.total - outcome.total) / jnp.where(first, 1.0, state.predicted)
        # Where the promised gain is lost in rounding, the gradient still tells.
        eps = jnp.finfo(state.trial.dtype).eps
        unresolved = state.predicted <= 64 * eps * jnp.abs(record.total)
        closer = unresolved & (model.offset < state.model.offset)
        accept = jnp.isfinite(outcome.total) & (first | (gain > 1e-4) | closer)

        record = record.count(outcome).move(accept, state.trial, outcome)
        damping, growth = _next_damping(state, gain, accept & ~first, first, closer)
        model = jtu.tree_map(lambda a, b: jnp.where(accept, a, b), model, state.model)
        step, predicted = _damped_step(model, damping)
        trial = record.theta + step

        floor = 4 * eps * linear.resolution
        record = record.end(first & ~accept, RESULTS.start_failed)
        near = model.offset <= jnp.maximum(self.tolerance, jnp.where(accept, floor, 0.0))
        record = record.end(near & accept, RESULTS.successful)
        moved = jnp.any(trial != record.theta)
        record = record.end(~moved, RESULTS.stalled)
        return record, _State(trial, predicted, damping, growth, model)


def _factorise(linear: Linearisation) -> _Model:
    rows, residual = linear.rows, linear.residual
    size = rows.shape[1]
    if rows.shape[0] < size:
        rows = jnp.pad(rows, ((0, size - rows.shape[0]), (0, 0)))
        residual = jnp.pad(residual, (0, size - residual.shape[0]))
    lengths = jnp.sqrt(jnp.sum(rows**2, axis=0))
    scale = jnp.where(lengths > 0, lengths, 1.0)
    orthogonal, upper = jnp.linalg.qr(rows / scale)
    left, singular, right = jnp.linalg.svd(upper)
    projection = left.T @ (orthogonal.T @ residual)
    # Directions that the data do not determine have no optimum to be far from.
    tiny = size * jnp.finfo(rows.dtype).eps * singular[0]
    determined = singular > tiny
    offset = jnp.sqrt(jnp.sum(jnp.where(determined, projection, 0.0) ** 2))
    return _Model(right.T / scale[:, None], singular, projection, offset)


def _damped_step(model: _Model, damping: Array) -> tuple[Array, Array]:
    filtered = model.singular / (model.singular**2 + damping) * model.projection
    filtered = jnp.where(model.singular > 0, filtered, 0.0)
    moved = model.singular * filtered
    predicted = jnp.sum(moved * (model.projection - 0.5 * moved))
    return -(model.back @ filtered), predicted


def _next_damping(
    state: _State, gain: Array, accepted: Array, first: Array, closer: Array
) -> tuple[Array, Array]:
    trusted = jnp.where(closer, 1.0, jnp.clip(gain, 0.0, 1.0))
    lower = state.damping * jnp.maximum(0.1, 1 - (2 * trusted - 1) ** 3)
    damping = jnp.where(accepted, lower, state.damping * state.growth)
    growth = jnp.where(accepted, 2.0, 2 * state.growth)
    return jnp.where(first, state.damping, damping), jnp.where(first, state.growth, growth)
