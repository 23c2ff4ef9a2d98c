"""A trajectory that is not solved: any smooth curve in the place of an ODE's solution."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._parameters import Parameter, frozen, is_parameter, resolve
from .._result import RESULTS
from ._clock import doses_in
from ._ode import ODE
from ._simulator import AbstractSimulator, Simulation
from ._spline import Spline


@final
class Surrogate(AbstractSimulator):
    """A curve `t -> state` instead of an ODE's solution, the ODE's field beside it.

    What it predicts is what the ODE would observe along the curve. That the curve also obeys
    the field is for a term to ask: `likelihax.terms.Collocation`. Both the curve and the
    field's parameters are fitted; no solver runs, so that any start can be evaluated.

    **Arguments:**

    - `trajectory`: a `Spline`, or any callable or Equinox module from one time to the state.
    - `ode`: the ODE whose solution it stands for. Its initial state is not fitted here: the
        curve has its own.

    `as_ode` leads back: the ODE with the parameters found, started from the curve.
    """

    trajectory: Callable[..., PyTree]
    ode: ODE
    fitted: tuple[type | None, ...] = eqx.field(static=True)

    def __init__(self, trajectory: Callable[..., PyTree], ode: ODE):
        if not callable(trajectory):
            raise ValueError(
                f"Surrogate: the trajectory {trajectory!r} cannot be called: give for instance "
                "likelihax.models.Spline(knots, values)."
            )
        if not isinstance(ode, ODE):
            raise ValueError(f"Surrogate: {type(ode).__name__} is no ODE: give likelihax.ODE(...).")
        still = jtu.tree_map(_still, ode.initial, is_leaf=is_parameter)
        leaves = jtu.tree_leaves(ode.initial, is_leaf=is_parameter)
        self.trajectory = trajectory
        self.ode = eqx.tree_at(lambda ode: ode.initial, ode, still)
        self.fitted = tuple(_kind(leaf) for leaf in leaves)

    def simulate(self, times: Float[Array, " times"], inputs: Any = None) -> Simulation:
        """Observes the curve at `times`; it never fails."""
        values = self.ode.observed(times, self.states(times))
        return Simulation(
            values=values,
            result=RESULTS.successful,
            time_reached=times[-1],
            num_steps=jnp.asarray(0),
            accuracy=4 * float(jnp.finfo(values.dtype).eps),
        )

    def states(self, times: Float[Array, " times"]) -> PyTree:
        """The state at `times`, along the first axis of each of its arrays."""
        return jax.vmap(resolve(self.trajectory))(times)

    def as_ode(self, t0: float | None = None) -> ODE:
        """The ODE with the field's present parameters, started from the curve.

        **Arguments:**

        - `t0`: when it starts; by default where the ODE given said, or at a spline's first knot.

        What was fitted of its initial state is fitted again, from the curve's state; what was
        known stays as it was, and so does an initial state that is a function of the inputs.
        Raises `ValueError` where `t0` is not known, or the curve's state there is outside the
        initial state's constraint.
        """
        start = self._start(t0)
        rests = t0 is None and self.ode.t0 == -np.inf
        return self.ode.started(self._initial(start), -np.inf if rests else start)

    @property
    def field(self) -> Any:
        """The ODE's vector field, for terms about its parameters."""
        return self.ode.field

    @property
    def initial(self) -> PyTree:
        """The ODE's initial state, which is not fitted here."""
        return self.ode.initial

    @property
    def reverse_only(self) -> bool:
        """Never: nothing is solved."""
        return False

    def differentiated(self, mode: Literal["forward", "reverse"]) -> "Surrogate":
        """Itself: a curve serves both."""
        return self

    def check(self, times: Any, inputs: Any, name: str) -> None:
        """Raises `ValueError` where times lie outside a spline's knots."""
        self.ode.check(times, inputs, name)
        breaks = self.ode.resets is not None or self.ode.event is not None
        if breaks or doses_in(inputs):
            raise ValueError(
                f"{name}: a smooth curve cannot follow doses, resets and events: fit the ODE "
                "itself."
            )
        self.check_inside(times, f"{name}: times")

    def check_inside(self, times: Any, what: str) -> None:
        """Raises `ValueError` where one of `times` lies outside the curve, if it has ends."""
        if isinstance(self.trajectory, Spline):
            check_span(times, *self.trajectory.span, what, "the spline's knots")

    def _start(self, t0: float | None) -> float:
        for known in (t0, self.ode.t0):
            if known is not None and np.isfinite(known):
                return float(known)
        if isinstance(self.trajectory, Spline):
            return self.trajectory.span[0]
        raise ValueError(
            "Surrogate.as_ode: it is not known when the ODE starts: say as_ode(t0=...), the first "
            "time of the data for instance."
        )

    def _initial(self, start: float) -> PyTree:
        leaves = jtu.tree_leaves(self.ode.initial, is_leaf=is_parameter)
        structure: Any = jtu.tree_structure(self.ode.initial, is_leaf=is_parameter)
        if not callable(self.ode.initial):
            values = self._state(start, leaves, structure)
            moved = zip(leaves, values, self.fitted, strict=True)
            leaves = [_moved(leaf, new, start) if kind else leaf for leaf, new, kind in moved]
        pairs = zip(leaves, self.fitted, strict=True)
        return structure.unflatten([_free(leaf, kind) for leaf, kind in pairs])

    def _state(self, start: float, leaves: list[Any], structure: Any) -> list[Array]:
        """The curve's state at the start, an array for each of the initial state's."""
        dtype = jnp.result_type(*(resolve(leaf) for leaf in leaves))
        state = resolve(self.trajectory)(jnp.asarray(start, dtype))
        values, found = jtu.tree_flatten(state)
        expected = [jnp.shape(resolve(leaf)) for leaf in leaves]
        if found != structure or [jnp.shape(value) for value in values] != expected:
            initial = structure.unflatten([resolve(leaf) for leaf in leaves])
            raise ValueError(
                f"Surrogate.as_ode: the trajectory's state is {_structure(state)}, the ODE's "
                f"initial state is {_structure(initial)}: let the trajectory return the same."
            )
        return values


def check_span(times: Any, first: float, last: float, what: str, whose: str) -> None:
    """Raises `ValueError` where one of `times` lies before `first` or after `last`."""
    when = np.asarray(times)
    bad = np.flatnonzero(~((when >= first) & (when <= last)))
    if bad.size:
        raise ValueError(
            f"{what}[{bad[0]}] = {when[bad[0]]} lies outside {whose}, from {first} to {last}."
        )


def _kind(leaf: Any) -> type | None:
    """What a leaf of the initial state is, if it is fitted."""
    if isinstance(leaf, Parameter):
        return Parameter if leaf.trainable else None
    return Array if eqx.is_inexact_array(leaf) else None


def _still(leaf: Any) -> Any:
    if _kind(leaf) is Array:
        return frozen(leaf)
    return dataclasses.replace(leaf, trainable=False) if _kind(leaf) else leaf


def _free(leaf: Any, kind: type | None) -> Any:
    """Undoes `_still`."""
    if kind is Array:
        return leaf.value
    return dataclasses.replace(leaf, trainable=True) if kind else leaf


def _moved(parameter: Parameter, value: Array, start: float) -> Parameter:
    if not bool(jnp.all(parameter.constraint(value) & jnp.isfinite(value))):
        raise ValueError(
            f"Surrogate.as_ode: at t = {start} the trajectory is at {np.asarray(value)}, outside "
            "the constraint of the ODE's initial state. Take a trajectory that keeps it, such as "
            "Spline(..., log=True) for positive states."
        )
    return dataclasses.replace(parameter, value=value.astype(parameter.value.dtype))


def _structure(tree: PyTree) -> str:
    return eqx.tree_pformat(tree, struct_as_array=True)
