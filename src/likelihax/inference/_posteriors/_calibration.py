"""Simulation-based calibration: whether posteriors hold what was drawn from the prior."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro import handlers

from ..._keys import check_key
from ..._parameters import trainable_values
from ..._progress import Progress
from ..._result import RESULTS
from ...data import AbstractData
from ...objectives import AbstractObjective, Unknowns
from ...objectives._objective import varied
from .._drawn_values import drawn_values
from ._numpyro_model import draw
from ._posterior import Posterior
from ._priors import check_proper, stated_priors
from ._sample import sample

_NAME = "simulation_based_calibration"
# Ranks are whole numbers from 0 to this: one less than a power of two, to fall into equal bins.
_LARGEST = 127
# A bin of fewer expected ranks than this is too small for the chi-square.
_EXPECTED = 5


@dataclass(frozen=True, eq=False, repr=False)
class Ranks:
    """Where each number drawn from the prior lies among the draws of its posterior.

    **Attributes:**

    - `names`: what the numbers are called.
    - `ranks`: how many of `largest` posterior draws are below, shape `(simulations, numbers)`: all
        equally likely if the posterior, the sampler and the simulated data go together.
    - `largest`: how many draws each was compared with.
    - `unsolved`: at how many draws of the prior the model could not be solved; left out.
    - `failed`: how many posteriors could not be sampled; left out.
    - `few`: in how many the draws were worth fewer independent ones than `largest`: their ranks lie
        too often at the ends.
    """

    names: tuple[str, ...]
    ranks: np.ndarray
    largest: int
    unsolved: int
    failed: int
    few: int

    @property
    def bins(self) -> int:
        """Into how many bins the ranks go for the test: a power of two."""
        most = max(len(self.ranks) // _EXPECTED, 2)
        return min(2 ** int(np.log2(most)), 16)

    @cached_property
    def counts(self) -> np.ndarray:
        """How many ranks fall into each of `bins` bins, shape `(numbers, bins)`."""
        which = self.ranks * self.bins // (self.largest + 1)
        return np.stack([np.bincount(column, minlength=self.bins) for column in which.T])

    @cached_property
    def p_values(self) -> np.ndarray:
        r"""The $\chi^2$ test that all bins are equally likely, for each number."""
        from scipy.stats import chisquare

        return np.asarray(chisquare(self.counts, axis=1).pvalue)

    @cached_property
    def location(self) -> np.ndarray:
        """The mean rank less what it should be, in its standard errors: -, posteriors too high."""
        share = (self.ranks + 0.5) / (self.largest + 1)
        return np.asarray((np.mean(share, axis=0) - 0.5) * np.sqrt(12 * len(self.ranks)))

    def __repr__(self) -> str:
        width = max(len(name) for name in ("number", *self.names))
        lines = [
            f"Simulation-based calibration: {len(self.ranks)} simulations, ranks 0 to "
            f"{self.largest} in {self.bins} bins",
            f"{'number':{width}}  mean rank [se]  p of equal bins",
        ]
        for name, place, p in zip(self.names, self.location, self.p_values, strict=True):
            lines.append(f"{name:{width}}  {place:14.2f}  {p:15.3f}")
        if self.unsolved:
            lines.append(
                f"{self.unsolved} draws of the prior could not be solved, and are left out"
            )
        if self.failed:
            lines.append(f"{self.failed} posteriors could not be sampled: left out")
        if self.few:
            lines.append(
                f"in {self.few} the draws are worth fewer than {self.largest} independent ones: "
                "draw more"
            )
        return "\n".join(lines)


def simulation_based_calibration(
    objective: AbstractObjective,
    predictor: Any,
    data: AbstractData,
    *,
    key: Array,
    num: int = 100,
    draws: int = 256,
    chains: int = 2,
    warmup: int | None = None,
    centred: bool = False,
    progress: bool | None = None,
) -> Ranks:
    """Draws parameters from the prior, data from them, and asks each posterior where they lie.

    Over many simulations their ranks among the posterior's draws are uniform, whatever the model,
    if the sampler is right (Talts, Betancourt, Simpson, Vehtari and Gelman 2018, "Validating
    Bayesian inference algorithms with simulation-based calibration", arXiv:1804.06788). One
    compilation serves all.

    **Arguments:**

    - `objective`: an NLL and a proper prior on every fitted number.
    - `predictor`, `data`: as for `fit`; of the data only where it was measured counts.
    - `key`: a JAX random key.
    - `num`: how many simulations.
    - `draws`, `chains`, `warmup`, `centred`: as for `likelihax.sample`; thinned to 127 in all.
    - `progress`: whether to show a bar; by default in a terminal or a notebook.

    Raises `ValueError` for improper priors, too few draws, and as `likelihax.sample` does.
    """
    check_key(key, _NAME)
    if num < 2 * _EXPECTED:
        raise ValueError(f"{_NAME}: num is {num}: give {2 * _EXPECTED} simulations or more.")
    if draws * chains < _LARGEST:
        raise ValueError(
            f"{_NAME}: {chains} chains of {draws} draws are fewer than the {_LARGEST} that each "
            "number is compared with: draw more."
        )
    unknowns = Unknowns(varied(predictor, data), objective)
    check_proper(unknowns, stated_priors(unknowns))
    labels = Posterior(objective, predictor, data, centred=centred).labels
    simulate = jax.jit(lambda key: _simulated(key, objective, predictor, data))
    ranks, unsolved, failed, few = [], 0, 0, 0
    with Progress(num, "simulations", progress) as bar:
        for i, one in enumerate(jax.random.split(key, num)):
            of_data, of_draws = jax.random.split(one)
            with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
                truth, values, solved, drawn = simulate(of_data)
            if not solved:
                unsolved += 1
                continue
            posterior = Posterior(objective, drawn, _measured(data, values), centred=centred)
            words: Any = {"warmup": warmup, "progress": False, "throw": False}
            try:
                found = sample(posterior, key=of_draws, num=draws, chains=chains, **words)
            except ValueError:
                failed += 1
                continue
            each = found.natural.reshape(-1, truth.size)
            thinned = each[:: len(each) // _LARGEST][:_LARGEST]
            ranks.append(np.sum(thinned < np.asarray(truth), axis=0))
            worth = min(float(np.min(ess)) for ess in found.ess_bulk.values())
            few += worth < _LARGEST
            bar.update(i + 1, "")
    if not ranks:
        raise ValueError(
            f"{_NAME}: nothing to compare: of {num} simulations {unsolved} could not be solved, "
            f"{failed} not sampled. State narrower priors."
        )
    names = tuple(name for label in labels for name in label.elements)
    return Ranks(names, np.stack(ranks), _LARGEST, unsolved, failed, few)


def _simulated(
    key: Array, objective: AbstractObjective, predictor: Any, data: AbstractData
) -> tuple[Array, Array, Array, Any]:
    """Natural numbers from the prior, values measured with them, and whether that was possible."""
    of_prior, of_values = jax.random.split(key)
    with handlers.seed(rng_seed=of_prior):
        drawn = draw(predictor, objective, data)
    result = drawn.predict(data).result
    values = drawn_values(objective, drawn, data, of_values, again=False)
    values = values.astype(data.values.dtype)
    solved = jnp.asarray(result == RESULTS.successful) & jnp.all(
        jnp.where(data.observed, jnp.isfinite(values), True)
    )
    truth = jnp.concatenate([jnp.ravel(value) for value in trainable_values(drawn)])
    return truth, values, solved, drawn


def _measured(data: AbstractData, values: Array) -> AbstractData:
    """The data, what was measured replaced by what was simulated."""
    kept = jnp.where(data.observed, values, data.values)
    return data.with_values(kept)
