"""How well each value is predicted by a model that has not seen it."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...fits import Fit
from ...reductions import Mean, Sum
from .._ensembles._bootstrap import leave_each_out
from .._ensembles._resampled import cases_of, number_of_cases
from ._criteria import nll_part
from ._held_out import measured_nll


@dataclass(frozen=True, eq=False)
class PosteriorLoo:
    r"""Leave-one-out predictive densities of a posterior, by ArviZ from its draws alone.

    Pareto-smoothed importance sampling (A. Vehtari, A. Gelman and J. Gabry 2017, "Practical
    Bayesian model evaluation using leave-one-out cross-validation and WAIC", Statistics and
    Computing 27).

    **Attributes:**

    - `elpd`: the sum of the log-densities, in nats: the larger, the better.
    - `standard_error`: of that sum.
    - `num_effective`: how many parameters the posterior effectively uses.
    - `nll`: minus the log-density of each value.
    - `pareto_k`: for each value, how heavy the tail of its importance weights is.
    - `good_k`: what that should be below, for so many draws.
    """

    elpd: float
    standard_error: float
    num_effective: float
    nll: np.ndarray
    pareto_k: np.ndarray
    good_k: float

    @property
    def num_bad(self) -> int:
        """For how many values the importance weights cannot be trusted."""
        return int(np.sum(~(self.pareto_k <= self.good_k)))


def posterior_loo(name: str, draws: Any, var_name: str | None) -> PosteriorLoo:
    """By ArviZ; raises `ValueError` where there are no log-likelihoods, or of several variables."""
    from arviz_stats.loo import loo

    tree = data_tree(draws)
    if tree is None or "log_likelihood" not in tree.children:
        raise ValueError(
            f"compare: {name!r} is a posterior without log-likelihoods of single values (a group "
            "log_likelihood in its ArviZ data): these are what leave-one-out takes."
        )
    variables = list(tree["log_likelihood"].data_vars)
    if var_name is None and len(variables) > 1:
        raise ValueError(
            f"compare: {name!r} has log-likelihoods of {', '.join(map(str, variables))}: say of "
            "which, var_name=..."
        )
    reff = None if "posterior" in tree.children else 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pareto k, which is reported in our own words
        found = loo(tree, pointwise=True, var_name=var_name, reff=reff)
    if found.scale != "log":
        factor = {"negative_log": -1.0, "deviance": -0.5}[found.scale]
    else:
        factor = 1.0
    return PosteriorLoo(
        elpd=factor * float(found.elpd),
        standard_error=abs(factor) * float(found.se),
        num_effective=float(found.p),
        nll=-factor * np.ravel(np.asarray(found.elpd_i)),
        pareto_k=np.ravel(np.asarray(found.pareto_k)),
        good_k=float(found.good_k),
    )


def data_tree(draws: Any) -> Any:
    """ArviZ data: those of an object that has them as `arviz`, or themselves; `None` if neither."""
    from xarray import DataTree

    found = getattr(draws, "arviz", draws)
    return found if isinstance(found, DataTree) else None


def leave_one_out(
    fit: Fit, *, workers: int | None = None, progress: bool | None = None
) -> np.ndarray:
    """The NLL of each measured value under a refit that was not shown its case.

    Exact cross-validation: a refit for each row of a `Dataset`, or for each of several
    experiments, all with one compilation. A vector over the measured values in their order; its sum
    is what AIC estimates half of (M. Stone 1977), without taking the model for true. Feed it to
    `stack`.

    **Arguments:**

    - `fit`: the fit of a `Dataset` or of `Experiments`, by the NLL, its sum or mean; beside it
        only terms that look at the parameters alone.
    - `workers`, `progress`: as for `bootstrap`.

    Raises `ValueError` for other fits, one that did not converge, and where a refit does not.
    """
    if not isinstance(fit, Fit):
        raise ValueError(f"leave_one_out: expected a Fit, got {type(fit).__name__}.")
    if not fit.success:
        raise ValueError(f"leave_one_out: the fit did not converge. {fit.message}")
    number_of_cases(fit)
    part = nll_part(fit, "the fit")
    if not isinstance(part.reduction, Sum | Mean):
        raise ValueError(f"leave_one_out: the {part.title} is no sum over the values left in.")
    found = leave_each_out(fit, workers, progress)
    if not found.converged.all():
        which = int(np.flatnonzero(~found.converged)[0])
        raise ValueError(
            f"leave_one_out: {int((~found.converged).sum())} of {len(found)} refits did not "
            f"converge, the first without case {which}. {found.fit(which).message}"
        )
    of_value = cases_of(fit)
    result = np.empty(of_value.size)
    for case in range(len(found)):
        each = measured_nll(found.fit(case).predictor, fit.data, "the refit")
        result[of_value == case] = each[of_value == case]
    return result
