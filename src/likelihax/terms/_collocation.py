"""A curve that should obey a vector field, at chosen times."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Float

from .._parameters import resolve
from .._result import RESULTS
from ..likelihoods import AbstractLikelihood
from ..models import Simulation
from ..models._spline import Spline
from ..models._surrogate import Surrogate
from ._law import (
    AbstractResidual,
    Quantity,
    checked_floor,
    checked_likelihood,
    checked_residual,
    checked_times,
    models_of,
)

# Gauss-Legendre points on (0, 1), two an interval.
_GAUSS = (0.5 - 0.5 / 3**0.5, 0.5 + 0.5 / 3**0.5)


@final
class Collocation(AbstractResidual):
    r"""The slope of a `Surrogate`'s curve should be what the ODE's vector field says.

    $$r = \dot x(t) - f(t, x(t), u), \qquad\text{or, of a quantity } q:\quad
    \frac{\partial q}{\partial x}\,\bigl(\dot x - f\bigr)$$

    No solver runs, and the curve is near the data from the start, so that parameters are found
    from where a solve would not even pass by the data; `Surrogate.as_ode` then starts a solve
    from them (J. O. Ramsay, G. Hooker, D. Campbell and J. Cao 2007, "Parameter estimation for
    differential equations: a generalized smoothing approach", J. Royal Statistical Society B 69).

    **Arguments:**

    - `likelihood`: how far off the slope may be, for instance `Normal(scale=0.1)`, known, or
        `Normal(scale=positive(0.1))`, fitted, in units of the state (or the quantity) per time.
        One scale for all components of the state, or one for each. Too wide a scale beside noise
        that is fitted has no minimum: the curve then goes through every value.
    - `times`: when: a vector; a number for that many, in as many equal shares of the curve's
        length; by default two Gauss points in each interval between a spline's knots, or between
        the data's times.
    - `quantity`: `(t, y) -> q`, at one time: what is compared in place of the state. With
        `lambda t, y: jnp.log(y)` the residual is one of relative rates, for a positive state.
    - `floor`: how large the residual of a right model may seem; see `AbstractResidual`.
    - `key`: a JAX random key draws the times anew at each step of a fit, one in each share, for
        `GradientDescent`; it needs a number of `times`.
    - `name`: what it is called in a breakdown.
    """

    likelihood: AbstractLikelihood
    times: Array | None
    count: int | None = eqx.field(static=True)
    quantity: Quantity | None
    floor: Array | None
    key: Array | None
    shares: Array | None
    name: str | None = eqx.field(static=True)

    def __init__(
        self,
        likelihood: AbstractLikelihood,
        *,
        times: Any = None,
        quantity: Quantity | None = None,
        floor: Any = None,
        key: Array | None = None,
        name: str | None = None,
    ):
        if quantity is not None and not callable(quantity):
            raise ValueError(
                f"Collocation: the quantity {quantity!r} is no function: give for instance "
                "lambda t, y: jnp.log(y)."
            )
        self.likelihood = checked_likelihood(likelihood, "Collocation")
        self.times, self.count = checked_times(times, "Collocation")
        if key is not None and self.count is None:
            raise ValueError(
                "Collocation: a key draws the times, so say how many: times=100 for instance."
            )
        self.quantity = quantity
        self.floor = checked_floor(floor, self.likelihood, "Collocation")
        self.key = key
        middles = None if self.count is None else (np.arange(self.count) + 0.5) / self.count
        self.shares = None if middles is None or key is not None else jnp.asarray(middles)
        self.name = name

    def check(self, predictor: Any, data: Any) -> None:
        """Checks that there is a curve, and that it reaches all times."""
        for model, _ in models_of(predictor, data, (Surrogate,), self.title):
            if self.times is not None:
                model.check_inside(self.times, f"{self.title}: times")

    @property
    def is_scheduled(self) -> bool:
        """Whether the times are drawn anew at each step."""
        return self.key is not None and self.shares is None

    def at(self, step: Any) -> "Collocation":
        """The term with the times of a step."""
        if self.key is None or self.count is None or self.shares is not None:
            return self
        drawn = jax.random.uniform(jax.random.fold_in(self.key, step), (self.count,))
        shares = (jnp.arange(self.count, dtype=drawn.dtype) + drawn) / self.count
        return eqx.tree_at(lambda c: c.shares, self, shares, is_leaf=lambda leaf: leaf is None)

    def are_own_times(self, model: Any) -> bool:
        """Unless they are in between those of the data, where a curve has no knots."""
        given = self.times is not None or self.count is not None
        return given or isinstance(model.trajectory, Spline)

    def along(self, model: Any, times: Array, inputs: Any) -> Simulation:
        """Slope less field at each time, the components of the state along the last axis."""
        own = self._times(model, times)
        off = lambda t: self._off(model, t, inputs)
        found = checked_residual(jax.vmap(off)(own), self.title)
        accuracy = 4 * float(jnp.finfo(found.dtype).eps)
        return Simulation(found, RESULTS.successful, own[-1], jnp.asarray(0), accuracy)

    def _off(self, model: Surrogate, t: Array, inputs: Any) -> Float[Array, " components"]:
        state, slope = jax.jvp(model.trajectory, (t,), (jnp.ones_like(t),))
        rate = model.ode.field(t, state, inputs)
        structures: list[Any] = [jtu.tree_structure(tree) for tree in (rate, state)]
        if structures[0] != structures[1]:
            raise ValueError(
                f"{self.title}: the vector field returned {eqx.tree_pformat(rate)} where the "
                f"trajectory gives {eqx.tree_pformat(state)}: both must have the same structure."
            )
        off = jtu.tree_map(jnp.subtract, slope, rate)
        quantity = self.quantity
        if quantity is not None:
            _, off = jax.jvp(lambda y: quantity(t, y), (state,), (off,))
        return jnp.concatenate([jnp.ravel(leaf) for leaf in jtu.tree_leaves(off)])

    def _times(self, model: Surrogate, measured: Array) -> Array:
        if self.times is not None:
            return self.times.astype(measured.dtype)
        curve = model.trajectory
        nodes: Array = resolve(curve.knots) if isinstance(curve, Spline) else measured
        if self.count is None:
            inside = jnp.asarray(_GAUSS, measured.dtype)
            width = jnp.diff(nodes)[:, None]
            return (nodes[:-1, None] + width * inside[None, :]).reshape(-1)
        if self.shares is None:
            raise ValueError(
                f"{self.title}: the times depend on the step of a fit: say at which one, "
                "objective.at(step)."
            )
        return nodes[0] + self.shares.astype(measured.dtype) * (nodes[-1] - nodes[0])
