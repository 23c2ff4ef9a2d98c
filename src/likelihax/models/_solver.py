"""Which solver, how exact, and what to do where it fails."""

from collections.abc import Callable
from typing import Any, NamedTuple, final

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import optimistix as optx
from jaxtyping import Array, Float, PyTree

from ._controller import RigidSteps

_TIGHT = 1e-9
# The solvers whose interpolation is as exact as their steps. With others it is 10 to 1000 times
# less so, at the tolerances in use here; these stop at each time that is asked for.
_INTERPOLATING = (dfx.Tsit5, dfx.Dopri5)


class Solved(NamedTuple):
    """What a solve gave.

    - `states`: those at the times asked for, not finite where it did not get to.
    - `last`, `end`: the state where it ended, and when that was.
    - `result`: how it ended.
    - `num_steps`: how many steps were tried.
    """

    states: PyTree
    last: PyTree
    end: Array
    result: Any
    num_steps: Array


@final
class Solving(eqx.Module):
    """How an ODE is solved: by one solver, or by two, the second where the first fails.

    **Attributes:**

    - `solvers`: one or two.
    - `rtol`, `atol`: the tolerances of their steps.
    - `max_steps`: after how many steps each has failed.
    - `adjoint`: how derivatives go through.
    """

    solvers: tuple[dfx.AbstractSolver, ...]
    rtol: float = eqx.field(static=True)
    atol: float = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)
    adjoint: dfx.AbstractAdjoint

    def __call__(
        self,
        field: Callable[..., PyTree],
        state: PyTree,
        times: Float[Array, " times"],
        jumps: Float[Array, " jumps"],
        inputs: Any,
        *,
        ends: tuple[Any, Any] = (0.0, 1.0),
        event: dfx.Event | None = None,
    ) -> Solved:
        """Solves between the `ends`, for the states at `times`, with a stop at each of `jumps`."""
        rest = (field, state, times, jumps, inputs, ends, event)
        attempt = lambda solver: self._attempt(solver, *rest)
        first, *others = self.solvers
        solved = attempt(first)
        for other in others:
            again = lambda tried=solved, other=other: _added(tried, attempt(other))
            solved = jax.lax.cond(_failed(solved.result), again, lambda tried=solved: tried)
        return solved

    def _attempt(
        self,
        solver: dfx.AbstractSolver,
        field: Callable[..., PyTree],
        state: PyTree,
        times: Float[Array, " times"],
        jumps: Array,
        inputs: Any,
        ends: tuple[Any, Any],
        event: dfx.Event | None,
    ) -> Solved:
        # The errors of implicit steps come in bursts: a controller with memory rejects fewer.
        memory: Any = {"pcoeff": 0.3, "icoeff": 0.3} if is_implicit(solver) else {}
        controller: Any = dfx.PIDController(rtol=self.rtol, atol=self.atol, **memory)
        if event is not None:
            controller = RigidSteps(controller)
        stops = None if isinstance(solver, _INTERPOLATING) else times
        if jumps.size or stops is not None:
            jumps_or_none = jumps if jumps.size else None
            controller = dfx.ClipStepSizeController(controller, stops, jumps_or_none)
        found = dfx.diffeqsolve(
            dfx.ODETerm(_Guarded(field, state) if is_implicit(solver) else field),
            solver,
            *ends,
            None,
            state,
            inputs,
            saveat=dfx.SaveAt(subs=[dfx.SubSaveAt(ts=times), dfx.SubSaveAt(t1=True)]),
            stepsize_controller=controller,
            adjoint=self.adjoint,
            event=event,
            max_steps=self.max_steps,
            throw=False,
        )
        states, last = found.ys
        _, end = found.ts
        last = jtu.tree_map(lambda leaf: leaf[0], last)
        return Solved(states, last, end[0], found.result, found.stats["num_steps"])


@final
class _Guarded(eqx.Module):
    """A vector field that is huge where the state is, and where it would not be finite itself.

    An implicit step that strays there is rejected all the same. But the linear system behind its
    derivative stays one that can be solved, which Lineax raises otherwise, and nothing overflows,
    which would make the derivative NaN on its way back.
    """

    field: Callable[..., PyTree]
    safe: PyTree

    def __call__(self, share: Any, y: PyTree, inputs: Any) -> PyTree:
        near = [jnp.all(jnp.abs(leaf) < _far(leaf)) for leaf in jtu.tree_leaves(y)]
        inside = jnp.all(jnp.stack(near))
        y = jtu.tree_map(lambda leaf, safe: jnp.where(inside, leaf, safe), y, self.safe)
        rates = self.field(share, y, inputs)
        usable = lambda rate: inside & jnp.isfinite(rate)
        return jtu.tree_map(lambda rate: jnp.where(usable(rate), rate, 10 * _far(rate)), rates)


def _far(leaf: Array) -> Array:
    """Whose fourth power is still finite."""
    return jnp.asarray(float(jnp.finfo(leaf.dtype).max) ** 0.25, leaf.dtype)


def _failed(result: Any) -> Array:
    return jnp.asarray(~dfx.is_okay(result))


def _added(tried: Solved, found: Solved) -> Solved:
    return found._replace(num_steps=tried.num_steps + found.num_steps)


def explicit_solver(rtol: float) -> dfx.AbstractSolver:
    """The one for problems that are not stiff."""
    return dfx.Tsit5() if rtol >= _TIGHT else dfx.Dopri8()


def implicit_solver(rtol: float, atol: Any) -> dfx.AbstractSolver:
    """The one for stiff problems (A. Kvaerno 2004, BIT 44, 489-502).

    The iterations for its stages go on until they have converged, to within `rtol` and `atol` of
    the rates. Diffrax's default gives up after few and rejects the step: on Robertson's problem
    that takes 4 to 10 times the steps.
    """
    return dfx.Kvaerno5(root_finder=optx.Chord(rtol, atol, norm=optx.rms_norm))


def is_implicit(solver: dfx.AbstractSolver) -> bool:
    """Whether each step solves equations."""
    return isinstance(solver, dfx.AbstractImplicitSolver)


def checked_tolerances(rtol: float | None, atol: float | None, dtype: Any) -> tuple[float, float]:
    """The tolerances, defaults filled in; `ValueError` where the dtype cannot reach them."""
    double = jnp.finfo(dtype).bits >= 64
    relative = (1e-7 if double else 1e-4) if rtol is None else rtol
    absolute = (1e-9 if double else 1e-6) if atol is None else atol
    floor = 16 * float(jnp.finfo(dtype).eps)
    if relative < floor:
        raise ValueError(
            f"ODE: rtol = {relative:g} cannot be reached in {np.dtype(dtype)}, whose rounding "
            f"allows {floor:.1g} at best. Loosen it, or compute in float64."
        )
    return relative, absolute
