"""Which solver, how exact, and what to do where it fails."""

from typing import Any, NamedTuple, final

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

_TIGHT = 1e-9


class Solved(NamedTuple):
    """What a solve gave: what was saved, when, how it ended, and how many steps were tried."""

    ys: Any
    ts: Any
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
        term: dfx.ODETerm,
        state: PyTree,
        saveat: dfx.SaveAt,
        jumps: Float[Array, " jumps"],
        inputs: Any,
        *,
        ends: tuple[Any, Any] = (0.0, 1.0),
        event: dfx.Event | None = None,
    ) -> Solved:
        """Solves between the `ends`, with a stop at each of `jumps`."""
        rest = (term, state, saveat, jumps, inputs, ends, event)
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
        term: dfx.ODETerm,
        state: PyTree,
        saveat: dfx.SaveAt,
        jumps: Array,
        inputs: Any,
        ends: tuple[Any, Any],
        event: dfx.Event | None,
    ) -> Solved:
        # The errors of implicit steps come in bursts: a controller with memory rejects fewer.
        memory: Any = {"pcoeff": 0.3, "icoeff": 0.3} if is_implicit(solver) else {}
        controller: Any = dfx.PIDController(rtol=self.rtol, atol=self.atol, **memory)
        if jumps.size:
            controller = dfx.ClipStepSizeController(controller, jump_ts=jumps)
        found = dfx.diffeqsolve(
            term,
            solver,
            *ends,
            None,
            state,
            inputs,
            saveat=saveat,
            stepsize_controller=controller,
            adjoint=self.adjoint,
            event=event,
            max_steps=self.max_steps,
            throw=False,
        )
        return Solved(found.ys, found.ts, found.result, found.stats["num_steps"])


def _failed(result: Any) -> Array:
    return jnp.asarray(~dfx.is_okay(result))


def _added(tried: Solved, found: Solved) -> Solved:
    return found._replace(num_steps=tried.num_steps + found.num_steps)


def explicit_solver(rtol: float) -> dfx.AbstractSolver:
    """The one for problems that are not stiff."""
    return dfx.Tsit5() if rtol >= _TIGHT else dfx.Dopri8()


def implicit_solver() -> dfx.AbstractSolver:
    """The one for stiff problems (A. Kvaerno 2004, BIT 44, 489-502)."""
    return dfx.Kvaerno5()


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
