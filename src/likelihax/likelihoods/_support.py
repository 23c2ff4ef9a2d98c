"""Where a distribution's values lie, and what to tell somebody whose values do not."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import ArrayLike


class Support(NamedTuple):
    """The values that a distribution can take.

    **Attributes:**

    - `contains`: elementwise, whether a value is one of them; never for NaN. Of operators and
        methods that NumPy's arrays have too: a table is looked through without compiling.
    - `inside`: some value that is, a number or of the shape of one value.
    - `words`: what they are, as in "whose values are ...".
    - `mend`: what to do about one that is not.
    - `discrete`: whether they are whole numbers.
    """

    contains: Callable[[Any], Any]
    inside: ArrayLike
    words: str
    mend: str
    discrete: bool = False


def is_finite(y: Any) -> Any:
    """Whether a number is neither infinite nor NaN."""
    return abs(y) < math.inf


def is_whole(y: Any) -> Any:
    """Whether a number is whole."""
    return is_finite(y) & (y == y.round())


REAL = Support(is_finite, 0.0, "finite numbers", "Leave it out, or mark it as missing (NaN).")
POSITIVE = Support(
    lambda y: is_finite(y) & (y > 0),
    1.0,
    "positive",
    "Mark it as missing (NaN) if it is below detection, censor it with Censored, or choose a "
    "family on the whole line such as Normal.",
)
NONNEGATIVE = Support(
    lambda y: is_finite(y) & (y >= 0),
    1.0,
    "zero or positive",
    "Mark it as missing (NaN), or choose a family on the whole line such as Normal.",
)
COUNTS = Support(
    lambda y: is_whole(y) & (y >= 0),
    0.0,
    "whole numbers from 0 up",
    "Give counts, not rates or averages; choose Gamma or LogNormal for positive numbers.",
    discrete=True,
)
UNIT_INTERVAL = Support(
    lambda y: (y > 0) & (y < 1),
    0.5,
    "between 0 and 1, both excluded",
    "Shrink the values to (y * (n - 1) + 0.5) / n for n of them (Smithson and Verkuilen 2006), or "
    "choose Binomial if they are shares of a known number.",
)
BINARY = Support(
    lambda y: (y == 0) | (y == 1),
    0.0,
    "0 or 1",
    "Code the two outcomes as 0 and 1, or as False and True; choose Beta for shares.",
    discrete=True,
)
ANGLES = Support(
    is_finite,
    0.0,
    "finite angles in radians",
    "Leave it out, or mark it as missing (NaN).",
)


def labels(count: int) -> Support:
    """Whole numbers from 0 to `count - 1`."""
    return Support(
        lambda y: is_whole(y) & (y >= 0) & (y < count),
        0.0,
        f"labels from 0 to {count - 1}",
        "Number the classes from 0, and give the likelihood as many classes as there are.",
        discrete=True,
    )
