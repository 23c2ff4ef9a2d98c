"""The verb: draws from a posterior by NUTS, from its mode, on all cores."""

import time
from collections import deque
from collections.abc import Sequence
from threading import Event
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._compile import Compiled, compiled
from ..._progress import Progress
from ...data import Experiments
from ...fits import Fit
from ...fits import fit as minimise
from ...fits._loop import chunk_size, note_speed
from ...fits._threads import num_cores, share_out
from ...objectives import AbstractObjective
from ._chain import (
    Account,
    Drawn,
    Settings,
    Start,
    before_any_step,
    before_any_step_of_all,
    take_steps,
    take_steps_of_all,
)
from ._draws import Draws, Run
from ._failed_solves import FailedSolves
from ._mode import DENSE_LIMIT, Mode, dispersed, find_mode
from ._posterior import Posterior

_FEWEST_CHAINS = 4
# With the mode's curvature for a mass matrix only the step size is left to find out.
_WARMUP = 200
_LONG_WARMUP = 1000


def sample(
    fit: Fit | Posterior | AbstractObjective,
    predictor: Any = None,
    data: Any = None,
    *,
    key: Array,
    num: int = 1000,
    warmup: int | None = None,
    chains: int | None = None,
    centred: bool = False,
    target_accept: float = 0.8,
    max_depth: int = 10,
    adapt_mass: bool | None = None,
    progress: bool | None = None,
    throw: bool = True,
) -> Draws:
    """Draws from the posterior of the fitted numbers, by the No-U-Turn sampler.

    NumPyro's NUTS (Hoffman and Gelman 2014, JMLR 15), each chain from a draw of the Normal
    approximation at the posterior's mode, whose covariance is the mass matrix.

    **Arguments:**

    - `fit`: a `Fit` of an objective with a prior on every fitted number, a `Posterior`; or the
        objective itself, with `predictor` and `data`, which is then fitted first.
    - `key`: a JAX random key.
    - `num`: how many draws to keep in each chain.
    - `warmup`: how many to make and drop before, while the step size is adapted: by default 200,
        and 1,000 where the mass matrix has to be found as well.
    - `chains`: how many; by default four, or one a core where there are more.
    - `centred`: whether numbers whose prior has a fitted centre are sampled as they are; see
        `Posterior`.
    - `target_accept`: the mean acceptance that the step size is adapted to; higher is slower and
        diverges less.
    - `max_depth`: at most `2**max_depth` leapfrog steps a draw.
    - `adapt_mass`: whether to adapt the mass matrix too; by default where the curvature at the mode
        is not to be had.
    - `progress`: whether to show a bar; by default in a terminal or a notebook.
    - `throw`: whether to raise where the fit failed or no mode was found. If not, chains start from
        the best point there is.

    Raises `ValueError` where a number has no prior or a prior cannot be meant; see `Posterior`. A
    user's interruption ends the chains with the draws that each of them has.
    """
    settings = _settings(num, warmup, target_accept, max_depth)
    if chains is not None and chains < 1:
        raise ValueError(f"sample: chains={chains}: give one or more.")
    posterior, start, before = _posterior(fit, predictor, data, centred, throw, progress)
    mode, evaluate = find_mode(posterior, start)
    _check_mode(mode, throw)
    dense = mode.z.size <= DENSE_LIMIT
    if adapt_mass is None:
        adapt_mass = not (mode.found and dense)
    if warmup is None:
        settings = settings._replace(warmup=_LONG_WARMUP if adapt_mass else _WARMUP)
    settings = settings._replace(adapt_mass=adapt_mass)
    count = max(_FEWEST_CHAINS, num_cores()) if chains is None else chains
    for_starts, for_chains = jax.random.split(key)
    began = time.perf_counter()
    places = dispersed(mode, evaluate, for_starts, count)
    starting = time.perf_counter() - began
    mass = mode.covariance if dense else np.ones(mode.z.size)
    words = np.asarray(jax.random.bits(for_chains, (count, 2), jnp.uint32))
    names = posterior.data.names if isinstance(posterior.data, Experiments) else ()
    with FailedSolves(names) as failed:
        dtype = start.dtype
        each = [
            Start(
                z=jnp.asarray(places.z[i], dtype),
                value=jnp.asarray(places.value[i], dtype),
                gradient=jnp.asarray(places.gradient[i], dtype),
                inverse_mass=jnp.asarray(mass, dtype),
                key=jnp.asarray(words[i]),
                ticket=jnp.asarray(failed.ticket),
            )
            for i in range(count)
        ]
        ran = run_chains(each, posterior, settings, progress)
    return _draws(posterior, mode, settings, ran, failed, before, starting)


class Before(NamedTuple):
    """What fitting took, in seconds."""

    compile_seconds: float = 0.0
    run_seconds: float = 0.0


class Ran(NamedTuple):
    """All chains, what compiling and running took, and whether the user interrupted."""

    drawn: Drawn
    accounts: list[Account]
    compile_seconds: float
    run_seconds: float
    interrupted: bool


def _settings(num: int, warmup: int | None, target: float, max_depth: int) -> Settings:
    if num < 4:
        raise ValueError(f"sample: num={num}: give 4 draws or more.")
    if warmup is not None and warmup < 1:
        raise ValueError(f"sample: warmup={warmup}: give 1 or more.")
    if not 0 < target < 1:
        raise ValueError(f"sample: target_accept={target}: it must be between 0 and 1.")
    if max_depth < 1:
        raise ValueError(f"sample: max_depth={max_depth}: give 1 or more.")
    beside = jax.default_backend() != "cpu"
    return Settings(num, warmup or _WARMUP, target, max_depth, False, beside)


def _posterior(
    given: Any, predictor: Any, data: Any, centred: bool, throw: bool, progress: bool | None
) -> tuple[Posterior, Array, Before]:
    """The posterior, where to look for its mode, and what it took to get there."""
    if isinstance(given, Fit | Posterior) and (predictor is not None or data is not None):
        raise ValueError(
            f"sample: a {type(given).__name__} has its predictor and data: give them with an "
            "objective only."
        )
    if isinstance(given, Posterior):
        return given, given.start(), Before()
    if isinstance(given, Fit):
        if throw and not given.success:
            raise ValueError(
                f"sample: the fit did not converge. {given.message} Mend that first; or give "
                "throw=False, to sample from where it ended all the same."
            )
        posterior = Posterior.of(given, centred=centred)
        return posterior, posterior.start(), Before()
    if not isinstance(given, AbstractObjective):
        raise ValueError(
            f"sample: expected a Fit, a Posterior, or an objective with a predictor and data, got "
            f"{type(given).__name__}."
        )
    posterior = Posterior(given, predictor, data, centred=centred)
    if posterior.standardised:
        # The joint mode in natural units is where the spread is zero: nowhere to start from.
        return posterior, posterior.start(), Before()
    found = minimise(given, predictor, data, progress=progress, throw=throw)
    took = Before(found.compile_seconds, found.run_seconds)
    if not np.isfinite(found.nll):
        return posterior, posterior.start(), took
    at_fit = Posterior(given, found.predictor, data, centred=centred)
    return at_fit, at_fit.start(), took


def _check_mode(mode: Mode, throw: bool) -> None:
    if not np.isfinite(mode.value):
        raise ValueError(
            "sample: the posterior cannot be evaluated at the start, or has no density there: "
            "start elsewhere, or fit first and give the fit."
        )
    if throw and not mode.found:
        why = (
            f"the search ended {mode.distance:.2g} standard deviations from one"
            if mode.definite
            else "in some directions it does not fall off"
        )
        raise ValueError(
            f"sample: no mode of the posterior was found: {why}. Start nearer, state narrower "
            "priors, or look whether the data determine the parameters at all; or give "
            "throw=False, to sample from the best point all the same."
        )


def run_chains(
    starts: Sequence[Start], posterior: Posterior, settings: Settings, progress: bool | None
) -> Ran:
    """All chains, on threads, or side by side where the hardware is for that."""
    if settings.side_by_side:
        return _side_by_side(starts, posterior, settings, progress)
    # NumPyro adds whole numbers to floating ones.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        chunk, arrays, fresh = compiled(
            take_steps, starts[0], posterior, settings, initial=before_any_step
        )
    began = time.perf_counter()
    chains = [_Chain(chunk, [*jax.tree.leaves(one), *arrays[len(one) :]]) for one in starts]
    turns = deque(chains)

    def take_turns(_: int, stop: Event) -> None:
        # In turn, so that where there are fewer threads an interruption leaves all chains as long.
        while not stop.is_set():
            try:
                chain = turns.popleft()
            except IndexError:  # every other chain is under way, or done
                return
            chain.go_on()
            if chain.steps < settings.steps:
                turns.append(chain)

    total = settings.steps * len(chains)
    with Progress(total, "sample", progress) as bar:
        glance = lambda: bar.update(sum(one.steps for one in chains), f"{len(chains)} chains")
        interrupted = share_out(take_turns, range(len(chains)), None, glance)
    stacked: Any = (np.stack(each) for each in zip(*(one.drawn for one in chains), strict=True))
    drawn = Drawn(*stacked)
    seconds = time.perf_counter() - began
    accounts = [one.account for one in chains]
    return Ran(drawn, accounts, chunk.seconds if fresh else 0.0, seconds, interrupted)


class _Chain:
    """A chain for itself, which goes on by a chunk of steps at a time."""

    def __init__(self, chunk: Compiled, arrays: list[Any]):
        self._chunk, self._arrays, self._carry = chunk, arrays, chunk.carry
        self.steps = 0

    def go_on(self) -> None:
        size = chunk_size(self._chunk.notes)
        before = time.perf_counter()
        self._carry = self._chunk(self._arrays, self._carry, np.asarray(self.steps + size))
        taken = int(self.account.steps) - self.steps
        note_speed(self._chunk.notes, time.perf_counter() - before, taken)
        self.steps += taken

    @property
    def account(self) -> Account:
        return self._unpacked(0)

    @property
    def drawn(self) -> Drawn:
        return self._unpacked(2)

    def _unpacked(self, part: int) -> Any:
        return self._chunk.packings[part].unpack(jax.device_get(self._carry[part]))


def _side_by_side(
    starts: Sequence[Start], posterior: Posterior, settings: Settings, progress: bool | None
) -> Ran:
    stacked = jax.tree.map(lambda *each: jnp.stack(each), *starts)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        chunk, arrays, fresh = compiled(
            take_steps_of_all, stacked, posterior, settings, initial=before_any_step_of_all
        )
    began = time.perf_counter()
    carry, steps, interrupted = chunk.carry, 0, False
    with Progress(settings.steps, "sample", progress) as bar:
        try:
            while steps < settings.steps:
                size = chunk_size(chunk.notes)
                before = time.perf_counter()
                carry = chunk(arrays, carry, np.asarray(steps + size))
                account = chunk.packings[0].unpack(jax.device_get(carry[0]))
                taken = int(np.min(account.steps)) - steps
                note_speed(chunk.notes, time.perf_counter() - before, taken)
                steps += taken
                bar.update(steps, f"{len(starts)} chains")
        except KeyboardInterrupt:
            interrupted = True
    account = chunk.packings[0].unpack(jax.device_get(carry[0]))
    drawn = Drawn(*chunk.packings[2].unpack(jax.device_get(carry[2])))
    each = [Account(*(part[i] for part in account)) for i in range(len(starts))]
    seconds = time.perf_counter() - began
    return Ran(drawn, each, chunk.seconds if fresh else 0.0, seconds, interrupted)


def _draws(
    posterior: Posterior,
    mode: Mode,
    settings: Settings,
    ran: Ran,
    failed: FailedSolves,
    before: Before,
    starting: float,
) -> Draws:
    done = min(int(account.steps) for account in ran.accounts) - settings.warmup
    if done < 4:  # interrupted while warming up: there is nothing to return
        raise KeyboardInterrupt
    kept: Any = (np.asarray(each)[:, :done] for each in ran.drawn)
    drawn = Drawn(*kept)
    run = Run(
        warmup=settings.warmup,
        max_depth=settings.max_depth,
        step_sizes=np.array([float(account.step_size) for account in ran.accounts]),
        warmup_divergences=sum(int(account.warmup_divergences) for account in ran.accounts),
        leapfrogs=sum(int(account.leapfrogs) for account in ran.accounts),
        failed_warmup=failed.warmup,
        failed_sampling=failed.sampling,
        time_reached=failed.time_reached,
        failures=dict(failed.by_experiment),
        compile_seconds=before.compile_seconds + mode.compile_seconds + ran.compile_seconds,
        run_seconds=before.run_seconds + mode.run_seconds + starting + ran.run_seconds,
        interrupted=ran.interrupted,
    )
    return Draws(posterior, mode.z, drawn, run)
