"""Small triangular systems, solved to the last digit of a float however their rows depend.

What rounding takes from one unknown, the next one multiplies by an entry over the diagonal.
So the unknowns are held as sums of two floats.
"""

from collections.abc import Sequence

from ._compensated import Pair, difference, product, quotient

Rows = Sequence[Sequence[Pair]]  # of a lower triangle, up to the diagonal


def solve_lower(rows: Rows, right: Sequence[Pair]) -> list[Pair]:
    """`z` with `L z = r`."""
    found: list[Pair] = []
    for row, rest in zip(rows, right, strict=True):
        for entry, known in zip(row, found, strict=False):
            rest = difference(rest, product(entry, known))
        found.append(quotient(rest, row[-1]))
    return found


def solve_transposed(rows: Rows, right: Sequence[Pair]) -> list[Pair]:
    """`w` with `L^T w = z`."""
    found = list(right)
    for i in reversed(range(len(rows))):
        found[i] = quotient(found[i], rows[i][i])
        for j in range(i):
            found[j] = difference(found[j], product(rows[i][j], found[i]))
    return found
