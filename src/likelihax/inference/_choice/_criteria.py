"""What one fit says of itself when models are compared."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._parameters import resolve
from ..._predictor import Predictor
from ...data import AbstractData
from ...fits import Fit
from ...objectives import NLL, as_sum
from ...objectives._nll import _measured
from ...reductions import Mean, Sum
from ._held_out import measured_nll


@dataclass(frozen=True)
class Criteria:
    r"""The criteria of one model. What there is no right to is `None`.

    **Attributes:**

    - `nll`: $L$, the NLL of all measured values at the estimates, in nats, with all constants.
    - `num_parameters`: $k$, how many numbers were fitted, those of the noise included.
    - `num_observed`: $n$, how many values, or vectors of them, were measured.
    - `aic`: $2L + 2k$ (H. Akaike 1974).
    - `aicc`: `aic` $+\,2k(k+1)/(n-k-1)$, where $n > k+1$ (N. Sugiura 1978, C. M. Hurvich and C.-L.
        Tsai 1989).
    - `bic`: $2L + k\log n$ (G. Schwarz 1978).
    - `held_out`: the NLL of the data that were held out.
    - `held_out_per_value`: the same, divided by their number.
    - `why_not`: why there is no `aic`, if so.
    """

    nll: float | None = None
    num_parameters: int | None = None
    num_observed: int | None = None
    aic: float | None = None
    aicc: float | None = None
    bic: float | None = None
    held_out: float | None = None
    held_out_per_value: float | None = None
    why_not: str = ""


def criteria(name: str, fit: Fit, held_out: np.ndarray | None) -> Criteria:
    """The criteria of a fit, with the NLLs of held-out values if there are any."""
    weights = weights_of(fit)
    nll = likelihood_part(fit, name)
    count = fit.num_observed if weights is None else float(weights.sum())
    size = int(fit.problem.start().size)
    why_not = _why_not(fit)
    found = Criteria(
        nll=nll,
        num_parameters=size,
        num_observed=round(count),
        held_out=None if held_out is None else float(held_out.sum()),
        held_out_per_value=None if held_out is None else float(held_out.mean()),
        why_not=why_not,
    )
    if why_not:
        return found
    aic = 2 * nll + 2 * size
    left = count - size - 1
    return Criteria(
        **{
            **vars(found),
            "aic": aic,
            "aicc": aic + 2 * size * (size + 1) / left if left > 0 else None,
            "bic": 2 * nll + size * float(np.log(count)),
        }
    )


def nll_part(fit: Fit, name: str) -> NLL:
    """The NLL in a fit's objective; `ValueError` where there is not exactly one."""
    parts = [part for part in as_sum(resolve(fit.objective)).parts if isinstance(part, NLL)]
    if len(parts) != 1 or not isinstance(fit.predictor, Predictor):
        raise ValueError(
            f"{name!r} was not fitted by the NLL of a predictor, but by "
            f"{fit.problem.objective.title}: what it says of its data is not known."
        )
    return parts[0]


def weights_of(fit: Fit) -> np.ndarray | None:
    """How often each measured value was counted, if not once."""
    weights = nll_part(fit, "the fit").weights
    if weights is None:
        return None
    measured = np.asarray(_measured(fit.predictor.likelihood, fit.data))
    behind = (1,) * (measured.ndim - weights.ndim)
    spread = np.broadcast_to(np.asarray(weights).reshape(weights.shape + behind), measured.shape)
    counted: np.ndarray = spread[measured]
    return counted


def likelihood_part(fit: Fit, name: str) -> float:
    """The sum of the NLLs at the estimates, whatever else was minimised."""
    weights = weights_of(fit)
    if not np.isfinite(fit.nll):
        raise ValueError(f"{name!r} has no estimates. {fit.message}")
    each = measured_nll(fit, fit.data, name)
    return float(np.sum(each if weights is None else weights * each))


def _why_not(fit: Fit) -> str:
    if not fit.success:
        return "did not converge"
    objective = as_sum(resolve(fit.objective))
    part = nll_part(fit, "the fit")
    if not isinstance(part.reduction, Sum | Mean):
        return f"{part.title} was minimised, not the NLL"
    others = [
        other.title
        for other, weight in zip(objective.parts, objective.weights, strict=True)
        if not isinstance(other, NLL) and (callable(weight) or float(np.asarray(weight)) != 0.0)
    ]
    if others:
        return f"{', '.join(others)} beside the NLL: not its minimum"
    if not fit.problem.is_gradient:
        return f"{type(fit.predictor.likelihood).__name__} does not follow the NLL's gradient"
    return ""


def check_same_data(fits: dict[str, Fit]) -> None:
    """Raises `ValueError` where two fits are not of the same measured values, counted alike."""
    names = list(fits)
    first = names[0]
    ours = fits[first].data
    for name in names[1:]:
        _check_pair(first, ours, name, fits[name].data)
        one, two = weights_of(fits[first]), weights_of(fits[name])
        as_ones = lambda w, like: np.ones(like.num_observed) if w is None else w
        same = (one is None and two is None) or np.array_equal(
            as_ones(one, fits[first]), as_ones(two, fits[name])
        )
        if not same:
            raise ValueError(
                f"compare: {first!r} and {name!r} weigh their values differently, NLL(weights=...)"
                ": their NLLs do not compare."
            )


def _check_pair(first: str, ours: Any, name: str, theirs: Any) -> None:
    for one, data in ((first, ours), (name, theirs)):
        if not isinstance(data, AbstractData):
            raise ValueError(f"compare: the data of {one!r} are {type(data).__name__}, no values.")
    what = f"compare: {first!r} and {name!r} were fitted to different data: "
    a, b = (np.asarray(data.observed) for data in (ours, theirs))
    if a.sum() != b.sum() or (a.shape != b.shape and a.size != b.size):
        raise ValueError(f"{what}{int(a.sum())} measured values against {int(b.sum())}.")
    flat = lambda data: np.ravel(np.asarray(data.values))
    if not np.array_equal(np.ravel(a), np.ravel(b)):
        row = int(np.flatnonzero(np.ravel(a) != np.ravel(b))[0])
        raise ValueError(f"{what}value {row}, in their order, is missing in one of them.")
    x, y = flat(ours)[np.ravel(a)], flat(theirs)[np.ravel(b)]
    if x.dtype != y.dtype:
        raise ValueError(f"{what}{x.dtype} values against {y.dtype}.")
    differ = np.flatnonzero(x != y)
    if differ.size:
        i = int(differ[0])
        raise ValueError(
            f"{what}measured value {i} is {x[i]:g} in one and {y[i]:g} in the other. Densities of "
            "a transformed response do not compare with those of the response itself: fit both to "
            "the same values, with a likelihood such as LogNormal in place of a Normal of "
            "logarithms."
        )
