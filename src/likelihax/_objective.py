"""What is minimised: elementwise NLLs, reduced once. The only minus sign is the likelihood's."""

import abc
from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ._data import AbstractData
from ._predictor import Predictor
from ._result import RESULTS
from .likelihoods import AbstractLikelihood, AbstractRegularLikelihood
from .models import AbstractSimulator, Simulation
from .reductions import AbstractReduction, Sum


class Evaluation(eqx.Module):
    """An objective's value: infinite, never NaN, where the model could not be solved.

    **Attributes:**

    - `total`: the value to minimise.
    - `result`: how the solve behind it ended.
    - `time_reached`, `num_steps`: how far the solve got, and in how many steps.
    """

    total: Float[Array, ""]
    result: RESULTS
    time_reached: Float[Array, ""]
    num_steps: Int[Array, ""]


class Observations(eqx.Module):
    """Predicted distributions beside what was measured, before anything is reduced.

    **Attributes:**

    - `outputs`: the distribution's parameters on the kernel's scales, each shaped like `values`.
    - `values`: the measured values, stand-ins where nothing was measured.
    - `observed`: where something was measured.
    - `result`: how the solve behind the prediction ended.
    - `accuracy`: the relative error of the prediction that is to be expected.
    """

    outputs: tuple[Array, ...]
    values: Array
    observed: Array
    result: RESULTS
    accuracy: float = eqx.field(static=True)


class AbstractObjective(eqx.Module):
    """A scalar to minimise over a predictor's trainable leaves."""

    @abc.abstractmethod
    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """The value of the objective, pure and traceable."""

    @abc.abstractmethod
    def breakdown(self, predictor: Any, data: Any) -> dict[str, Array]:
        """The named parts of the value; they sum to it."""

    @abc.abstractmethod
    def check(self, predictor: Any, data: Any) -> None:
        """Raises `ValueError` where predictor and data do not go together."""

    def num_averaged(self, predictor: Any, data: Any) -> Array:
        """How many values the objective is a mean of: 1 where it is a sum of NLLs.

        A method that promises a distance in standard errors multiplies by it.
        """
        return jnp.ones(())

    @property
    def is_sum(self) -> bool:
        """Whether it is minus the logarithm of a density, whose curvature gives standard errors.

        One's own function is taken to be that.
        """
        return True

    @property
    def title(self) -> str:
        """What it is called in a report."""
        return "NLL"


@final
class NLL(AbstractObjective):
    """The negative log-likelihood of all measured values, in nats, summed or otherwise reduced.

    All constants are kept, so that values compare across likelihoods. Missing values add
    nothing.

    **Arguments:**

    - `reduction`: what makes one number of the NLLs of single values: by default their `Sum`, whose
        minimum is the maximum-likelihood estimate and whose curvature gives standard errors. Its
        weights are the mask of what was measured. A `CVaR` without smoothing has kinks at which
        methods that trust a gradient stall: give it some.
    """

    reduction: AbstractReduction = eqx.field(default_factory=Sum)

    def __check_init__(self) -> None:
        if not isinstance(self.reduction, AbstractReduction):
            raise ValueError(
                f"NLL: the reduction {self.reduction!r} is none: give one of likelihax.reductions, "
                "such as Mean() or CVaR(0.95, smoothing=0.1)."
            )

    def evaluate(self, predictor: Predictor, data: AbstractData) -> Evaluation:
        """The reduced NLL of all measured values."""
        elementwise, simulation = self.elementwise(predictor, data)
        return Evaluation(
            total=self.reduction(elementwise, _measured(predictor.likelihood, data)),
            result=simulation.result,
            time_reached=simulation.time_reached,
            num_steps=simulation.num_steps,
        )

    def breakdown(self, predictor: Predictor, data: AbstractData) -> dict[str, Array]:
        """What each observable adds, and smoothing if there is any."""
        elementwise, _ = self.elementwise(predictor, data)
        reduced = lambda each: self.reduction(each, _measured(predictor.likelihood, data))
        total, share = jax.value_and_grad(reduced)(elementwise)
        added = jnp.where(share > 0, share * elementwise, 0.0)
        columns = added.reshape(added.shape[0], -1).sum(axis=0)
        if predictor.likelihood.event_ndim:  # one number for all observables together
            parts = {", ".join(data.observables): columns.sum()}
        else:
            parts = {name: columns[i] for i, name in enumerate(data.observables)}
        if not self.reduction.is_weighted_sum:
            parts["smoothing"] = total - columns.sum()
        return parts

    def num_averaged(self, predictor: Predictor, data: AbstractData) -> Array:
        """As the reduction has it."""
        measured = _measured(predictor.likelihood, data)
        return self.reduction.num_averaged(measured.astype(data.values.dtype).reshape(-1))

    @property
    def is_sum(self) -> bool:
        """Whether the reduction is a `Sum`."""
        return isinstance(self.reduction, Sum)

    @property
    def title(self) -> str:
        """`NLL`, and the reduction if it is not the sum."""
        return "NLL" if self.is_sum else f"{type(self.reduction).__name__} of the NLL"

    def check(self, predictor: Predictor, data: AbstractData) -> None:
        """Checks the kinds of both, the support of the values and the times."""
        if not isinstance(predictor, Predictor):
            raise ValueError(
                f"NLL: expected a Predictor (model and likelihood), got {type(predictor).__name__}."
            )
        if not isinstance(data, AbstractData):
            raise ValueError(
                f"NLL: expected an Experiment or a Dataset, got {type(data).__name__}."
            )
        check_measured(predictor.likelihood, data)
        self._check_reduction(predictor.likelihood, data)
        if isinstance(predictor.model, AbstractSimulator):
            times, *inputs = data.arguments
            predictor.model.check(times, inputs[0] if inputs else None, data.name)

    def _check_reduction(self, likelihood: AbstractLikelihood, data: AbstractData) -> None:
        measured = np.asarray(_measured(likelihood, data))
        if not self.is_sum:
            self.reduction(np.zeros(measured.shape), measured)

    def elementwise(self, predictor: Predictor, data: AbstractData) -> tuple[Array, Simulation]:
        """One NLL a measured value, zero where nothing was measured."""
        simulation = predictor.simulate(*data.arguments)
        each = predictor.likelihood.nll(simulation.values, data.values)
        each = jnp.where(simulation.success, each, jnp.inf)
        return jnp.where(_measured(predictor.likelihood, data), each, 0.0), simulation

    def observations(self, predictor: Predictor, data: AbstractData) -> Observations:
        """The predicted distributions' parameters, for methods that use their curvature."""
        likelihood = predictor.likelihood
        assert isinstance(likelihood, AbstractRegularLikelihood)
        simulation = predictor.simulate(*data.arguments)
        likelihood.check_shapes(simulation.values, data.values)
        outputs = likelihood.outputs(simulation.values)
        return Observations(
            outputs=outputs,
            values=data.values,
            observed=_measured(likelihood, data),
            result=simulation.result,
            accuracy=simulation.accuracy,
        )


@final
class ScalarObjective(AbstractObjective):
    """Any function `(tree, data) -> scalar` as an objective, for a fit of one's own loss.

    The tree's `Parameter`s arrive as plain arrays. `fit` wraps a bare function in this.
    """

    function: Callable[[Any, Any], Float[Array, ""]]

    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """The function's own value."""
        from_user = self.function(predictor, data)
        if jnp.shape(from_user) != ():
            raise ValueError(
                f"The objective returned shape {jnp.shape(from_user)}: it must be a scalar."
            )
        total = jnp.asarray(from_user)
        if not jnp.issubdtype(total.dtype, jnp.floating):
            raise ValueError(
                f"The objective returned {total.dtype}: it must be a floating number, or there is "
                "nothing to differentiate."
            )
        return Evaluation(
            total=total,
            result=RESULTS.successful,
            time_reached=jnp.asarray(jnp.inf, total.dtype),
            num_steps=jnp.asarray(0),
        )

    def breakdown(self, predictor: Any, data: Any) -> dict[str, Array]:
        """One part: the whole."""
        return {"objective": self.evaluate(predictor, data).total}

    def check(self, predictor: Any, data: Any) -> None:
        """Nothing is known of the function's own demands."""


def check_measured(likelihood: AbstractLikelihood, data: AbstractData) -> None:
    """Raises `ValueError` where a value is outside the support, or a vector measured in part."""
    likelihood.check_support(np.asarray(data.values), data.name)
    if likelihood.event_ndim:
        observed = np.asarray(data.observed)
        part = np.argwhere(observed.any(axis=-1) & ~observed.all(axis=-1))
        if part.size:
            index = [int(i) for i in part[0]]
            raise ValueError(
                f"{data.name}: values{index} was measured in part, and "
                f"{type(likelihood).__name__} takes it as one: mark all of it as missing (NaN), "
                "or choose a likelihood of single values."
            )


def count_measured(likelihood: AbstractLikelihood, data: AbstractData) -> int:
    """How many NLLs are summed: measured values, or vectors of them."""
    return int(np.sum(np.asarray(_measured(likelihood, data))))


def _measured(likelihood: AbstractLikelihood, data: AbstractData) -> Array:
    """Where something was measured, one flag for each NLL."""
    if not likelihood.event_ndim:
        return data.observed
    return jnp.all(data.observed, axis=tuple(range(-likelihood.event_ndim, 0)))
