"""Sets of measured rows with their splits, read from folders in the shared format.

That of Y. Gal and Z. Ghahramani (2016, "Dropout as a Bayesian approximation", ICML 33), after J. M.
Hernandez-Lobato and R. Adams (2015): `NAME/data/` with `data.txt`, which columns are features and
which one the target, and the rows of each split.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Of the hidden layer, where a folder does not say it.
WIDTH = 50
# Training rows from which on single precision, and one part held out in place of folds, will do.
MANY = 5000
# Directions of the features that vary less than this, in units of the widest, are rounding errors.
_FLAT = 1e-7

Matrix = NDArray[np.floating]
Rows = NDArray[np.int64]


class Set(NamedTuple):
    """A table, and the rows that each split trains on and is tested on.

    `rounding` is the least difference between two values of the target, over their spread: the
    same for all splits, as it belongs to how values were recorded.
    """

    name: str
    features: Matrix
    target: Matrix
    splits: tuple[tuple[Rows, Rows], ...]
    width: int
    rounding: float


class Split(NamedTuple):
    """One split in units in which its numbers are of the order of one.

    Features are whitened, a linear map in front of the first layer: then directions in which
    training rows hardly vary are as long as others. The test target stays in its own unit.
    """

    features: Matrix
    target: Matrix
    test_features: Matrix
    test_target: Matrix
    centre: float
    unit: float


def read(folder: Path) -> list[Set]:
    """Every set in a folder, by name. Raises `SystemExit` where there is none, or one is wrong."""
    if not folder.is_dir():
        raise SystemExit(f"{folder} is no folder: give one with a folder for each set.")
    found = [_read(place) for place in sorted(folder.iterdir()) if (place / "data").is_dir()]
    if not found:
        raise SystemExit(f"{folder}: no set there: a set is a folder with data/data.txt in it.")
    return found


def split(of: Set, number: int) -> Split:
    """A split, in single precision where rows are many: that halves the time."""
    train, test = of.splits[number]
    y, features = of.target[train], of.features
    centre, unit = float(y.mean()), float(y.std())
    whiten = _whitening(features[train])
    dtype = np.float32 if len(train) > MANY else np.float64
    return Split(
        whiten(features[train]).astype(dtype),
        ((y - centre) / unit).astype(dtype),
        whiten(features[test]).astype(dtype),
        of.target[test],
        centre,
        unit,
    )


def _whitening(rows: Matrix) -> Callable[[Matrix], Matrix]:
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    varies = scale > 0
    scaled = lambda x: (x[:, varies] - mean[varies]) / scale[varies]
    variances, directions = np.linalg.eigh(np.cov(scaled(rows).T).reshape(varies.sum(), -1))
    kept = variances > _FLAT * variances.max()
    turn = directions[:, kept] / np.sqrt(variances[kept])
    return lambda x: scaled(x) @ turn


def _read(place: Path) -> Set:
    data = place / "data"
    table = np.atleast_2d(_numbers(data / "data.txt"))
    columns = _indices(data / "index_features.txt", table.shape[1], "column")
    (target,) = _one(_indices(data / "index_target.txt", table.shape[1], "column"), data)
    splits = []
    while (data / f"index_train_{len(splits)}.txt").exists():
        pair = tuple(
            _indices(data / f"index_{part}_{len(splits)}.txt", table.shape[0], "row")
            for part in ("train", "test")
        )
        _check(pair, table[:, target], data, len(splits))
        splits.append(pair)
    if not splits:
        raise SystemExit(f"{data}: no index_train_0.txt: which rows are trained on?")
    given = data / "n_hidden.txt"
    width = int(_numbers(given)) if given.exists() else WIDTH
    y = table[:, target]
    rounding = float(np.min(np.diff(np.unique(y))) / y.std())
    return Set(place.name, table[:, columns], y, tuple(splits), width, rounding)


def _one(found: Rows, data: Path) -> Rows:
    if found.size != 1:
        raise SystemExit(f"{data / 'index_target.txt'}: one target is wanted, got {found.size}.")
    return found


def _check(pair: tuple[Rows, ...], target: Matrix, data: Path, number: int) -> None:
    train, test = pair
    shared = np.intersect1d(train, test)
    if shared.size:
        raise SystemExit(
            f"{data}: split {number}: row {shared[0]} is both trained on and tested on."
        )
    if np.ptp(target[train]) == 0:
        raise SystemExit(f"{data}: split {number}: the target is {target[train][0]} everywhere.")


def _numbers(path: Path) -> Matrix:
    try:
        found = np.loadtxt(path)
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path}: {error}") from error
    if not np.all(np.isfinite(found)):
        raise SystemExit(f"{path}: some numbers are not finite: take their rows out.")
    return found


def _indices(path: Path, count: int, what: str) -> Rows:
    found = np.atleast_1d(_numbers(path))
    whole = np.asarray(found, int)
    if np.any(whole != found) or whole.size == 0 or whole.min() < 0 or whole.max() >= count:
        raise SystemExit(f"{path}: numbers of {what}s must be whole, from 0 to {count - 1}.")
    return whole
