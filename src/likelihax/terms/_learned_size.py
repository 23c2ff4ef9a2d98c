"""How large the learned part of a vector field is, along the trajectory."""

import abc
import math
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._parameters import resolve
from ..models import ODE, Simulation
from ..models._contributions import field_of, is_partly_learned, split
from ..models._surrogate import Surrogate
from ..objectives._objective import Evaluation
from ..objectives._observations import CurvedLoss, Observations
from ._l2 import HalfSquare
from ._law import check_times, increasing_times, model_of, times_of, trajectory
from ._term import AbstractTerm


class Along(eqx.Module):
    """The learned rates at times of a trajectory.

    **Attributes:**

    - `times`, `states`, `inputs`: where the vector field was called.
    - `unit`: the rate that each component is compared with, times the root of the number of times.
    - `learned`: the learned rates in that unit: the sum of their squares is their mean square.
    """

    times: Float[Array, " times"]
    states: PyTree
    inputs: Any
    unit: Float[Array, " components"]
    learned: Float[Array, "times components"]


class AbstractLearnedTerm(AbstractTerm):
    """Half a sum of squares of what is made of the learned rates."""

    times: eqx.AbstractVar[Array | None]
    count: eqx.AbstractVar[int | None]
    scale: eqx.AbstractVar[Array | None]

    @abc.abstractmethod
    def numbers(self, predictor: Any, along: Along) -> Float[Array, " numbers"]:
        """What is squared."""

    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """Half the sum of squares; infinite where the trajectory cannot be solved for."""
        solved, numbers = self._solved(predictor, data)
        return Evaluation(
            total=0.5 * jnp.sum(numbers**2),
            result=solved.result,
            time_reached=solved.time_reached,
            num_steps=solved.num_steps,
        )

    def check(self, predictor: Any, data: Any) -> None:
        """Checks that there is a trajectory, and something learned in its field."""
        model = model_of(predictor, data, (ODE, Surrogate), self.title)
        if not is_partly_learned(model):
            raise ValueError(
                f"{self.title}: nothing is learned in the vector field: put a "
                "likelihax.models.Learned into it, or leave this term out."
            )
        check_times(model, data, self.times, self.count, self.title)

    def losses(self, predictor: Any) -> tuple[CurvedLoss, ...]:
        """One square for each number."""
        return (HalfSquare(),)

    def observations(self, predictor: Any, data: Any) -> tuple[Observations, ...]:
        """Each number beside zero."""
        solved, numbers = self._solved(predictor, data)
        zeros, ones = jnp.zeros_like(numbers), jnp.ones_like(numbers)
        return (Observations((numbers,), zeros, ones, solved.result, solved.accuracy),)

    def _solved(self, predictor: Any, data: Any) -> tuple[Simulation, Array]:
        model = resolve(predictor.model)
        measured, *given = data.arguments
        inputs = given[0] if given else None
        times = times_of(model, measured, self.times, self.count)
        solved, states = trajectory(model, times, measured, inputs)
        known, learned = split(field_of(model), times, states, inputs)
        unit = self._size(known + learned) * math.sqrt(len(learned))
        numbers = self.numbers(predictor, Along(times, states, inputs, unit, learned / unit[None]))
        return solved, jnp.where(solved.success, numbers, jnp.inf)

    def _size(self, whole: Array) -> Array:
        if self.scale is None:
            square = jnp.mean(whole**2, axis=0)
            # Where nothing moves there is nothing to compare with, and no root to differentiate.
            rests = square == 0
            return jnp.where(rests, 1.0, jnp.sqrt(jnp.where(rests, 1.0, square)))
        if self.scale.shape not in ((), whole.shape[1:]):
            raise ValueError(
                f"{self.title}: a scale of shape {self.scale.shape} for {whole.shape[1]} "
                "components of the state: give one for all, or one for each."
            )
        return jnp.broadcast_to(self.scale.astype(whole.dtype), whole.shape[1:])


@final
class LearnedSize(AbstractLearnedTerm):
    r"""The learned part of a vector field should be small: physics first.

    $$\frac12\sum_c\frac1T\sum_k\left(\frac{f_c(t_k) - f_c^\text{known}(t_k)}{s_c}\right)^2$$

    over the components `c` of the state and `T` times of the trajectory. Of all the ways to split
    a vector field into what the physics can say and a rest, it asks for the smallest rest (Y. Yin
    and others 2021, "Augmenting physical models with deep networks for complex dynamics
    forecasting", J. Statistical Mechanics 124012). Its weight counts as so many values of an NLL.

    **Arguments:**

    - `scale`: `s`, in units of the rates, one for all components or one for each; by default the
        root mean square of the whole rate along the trajectory, so that 1/2 for each component
        means as large as what there is.
    - `times`: when, in increasing order, between `t0` and the last time of the data; a number for
        that many, evenly spaced; by default the times of the data.
    - `name`: what it is called in a breakdown.
    """

    scale: Array | None
    times: Array | None
    count: int | None = eqx.field(static=True)
    name: str | None = eqx.field(static=True)

    def __init__(self, *, scale: Any = None, times: Any = None, name: str | None = None):
        self.scale = checked_scale(scale, "LearnedSize")
        self.times, self.count = increasing_times(times, "LearnedSize")
        self.name = name

    def numbers(self, predictor: Any, along: Along) -> Float[Array, " numbers"]:
        """The learned rates themselves."""
        return jnp.ravel(along.learned)


def checked_scale(scale: Any, term: str) -> Array | None:
    """The scale as an array, or none; `ValueError` where it is not positive and finite."""
    if scale is None:
        return None
    found = np.asarray(scale, dtype=float)
    if not np.all(np.isfinite(found) & (found > 0)):
        raise ValueError(
            f"{term}: the scale is {scale}: it must be positive and finite, in units of the rates "
            "of change, or be left out."
        )
    return jnp.asarray(found)
