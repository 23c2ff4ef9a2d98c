"""An ordinary differential equation with unknown parameters, as a model."""

from collections.abc import Callable
from typing import Any, Literal, final

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._parameters import known, resolve
from .._result import RESULTS
from ..inputs._input import check_inputs, jump_times
from ._clock import Clock, Field, doses_in
from ._event import Event, Resets
from ._simulator import AbstractSimulator, Simulation
from ._solver import Solving, checked_tolerances, explicit_solver, implicit_solver
from ._steady_state import steady_state
from ._stretches import Stretches

_REVERSE_ONLY = (dfx.RecursiveCheckpointAdjoint, dfx.BacksolveAdjoint, dfx.ImplicitAdjoint)
# An implicit step costs about so many explicit ones.
_IMPLICIT_COST = 8


class Trajectory(eqx.Module):
    """A solved ODE.

    **Attributes:**

    - `ts`: the times asked for.
    - `ys`: the whole state at them, along the first axis of each of its arrays; not finite where
        the solve did not get to.
    - `result`: how the solve ended.
    - `time_reached`: the last time asked for that was solved for.
    - `num_steps`: how many steps the solver tried.
    """

    ts: Float[Array, " times"]
    ys: PyTree
    result: RESULTS
    time_reached: Float[Array, ""]
    num_steps: Array

    @property
    def success(self) -> Array:
        """Whether the solve succeeded."""
        return jnp.asarray(self.result == RESULTS.successful)


@final
class ODE(AbstractSimulator):
    """`dy/dt = field(t, y, inputs)` from an initial state, observed at given times.

    **Arguments:**

    - `field`: any callable or Equinox module `(t, y, inputs) -> dy/dt`; its array leaves and
        `Parameter`s are fitted. Times, states and rates are in the user's own units.
    - `initial`: the state at `t0`: numbers or arrays (known), a `Parameter` (fitted), any
        pytree of these, or a callable `inputs -> state`. A list or tuple of numbers is one
        array.
    - `observe`: `(t, y) -> what is measured` at one time, a scalar or a vector; by default
        the state itself, which must then be one array.
    - `t0`: the time of the initial state; by default the first measured time. `-inf`: it has been
        running for ever and rests, so that at the first measured time the state is the root of
        the field that is found from `initial`, doses and infusions left out.
    - `solver`: any Diffrax solver; by default `Tsit5`, or `Dopri8` where `rtol` is below 1e-9.
        `"auto"`: that or an implicit one for stiff equations, `Kvaerno5`, whichever costs less at
        the start of a fit, and the other one wherever it fails.
    - `rtol`, `atol`: the solver's relative and absolute tolerance; by default 1e-7 and 1e-9
        in float64, 1e-4 and 1e-6 in float32. The absolute one is in the units of the state.
    - `max_steps`: after how many steps a solve counts as failed.
    - `adjoint`: any Diffrax adjoint; by default `ForwardMode` where few parameters are
        fitted, `RecursiveCheckpointAdjoint` where many are. Never `BacksolveAdjoint`, whose
        gradients are those of another, reversed, solve. One that only goes backwards makes a
        fit use gradients rather than Jacobians; standard errors go forward in any case.
    - `resets`: changes of the state at known times, see `Resets`.
    - `event`: what happens when the state gets somewhere, see `Event`.

    Inputs from `likelihax.inputs`, in the experiment's `inputs` or inside the field, tell the
    solver where they jump, and `Doses` are added to the state.

    A solve that fails is no exception: `simulate` says so, the prediction is infinite, and a
    fit goes on from better parameters.
    """

    field: Callable[..., PyTree]
    initial: PyTree
    observe: Callable[..., Array] | None
    t0: float | None = eqx.field(static=True)
    solver: dfx.AbstractSolver | Literal["auto"] | None
    rtol: float | None = eqx.field(static=True)
    atol: float | None = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)
    adjoint: dfx.AbstractAdjoint | None
    resets: Resets | None
    event: Event | None
    mode: Literal["forward", "reverse"] = eqx.field(static=True)
    implicit_first: bool = eqx.field(static=True)

    def __init__(
        self,
        field: Callable[..., PyTree],
        initial: PyTree,
        *,
        observe: Callable[..., Array] | None = None,
        t0: float | None = None,
        solver: dfx.AbstractSolver | Literal["auto"] | None = None,
        rtol: float | None = None,
        atol: float | None = None,
        max_steps: int = 4096,
        adjoint: dfx.AbstractAdjoint | None = None,
        resets: Resets | None = None,
        event: Event | None = None,
    ):
        if solver != "auto":
            _check_kind(solver, dfx.AbstractSolver, "solver", 'diffrax.Tsit5() or "auto"')
        _check_kind(adjoint, dfx.AbstractAdjoint, "adjoint", "diffrax.ForwardMode()")
        _check_kind(resets, Resets, "resets", "likelihax.models.Resets(times, apply)")
        _check_kind(event, Event, "event", "likelihax.models.Event(when, apply)")
        if max_steps < 1:
            raise ValueError(f"ODE: max_steps must be at least 1, got {max_steps}.")
        self.field = field
        self.initial = initial if callable(initial) else known(initial)
        self.observe = observe
        self.t0 = None if t0 is None else float(t0)
        if self.t0 is not None and not (np.isfinite(self.t0) or self.t0 == -np.inf):
            raise ValueError(f"ODE: t0 must be finite, got {t0}; -inf stands for a steady state.")
        _check_finite(self.initial)
        self.solver = solver
        self.rtol = _checked_tolerance(rtol, "rtol")
        self.atol = _checked_tolerance(atol, "atol")
        self.max_steps = max_steps
        self.adjoint = adjoint
        self.resets = resets
        self.event = event
        self.mode = "reverse"
        self.implicit_first = False

    def simulate(self, times: Float[Array, " times"], inputs: Any = None) -> Simulation:
        """Solves and observes at `times`, sorted, none before `t0`."""
        solved = self.solve(times, inputs)
        observed = self.observed(times, solved.ys)
        return Simulation(
            values=jnp.where(solved.success, observed, jnp.asarray(jnp.inf, observed.dtype)),
            result=solved.result,
            time_reached=solved.time_reached,
            num_steps=solved.num_steps,
            accuracy=self.tolerances(times.dtype)[0],
        )

    def solve(self, times: Float[Array, " times"], inputs: Any = None) -> Trajectory:
        """The whole state at `times`, even where the solve failed."""
        field, event, resets = resolve((self.field, self.event, self.resets))
        start, state, started = self._start(field, times, inputs)
        _check_field(field, start, state, inputs)
        jumps = jump_times((field, inputs), times.dtype)
        clock = Clock(start, times[-1] - start, jumps)
        moving = Field(field, clock, doses_in(inputs))
        shares = clock.share(times)
        if event is None and resets is None:
            solved = self._solving(times.dtype, clock.span)(
                moving, state, shares, clock.share(jumps), inputs
            )
            ys, share, steps = solved.states, solved.end, solved.num_steps
            result = RESULTS.promote(solved.result)
        else:
            stretches = Stretches(moving, self._solving(times.dtype, clock.span), event, resets)
            ys, share, result, steps = stretches(state, shares, inputs)
        if moving.doses:
            ys = jax.vmap(moving.with_doses)(times, ys)
        result = RESULTS.where(started == RESULTS.successful, result, started)
        reached = jnp.max(jnp.where(shares <= share, times, -jnp.inf))
        return Trajectory(times, ys, result, reached, steps)

    @property
    def forward(self) -> bool:
        """Whether it was prepared for forward derivatives."""
        return self.mode == "forward"

    @property
    def reverse_only(self) -> bool:
        """Whether the adjoint given has no forward derivatives."""
        return isinstance(self.adjoint, _REVERSE_ONLY)

    def differentiated(self, mode: Literal["forward", "reverse"]) -> "ODE":
        """The same ODE, whose default adjoint serves derivatives of one kind."""
        return self._with(mode=mode)

    def check(self, times: Any, inputs: Any, name: str) -> None:
        """Raises `ValueError` where times do not increase, or come before `t0`."""
        if not eqx.is_array(times) or times.ndim != 1:
            raise ValueError(f"{name}: an ODE needs a vector of times, got {_structure(times)}.")
        when = np.asarray(times)
        bad = np.flatnonzero(np.diff(when) <= 0)
        if bad.size:
            raise ValueError(
                f"{name}: an ODE needs times that increase, but {when[bad[0] + 1]} follows "
                f"{when[bad[0]]}. Sort the rows by time."
            )
        first = float(when[0])
        if self.t0 is not None and first < self.t0:
            raise ValueError(
                f"{name}: times[0] = {first} comes before the initial state at t0 = {self.t0}. "
                "Give an earlier t0, or leave it out to start at the first time."
            )
        start = float(np.asarray(self.start_time(times)))
        check_inputs(inputs, start, float(when[-1]), name)
        for doses in doses_in(inputs):
            doses.check_measured(when, name)
        self._check_breaks(start, name)

    def _check_breaks(self, start: float, name: str) -> None:
        if self.resets is None:
            return
        early = np.asarray(resolve(self.resets.times)) <= start
        if early.any():
            first = np.asarray(resolve(self.resets.times))[early][0]
            raise ValueError(
                f"{name}: a reset at t = {first} does not come after the initial state at t = "
                f"{start}. Give an earlier t0, or let the initial state be the one after it."
            )

    def observed(self, times: Float[Array, " times"], states: PyTree) -> Array:
        """What would be measured of `states` at `times`, without noise."""
        if self.observe is None:
            leaves = jtu.tree_leaves(states)
            if len(leaves) != 1:
                raise ValueError(
                    f"ODE: the state has {len(leaves)} arrays, so say what is measured: "
                    "observe=lambda t, y: ..."
                )
            return leaves[0]
        observed = jax.vmap(resolve(self.observe))(times, states)
        if not eqx.is_array(observed):
            raise ValueError(
                f"ODE: observe returned {_structure(observed)}: it must return one array, for "
                "instance jnp.stack([...])."
            )
        return observed

    def tolerances(self, dtype: Any) -> tuple[float, float]:
        """The relative and the absolute tolerance in a dtype; `ValueError` if it is too coarse."""
        return checked_tolerances(self.rtol, self.atol, dtype)

    def probed(
        self, times: Float[Array, " times"], inputs: Any = None, example: Any = None
    ) -> "ODE":
        """The same ODE; with `solver="auto"`, the cheaper of the two solvers comes first.

        Both are tried at the present parameters.
        """
        if self.solver != "auto":
            return self
        rtol, atol = self.tolerances(times.dtype)
        span = times[-1] - self.start_time(times)
        example = self if example is None else example
        explicit = example._with(solver=explicit_solver(rtol))
        implicit = example._with(solver=implicit_solver(rtol, atol * span))
        works, steps = _tried(explicit, times, inputs)
        implicit_works, implicit_steps = _tried(implicit, times, inputs)
        cheaper = _IMPLICIT_COST * int(implicit_steps) < int(steps)
        return self._with(implicit_first=bool(implicit_works) and (cheaper or not bool(works)))

    def solved_like(self, other: AbstractSimulator) -> "ODE":
        """The same ODE; with `solver="auto"`, the solver that another tries first comes first."""
        if self.solver != "auto" or not isinstance(other, ODE):
            return self
        return self._with(implicit_first=other.implicit_first)

    def started(self, initial: PyTree, t0: float) -> "ODE":
        """The same ODE with another initial state, at another time."""
        return self._with(initial=initial, t0=t0)

    def piece(self, initial: PyTree, observe: Callable[..., Array]) -> "ODE":
        """The same ODE from a state at the first of any times, with something else observed."""
        return self._with(initial=initial, t0=None, observe=observe)

    def initial_state(self, times: Float[Array, " times"], inputs: Any = None) -> PyTree:
        """The state where the solve begins."""
        return self._start(resolve(self.field), times, inputs)[1]

    def start_time(self, times: Float[Array, " times"]) -> Float[Array, ""]:
        """When the solve begins: `t0`, or the first time."""
        known_start = self.t0 is not None and np.isfinite(self.t0)
        return jnp.asarray(self.t0, times.dtype) if known_start else times[0]

    def _start(self, field: Any, times: Array, inputs: Any) -> tuple[Array, PyTree, RESULTS]:
        initial = resolve(self.initial)
        t = self.start_time(times)
        state = initial(inputs) if callable(initial) else initial
        state = jtu.tree_map(lambda leaf: jnp.asarray(leaf, dtype=times.dtype), state)
        if self.t0 != -np.inf:
            return t, state, RESULTS.successful
        _check_field(field, t, state, inputs)
        state, result = steady_state(field, t, state, inputs, *self.tolerances(times.dtype))
        return t, state, result

    def _solving(self, dtype: Any, span: Array) -> Solving:
        rtol, atol = self.tolerances(dtype)
        solvers: Any = (explicit_solver(rtol) if self.solver is None else self.solver,)
        if self.solver == "auto":
            # A rate in shares of the span is that much larger.
            both = (explicit_solver(rtol), implicit_solver(rtol, atol * span))
            solvers = both[::-1] if self.implicit_first else both
        return Solving(solvers, rtol, atol, self.max_steps, self._adjoint())

    def _with(self, **changes: Any) -> "ODE":
        changed = object.__new__(ODE)
        for name, value in vars(self).items():
            object.__setattr__(changed, name, changes.get(name, value))
        return changed

    def _adjoint(self) -> dfx.AbstractAdjoint:
        forward = self.mode == "forward"
        if self.adjoint is not None and not (forward and self.reverse_only):
            return self.adjoint
        if forward:
            return dfx.ForwardMode()
        return dfx.RecursiveCheckpointAdjoint()


@eqx.filter_jit
def _tried(ode: ODE, times: Array, inputs: Any) -> tuple[Array, Array]:
    solved = ode.solve(times, inputs)
    return solved.success, solved.num_steps


def _check_kind(value: Any, kind: type, what: str, example: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise ValueError(
            f"ODE: unknown {what} {value!r}: give a Diffrax one, for instance {example}, or leave "
            "it out."
        )


def _check_finite(initial: PyTree) -> None:
    for leaf in jtu.tree_leaves(resolve(initial)):
        known = eqx.is_inexact_array(leaf) and not isinstance(leaf, jax.core.Tracer)
        if known and not bool(np.all(np.isfinite(np.asarray(leaf)))):
            raise ValueError(f"ODE: the initial state must be finite, got {np.asarray(leaf)}.")


def _checked_tolerance(value: float | None, what: str) -> float | None:
    if value is None:
        return None
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"ODE: {what} must be positive and finite, got {value}.")
    return float(value)


def _check_field(field: Callable[..., Any], t0: Array, state: PyTree, inputs: Any) -> None:
    rate = eqx.filter_eval_shape(field, t0, state, inputs)
    expected = jax.eval_shape(lambda: state)
    if str(jtu.tree_structure(rate)) == str(jtu.tree_structure(expected)):
        pairs = zip(jtu.tree_leaves(rate), jtu.tree_leaves(expected), strict=True)
        if all(hasattr(r, "shape") and r.shape == e.shape for r, e in pairs):
            return
    raise ValueError(
        f"ODE: the vector field returned {_structure(rate)} for a state of {_structure(expected)}. "
        "It must return one rate of change for each entry of the state, in the same structure."
    )


def _structure(tree: PyTree) -> str:
    return eqx.tree_pformat(tree, struct_as_array=True)
