"""Whether what was measured looks like what is predicted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data import AbstractData

# From the values, NaN where nothing was measured, to a number.
Statistic = Callable[[np.ndarray], Any]


@dataclass(frozen=True, eq=False, repr=False)
class PredictiveCheck:
    """Some numbers of the measured values beside those of what was predicted.

    **Attributes:**

    - `observed`: each number of what was measured, by name.
    - `replicated`: the same of every draw, shape `(draws,)`; draws that could not be solved are
        left out.
    """

    observed: dict[str, float]
    replicated: dict[str, np.ndarray]

    @property
    def p_values(self) -> dict[str, float]:
        """The share of draws in which the number is at least as large, half of those that tie."""
        found = {}
        for name, value in self.observed.items():
            draws = self.replicated[name]
            found[name] = float(np.mean(draws > value) + 0.5 * np.mean(draws == value))
        return found

    def __repr__(self) -> str:
        width = max(len(name) for name in ("statistic", *self.observed))
        head = f"{'statistic':{width}}  {'measured':>10}  {'predicted, 95 %':>22}  p"
        rows = []
        for name, p in self.p_values.items():
            low, high = np.quantile(self.replicated[name], [0.025, 0.975])
            rows.append(
                f"{name:{width}}  {self.observed[name]:10.4g}  {low:10.4g} {high:11.4g}  {p:.3f}"
            )
        return "\n".join([head, *rows])


def predictive_check(
    replicated: Any, data: AbstractData, statistics: Mapping[str, Statistic] | None = None
) -> PredictiveCheck:
    """Compares numbers of the measured values with those of values drawn in their place.

    A share near 0 or 1 says that the model hardly ever gives such values (Gelman, Meng and Stern
    1996, Statistica Sinica 6, 733-807). The data that a posterior was fitted to are used twice, so
    that its shares lie nearer to one half than those of a uniform number.

    **Arguments:**

    - `replicated`: draws of all values, shape `(..., draws, *values.shape)`: from
        `Draws.posterior_predictive`, or `prior_predictive`.
    - `data`: what was measured.
    - `statistics`: by name functions from the values, an array with NaN where nothing was
        measured, to a number; by default mean, standard deviation, least and largest value of each
        observable.

    Raises `ValueError` for draws of another shape, and where none could be solved.
    """
    draws, values = np.asarray(replicated), np.asarray(data.values)
    before = draws.ndim - values.ndim
    if before < 1 or draws.shape[before:] != values.shape or not draws.size:
        raise ValueError(
            f"predictive_check: draws of shape {draws.shape} for values of shape {values.shape}: "
            "give (draws, *values.shape), as prior_predictive and posterior_predictive return."
        )
    draws = draws.reshape(-1, *values.shape)
    observed = np.asarray(data.observed)
    usable = np.all(np.isfinite(np.where(observed, draws, 0.0)), axis=tuple(range(1, draws.ndim)))
    if not np.any(usable):
        raise ValueError("predictive_check: no draw is finite: the model could not be solved.")
    chosen = _usual(data) if statistics is None else dict(statistics)
    of = lambda function, array: float(function(np.where(observed, array, np.nan)))
    found = {name: of(function, values) for name, function in chosen.items()}
    each = {
        name: np.array([of(function, draw) for draw in draws[usable]])
        for name, function in chosen.items()
    }
    return PredictiveCheck(found, each)


def _usual(data: AbstractData) -> dict[str, Statistic]:
    kinds: dict[str, Callable[..., Any]] = {
        "mean": np.nanmean,
        "sd": np.nanstd,
        "least": np.nanmin,
        "largest": np.nanmax,
    }
    several = len(data.observables) > 1
    found: dict[str, Statistic] = {}
    for i, observable in enumerate(data.observables):
        for kind, function in kinds.items():
            name = f"{kind} of {observable}" if several else kind
            found[name] = _of_column(function, i)
    return found


def _of_column(function: Callable[..., Any], column: int) -> Statistic:
    return lambda values: function(values.reshape(len(values), -1)[:, column])
