"""Levenberg-Marquardt by Fisher scoring: least squares that fits the noise as well."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array, Bool, Float, Int

from .._result import RESULTS
from ._method import AbstractMethod, Record, check_unscheduled, new_record
from ._problem import Linearisation, Problem

# How long the first step may be, as a share of a unit step in every parameter: for the first
# attempt, and for each further one where an attempt let parameters run off to where the data
# say nothing of them.
_FIRST_RADII = (0.1, 0.01, 1.0)
# Where so many steps were refused and none came closer, though it is within this many standard
# errors, what remains is hidden by the error of the objective's own values. A solver's tolerance
# does not tell how large that is: a chaotic system makes billions of it.
_PATIENCE = 8
_HIDDEN = 1e-3


class _Model(eqx.Module):
    """The local quadratic model, its columns scaled, by its singular values.

    - `scale`: the longest that each column has been at an accepted point.
    - `directions`, `singular`, `projection`: the right singular vectors and the singular values
        of the scaled rows (zero below rounding), and the residual along the left ones.
    - `offset`: the length of the residual's projection on the columns: how many standard
        errors away the model's minimum is.
    - `offset_in_reach`: the same, on usable directions only.
    - `rank`: how many directions the data determine here.
    - `faded`: whether some column has all but vanished, against the longest it has been.
    """

    scale: Float[Array, " size"]
    directions: Float[Array, "size size"]
    singular: Float[Array, " size"]
    projection: Float[Array, " size"]
    offset: Float[Array, ""]
    offset_in_reach: Float[Array, ""]
    rank: Int[Array, ""]
    faded: Bool[Array, ""]


class _Step(eqx.Module):
    """A proposed step: how long it is in the scaled norm, and what the model promises."""

    change: Float[Array, " size"]
    length: Float[Array, ""]
    predicted: Float[Array, ""]
    slope: Float[Array, ""]


class _State(eqx.Module):
    """What goes on from step to step.

    `rank` is the largest seen, `attempt` counts from 0, `closest` is a bit below the shortest
    offset of an accepted point, and `since` counts the steps refused since then.
    """

    start: Float[Array, " size"]
    trial: Float[Array, " size"]
    radius: Float[Array, ""]
    step: _Step
    model: _Model
    rank: Int[Array, ""]
    attempt: Int[Array, ""]
    closest: Float[Array, ""]
    since: Int[Array, ""]


@final
class LevenbergMarquardt(AbstractMethod):
    """Levenberg-Marquardt on the likelihood's own curvature; the default for few parameters.

    Each step solves the least-squares problem that the score and the Fisher information of
    every measured value pose (scoring), so that the noise scale is fitted together with the
    model and the minimum is that of the full NLL. With known noise it is the classical
    method. Derivatives go forward through the solver, in the same pass as the value.

    It has converged when the undamped step that remains is at most `tolerance` standard errors
    long: the relative-offset criterion of Bates and Watts (1981, Technometrics 23, 179-183),
    or when it is below what the error of the predictions lets one see: that of the solver's
    tolerance, or, within a thousandth of a standard error, where no step comes closer any more.

    **Arguments:**

    - `tolerance`: the distance to the optimum, in standard errors, that is good enough.
    - `max_steps`: after how many evaluations to give up.

    The trust region follows More (1978, Lecture Notes in Mathematics 630, 105-116). Where an
    attempt ends with parameters that ran off to where the data say nothing of them, the fit
    begins again with another first radius before it reports so.
    """

    tolerance: float = eqx.field(static=True, default=1e-6)
    max_steps: int = eqx.field(static=True, default=512)

    def __check_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"LevenbergMarquardt: tolerance {self.tolerance} is not positive.")
        if self.max_steps < 1:
            raise ValueError(f"LevenbergMarquardt: max_steps {self.max_steps} is below 1.")

    def check(self, problem: Problem) -> None:
        """The objective must be the NLL of a regular likelihood, and stay the same."""
        check_unscheduled(problem, "LevenbergMarquardt")
        if not problem.has_curvature:
            raise ValueError(
                "LevenbergMarquardt needs the summed NLL of a likelihood with a Fisher "
                "information. Use likelihax.BFGS() or likelihax.GradientDescent(...) for this "
                "objective."
            )
        if not problem.forward:
            raise ValueError(
                "LevenbergMarquardt needs forward derivatives, which the adjoint given to the ODE "
                "does not have. Leave the adjoint out, or use likelihax.BFGS()."
            )

    def init(self, problem: Problem, key: Array | None) -> tuple[Record, _State]:
        """Nothing is known yet: the first step evaluates the start."""
        theta = problem.start()
        zero, zeros = jnp.zeros((), theta.dtype), jnp.zeros_like(theta)
        square = jnp.zeros((theta.size, theta.size), theta.dtype)
        none, far = jnp.asarray(0), zero + jnp.inf
        model = _Model(zeros, square, zeros, zeros, far, far, none, jnp.asarray(False))
        state = _State(
            theta, theta, zero, _Step(zeros, zero, zero, zero), model, none, none, far, none
        )
        return new_record(problem, self.max_steps), state

    def step(self, problem: Problem, record: Record, state: _State) -> tuple[Record, _State]:
        """Evaluates the trial point, accepts it or not, and proposes the next."""
        linear = problem.linearise(state.trial)
        outcome = linear.outcome
        model = _factorise(linear, state.model.scale)
        first = ~jnp.isfinite(record.total)
        actual = record.total - outcome.total
        # Where the promised gain is lost in the error of the predictions, the gradient, which
        # suffers less from it, still tells.
        noise = linear.blur * _length(linear.residual)
        unresolved = (state.step.predicted <= noise) & (actual >= -noise)
        nearer = unresolved & (model.offset < state.model.offset)
        accept = jnp.isfinite(outcome.total) & (
            first | (actual > 1e-4 * state.step.predicted) | nearer
        )
        gain = jnp.where(nearer, state.step.predicted, actual)
        radius = jnp.where(first, _first_radius(model, state), _next_radius(state, gain))
        record = record.count(outcome, state.trial).move(accept, state.trial, outcome)
        model = jtu.tree_map(lambda a, b: jnp.where(accept, a, b), model, state.model)
        step = _propose(model, radius)
        rank = jnp.maximum(state.rank, model.rank)
        trial = record.theta + step.change

        closer = accept & (model.offset < state.closest)
        closest = jnp.where(closer, 0.9 * model.offset, state.closest)
        since = jnp.where(closer, 0, state.since + (~accept).astype(state.since.dtype))
        stuck = ~(jnp.all(jnp.isfinite(trial)) & jnp.any(trial != record.theta))
        hidden = (stuck | (since >= _PATIENCE)) & (model.offset <= _HIDDEN)
        # Where the curvature is only a bound, steps are short and many, and the offset with them.
        hidden = hidden & (linear.share is None)

        near = jnp.maximum(self.tolerance, linear.blur)
        there = model.offset <= near
        converged = ((accept & there) | hidden) & (model.rank == rank)
        lost = accept & ~converged & (there | (model.offset_in_reach <= near))
        lost = lost | (stuck & model.faded & ~converged)
        again = lost & (state.attempt + 1 < len(_FIRST_RADII))
        record = record.end(first & ~accept, RESULTS.start_failed)
        record = record.end(converged, RESULTS.successful)
        record = record.end(lost & ~again, RESULTS.runaway)
        record = record.end(stuck & ~again, RESULTS.stalled)

        # Whatever else the state holds is not looked at in a first step.
        choose = lambda new, old: jnp.where(again, new, old)
        model = eqx.tree_at(lambda m: m.scale, model, choose(0.0, model.scale))
        attempt = state.attempt + again.astype(state.attempt.dtype)
        trial, rank = choose(state.start, trial), choose(0, rank)
        closest, since = choose(jnp.inf, closest), choose(0, since)
        record = record.forget(again, state.start)
        onward = _State(state.start, trial, radius, step, model, rank, attempt, closest, since)
        return record, onward


def _first_radius(model: _Model, state: _State) -> Array:
    share = jnp.asarray(_FIRST_RADII, model.scale.dtype)[state.attempt]
    return share * _length(model.scale)


def _factorise(linear: Linearisation, longest: Array) -> _Model:
    size = linear.rows.shape[1]
    lengths = jnp.sqrt(jnp.sum(linear.rows**2, axis=0))
    divisor = _nonzero(lengths)
    # The residual rides along as a last column, so that no orthogonal factor is formed.
    system = jnp.column_stack([linear.rows / divisor[None, :], linear.residual])
    lacking = max(size + 1 - system.shape[0], 0)
    triangle = jnp.linalg.qr(jnp.pad(system, ((0, lacking), (0, 0))), mode="r")
    upper, rotated = triangle[:size, :size], triangle[:size, size]
    # The longest that each column has been: one that fades, since its parameter runs off to
    # where it no longer matters, must not make that parameter's steps grow without bound.
    longest = jnp.maximum(longest, lengths)
    faded = upper * (divisor / _nonzero(longest))[None, :]
    # The second time with the columns as they are now. Directions that the data do not determine
    # have no optimum to be far from: their projections only hold rounding.
    left, singular, right = jnp.linalg.svd(jnp.stack([faded, upper]))
    projections = jnp.einsum("kij,i->kj", left, rotated)
    reached = singular > size * jnp.finfo(upper.dtype).eps * singular[:, :1]
    offsets = jnp.sqrt(jnp.sum(jnp.where(reached, projections, 0.0) ** 2, axis=1))
    if linear.share is not None:
        part = jnp.where(reached, projections / jnp.where(reached, singular, 1.0), 0.0)
        scales = jnp.stack([_nonzero(longest), divisor])
        steps = jnp.einsum("kij,ki->kj", right, part) / scales
        offsets = jnp.sqrt(jnp.sum((linear.share[None, :] * (steps @ linear.rows.T)) ** 2, axis=1))
    return _Model(
        scale=longest,
        directions=right[0].T,
        singular=jnp.where(reached[0], singular[0], 0.0),
        projection=projections[0],
        offset=offsets[1],
        offset_in_reach=offsets[0],
        rank=jnp.sum(reached[1]),
        faded=jnp.any(lengths < jnp.sqrt(jnp.finfo(upper.dtype).eps) * longest),
    )


def _propose(model: _Model, radius: Array) -> _Step:
    """The best step within the radius: damped just enough (More 1978)."""
    singular, projection = model.singular, model.projection
    curvature = jnp.where(singular > 0, singular**2, 1.0)
    gradient = singular * projection

    def tighten(_: Array, damping: Array) -> Array:
        part = gradient / (curvature + damping)
        length = _length(part)
        slope = jnp.sum(part**2 / (curvature + damping))
        newton = (length - radius) / radius * length**2 / jnp.where(slope > 0, slope, 1.0)
        return jnp.maximum(damping + newton, 0.0)

    damping = jax.lax.fori_loop(0, 10, tighten, jnp.zeros_like(radius))
    part = gradient / (curvature + damping)
    moved = singular * part
    return _Step(
        change=-(model.directions @ part) / _nonzero(model.scale),
        length=_length(part),
        predicted=jnp.sum(moved * (projection - 0.5 * moved)),
        slope=jnp.sum(moved * projection),
    )


def _next_radius(state: _State, actual: Array) -> Array:
    step = state.step
    gain = actual / jnp.where(step.predicted > 0, step.predicted, 1.0)
    # Where the parabola through both values and the slope has its minimum.
    parabola = 0.5 * step.slope / (step.slope - actual)
    shrink = jnp.where(actual >= 0, 0.5, jnp.clip(parabola, 0.1, 0.5))
    shrink = jnp.where(jnp.isfinite(actual), shrink, 0.1)
    shorter = shrink * jnp.minimum(state.radius, 10 * step.length)
    longer = jnp.where(gain >= 0.75, jnp.maximum(state.radius, 2 * step.length), state.radius)
    return jnp.where(gain > 0.25, longer, shorter)


def _length(vector: Array) -> Array:
    return jnp.sqrt(jnp.sum(vector**2))


def _nonzero(lengths: Array) -> Array:
    return jnp.where(lengths > 0, lengths, 1.0)
