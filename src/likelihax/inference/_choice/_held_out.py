"""The NLL of measured values under whatever predicts them."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array

from ..._parameters import resolve
from ..._predictor import Predictor
from ...data import AbstractData
from ...fits import Fit
from ...objectives import NLL
from ...objectives._nll import _measured
from ...objectives._objective import varied
from .._ensembles._deep_ensemble import DeepEnsemble
from .._ensembles._ensemble import Ensemble


def measured_nll(found: Any, data: AbstractData, name: str) -> np.ndarray:
    """The NLL of each value that was measured, a vector in their order.

    Of a fit, a predictor or an ensemble. Raises `ValueError` for anything else, and where the
    model cannot be solved for the data.
    """
    if not isinstance(data, AbstractData):
        raise ValueError(
            f"held_out: expected an Experiment or a Dataset, got {type(data).__name__}."
        )
    found = found.ensemble if isinstance(found, DeepEnsemble) else found
    if isinstance(found, Ensemble):
        each: Any = found.nll(data)
        likelihood = found.member(0).likelihood
    else:
        predictor = found.predictor if isinstance(found, Fit) else found
        if not isinstance(predictor, Predictor):
            raise ValueError(
                f"{name!r} is {type(found).__name__}: only a fit, a predictor or an ensemble has "
                "an NLL on other data."
            )
        NLL().check(predictor, data)
        each, solved = _elementwise(varied(predictor, data), data)
        if not bool(solved):
            raise ValueError(
                f"{name!r} cannot be solved for {data.name}: it has no NLL there. Compare it "
                "without held_out, or loosen its solver's tolerances."
            )
        likelihood = predictor.likelihood
    return np.asarray(each)[np.asarray(_measured(likelihood, data))]


@eqx.filter_jit
def _elementwise(predictor: Predictor, data: AbstractData) -> tuple[Array, Array]:
    each, simulation = NLL().elementwise(resolve(predictor), data)
    return each, simulation.success
