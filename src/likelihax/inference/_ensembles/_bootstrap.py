"""How far estimates would move on other data of the same kind: refits on resampled data."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._keys import check_key
from ..._parameters import resolve
from ...data import Dataset
from ...fits import Fit
from ._ensemble import Ensemble
from ._refits import Refits, in_natural_units, on_data, refits, with_objectives
from ._resampled import case_counts, number_of_cases, reweighted, simulated, simulated_residuals

Kind = Literal["cases", "parametric", "residual"]
IntervalKind = Literal["percentile", "basic", "bca"]
_KINDS = ("cases", "parametric", "residual")


@dataclass(frozen=True, eq=False, repr=False)
class Bootstrap:
    """Refits on resampled data. `print(found)` shows errors and intervals as a table.

    Refits that did not converge are left out of all figures, and counted in `failed`.

    **Attributes:**

    - `fit`: the fit of the data themselves.
    - `kind`: how the data were resampled.
    - `refits`: all refits, and how they ended.
    """

    fit: Fit
    kind: Kind
    refits: Refits
    workers: int | None = None

    @property
    def num(self) -> int:
        """How many refits converged."""
        return int(self.refits.converged.sum())

    @property
    def failed(self) -> int:
        """How many did not."""
        return len(self.refits) - self.num

    @cached_property
    def estimates(self) -> dict[str, np.ndarray]:
        """The estimates by name, in natural units, each with a first axis of the refits."""
        return self.refits.by_name(self._flat)

    @cached_property
    def covariance(self) -> np.ndarray:
        """The covariance of the estimates, shape `(parameters, parameters)`, as `Fit.labels`."""
        return np.atleast_2d(np.cov(self._flat, rowvar=False))

    @cached_property
    def standard_errors(self) -> dict[str, Any]:
        """The standard deviation of the refits' estimates, by name."""
        return self._scalars(np.std(self._flat, axis=0, ddof=1))

    @cached_property
    def bias(self) -> dict[str, Any]:
        """How far their mean is from the estimate, by name."""
        return self._scalars(np.mean(self._flat, axis=0) - self._observed)

    def intervals(
        self, level: float = 0.95, kind: IntervalKind = "percentile"
    ) -> dict[str, np.ndarray]:
        """Confidence intervals by name: lower and upper end along a first axis.

        **Arguments:**

        - `level`: how often an interval should hold the truth.
        - `kind`: `"percentile"`, the quantiles of the refits' estimates; `"basic"`, these
            reflected at the estimate; `"bca"`, quantiles corrected for bias and for an error that
            changes with the estimate (B. Efron 1987, "Better bootstrap confidence intervals",
            JASA 82). BCa, for cases only, takes a refit for each case in addition, once.

        Raises `ValueError` for other words, a level outside (0, 1) and BCa of simulated data.
        """
        ends = intervals_of(self._flat, self._observed, level, kind, lambda: self._jackknife)
        return self.refits.by_name(ends)

    def of(self, function: Callable[[Any], Any]) -> np.ndarray:
        """What a function of the predictor gives for each refit that converged.

        For instance `lambda p: p.model.slope / p.model.intercept`; its parameters are plain
        arrays. With a first axis of the refits.
        """
        ensemble = self.ensemble
        return np.asarray(jax.jit(lambda: ensemble.each(lambda p: function(resolve(p))))())

    @cached_property
    def ensemble(self) -> Ensemble:
        """The refits that converged, all with the same weight."""
        return Ensemble(self.refits.predictors(self.refits.converged))

    def __repr__(self) -> str:
        return _table(self)

    @cached_property
    def _flat(self) -> np.ndarray:
        return self.refits.estimates[self.refits.converged]

    @cached_property
    def _observed(self) -> np.ndarray:
        theta = jnp.asarray(self.fit.record.theta)[None]
        return np.asarray(in_natural_units(theta, self.fit.problem.unknowns))[0]

    @cached_property
    def _jackknife(self) -> np.ndarray:
        """The estimates without each of the cases, shape `(cases, parameters)`."""
        if self.kind != "cases":
            raise ValueError(
                f"bootstrap: BCa intervals of kind {self.kind!r}: what corrects them is known for "
                'cases; take kind="percentile" or "basic".'
            )
        left_out = leave_each_out(self.fit, self.workers)
        if not left_out.converged.all():
            raise ValueError(
                f"bootstrap: BCa takes a refit without each case, and {left_out.endings} is how "
                'these ended: take kind="percentile" or "basic".'
            )
        return left_out.estimates

    def _scalars(self, flat: np.ndarray) -> dict[str, Any]:
        named = self.refits.by_name(flat)
        return {name: float(x) if x.shape == () else x for name, x in named.items()}


def bootstrap(
    fit: Fit,
    *,
    num: int,
    key: Array,
    kind: Kind | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> Bootstrap:
    """Refits to resampled data: standard errors and intervals without a Normal approximation.

    **Arguments:**

    - `fit`: a fit that converged; each refit begins at its estimates.
    - `num`: how many; some hundreds for standard errors, some thousands for intervals.
    - `key`: a JAX random key.
    - `kind`: `"cases"`, rows of a `Dataset` drawn with replacement, or whole experiments of
        several; `"parametric"`, values drawn from the fitted likelihood, which takes it for true;
        `"residual"`, the fitted mean plus standardised residuals, drawn with replacement within
        each observable, for values on the whole line. By default cases of a `Dataset`, and
        parametric for anything that is measured over time: the times of one experiment are
        nothing that was drawn, and experiments are mostly few.
    - `workers`: how many refits run at the same time: by default as many as there are cores on
        a CPU, and all on an accelerator. One compilation serves all.
    - `progress`: whether to show a bar; by default in a terminal or a notebook.

    Raises `ValueError` for a fit that did not converge and for kinds that its data do not allow.
    """
    _check(fit, num, kind)
    check_key(key, "bootstrap")
    kind = kind or default_kind(fit)
    if kind == "cases":
        counts = case_counts(fit, num, key)
        problems = with_objectives(fit, [reweighted(fit, each) for each in counts])
    else:
        draw = simulated if kind == "parametric" else simulated_residuals
        values = draw(fit, num, key)
        put = fit.data.with_values
        problems = on_data(fit, [put(each) for each in values])
    found = refits(fit.method, problems, workers=workers, progress=progress, label="bootstrap")
    return Bootstrap(fit, kind, found, workers)


def default_kind(fit: Fit) -> Kind:
    """Cases of a table, and simulated values of what is measured over time."""
    return "cases" if isinstance(fit.data, Dataset) else "parametric"


def leave_each_out(fit: Fit, workers: int | None = None, progress: bool | None = None) -> Refits:
    """The refits without each case in turn."""
    count = number_of_cases(fit)
    without = 1.0 - np.eye(count)
    problems = with_objectives(fit, [reweighted(fit, row) for row in without])
    return refits(fit.method, problems, workers=workers, progress=progress, label="leave-one-out")


def intervals_of(
    estimates: np.ndarray,
    observed: np.ndarray,
    level: float,
    kind: IntervalKind,
    jackknife: Callable[[], np.ndarray],
) -> np.ndarray:
    """Intervals, shape `(2, parameters)`, from estimates of shape `(refits, parameters)`."""
    if not 0 < level < 1:
        raise ValueError(f"intervals: the level must be in (0, 1), got {level}.")
    if kind not in ("percentile", "basic", "bca"):
        raise ValueError(f'intervals: kind is "percentile", "basic" or "bca", not {kind!r}.')
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    if kind == "percentile":
        return np.quantile(estimates, tails, axis=0)
    if kind == "basic":
        return 2 * observed - np.quantile(estimates, tails[::-1], axis=0)
    shares = _bca_shares(estimates, observed, tails, jackknife())
    columns = zip(estimates.T, shares.T, strict=True)
    return np.stack([np.quantile(column, share) for column, share in columns], axis=1)


def _bca_shares(
    estimates: np.ndarray, observed: np.ndarray, tails: np.ndarray, left_out: np.ndarray
) -> np.ndarray:
    """Which quantiles to take, shape `(2, parameters)`; equations 2.3 and 6.6 of Efron 1987."""
    from scipy.special import ndtr, ndtri

    # Of estimates that equal the observed one, as whole counts may give, half lie below.
    below = (np.mean(estimates < observed, axis=0) + np.mean(estimates <= observed, axis=0)) / 2
    bias = ndtri(below)
    away = left_out.mean(axis=0) - left_out
    spread = np.sum(away**2, axis=0)
    skewed = np.sum(away**3, axis=0) / np.where(spread > 0, 6 * spread**1.5, 1.0)
    shifted = bias + ndtri(tails)[:, None]
    shares = ndtr(bias + shifted / (1 - skewed * shifted))
    if not np.all(np.isfinite(shares)):
        raise ValueError(
            "bootstrap: all estimates of a parameter are on one side of the observed one: there is "
            'no BCa interval. Take kind="percentile", and look at Bootstrap.bias.'
        )
    found: np.ndarray = shares
    return found


def _check(fit: Any, num: int, kind: Any) -> None:
    if not isinstance(fit, Fit):
        raise ValueError(f"bootstrap: expected a Fit, got {type(fit).__name__}.")
    if not fit.success:
        raise ValueError(f"bootstrap: the fit did not converge. {fit.message}")
    if num < 2:
        raise ValueError(f"bootstrap: num must be 2 or more, got {num}.")
    if kind is not None and kind not in _KINDS:
        raise ValueError(f'bootstrap: kind is "cases", "parametric" or "residual", not {kind!r}.')


def _table(found: Bootstrap) -> str:
    said = {"cases": "cases", "parametric": "simulated values", "residual": "residuals"}
    lines = [f"Bootstrap of {said[found.kind]}: {found.num} refits converged"]
    if found.failed:
        ended = [f"{n} {name}" for name, n in found.refits.endings.items() if name != "successful"]
        lines[0] += f", {found.failed} did not and are left out ({', '.join(ended)})"
    if found.num < 2:
        return lines[0]
    names = [name for label in found.refits.labels for name in label.elements]
    errors = np.std(found._flat, axis=0, ddof=1)
    bias = found._flat.mean(axis=0) - found._observed
    lower, upper = intervals_of(
        found._flat, found._observed, 0.95, "percentile", lambda: found._jackknife
    )
    wide = max(len("parameter"), *map(len, names))
    lines.append(
        f"{'parameter':{wide}}  {'estimate':>11}  {'std. error':>10}  {'bias':>9}  "
        f"{'95 % interval (percentile)':>26}"
    )
    for row in zip(names, found._observed, errors, bias, lower, upper, strict=True):
        name, value, error, off, low, high = row
        lines.append(
            f"{name:{wide}}  {value:11.5g}  {error:10.3g}  {off:9.2g}  {low:12.5g}  {high:12.5g}"
        )
    run = found.refits
    lines.append(f"compiled in {run.compile_seconds:.2f} s, ran in {run.run_seconds:.2f} s")
    return "\n".join(lines)
