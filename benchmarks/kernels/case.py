"""What a family is compared on: points, our kernel, the textbook formula, NumPyro's answer."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import jax
import mpmath
import numpy as np

Columns = tuple[np.ndarray, ...]
Kernel = Callable[..., jax.Array]


@dataclass(frozen=True)
class Case:
    """One family: its numbers are columns, one a parameter, then those of the measured values.

    `kernel`, `exact` and `peer` take all columns in this order, `exact` one number of each.

    **Attributes:**

    - `name`: of the family, as it is asked for on the command line.
    - `columns`: their names.
    - `draw`: points over the whole domain, from a generator, a number of points and a dtype.
    - `kernel`: ours, elementwise.
    - `exact`: the same for mpmath's numbers.
    - `peer`: NumPyro's, elementwise, as a user writes it; `None` where it has none.
    - `constant`: columns in which there is no derivative.
    - `relative`: columns in which a step of the reference's differences has to be a share of the
        number, since the formula ends at zero.
    """

    name: str
    columns: tuple[str, ...]
    draw: Callable[[np.random.Generator, int, np.dtype], tuple]
    kernel: Kernel
    exact: Callable[..., mpmath.mpf]
    peer: Kernel | None
    constant: frozenset[str] = frozenset()
    relative: frozenset[str] = frozenset()

    @property
    def moving(self) -> tuple[int, ...]:
        """The columns in which there is a derivative."""
        return tuple(i for i, name in enumerate(self.columns) if name not in self.constant)

    def points(self, count: int, dtype: np.dtype) -> Columns:
        """Columns of that many points, the same ones at every run."""
        rng = np.random.default_rng(zlib.crc32(f"{self.name} {dtype}".encode()))
        return tuple(np.asarray(column).astype(dtype) for column in self.draw(rng, count, dtype))
