"""How much more the values scatter than the likelihood says."""

from typing import Any

import numpy as np

from .._parameters import resolve


def pearson_dispersion(predictor: Any, data: Any, dof: int) -> float:
    """The sum of the squared standardised residuals over the degrees of freedom left."""
    if dof <= 0:
        raise ValueError("The measured values leave no residual degrees of freedom.")
    try:
        distribution = resolve(predictor).predictive(data)
        mean, variance = distribution.mean, distribution.variance
    except NotImplementedError:
        family = type(predictor.likelihood).__name__
        raise ValueError(f"{family} has no variance to compare the residuals with.") from None
    residuals = np.square(np.asarray(data.values) - np.asarray(mean)) / np.asarray(variance)
    total = float(np.sum(residuals[np.asarray(data.observed)]))
    if not np.isfinite(total):
        raise ValueError(
            f"{type(predictor.likelihood).__name__} has no finite variance at the estimates."
        )
    return total / dof
