"""Step sizes: adapted to the error, and how they enter derivatives."""

from typing import Any, final

import diffrax as dfx
import jax
import jax.numpy as jnp
from jaxtyping import Array

# Diffrax declares as attributes what are properties in all wrappers, its own too.
_AnyController: Any = dfx.AbstractAdaptiveStepSizeController


@final
class RigidSteps(_AnyController):
    """Another controller's steps, whose lengths do not depend on what is differentiated.

    Where a solve begins at an event, its start moves with the parameters, and all steps shall move
    with it as one. A controller that makes each step a multiple of the last one lets the shift
    grow from step to step instead, until derivatives see nothing else.
    """

    controller: Any

    @property
    def rtol(self) -> Any:
        return self.controller.rtol

    @property
    def atol(self) -> Any:
        return self.controller.atol

    @property
    def norm(self) -> Any:
        return self.controller.norm

    def wrap(self, direction: Any) -> "RigidSteps":
        return RigidSteps(self.controller.wrap(direction))

    def init(
        self,
        terms: Any,
        t0: Any,
        t1: Any,
        y0: Any,
        dt0: Any,
        args: Any,
        func: Any,
        error_order: Any,
    ) -> tuple[Any, Any]:
        first, state = self.controller.init(terms, t0, t1, y0, dt0, args, func, error_order)
        return _from(t0, first), state

    def adapt_step_size(
        self,
        t0: Any,
        t1: Any,
        y0: Any,
        y1_candidate: Any,
        args: Any,
        y_error: Any,
        error_order: Any,
        controller_state: Any,
    ) -> Any:
        keep, begin, end, jumped, state, result = self.controller.adapt_step_size(
            t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state
        )
        begin = _from(jnp.where(keep, t1, t0), begin)
        return keep, begin, _from(begin, end), jumped, state, result


def _from(start: Any, end: Any) -> Array:
    """`end`, as the start plus a length that is a constant."""
    return start + jax.lax.stop_gradient(end - start)
