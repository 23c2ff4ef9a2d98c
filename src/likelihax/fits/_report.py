"""What a fit found, how it went, and how sure one may be."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._information import (
    Covariance,
    Identifiability,
    Spread,
    clusters,
    expected_rows,
    identified,
    nothing_known,
    observed_information,
    pearson_dispersion,
    scores,
    spread_of_hessian,
    spread_of_rows,
)
from .._parameters import (
    Label,
    are_inside,
    by_name,
    natural,
    resolve,
    to_natural,
    unpack,
    with_values,
)
from .._result import RESULTS, describe
from ..objectives import NLL, AbstractObjective, Unknowns
from ._curves import LearningCurves, curves_of
from ._method import AbstractMethod, Record
from ._problem import Problem
from ._strategy import Stage
from ._table import html_table, text_table

InformationKind = Literal["observed", "expected", "sandwich"]


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """The outcome of `fit`, whether or not it succeeded. `print(fit)` shows it as a table.

    **Attributes:**

    - `problem`: what was fitted: objective, predictor at the start, data.
    - `method`: how.
    - `record`: the account that the method kept, in the fitter's own space.
    - `compile_seconds`: what tracing and compiling took; 0 where it was done before.
    - `run_seconds`: what iterating took.
    - `stages`: what was fitted before, on the way to the start of this fit.
    - `reason`: why that strategy, or none, where it was not the user who chose.
    """

    problem: Problem
    method: AbstractMethod
    record: Record
    compile_seconds: float
    run_seconds: float
    stages: tuple[Stage, ...] = ()
    reason: str = ""

    @property
    def result(self) -> RESULTS:
        """How the fit ended; `RESULTS.successful` only where it converged."""
        return self.record.result

    @property
    def success(self) -> bool:
        """Whether the fit converged."""
        return bool(self.record.result == RESULTS.successful)

    @property
    def message(self) -> str:
        """How the fit ended, in words."""
        return "Converged." if self.success else describe(self.record.result)

    @property
    def nll(self) -> float:
        """The objective at the estimates: for `NLL`, in nats with all constants, as reduced."""
        return float(self.record.total)

    @property
    def gradient_norm(self) -> float:
        """The largest gradient entry, in the unconstrained, unit-scaled parameters."""
        return float(np.max(np.abs(np.asarray(self.record.gradient))))

    @property
    def steps(self) -> int:
        """How many points were evaluated."""
        return int(self.record.steps)

    @property
    def failed_solves(self) -> int:
        """How many of them the model could not be solved at."""
        return int(self.record.failed_solves)

    @cached_property
    def failures(self) -> dict[str, tuple[int, float]]:
        """Which of several experiments could not be solved: at how many points, and how far.

        The name of each, how often its solve failed, and the last measured time that was reached
        when it did so last. Empty where none failed, or there is only one.
        """
        found = self.record.failures
        if found is None:
            return {}
        counts, reached = np.asarray(found.counts), np.asarray(found.time_reached)
        return {
            name: (int(count), float(t))
            for name, count, t in zip(self.data.names, counts, reached, strict=True)
            if count
        }

    @property
    def value_nans(self) -> int:
        """How many gave an objective that was not finite, though the solve succeeded."""
        return int(self.record.value_nans)

    @property
    def gradient_nans(self) -> int:
        """How many gave a finite objective with a gradient that was not."""
        return int(self.record.gradient_nans)

    @cached_property
    def history(self) -> np.ndarray:
        """The objective at each evaluated point, infinite where it was not usable."""
        return np.asarray(self.record.history)[: self.steps]

    @cached_property
    def curves(self) -> LearningCurves:
        """What was measured at each evaluated point; `ValueError` if nothing was asked for."""
        return curves_of(self.problem, self.record)

    @cached_property
    def predictor(self) -> Any:
        """The fitted predictor: the one given, with its parameters at the estimates."""
        fitted = self.unknowns.predictor
        return resolve(self.unknowns.objective).completed(fitted, self.data)

    @cached_property
    def objective(self) -> AbstractObjective:
        """The objective as it was where the estimates are from, its own parameters there too."""
        return self._unknowns_now.objective

    @cached_property
    def unknowns(self) -> Unknowns:
        """Predictor and objective at the estimates."""
        found: Unknowns = _unpack(self.record.theta, self.problem.unknowns)
        return found

    @property
    def data(self) -> Any:
        """The data that were fitted."""
        return self.problem.data

    @cached_property
    def num_observed(self) -> int:
        """How many values, or vectors of them, were measured; 0 if the data do not say so."""
        said = self.problem.objective.num_observed(self.problem.predictor, self.data)
        return said or int(getattr(self.data, "num_observed", 0))

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """What the fitted parameters are called, in the order of `covariance`."""
        return self.problem.unknowns.labels()

    @cached_property
    def estimates(self) -> dict[str, Any]:
        """The estimates by name, in natural units: a float, or an array of any shape."""
        return self._by_name(np.asarray(_natural(self.record.theta, self.problem.unknowns)))

    @cached_property
    def breakdown(self) -> dict[str, float]:
        """The named parts of the objective at the estimates."""
        parts = _breakdown(self._unknowns_now, self.data)
        return {name: float(part) for name, part in parts}

    def covariance(
        self,
        information: InformationKind = "observed",
        dof: Literal["sample", "residual"] = "sample",
        dispersion: Literal["model", "pearson"] = "model",
        cluster: str = "row",
    ) -> Covariance:
        """The covariance of the estimates in natural units, fitted noise included.

        **Arguments:**

        - `information`: `"observed"`, the Hessian of the objective; `"expected"`, the Fisher
            information, for the NLL of a regular likelihood; or `"sandwich"`, right also where
            the likelihood is wrong about the scatter: `H^-1 (sum s s^T) H^-1` with the Hessian
            `H` and the gradients `s` of what was measured independently (Huber 1967; White 1982).
        - `dof`: `"sample"`, maximum likelihood as it is; or `"residual"`, times `n / (n - p)` for
            `n` measured values and `p` fitted parameters of the model, as regression programs
            do, for one fitted noise parameter.
        - `dispersion`: `"model"`, the scatter that the likelihood states; or `"pearson"`, times
            the mean square of the standardised residuals, `sum((y - mean)^2 / variance) / (n - p)`,
            the quasi-likelihood convention of generalised linear models (McCullagh and Nelder
            1989, section 9.2.2), for likelihoods with a variance.
        - `cluster`: for the sandwich, what was measured independently: each `"value"`, each
            `"row"` of values, or each `"experiment"` or group of several. A sandwich of fewer
            clusters than parameters, or of a few only, says little.

        Raises `ValueError` for other words, and where these do not apply.
        """
        spread = self.spread(information, dof, dispersion, cluster)
        return spread.through(np.asarray(_to_natural(self.unknowns)))

    def spread(
        self,
        information: InformationKind = "observed",
        dof: Literal["sample", "residual"] = "sample",
        dispersion: Literal["model", "pearson"] = "model",
        cluster: str = "row",
    ) -> Spread:
        """The same in the fitter's own space, with the directions that are not determined."""
        if not self.problem.objective.is_density:
            raise ValueError(
                f"The {self.problem.objective.title} has no standard errors: its curvature is not "
                "that of a likelihood. Take them from a fit of likelihax.NLL()."
            )
        if information not in ("observed", "expected", "sandwich"):
            raise ValueError(
                f'information is "observed", "expected" or "sandwich", not {information!r}.'
            )
        if dof not in ("sample", "residual"):
            raise ValueError(f'dof is "sample" or "residual", not {dof!r}.')
        if dispersion not in ("model", "pearson"):
            raise ValueError(f'dispersion is "model" or "pearson", not {dispersion!r}.')
        if dof == "residual" and dispersion == "pearson":
            raise ValueError('dispersion="pearson" already counts n - p: leave dof="residual" out.')
        if information == "sandwich" and dispersion == "pearson":
            raise ValueError("A sandwich takes the scatter from the data: leave dispersion out.")
        spread = self._spread_of(information, cluster)
        factor = 1.0 if dof == "sample" else self._residual_factor()
        factor *= 1.0 if dispersion == "model" else self.pearson_dispersion
        return spread._replace(factor=spread.factor * np.sqrt(factor))

    def standard_errors(
        self,
        information: InformationKind = "observed",
        dof: Literal["sample", "residual"] = "sample",
        dispersion: Literal["model", "pearson"] = "model",
        cluster: str = "row",
    ) -> dict[str, Any]:
        """The standard errors by name, shaped like `estimates`; see `covariance`.

        Infinite where the data do not determine the parameter.
        """
        covariance = self.covariance(information, dof, dispersion, cluster)
        return self._by_name(np.sqrt(np.diag(covariance.matrix)))

    @cached_property
    def identifiability(self) -> Identifiability:
        """Which parameters the data leave open, by the curvature at the estimates.

        Flat directions are named by what stays the same along them, as in "only a * b is
        determined". `likelihax.identify` looks further than the curvature does. Raises `ValueError`
        where the objective is not minus the logarithm of a density.
        """
        pieces = [np.shape(value) for value in self.estimates.values()]
        flat = np.concatenate([np.ravel(value) for value in self.estimates.values()])

        def evaluate(values: np.ndarray) -> float:
            cuts = np.cumsum([int(np.prod(shape)) for shape in pieces])[:-1]
            each = zip(np.split(values, cuts), pieces, strict=True)
            placed = [jnp.asarray(part.reshape(shape), flat.dtype) for part, shape in each]
            return float(_total_at(placed, self._unknowns_now, self.data))

        spread = self.spread()
        return identified(
            spread, self.unknowns, np.asarray(_to_natural(self.unknowns)), flat, evaluate
        )

    @cached_property
    def pearson_dispersion(self) -> float:
        """How much more the values scatter than the fitted likelihood says: 1 if it is right.

        `sum((y - mean)^2 / variance) / (n - p)` over the `n` measured values, with `p` fitted
        parameters of the model. Raises `ValueError` where there is no variance, or `n <= p`.
        """
        if not isinstance(self.problem.objective, NLL):
            raise ValueError("The Pearson dispersion is known for the NLL of a likelihood only.")
        noise = sum(len(label.elements) for label in self._noise_labels())
        fitted = sum(len(label.elements) for label in self.labels) - noise
        return pearson_dispersion(self.predictor, self.data, self.num_observed - fitted)

    def __repr__(self) -> str:
        return text_table(self)

    def _repr_html_(self) -> str:
        return html_table(self)

    def _spread_of(self, information: str, cluster: str) -> Spread:
        if information == "expected":
            return self._expected
        return self._observed if information == "observed" else self._sandwich(cluster)

    @cached_property
    def _observed(self) -> Spread:
        if not np.isfinite(self.nll):
            return self._nothing_known()
        return spread_of_hessian(np.asarray(_hessian(self.unknowns, self.data)))

    @cached_property
    def _expected(self) -> Spread:
        if not self.problem.has_curvature:
            raise ValueError(
                "The expected information is known for the NLL of a regular likelihood only: "
                'ask for information="observed".'
            )
        if not np.isfinite(self.nll):
            return self._nothing_known()
        return spread_of_rows(np.asarray(_rows(self.unknowns, self.data)))

    def _sandwich(self, cluster: str) -> Spread:
        objective = self.problem.objective
        if not isinstance(objective, NLL) or objective.weights is not None:
            raise ValueError(
                "A sandwich needs the gradient of each measured value, which is known for NLL() "
                "alone, without weights and terms."
            )
        if not isinstance(cluster, str):
            raise ValueError(f'cluster is "value", "row" or a kind of groups, not {cluster!r}.')
        shape = self.data.values.shape
        event = self.predictor.likelihood.event_ndim
        width = int(np.prod(shape[1 : len(shape) - event]))
        of_value, count = clusters(self.data, cluster, width)
        if not np.isfinite(self.nll):
            return self._nothing_known()
        each = _scores(self.unknowns, self.data, jnp.asarray(of_value), count)
        return self._observed.sandwiched(np.asarray(each))

    @property
    def _unknowns_now(self) -> Unknowns:
        # Where a weight is a schedule, the last usable point is the one that was kept.
        usable = np.flatnonzero(np.isfinite(self.history))
        now = self.unknowns.objective.at(int(usable[-1]) if usable.size else 0)
        return Unknowns(self.unknowns.predictor, now)

    def _nothing_known(self) -> Spread:
        return nothing_known(int(self.record.theta.size))

    def _residual_factor(self) -> float:
        noise = self._noise_labels()
        if sum(len(label.elements) for label in noise) != 1:
            raise ValueError(
                'dof="residual" is the convention for one fitted noise parameter; this fit has '
                f"{sum(len(label.elements) for label in noise)}."
            )
        count = self.num_observed
        fitted = sum(len(label.elements) for label in self.labels) - 1
        if count <= fitted:
            raise ValueError(f"{count} measured values leave no residual degrees of freedom.")
        return count / (count - fitted)

    def _noise_labels(self) -> list[Label]:
        return [label for label in self.labels if label.path.startswith("likelihood")]

    def _by_name(self, flat: np.ndarray) -> dict[str, Any]:
        return by_name(self.labels, flat)


_unpack = eqx.filter_jit(unpack)
_natural = eqx.filter_jit(natural)
_hessian = eqx.filter_jit(observed_information)
_rows = eqx.filter_jit(expected_rows)
_scores = eqx.filter_jit(scores)
_to_natural = eqx.filter_jit(to_natural)


@eqx.filter_jit
def _total_at(values: list[Array], unknowns: Unknowns, data: Any) -> Array:
    placed = with_values(unknowns, values)
    total = placed.evaluate(data).total
    return jnp.where(are_inside(placed) & jnp.isfinite(total), total, jnp.inf)


@eqx.filter_jit
def _breakdown(unknowns: Unknowns, data: Any) -> list[tuple[str, Array]]:
    now = resolve(unknowns)
    # In pairs: out of a compiled function, a dictionary would come sorted by its names.
    return list(now.objective.breakdown(now.predictor, data).items())
