"""What every question to a fit must be checked for."""

import numpy as np

from ..fits import Fit


def check_fit(fit: object, whose: str) -> None:
    """Raises `ValueError` unless it is a fit that converged to where a density is largest."""
    if not isinstance(fit, Fit):
        raise ValueError(
            f"{whose}: expected the Fit that likelihax.fit returned, not {type(fit).__name__}."
        )
    if not fit.problem.objective.is_density:
        raise ValueError(
            f"{whose}: the {fit.problem.objective.title} is not minus the logarithm of a density, "
            "so that its curvature says nothing of errors: fit likelihax.NLL()."
        )
    if not fit.success:
        raise ValueError(
            f"{whose}: the fit did not converge, so that its estimates are no optimum to look "
            f"around at. {fit.message}"
        )


def check_level(level: float, whose: str) -> None:
    """Raises `ValueError` where a level is no probability."""
    if np.ndim(level) or not 0 < level < 1:
        raise ValueError(f"{whose}: the level must be in (0, 1), got {level!r}.")
