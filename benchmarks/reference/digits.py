"""How many digits of an answer are right, and how many may be asked."""

import math
from collections.abc import Iterable
from decimal import Decimal

import numpy as np
from numpy.typing import ArrayLike

CERTIFIED = 11  # digits that NIST prints
_EPSILON = float(np.finfo(np.float64).eps)


def right_digits(value: float, reference: float, most: float = CERTIFIED) -> float:
    """The log relative error, the NIST measure: `-log10(|value - reference| / |reference|)`.

    Absolute where the reference is zero; between 0 and `most`; 0 for a value that is not finite.
    """
    if not math.isfinite(value):
        return 0.0
    error = abs(value - reference) / (abs(reference) or 1.0)
    return float(most) if error == 0 else float(min(max(-math.log10(error), 0.0), most))


def fewest_right_digits(values: ArrayLike, references: ArrayLike, most: float = CERTIFIED) -> float:
    """The worst of `right_digits` over two vectors of one length."""
    values, references = np.atleast_1d(values), np.atleast_1d(references)
    if values.shape != references.shape:
        raise ValueError(f"{values.shape[0]} values, but {references.shape[0]} reference values")
    pairs = zip(values.tolist(), references.tolist(), strict=True)
    return min(right_digits(value, reference, most) for value, reference in pairs)


def column_scaled_condition(design: ArrayLike) -> float:
    """The 2-norm condition number of a design whose columns are scaled to length one.

    The scaling is within a factor sqrt(p) of the best one (A. van der Sluis, "Condition numbers and
    equilibration of matrices", Numer. Math. 14, 1969), so no choice of units is to blame for it.
    """
    design = np.asarray(design, dtype=np.float64)
    return float(np.linalg.cond(design / np.linalg.norm(design, axis=0)))


def componentwise_condition(design: ArrayLike, values: ArrayLike) -> float:
    """How much larger a coefficient's relative error can be than the data's rounding.

    The worst over coefficients `j` of the first-order bound

        (|X^+| (|y| + |X| |b|) + |(X'X)^-1| |X|' |r|)_j / |b_j|

    of A. Bjorck, "Component-wise perturbation analysis and error bounds for linear least squares
    solutions", BIT 31 (1991). It does not depend on the units of any column, and it counts a
    large residual `r`, which `column_scaled_condition` does not.
    """
    lengths = np.linalg.norm(design, axis=0)
    scaled, values = np.asarray(design) / lengths, np.asarray(values)
    inverse = np.linalg.pinv(scaled, rcond=_EPSILON)
    solution = inverse @ values
    left = np.abs(values - scaled @ solution)
    size = np.abs(values) + np.abs(scaled) @ np.abs(solution)
    error = np.abs(inverse) @ size + np.abs(inverse @ inverse.T) @ (np.abs(scaled).T @ left)
    return float(np.max(error / np.maximum(np.abs(solution), np.finfo(float).tiny)))


def reachable_digits(amplification: float) -> int:
    """The whole digits that float64 leaves after its rounding is amplified so many times."""
    if not math.isfinite(amplification):
        return 0
    return max(math.floor(-math.log10(_EPSILON * max(amplification, 1.0))), 0)


def rounding_of_residuals(residual_sd: float, values: ArrayLike) -> float:
    """How large the values are against the residuals: their rounding is the residuals' error.

    A standard deviation is proportional to the residuals' size, so it cannot have more digits than
    these have, whatever computes it from float64 data.
    """
    size = float(np.sqrt(np.mean(np.square(np.asarray(values, dtype=np.float64)))))
    return size / residual_sd if residual_sd > 0 else math.inf


def as_printed(value: Decimal) -> Decimal:
    """A number of a JSON file as its source printed it: 476.0 stands for 476, 0.50 for 0.5.

    The files hold floats: no trailing zeros behind the point, but one behind a whole number.
    """
    if not value.is_finite():
        raise ValueError(f"{value} is not a finite number")
    last = _last_place(value)
    digits = "".join(map(str, value.as_tuple().digits))
    zeros = len(digits) - len(digits.rstrip("0"))
    return value.quantize(Decimal(1).scaleb(min(last + zeros, 0))) if last < 0 else value


def agrees_as_printed(value: float, printed: Decimal, slack: float = 0.0) -> bool:
    """Whether a value, rounded to the digits of a printed one, is that: to half a unit of the last.

    `slack` is what the printed value itself may be off by, besides its rounding.
    """
    if not math.isfinite(value):
        return False
    half = Decimal(1).scaleb(_last_place(printed)) / 2
    # A hundredth of a unit more: a tie may have been rounded either way.
    return abs(Decimal(value) - printed) <= half * Decimal("1.02") + Decimal(slack)


def printed_digits(printed: Iterable[Decimal]) -> int:
    """The most significant digits among printed values."""
    return max((len(value.as_tuple().digits) for value in printed), default=0)


def _last_place(printed: Decimal) -> int:
    exponent = printed.as_tuple().exponent
    assert isinstance(exponent, int), "finite, as `as_printed` has checked"
    return exponent
