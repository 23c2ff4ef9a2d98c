"""Where many fits may begin: one problem, and what of its arrays differs from start to start."""

import abc
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Bool

from .._compile import begin
from .._parameters import (
    are_inside,
    is_parameter,
    trainable_size,
    trainable_values,
    unit_scales,
    with_values,
)
from ..objectives import Unknowns
from ._draws import AbstractDraws, block_size, cube
from ._problem import Problem

# At most this many starts are drawn for each that is asked for.
_DRAWS_PER_START = 10


@dataclass(frozen=True, eq=False)
class Candidates:
    """Starts, as stacked arrays.

    - `problem`: the problem at the given predictor.
    - `places`: which of the problem's arrays differ from start to start, in their order.
    - `stacks`: these arrays, each with one more axis in front, of the starts.
    - `inside`: which starts are within their constraints.
    - `scales`: by what to multiply the vector of each to have it in the units of `problem`.
    """

    problem: Problem
    places: tuple[int, ...]
    stacks: tuple[np.ndarray, ...]
    inside: np.ndarray
    scales: np.ndarray

    @property
    def count(self) -> int:
        """How many starts there are."""
        return len(self.inside)

    def take(self, which: Sequence[int]) -> "Candidates":
        """Some of them, in the order asked for."""
        where = np.asarray(which, int)
        stacks = tuple(stack[where] for stack in self.stacks)
        return replace(self, stacks=stacks, inside=self.inside[where], scales=self.scales[where])

    def join(self, more: "Candidates") -> "Candidates":
        """These, and then more of the same problem."""
        pairs = zip(self.stacks, more.stacks, strict=True)
        return replace(
            self,
            stacks=tuple(np.concatenate(pair) for pair in pairs),
            inside=np.concatenate([self.inside, more.inside]),
            scales=np.concatenate([self.scales, more.scales]),
        )

    def arrays(self, which: int) -> list[Any]:
        """What of one start differs, in the order of `places`."""
        return [stack[which, ...] for stack in self.stacks]

    def problem_of(self, which: int) -> Problem:
        """The problem at one start."""
        return put(self.problem, self.places, [jnp.asarray(a) for a in self.arrays(which)])


def put(problem: Problem, places: tuple[int, ...], arrays: Sequence[Any]) -> Problem:
    """The problem with some of its arrays replaced; traceable."""
    leaves, treedef = jtu.tree_flatten(problem)
    where = [i for i, leaf in enumerate(leaves) if eqx.is_array(leaf)]
    for place, array in zip(places, arrays, strict=True):
        leaves[where[place]] = array
    changed: Problem = jtu.tree_unflatten(treedef, leaves)
    return changed


def strong(problem: Problem) -> Problem:
    """The problem with no weakly typed array among those that are fitted, as starts have none."""
    values = [jnp.asarray(np.asarray(value)) for value in trainable_values(problem.unknowns)]
    return replace(problem, unknowns=with_values(problem.unknowns, values))


class AbstractSource(abc.ABC):
    """Where candidates come from.

    **Attributes:**

    - `num`: how many starts are wanted.
    - `limit`: how many candidates there are at most.
    - `compile_seconds`: how long compiling what they need has held up the caller.
    """

    num: int
    limit: int
    compile_seconds: float

    @abc.abstractmethod
    def begin(self) -> None:
        """Begins what can be done while a fit is compiled."""

    @abc.abstractmethod
    def reach(self, count: int) -> Candidates:
        """`count` of them or more, those that were known before first."""


@final
class Drawn(AbstractSource):
    """Candidates from points of the unit cube, drawn block by block as they are needed."""

    def __init__(self, draws: AbstractDraws, problem: Problem, num: int, key: Array):
        self.num = num
        self.limit = _DRAWS_PER_START * num
        self.compile_seconds = 0.0
        self._draws = draws
        self._problem = problem
        self._places = _places(problem)
        self._known: Candidates | None = None
        self._size = block_size(num)
        self._dimensions = draws.num_dimensions(problem.unknowns)
        seed = np.ravel(np.asarray(jax.random.key_data(key))).tolist()
        self._points = cube(self._dimensions, seed, self._size)
        self._first: Future[np.ndarray] | None = None

    def begin(self) -> None:
        """See `AbstractSource`; the first points are drawn, and SciPy imported, on a thread."""
        shape = (self._size, self._dimensions)
        like = jnp.asarray(np.zeros(shape))
        self._finish = begin(_values, self._draws, self._problem.unknowns, like)
        with_own_thread = ThreadPoolExecutor(max_workers=1)
        self._first = with_own_thread.submit(next, self._points)
        with_own_thread.shutdown(wait=False)

    def reach(self, count: int) -> Candidates:
        """See `AbstractSource`."""
        if self._known is None:
            if self._first is None:
                self.begin()
            assert self._first is not None
            self._place, self._arrays, seconds = self._finish()
            self.compile_seconds += seconds
            self._known = self._block(self._first.result())
        while self._known.count < count:
            self._known = self._known.join(self._block(next(self._points)))
        return self._known

    def _block(self, points: np.ndarray) -> Candidates:
        # The points come last among the arguments.
        values, inside = jax.device_get(self._place([*self._arrays[:-1], jnp.asarray(points)]))
        scales = np.ones((len(inside), trainable_size(self._problem.unknowns)))
        return Candidates(self._problem, self._places, tuple(values), inside, scales)


@final
class Listed(AbstractSource):
    """Candidates that were given one by one, as problems."""

    def __init__(self, problem: Problem, starts: Sequence[Problem]):
        self.num = self.limit = len(starts)
        self.compile_seconds = 0.0
        self._known = given(problem, starts)

    def begin(self) -> None:
        """They are there."""

    def reach(self, count: int) -> Candidates:
        """All of them."""
        return self._known


def _values(draws: AbstractDraws, unknowns: Unknowns, points: Array) -> tuple[list[Array], Array]:
    def one(point: Array) -> tuple[list[Array], Bool[Array, ""]]:
        values = draws.values(unknowns, point)
        return values, are_inside(with_values(unknowns, values))

    return jax.vmap(one)(points)


class _Mark:
    """Stands for an array that is fitted, where its place is looked for."""


def _places(problem: Problem) -> tuple[int, ...]:
    """Which of the problem's arrays hold the trainable values, in the order of the labels."""
    marks = [_Mark() for _ in trainable_values(problem.unknowns)]
    return _marked(replace(problem, unknowns=with_values(problem.unknowns, marks)))


def _marked(marked: Problem) -> tuple[int, ...]:
    is_mark = lambda leaf: isinstance(leaf, _Mark)
    leaves = [leaf for leaf in jtu.tree_leaves(marked) if is_mark(leaf) or eqx.is_array(leaf)]
    return tuple(i for i, leaf in enumerate(leaves) if is_mark(leaf))


def given(problem: Problem, starts: Sequence[Problem]) -> Candidates:
    """Candidates from problems that differ in what is fitted, and its scale, alone.

    Raises `ValueError` where they differ in anything else.
    """
    first = _arrays(problem)
    found = []
    for i, start in enumerate(starts):
        _check_alike(problem, start, i)
        found.append(_arrays(start))
    columns = [np.stack([np.asarray(row[k]) for row in found]) for k in range(len(first))]
    theirs = _in_trainable(problem)
    differing = [
        k for k, column in enumerate(columns) if np.any(_differ(column, np.asarray(first[k])))
    ]
    for k in differing:
        if k not in theirs:
            rows = _differ(columns[k], np.asarray(first[k])).reshape(len(found), -1)
            which = int(np.flatnonzero(np.any(rows, axis=1))[0])
            raise ValueError(
                f"multistart: starts[{which}] differs from the given predictor in a number that is "
                "not fitted: the starts must be the same but for the values that are."
            )
    ours = np.asarray(unit_scales(problem.unknowns))
    scales = np.stack([np.asarray(unit_scales(start.unknowns)) / ours for start in starts])
    inside = np.ones(len(found), bool)
    return Candidates(
        problem, tuple(differing), tuple(columns[k] for k in differing), inside, scales
    )


def _arrays(problem: Problem) -> list[Array]:
    return [leaf for leaf in jtu.tree_leaves(problem) if eqx.is_array(leaf)]


def _differ(column: np.ndarray, first: np.ndarray) -> np.ndarray:
    # A NaN may stand for what is missing.
    both_nan = (column != column) & (first != first)[None]
    return (column != first[None]) & ~both_nan


def _in_trainable(problem: Problem) -> set[int]:
    """The arrays in trainable leaves: values, scales, and bounds that are arrays."""

    def mark(leaf: Any) -> Any:
        trainable = leaf.trainable if is_parameter(leaf) else eqx.is_inexact_array(leaf)
        if not trainable:
            return leaf
        return jtu.tree_map(lambda part: _Mark() if eqx.is_array(part) else part, leaf)

    unknowns = jtu.tree_map(mark, problem.unknowns, is_leaf=is_parameter)
    return set(_marked(replace(problem, unknowns=unknowns)))


def _check_alike(problem: Problem, start: Problem, which: int) -> None:
    ours, *our_tree = jtu.tree_flatten(problem)
    theirs, *their_tree = jtu.tree_flatten(start)
    same = our_tree == their_tree and all(
        a.shape == b.shape and a.dtype == b.dtype
        if eqx.is_array(a) and eqx.is_array(b)
        else type(a) is type(b) and a == b
        for a, b in zip(ours, theirs, strict=True)
    )
    if not same:
        raise ValueError(
            f"multistart: starts[{which}] is built differently from the given predictor: they must "
            "be the same but for the values that are fitted."
        )
