"""What residuals of physics buy: a pendulum's damping, a start for shooting, a scale that tells.

The pendulum is the example's, over many draws of its thirty angles. Its damping is fitted with the
balance of energy, without (a curve first, the damping from it afterwards), and with the whole
equation of motion. The lynxes and hares are the other example's. Logistic growth, its noise known,
is fitted by collocation to the right equation and to one without a limit.
"""

import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.stats import chi2

import likelihax as lhx

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SEEDS = range(20)
# The optimum of lynx and hare, which SciPy's L-BFGS-B finds too (see benchmarks.speed).
NLL = -42.74056
RATES = {"growth": 0.5400, "predation": 0.02716, "death": 0.7966, "conversion": 0.02370}
TIMES = np.linspace(0.0, 8.0, 17)
NOISE = 0.1
FLOOR = 0.01  # of relative rates


class Row(NamedTuple):
    """A figure, and its bar if it has one: what it must stay below, or lie above."""

    problem: str
    figure: str
    value: float
    below: float = np.inf
    above: float = -np.inf

    @property
    def met(self) -> bool:
        """Whether it does; never where it is not a number."""
        return bool(self.above < self.value < self.below)

    def line(self) -> str:
        """As it is printed."""
        bars = [(self.below, "<"), (self.above, ">")]
        words = "".join(f"  {sign} {bar:g}" for bar, sign in bars if np.isfinite(bar))
        verdict = f"{words}  {'met' if self.met else 'NOT MET'}" if words else ""
        return f"{self.problem:12} {self.figure:52} {self.value:10.4g}{verdict}"


def example(name: str) -> Any:
    """An example as a module; it finds its neighbours as a script does."""
    if str(EXAMPLES) not in sys.path:
        sys.path.append(str(EXAMPLES))
    return import_module(name)


def pendulum(seeds: Iterable[int] = SEEDS) -> Iterator[Row]:
    """Errors of damping and speed over draws of the angles, in the three ways."""
    swing = example("pendulum")
    ways = {
        "without": swing.without_balance,
        "with": swing.with_balance,
        "whole equation": swing.by_shooting,
    }
    data = [swing.angles(seed) for seed in seeds]
    found = {name: [way(each) for each in data] for name, way in ways.items()}
    size = lambda errors: float(np.sqrt(np.mean(np.square(errors))))
    damping = {n: size([f.damping - swing.DAMPING for f in each]) for n, each in found.items()}
    speed = {n: size([f.speed_error for f in each]) for n, each in found.items()}
    bars = {"with": (damping["without"], speed["without"])}
    for name, each in found.items():
        below, slower = bars.get(name, (np.inf, np.inf))
        yield Row("pendulum", f"{name}: error of damping [1/s]", damping[name], below)
        yield Row("pendulum", f"{name}: error of speed [rad/s]", speed[name], slower)
        missed = sum(not f.fit.success for f in each)
        yield Row("pendulum", f"{name}: fits that did not converge", missed, 1)
    scales = [f.fit.estimates["scale"] / swing.FLOOR for f in found["with"]]
    yield Row("pendulum", "with: largest scale of the balance over its floor", max(scales), 1.05)
    errors = [f.fit.standard_errors()["damping"] for f in found["with"]]
    yield Row("pendulum", "with: mean standard error of damping [1/s]", float(np.mean(errors)))


def lynx_hare() -> Iterator[Row]:
    """Shooting from a round start, and from what collocation found from there."""
    animals, pelts = example("collocation"), example("lynx_hare")
    constants = np.sum(np.log(pelts.HARE + pelts.LYNX)) + 21 * np.log(2 * np.pi)
    alone, started = animals.shooting(animals.ROUND), animals.by_collocation()
    there = animals.from_there(started)
    yield Row("lynx, hare", "shooting alone: NLL above the optimum", alone.nll - constants - NLL)
    for name, value in RATES.items():
        off = abs(started.estimates[name] / value - 1)
        yield Row("lynx, hare", f"collocation: {name} off by (share)", off, 0.1)
    off = abs(there.nll - constants - NLL)
    yield Row("lynx, hare", "shooting from there: NLL off the optimum", off, 1e-4)
    off = max(abs(there.estimates[name] / value - 1) for name, value in RATES.items())
    yield Row("lynx, hare", "shooting from there: a rate off by (share)", off, 1e-3)


class Growth(eqx.Module):
    """Logistic, or exponential where there is no limit."""

    rate: Array
    limit: Array | None

    def __call__(self, t: Array, y: Array, inputs: None) -> Array:
        """The growth of a population."""
        return self.rate * y * (1.0 if self.limit is None else 1 - y / self.limit)


def growth(limit: float | None, scale: Any, seed: int) -> lhx.Fit:
    """Collocation in relative rates, to values of logistic growth of rate 1 and limit 10."""
    noise = NOISE * np.random.default_rng(seed).standard_normal(TIMES.size)
    values = 10 / (1 + 19 * np.exp(-TIMES)) + noise
    field = Growth(lhx.positive(0.5), None if limit is None else lhx.positive(limit))
    knots = np.linspace(TIMES[0], TIMES[-1], 25)
    between = np.interp(knots, TIMES, np.maximum(values, NOISE))
    curve = lhx.models.Spline(knots, between, log=True)
    model = lhx.models.Surrogate(curve, lhx.ODE(field, lhx.positive(0.5)))
    term = lhx.terms.Collocation(lhx.likelihoods.Normal(scale), quantity=_logarithm, floor=FLOOR)
    predictor = lhx.Predictor(model, lhx.likelihoods.Normal(NOISE))
    return lhx.fit(lhx.NLL() + term, predictor, lhx.Experiment(TIMES, values))


def scales(seeds: Iterable[int] = SEEDS) -> Iterator[Row]:
    """The fitted scale of the residual, of the right equation and of the wrong one."""
    significant = float(chi2.isf(0.001, 1))
    for name, limit in (("right", 8.0), ("no limit", None)):
        free = [growth(limit, lhx.positive(0.1), seed) for seed in seeds]
        held = [growth(limit, FLOOR, seed) for seed in seeds]
        scale = np.array([fit.estimates["scale"] for fit in free])
        error = np.array([fit.standard_errors()["scale"] for fit in free])
        ratio = 2 * np.array([h.nll - f.nll for h, f in zip(held, free, strict=True)])
        missed = sum(not fit.success for fit in free + held)
        yield Row("growth", f"{name}: fits that did not converge", missed, 1)
        if limit is None:
            yield Row("growth", f"{name}: smallest scale over its floor", min(scale) / FLOOR)
            above = min((scale - FLOOR) / error)
            yield Row("growth", f"{name}: least standard errors above", above, above=3)
            figure = f"{name}: smallest likelihood ratio to the floor"
            yield Row("growth", figure, min(ratio), above=significant)
        else:
            yield Row("growth", f"{name}: largest scale over its floor", max(scale) / FLOOR, 1.01)
            figure = f"{name}: largest likelihood ratio to the floor"
            yield Row("growth", figure, max(ratio), significant)


def run() -> int:
    """Prints all figures; 0 if every bar is met, else 1."""
    met = True
    for part in (pendulum, lynx_hare, scales):
        for row in part():
            print(row.line(), flush=True)
            met = met and row.met
    return 0 if met else 1


def _logarithm(t: Array, y: Array) -> Array:
    return jnp.log(y)
