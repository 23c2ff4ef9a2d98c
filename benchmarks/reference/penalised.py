"""A regression with an L1 penalty: coefficients, which of them are zero, and the objective.

A coefficient counts as right within 1e-5 of the printed one, relative to it where it is above 1,
and if it is zero exactly where the printed one is; the objective if it is at most 1e-8 of itself
above that at the printed coefficients.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

import likelihax as lhx
from benchmarks.reference import report
from benchmarks.reference.design import Regression, Vector
from benchmarks.reference.family import Stated
from benchmarks.reference.regressing import Fitted, regress

_NEAR = 1e-5
_OF_OBJECTIVE = 1e-8


def penalised_row(fields: Mapping[str, Any], stated: Stated, data: Regression) -> report.Row:
    """The row of a fit of minus the log-likelihood plus a weight times each absolute value."""
    names = [*data.design.names, *(stated.second.names if stated.second else ())]
    weights = weights_of(fields, data.design.names, names)
    first = len(data.design.names)
    penalty = lhx.terms.L1(lambda p: p.model.coefficients, weights=weights[:first])
    fitted = regress(stated, data, penalty)
    ours = dict(zip(names, [*fitted.coefficients, *fitted.second], strict=True))
    printed = fields.get("params")
    if not isinstance(printed, Mapping) or not printed:
        raise ValueError("the field 'params' is missing: nothing to compare")
    unknown = sorted(set(printed) - set(ours))
    if unknown:
        raise ValueError(f"params has {unknown[0]!r}, the design has {', '.join(ours)}")
    wrong = [name for name, value in printed.items() if not agrees(ours[name], float(value))]
    said = fitted.status + "".join(f"; {n} {ours[n]:.10g}, not {printed[n]}" for n in wrong)
    lower, more = _objective(fields, fitted)
    return report.Row(
        "from data",
        f"{len(printed) - len(wrong)} of {len(printed)}",
        "no curvature at kinks",
        said + more,
        fitted.seconds,
        not wrong and lower and fitted.fit.success,
    )


def weights_of(fields: Mapping[str, Any], design: tuple[str, ...], names: list[str]) -> Vector:
    """What each coefficient's absolute value is multiplied by, in the order of the names.

    The field `alpha` is one number for all coefficients of the mean, or one for each by order or by
    name; what it leaves out is not penalised.
    """
    kind = str(fields.get("penalty")).strip().lower()
    if kind != "l1":
        raise ValueError(f"the penalty {kind[:40]!r} cannot be expressed: l1 can")
    alpha = fields.get("alpha")
    if isinstance(alpha, Mapping):
        unknown = sorted(set(alpha) - set(names))
        if unknown:
            raise ValueError(f"alpha has {unknown[0]!r}, the design has {', '.join(names)}")
        found = np.array([float(alpha.get(name, 0.0)) for name in names])
    elif alpha is None:
        raise ValueError("the field 'alpha' is missing: the weight of the penalty")
    else:
        given = np.ravel(np.asarray(alpha, dtype=float))
        given = np.full(len(design), given[0]) if given.size == 1 else given
        if given.size not in (len(design), len(names)):
            raise ValueError(f"alpha has {given.size} weights for {len(names)} parameters")
        found = np.concatenate([given, np.zeros(len(names) - given.size)])
    if np.any(found[len(design) :] > 0):
        raise ValueError("a penalty on the second parameter cannot be expressed here")
    return found


def agrees(ours: float, printed: float) -> bool:
    """Zero where the printed one is, and else near it."""
    if printed == 0:
        return ours == 0
    return ours != 0 and abs(ours - printed) <= _NEAR * max(1.0, abs(printed))


def _objective(fields: Mapping[str, Any], fitted: Fitted) -> tuple[bool, str]:
    reference = fields.get("objective_at_reference")
    ours = float(fitted.fit.nll)
    said = f"; objective {ours:.12g}"
    if reference is None:
        return True, said
    limit = float(reference) + _OF_OBJECTIVE * abs(float(reference))
    return ours <= limit, said + ("" if ours <= limit else f", above {float(reference):.12g}")
