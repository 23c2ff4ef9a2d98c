"""The methods: from networks of what is expected to what they say of rows never seen."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import likelihax as lhx
from benchmarks.uci import held_out_noise
from benchmarks.uci.network import extended, last
from benchmarks.uci.training import Trained, penalised
from likelihax.likelihoods import Mixture, Normal, NormalInverseGamma, tied
from likelihax.links import Softplus

COMPONENTS = 3
CHOSEN = "chosen"


class Said(NamedTuple):
    """Predictive distributions of the test rows, and how well rows left out were told."""

    single: Any
    ensemble: Any | None
    held_out: float


class Family(NamedTuple):
    """A likelihood, and how its outputs begin: as the mean where `column` is 1, plus `others`."""

    likelihood: Any
    column: list[float]
    others: list[float]
    term: Any = None

    def objective(self, cost: float, dtype: Any) -> Any:
        """The penalised NLL, with what belongs to this family."""
        alone = penalised(cost, dtype)
        return alone if self.term is None else alone + self.term


def _learned_together(family: Family, by: Trained) -> tuple[list[lhx.Predictor], float]:
    """The networks, and the NLL of rows left out at the cost at which it is least."""
    dtype = by.split.target.dtype
    begin = lambda network: lhx.Predictor(
        extended(network, family.column, family.others), family.likelihood
    )
    given: dict[str, Any] = {"method": by.further, "progress": False}
    folds, without = by.left_out.folds, list(map(begin, by.without))
    tried = {}
    for cost in by.effort.costs:
        found = lhx.cross_fit(
            family.objective(cost, dtype), without, by.table, folds=folds, **given
        )
        tried[cost] = float(np.mean(found.nll[folds >= 0]))
    # A cost at which training fails is none to choose.
    best = min(tried, key=lambda cost: np.nan_to_num(tried[cost], nan=np.inf))
    starts = list(map(begin, by.members))
    fits = lhx.fit_each(family.objective(best, dtype), starts, by.table, **given)
    return [fits.fit(i).predictor for i in range(len(starts))], tried[best]


def _normal(by: Trained) -> Family:
    return Family(Normal(lhx.predicted()), [1.0, 0.0], [0.0, -1.0])


def _evidential(by: Trained) -> Family:
    dtype = by.split.target.dtype
    term = np.asarray(0.01, dtype)[()] * lhx.terms.MisplacedEvidence("width")
    likelihood = NormalInverseGamma(shape=tied())
    return Family(likelihood, [1.0, 0.0, 0.0], [0.0, 1.0, -1.0], term)


def _mixture(by: Trained) -> Family:
    # Where values were rounded, a component may be no narrower than what that hides: a density on
    # whole numbers has no largest value.
    least = by.rounding / math.sqrt(12.0)
    parts = [Normal(lhx.predicted(Softplus(least))) for _ in range(COMPONENTS)]
    apart = np.linspace(-0.5, 0.5, COMPONENTS)
    column = [0.0] * COMPONENTS + [1.0, 0.0] * COMPONENTS
    others = [0.0] * COMPONENTS + [number for each in apart for number in (float(each), -1.0)]
    return Family(Mixture(parts), column, others)


def _said(members: list[lhx.Predictor], held_out: float, by: Trained) -> Said:
    rows = by.split.test_features
    return Said(members[0](rows), lhx.Ensemble(members)(rows), held_out)


def _with_last_layer(by: Trained) -> dict[str, Said]:
    """Normal noise, and the same network with its last layer uncertain."""
    members, held_out = _learned_together(_normal(by), by)
    layer = lhx.last_layer(members[0], last, by.table)
    uncertain = Said(layer(by.split.test_features), None, held_out)
    return {"Normal": _said(members, held_out, by), "last layer": uncertain}


def all_of(by: Trained) -> dict[str, Said]:
    """What each method says, by its name; `chosen` is the one that told rows left out best."""
    found = _with_last_layer(by)
    found["evidential"] = _said(*_learned_together(_evidential(by), by), by)
    found["mixture"] = _said(*_learned_together(_mixture(by), by), by)
    found["noise left out"] = _said(*held_out_noise.learned(by), by)
    rivals = {name: said for name, said in found.items() if said.ensemble is not None}
    best = min(rivals, key=lambda name: np.nan_to_num(rivals[name].held_out, nan=np.inf))
    return found | {CHOSEN: rivals[best]}


def chosen_of(said: Mapping[str, Said]) -> str:
    """Which method it was."""
    return next(name for name, one in said.items() if name != CHOSEN and one is said[CHOSEN])
