"""What a regression's file holds of data: the response, the design, an offset."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.reference.datasets import load
from benchmarks.reference.factors import design_of_formula
from benchmarks.reference.problem import is_column, required

Vector = NDArray[np.float64]
_CONSTANT = ("const", "intercept", "_cons", "(intercept)")


@dataclass(frozen=True)
class Design:
    """The columns that multiply the coefficients, shape (observations, coefficients)."""

    names: tuple[str, ...]
    columns: NDArray[np.float64]


@dataclass(frozen=True)
class Regression:
    """Data of a regression: `link(mean of values) = columns @ coefficients + offset`.

    `total` are the numbers of trials of binomial values; `second` is the design of a second
    parameter that is modelled as well, such as a precision.
    """

    values: Vector
    design: Design
    offset: Vector
    total: Vector | None = None
    second: Design | None = None


def regression_data(fields: Mapping[str, Any]) -> Regression:
    """The data of a file; `ValueError` for what is missing, of another shape or not finite."""
    data = required(fields, "data")
    if not isinstance(data, dict):
        raise ValueError("the field 'data' is not an object")
    values, design = _response_and_design(fields, data)
    values, total = _trials(fields, data, values)
    second = _columns(data["Z"], "data.Z") if data.get("Z") is not None else None
    found = Regression(values, design, _offset(fields, data, len(values)), total, second)
    for name, part in (("X", design), ("Z", second)):
        if part is not None and len(part.columns) != len(values):
            raise ValueError(f"{name} has {len(part.columns)} rows, y has {len(values)} values")
    stated = fields.get("n", data.get("n"))
    if isinstance(stated, int) and stated != len(values):
        raise ValueError(f"the file says n = {stated}, but there are {len(values)} values")
    if len(values) <= design.columns.shape[1]:
        count = design.columns.shape[1]
        raise ValueError(f"{len(values)} values cannot determine {count} coefficients")
    return _repeated(found, fields, data)


def _response_and_design(
    fields: Mapping[str, Any], data: Mapping[str, Any]
) -> tuple[NDArray[np.float64], Design]:
    """The design comes column by column, from a package, or is spelled by a formula."""
    if data.get("pointer") is not None:
        values, named = load(data)
        return values, Design(tuple(named), np.stack(list(named.values()), axis=1))
    model = str(fields.get("model", ""))
    if data.get("X") is not None:
        return _response(data, "y"), _columns(data["X"], "data.X")
    if data.get("factors") is not None:
        if ":" not in model:
            raise ValueError("factors, but no formula after a colon of the field 'model'")
        variables = {**{k: v for k, v in data.items() if is_column(v)}, **data["factors"]}
        response, names, columns = design_of_formula(
            model.split(":", 1)[1], variables, fields.get("columns")
        )
        return _response(data, response if response in data else "y"), Design(names, columns)
    return _bare_columns(fields, data, model)


def _bare_columns(
    fields: Mapping[str, Any], data: Mapping[str, Any], model: str
) -> tuple[NDArray[np.float64], Design]:
    """Columns beside each other, the coefficients named after them: `y ~ x + const` in words."""
    said = re.search(r"([A-Za-z_][\w.]*)\s*~", model)
    response = said[1] if said and said[1] in data else "y"
    values = _response(data, response)
    names = [str(name) for name in required(fields, "params")]
    named = {
        name: np.ones(len(values)) if is_constant(name) and name not in data else data.get(name)
        for name in names
    }
    if absent := [name for name, column in named.items() if column is None]:
        raise ValueError(f"coefficients of {absent}, but no such columns in the field 'data'")
    return values, _columns({k: list(v) for k, v in named.items()}, "data")


def is_constant(name: str) -> bool:
    """Whether a coefficient is by its name that of a constant."""
    return name.lower() in _CONSTANT


def _response(data: Mapping[str, Any], name: str) -> NDArray[np.float64]:
    values = required(data, name)
    pairs = isinstance(values, list) and bool(values) and all(map(is_column, values))
    if not pairs and not is_column(values):
        raise ValueError(f"the response {name!r} is not a list of numbers")
    if pairs and {len(pair) for pair in values} != {2}:
        raise ValueError(f"the response {name!r} has rows that are not successes and failures")
    return _finite(values, f"the response {name!r}")


def _columns(named: Any, what: str) -> Design:
    if not isinstance(named, dict) or not named:
        raise ValueError(f"{what} is not an object of columns")
    for name, column in named.items():
        if not isinstance(column, np.ndarray) and not is_column(column):
            raise ValueError(f"the column {name!r} of {what} is not a list of numbers")
    lengths = {name: len(column) for name, column in named.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"expected columns of one length in {what}, got {lengths}")
    columns = [_finite(column, f"the column {name!r} of {what}") for name, column in named.items()]
    return Design(tuple(named), np.stack(columns, axis=1))


def _finite(column: Any, what: str) -> NDArray[np.float64]:
    values = np.asarray(column, dtype=np.float64)
    if not np.all(np.isfinite(values)):
        raise ValueError(f"{what} has values that are not finite")
    return values


def _beside(
    fields: Mapping[str, Any], data: Mapping[str, Any], count: int, *names: str
) -> Vector | None:
    """A column that files keep beside the design, under one of the names; a number is for all."""
    for name in names:
        found = data.get(name, fields.get(name))
        if found is None or isinstance(found, str):
            continue
        column = _finite(found, f"the field {name!r}")
        if column.shape not in ((), (count,)):
            raise ValueError(f"the field {name!r} has shape {column.shape}, expected ({count},)")
        return np.broadcast_to(column, (count,))
    return None


def _offset(fields: Mapping[str, Any], data: Mapping[str, Any], count: int) -> Vector:
    """What is added to the predictor: the offset and the logarithm of the exposure."""
    offset = _beside(fields, data, count, "offset")
    exposure = _beside(fields, data, count, "exposure")
    found = np.zeros(count) if offset is None else np.array(offset)
    if exposure is None:
        return found
    if fields.get("link") != "log":
        raise ValueError("an exposure means something with the log link only")
    if not np.all(exposure > 0):
        raise ValueError("the field 'exposure' has values that are not positive")
    return found + np.log(exposure)


def _trials(
    fields: Mapping[str, Any], data: Mapping[str, Any], values: NDArray[np.float64]
) -> tuple[Vector, Vector | None]:
    """Successes and numbers of trials: as pairs with the failures, or as a column of their own."""
    if values.ndim == 2:
        return values[:, 0], values.sum(axis=1)
    total = _beside(fields, data, len(values), "trials", "total", "totals")
    if total is None and str(fields.get("family")).lower() == "binomial":
        total = _beside(fields, data, len(values), "weights", "n_trials")
    if total is None:
        return values, None
    shares = np.all((values >= 0) & (values <= 1)) and np.any(values != np.round(values))
    return (np.round(values * total) if shares else values), np.array(total)


def _repeated(found: Regression, fields: Mapping[str, Any], data: Mapping[str, Any]) -> Regression:
    """Whole weights say how often a row was seen; other ones cannot be said to a likelihood."""
    if found.total is not None:
        return found
    weights = _beside(fields, data, len(found.values), "freq_weights", "weights")
    if weights is None or np.all(weights == 1):
        return found
    if np.any(weights != np.round(weights)) or np.any(weights < 0):
        raise ValueError("weights that are no whole numbers cannot be expressed: an NLL has none")
    rows = np.repeat(np.arange(len(weights)), weights.astype(int))
    second = found.second
    return Regression(
        found.values[rows],
        Design(found.design.names, found.design.columns[rows]),
        found.offset[rows],
        None,
        None if second is None else Design(second.names, second.columns[rows]),
    )
