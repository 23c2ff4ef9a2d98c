"""Values that another program printed, as a file holds them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from benchmarks.reference import digits


def printed_values(fields: Mapping[str, Any], name: str) -> dict[str, Decimal]:
    """The numbers of a field that is an object, by name; nothing if it is absent."""
    found = fields.get(name) or {}
    if not isinstance(found, dict):
        raise ValueError(f"the field {name!r} is not an object")
    return {key: printed_value(value) for key, value in found.items() if value is not None}


def printed_value(value: Any) -> Decimal:
    """One number with the digits that were printed of it."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"{value!r} is not a number")
    return digits.as_printed(Decimal(repr(value)) if isinstance(value, float) else Decimal(value))
