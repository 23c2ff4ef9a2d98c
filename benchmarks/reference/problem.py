"""A problem's file: its fields, its data, its formula; every mistake in it is a `ValueError`."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from benchmarks.reference.formula import evaluate, names_in, parse


@dataclass(frozen=True)
class Problem:
    """A regression: `values = expression(columns, parameters) + noise`."""

    expression: sympy.Expr
    parameters: tuple[str, ...]
    columns: Mapping[str, NDArray[np.float64]]  # predictors, each of shape (observations,)
    values: NDArray[np.float64]  # shape (observations,)

    @property
    def dof(self) -> int:
        """Residual degrees of freedom."""
        return len(self.values) - len(self.parameters)


def regression(
    fields: Mapping[str, Any],
    data: Mapping[str, Any],
    parameters: Iterable[str],
    model: str,
) -> Problem:
    """The problem that a file states by its fields, its data and a formula.

    The response is the field `response`, itself a formula such as `log(y)`, or else `y`.
    """
    parameters = tuple(parameters)
    response = fields.get("response") or "y"
    used = [name for name in names_in(model) + names_in(response) if name not in parameters]
    columns = _columns({name: data[name] for name in used if name in data})
    values = np.asarray(evaluate(parse(response, columns), columns), dtype=np.float64)
    if values.ndim != 1 or not np.all(np.isfinite(values)):
        raise ValueError(f"the response {response!r} is not a column of finite numbers")
    if (stated := fields.get("n")) is not None and stated != values.size:
        raise ValueError(f"the file says n = {stated}, but the response has {values.size} values")
    expression = parse(model, [*columns, *parameters])
    symbols = {symbol.name for symbol in expression.free_symbols}
    if missing := [name for name in parameters if name not in symbols]:
        raise ValueError(f"the parameters {missing} do not occur in the formula {model!r}")
    predictors = {name: column for name, column in columns.items() if name in symbols}
    problem = Problem(expression, parameters, predictors, values)
    if problem.dof < 1:
        raise ValueError(f"{values.size} values cannot determine {len(parameters)} parameters")
    return problem


def numbers(fields: Mapping[str, Any], name: str, count: int | None = None) -> list[float]:
    """A field that must be a list of finite numbers, `count` of them."""
    found = required(fields, name)
    if not is_column(found) or not np.all(np.isfinite(np.asarray(found, dtype=float))):
        raise ValueError(f"the field {name!r} is not a list of finite numbers")
    if count is not None and len(found) != count:
        raise ValueError(f"the field {name!r} has {len(found)} numbers, expected {count}")
    return [float(value) for value in found]


def required(fields: Mapping[str, Any], name: str) -> Any:
    """A field that must be there."""
    if fields.get(name) is None:
        raise ValueError(f"the field {name!r} is missing")
    return fields[name]


def read(path: Path) -> dict[str, Any]:
    """The fields of a file, numbers with a point as `Decimal`, whose printed digits are known."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, RecursionError, json.JSONDecodeError) as error:
        raise ValueError(f"cannot be read: {error}") from None
    if not isinstance(fields, dict):
        raise ValueError("cannot be read: not a JSON object")
    return fields


def files_under(path: Path) -> Iterator[Path]:
    """Every JSON file at any depth, or the path itself if it is a file, in order."""
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from sorted(found for found in path.rglob("*.json") if found.is_file())
    else:
        raise ValueError(f"no file or folder at {path}")


def _columns(data: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """The numeric columns; a single number is a column that does not vary."""
    columns = {k: np.asarray(v, dtype=np.float64) for k, v in data.items() if is_column(v)}
    lengths = {name: column.size for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"expected columns of data of one length, got {lengths}")
    count = next(iter(lengths.values()))
    single = {k: np.full(count, float(v)) for k, v in data.items() if _is_number(v)}
    for name, column in {**columns, **single}.items():
        if not np.all(np.isfinite(column)):
            raise ValueError(f"the column {name!r} has values that are not finite")
    return {**columns, **single}


def is_column(value: Any) -> bool:
    """Whether a field is a list of numbers, and not an empty one."""
    return isinstance(value, list) and bool(value) and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
