"""Data sets that statsmodels ships, by a pointer of one fixed form; no text is run as code."""

import importlib
import pkgutil
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.reference.problem import numbers, required

_POINTER = re.compile(
    r"(?:statsmodels\.|sm\.)?datasets\.(?P<name>[a-z][a-z0-9_]{0,40})\.load(?:_pandas)?\(\)\s*"
    r"(?:;\s*X\s*=\s*(?:(?:sm\.)?add_constant\(exog\s*(?:,\s*prepend\s*=\s*(?P<first>True|False)"
    r"\s*)?\)|(?P<bare>exog))\s*)?",
    re.ASCII,
)
_CLOSE = 1e-9


def load(data: Mapping[str, Any]) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Response and named columns that `data` points to, checked by what it says of them.

    **Raises:** `ValueError` for another pointer, or data that are not as the file says.
    """
    pointer = required(data, "pointer")
    match = _POINTER.fullmatch(pointer.strip()) if isinstance(pointer, str) else None
    if match is None:
        raise ValueError(
            f"the pointer {str(pointer)[:100]!r} is not of the form "
            "'statsmodels.datasets.NAME.load_pandas(); X=add_constant(exog,prepend=False)'"
        )
    found = _shipped(match["name"])
    columns = {str(name): found.exog[name].to_numpy(np.float64) for name in found.exog.columns}
    values = found.endog.to_numpy(np.float64)
    if "add_constant" in pointer:
        constant = {"const": np.ones(len(values))}
        # prepend is true unless said otherwise
        columns = {**columns, **constant} if match["first"] == "False" else {**constant, **columns}
    _check(data, values, columns)
    return values, columns


def _shipped(name: str) -> Any:
    try:
        import statsmodels.datasets as shipped
    except ImportError:
        raise ValueError("the data come with statsmodels, which is not installed") from None
    known = {module.name for module in pkgutil.iter_modules(shipped.__path__) if module.ispkg}
    if name not in known:
        raise ValueError(f"statsmodels ships no data set {name!r}")
    module = importlib.import_module(f"statsmodels.datasets.{name}")
    if not hasattr(module, "load_pandas"):
        raise ValueError(f"statsmodels ships no data set {name!r}")
    found = module.load_pandas()
    if found.exog is None or np.ndim(found.endog) != 1:
        raise ValueError(f"the data set {name!r} has no response with regressors")
    return found


def _check(
    data: Mapping[str, Any], values: NDArray[np.float64], columns: dict[str, NDArray[np.float64]]
) -> None:
    """What the file says of its data must hold, or another version ships other data."""
    if (listed := data.get("columns")) is not None and list(columns) != listed:
        raise ValueError(f"the data have the columns {list(columns)}, the file lists {listed}")
    stated = {"n": (len(values), data.get("n")), "sum_y": (values.sum(), data.get("sum_y"))}
    if data.get("colsums") is not None:
        sums = numbers(data, "colsums", len(columns))
        pairs = zip(columns.items(), sums, strict=True)
        stated |= {f"the sum of {name}": (c.sum(), total) for (name, c), total in pairs}
    for what, (ours, theirs) in stated.items():
        if theirs is not None and abs(ours - float(theirs)) > _CLOSE * abs(float(theirs)):
            raise ValueError(f"{what} is {float(ours):.12g}, but the file says {theirs}")
