"""The sets as they lie in a folder: one table each, and which rows each split trains and tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


class Part(NamedTuple):
    """Rows of a set: features `(rows, features)` and the target `(rows,)`."""

    inputs: Matrix
    target: Matrix

    def __len__(self) -> int:
        return len(self.target)

    def rows(self, which: NDArray[np.int_]) -> "Part":
        """Some of the rows."""
        return Part(self.inputs[which], self.target[which])


class Split(NamedTuple):
    """What may be learned from, and what is asked afterwards."""

    train: Part
    test: Part


class Set(NamedTuple):
    """A regression problem and its splits."""

    name: str
    splits: tuple[Split, ...]


class Units(NamedTuple):
    """In which a network sees a split: mean 0 and standard deviation 1 on what it learns from."""

    inputs_mean: Matrix
    inputs_scale: Matrix
    mean: float
    scale: float

    def of(self, part: Part) -> Part:
        """The rows in these units."""
        inputs = (part.inputs - self.inputs_mean) / self.inputs_scale
        return Part(inputs, (part.target - self.mean) / self.scale)


def units(part: Part) -> Units:
    """Those of some rows; a column that does not vary keeps its own."""
    scale = part.inputs.std(axis=0)
    spread = float(part.target.std())
    return Units(
        part.inputs.mean(axis=0),
        np.where(scale > 0, scale, 1.0),
        float(part.target.mean()),
        spread if spread > 0 else 1.0,
    )


def read(folder: Path, most: int | None = None) -> Iterator[Set]:
    """Every set under the folder, in the order of their names, with `most` splits at most.

    Raises `ValueError` where there is none, and says which file of a set is wrong.
    """
    found = sorted(path.parent for path in folder.glob("*/data/data.txt"))
    if not found:
        raise ValueError(
            f"{folder}: no set is there: each is a folder with data/data.txt, "
            "data/index_features.txt, data/index_target.txt and data/index_train_0.txt, ..."
        )
    for data in found:
        yield _set(data, most)


def _set(data: Path, most: int | None) -> Set:
    table = np.loadtxt(data / "data.txt", ndmin=2)
    inputs = table[:, _index(data / "index_features.txt", table.shape[1])]
    (target,) = _index(data / "index_target.txt", table.shape[1])
    everything = Part(inputs, table[:, target])
    count = len(list(data.glob("index_train_*.txt")))
    if count == 0:
        raise ValueError(f"{data}: there is no index_train_0.txt: no split to train on.")
    splits = []
    for k in range(count if most is None else min(count, most)):
        train = _index(data / f"index_train_{k}.txt", len(table))
        test = _index(data / f"index_test_{k}.txt", len(table))
        if np.intersect1d(train, test).size:
            raise ValueError(f"{data}: split {k} tests rows that it trains on.")
        splits.append(Split(everything.rows(train), everything.rows(test)))
    return Set(data.parent.name, tuple(splits))


def _index(file: Path, below: int) -> NDArray[np.int_]:
    if not file.is_file():
        raise ValueError(f"{file}: this file of the set is missing.")
    found = np.loadtxt(file, ndmin=1).astype(int)
    if found.size == 0 or found.min() < 0 or found.max() >= below:
        raise ValueError(f"{file}: numbers must be from 0 to {below - 1}.")
    return found
