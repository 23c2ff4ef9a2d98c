"""What a term about predicted evidence is: one cost a measured value, reduced as an NLL is."""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._predictor import Predictor
from ..data import AbstractData
from ..likelihoods import NormalInverseGamma
from ..objectives._objective import Evaluation
from ..reductions import AbstractReduction, Sum
from ._predictions import check_kinds, evaluated_rows
from ._term import AbstractTerm


class AbstractEvidenceTerm(AbstractTerm):
    """A cost of what a `NormalInverseGamma` likelihood is given, for each measured value.

    `reduction` makes one number of them, as that of `NLL` does: give both the same one.
    """

    reduction: eqx.AbstractVar[AbstractReduction]

    @abc.abstractmethod
    def each(self, likelihood: NormalInverseGamma, prediction: Array, y: Array) -> Array:
        """The cost of each value, shaped like `y`; `prediction` is what the model returned."""

    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """The costs of the measured values, reduced."""
        simulation = predictor.predict(data)
        costs = self.each(predictor.likelihood_of(data), simulation.values, data.values)
        costs = jnp.where(data.observed, costs, 0.0)
        return evaluated_rows(self.reduction(costs, data.observed), simulation)

    def check(self, predictor: Any, data: Any) -> None:
        """Checks that there is evidence to speak of."""
        check_kinds(predictor, data, self.title)
        _check_likelihood(predictor, data, self.title)
        self.check_likelihood(predictor.likelihood)

    def check_likelihood(self, likelihood: NormalInverseGamma) -> None:
        """Raises `ValueError` where the term has no meaning for this one."""

    @property
    def is_density(self) -> bool:
        """How evidence is to be spread is no density of anything."""
        return False


def checked_reduction(reduction: Any, term: str) -> AbstractReduction:
    """The reduction, by default the sum; `ValueError` for what is none."""
    found = Sum() if reduction is None else reduction
    if not isinstance(found, AbstractReduction):
        raise ValueError(
            f"{term}: the reduction {reduction!r} is none: give that of the NLL beside it, one of "
            "likelihax.reductions."
        )
    return found


def _check_likelihood(predictor: Predictor, data: AbstractData, term: str) -> None:
    if not isinstance(predictor.likelihood, NormalInverseGamma):
        raise ValueError(
            f"{term}: {type(predictor.likelihood).__name__} states no evidence: it is for "
            "likelihoods.NormalInverseGamma."
        )
    predictor.likelihood.check_support(np.asarray(data.values), data.name)
