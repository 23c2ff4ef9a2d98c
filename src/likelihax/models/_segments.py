"""An ODE solved piece by piece, each piece from a state of its own."""

from typing import Any, Literal, NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._parameters import resolve
from .._result import RESULTS
from .._varying import Varying
from ._clock import doses_in
from ._each import simulate_each
from ._ode import ODE
from ._simulator import AbstractSimulator, Simulation

_PIECE = "piece"
CUT = "multiple shooting cannot cut"


class _Solved(NamedTuple):
    """The pieces: the state at each of their times, flat, and how the solves went."""

    states: Float[Array, "pieces times size"]
    simulation: Simulation


@final
class Segments(AbstractSimulator):
    """The pieces of a trajectory between nodes, the state at each node free.

    What happens early then has no say in what happens late, and nothing that oscillates or is
    chaotic gets lost on the way: the pieces are short. That they join is for a term to ask; the
    gaps between them are what `gaps` gives (H. G. Bock 1983, "Recent advances in parameter
    identification techniques for O.D.E.", Progress in Scientific Computing 2, 95-121).

    **Attributes:**

    - `ode`: the ODE; the first piece begins at its initial state.
    - `nodes`: the state at the beginning of each further piece, along the first axis of each of
        its arrays.
    - `num`: how many pieces there are; each holds about as many of the times.
    """

    ode: ODE
    nodes: PyTree
    num: int = eqx.field(static=True)

    def simulate(self, times: Float[Array, " times"], inputs: Any = None) -> Simulation:
        """Observes the pieces at `times`, the later one where two of them meet."""
        solved = self.solve(times, inputs)
        which, place = _places(times.size, self.num)
        states = self._unflat(solved.states[which, place], times, inputs)
        values = self.ode.observed(times, states)
        return _together(solved.simulation, values, times)

    def gaps(self, times: Float[Array, " times"], inputs: Any = None) -> Simulation:
        """How far each piece ends from where the next one begins, instead of what is observed.

        Shape `(nodes, size)`, the state as one vector.
        """
        solved = self.solve(times, inputs)
        gaps = solved.states[:-1, -1] - _flat_rows(resolve(self.nodes))
        return _together(solved.simulation, gaps, times)

    @property
    def field(self) -> Any:
        """The ODE's, for terms about its parameters."""
        return self.ode.field

    @property
    def initial(self) -> PyTree:
        """The ODE's, where the first piece begins."""
        return self.ode.initial

    @property
    def reverse_only(self) -> bool:
        """As the ODE is."""
        return self.ode.reverse_only

    @property
    def forward(self) -> bool:
        """As the ODE is."""
        return self.ode.forward

    def differentiated(self, mode: Literal["forward", "reverse"]) -> "Segments":
        """The same pieces, for derivatives of one kind."""
        return Segments(self.ode.differentiated(mode), self.nodes, self.num)

    def check(self, times: Any, inputs: Any, name: str) -> None:
        """Raises `ValueError` where the ODE cannot be cut into pieces."""
        self.ode.check(times, inputs, name)
        check_smooth(self.ode, inputs, name, CUT)

    def solve(self, times: Float[Array, " times"], inputs: Any = None) -> _Solved:
        """All pieces, each with its end, where the next one begins."""
        ode = self.ode
        state = ode.initial_state(times, inputs)
        starts = jtu.tree_map(_below, state, resolve(self.nodes))
        each = jtu.tree_map(lambda rows: Varying(rows, _PIECE, ()), starts)
        piece = ode.piece(each, _flat)
        index = _index(times.size, self.num)
        begin = jnp.concatenate([ode.start_time(times)[None], times[index[1:, 0]]])
        when = jnp.concatenate([begin[:, None], times[index]], axis=1)
        repeat = lambda leaf: (
            jnp.broadcast_to(leaf, (self.num, *leaf.shape)) if eqx.is_array(leaf) else leaf
        )
        places = {_PIECE: jnp.arange(self.num)}
        found = simulate_each(piece, places, when, jtu.tree_map(repeat, inputs))
        return _Solved(found.values[:, 1:], found)

    def _unflat(self, rows: Array, times: Array, inputs: Any) -> PyTree:
        leaves, structure = jtu.tree_flatten(self.ode.initial_state(times, inputs))
        ends = np.cumsum([leaf.size for leaf in leaves])
        parts = jnp.split(rows, ends[:-1], axis=1)
        shaped = [part.reshape(-1, *leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
        return jtu.tree_unflatten(structure, shaped)


def _together(found: Simulation, values: Array, times: Array) -> Simulation:
    """What was made of several solves, as one: infinite where one of them failed."""
    success = jnp.all(jnp.asarray(found.result == RESULTS.successful))
    first = jnp.argmax(jnp.asarray(found.result != RESULTS.successful))
    result: RESULTS = jtu.tree_map(lambda leaf: leaf[first], found.result)
    return Simulation(
        values=jnp.where(success, values, jnp.asarray(jnp.inf, values.dtype)),
        result=result,
        time_reached=jnp.where(success, times[-1], found.time_reached[first]),
        num_steps=jnp.sum(found.num_steps),
        accuracy=found.accuracy,
    )


def check_smooth(ode: ODE, inputs: Any, name: str, what: str) -> None:
    """Raises `ValueError` for an ODE whose trajectory jumps, or has no beginning."""
    breaks = ode.resets is not None or ode.event is not None
    if breaks or doses_in(inputs) or doses_in(ode.field) or ode.t0 == -np.inf:
        raise ValueError(
            f"{name}: {what} a trajectory with doses, resets, events or a steady state at its "
            "beginning: take likelihax.fits.GrowingHorizon()."
        )


def bounds(count: int, num: int) -> np.ndarray:
    """The numbers of the times at which pieces begin and end, `num + 1` of them."""
    return np.round(np.linspace(0, count - 1, num + 1)).astype(int)


def _index(count: int, num: int) -> np.ndarray:
    """The numbers of the times of each piece, the last one repeated where it is short."""
    ends = bounds(count, num)
    longest = int(np.max(np.diff(ends))) + 1
    return np.minimum(ends[:-1, None] + np.arange(longest)[None, :], ends[1:, None])


def _places(count: int, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Which piece each time is looked up in, and where in it."""
    ends = bounds(count, num)
    which = np.minimum(np.searchsorted(ends, np.arange(count), side="right") - 1, num - 1)
    return which, np.arange(count) - ends[which]


def _below(first: Array, others: Array) -> Array:
    return jnp.concatenate([first[None], others.astype(first.dtype)])


def _flat(t: Any, state: PyTree) -> Array:
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jtu.tree_leaves(state)])


def _flat_rows(states: PyTree) -> Array:
    leaves = jtu.tree_leaves(states)
    return jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in leaves], axis=1)
