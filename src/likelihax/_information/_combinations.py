"""Small linear algebra with whole numbers, to name what a flat direction leaves unchanged."""

from collections.abc import Sequence

import numpy as np

# What is smaller than this is none.
_NONE = 2e-3
_LARGEST = 6
_MULTIPLES = (1, 2, 3, 4)


def connected(moves: np.ndarray) -> list[np.ndarray]:
    """Rows that share directions of a subspace: the blocks of its reduced basis.

    `moves` is `(numbers, directions)`; the numbers' own units do not matter.
    """
    lengths = np.linalg.norm(moves, axis=1)
    basis = np.abs(reduced((moves / lengths[:, None]).T)) > _NONE
    groups: list[set[int]] = []
    for row in basis:
        own = set(np.flatnonzero(row).tolist())
        apart = [group for group in groups if not group & own]
        groups = [*apart, own.union(*(group for group in groups if group & own))]
    return [np.array(sorted(group)) for group in sorted(groups, key=min) if group]


def reduced(basis: np.ndarray) -> np.ndarray:
    """The reduced row echelon form of a basis, `(rank, numbers)`, pivots as large as can be."""
    rows = np.array(basis, dtype=float)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(float).tiny)
    pivots: list[int] = []
    for column in range(rows.shape[1]):
        at = len(pivots)
        if at == rows.shape[0]:
            break
        best = at + int(np.argmax(np.abs(rows[at:, column])))
        if abs(rows[best, column]) <= _NONE:
            continue
        rows[[at, best]] = rows[[best, at]]
        rows[at] /= rows[at, column]
        others = np.arange(rows.shape[0]) != at
        rows[others] -= np.outer(rows[others, column], rows[at])
        pivots.append(column)
    return rows[: len(pivots)]


def kernel_of(basis: np.ndarray) -> np.ndarray:
    """A basis of what is orthogonal to the rows of another one."""
    _, singular, right = np.linalg.svd(basis, full_matrices=True)
    rank = int(np.sum(singular > 1e-9 * np.max(singular, initial=1.0)))
    return right[rank:]


def whole_numbers(rows: np.ndarray, near: float) -> np.ndarray | None:
    """Each row times the smallest number that makes all of it whole and small, if one does."""
    found = []
    for row in rows:
        candidates = (multiple * row for multiple in _MULTIPLES)
        whole = next((each for each in candidates if _is_whole(each, near)), None)
        if whole is None:
            return None
        found.append(np.round(whole))
    return np.array(found) if found else None


def combined(names: Sequence[str], powers: np.ndarray, *, product: bool) -> str:
    """`a * b / c`, or `a + b - 2 c`, for the names with these whole coefficients."""
    balance = np.sum(np.sign(powers))
    if balance < 0 or (balance == 0 and powers[np.flatnonzero(powers)[0]] < 0):
        powers = -powers
    if product:
        above = " * ".join(_power(name, p) for name, p in zip(names, powers, strict=True) if p > 0)
        below = [_power(name, -p) for name, p in zip(names, powers, strict=True) if p < 0]
        return " / ".join([above or "1", *below])
    text = ""
    for name, coefficient in sorted(zip(names, powers, strict=True), key=lambda pair: -pair[1]):
        if coefficient:
            sign = " - " if coefficient < 0 else " + "
            size = "" if abs(coefficient) == 1 else f"{abs(coefficient):.0f} "
            text += f"{sign}{size}{name}"
    return text.removeprefix(" + ").strip()


def _power(name: str, power: float) -> str:
    return name if power == 1 else f"{name}^{power:.0f}"


def _is_whole(row: np.ndarray, near: float) -> bool:
    nearest = np.round(row)
    return bool(
        np.all(np.abs(row - nearest) <= near * np.maximum(1.0, np.abs(nearest)))
        and np.max(np.abs(nearest)) <= _LARGEST
    )
