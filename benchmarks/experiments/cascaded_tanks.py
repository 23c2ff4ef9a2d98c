"""Cascaded tanks: physics alone, and with a learned part, simulated on data not fitted.

A pump fills the upper of two tanks, which empties into the lower one, whose level is measured (M.
Schoukens and J. P. Noel 2017, "Three benchmarks addressing open challenges in nonlinear system
identification", IFAC-PapersOnLine 50). Strong inputs make tanks overflow, in part from one into the
other. The estimation half is fitted. The validation half is simulated from the initial state that
was fitted there, where the levels were about the same: nothing of the validation half is used, not
even its first value, and every one of its values counts.

Of others, on the validation half: best linear approximation 0.76, Volterra series 0.54, nonlinear
state space 0.34 (collected in Mathematical Problems in Engineering 2021, 6613425, table 2, which
calls them mean squared errors; taken here as root mean squares, in volts).
"""

import time
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from numpy.typing import NDArray

import likelihax as lhx
from likelihax.terms import L2

# In volts on the validation half; and by how much the learned part has to better the physics.
BAR_PHYSICS, BAR_LEARNED, BETTER = 0.40, 0.30, 0.9
# The sensor ends at 10 V, where the lower tank is full. The upper one's unit is chosen so, too.
FULL = 10.0
# Over how many volts an overflow sets in, so that it has a derivative; it drains in a second.
_SOFT = 0.05
_DECAY = 10.0  # a prior on weights with a standard deviation of about 0.3

Matrix = NDArray[np.float64]


class Row(NamedTuple):
    """One model: root mean square errors in volts, NLLs in nats."""

    model: str
    parameters: int
    fitted: float
    simulated: float
    nll: float
    simulated_nll: float
    learned: float  # the share of the rates of change
    seconds: float
    status: str


class Tanks(eqx.Module):
    """Bernoulli's outflow from two tanks, levels in volts, rates in volts per second.

    `out`, `into`, `away`: out of the upper tank, the same in units of the lower one, out of the
    lower one. The pump delivers nothing below a voltage, `idle`. What overflows above is caught
    below: where that is fitted as well, all of it is.
    """

    out: Any
    into: Any
    away: Any
    pump: Any
    idle: Any
    learned: lhx.models.Learned | None

    def __call__(self, t: Any, y: Any, inputs: Any) -> Any:
        """The rates of both levels."""
        volts = inputs(t)
        upper, lower = y
        over = _above(upper)
        filled = self.pump * (volts - self.idle) - self.out * _root(upper) - over
        passed = self.into * _root(upper) + over - self.away * _root(lower) - _above(lower)
        known = jnp.stack([filled, passed])
        if self.learned is None:
            return known
        return known + self.learned(jnp.stack([upper, lower, volts]))


def _root(level: Any) -> Any:
    """A square root that stays smooth where a tank is empty, and odd below."""
    return level * (level**2 + 1e-4) ** -0.25


def _above(level: Any) -> Any:
    return _SOFT * jax.nn.softplus((level - FULL) / _SOFT)


def _sensor(t: Any, y: Any) -> Any:
    return y[1] - _above(y[1])


def halves(file: Path) -> tuple[lhx.Experiment, lhx.Experiment]:
    """The estimation and the validation half; the pump's voltage is held between samples."""
    table = pd.read_csv(file)
    times = float(table["Ts"][0]) * np.arange(len(table))
    each = [
        lhx.Experiment(
            times,
            table[f"y{which}"].to_numpy(float),
            lhx.inputs.Steps(times, table[f"u{which}"].to_numpy(float)),
            name=name,
            observables="level [V]",
        )
        for which, name in (("Est", "estimation"), ("Val", "validation"))
    ]
    return each[0], each[1]


def predictor(first: float) -> lhx.Predictor:
    """The physics alone where fits start: rough numbers, one for all rates."""
    field = Tanks(*(lhx.positive(0.05) for _ in range(4)), lhx.real(0.1), None)
    ode = lhx.ODE(
        field, lhx.positive([first, first]), t0=0.0, observe=_sensor, rtol=1e-6, atol=1e-6
    )
    return lhx.Predictor(ode, lhx.likelihoods.Normal(lhx.positive(0.5)))


def with_learned_part(found: lhx.Predictor, key: Any, units: int = 16) -> lhx.Predictor:
    """The same physics, and a network of both levels and the voltage in both rates."""
    learned = lhx.models.Learned(
        3, 2, width=units, key=key, centre=[5, 5, 3], scale=[3, 3, 1.5], output_scale=0.05
    )
    chosen: lhx.Predictor = eqx.tree_at(
        lambda p: p.model.field.learned, found, learned, is_leaf=lambda leaf: leaf is None
    )
    return chosen


def simulated(predictor: lhx.Predictor, data: lhx.Experiment) -> Matrix:
    """The level from the initial state on, the measured ones not looked at."""
    return np.asarray(predictor.predict(data).values)


def row(model: str, fit: lhx.Fit, held_out: lhx.Experiment) -> Row:
    """What a fit is worth on both halves."""
    error = lambda data: simulated(fit.predictor, data) - np.asarray(data.values)
    rmse = lambda data: float(np.sqrt(np.mean(error(data) ** 2)))
    nll = lambda data: float(lhx.NLL()(fit.predictor, data))
    has_one = fit.predictor.model.field.learned is not None
    share = lhx.diagnostics.learned_share(fit).overall if has_one else 0.0
    return Row(
        model, fit.record.theta.size, rmse(fit.data), rmse(held_out), nll(fit.data),
        nll(held_out), share, fit.compile_seconds + fit.run_seconds, fit.message,
    )  # fmt: skip


def compare(file: Path, max_steps: int = 300) -> tuple[list[Row], list[lhx.Fit]]:
    """Physics first, then physics and learned part together, from there."""
    fitted, held_out = halves(file)
    alone = lhx.fit(lhx.NLL(), predictor(float(fitted.values[0])), fitted)
    start = with_learned_part(alone.predictor, jax.random.key(0))
    objective = lhx.NLL() + _DECAY * L2(lambda p: p.model.field.learned.network, name="weights")
    both = lhx.fit(objective, start, fitted, method=lhx.BFGS(max_steps=max_steps))
    names = ("physics", "with a learned part")
    fits = [alone, both]
    return [row(name, fit, held_out) for name, fit in zip(names, fits, strict=True)], fits


def run(file: Path, pictures: Path | None = None, max_steps: int = 300) -> int:
    """Prints a row a model; 0 if the physics converged, and both errors are below their bars."""
    began = time.perf_counter()
    rows, fits = compare(file, max_steps)
    print("                     parameters     RMSE [V]               NLL [nats]          learned")
    print("model                            fitted  simulated    fitted  simulated         share")
    for each in rows:
        print(
            f"{each.model:20} {each.parameters:10d}  {each.fitted:6.3f}  {each.simulated:9.3f}  "
            f"{each.nll:8.1f}  {each.simulated_nll:9.1f}  {100 * each.learned:10.0f} %   "
            f"{each.seconds:5.1f} s  {each.status}",
            flush=True,
        )
    if pictures is not None:
        _draw(fits, halves(file)).savefig(pictures / "cascaded_tanks.png", dpi=100)
        lhx.plot.learned(fits[1]).savefig(pictures / "cascaded_tanks_parts.png", dpi=100)
    alone, both = rows
    met = {
        f"physics, simulated, at most {BAR_PHYSICS} V": alone.simulated <= BAR_PHYSICS,
        f"with a learned part at most {BAR_LEARNED} V": both.simulated <= BAR_LEARNED,
        f"and at most {BETTER} times the physics": both.simulated <= BETTER * alone.simulated,
        "the physics converged": fits[0].success,
    }
    for bar, is_met in met.items():
        print(f"{'met' if is_met else 'NOT MET'}: {bar}")
    print(f"{time.perf_counter() - began:.0f} s in all")
    return 0 if all(met.values()) else 1


def _draw(fits: list[lhx.Fit], data: tuple[lhx.Experiment, lhx.Experiment]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    for axis, half in zip(axes, data, strict=True):
        axis.plot(half.times, half.values, color="k", lw=2.2, alpha=0.3, label="measured")
        for fit, label in zip(fits, ("physics", "with a learned part"), strict=True):
            axis.plot(half.times, simulated(fit.predictor, half), lw=1.2, label=label)
        axis.set_title(half.name, loc="right", fontsize="small")
        axis.set_ylabel("level [V]")
    axes[0].legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    axes[-1].set_xlabel("time [s]")
    return figure
