"""Experiments out of one long table."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
from jaxtyping import DTypeLike

from ..inputs import Doses, Series, Steps
from ._experiment import Experiment
from ._experiments import Experiments

Names = str | Sequence[str]


class _Columns(NamedTuple):
    """What each column of the table is."""

    experiment: str
    time: str
    values: tuple[str, ...]
    observable: str | None
    groups: tuple[str, ...]
    constants: tuple[str, ...]
    series: tuple[str, ...]
    steps: tuple[str, ...]
    dose: str | None
    duration: str | None
    into: str | None


def experiments(
    frame: Any,
    *,
    experiment: str,
    time: str,
    values: Names,
    observable: str | None = None,
    groups: Names = (),
    constants: Names = (),
    series: Names = (),
    steps: Names = (),
    dose: str | None = None,
    duration: str | None = None,
    into: str | None = None,
    name: str = "experiments",
    dtype: DTypeLike = np.float64,
) -> Experiments:
    """The experiments in a long table, a row a time; any kind of table that narwhals reads.

    **Arguments**, all of them names of columns but `frame`, `name` and `dtype`:

    - `experiment`: which experiment a row belongs to; they keep the order of their first rows.
    - `time`: when; rows may come in any order.
    - `values`: what was measured, one column an observable; empty or NaN where it was not.
    - `observable`: in a table with one column of values, what each of them is a value of.
    - `groups`: what an experiment is one of, for parameters with `by=` that name.
    - `constants`: numbers that are the same in all rows of an experiment, `inputs[name]`.
    - `series`, `steps`: inputs that were recorded along, as a `likelihax.inputs.Series` or `Steps`
        under `inputs[name]`; rows where they are empty are left out.
    - `dose`: amounts; rows where one is given, and not 0, are doses and no measurements. With
        `duration` and `into` they make `inputs["doses"]`, see `likelihax.inputs.Doses`.
    - `name`: how messages call all of them.

    Raises `ValueError` for columns that are not there, a group or constant that changes within an
    experiment, two measurements of the same at one time, and an experiment without measurements.
    """
    table = nw.from_native(frame, eager_only=True)
    columns = _Columns(
        experiment, time, _tuple(values), observable, _tuple(groups), _tuple(constants),
        _tuple(series), _tuple(steps), dose, duration, into,
    )  # fmt: skip
    _check_columns(table.columns, columns, name)
    rows = {each: table[each].to_numpy() for each in _used(columns)}
    which = np.asarray([str(one) for one in rows[experiment]])
    kinds = _observables(rows, columns)
    found = []
    for one in dict.fromkeys(which.tolist()):
        own = {each: column[which == one] for each, column in rows.items()}
        found.append(_experiment(one, own, columns, kinds, dtype))
    return Experiments(found, name=name)


def _experiment(
    name: str, rows: dict[str, Any], columns: _Columns, kinds: tuple[str, ...], dtype: DTypeLike
) -> Experiment:
    rows = _sorted(rows, columns, name)
    is_dose = np.zeros(len(rows[columns.time]), bool)
    if columns.dose is not None:
        amounts = _numbers(rows[columns.dose], f"{name}: {columns.dose}")
        is_dose = np.isfinite(amounts) & (amounts != 0)
    times, values = _measurements(rows, ~is_dose, columns, kinds, name)
    inputs = _inputs(rows, is_dose, columns, name, dtype)
    return Experiment(
        times.astype(dtype),
        (values if len(kinds) > 1 else values[:, 0]).astype(dtype),
        inputs or None,
        name=name,
        observables=kinds,
        groups={kind: str(_constant(rows[kind], kind, name)) for kind in columns.groups},
        dtype=dtype,
    )


def _measurements(
    rows: dict[str, Any], measured: Any, columns: _Columns, kinds: tuple[str, ...], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """The times at which anything was measured, and the values, one column an observable."""
    times = _numbers(rows[columns.time], f"{name}: {columns.time}")
    each = [_numbers(rows[column], f"{name}: {column}") for column in columns.values]
    if columns.observable is None:
        known = measured & np.isfinite(np.column_stack(each)).any(axis=1)
        found = np.column_stack(each)[known]
        repeated = np.flatnonzero(np.diff(times[known]) == 0)
        if repeated.size:
            raise ValueError(_twice(name, float(times[known][repeated[0]]), columns.values[0]))
        when = times[known]
    else:
        what = np.asarray([str(one) for one in rows[columns.observable]])
        known = measured & np.isfinite(each[0])
        when = np.unique(times[known])
        found = np.full((when.size, len(kinds)), np.nan)
        for t, kind, value in zip(times[known], what[known], each[0][known], strict=True):
            place = np.searchsorted(when, t), kinds.index(kind)
            if np.isfinite(found[place]):
                raise ValueError(_twice(name, float(t), kind))
            found[place] = value
    if not when.size:
        raise ValueError(f"{name}: nothing was measured in this experiment: leave it out.")
    return when, found


def _inputs(
    rows: dict[str, Any], is_dose: Any, columns: _Columns, name: str, dtype: DTypeLike
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    times = _numbers(rows[columns.time], f"{name}: {columns.time}").astype(dtype)
    for each in columns.constants:
        found[each] = np.asarray(_constant(rows[each], each, name)).astype(dtype)
    for kind, names in ((Series, columns.series), (Steps, columns.steps)):
        for each in names:
            recorded = _numbers(rows[each], f"{name}: {each}").astype(dtype)
            when, first = np.unique(times[np.isfinite(recorded)], return_index=True)
            found[each] = kind(when, recorded[np.isfinite(recorded)][first])
    if columns.dose is not None:
        found["doses"] = _doses(rows, is_dose, times, columns, name, dtype)
    return found


def _doses(
    rows: dict[str, Any], is_dose: Any, times: Any, columns: _Columns, name: str, dtype: DTypeLike
) -> Doses:
    assert columns.dose is not None
    if not is_dose.any():  # one of nothing, so that all experiments have the same inputs
        return Doses(times[:1], np.zeros(1, times.dtype))
    taken = lambda column: _numbers(rows[column], f"{name}: {column}")[is_dose]
    return Doses(
        times[is_dose],
        taken(columns.dose).astype(dtype),
        durations=0.0 if columns.duration is None else taken(columns.duration).astype(dtype),
        into=0 if columns.into is None else taken(columns.into).astype(int),
    )


def _sorted(rows: dict[str, Any], columns: _Columns, name: str) -> dict[str, Any]:
    order = np.argsort(_numbers(rows[columns.time], f"{name}: {columns.time}"), kind="stable")
    return {each: column[order] for each, column in rows.items()}


def _numbers(column: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(column, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}: not a column of numbers ({error}).") from error


def _constant(column: Any, what: str, name: str) -> Any:
    found = list(dict.fromkeys(column.tolist()))
    if len(found) != 1:
        raise ValueError(
            f"{name}: {what!r} is {found[0]!r} in one row and {found[1]!r} in another: it must be "
            "the same in all rows of an experiment; what changes is a series."
        )
    return found[0]


def _observables(rows: dict[str, Any], columns: _Columns) -> tuple[str, ...]:
    if columns.observable is None:
        return columns.values
    return tuple(sorted({str(one) for one in rows[columns.observable]}))


def _used(columns: _Columns) -> list[str]:
    found: list[str] = []
    for each in columns:
        found.extend([each] if isinstance(each, str) else each or ())
    return list(dict.fromkeys(found))


def _check_columns(there: Iterable[str], columns: _Columns, name: str) -> None:
    known = list(there)
    missing = [each for each in _used(columns) if each not in known]
    if missing:
        raise ValueError(
            f"{name}: the table has no column {missing[0]!r}; it has {', '.join(map(repr, known))}."
        )
    if columns.observable is not None and len(columns.values) != 1:
        raise ValueError(
            f"{name}: with observable={columns.observable!r} there is one column of values, not "
            f"{len(columns.values)}."
        )
    if columns.dose is None and (columns.duration or columns.into):
        raise ValueError(f"{name}: durations and entries belong to doses: say dose=...")


def _twice(name: str, t: float, what: str) -> str:
    return (
        f"{name}: {what!r} was measured twice at t = {t:g}: average the values, or make another "
        "observable of them."
    )


def _tuple(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
