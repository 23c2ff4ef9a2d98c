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
from ._simulator import AbstractSimulator, Simulation

_REVERSE_ONLY = (dfx.RecursiveCheckpointAdjoint, dfx.BacksolveAdjoint, dfx.ImplicitAdjoint)


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
    - `t0`: the time of the initial state; by default the first measured time.
    - `solver`: any Diffrax solver; by default `Tsit5`, or `Dopri8` where `rtol` is below 1e-9.
    - `rtol`, `atol`: the solver's relative and absolute tolerance; by default 1e-7 and 1e-9
        in float64, 1e-4 and 1e-6 in float32. The absolute one is in the units of the state.
    - `max_steps`: after how many steps a solve counts as failed.
    - `adjoint`: any Diffrax adjoint; by default `ForwardMode` where few parameters are
        fitted, `RecursiveCheckpointAdjoint` where many are. Never `BacksolveAdjoint`, whose
        gradients are those of another, reversed, solve. One that only goes backwards makes a
        fit use gradients rather than Jacobians; standard errors go forward in any case.

    A solve that fails is no exception: `simulate` says so, the prediction is infinite, and a
    fit goes on from better parameters.
    """

    field: Callable[..., PyTree]
    initial: PyTree
    observe: Callable[..., Array] | None
    t0: float | None = eqx.field(static=True)
    solver: dfx.AbstractSolver | None
    rtol: float | None = eqx.field(static=True)
    atol: float | None = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)
    adjoint: dfx.AbstractAdjoint | None
    mode: Literal["forward", "reverse"] = eqx.field(static=True)

    def __init__(
        self,
        field: Callable[..., PyTree],
        initial: PyTree,
        *,
        observe: Callable[..., Array] | None = None,
        t0: float | None = None,
        solver: dfx.AbstractSolver | None = None,
        rtol: float | None = None,
        atol: float | None = None,
        max_steps: int = 4096,
        adjoint: dfx.AbstractAdjoint | None = None,
    ):
        _check_kind(solver, dfx.AbstractSolver, "solver", "diffrax.Tsit5()")
        _check_kind(adjoint, dfx.AbstractAdjoint, "adjoint", "diffrax.ForwardMode()")
        if max_steps < 1:
            raise ValueError(f"ODE: max_steps must be at least 1, got {max_steps}.")
        self.field = field
        self.initial = initial if callable(initial) else known(initial)
        self.observe = observe
        self.t0 = None if t0 is None else float(t0)
        if self.t0 is not None and not np.isfinite(self.t0):
            raise ValueError(f"ODE: t0 must be finite, got {t0}.")
        _check_finite(self.initial)
        self.solver = solver
        self.rtol = _checked_tolerance(rtol, "rtol")
        self.atol = _checked_tolerance(atol, "atol")
        self.max_steps = max_steps
        self.adjoint = adjoint
        self.mode = "reverse"

    def simulate(self, times: Float[Array, " times"], inputs: Any = None) -> Simulation:
        """Solves and observes at `times`, sorted, none before `t0`."""
        solution = self.solve(times, inputs)
        observed = self._observed(times, solution.ys)
        reached = jnp.asarray(solution.ts)
        success = solution.result == dfx.RESULTS.successful
        return Simulation(
            values=jnp.where(success, observed, jnp.asarray(jnp.inf, observed.dtype)),
            result=RESULTS.promote(solution.result),
            time_reached=jnp.max(jnp.where(jnp.isfinite(reached), reached, -jnp.inf)),
            num_steps=solution.stats["num_steps"],
            accuracy=self._tolerances(times.dtype)[0],
        )

    def solve(self, times: Float[Array, " times"], inputs: Any = None) -> dfx.Solution:
        """The Diffrax solution: the whole state at `times`, even where the solve failed."""
        field, initial = resolve((self.field, self.initial))
        t0 = times[0] if self.t0 is None else jnp.asarray(self.t0, times.dtype)
        state = initial(inputs) if callable(initial) else initial
        state = jtu.tree_map(lambda leaf: jnp.asarray(leaf, dtype=times.dtype), state)
        _check_field(field, t0, state, inputs)
        rtol, atol = self._tolerances(times.dtype)
        # Solved from 0 to 1 in units of the whole span: constant ends compile faster, and keep
        # their precision where the user's clock starts far from zero.
        span = times[-1] - t0
        share = (times - t0) / jnp.where(span > 0, span, 1.0)

        solution = dfx.diffeqsolve(
            dfx.ODETerm(_UnitTime(field, t0, span)),
            self._solver(rtol),
            0.0,
            1.0,
            None,
            state,
            inputs,
            saveat=dfx.SaveAt(ts=share),
            stepsize_controller=dfx.PIDController(rtol=rtol, atol=atol),
            adjoint=self._adjoint(),
            max_steps=self.max_steps,
            throw=False,
        )
        return eqx.tree_at(lambda s: s.ts, solution, t0 + solution.ts * span)

    @property
    def reverse_only(self) -> bool:
        """Whether the adjoint given has no forward derivatives."""
        return isinstance(self.adjoint, _REVERSE_ONLY)

    def differentiated(self, mode: Literal["forward", "reverse"]) -> "ODE":
        """The same ODE, whose default adjoint serves derivatives of one kind."""
        changed = object.__new__(ODE)
        for name, value in vars(self).items():
            object.__setattr__(changed, name, mode if name == "mode" else value)
        return changed

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

    def _observed(self, times: Array, states: PyTree) -> Array:
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

    def _tolerances(self, dtype: Any) -> tuple[float, float]:
        double = jnp.finfo(dtype).bits >= 64
        rtol = (1e-7 if double else 1e-4) if self.rtol is None else self.rtol
        atol = (1e-9 if double else 1e-6) if self.atol is None else self.atol
        floor = 16 * float(jnp.finfo(dtype).eps)
        if rtol < floor:
            raise ValueError(
                f"ODE: rtol = {rtol:g} cannot be reached in {np.dtype(dtype)}, whose rounding "
                f"allows {floor:.1g} at best. Loosen it, or compute in float64."
            )
        return rtol, atol

    def _solver(self, rtol: float) -> dfx.AbstractSolver:
        if self.solver is not None:
            return self.solver
        return dfx.Tsit5() if rtol >= 1e-9 else dfx.Dopri8()

    def _adjoint(self) -> dfx.AbstractAdjoint:
        forward = self.mode == "forward"
        if self.adjoint is not None and not (forward and self.reverse_only):
            return self.adjoint
        if forward:
            return dfx.ForwardMode()
        return dfx.RecursiveCheckpointAdjoint()


class _UnitTime(eqx.Module):
    """A vector field in units of the whole span.

    A module and not a closure, so that Diffrax's compiled inside knows it again.
    """

    field: Callable[..., PyTree]
    t0: Array
    span: Array

    def __call__(self, share: Any, y: PyTree, inputs: Any) -> PyTree:
        rates = self.field(self.t0 + share * self.span, y, inputs)
        return jtu.tree_map(lambda rate: self.span * rate, rates)


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
    rate = jax.eval_shape(field, t0, state, inputs)
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
