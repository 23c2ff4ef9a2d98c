"""What every method begins with: networks of what is expected, noise taken to be alike everywhere.

A mean and a scale that are learned together from nothing stall where the scale explains what the
mean has not found yet (M. Seitzer and others 2022, "On the pitfalls of heteroscedastic uncertainty
estimation with probabilistic neural networks", ICLR 10). So the mean comes first.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from scipy import stats

import likelihax as lhx
from benchmarks.uci.network import Network, fresh, weights
from benchmarks.uci.sets import MANY, Matrix, Rows, Set, Split
from benchmarks.uci.sets import split as split_of
from likelihax.inference import CrossFit
from likelihax.likelihoods import Normal


class Effort(NamedTuple):
    """How much is done, whatever the set.

    - `first`, `further`: steps of training for what is expected, and of whatever comes after.
    - `rounds`: how often the noise is learned anew.
    - `costs`: of the weights, among which rows that were left out decide; 1 is a Normal prior of
        variance 1 for each.
    - `members`: of an ensemble, the first of which is the single network.
    """

    first: int = 600
    further: int = 400
    rounds: int = 2
    costs: tuple[float, ...] = (0.3, 1.0, 3.0)
    members: int = 5


class Trained(NamedTuple):
    """Networks of what is expected.

    - `rounding`: of the target, in the units of its spread.
    - `cost`: of the weights, as it was chosen.
    - `fits`: to all training rows, from several beginnings.
    - `left_out`: without each fold.
    """

    split: Split
    effort: Effort
    rounding: float
    cost: float
    fits: list[lhx.Fit]
    left_out: CrossFit

    @property
    def members(self) -> list[Network]:
        """The networks of all training rows."""
        return [fit.predictor.model for fit in self.fits]

    @property
    def without(self) -> list[Network]:
        """The network without each fold."""
        return [one.model for one in self.left_out.predictors]

    @property
    def table(self) -> lhx.Dataset:
        """The training rows."""
        return self.left_out.data

    @property
    def further(self) -> lhx.BFGS:
        """How training goes on."""
        return lhx.BFGS(max_steps=self.effort.further)


def expected(of: Set, number: int, effort: Effort) -> Trained:
    """Trains them, at the cost of weights at which rows left out are predicted best."""
    split = split_of(of, number)
    folds = _folds(len(split.target), number)
    count = int(folds.max()) + 1
    inputs, dtype = split.features.shape[1], split.target.dtype
    keys = jax.random.split(jax.random.key(number), count + effort.members)
    begun = [_constant(fresh(inputs, of.width, dtype, key), dtype) for key in keys]
    method = lhx.BFGS(max_steps=effort.first)
    table = lhx.Dataset(split.features, split.target)
    tried = {
        cost: lhx.cross_fit(
            penalised(cost, dtype), begun[:count], table, folds=folds, method=method, progress=False
        )
        for cost in effort.costs
    }
    away = {cost: _constant_nll(split.target - found.predictions) for cost, found in tried.items()}
    best = min(away, key=lambda cost: away[cost])
    fits = lhx.fit_each(penalised(best, dtype), begun[count:], table, method=method, progress=False)
    members = [fits.fit(i) for i in range(effort.members)]
    return Trained(split, effort, of.rounding, best, members, tried[best])


def penalised(cost: float, dtype: Any) -> Any:
    """The NLL with a Normal prior on the weights."""
    return lhx.NLL() + np.asarray(cost, dtype)[()] * lhx.terms.L2(weights)


def _folds(rows: int, seed: int) -> Rows:
    """Fifths of the rows; of many, a single fifth that is left out, and what is always kept."""
    folds = np.random.default_rng(seed).permutation(rows) % 5
    return np.where(folds == 0, 0, -1) if rows > MANY else folds


def _constant(network: Network, dtype: Any) -> lhx.Predictor:
    return lhx.Predictor(network, Normal(lhx.positive(np.asarray(0.3, dtype))))


def _constant_nll(errors: Matrix) -> float:
    """The mean NLL of errors under the Student's t of constant scale that suits them best."""
    seen = np.asarray(errors[np.isfinite(errors)], float)
    return float(-np.mean(stats.t.logpdf(seen, *stats.t.fit(seen, floc=0.0))))
