"""How much the learned part of a fitted vector field carries."""

from ..fits import Fit, LearnedShare
from ..fits._share import has_share, share_along


def learned_share(fit: Fit, *, points: int = 400) -> LearnedShare:
    """How much of the rates of change is learned, along the fitted trajectory of each experiment.

    **Arguments:**

    - `fit`: the fit of an `Experiment` or of `Experiments` by an `ODE`, or a `Surrogate`, whose
        field has a `models.Learned` somewhere.
    - `points`: at how many times, evenly spread from the start of the solve to the last measured
        time.

    The learned part is what the field gives with it, less what the field gives without it, at the
    same state: wherever in the field it stands. Raises `ValueError` where there is none, and for
    fewer than 2 points.
    """
    if points < 2:
        raise ValueError(f"learned_share: {points} points are too few: give at least 2.")
    if not has_share(fit.predictor, fit.data):
        raise ValueError(
            "learned_share: nothing is learned in a vector field here: it is for the fit of an "
            "ODE whose field has a likelihax.models.Learned in it."
        )
    return share_along(fit.predictor, fit.data, points)
