"""Several experiments, fitted together."""

from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ._data import AbstractData
from ._experiment import Experiment
from ._padding import Bucket, bucket, bucketed


@final
class Experiments(AbstractData):
    """Several experiments, each with its own times, inputs, name and groups.

    A `Parameter` made with `by="experiment"` has a value for each of them, one made with `by=` a
    kind of groups a value for each group; all others are shared.

    **Arguments:**

    - `experiments`: two `Experiment`s or more, or one, with different names, the same observables,
        kinds of groups and dtype. Lengths may differ.
    - `name`: how messages call all of them.

    **Attributes:**

    - `values`, `observed`: those of all experiments, one after the other, shape
        `(rows, *observables)`.
    - `of_row`: the number of the experiment that each row belongs to.
    - `members`: who there is of each kind, `{"experiment": names, ...}`.
    - `membership`: for each kind, the number of each experiment's member.

    Raises `ValueError` where names repeat or observables, groups or dtypes differ.
    """

    values: Float[Array, "rows *observables"]
    observed: Bool[Array, "rows *observables"]
    of_row: Int[Array, " rows"]
    membership: dict[str, Int[Array, " experiments"]]
    buckets: tuple[Bucket, ...]
    order: Int[Array, " rows"]
    name: str = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    lengths: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    observables: tuple[str, ...] = eqx.field(static=True)
    groups: tuple[tuple[str, tuple[str, ...]], ...] = eqx.field(static=True)

    def __init__(self, experiments: Sequence[Experiment], *, name: str = "experiments"):
        each = list(experiments)
        _check_alike(each, name)
        self.names = tuple(one.name for one in each)
        self.name = name
        self.observables = each[0].observables
        self.values = jnp.concatenate([one.values for one in each])
        self.observed = jnp.concatenate([one.observed for one in each])
        lengths = [one.times.size for one in each]
        self.of_row = jnp.asarray(np.repeat(np.arange(len(each)), lengths))
        kinds = {kind: [one.members[kind][0] for one in each] for kind in each[0].members}
        groups, membership = {}, {}
        for kind, who in kinds.items():
            # Experiments keep their order, groups are sorted.
            found = self.names if kind == "experiment" else tuple(sorted(set(who)))
            groups[kind] = found
            membership[kind] = jnp.asarray([found.index(one) for one in who])
        self.groups = tuple(groups.items())
        self.membership = membership
        which = bucketed(each)
        self.buckets = tuple(bucket(each, members) for members in which)
        self.lengths = tuple(tuple(lengths[i] for i in members) for members in which)
        self.order = jnp.asarray(_order(which, lengths))

    @property
    def members(self) -> dict[str, tuple[str, ...]]:
        """Who there is of each kind: all experiments, and the groups of each kind of groups."""
        return dict(self.groups)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """There are none that hold for all: a model is called for each experiment."""
        raise ValueError(
            f"{self.name}: several experiments have no one argument: use predictor.predict(data), "
            "or one of them, data[name]."
        )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, name: str) -> Experiment:
        """One experiment by its name, as it was."""
        if name not in self.names:
            raise KeyError(
                f"{self.name}: no experiment is called {name!r}; there are "
                f"{', '.join(map(repr, self.names[:8]))}{', ...' if len(self) > 8 else ''}."
            )
        return self.experiments[self.names.index(name)]

    @property
    def experiments(self) -> tuple[Experiment, ...]:
        """All of them, as they were."""
        found: dict[int, Experiment] = {}
        for part in self.buckets:
            for place, number in enumerate(np.asarray(part.which).tolist()):
                found[number] = self._taken(part, place, number)
        return tuple(found[i] for i in range(len(self)))

    @property
    def unpadded(self) -> tuple[Bucket, ...]:
        """The same experiments in buckets of equal lengths; traceable."""
        found = []
        for part, lengths in zip(self.buckets, self.lengths, strict=True):
            for length in dict.fromkeys(lengths):
                found.append(part.some(np.flatnonzero(np.equal(lengths, length)), length))
        return tuple(found)

    def _taken(self, part: Bucket, place: int, number: int) -> Experiment:
        rows = np.asarray(self.of_row) == number
        values = np.where(np.asarray(self.observed)[rows], np.asarray(self.values)[rows], np.nan)
        times, inputs = part.one(place, int(rows.sum()))
        groups = {
            kind: who[int(self.membership[kind][number])]
            for kind, who in self.groups
            if kind != "experiment"
        }
        return Experiment(
            times,
            values,
            inputs,
            name=self.names[number],
            observables=self.observables,
            groups=groups,
            dtype=times.dtype,
        )


def _order(which: list[list[int]], lengths: list[int]) -> np.ndarray:
    """Where each row's prediction stands among those of all buckets, padded and flattened."""
    places: dict[int, np.ndarray] = {}
    offset = 0
    for members in which:
        longest = max(lengths[i] for i in members)
        for i in members:
            places[i] = offset + np.arange(lengths[i])
            offset += longest
    return np.concatenate([places[i] for i in range(len(lengths))])


def _check_alike(each: list[Any], name: str) -> None:
    if not each:
        raise ValueError(f"{name}: there are no experiments: give one or more.")
    for one in each:
        if not isinstance(one, Experiment):
            raise ValueError(f"{name}: {type(one).__name__} is no Experiment.")
    first = each[0]
    seen: set[str] = set()
    for one in each:
        if one.name in seen:
            raise ValueError(
                f"{name}: two experiments are called {one.name!r}: give each a name of its own, "
                "Experiment(..., name=...)."
            )
        seen.add(one.name)
        if one.observables != first.observables or one.values.ndim != first.values.ndim:
            raise ValueError(
                f"{name}: {one.name} measures {one.observables}, {first.name} measures "
                f"{first.observables}: give all the same columns, NaN where not measured."
            )
        if one.members.keys() != first.members.keys():
            raise ValueError(
                f"{name}: {one.name} is in groups of {sorted(one.members)[1:]}, {first.name} of "
                f"{sorted(first.members)[1:]}: give all experiments the same kinds of groups."
            )
        if one.values.dtype != first.values.dtype:
            raise ValueError(
                f"{name}: {one.name} is {one.values.dtype}, {first.name} is "
                f"{first.values.dtype}: give all the same dtype."
            )
