"""A bundle method, for objectives with kinks and few parameters."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._result import RESULTS
from ._interior_point import Programme, solve
from ._method import AbstractMethod, Record, check_unscheduled, new_record
from ._problem import Outcome, Problem

# How much of the way down to the model's lowest value a step is meant to go.
_SHARE = 0.5
# From this share of its half-width on, a point counts as on the edge of the box.
_EDGE = 0.999
# Slopes in different parameters that are within this factor of the steepest count as alike.
_ALIKE = 10.0


class _Cuts(eqx.Module):
    """Tangents to the objective at points seen, `kept` where they are still of use.

    - `slack`: how far each was from mattering last; infinite where there is none.
    """

    points: Float[Array, "cuts size"]
    totals: Float[Array, " cuts"]
    gradients: Float[Array, "cuts size"]
    kept: Bool[Array, " cuts"]
    slack: Float[Array, " cuts"]


class _Model(eqx.Module):
    """The largest of the cuts, seen from the best point: `max(slopes @ change - errors)`.

    - `errors`: how far each cut is below the objective at the best point; none is negative.
    - `gradients`: the slopes as they were, before a cut was bent.
    - `near`: which were taken so near that their gradients tell of the best point too.
    """

    slopes: Float[Array, "cuts size"]
    errors: Float[Array, " cuts"]
    gradients: Float[Array, "cuts size"]
    kept: Bool[Array, " cuts"]
    near: Bool[Array, " cuts"]


class _Lowest(eqx.Module):
    """The lowest point of the model in the box.

    - `drop`: by how much the model is lower there than at the best point.
    - `reach`: how far it is from the best point, 1 at the edge of the box.
    - `shares`: convex weights of the cuts: their mixture shows that nothing is lower.
    """

    drop: Float[Array, ""]
    reach: Float[Array, ""]
    shares: Float[Array, " cuts"]


class _State(eqx.Module):
    """What goes on from step to step.

    - `radius`: half the width of the box, in unit steps.
    - `leaning`: how much of all gradients, each of length one, fell to each parameter.
    """

    trial: Float[Array, " size"]
    radius: Float[Array, ""]
    cuts: _Cuts
    lowest: _Lowest
    leaning: Float[Array, " size"]


@final
class Bundle(AbstractMethod):
    r"""A level bundle method in a trust region, for objectives with kinks and few parameters.

    Every gradient seen gives a cut: a plane that touches the objective, and that a convex
    objective is never below. The largest of all cuts is the model. In a box about the best point,
    each step finds how low the model goes, and evaluates the nearest point at which it is half as
    low (C. Lemarechal, A. Nemirovskii and Y. Nesterov 1995, "New variants of bundle methods",
    Math. Programming 69). As such a model is made of kinks, those of the objective do no harm: the
    minimum of a piecewise linear one is found exactly.

    It has converged when the model's lowest value in the box is at most `tolerance**2 / 2`
    below the best value, or what rounding leaves, and this twice: with all cuts, and then with
    those alone that were taken next to the best point, within a millionth of a unit step. The first
    is a bound for a convex objective. The second is for any other, of which far cuts say
    nothing: some mixture of the gradients next to the best point is as good as zero. Like the
    tolerance of `BFGS`, this one is in nats of the sum: for a mean of values it is divided by their
    number. Where the objective is smooth, `tolerance` is a distance in standard errors. A unit
    step is longer in a parameter in which slopes are less than a tenth of the steepest.

    A cut above the best value shows that the objective is not convex. It is bent down, or left out
    if its point is far away.

    **Arguments:**

    - `tolerance`: the root of twice the gap, in nats, that is good enough.
    - `max_steps`: after how many evaluations to give up.

    A digit takes one or two steps a parameter, and the time of a step grows with the cube of their
    number: beyond some tens of parameters, smooth the kinks and use `BFGS`.
    """

    tolerance: float = eqx.field(static=True, default=1e-4)
    max_steps: int = eqx.field(static=True, default=2048)

    def __check_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"Bundle: tolerance {self.tolerance} is not positive.")
        if self.max_steps < 1:
            raise ValueError(f"Bundle: max_steps {self.max_steps} is below 1.")

    def check(self, problem: Problem) -> None:
        """Any objective with a gradient will do, as long as it stays the same."""
        check_unscheduled(problem, "Bundle")
        if not problem.is_gradient:
            raise ValueError(
                "Bundle needs a gradient that belongs to the value, which a likelihood with "
                "BetaNLL or Faithful does not give. Use likelihax.GradientDescent(...)."
            )

    def init(self, problem: Problem, key: Array | None) -> tuple[Record, _State]:
        """Nothing is known yet: the first step evaluates the start."""
        theta = problem.start()
        zero, zeros = jnp.zeros((), theta.dtype), jnp.zeros_like(theta)
        nothing = jnp.zeros(10 * theta.size + 40, theta.dtype)
        square = jnp.zeros((nothing.size, theta.size), theta.dtype)
        state = _State(
            trial=theta,
            radius=zero + 1,
            cuts=_Cuts(square, nothing, square, nothing > 0, nothing + jnp.inf),
            # Neither near nor on the edge: the first step leaves the radius as it is.
            lowest=_Lowest(zero, zero + 0.5, nothing),
            leaning=zeros,
        )
        return new_record(problem, self.max_steps), state

    def step(self, problem: Problem, record: Record, state: _State) -> tuple[Record, _State]:
        """Evaluates the trial point, adds its cut and asks the model for the next."""
        outcome = problem.value_and_gradient(state.trial)
        usable = jnp.isfinite(outcome.total)
        first = record.steps == 0
        better = usable & (outcome.total < record.total)
        radius = _next_radius(state, record, outcome)
        record = record.count(outcome, state.trial).move(better, state.trial, outcome)
        leaning = state.leaning + _squared_cosines(outcome.gradient)
        units = _units(leaning, record.steps)
        cuts = _with_newest(state, outcome, usable)
        model = _seen_from(record, cuts, radius, units)
        scale = _scale(model, radius, state.lowest.drop)
        lowest = _lowest(model, radius, scale)
        onward = record.theta + units * _level_step(model, radius, scale, lowest.drop)

        proven, doubted = self._verdict(problem, record, model, lowest, radius)
        near = _locality(record.theta)
        kept = model.kept & (model.near | ~doubted)
        known = lambda point: jnp.any(kept & jnp.all(cuts.points == point[None, :], axis=1))
        # What the far cuts said is asked once more next to the best point, down its own slope.
        slope = units * record.gradient
        probe = record.theta - 0.5 * near * units * slope / _nonzero(jnp.max(jnp.abs(slope)))
        trial = jnp.where(doubted & ~known(probe), probe, onward)

        stuck = known(trial) | ~jnp.all(jnp.isfinite(trial))
        record = record.end(first & ~usable, RESULTS.start_failed)
        record = record.end(proven, RESULTS.successful)
        record = record.end(stuck, RESULTS.stalled)
        reach = jnp.where(doubted, 0.5, lowest.reach)
        slack = model.errors - model.slopes @ ((trial - record.theta) / units)
        is_best = jnp.all(cuts.points == record.theta[None, :], axis=1)
        slack = jnp.where(kept, jnp.where(is_best, -jnp.inf, slack), jnp.inf)
        return record, _State(
            trial=trial,
            radius=jnp.where(doubted, 0.5 * near, radius),
            cuts=eqx.tree_at(lambda c: (c.kept, c.slack), cuts, (kept, slack)),
            lowest=eqx.tree_at(lambda low: low.reach, lowest, reach),
            leaning=leaning,
        )

    def _verdict(
        self, problem: Problem, record: Record, model: _Model, lowest: _Lowest, radius: Array
    ) -> tuple[Array, Array]:
        """Whether the best point is good enough, and whether only far cuts say so."""
        averaged = problem.num_averaged().astype(record.theta.dtype)
        terms = jnp.abs(record.total) + jnp.sum(jnp.abs(record.gradient * record.theta))
        rounding = 4 * jnp.finfo(record.theta.dtype).eps * terms
        enough = jnp.maximum(0.5 * self.tolerance**2 / averaged, rounding)
        reach = jnp.maximum(radius, _locality(record.theta))
        # No bent cut may prove anything: next to the best point, gradients are taken as they are.
        near = jnp.where(model.near, lowest.shares, 0.0)
        near = near / _nonzero(jnp.sum(near))
        gap = near @ model.errors + reach * jnp.sum(jnp.abs(near @ model.gradients))
        proven = jnp.any(near > 0) & (gap <= enough)
        gap = lowest.shares @ model.errors + reach * jnp.sum(jnp.abs(lowest.shares @ model.slopes))
        flat = jnp.isfinite(record.total) & jnp.all(record.gradient == 0)
        return proven | flat, gap <= enough


def _locality(theta: Array) -> float:
    """How near, in unit steps, a gradient tells of the best point: 1e-6 in float64."""
    return float(jnp.finfo(theta.dtype).eps) ** 0.375


def _squared_cosines(gradient: Array) -> Array:
    squares = gradient**2
    return squares / _nonzero(jnp.sum(squares))


def _units(leaning: Array, steps: Array) -> Array:
    """How long a unit step is taken to be: more than 1 where slopes are far below the steepest.

    At first little is known of the slopes, and they are all taken to be alike.
    """
    count = steps.astype(leaning.dtype)
    # The floor ends at the square of what rounding leaves of a slope beside another.
    steepness = jnp.sqrt(leaning / count + 2.0 ** -jnp.minimum(count, 52.0))
    return jnp.maximum(jnp.max(steepness) / (_ALIKE * steepness), 1.0)


def _next_radius(state: _State, record: Record, outcome: Outcome) -> Array:
    drop, reach = state.lowest.drop, state.lowest.reach
    gain = record.total - outcome.total
    at_edge = reach > _EDGE
    longer = at_edge & (gain > 0.1 * _SHARE * drop)
    # Too far only where the objective is not convex: else the new cut says so by itself.
    above = gain + outcome.gradient @ (state.trial - record.theta) < 0
    shorter = at_edge & (gain < -2 * drop) & above
    radius = state.radius * jnp.where(longer, 2.0, jnp.where(shorter, 0.5, 1.0))
    # So that all numbers in the box are of order one, it follows the model's lowest point.
    radius = radius * jnp.clip(10 * reach, 0.1, 1.0)
    return jnp.where(jnp.isfinite(outcome.total), radius, 0.25 * state.radius)


def _with_newest(state: _State, outcome: Outcome, usable: Array) -> _Cuts:
    """The cuts with the newest in a free place, or in that of the one that mattered least."""
    cuts = state.cuts
    at = jnp.argmax(cuts.slack)
    put = lambda array, new: array.at[at].set(jnp.where(usable, new, array[at]))
    return _Cuts(
        points=put(cuts.points, state.trial),
        totals=put(cuts.totals, outcome.total),
        gradients=put(cuts.gradients, outcome.gradient),
        kept=put(cuts.kept, True),
        slack=cuts.slack,
    )


def _seen_from(record: Record, cuts: _Cuts, radius: Array, units: Array) -> _Model:
    """The model about the best point, in unit steps, bent down where a cut is above it.

    With `bend` times half the squared distance added, the objective might be convex; the
    gradients of the sum are those of the cuts and `bend` times the distance (W. Hare and C.
    Sagastizabal 2010, "A redistributed proximal bundle method for nonconvex optimization", SIAM J.
    Optim. 20). It is twice what is needed, so that a cut from afar ends clearly below.
    """
    away = (cuts.points - record.theta[None, :]) / units[None, :]
    gradients = cuts.gradients * units[None, :]
    along = jnp.abs(gradients * away)
    errors = record.total - cuts.totals + jnp.sum(gradients * away, axis=1)
    terms = jnp.abs(record.total) + jnp.abs(cuts.totals) + jnp.sum(along, axis=1)
    terms = terms + jnp.abs(cuts.gradients) @ jnp.abs(record.theta)
    rounding = 32 * jnp.finfo(errors.dtype).eps * terms
    above = cuts.kept & (errors < -rounding)
    distance = jnp.max(jnp.abs(away), axis=1)
    squared = jnp.sum(away**2, axis=1)
    kept = cuts.kept & ~(above & (distance > 4 * radius))
    needed = -2 * (errors + rounding) / _nonzero(squared)
    bend = 2 * jnp.max(jnp.where(above & kept, needed, 0.0))
    return _Model(
        slopes=jnp.where(kept[:, None], gradients + bend * away, 0.0),
        errors=jnp.where(kept, jnp.maximum(errors + 0.5 * bend * squared, 0.0), 0.0),
        gradients=gradients,
        kept=kept,
        near=kept & (distance <= _locality(record.theta)),
    )


def _scale(model: _Model, radius: Array, drop: Array) -> Array:
    """What the objective changes by in the box, so that the programme is in numbers of order 1."""
    lengths = jnp.sqrt(jnp.sum(model.slopes**2, axis=1))
    longest = jnp.max(lengths)
    shortest = jnp.min(jnp.where(lengths > 0, lengths, jnp.inf))
    last = jnp.where(drop > 0, drop, jnp.inf)
    return jnp.where(longest > 0, jnp.clip(last, radius * shortest, radius * longest), 1.0)


def _lowest(model: _Model, radius: Array, scale: Array) -> _Lowest:
    """A linear programme: the least height that is on or above all cuts, in the box."""
    size = model.slopes.shape[1]
    steep = model.slopes * (radius / scale)
    height = jnp.where(model.kept, -1.0, 0.0)
    box = jnp.eye(size, size + 1, dtype=steep.dtype)
    programme = Programme(
        curvature=jnp.zeros(size + 1, steep.dtype),
        linear=jnp.zeros(size + 1, steep.dtype).at[size].set(1.0),
        rows=jnp.concatenate([jnp.column_stack([steep, height]), box, -box]),
        bounds=_bounds(model, model.errors / scale),
    )
    point, multipliers = solve(programme)
    change = jnp.clip(point[:size], -1.0, 1.0)
    heights = radius * (model.slopes @ change) - model.errors
    shares = jnp.where(model.kept, multipliers[: len(heights)], 0.0)
    return _Lowest(
        # What the model is at that very point, so that some point is sure to be as low.
        drop=-jnp.max(jnp.where(model.kept, heights, -jnp.inf)),
        reach=jnp.max(jnp.abs(change)),
        shares=shares / _nonzero(jnp.sum(shares)),
    )


def _level_step(model: _Model, radius: Array, scale: Array, drop: Array) -> Array:
    """A quadratic programme: the shortest step to where all cuts are low enough."""
    size = model.slopes.shape[1]
    box = jnp.eye(size, dtype=model.slopes.dtype)
    level = -_SHARE * jnp.maximum(drop, 0.0)
    programme = Programme(
        curvature=jnp.ones(size, box.dtype),
        linear=jnp.zeros(size, box.dtype),
        rows=jnp.concatenate([model.slopes * (radius / scale), box, -box]),
        bounds=_bounds(model, (model.errors + level) / scale),
    )
    point, _ = solve(programme)
    return radius * jnp.clip(point, -1.0, 1.0)


def _bounds(model: _Model, of_cuts: Array) -> Array:
    of_box = jnp.ones(2 * model.slopes.shape[1], of_cuts.dtype)
    return jnp.concatenate([jnp.where(model.kept, of_cuts, 1.0), of_box])


def _nonzero(numbers: Array) -> Array:
    return jnp.where(numbers > 0, numbers, 1.0)
