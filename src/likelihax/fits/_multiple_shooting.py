"""Many short trajectories first, which need not join; then more and more so."""

import dataclasses
from dataclasses import replace
from typing import Any, final

import equinox as eqx
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, PyTree
from numpyro.distributions import constraints
from numpyro.distributions.constraints import Constraint

from .._parameters import Parameter, is_parameter, positive, real, resolve
from .._predictor import Predictor
from ..data import Experiments
from ..likelihoods import AbstractLikelihood, Normal
from ..models import ODE, Simulation
from ..models._segments import CUT, Segments, bounds, check_smooth
from ..terms._law import AbstractResidual
from ._easier import check_tightening, easier, restored, run_tied
from ._method import AbstractMethod
from ._problem import Problem
from ._states import guessed_states, spread_of
from ._strategy import AbstractStrategy, Found, anchored, check_options, check_timed
from ._turns import num_turns

# By default there is a piece for each turn of the data, but no fewer and no more than this, and
# none that holds fewer of the times.
_FEWEST_PIECES, _MOST_PIECES = 4, 64
_TIMES_A_PIECE = 4
# How far apart pieces may be from stage to stage, in units of the spread of each state.
_GAPS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.001)

# A node of a state that stays positive begins at this share of its spread at least.
_SMALLEST = 1e-3


@final
class MultipleShooting(AbstractStrategy):
    """The trajectory in pieces, each from a free state of its own; then more and more joined.

    Short pieces neither run away from the data nor lose their phase, so that parameters are found
    from where a single trajectory would not even pass by the data. States that are not measured
    are free as well. How far the pieces may be apart falls from stage to stage; no node is held to
    a measured value. For oscillations and chaos, initial and hidden states unknown (H. G. Bock
    1983, Progress in Scientific Computing 2, 95-121). On noisy chaos let a `GrowingHorizon` follow.

    **Arguments:**

    - `pieces`: how many; by default one for every turn of the data, from 4 to 64, if there are
        four measured times for each.
    - `gaps`: how far pieces may be apart, stage by stage: the standard deviation of a Normal in
        units of the spread of each state.
    - `spread`: how far parameters and nodes may be from where they start, where the data do not
        say; see `GrowingHorizon`.
    - `max_steps`: after how many evaluations a fit on the way ends.
    """

    pieces: int | None = eqx.field(static=True, default=None)
    gaps: tuple[float, ...] = eqx.field(static=True, default=_GAPS)
    spread: float = eqx.field(static=True, default=2.0)
    max_steps: int = eqx.field(static=True, default=48)

    def __check_init__(self) -> None:
        if self.pieces is not None and self.pieces < 2:
            raise ValueError(f"MultipleShooting: {self.pieces} pieces: give 2 or more.")
        check_tightening("MultipleShooting", "gaps", self.gaps)
        check_options("MultipleShooting", self.max_steps, spread=self.spread)

    def check(self, problem: Problem) -> None:
        """The model must be an ODE that can be cut into pieces."""
        check_timed(problem, "MultipleShooting")
        model = problem.predictor.model
        if not isinstance(model, ODE):
            raise ValueError(
                f"MultipleShooting cuts the trajectory of an ODE, not of {type(model).__name__}: "
                "leave the strategy out."
            )
        for one in problem.data.experiments:
            times, *inputs = one.arguments
            check_smooth(model, inputs[0] if inputs else None, one.name, CUT)
            if times.size < 4:
                raise ValueError(
                    f"{one.name}: {times.size} measured times are too few to cut: take "
                    "likelihax.fits.GrowingHorizon()."
                )

    def find(self, problem: Problem, method: AbstractMethod, progress: bool | None) -> Found:
        """Fits the pieces, stage by stage."""
        cut, scale = self._cut(problem)
        terms = [(f"gaps of {gap:g}", Continuity(Normal(scale=gap * scale))) for gap in self.gaps]
        found = run_tied(cut, terms, method, self.max_steps, progress)
        joined = restored(problem, found.problem, found.problem.predictor.model.ode)
        return replace(found, problem=joined)

    def _cut(self, problem: Problem) -> tuple[Problem, np.ndarray]:
        """The problem in pieces, and the spread of each state."""
        predictor, data = problem.predictor, problem.data
        num = self._num(data)
        guesses = [guessed_states(_of(predictor, data, one.name), one) for one in data.experiments]
        scale = spread_of(np.concatenate(guesses))
        nodes = np.stack([guess[bounds(len(guess), num)[1:-1]] for guess in guesses])
        model = Segments(predictor.model, _free(predictor, nodes, scale, data), num)
        cut = easier(problem, model, Continuity(Normal(scale=scale)))
        return anchored(cut, self.spread), scale

    def _num(self, data: Any) -> int:
        fewest = min(one.times.size for one in data.experiments)
        wanted = self.pieces
        if wanted is None:
            wanted = int(np.clip(num_turns(data), _FEWEST_PIECES, _MOST_PIECES))
            wanted = min(wanted, max(fewest // _TIMES_A_PIECE, 2))
        return min(wanted, fewest - 1)


@final
class Continuity(AbstractResidual):
    """That each piece of a trajectory ends where the next one begins.

    **Arguments:**

    - `likelihood`: how far apart they may be, one scale for each number of the state.
    """

    likelihood: AbstractLikelihood
    floor: Array | None
    name: str | None = eqx.field(static=True)

    def __init__(self, likelihood: AbstractLikelihood):
        self.likelihood = likelihood
        self.floor = None
        self.name = None

    def check(self, predictor: Any, data: Any) -> None:
        """Nothing to check: only `MultipleShooting` makes one."""

    def along(self, model: Any, times: Array, inputs: Any) -> Simulation:
        """The gaps between the pieces of one experiment."""
        return model.gaps(times, inputs)

    def are_own_times(self, model: Any) -> bool:
        """There are as many gaps in each experiment, however long."""
        return True


def _of(predictor: Predictor, data: Any, name: str) -> Predictor:
    return predictor.of(data, name) if isinstance(data, Experiments) else predictor.of(data)


def _free(predictor: Predictor, nodes: np.ndarray, scale: np.ndarray, data: Any) -> PyTree:
    """The nodes as parameters, shaped and constrained like the initial state."""
    one = data.experiments[0]
    times, *inputs = one.arguments
    model: ODE = resolve(_of(predictor, data, one.name)).model
    leaves, structure = jtu.tree_flatten(model.initial_state(times, inputs[0] if inputs else None))
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    pieces = zip(leaves, np.split(nodes, ends, axis=-1), np.split(scale, ends), strict=True)
    constraints = _constraints(predictor.model.initial, len(leaves))
    free = [
        _parameter(values.reshape(*values.shape[:-1], *leaf.shape), size.reshape(leaf.shape), how)
        for (leaf, values, size), how in zip(pieces, constraints, strict=True)
    ]
    if isinstance(data, Experiments):
        free = [dataclasses.replace(p, by="experiment", members=data.names) for p in free]
    else:
        free = [dataclasses.replace(p, value=p.value[0], scale=p.scale[0]) for p in free]
    return jtu.tree_unflatten(structure, free)


def _constraints(initial: Any, count: int) -> list[Constraint]:
    leaves = jtu.tree_leaves(initial, is_leaf=is_parameter)
    found = [getattr(leaf, "constraint", constraints.real) for leaf in leaves]
    return found if len(found) == count else [constraints.real] * count


def _parameter(values: np.ndarray, scale: np.ndarray, constraint: Constraint) -> Parameter:
    sizes = np.broadcast_to(scale, values.shape)
    if constraint is constraints.positive:
        found: Parameter = positive(np.maximum(values, _SMALLEST * sizes), name="nodes")
    else:
        found = real(values, scale=sizes, name="nodes")
    return found
