"""Predictions that are alike in all groups of rows, within every class of them."""

import abc
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpyro import distributions as dist
from numpyro.distributions import Distribution

from .._groups import counted_groups
from .._parameters import resolve
from .._predictor import Predictor
from .._special._elementary import exp_excess
from ..data import AbstractData
from ..models import AbstractSimulator
from ..objectives._objective import Evaluation
from ..objectives._observations import CurvedLoss, Observations
from ._l2 import HalfSquare
from ._predictions import check_kinds, evaluated_rows, expected_values, predicted_rows
from ._term import AbstractTerm

# From the predictive distribution of all rows to numbers, one row of them each.
Of = Callable[[Distribution], Array]
Compare = Literal["means", "distributions"]


def num_labels(distribution: Distribution) -> int | None:
    """How many labels a value may have; `None` where it is no label."""
    if isinstance(distribution, dist.BernoulliLogits | dist.BernoulliProbs):
        return 2
    if isinstance(distribution, dist.CategoricalLogits):
        return int(distribution.logits.shape[-1])
    if isinstance(distribution, dist.CategoricalProbs):
        return int(distribution.probs.shape[-1])
    return None


class Classes(NamedTuple):
    """Within what the groups are compared.

    **Attributes:**

    - `members`: the class of each row, from 0, for each column of outcomes (one where the class
        does not depend on them).
    - `counted`: which of these count.
    - `num`: how many classes there may be.
    """

    members: Int[Array, "rows columns"]
    counted: Bool[Array, "rows columns"]
    num: int


class Cells(NamedTuple):
    """The numbers that are compared, and in which cell, a group in a class, each row is.

    **Attributes:**

    - `numbers`: those of each row, less those of the first.
    - `first`: what was subtracted.
    - `members`: the cell of each row: its class times the number of groups, plus its group; one
        beyond the last cell where it does not count.
    - `counts`: how many rows each cell has.
    """

    numbers: Float[Array, "rows columns entries"]
    first: Float[Array, "columns entries"]
    members: Int[Array, "rows columns"]
    counts: Float[Array, "columns classes groups"]

    @property
    def in_class(self) -> Array:
        """How many rows each class has: shape `(columns, classes, 1)`."""
        return jnp.sum(self.counts, axis=-1, keepdims=True)

    @property
    def share(self) -> Float[Array, "columns classes groups"]:
        """The share of each cell in its column."""
        return self.counts / jnp.maximum(jnp.sum(self.in_class, axis=1, keepdims=True), 1.0)

    def sums(self) -> Float[Array, "columns classes groups entries"]:
        """The sum of the numbers in each cell."""
        size = self.counts[0].size
        total = lambda x, cell: jax.ops.segment_sum(x, cell, size + 1)[:size]
        found = jax.vmap(total, in_axes=1)(self.numbers, self.members)
        return found.reshape(*self.counts.shape, -1)

    def means(self) -> Float[Array, "columns classes groups entries"]:
        """The mean of each cell, less `first`."""
        return self.sums() / jnp.maximum(self.counts, 1.0)[..., None]

    def deviations(self) -> Float[Array, "columns classes groups entries"]:
        """How far the mean of each cell is from that of its class."""
        sums = self.sums()
        of_class = jnp.sum(sums, axis=2, keepdims=True) / jnp.maximum(self.in_class, 1.0)[..., None]
        away = sums / jnp.maximum(self.counts, 1.0)[..., None] - of_class
        return jnp.where(self.counts[..., None] > 0, away, 0.0)


class AbstractParity(AbstractTerm):
    """What is predicted shall be the same in all groups of rows, within every class of them."""

    groups: eqx.AbstractVar[Array]
    num_groups: eqx.AbstractVar[int]
    of: eqx.AbstractVar[Of | None]
    compare: eqx.AbstractVar[Compare]
    smoothing: eqx.AbstractVar[float]

    @abc.abstractmethod
    def classes(self, distribution: Distribution, data: AbstractData) -> Classes:
        """Within what the groups are compared."""

    @abc.abstractmethod
    def check_classes(self, predictor: Predictor, data: AbstractData) -> None:
        """Raises `ValueError` where there are no such classes, or a group has none of one."""

    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """The penalty: zero at parity."""
        distribution, simulation = predicted_rows(predictor, data)
        cells = self._cells(distribution, data)
        if self.compare == "means":
            total = 0.5 * jnp.sum(_residuals(cells) ** 2)
        else:
            total = jnp.sum(cells.share[..., None] * energies(cells, self.smoothing))
        return evaluated_rows(total, simulation)

    def means(self, predictor: Any, data: Any) -> Array:
        """The mean of each group, shape `(groups, ...)`; behind it the numbers' own shape.

        Where there are classes they come first, `(classes, groups, ...)`. NaN where a group has
        no row in a class. `Parameter`s may still be in place.
        """
        distribution, _ = predicted_rows(resolve(predictor), data)
        cells = self._cells(distribution, data)
        found = cells.means() + cells.first[:, None, None]
        found = jnp.where(cells.counts[..., None] > 0, found, jnp.nan)
        _, num_classes, num_groups = cells.counts.shape
        shape = (num_classes, num_groups) if num_classes > 1 else (num_groups,)
        return jnp.moveaxis(found, 0, 2).reshape(*shape, *self._numbers(distribution).shape[1:])

    def disparity(self, predictor: Any, data: Any) -> Float[Array, ""]:
        """The largest difference between two groups' means, in the units of the prediction.

        The largest too of all classes, observables and labels. `Parameter`s may still be in place.
        """
        distribution, _ = predicted_rows(resolve(predictor), data)
        cells = self._cells(distribution, data)
        means, some = cells.means(), cells.counts[..., None] > 0
        highest = jnp.max(jnp.where(some, means, -jnp.inf), axis=2)
        lowest = jnp.min(jnp.where(some, means, jnp.inf), axis=2)
        return jnp.max(highest - lowest)

    def check(self, predictor: Any, data: Any) -> None:
        """Checks the number of groups, and that all rows have the numbers that are compared."""
        check_kinds(predictor, data, self.title)
        rows = data.values.shape[0]
        if self.groups.shape != (rows,):
            raise ValueError(
                f"{self.title}: {self.groups.size} rows have a group, {data.name} has {rows} rows: "
                "give a group for each, in their order."
            )
        self.check_classes(predictor, data)
        try:
            numbers, members = eqx.filter_eval_shape(_compared, self, predictor, data)
        except NotImplementedError as error:
            raise ValueError(
                f"{self.title}: what {type(predictor.likelihood).__name__} predicts has no mean "
                "that is known: say by of=... which number of its distribution shall be the same, "
                "for instance of=lambda distribution: distribution.loc."
            ) from error
        _check_numbers(numbers, members, self.title)
        # A solve is not made twice: if it has no mean, the start of the fit says so.
        if not isinstance(predictor.model, AbstractSimulator):
            _check_finite(np.asarray(_finite(self, predictor, data)), self.title)

    def losses(self, predictor: Any) -> tuple[CurvedLoss, ...] | None:
        """Squares, where it is means that are compared."""
        return (HalfSquare(),) if self.compare == "means" else None

    def observations(self, predictor: Any, data: Any) -> tuple[Observations, ...]:
        """Each group's deviation beside zero."""
        distribution, simulation = predicted_rows(predictor, data)
        away = _residuals(self._cells(distribution, data))
        zeros, ones = jnp.zeros_like(away), jnp.ones_like(away)
        return (Observations((away,), zeros, ones, simulation.result, simulation.accuracy),)

    @property
    def is_density(self) -> bool:
        """How much parity is worth is no density."""
        return False

    def _numbers(self, distribution: Distribution) -> Array:
        of = expected_values if self.of is None else self.of
        return jnp.asarray(of(distribution))

    def _cells(self, distribution: Distribution, data: AbstractData) -> Cells:
        classes = self.classes(distribution, data)
        numbers = self._numbers(distribution)
        numbers = numbers.reshape(*classes.members.shape, -1)
        # Equal numbers then have a spread of exactly zero, and large ones lose no digits.
        first = jax.lax.stop_gradient(numbers[0])
        size = classes.num * self.num_groups
        members = classes.members * self.num_groups + self.groups[:, None]
        members = jnp.where(classes.counted, members, size)
        counts = jax.vmap(lambda cell: jnp.bincount(cell, length=size + 1)[:size], 1)(members)
        counts = counts.reshape(-1, classes.num, self.num_groups).astype(numbers.dtype)
        return Cells(numbers - first[None], first, members, counts)


def checked_groups(groups: Any, term: str) -> tuple[Array, int]:
    """The groups and how many there are; `ValueError` unless they number rows, two or more."""
    found, counts = counted_groups(groups, term, "row")
    if found.ndim != 1:
        raise ValueError(
            f"{term}: groups of shape {found.shape}: one number a row is needed, shape (rows,)."
        )
    if len(counts) < 2:
        raise ValueError(f"{term}: all rows are in one group: there is nothing to compare.")
    return jnp.asarray(found), len(counts)


def check_comparison(of: Any, compare: Any, smoothing: Any, term: str) -> None:
    """Raises `ValueError` for what says nothing of how groups are to be compared."""
    if of is not None and not callable(of):
        raise ValueError(
            f"{term}: of is {of!r}: it must be a function from the predictive distribution of all "
            "rows to numbers, for instance lambda distribution: distribution.variance."
        )
    if compare not in ("means", "distributions"):
        raise ValueError(f'{term}: compare is "means" or "distributions", not {compare!r}.')
    if not (np.isfinite(smoothing) and smoothing >= 0):
        raise ValueError(f"{term}: smoothing {smoothing} must be finite and not negative.")
    if smoothing and compare == "means":
        raise ValueError(
            f'{term}: means need no smoothing: leave it out, or give compare="distributions".'
        )


def _residuals(cells: Cells) -> Float[Array, " cells"]:
    """Numbers, half the sum of whose squares is the variance between groups."""
    root = jnp.sqrt(2 * cells.share)[..., None]
    return (root * cells.deviations()).reshape(-1)


def energies(cells: Cells, smoothing: float) -> Float[Array, "columns classes groups entries"]:
    """The energy distance of the numbers in each cell from those in its class."""
    size = cells.counts[0].size

    def of_column(members: Array, counts: Array, numbers: Array) -> Array:
        is_in = members[None] == jnp.arange(size)[:, None]
        is_in = is_in.reshape(*counts.shape, -1).astype(numbers.dtype)
        own = is_in / jnp.maximum(counts, 1.0)[..., None]
        of_class = jnp.sum(is_in, axis=1, keepdims=True)
        of_class = of_class / jnp.maximum(jnp.sum(of_class, axis=-1, keepdims=True), 1.0)
        away = jnp.where(counts[..., None] > 0, own - of_class, 0.0)
        each = jax.vmap(_energy, in_axes=(None, 0, None))  # the cells
        each = jax.vmap(each, in_axes=(1, None, None), out_axes=-1)  # the entries
        return each(numbers, away.reshape(size, -1), smoothing).reshape(*counts.shape, -1)

    return jax.vmap(of_column, in_axes=(1, 0, 1))(cells.members, cells.counts, cells.numbers)


def _energy(x: Float[Array, " rows"], away: Float[Array, " rows"], smoothing: float) -> Array:
    r"""`2 \int H^2`, where `H` is the difference of two cumulative distributions of `x`.

    `away` is the weight of each row in the one less that in the other, zero in sum. With smoothing
    both distributions are first convolved with an exponential one, which makes of every `|d|` in
    the energy distance `|d| + s exp(-|d| / s)`. Between two neighbours `H = A - B exp(-u / s)`, and
    the integral over each gap is a sum of three terms, none of which cancels.
    """
    order = jnp.argsort(jax.lax.stop_gradient(x))
    x, away = x[order], away[order]
    gap = jnp.diff(x)
    below = jnp.cumsum(away)
    if not smoothing:
        return 2 * jnp.sum(below[:-1] ** 2 * gap)
    gap = gap / smoothing
    decay = jnp.concatenate([jnp.ones_like(x[:1]), jnp.exp(-gap)])
    _, late = jax.lax.associative_scan(_carried, (decay, away))
    start, last = (below - late)[:-1], late[-1]
    late, risen, excess = late[:-1], -jnp.expm1(-gap), exp_excess(-gap)
    each = start**2 * gap + 2 * start * late * excess + late**2 * (excess - 0.5 * risen**2)
    return 2 * smoothing * (jnp.sum(each) + 0.5 * last**2)


def _carried(before: tuple[Array, Array], after: tuple[Array, Array]) -> tuple[Array, Array]:
    """Two stretches of a sum that decays on its way, as one."""
    return before[0] * after[0], before[1] * after[0] + after[1]


def _compared(
    term: AbstractParity, predictor: Predictor, data: AbstractData
) -> tuple[Array, Array]:
    """What is compared, and the class of each row."""
    distribution, _ = predicted_rows(resolve(predictor), data)
    return term._numbers(distribution), term.classes(distribution, data).members


@eqx.filter_jit
def _finite(term: AbstractParity, predictor: Predictor, data: AbstractData) -> Array:
    return jnp.isfinite(_compared(term, predictor, data)[0])


def _check_numbers(numbers: Any, members: Any, term: str) -> None:
    rows, columns = members.shape
    wanted = (rows,) if columns == 1 else (rows, columns)
    if numbers.shape[: len(wanted)] != wanted or not jnp.issubdtype(numbers.dtype, jnp.floating):
        raise ValueError(
            f"{term}: what is to be compared is {numbers.dtype} of shape {numbers.shape}: it must "
            f"be floating, a number or an array for each outcome, shape {wanted} or "
            f"({', '.join(map(str, wanted))}, ...)."
        )


def _check_finite(finite: np.ndarray, term: str) -> None:
    rows = np.flatnonzero(~finite.reshape(len(finite), -1).all(axis=1))
    if rows.size:
        raise ValueError(
            f"{term}: what is compared is not finite in row {int(rows[0])} at the start: start "
            "elsewhere, or, if the distribution has no mean, as Cauchy's, say by of=... which "
            "number shall be the same, for instance of=lambda distribution: distribution.loc."
        )
