"""Whether a larger model fits better than chance would make it."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.tree_util as jtu
import numpy as np

from ..._parameters import is_parameter, value_of
from ..._result import RESULTS
from ...fits import Fit
from ._criteria import _why_not, check_same_data, likelihood_part

# How much higher the NLL of the larger model may be, for convergence to less than the last digit.
_SLACK = 1e-6


@dataclass(frozen=True)
class LikelihoodRatio:
    """A likelihood-ratio test of two nested models.

    **Attributes:**

    - `statistic`: twice the difference of the NLLs.
    - `dof`: how many more numbers the larger model fits.
    - `p_value`: how probable a statistic at least as large is, if the smaller model is true.
    - `boundary`: parameters that the smaller model puts on the boundary of their range.
    - `note`: what to know about the p-value, if anything.
    """

    statistic: float
    dof: int
    p_value: float
    boundary: tuple[str, ...] = ()
    note: str = ""

    def __repr__(self) -> str:
        words = "degree" if self.dof == 1 else "degrees"
        line = (
            f"Likelihood ratio {self.statistic:.6g} on {self.dof} {words} of freedom: "
            f"p = {self.p_value:.4g}"
        )
        return f"{line}\n{self.note}" if self.note else line


def likelihood_ratio(
    smaller: Fit, larger: Fit, *, boundary: Sequence[str] | None = None
) -> LikelihoodRatio:
    r"""Tests a smaller model within a larger one: $2(L_0 - L_1)$ against $\chi^2$.

    S. S. Wilks 1938, Annals of Mathematical Statistics 9. Where the smaller model puts a parameter
    on the boundary of its range, a variance at zero, the statistic is half the time zero: with
    one such parameter its law is half $\chi^2_{d-1}$, half $\chi^2_d$ (S. G. Self and K.-Y. Liang
    1987, JASA 82, cases 5 and 6). With several such parameters $\chi^2_d$ is used, which errs
    towards the smaller model.

    **Arguments:**

    - `smaller`, `larger`: fits of the same values by the NLL. That one is a special case of the
        other is for you to know; only their sizes and NLLs can be checked.
    - `boundary`: names for the parameters that the smaller model puts on the boundary. By default
        what can be seen of them, with a warning: known numbers of the smaller model at the edge
        of the constraint that the larger one has in the same place, `frozen(0.0)` for
        `positive(...)`; or that the larger fit ran away. A Poisson in the place of a negative
        binomial, for instance, cannot be seen.

    Raises `ValueError` where the larger model has no more parameters or a higher NLL, and for fits
    of different data, by something else than the NLL, or that did not converge.
    """
    fits = {"smaller": smaller, "larger": larger}
    for name, fit in fits.items():
        _check(name, fit)
    check_same_data(fits)
    sizes = {name: int(fit.problem.start().size) for name, fit in fits.items()}
    dof = sizes["larger"] - sizes["smaller"]
    if dof <= 0:
        raise ValueError(
            f"likelihood_ratio: the larger model fits {sizes['larger']} numbers, the smaller "
            f"{sizes['smaller']}: the larger one comes second, and must have more."
        )
    low, high = (likelihood_part(fit, name) for name, fit in fits.items())
    statistic = 2 * (low - high)
    if statistic < -_slack(low, larger):
        raise ValueError(
            f"likelihood_ratio: the NLL of the larger model, {high:.6f}, is higher than that of "
            f"the smaller, {low:.6f}: either they are not nested, or the larger fit ended in a "
            "local minimum: start it from the smaller fit's estimates."
        )
    statistic = max(statistic, 0.0)
    edges = _on_boundary(smaller, larger) if boundary is None else tuple(boundary)
    p_value, note = _p_value(statistic, dof, len(edges))
    if edges:
        note = f"On the boundary: {', '.join(edges)}. {note}"
    if edges and boundary is None:
        warnings.warn(f"likelihood_ratio: {note}", stacklevel=2)
    return LikelihoodRatio(statistic, dof, p_value, edges, note)


def _check(name: str, fit: Any) -> None:
    if not isinstance(fit, Fit):
        raise ValueError(f"likelihood_ratio: {name} is {type(fit).__name__}, no Fit.")
    ran_away = name == "larger" and _ran_away(fit)
    why_not = "" if ran_away else _why_not(fit)
    if why_not:
        message = "" if fit.success else f" {fit.message}"
        raise ValueError(f"likelihood_ratio: the {name} fit: {why_not}.{message}")


def _ran_away(fit: Fit) -> bool:
    return bool(fit.result == RESULTS.runaway) and bool(np.isfinite(fit.nll))


def _slack(nll: float, larger: Fit) -> float:
    # What ran away is not quite at the edge, where the smaller model is.
    return (1e-3 if _ran_away(larger) else _SLACK) * max(1.0, abs(nll) * 1e-3)


def _p_value(statistic: float, dof: int, on_boundary: int) -> tuple[float, str]:
    from scipy.stats import chi2

    plain = float(chi2.sf(statistic, dof))
    if on_boundary == 0:
        return plain, ""
    if on_boundary > 1:
        return plain, "The p-value is too large: it takes no account of that."
    # Of no degrees of freedom, all is at zero.
    fewer = float(chi2.sf(statistic, dof - 1)) if dof > 1 else float(statistic <= 0)
    return 0.5 * (plain + fewer), "The p-value is that of half the degrees' mixture of chi-squares."


def _on_boundary(smaller: Fit, larger: Fit) -> tuple[str, ...]:
    """Where a parameter that the larger model fits is known in the smaller, at the edge."""
    leaves = lambda fit: dict(jtu.tree_leaves_with_path(fit.predictor, is_leaf=is_parameter))
    known = {
        jtu.keystr(path): leaf for path, leaf in leaves(smaller).items() if not _is_fitted(leaf)
    }
    found = []
    for path, leaf in leaves(larger).items():
        if not (is_parameter(leaf) and leaf.trainable):
            continue
        at = known.get(jtu.keystr(path))
        if at is not None and not bool(np.all(_inside(leaf.constraint, value_of(at)))):
            found.append(jtu.keystr(path).lstrip("."))
    if not found and _ran_away(larger):
        found.append("what ran away in the larger fit")
    return tuple(found)


def _is_fitted(leaf: Any) -> bool:
    return is_parameter(leaf) and leaf.trainable


def _inside(constraint: Any, value: Any) -> Any:
    return constraint(np.asarray(value, float))
