"""Noise learned from the errors on rows that were left out, and the mean weighed by it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from ..._parameters import constrained, resolve
from ..._predictor import Predictor
from ...data import AbstractData, Dataset
from ...fits import BFGS, AbstractMethod, Fit, fit
from ...fits._folds import without
from ...likelihoods import StudentT, predicted
from ...objectives import NLL, AbstractObjective
from ...terms import Prior
from ._cross_fit import CrossFit, cross_fit
from ._ensemble import Ensemble
from ._fit_each import fit_each

# Parts of the errors where these are all of one fold.
_FIFTHS = 5


class MeanAndNoise(eqx.Module):
    """A model of what is expected, and one of the logarithm of a scale, as one model of both.

    **Attributes:**

    - `mean`, `log_scale`: called with the same arguments, they give arrays of one shape.
    """

    mean: Any
    log_scale: Any

    def __call__(self, *arguments: Any) -> Array:
        """Location and log-scale along a last axis, as `StudentT(predicted(), ...)` takes them."""
        return jnp.stack([self.mean(*arguments), self.log_scale(*arguments)], axis=-1)


@dataclass(frozen=True, eq=False, repr=False)
class NoiseLeftOut:
    """Fits of what is expected, weighed by a noise that is that of rows left out.

    **Attributes:**

    - `fits`: the last fits of the mean to all rows, with the noise of every row known.
    - `noises`: the fit of the noise that belongs to each.
    - `left_out`: the last fits of the mean without each fold.
    - `noise_left_out`: fits of the noise of the first, each without the errors of a fold.
    """

    fits: tuple[Fit, ...]
    noises: tuple[Fit, ...]
    left_out: CrossFit
    noise_left_out: CrossFit

    @cached_property
    def predictors(self) -> tuple[Predictor, ...]:
        """For each fit, mean and noise as one: `MeanAndNoise` with a `StudentT`."""
        return tuple(map(_together, self.fits, self.noises))

    @property
    def predictor(self) -> Predictor:
        """The first of them."""
        return self.predictors[0]

    @property
    def ensemble(self) -> Ensemble:
        """All of them as one, each with the same weight."""
        return Ensemble(list(self.predictors))

    @property
    def errors(self) -> np.ndarray:
        """What each row left out is off by, in the units of the values; NaN for all others."""
        return _errors(self.left_out)

    @cached_property
    def held_out(self) -> float:
        """The mean NLL of the rows left out, in nats a value: what to expect of new rows.

        Neither the mean nor the noise of a row has been fitted to it.
        """
        found = self.noise_left_out
        return float(np.sum(found.nll, dtype=float)) / found.data.num_observed

    def __repr__(self) -> str:
        return (
            f"Noise of rows left out, for {len(self.fits)} fits: {self.held_out:.4g} nats a value "
            f"to expect\n{self.left_out!r}"
        )


def noise_left_out(
    fits: Fit | Sequence[Fit],
    left_out: CrossFit,
    noise: Callable[[Predictor], Any],
    *,
    rounds: int = 2,
    penalty: AbstractObjective | None = None,
    method: AbstractMethod | None = None,
    progress: bool | None = None,
) -> NoiseLeftOut:
    r"""Learns noise that is not alike everywhere, without being too sure of it.

    A flexible model is closer to the rows it was fitted to than to any others, and a scale learned
    beside it is too small; learned together from nothing, one may keep the other from being found.
    Here the mean comes first. Its errors on rows left out are then fitted by

    $$y - \hat\mu_{-i}(x) \sim \mathrm{StudentT}(\nu, 0, e^{g(x)}),$$

    the mean is fitted anew with the noise of every row known, and so on: iteratively reweighted
    least squares, cross-fitted, with Student's t in place of Normal.

    **Arguments:**

    - `fits`: to a `Dataset`, of a model that predicts the mean alone, its noise alike everywhere:
        for instance `Normal(positive(1.0))`. Or several that differ in how they began, for an
        ensemble.
    - `left_out`: what `cross_fit` found with the same objective, from a beginning of its own.
    - `noise`: from the predictor of the mean to where the model $g$ of the log-scale begins, which
        takes the same arguments. It may use the mean's own hidden layer.
    - `rounds`: how often the mean is fitted anew.
    - `penalty`: what is added to the NLL of the noise, beside the prior of $\nu$,
        $\mathrm{Gamma}(2, 0.1)$ above 2 (M. Juarez and M. Steel 2010, "Model-based clustering of
        non-Gaussian panel data based on skew-t distributions", J. Bus. Econ. Stat. 28).
    - `method`: how the mean is fitted anew, and the noise; by default as `fits` were, and `BFGS`.
    - `progress`: whether to show bars; by default in a terminal or a notebook.

    Raises `ValueError` for arguments that cannot be right, and where the noise cannot be fitted.
    How the last fits ended is in `fits`, `noises` and `left_out.refits`.
    """
    known = _checked(fits, left_out, rounds)
    data, objective = known[0].data, known[0].problem.unknowns.objective
    again: dict[str, Any] = {"method": method or known[0].method, "progress": progress}
    asked = lambda one: _asked(one.predictor, noise, left_out, penalty)
    for _ in range(rounds):
        weighed = _weighed(_noise(asked(known[0]), method))
        starts = [Predictor(one.model, weighed) for one in left_out.predictors]
        left_out = cross_fit(objective, starts, data, folds=left_out.folds, **again)
        starts = [Predictor(one.predictor.model, weighed) for one in known]
        refits = fit_each(objective, starts, data, **again)
        known = tuple(refits.fit(i) for i in range(len(known)))
    each = [asked(one) for one in known]
    noises = tuple(_noise(one, method) for one in each)
    folds = _folds(left_out)
    unseen = cross_fit(*each[0], folds=folds, method=method or BFGS(), progress=progress)
    return NoiseLeftOut(known, noises, left_out, unseen)


def _checked(fits: Any, left_out: Any, rounds: int) -> tuple[Fit, ...]:
    known = (fits,) if isinstance(fits, Fit) else tuple(fits)
    if not known or not all(isinstance(one, Fit) for one in known):
        raise ValueError("noise_left_out: give a fit of what is expected, or several of them.")
    first = known[0]
    if not isinstance(first.data, Dataset):
        raise ValueError(
            f"noise_left_out: it is for tables, and this fit is of {type(first.data).__name__}."
        )
    if not isinstance(left_out, CrossFit):
        raise ValueError(
            f"noise_left_out: left_out must be what cross_fit returns, got "
            f"{type(left_out).__name__}."
        )
    if not all(eqx.tree_equal(each.data, first.data) for each in (*known[1:], left_out)):
        raise ValueError("noise_left_out: fits and left_out must be of the same data.")
    if np.sum(left_out.folds >= 0) < 2:
        raise ValueError(
            "noise_left_out: one row was left out, and no noise can be learned from one error: "
            "leave out more of them."
        )
    if first.predictor.likelihood.num_outputs != 1:
        raise ValueError(
            f"noise_left_out: the model predicts {first.predictor.likelihood.num_outputs} numbers "
            "a value, and its noise is learned here: let it predict the mean alone, with a "
            "likelihood such as Normal(likelihax.positive(1.0))."
        )
    if rounds < 0:
        raise ValueError(f"noise_left_out: rounds must be 0 or more, got {rounds}.")
    return known


def _dof(predictor: Predictor) -> Any:
    likelihood: Any = predictor.likelihood
    return likelihood.dof


def _errors(left_out: CrossFit) -> np.ndarray:
    seen = np.asarray(left_out.data.observed)
    return np.where(seen, np.asarray(left_out.data.values) - left_out.predictions, np.nan)


def _folds(left_out: CrossFit) -> np.ndarray:
    """Which errors are left out together: those of a fold, or fifths where there is one fold."""
    seen = left_out.folds >= 0
    if np.any(left_out.folds > 0):
        return left_out.folds
    return np.where(seen, (np.cumsum(seen) - 1) % min(_FIFTHS, int(seen.sum())), -1)


class _Asked(NamedTuple):
    """What is fitted to the errors on rows left out."""

    objective: AbstractObjective
    start: Predictor
    table: AbstractData


def _asked(
    mean: Predictor,
    noise: Callable[[Predictor], Any],
    left_out: CrossFit,
    penalty: AbstractObjective | None,
) -> _Asked:
    data: Any = left_out.data
    number = lambda x: np.asarray(x, data.values.dtype)[()]
    dof = constrained(number(5.0), constraints.greater_than(2.0))
    start = Predictor(noise(mean), StudentT(predicted(), dof, loc=number(0.0)))
    errors = _errors(left_out)
    seen = np.isfinite(errors)
    table = without(data, ~seen).with_values(jnp.asarray(np.where(seen, errors, 0.0)))
    objective = NLL() + Prior(_dof, dist.Gamma(number(2.0), number(0.1)))
    return _Asked(objective if penalty is None else objective + penalty, start, table)


def _noise(asked: _Asked, method: AbstractMethod | None) -> Fit:
    found = fit(*asked, method=method or BFGS(), throw=False, progress=False)
    if not np.isfinite(found.nll):
        raise ValueError(f"noise_left_out: the noise could not be fitted. {found.message}")
    return found


def _weighed(noise: Fit) -> StudentT:
    """The likelihood of every row, its noise known."""
    found = resolve(noise.predictor)
    said: Any = found.predictive(noise.data)
    return StudentT(said.scale, _dof(found))


def _together(mean: Fit, noise: Fit) -> Predictor:
    both = MeanAndNoise(mean.predictor.model, noise.predictor.model)
    return Predictor(both, StudentT(predicted(), _dof(resolve(noise.predictor))))
