"""Value and partial derivatives of a kernel against mpmath, over a family's whole domain.

The reference is the textbook formula at so many digits that a difference over a tiny step is a
derivative to far more than thirty. What is counted is the smaller of relative and absolute
error, at each point; what is told is the worst.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import mpmath
import numpy as np

from benchmarks.kernels.case import Case, Columns, Kernel

BARS = {"float64": 1e-12, "float32": 1e-5}
COUNT = 2048
_DIGITS = 115
_STEP = 45  # digits: the difference's error is its second derivative times the step


@dataclass(frozen=True)
class Worst:
    """The largest error of a quantity, and the point it was found at.

    Where the bar is missed, `rounding` says by how much half of the last digit of one of the
    inputs moves the exact number at that point, in the same measure.
    """

    error: float
    point: str
    rounding: float | None = None


@dataclass(frozen=True)
class Quantity:
    """The value or a partial derivative: our worst error, and NumPyro's (`None`: it has none)."""

    name: str
    ours: Worst
    peer: Worst | None


@dataclass(frozen=True)
class Table:
    """All quantities of one family in one dtype."""

    case: str
    dtype: str
    count: int
    quantities: tuple[Quantity, ...]

    @property
    def bar(self) -> float:
        """The largest error allowed."""
        return BARS[self.dtype]

    @property
    def met(self) -> bool:
        """Whether no error is larger; one that is not a number is."""
        return all(quantity.ours.error <= self.bar for quantity in self.quantities)


def check(case: Case, dtype: str, count: int = COUNT) -> Table:
    """Compares at that many points."""
    points = case.points(count, np.dtype(dtype))
    exact = reference(case, points)
    ours = computed(case, case.kernel, points)
    peer = None if case.peer is None else computed(case, case.peer, points)
    found = []
    for i, name in enumerate(("value", *(case.columns[i] for i in case.moving))):
        theirs = None if peer is None else _worst(case, points, peer[i], exact[i])[0]
        own, at = _worst(case, points, ours[i], exact[i])
        if not own.error <= BARS[dtype]:
            own = replace(own, rounding=_rounding(case, points, at, i))
        found.append(Quantity(name, own, theirs))
    return Table(case.name, dtype, count, tuple(found))


def reference(case: Case, points: Columns) -> list[list[mpmath.mpf]]:
    """Value and partials at each point, to more digits than are needed."""
    rows = []
    with mpmath.workdps(_DIGITS):
        for numbers in zip(*(column.tolist() for column in points), strict=True):
            rows.append(_value_and_partials(case, [mpmath.mpf(number) for number in numbers]))
    return [list(column) for column in zip(*rows, strict=True)]


def _value_and_partials(case: Case, numbers: list[mpmath.mpf]) -> list[mpmath.mpf]:
    value = case.exact(*numbers)
    found = [value]
    for i in case.moving:
        step = mpmath.mpf(10) ** -_STEP
        if case.columns[i] in case.relative and numbers[i]:
            step *= abs(numbers[i])
        moved = [*numbers[:i], numbers[i] + step, *numbers[i + 1 :]]
        found.append((case.exact(*moved) - value) / step)
    return found


def computed(case: Case, kernel: Kernel, points: Columns) -> list[np.ndarray]:
    """Value and partials as JAX gives them, in the dtype of the points and no wider one."""

    def total(*columns: jax.Array) -> jax.Array:
        return kernel(*columns).sum()

    with (
        jax.enable_x64(points[0].dtype == np.float64),
        # NumPyro promotes and broadcasts as it likes.
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        columns = tuple(map(jnp.asarray, points))
        value = jax.jit(kernel)(*columns)
        partials = jax.jit(jax.grad(total, argnums=case.moving))(*columns)
        assert value.shape == columns[0].shape
        return [np.asarray(value), *map(np.asarray, partials)]


def errors(found: np.ndarray, exact: Sequence[mpmath.mpf]) -> np.ndarray:
    """The smaller of relative and absolute error; infinite for what is not finite."""
    each = []
    with mpmath.workdps(_DIGITS):
        for number, wanted in zip(found.tolist(), exact, strict=True):
            if not np.isfinite(number):
                each.append(np.inf)
                continue
            off = abs(mpmath.mpf(number) - wanted)
            each.append(float(off / max(1, abs(wanted))))
    return np.asarray(each)


def _worst(
    case: Case, points: Columns, found: np.ndarray, exact: Sequence[mpmath.mpf]
) -> tuple[Worst, int]:
    each = errors(found, exact)
    at = int(np.argmax(each))
    words = (f"{n}={column[at]:.9g}" for n, column in zip(case.columns, points, strict=True))
    return Worst(float(each[at]), ", ".join(words)), at


def _rounding(case: Case, points: Columns, at: int, quantity: int) -> float:
    """By how much the exact number moves with half of the last digit of an input."""
    with mpmath.workdps(_DIGITS):
        numbers = [mpmath.mpf(float(column[at])) for column in points]
        exact = _value_and_partials(case, numbers)[quantity]
        most = 0.0
        for i, column in enumerate(points):
            if column[at] == np.round(column[at]) and case.columns[i] in case.constant:
                continue  # a count or a class
            half = mpmath.mpf(float(np.spacing(column[at]))) / 2
            moved = [*numbers[:i], numbers[i] + half, *numbers[i + 1 :]]
            change = abs(_value_and_partials(case, moved)[quantity] - exact)
            most = max(most, float(change / max(1, abs(exact))))
    return most


# ------------------------------------------------------------------------------------ as text


def lines(table: Table) -> Iterator[str]:
    """A row, and below it a line for the value and each partial."""
    ours, peer = _summary([q.ours for q in table.quantities]), "none"
    theirs = [q.peer for q in table.quantities if q.peer is not None]
    if theirs:
        peer = _summary(theirs)
    verdict = "met" if table.met else "NOT MET"
    yield (
        f"{table.case:37} {table.dtype}  {table.count} points  {ours}  NumPyro {peer}  "
        f"bar {table.bar:g}: {verdict}"
    )
    for quantity in table.quantities:
        what = "value" if quantity.name == "value" else f"d / d {quantity.name}"
        other = "" if quantity.peer is None else f"{quantity.peer.error:8.1e}"
        missed = "" if quantity.ours.error <= table.bar else "  NOT MET"
        yield f"    {what:24} {quantity.ours.error:8.1e}  NumPyro {other:8}{missed}"
        yield f"        at {quantity.ours.point}"
        if quantity.ours.rounding is not None:
            yield f"        where half a last digit of an input makes {quantity.ours.rounding:.1e}"


def _summary(worst: Sequence[Worst]) -> str:
    value, *partials = (each.error for each in worst)
    return f"value {value:7.1e} partials {max(partials, default=0.0):7.1e}"
