"""The choice among models: one table of what speaks for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any, Literal

import numpy as np

from ..._predictor import Predictor
from ...data import AbstractData
from ...fits import Fit
from .._ensembles._deep_ensemble import DeepEnsemble
from .._ensembles._ensemble import Ensemble
from ._criteria import Criteria, check_same_data, criteria
from ._held_out import measured_nll
from ._leave_one_out import PosteriorLoo, data_tree, posterior_loo
from ._stacking import stacking_weights

By = Literal["aic", "aicc", "bic"]


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What speaks for each of several models. `print(comparison)` shows it as tables.

    **Attributes:**

    - `criteria`: by name, of fits, and of whatever has a held-out NLL.
    - `posteriors`: by name, leave-one-out of posteriors.
    - `left_out`: by name, the NLL of each held-out value.
    """

    criteria: dict[str, Criteria]
    posteriors: dict[str, PosteriorLoo]
    left_out: dict[str, np.ndarray]

    def differences(self, by: By = "aic") -> dict[str, float]:
        """How far each model's criterion is above the lowest, of those that have one."""
        found = {name: getattr(each, _checked(by)) for name, each in self.criteria.items()}
        known = {name: value for name, value in found.items() if value is not None}
        lowest = min(known.values(), default=0.0)
        return {name: value - lowest for name, value in known.items()}

    def weights(self, by: By = "aic") -> dict[str, float]:
        r"""Akaike weights, $e^{-\Delta/2}$ with a sum of one; of the BIC, Schwarz weights.

        (K. P. Burnham and D. R. Anderson 2002, "Model selection and multimodel inference", section
        2.9.)
        """
        above = self.differences(by)
        total = sum(np.exp(-0.5 * each) for each in above.values())
        return {name: float(np.exp(-0.5 * each) / total) for name, each in above.items()}

    @cached_property
    def stacking(self) -> dict[str, float]:
        """Stacking weights of the posteriors, by their leave-one-out densities; see `stack`."""
        return _stacked({name: each.nll for name, each in self.posteriors.items()})

    @cached_property
    def held_out_stacking(self) -> dict[str, float]:
        """Stacking weights by the held-out data; empty where there are none."""
        return _stacked(self.left_out)

    @cached_property
    def elpd_differences(self) -> dict[str, tuple[float, float]]:
        """How far below the best each posterior's `elpd` is, and the standard error of that."""
        if not self.posteriors:
            return {}
        best = max(self.posteriors.values(), key=lambda each: each.elpd)
        found = {}
        for name, each in self.posteriors.items():
            apart = best.nll - each.nll
            found[name] = (each.elpd - best.elpd, float(np.sqrt(apart.size * np.var(apart))))
        return found

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"

    def _lines(self) -> list[str]:
        lines = []
        if self.criteria:
            lines += _aligned([*self._fit_rows()])
            lines += [
                f"{name}: no AIC: {each.why_not}"
                for name, each in self.criteria.items()
                if each.why_not
            ]
        if self.posteriors:
            lines += _aligned([*self._posterior_rows()])
            lines += [*self._pareto_remarks()]
        return lines

    def _fit_rows(self) -> Any:
        held = bool(self.left_out)
        heading = ["model", "parameters", "NLL", "AIC", "AICc", "BIC", "dAIC", "dAICc", "dBIC"]
        yield [*heading, "weight"] + ["held-out NLL", "a value", "stacking"] * held
        weights = self.weights()
        above = [self.differences(by) for by in ("aic", "aicc", "bic")]
        height = lambda name: (above[0].get(name, np.inf), self.criteria[name].held_out or 0.0)
        for name in sorted(self.criteria, key=height):
            each = self.criteria[name]
            size = "" if each.num_parameters is None else str(each.num_parameters)
            row = [name, size, _said(each.nll, ".2f")]
            row += [_said(value, ".2f") for value in (each.aic, each.aicc, each.bic)]
            row += [_said(of.get(name), ".2f") for of in above]
            row.append(_said(weights.get(name), ".3f"))
            if held:
                row += [_said(each.held_out, ".2f"), _said(each.held_out_per_value, ".4f")]
                row.append(_said(self.held_out_stacking.get(name), ".3f"))
            yield row

    def _posterior_rows(self) -> Any:
        yield ["posterior", "elpd", "s.e.", "effective", "below best", "s.e.", "stacking", "bad k"]
        for name in sorted(self.posteriors, key=lambda name: -self.posteriors[name].elpd):
            each, (below, error) = self.posteriors[name], self.elpd_differences[name]
            row = [name, f"{each.elpd:.2f}", f"{each.standard_error:.2f}"]
            row += [f"{each.num_effective:.1f}", f"{below:.2f}", f"{error:.2f}"]
            yield [*row, f"{self.stacking[name]:.3f}", str(each.num_bad)]

    def _pareto_remarks(self) -> Any:
        for name, each in self.posteriors.items():
            if each.num_bad:
                yield (
                    f"{name}: of {each.num_bad} of {each.pareto_k.size} values Pareto k is above "
                    f"{each.good_k:.2f}, up to {np.nanmax(each.pareto_k):.2f}: these are so "
                    "influential that the posterior without them cannot be had from its draws, and "
                    "elpd is too high. Refit without them, or take a likelihood with heavier tails."
                )


def compare(
    models: Mapping[str, Any],
    *,
    held_out: AbstractData | None = None,
    var_name: str | None = None,
) -> Comparison:
    """What speaks for each of several models of the same data.

    **Arguments:**

    - `models`: by name, fits; posteriors, as ArviZ data with a group `log_likelihood` or anything
        that has such as `.arviz`; and, with `held_out`, ensembles and predictors.
    - `held_out`: data that none of them was fitted to: the NLL of each value.
    - `var_name`: of which variable a posterior's log-likelihoods are, where there are several.

    AIC and its kin are about the lowest NLL. A fit that did not converge, or minimised something
    else (a penalty or a prior beside the NLL, another reduction), has a row with its NLL, and no
    AIC; the table says why. `NLL(Mean())` has its minimum where the sum has, and counts as that.

    Raises `ValueError` where two fits, or two posteriors, are not of the same measured values, a
    transformed response included, or weigh them differently; and for a fit by something else than
    a likelihood.
    """
    if not isinstance(models, Mapping) or not models:
        raise ValueError('compare: give a dictionary such as {"line": fit, "curve": other}.')
    fits = {name: one for name, one in models.items() if isinstance(one, Fit)}
    predicting = {
        name: one
        for name, one in models.items()
        if isinstance(one, Ensemble | DeepEnsemble | Predictor)
    }
    draws = {n: one for n, one in models.items() if n not in fits and n not in predicting}
    for name, one in draws.items():
        if data_tree(one) is None:
            raise ValueError(
                f"compare: {name!r} is {type(one).__name__}: give fits, posteriors (ArviZ data), "
                "or with held_out=data ensembles and predictors."
            )
    if predicting and held_out is None:
        raise ValueError(
            f"compare: {next(iter(predicting))!r} was not fitted as one: it has an NLL on data "
            "that were held out only: give held_out=data."
        )
    if fits:
        check_same_data(fits)
    left_out = {}
    if held_out is not None:
        left_out = {
            n: measured_nll(one, held_out, n) for n, one in models.items() if n not in draws
        }
    each = {name: criteria(name, fit, left_out.get(name)) for name, fit in fits.items()}
    for name in predicting:
        nll = left_out[name]
        each[name] = Criteria(held_out=float(nll.sum()), held_out_per_value=float(nll.mean()))
    loos = {name: posterior_loo(name, one, var_name) for name, one in draws.items()}
    _check_same_values(draws, loos)
    return Comparison(each, loos, left_out)


def _check_same_values(draws: dict[str, Any], loos: dict[str, PosteriorLoo]) -> None:
    names = list(loos)
    for name in names[1:]:
        first, sizes = names[0], (loos[names[0]].nll.size, loos[name].nll.size)
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"compare: {first!r} and {name!r} are posteriors of different data: {sizes[0]} "
                f"log-likelihoods against {sizes[1]}."
            )
        ours, theirs = (_observed(draws[one]) for one in (first, name))
        if ours is not None and theirs is not None and ours.shape == theirs.shape:
            differ = np.flatnonzero(~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs))))
            if differ.size:
                i = int(differ[0])
                raise ValueError(
                    f"compare: {first!r} and {name!r} are posteriors of different data: value {i} "
                    f"is {ours[i]:g} in one and {theirs[i]:g} in the other."
                )


def _observed(draws: Any) -> np.ndarray | None:
    tree = data_tree(draws)
    if "observed_data" not in tree.children or len(tree["observed_data"].data_vars) != 1:
        return None
    (values,) = tree["observed_data"].data_vars.values()
    return np.ravel(np.asarray(values, float))


def _stacked(nlls: dict[str, np.ndarray]) -> dict[str, float]:
    if not nlls:
        return {}
    weights = stacking_weights(np.stack(list(nlls.values()), axis=1))
    return dict(zip(nlls, weights.tolist(), strict=True))


def _checked(by: str) -> str:
    if by not in ("aic", "aicc", "bic"):
        raise ValueError(f'Comparison: by is "aic", "aicc" or "bic", not {by!r}.')
    return by


def _said(number: float | None, how: str) -> str:
    return "" if number is None else format(number, how)


def _aligned(rows: list[list[str]]) -> list[str]:
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    rows = [list(row) for row in zip(*columns, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(x.rjust(w) for x, w in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    ]
