"""Draws from a posterior, what they say, and whether to believe them."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._parameters import Label, by_name, trainable_values, with_values
from ...objectives import Unknowns
from ._chain import Drawn
from ._draws_table import html_table, text_table
from ._non_centred import with_natural
from ._posterior import Posterior
from ._predictive import has_likelihood, pointwise, predictive

if TYPE_CHECKING:
    from xarray import DataTree


@dataclass(frozen=True)
class Run:
    """How sampling went.

    **Attributes:**

    - `warmup`: how many draws each chain dropped.
    - `max_depth`: how often a trajectory may double.
    - `step_sizes`: of each chain, after the warm-up.
    - `warmup_divergences`: trajectories that lost the energy while warming up.
    - `leapfrogs`: how often the gradient was evaluated in all.
    - `failed_warmup`, `failed_sampling`: how many points could not be solved, and were rejected.
    - `time_reached`: the last measured time that was reached when that happened last.
    - `failures`: which of several experiments failed: how often, and that time.
    - `compile_seconds`: what tracing and compiling took; 0 where it was done before.
    - `run_seconds`: what the rest took: the mode, the warm-up and the draws, all chains.
    - `interrupted`: whether the user did.
    """

    warmup: int
    max_depth: int
    step_sizes: np.ndarray
    warmup_divergences: int
    leapfrogs: int
    failed_warmup: int
    failed_sampling: int
    time_reached: float
    failures: dict[str, tuple[int, float]]
    compile_seconds: float
    run_seconds: float
    interrupted: bool


@dataclass(frozen=True, eq=False, repr=False)
class Draws:
    """Draws of all fitted numbers, chain by chain. `print(draws)` shows them as a table.

    **Attributes:**

    - `posterior`: what was sampled.
    - `mode`: where it is highest, in the sampled coordinates, shape `(size,)`.
    - `drawn`: the draws in the sampled coordinates and NUTS's account of each.
    - `run`: how it went.
    """

    posterior: Posterior
    mode: np.ndarray
    drawn: Drawn
    run: Run

    @property
    def num_chains(self) -> int:
        """How many chains there are."""
        return int(self.drawn.potential.shape[0])

    @property
    def num_draws(self) -> int:
        """How many draws each of them has."""
        return int(self.drawn.potential.shape[1])

    @property
    def labels(self) -> tuple[Label, ...]:
        """What the fitted numbers are called."""
        return self.posterior.labels

    @cached_property
    def natural(self) -> np.ndarray:
        """All fitted numbers in natural units, shape `(chains, draws, numbers)`."""
        flat = self.drawn.z.reshape(-1, self.drawn.z.shape[-1])
        found = np.asarray(_natural(jnp.asarray(flat), self.posterior))
        return found.reshape(*self.drawn.potential.shape, -1)

    @cached_property
    def values(self) -> dict[str, np.ndarray]:
        """The draws by name, in natural units, shape `(chains, draws, *shape)`."""
        return by_name(self.labels, self.natural)

    @property
    def mean(self) -> dict[str, Any]:
        """The posterior means by name."""
        return self._by_name(self.natural.mean((0, 1)))

    @property
    def sd(self) -> dict[str, Any]:
        """The posterior standard deviations by name."""
        return self._by_name(self.natural.std((0, 1), ddof=1))

    def quantile(self, level: float) -> dict[str, Any]:
        """A posterior quantile by name; `ValueError` for a level outside (0, 1)."""
        if not 0 < level < 1:
            raise ValueError(f"quantile: the level must be in (0, 1), got {level}.")
        return self._by_name(np.quantile(self.natural, level, axis=(0, 1)))

    @cached_property
    def rhat(self) -> dict[str, Any]:
        """R-hat of split and rank-normalised chains by name: 1 where they agree.

        Vehtari, Gelman, Simpson, Carpenter and Buerkner 2021, Bayesian Analysis 16; by ArviZ.
        """
        return self._by_name(self._each(_rhat))

    @cached_property
    def ess_bulk(self) -> dict[str, Any]:
        """How many independent draws the middle is worth, by name."""
        return self._by_name(self._each(_ess_bulk))

    @cached_property
    def ess_tail(self) -> dict[str, Any]:
        """How many independent draws the 5 % and the 95 % quantile are worth, by name."""
        return self._by_name(self._each(_ess_tail))

    @cached_property
    def mcse(self) -> dict[str, Any]:
        """The Monte Carlo standard errors of the means, by name."""
        return self._by_name(self._each(_mcse))

    @property
    def ess_per_second(self) -> float:
        """The smallest bulk ESS for each second that finding the mode, warm-up and draws took."""
        smallest = min(float(np.min(each)) for each in self.ess_bulk.values())
        return smallest / self.run.run_seconds

    @property
    def failed_solves(self) -> int:
        """How many points of the trajectories, the warm-up's too, could not be solved."""
        return self.run.failed_warmup + self.run.failed_sampling

    @property
    def divergences(self) -> int:
        """How many draws' trajectories lost the energy other than by a failed solve."""
        # A failed solve ends its trajectory, and counts as a divergence for NUTS.
        return max(int(np.sum(self.drawn.diverging)) - self.run.failed_sampling, 0)

    @property
    def at_max_depth(self) -> int:
        """How many draws' trajectories were as long as they may be."""
        return int(np.sum(self.drawn.num_steps >= 2**self.run.max_depth - 1))

    @cached_property
    def predictors(self) -> Any:
        """The predictor, every fitted leaf with all draws along a first axis.

        For `equinox.filter_vmap` or `jax.lax.map` over `equinox.partition(..., is_array)`, and for
        likelihood and model by hand; draws are in the order of `natural`, chain by chain.
        """
        flat = jnp.asarray(self.natural.reshape(-1, self.natural.shape[-1]))
        unknowns = self.posterior.unknowns
        pieces, offset = [], 0
        for old in trainable_values(unknowns):
            own = flat[:, offset : offset + old.size]
            pieces.append(own.reshape(-1, *old.shape).astype(old.dtype))
            offset += old.size
        found: Unknowns = with_values(unknowns, pieces)
        return found.predictor

    @cached_property
    def predictor(self) -> Any:
        """The predictor at the posterior means, in natural units."""
        found: Unknowns = with_natural(self.natural.mean((0, 1)), self.posterior.unknowns)
        return found.predictor

    @cached_property
    def log_likelihood(self) -> np.ndarray:
        """The log-likelihood of each measured value, shape `(chains, draws, measured)`.

        The values in the order of `data.values[data.observed]`. Raises `ValueError` where the
        objective has no NLL.
        """
        flat = self.drawn.z.reshape(-1, self.drawn.z.shape[-1])
        found = pointwise(self.posterior, flat)
        return found.reshape(*self.drawn.potential.shape, -1)

    def posterior_predictive(self, key: Array) -> np.ndarray:
        """What would be measured, once for each draw: shape `(chains, draws, *values.shape)`."""
        flat = self.drawn.z.reshape(-1, self.drawn.z.shape[-1])
        found = predictive(self.posterior, flat, key)
        return found.reshape(*self.drawn.potential.shape, *found.shape[1:])

    @cached_property
    def arviz(self) -> "DataTree":
        """The draws as ArviZ takes them: see `to_arviz`."""
        return self.to_arviz()

    def to_arviz(self, *, predictive_key: Array | None = None) -> "DataTree":
        """An xarray `DataTree` with ArviZ's groups.

        `posterior`, by name; `sample_stats`; `log_likelihood` of each measured value and
        `observed_data`, one after the other; with `predictive_key` also `posterior_predictive`.
        """
        import arviz_base

        stats = {
            "lp": -self.drawn.potential,
            "energy": self.drawn.energy,
            "acceptance_rate": self.drawn.acceptance,
            "n_steps": self.drawn.num_steps,
            "tree_depth": np.ceil(np.log2(self.drawn.num_steps + 1)).astype(int),
            "diverging": self.drawn.diverging,
        }
        groups: dict[str, Any] = {
            "posterior": self.values,
            "sample_stats": stats,
        }
        dims: dict[str, list[str]] = {}
        coords: dict[str, Any] = {}
        if has_likelihood(self.posterior):
            measured = np.asarray(self.posterior.data.observed)
            groups["log_likelihood"] = {"values": self.log_likelihood}
            groups["observed_data"] = {"values": np.asarray(self.posterior.data.values)[measured]}
            if self.log_likelihood.shape[-1] == int(measured.sum()):  # no value is a vector
                dims["values"] = ["measured"]
                coords["measured"] = np.arange(int(measured.sum()))
            if predictive_key is not None:
                drawn = self.posterior_predictive(predictive_key)
                groups["posterior_predictive"] = {"values": drawn[:, :, measured]}
        for label in self.labels:
            if len(label.shape) == 1:
                dims[label.name] = [f"{label.name}_element"]
                coords[f"{label.name}_element"] = [_inside(each) for each in label.elements]
        return arviz_base.from_dict(groups, dims=dims, coords=coords)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What speaks against these draws, in words; empty where nothing does."""
        return tuple(_warnings(self))

    def __repr__(self) -> str:
        return text_table(self)

    def _repr_html_(self) -> str:
        return html_table(self)

    def _each(self, measure: Any) -> np.ndarray:
        numbers = range(self.natural.shape[-1])
        return np.array([measure(self.natural[..., i]) for i in numbers])

    def _by_name(self, flat: np.ndarray) -> dict[str, Any]:
        return by_name(self.labels, flat)


# Vehtari et al. 2021 ask for an R-hat below 1.01, and for 100 effective draws a chain.
_LARGEST_RHAT = 1.01
_FEWEST_A_CHAIN = 100


def _warnings(draws: Draws) -> list[str]:
    found = []
    if draws.run.interrupted:
        found.append("Interrupted by the user: these are the draws until then.")
    names = [name for label in draws.labels for name in label.elements]
    flat = lambda by_name: np.concatenate([np.ravel(each) for each in by_name.values()])
    rhat = flat(draws.rhat)
    bad = [name for name, one in zip(names, rhat, strict=True) if not one < _LARGEST_RHAT]
    if bad:
        found.append(
            f"The chains disagree on {_listed(bad)}: R-hat up to {np.nanmax(rhat):.3f}, where 1.01 "
            "is asked. Draw more, warm up longer, or look for several modes."
        )
    fewest = _FEWEST_A_CHAIN * draws.num_chains
    smallest = np.minimum(flat(draws.ess_bulk), flat(draws.ess_tail))
    few = [name for name, one in zip(names, smallest, strict=True) if not one >= fewest]
    if few:
        found.append(
            f"Few effective draws of {_listed(few)}: {np.nanmin(smallest):.0f}, where {fewest} are "
            "asked for means and quantiles to be trusted: draw more."
        )
    if draws.divergences:
        found.append(
            f"{draws.divergences} divergences: parts of the posterior are too narrow for the step, "
            "and may be missing. Raise target_accept, or state the model in other parameters."
        )
    if draws.run.failed_sampling:
        whose = "; ".join(
            f"{name} {count} times, last until t = {reached:.4g}"
            for name, (count, reached) in draws.run.failures.items()
        )
        where = whose or f"last until t = {draws.run.time_reached:.4g}"
        found.append(
            f"{draws.run.failed_sampling} points could not be solved and were rejected ({where}): "
            "what lies there has no weight. Allow the solver more steps, or state priors that rule "
            "it out."
        )
    if draws.at_max_depth:
        found.append(
            f"{draws.at_max_depth} trajectories were cut off at {2**draws.run.max_depth} steps: "
            "raise max_depth, or state the model in other parameters."
        )
    return found


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown


def _inside(element: str) -> str:
    """`hare` of `initial[hare]`."""
    head, bracket, rest = element.partition("[")
    return rest.rstrip("]") if bracket else head


def _rhat(each: np.ndarray) -> float:
    if each.shape[0] < 2 or not np.ptp(each):
        return math.nan if each.shape[0] < 2 else 1.0
    return float(_array_stats().rhat(each, chain_axis=0, draw_axis=1))


def _ess_bulk(each: np.ndarray) -> float:
    return float(_array_stats().ess(each, chain_axis=0, draw_axis=1, method="bulk"))


def _ess_tail(each: np.ndarray) -> float:
    return float(_array_stats().ess(each, chain_axis=0, draw_axis=1, method="tail", prob=0.9))


def _mcse(each: np.ndarray) -> float:
    return float(_array_stats().mcse(each, chain_axis=0, draw_axis=1, method="mean"))


def _array_stats() -> Any:
    from arviz_stats.base.array import array_stats

    return array_stats


@eqx.filter_jit
def _natural(z: Array, posterior: Posterior) -> Array:
    return jax.lax.map(posterior.natural, z)
