"""What an objective is, and how several make one: `NLL() + 0.1 * term`."""

import abc
from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._parameters import resolve, vary
from .._result import RESULTS
from ..data import AbstractData
from ..models import Simulation, Solves
from ._observations import CurvedLoss, Observations

# A number, or a function from the step of a fit to one, such as Optax's schedules are.
Weight = Any


class Evaluation(eqx.Module):
    """An objective's value: infinite, never NaN, where the model could not be solved.

    **Attributes:**

    - `total`: the value to minimise.
    - `result`: how the solve behind it ended.
    - `time_reached`, `num_steps`: how far the solve got, and in how many steps.
    - `solves`: how far it got in each of several experiments; `None` where there is one.
    """

    total: Float[Array, ""]
    result: RESULTS
    time_reached: Float[Array, ""]
    num_steps: Int[Array, ""]
    solves: Solves | None = None


class Split(eqx.Module):
    """An objective as a sum over the members of a kind.

    **Attributes:**

    - `each`: what each member adds, which depends on no other member's parameters; infinite where
        its model could not be solved.
    - `rest`: what depends on no parameter that varies by this kind, and how the solves ended.
    """

    each: Float[Array, " members"]
    rest: Evaluation


class AbstractObjective(eqx.Module):
    """A scalar to minimise over a predictor's trainable leaves, and over its own `Parameter`s.

    `objective + objective` is their sum, `weight * objective` the weighted one. A weight is a
    number, finite and not negative, or a schedule: a function from the step of a fit to a number.
    """

    # NumPy's numbers leave the multiplication to us.
    __array_ufunc__ = None

    @abc.abstractmethod
    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """The value of the objective, pure and traceable."""

    @abc.abstractmethod
    def breakdown(self, predictor: Any, data: Any) -> dict[str, Array]:
        """The named parts of the value; they sum to it."""

    @abc.abstractmethod
    def check(self, predictor: Any, data: Any) -> None:
        """Raises `ValueError` where predictor and data do not go together."""

    def __call__(self, predictor: Any, data: Any) -> Float[Array, ""]:
        """The value as a scalar, for a loop of one's own; `Parameter`s may still be in place."""
        return resolve(self).evaluate(resolve(varied(predictor, data)), data).total

    def num_averaged(self, predictor: Any, data: Any) -> Array:
        """How many values the objective is a mean of: 1 where it is a sum of NLLs.

        A method that promises a distance in standard errors multiplies by it.
        """
        return jnp.ones(())

    def num_observed(self, predictor: Any, data: Any) -> int:
        """How many measured values it compares with; 0 if it does not say so."""
        return 0

    def split(self, predictor: Any, data: Any, by: str) -> Split | None:
        """Its value as a sum over the members of a kind; `None` where it is not known to be one.

        `by` is `"experiment"` or a kind of groups, as a `Parameter` varies by.
        """
        return None

    def prepared(self, predictor: Any, data: Any) -> "tuple[AbstractObjective, Any]":
        """The objective and the predictor as a fit takes them, after `check`.

        What an objective settles by itself, such as what it integrates out, is known to the fit.
        """
        return self, predictor

    def completed(self, predictor: Any, data: Any) -> Any:
        """A fitted predictor, with what the objective settled by itself as it is there."""
        return predictor

    @property
    def is_density(self) -> bool:
        """Whether it is minus the logarithm of a density, whose curvature gives standard errors.

        One's own function is taken to be that.
        """
        return True

    @property
    def is_likelihood(self) -> bool:
        """Whether it is minus the log-density of what was measured, which may count once only."""
        return False

    @property
    def is_penalty(self) -> bool:
        """Whether it has a kink at exact zeros, which only a proximal method can reach."""
        return False

    @property
    def has_kinks(self) -> bool:
        """Whether its minimum is to be expected where it has no gradient."""
        return False

    @property
    def is_scheduled(self) -> bool:
        """Whether it, or a weight in it, depends on the step of the fit."""
        return False

    def at(self, step: Any) -> "AbstractObjective":
        """What the objective is at a step of a fit, where it depends on that."""
        return self

    def is_gradient(self, predictor: Any) -> bool:
        """Whether what it gives as its gradient is one, so that values confirm it."""
        return True

    def losses(self, predictor: Any) -> tuple[CurvedLoss, ...] | None:
        """What it is a sum of, where all of it is elementwise with a known positive curvature."""
        return None

    def observations(self, predictor: Any, data: Any) -> tuple[Observations, ...]:
        """What each of `losses` compares, before anything is reduced."""
        raise NotImplementedError(f"{self.title} is no sum of losses with a curvature.")

    @property
    def title(self) -> str:
        """What it is called in a report."""
        return type(self).__name__

    def __add__(self, other: Any) -> "AbstractObjective":
        if isinstance(other, int | float) and other == 0:  # where `sum` begins
            return self
        if not isinstance(other, AbstractObjective):
            return NotImplemented
        left, right = as_sum(self), as_sum(other)
        return WeightedSum(left.parts + right.parts, left.weights + right.weights)

    def __radd__(self, other: Any) -> "AbstractObjective":
        return self + other

    def __mul__(self, weight: Weight) -> "AbstractObjective":
        if isinstance(weight, AbstractObjective):
            return NotImplemented
        return as_sum(self).scaled(_checked(weight, self.title))

    def __rmul__(self, weight: Weight) -> "AbstractObjective":
        return self * weight


@final
class WeightedSum(AbstractObjective):
    """Several objectives, each times its weight; what `+` and `*` make.

    **Attributes:**

    - `parts`: the objectives.
    - `weights`: for each a number, or a schedule.
    """

    parts: tuple[AbstractObjective, ...]
    weights: tuple[Weight, ...]

    def scaled(self, weight: Weight) -> "WeightedSum":
        """All of it times a weight."""
        return WeightedSum(self.parts, tuple(_product(weight, own) for own in self.weights))

    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """The sum; how the first solve ended that failed, if one did."""
        each = [part.evaluate(predictor, data) for part in self.parts]
        return _summed(each, [self.weight(i) for i in range(len(each))])

    def breakdown(self, predictor: Any, data: Any) -> dict[str, Array]:
        """The parts of all parts, each times its weight."""
        named: dict[str, Array] = {}
        for i, part in enumerate(self.parts):
            for name, value in _titled(part, part.breakdown(predictor, data)).items():
                named[_unused(name, named)] = _times(self.weight(i), value)
        return named

    def check(self, predictor: Any, data: Any) -> None:
        """Checks every part."""
        for part in self.parts:
            part.check(predictor, data)

    def num_averaged(self, predictor: Any, data: Any) -> Array:
        """The largest of the parts' numbers."""
        each = [part.num_averaged(predictor, data) for part in self.parts]
        return jnp.max(jnp.stack([one.astype(each[0].dtype) for one in each]))

    def num_observed(self, predictor: Any, data: Any) -> int:
        """The parts' numbers together."""
        return sum(part.num_observed(predictor, data) for part in self.parts)

    def split(self, predictor: Any, data: Any, by: str) -> Split | None:
        """The sum of the parts', if all are known to be sums over members."""
        found: list[Split] = []
        for part in self.parts:
            one = part.split(predictor, data, by)
            if one is None:
                return None
            found.append(one)
        each = sum(_times(self.weight(i), one.each) for i, one in enumerate(found))
        rest = _summed([one.rest for one in found], [self.weight(i) for i in range(len(found))])
        return Split(jnp.asarray(each), rest)

    def prepared(self, predictor: Any, data: Any) -> tuple[AbstractObjective, Any]:
        """Every part prepared, one after the other."""
        parts = []
        for part in self.parts:
            part, predictor = part.prepared(predictor, data)
            parts.append(part)
        return WeightedSum(tuple(parts), self.weights), predictor

    def completed(self, predictor: Any, data: Any) -> Any:
        """The predictor as every part completes it."""
        for part in self.parts:
            predictor = part.completed(predictor, data)
        return predictor

    @property
    def is_density(self) -> bool:
        """Whether every part is, and what was measured counts once."""
        if not all(part.is_density for part in self.parts) or self.is_scheduled:
            return False
        # A prior may have any weight: it is then another prior. What was measured may not.
        return all(
            float(resolve(weight)) == 1.0
            for part, weight in zip(self.parts, self.weights, strict=True)
            if part.is_likelihood
        )

    @property
    def has_kinks(self) -> bool:
        """Whether any part has."""
        return any(part.has_kinks for part in self.parts)

    @property
    def is_scheduled(self) -> bool:
        """Whether any weight is a schedule, or any part depends on the step."""
        scheduled = any(_is_schedule(weight) for weight in self.weights)
        return scheduled or any(part.is_scheduled for part in self.parts)

    def at(self, step: Any) -> "WeightedSum":
        """Every schedule replaced by its weight at a step, every part by what it is there."""
        now = (w(step) if _is_schedule(w) else w for w in self.weights)
        parts = tuple(part.at(step) for part in self.parts)
        return WeightedSum(parts, tuple(jnp.asarray(w) for w in now))

    def is_gradient(self, predictor: Any) -> bool:
        """Whether every part's is."""
        return all(part.is_gradient(predictor) for part in self.parts)

    def losses(self, predictor: Any) -> tuple[CurvedLoss, ...] | None:
        """Those of all parts, if all have them."""
        each = [part.losses(predictor) for part in self.parts]
        found = [losses for losses in each if losses is not None]
        return sum(found, ()) if len(found) == len(each) and found else None

    def observations(self, predictor: Any, data: Any) -> tuple[Observations, ...]:
        """Those of all parts, weighted."""
        return tuple(
            seen.weighted(self.weight(i))
            for i, part in enumerate(self.parts)
            for seen in part.observations(predictor, data)
        )

    @property
    def is_penalty(self) -> bool:
        """Whether any part is."""
        return any(part.is_penalty for part in self.parts)

    def only(self, penalties: bool) -> "WeightedSum":
        """The penalties alone, or all but them."""
        chosen = [i for i, part in enumerate(self.parts) if part.is_penalty == penalties]
        return WeightedSum(
            tuple(self.parts[i] for i in chosen), tuple(self.weights[i] for i in chosen)
        )

    @property
    def title(self) -> str:
        """The parts' titles, added up."""
        return " + ".join(part.title for part in self.parts)

    def weight(self, i: int) -> Array:
        """The weight of a part, which must not be a schedule."""
        weight = self.weights[i]
        if _is_schedule(weight):
            raise ValueError(
                f"The weight of {self.parts[i].title} depends on the step of a fit: say at which "
                "one, objective.at(step)."
            )
        return jnp.asarray(resolve(weight))


def varied(predictor: Any, data: Any) -> Any:
    """The predictor, what varies by experiment with a value for each that the data have."""
    return vary(predictor, data.members, data.name) if isinstance(data, AbstractData) else predictor


def evaluated(total: Array) -> Evaluation:
    """The evaluation of what needs no solving."""
    return Evaluation(
        total=total,
        result=RESULTS.successful,
        time_reached=jnp.asarray(jnp.inf, total.dtype),
        num_steps=jnp.asarray(0),
    )


def solved(total: Array, simulation: Simulation) -> Evaluation:
    """The evaluation of what needs one prediction."""
    return Evaluation(
        total=total,
        result=simulation.result,
        time_reached=simulation.time_reached,
        num_steps=simulation.num_steps,
        solves=simulation.solves,
    )


def _summed(each: list[Evaluation], weights: list[Array]) -> Evaluation:
    total = sum(_times(weight, e.total) for weight, e in zip(weights, each, strict=True))
    result = each[0].result
    for other in each[1:]:
        result = RESULTS.where(result == RESULTS.successful, other.result, result)
    reached = [e.time_reached.astype(each[0].time_reached.dtype) for e in each]
    return Evaluation(
        total=jnp.asarray(total),
        result=result,
        time_reached=jnp.min(jnp.stack(reached)),
        num_steps=jnp.asarray(sum(e.num_steps for e in each)),
        solves=next((e.solves for e in each if e.solves is not None), None),
    )


@final
class _ScaledSchedule(eqx.Module):
    factor: Weight
    schedule: Callable[[Any], Any]

    def __call__(self, step: Any) -> Array:
        factor = self.factor(step) if _is_schedule(self.factor) else resolve(self.factor)
        return jnp.asarray(factor) * jnp.asarray(self.schedule(step))


def as_sum(objective: AbstractObjective) -> WeightedSum:
    """Any objective as a weighted sum, of one part if it is none."""
    if isinstance(objective, WeightedSum):
        return objective
    return WeightedSum((objective,), (jnp.asarray(1.0),))


def _is_schedule(weight: Weight) -> bool:
    return callable(weight)


def _product(first: Weight, second: Weight) -> Weight:
    if _is_schedule(second):
        return _ScaledSchedule(first, second)
    if _is_schedule(first):
        return _ScaledSchedule(second, first)
    return first * second


def _checked(weight: Weight, title: str) -> Weight:
    if _is_schedule(weight) or isinstance(weight, jax.core.Tracer):
        return weight
    try:
        number = np.asarray(weight, dtype=float)
    except (TypeError, ValueError):
        number = np.asarray(np.nan)
    if number.shape != () or not (np.isfinite(number) and number >= 0):
        raise ValueError(
            f"The weight of {title} is {weight!r}: it must be one number, finite and not negative, "
            "or a schedule from the step of a fit to one."
        )
    return jnp.asarray(weight, dtype=jnp.result_type(float))


def _times(weight: Array, value: Array) -> Array:
    # What has no weight may be infinite.
    weight = weight.astype(value.dtype)
    return jnp.where(weight == 0, 0.0, weight * value)


def _titled(part: AbstractObjective, parts: dict[str, Array]) -> dict[str, Array]:
    if len(parts) == 1:
        return {part.title: next(iter(parts.values()))}
    return {f"{part.title} of {name}": value for name, value in parts.items()}


def _unused(name: str, taken: dict[str, Array]) -> str:
    names = (name, *(f"{name} ({i})" for i in range(2, len(taken) + 2)))
    return next(each for each in names if each not in taken)
