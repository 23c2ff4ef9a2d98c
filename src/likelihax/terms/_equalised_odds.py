"""The same predictions for all groups, among rows with the same outcome."""

from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro.distributions import Distribution

from .._parameters import resolve
from .._predictor import Predictor
from ..data import AbstractData
from ._parity import (
    AbstractParity,
    Classes,
    Compare,
    Of,
    check_comparison,
    checked_groups,
    num_labels,
)
from ._predictions import predicted_rows


@final
class EqualisedOdds(AbstractParity):
    r"""Among rows with the same outcome, predictions do not differ between groups.

    $$\sum_k\sum_g s_{kg}\,(\bar m_{kg}-\bar m_k)^2$$

    is `DemographicParity` within each class `k` of the outcome, on average over the classes: `s`
    is the share of a group and class in the measured rows (M. Hardt, E. Price and N. Srebro 2016,
    "Equality of opportunity in supervised learning", NeurIPS). The classes are the labels of a
    `Bernoulli`, a `Categorical` or an `OrderedLogistic`, and of other outcomes `num_bins` quantile
    bins.

    Only measured outcomes count: what was not measured is in no class. With several observables,
    each has its own classes, and they add up.

    **Arguments:**

    - `groups`: which group each row is in, whole numbers from 0 without gaps, two groups or more.
    - `num_bins`: for outcomes that are no labels, how many bins, split at the quantiles of all
        measured values, make their classes.
    - `classes`: in which classes or bins, by their numbers from 0; by default in all. `(1,)` is
        equality of opportunity.
    - `of`, `compare`, `smoothing`, `name`: as in `DemographicParity`.
    """

    groups: Array
    num_groups: int = eqx.field(static=True)
    num_bins: int | None = eqx.field(static=True)
    only: tuple[int, ...] | None = eqx.field(static=True)
    of: Of | None
    compare: Compare = eqx.field(static=True)
    smoothing: float = eqx.field(static=True)
    name: str | None = eqx.field(static=True)

    def __init__(
        self,
        groups: Any,
        *,
        num_bins: int | None = None,
        classes: Sequence[int] | None = None,
        of: Of | None = None,
        compare: Compare = "means",
        smoothing: float = 0.0,
        name: str | None = None,
    ):
        check_comparison(of, compare, smoothing, "EqualisedOdds")
        if num_bins is not None and num_bins < 2:
            raise ValueError(f"EqualisedOdds: num_bins is {num_bins}: two or more are needed.")
        self.groups, self.num_groups = checked_groups(groups, "EqualisedOdds")
        self.num_bins = num_bins
        self.only = None if classes is None else tuple(int(each) for each in classes)
        self.of = of
        self.compare = compare
        self.smoothing = float(smoothing)
        self.name = name

    def classes(self, distribution: Distribution, data: AbstractData) -> Classes:
        """Labels, or bins, of each measured value."""
        rows = data.values.shape[0]
        values, observed = data.values.reshape(rows, -1), data.observed.reshape(rows, -1)
        if self.num_bins is None:
            num = num_labels(distribution) or 1  # none: what `check` refuses
            members = values.astype(int)
        else:
            num = self.num_bins
            edges = _edges(values, observed, num)
            members = jnp.sum(values[None] >= edges[:, None], axis=0)
        if self.only is not None:
            observed = observed & jnp.isin(members, jnp.asarray(self.only, int))
        return Classes(members, observed, num)

    def check_classes(self, predictor: Predictor, data: AbstractData) -> None:
        """Checks that outcomes have classes, each with a row of every group."""
        distribution = eqx.filter_eval_shape(_distribution, predictor, data)
        batch = tuple(distribution.batch_shape)
        if batch != data.values.shape and distribution.event_shape == ():
            raise ValueError(
                f"{self.title}: {data.name} has values of shape {data.values.shape} for outcomes "
                f"of shape {batch}: they must be outcomes themselves, not bounds or probabilities."
            )
        num = num_labels(distribution)
        if (num is None) == (self.num_bins is None):
            family = type(predictor.likelihood).__name__
            raise ValueError(
                f"{self.title}: outcomes of {family} are labels already: leave num_bins out."
                if num is not None
                else f"{self.title}: outcomes of {family} are no labels: give num_bins=..., how "
                "many quantile bins they are to be compared in, for instance num_bins=4."
            )
        found = self.classes(distribution, data)
        self._check_chosen(found.num)
        self._check_cells(found, data)

    def _check_chosen(self, num: int) -> None:
        wrong = [each for each in self.only or () if not 0 <= each < num]
        if wrong or self.only == ():
            raise ValueError(
                f"{self.title}: classes are {self.only}: give some of 0 to {num - 1}, or leave "
                "them out."
            )

    def _check_cells(self, found: Classes, data: AbstractData) -> None:
        members, counted = np.asarray(found.members), np.asarray(found.counted)
        groups = np.asarray(self.groups)
        one, several = ("class", "classes") if self.num_bins is None else ("bin", "bins")
        chosen = range(found.num) if self.only is None else self.only
        for column in range(members.shape[1]):
            for each in chosen:
                there = counted[:, column] & (members[:, column] == each)
                missing = np.setdiff1d(np.arange(self.num_groups), groups[there])
                if missing.size:
                    raise ValueError(
                        f"{self.title}: group {int(missing[0])} has no row whose outcome "
                        f"({data.observables[column]}) is in {one} {each}: join groups or "
                        f"{several}, or leave that {one} out by classes=..."
                    )


def _edges(values: Array, observed: Array, num_bins: int) -> Array:
    """The inner edges of the bins, shape `(num_bins - 1, columns)`."""
    levels = jnp.arange(1, num_bins, dtype=values.dtype) / num_bins
    return jnp.nanquantile(jnp.where(observed, values, jnp.nan), levels, axis=0)


def _distribution(predictor: Predictor, data: AbstractData) -> Distribution:
    return predicted_rows(resolve(predictor), data).distribution
