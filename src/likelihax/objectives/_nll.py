"""Elementwise NLLs, reduced once. The only minus sign is the likelihood's."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._parameters import vary
from .._predictor import Predictor
from ..data import AbstractData, Experiments
from ..likelihoods import AbstractLikelihood, AbstractRegularLikelihood
from ..models import AbstractSimulator, Simulation
from ..reductions import AbstractReduction, Sum
from ._objective import AbstractObjective, Evaluation, Split, solved
from ._observations import CurvedLoss, Observations


@final
class NLL(AbstractObjective):
    """The negative log-likelihood of all measured values, in nats, summed or otherwise reduced.

    All constants are kept, so that values compare across likelihoods. Missing values add
    nothing.

    **Arguments:**

    - `reduction`: what makes one number of the NLLs of single values: by default their `Sum`, whose
        minimum is the maximum-likelihood estimate and whose curvature gives standard errors. Its
        weights are the mask of what was measured.
    - `weights`: how much each value counts, for instance how often it was seen: not negative,
        shaped like the values, or one a row.
    """

    reduction: AbstractReduction = eqx.field(default_factory=Sum)
    weights: Array | None = None

    def __init__(self, reduction: AbstractReduction | None = None, weights: Any = None):
        self.reduction = Sum() if reduction is None else reduction
        self.weights = None if weights is None else jnp.asarray(weights)

    def __check_init__(self) -> None:
        if not isinstance(self.reduction, AbstractReduction):
            raise ValueError(
                f"NLL: the reduction {self.reduction!r} is none: give one of likelihax.reductions, "
                "such as Mean() or CVaR(0.95, smoothing=0.1)."
            )

    def evaluate(self, predictor: Predictor, data: AbstractData) -> Evaluation:
        """The reduced NLL of all measured values."""
        elementwise, simulation = self.elementwise(predictor, data)
        return solved(
            self.reduction(elementwise, self._counted(predictor.likelihood, data)), simulation
        )

    def breakdown(self, predictor: Predictor, data: AbstractData) -> dict[str, Array]:
        """What each observable adds, and smoothing if there is any."""
        elementwise, _ = self.elementwise(predictor, data)
        reduced = lambda each: self.reduction(each, self._counted(predictor.likelihood, data))
        total, share = jax.value_and_grad(reduced)(elementwise)
        added = jnp.where(share > 0, share * elementwise, 0.0)
        columns = added.reshape(added.shape[0], -1).sum(axis=0)
        if predictor.likelihood.event_ndim:  # one number for all observables together
            parts = {", ".join(data.observables): columns.sum()}
        else:
            parts = {name: columns[i] for i, name in enumerate(data.observables)}
        if not self.reduction.is_weighted_sum:
            added = columns.sum()
            parts["smoothing"] = jnp.where(jnp.isfinite(added), total - added, 0.0)
        return parts

    def num_averaged(self, predictor: Predictor, data: AbstractData) -> Array:
        """As the reduction has it."""
        counted = self._counted(predictor.likelihood, data)
        return self.reduction.num_averaged(counted.astype(data.values.dtype).reshape(-1))

    def num_observed(self, predictor: Predictor, data: AbstractData) -> int:
        """How many NLLs are summed: measured values, or vectors of them."""
        return int(np.sum(np.asarray(_measured(predictor.likelihood, data))))

    def split(self, predictor: Predictor, data: AbstractData, by: str) -> Split | None:
        """The NLL of each member's values, if they are summed."""
        if not self.is_density or by not in data.members:
            return None
        simulation = predictor.predict(data)
        each = predictor.likelihood_of(data).nll(simulation.values, data.values)
        counted = self._counted(predictor.likelihood, data).astype(each.dtype)
        rows = jnp.where(counted > 0, counted * each, 0.0).reshape(each.shape[0], -1).sum(axis=1)
        if isinstance(data, Experiments):
            assert simulation.solves is not None
            rows = jnp.where(simulation.solves.failed[data.of_row], jnp.inf, rows)
            whose = data.membership[by][data.of_row]
            members = jax.ops.segment_sum(rows, whose, num_segments=len(data.members[by]))
        else:
            members = jnp.where(simulation.success, rows.sum(keepdims=True), jnp.inf)
        return Split(members, solved(jnp.zeros((), members.dtype), simulation))

    @property
    def is_density(self) -> bool:
        """Whether the reduction is a `Sum`."""
        return isinstance(self.reduction, Sum)

    @property
    def is_likelihood(self) -> bool:
        """Whether the reduction is a `Sum`."""
        return self.is_density

    @property
    def has_kinks(self) -> bool:
        """Whether the reduction has."""
        return self.reduction.has_kinks

    def is_gradient(self, predictor: Predictor) -> bool:
        """Not where the likelihood deliberately gives another one."""
        return predictor.likelihood.is_gradient

    def losses(self, predictor: Predictor) -> tuple[CurvedLoss, ...] | None:
        """The likelihood, if it is a regular one and summed."""
        likelihood = predictor.likelihood
        if isinstance(likelihood, AbstractRegularLikelihood) and self.is_density:
            return (likelihood,)
        return None

    @property
    def title(self) -> str:
        """`NLL`, and the reduction if it is not the sum."""
        return "NLL" if self.is_density else f"{type(self.reduction).__name__} of the NLL"

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
        vary(predictor, data.members, data.name)
        if isinstance(predictor.model, AbstractSimulator):
            for one in data.experiments:
                times, *inputs = one.arguments
                predictor.model.check(times, inputs[0] if inputs else None, one.name)

    def _check_reduction(self, likelihood: AbstractLikelihood, data: AbstractData) -> None:
        if self.weights is None and self.is_density:
            return
        shape = _measured(likelihood, data).shape
        if self.weights is not None and self.weights.shape not in (shape, shape[:1]):
            raise ValueError(
                f"NLL: weights of shape {self.weights.shape} for values of shape {shape}: give one "
                "a value, or one a row."
            )
        self.reduction(np.zeros(shape), self._counted(likelihood, data))

    def elementwise(self, predictor: Predictor, data: AbstractData) -> tuple[Array, Simulation]:
        """One NLL a measured value, zero where nothing was measured."""
        simulation = predictor.predict(data)
        each = predictor.likelihood_of(data).nll(simulation.values, data.values)
        each = jnp.where(simulation.success, each, jnp.inf)
        return jnp.where(_measured(predictor.likelihood, data), each, 0.0), simulation

    def observations(self, predictor: Predictor, data: AbstractData) -> tuple[Observations, ...]:
        """The predicted distributions' parameters, for methods that use their curvature."""
        likelihood = predictor.likelihood_of(data)
        assert isinstance(likelihood, AbstractRegularLikelihood)
        simulation = predictor.predict(data)
        likelihood.check_shapes(simulation.values, data.values)
        outputs = likelihood.outputs(simulation.values)
        seen = Observations(
            outputs=outputs,
            values=data.values,
            weights=self._counted(likelihood, data).astype(outputs[0].dtype),
            result=simulation.result,
            accuracy=simulation.accuracy,
            solves=simulation.solves,
        )
        return (seen,)

    def _counted(self, likelihood: AbstractLikelihood, data: AbstractData) -> Array:
        """How much each NLL counts: 0 where nothing was measured."""
        measured = _measured(likelihood, data)
        if self.weights is None:
            return measured
        behind = (1,) * (measured.ndim - self.weights.ndim)
        weights = jnp.broadcast_to(
            self.weights.reshape(self.weights.shape + behind), measured.shape
        )
        return jnp.where(measured, weights, jnp.zeros_like(weights))


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


def _measured(likelihood: AbstractLikelihood, data: AbstractData) -> Array:
    """Where something was measured, one flag for each NLL."""
    if not likelihood.event_ndim:
        return data.observed
    return jnp.all(data.observed, axis=tuple(range(-likelihood.event_ndim, 0)))
