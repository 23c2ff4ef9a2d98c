"""A curve through the data first, whose slope is made to match the vector field."""

from dataclasses import replace
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array
from numpyro.distributions import constraints

from .._parameters import is_parameter
from ..data import Experiment
from ..likelihoods import Normal
from ..models import ODE, Spline, Surrogate
from ..models._segments import check_smooth
from ..terms import Collocation
from ._easier import check_tightening, easier, restored, run_tied
from ._method import AbstractMethod
from ._problem import Problem
from ._states import guessed_states, spread_of
from ._strategy import AbstractStrategy, Found, anchored, check_options
from ._turns import num_turns

# By default so many knots for each turn of the data, and at least and at most so many.
_KNOTS_A_TURN = 4
_FEWEST_KNOTS, _MOST_KNOTS = 8, 128
# How far the slope may be from the field from stage to stage, in units of how steep curves of that
# many knots can be.
_SLACK = (1.0, 0.3, 0.1)
# A knot of a state that stays positive begins at this share of its spread at least.
_SMALLEST = 1e-3


@final
class GradientMatching(AbstractStrategy):
    """A smooth curve through the data, whose slope is made to match the vector field.

    Nothing is solved, so that any start can be evaluated, and what is fitted is close to least
    squares in the parameters: `terms.Collocation` on a `models.Surrogate`, the scale of what may
    be left falling from stage to stage. For starts from which no solve gets anywhere, and smooth
    data of one experiment in which every state is measured (J. O. Ramsay, G. Hooker, D. Campbell
    and J. Cao 2007, J. Royal Statistical Society B 69, 741-796). A state that is not measured is
    a curve as free as the others, a known initial state does not hold it: there
    `MultipleShooting` does better.

    **Arguments:**

    - `knots`: how many knots the spline has; by default four for each turn of the data, from 8 to
        128, and no more than there are times.
    - `slack`: how far the slope may be from the field, stage by stage: the standard deviation of a
        Normal, in units of how steep curves of that many knots can be.
    - `spread`: how far parameters and knots may be from where they start, where the data do not
        say; see `GrowingHorizon`.
    - `max_steps`: after how many evaluations a fit on the way ends.
    """

    knots: int | None = eqx.field(static=True, default=None)
    slack: tuple[float, ...] = eqx.field(static=True, default=_SLACK)
    spread: float = eqx.field(static=True, default=2.0)
    max_steps: int = eqx.field(static=True, default=32)

    def __check_init__(self) -> None:
        if self.knots is not None and self.knots < 4:
            raise ValueError(f"GradientMatching: {self.knots} knots: a spline needs 4 or more.")
        check_tightening("GradientMatching", "slack", self.slack)
        check_options("GradientMatching", self.max_steps, spread=self.spread)

    def check(self, problem: Problem) -> None:
        """The model must be an ODE with a smooth solution, the data one experiment."""
        model = getattr(problem.predictor, "model", None)
        if not isinstance(model, ODE):
            raise ValueError(
                "GradientMatching is for a Predictor whose model is an ODE, not "
                f"{type(problem.predictor).__name__} of {type(model).__name__}: leave the strategy "
                "out."
            )
        data = problem.data
        if not isinstance(data, Experiment):
            raise ValueError(
                "GradientMatching draws the curve of one experiment, and the data are "
                f"{type(data).__name__}: take likelihax.fits.MultipleShooting()."
            )
        check_smooth(model, data.inputs, data.name, "gradient matching cannot draw a curve for")
        leaves = jtu.tree_leaves(problem.predictor.of(data).model.initial_state(*data.arguments))
        if len(leaves) != 1:
            raise ValueError(
                f"{data.name}: the state has {len(leaves)} arrays, and a spline is of one: make "
                "it one, or take likelihax.fits.MultipleShooting()."
            )
        if data.times.size < 4:
            raise ValueError(
                f"{data.name}: {data.times.size} measured times are too few for a spline: take "
                "likelihax.fits.GrowingHorizon()."
            )

    def find(self, problem: Problem, method: AbstractMethod, progress: bool | None) -> Found:
        """Fits the curve and the parameters, stage by stage."""
        matched, steepness = self._drawn(problem)
        quantity = _logarithm if matched.predictor.model.trajectory.log else None
        terms = [
            (f"slack of {slack:g}", Collocation(Normal(scale=slack * steepness), quantity=quantity))
            for slack in self.slack
        ]
        found = run_tied(matched, terms, method, self.max_steps, progress)
        back = restored(problem, found.problem, _solved(problem, found.problem))
        return replace(found, problem=back)

    def _drawn(self, problem: Problem) -> tuple[Problem, np.ndarray]:
        """The problem with a curve in the place of the solution, and how steep it can be."""
        data, ode = problem.data, problem.predictor.model
        predictor = problem.predictor.of(data)
        times = np.asarray(data.times)
        knots = np.linspace(float(ode.start_time(data.times)), times[-1], self._num(data))
        guess = guessed_states(predictor, data)
        values, scale = _averaged(times, guess, knots), spread_of(guess)
        log = _is_positive(ode.initial)
        if log:
            values, scale = np.maximum(values, _SMALLEST * scale), np.ones_like(scale)
        shape = predictor.model.initial_state(data.times, data.inputs).shape
        curve = Spline(knots, values.reshape(-1, *shape), log=log)
        steepness = scale / (knots[1] - knots[0])
        term = Collocation(Normal(scale=steepness), quantity=_logarithm if log else None)
        drawn = easier(problem, Surrogate(curve, ode), term)
        return anchored(drawn, self.spread), steepness

    def _num(self, data: Experiment) -> int:
        if self.knots is not None:
            return self.knots
        wanted = _KNOTS_A_TURN * num_turns(data)
        return min(int(np.clip(wanted, _FEWEST_KNOTS, _MOST_KNOTS)), data.times.size)


def _solved(problem: Problem, matched: Problem) -> ODE:
    """The ODE with the parameters found, started from the curve where its start is fitted."""
    before: ODE = problem.predictor.model
    after = matched.predictor.model.as_ode()
    moved: ODE = eqx.tree_at(
        lambda ode: (ode.field, ode.initial, ode.observe),
        before,
        (after.field, after.initial, after.observe),
        is_leaf=lambda leaf: leaf is None,
    )
    return moved


def _averaged(times: np.ndarray, states: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """The mean of the states about each knot, of the nearest time at least."""
    half = 0.5 * (knots[1] - knots[0])
    nearest = np.abs(times[None, :] - knots[:, None])
    about = nearest <= np.maximum(half, nearest.min(axis=1))[:, None]
    weights = about / about.sum(axis=1, keepdims=True)
    averaged: np.ndarray = weights @ states
    return averaged


def _is_positive(initial: Any) -> bool:
    leaves = jtu.tree_leaves(initial, is_leaf=is_parameter)
    found = [getattr(leaf, "constraint", None) is constraints.positive for leaf in leaves]
    return bool(found) and all(found)


def _logarithm(t: Any, state: Array) -> Array:
    return jnp.log(state)
