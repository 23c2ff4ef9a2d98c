"""A smooth curve with unknown values: what may stand in for a trajectory that is not solved."""

from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._parameters import Parameter, frozen, positive, real, resolve

_FEWEST = 4


@final
class Spline(eqx.Module):
    """A cubic spline from a time to a state, its values at the knots fitted.

    It is twice continuously differentiable, and at the last knots but one three times ("not a
    knot": C. de Boor 1978, "A practical guide to splines", chapter IV).

    **Arguments:**

    - `knots`: times that increase, at least four, in the units of the data's.
    - `values`: the state at each, shape `(knots,)` or `(knots, *state)`: where the fit starts.
        Numbers are fitted as they are (`real`), with `log=True` as positive ones; a `Parameter`
        is what it says.
    - `log`: whether it is the logarithm of the state that the spline interpolates, for a state
        that is positive at all times.

    Beyond the knots the last polynomials go on. Raises `ValueError` for knots that do not
    increase, for values of another shape, and with `log` for values that are not positive.
    """

    knots: Parameter
    values: Parameter
    slopes: Parameter
    log: bool = eqx.field(static=True)

    def __init__(self, knots: Any, values: Any, *, log: bool = False):
        where = _checked_knots(knots)
        start = np.asarray(resolve(values))
        if start.shape[:1] != where.shape:
            raise ValueError(
                f"Spline: values of shape {start.shape} for {where.size} knots: give one state a "
                "knot, along the first axis."
            )
        bad = np.argwhere(~(start > 0)) if log else np.zeros((0, 1), int)
        if bad.size:
            index = [int(i) for i in bad[0]]
            raise ValueError(
                f"Spline: values{index} = {start[tuple(index)]} has no logarithm: start from "
                "positive values, or leave log=True out."
            )
        self.values = values if isinstance(values, Parameter) else _fitted(start, log)
        dtype = self.values.value.dtype
        self.knots = frozen(jnp.asarray(where, dtype))
        self.slopes = frozen(jnp.asarray(_to_slopes(where), dtype))
        self.log = log

    def __call__(self, t: Float[Array, ""]) -> Float[Array, "*state"]:
        """The state at one time."""
        knots, values, to_slopes = resolve((self.knots, self.values, self.slopes))
        nodes = jnp.log(values) if self.log else values
        slopes = jnp.tensordot(to_slopes, nodes, axes=1)
        i = jnp.clip(jnp.searchsorted(knots, t, side="right") - 1, 0, knots.size - 2)
        width = knots[i + 1] - knots[i]
        u = (t - knots[i]) / width
        # Hermite's cubic: values and slopes at both ends of the interval.
        between = nodes[i] * ((1 + 2 * u) * (1 - u) ** 2) + nodes[i + 1] * (u**2 * (3 - 2 * u))
        bent = slopes[i] * (u * (1 - u) ** 2) - slopes[i + 1] * (u**2 * (1 - u))
        state = between + width * bent
        return jnp.exp(state) if self.log else state

    @property
    def span(self) -> tuple[float, float]:
        """The first and the last knot."""
        knots = np.asarray(resolve(self.knots))
        return float(knots[0]), float(knots[-1])


def _checked_knots(knots: Any) -> np.ndarray:
    where = np.asarray(knots, dtype=float)
    if where.ndim != 1 or where.size < _FEWEST:
        raise ValueError(
            f"Spline: knots of shape {where.shape}: a vector of at least {_FEWEST} times is needed."
        )
    if not np.all(np.isfinite(where)):
        raise ValueError("Spline: the knots must be finite.")
    bad = np.flatnonzero(np.diff(where) <= 0)
    if bad.size:
        raise ValueError(
            f"Spline: knots[{bad[0] + 1}] = {where[bad[0] + 1]} follows {where[bad[0]]}: the knots "
            "must increase."
        )
    return where


def _fitted(start: np.ndarray, log: bool) -> Any:
    if log:
        return positive(start)
    # One size for each component: a value that starts near zero moves as far as the others.
    size = np.sqrt(np.mean(start**2, axis=0, keepdims=True))
    return real(start, scale=np.broadcast_to(np.where(size > 0, size, 1.0), start.shape))


def _to_slopes(knots: np.ndarray) -> np.ndarray:
    """The matrix from the values at the knots to the slopes there."""
    width = np.diff(knots)
    size = knots.size
    of_slopes, of_values = np.zeros((size, size)), np.zeros((size, size))
    for i in range(1, size - 1):
        # The second derivative is the same from both sides.
        left, right = width[i - 1], width[i]
        of_slopes[i, i - 1 : i + 2] = right, 2 * (left + right), left
        of_values[i, i - 1 : i + 2] = -right / left, right / left - left / right, left / right
    of_values *= 3
    for row, (first, second) in ((0, (0, 1)), (size - 1, (size - 3, size - 2))):
        # And so is the third, at the second and the last but one.
        for sign, i in ((1, first), (-1, second)):
            of_slopes[row, i : i + 2] += sign / width[i] ** 2
            of_values[row, i : i + 2] += np.array([-2, 2]) * (sign / width[i] ** 3)
    return np.linalg.solve(of_slopes, of_values)
