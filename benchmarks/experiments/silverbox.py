"""Silverbox: an electronic Duffing oscillator, fitted on noise and simulated on a growing sweep.

`m y'' + d y' + k y + k3 y^3 = u`, built as a circuit, sampled at 610.35 Hz (T. Wigren and J.
Schoukens 2013, "Three free data sets for development and benchmarking in nonlinear system
identification", European Control Conference). Fitted are 3,000 samples of the part whose input has
one strength; the 40,000 of the "arrow" before it, whose input grows to beyond what was fitted, are
simulated in one go. Of them only the first value is used, as the position to start from.

The input is smooth between samples: SciPy's cubic spline interpolates it, four times as dense.
"""

import time
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

import likelihax as lhx

# Root mean square on the whole arrow, in volts.
BAR = 0.5e-3
PERIOD = 1 / 610.35
# Where the part that is fitted begins, how long it is, and how much of it a first fit sees: over a
# longer time, a frequency that is a little off has no gradient that leads home.
FIRST, COUNT, AT_FIRST = 41_000, 3_000, 150
ARROW = 40_000
_DENSER = 4

Matrix = NDArray[np.float64]


class Duffing(eqx.Module):
    """Position in volts, speed in volts per radian of the linear oscillator.

    `frequency` (rad/s), `damping` (a share of the critical one), `cubic` and `quadratic` (what
    the spring's force gains at 0.1 V, relatively), `gain` (volts at rest for one volt), `offset`
    (V).
    """

    frequency: Any
    damping: Any
    cubic: Any
    quadratic: Any
    gain: Any
    offset: Any

    def __call__(self, t: Any, y: Any, inputs: Any) -> Any:
        """The rates of position and speed."""
        position, speed = y
        strain = position / 0.1
        spring = position * (1 + self.quadratic * strain + self.cubic * strain**2)
        force = self.gain * (inputs(t) - self.offset)
        return self.frequency * jnp.stack([speed, force - spring - 2 * self.damping * speed])


class Row(NamedTuple):
    """A fit and its simulation: root mean squares in volts, NLLs in nats a value."""

    fitted: float
    simulated: float
    inside: float  # as far as the input is no stronger than what was fitted
    nll: float
    simulated_nll: float
    steps: int
    seconds: float
    simulation_seconds: float
    status: str


def samples(file: Path) -> tuple[Matrix, Matrix]:
    """Input and output, in volts."""
    table = pd.read_csv(file)
    return table["V1"].to_numpy(float), table["V2"].to_numpy(float)


def part(file: Path, first: int, count: int, name: str) -> lhx.Experiment:
    """So many samples from one on, its clock beginning there."""
    volts, values = (each[first : first + count] for each in samples(file))
    times = PERIOD * np.arange(len(volts))
    dense = np.linspace(0.0, times[-1], _DENSER * (len(times) - 1) + 1)
    between = lhx.inputs.Series(dense, CubicSpline(times, volts)(dense), "cubic")
    return lhx.Experiment(times, values, between, name=name, observables="position [V]")


def predictor() -> lhx.Predictor:
    """Where the first fit starts: rough numbers, the frequency 7 % off."""
    field = Duffing(
        lhx.positive(400.0), lhx.positive(0.05), lhx.real(0.1), lhx.real(0.0), lhx.real(1.0),
        lhx.real(0.0),
    )  # fmt: skip
    ode = lhx.ODE(
        field, lhx.real([0.0, 0.0], scale=0.1), t0=0.0, observe=lambda t, y: y[0],
        rtol=1e-6, atol=1e-7, max_steps=20 * COUNT,
    )  # fmt: skip
    return lhx.Predictor(ode, lhx.likelihoods.Normal(lhx.positive(0.01)))


def fitted(file: Path, count: int = COUNT) -> lhx.Fit:
    """A short stretch first, then all of it from there."""
    start = predictor()
    for length in (min(AT_FIRST, count), count):
        found = lhx.fit(lhx.NLL(), start, part(file, FIRST, length, "estimation"))
        start = found.predictor
    return found


def from_rest(found: lhx.Predictor, data: lhx.Experiment) -> lhx.Predictor:
    """The same oscillator, started at the first measured value without speed."""
    model: Any = found.model
    start = lhx.frozen(jnp.stack([data.values[0], jnp.zeros_like(data.values[0])]))
    ode = lhx.ODE(
        model.field, start, t0=0.0, observe=model.observe, rtol=model.rtol, atol=model.atol,
        max_steps=50 * data.times.size,
    )  # fmt: skip
    return lhx.Predictor(ode, found.likelihood)


def compare(file: Path, count: int = COUNT, arrow: int = ARROW) -> tuple[Row, Matrix, lhx.Fit]:
    """A row, and the errors of the simulation."""
    fit = fitted(file, count)
    data = part(file, 0, arrow, "arrow")
    started = from_rest(fit.predictor, data)
    again = time.perf_counter()
    simulation = started.predict(data)
    seconds = time.perf_counter() - again
    errors = np.asarray(simulation.values - data.values)
    rmse = lambda each: float(np.sqrt(np.mean(np.square(each))))
    own = np.asarray(fit.predictor.predict(fit.data).values - fit.data.values)
    volts, _ = samples(file)
    strongest = np.max(np.abs(volts[FIRST : FIRST + count]))
    beyond = np.abs(volts[:arrow]) > strongest
    inside = errors[: int(np.argmax(beyond))] if beyond.any() else errors
    row = Row(
        rmse(own), rmse(errors), rmse(inside), fit.nll / own.size,
        float(lhx.NLL()(started, data)) / errors.size, int(simulation.num_steps),
        fit.run_seconds + fit.compile_seconds, seconds, fit.message,
    )  # fmt: skip
    return row, errors, fit


def run(file: Path, pictures: Path | None = None, count: int = COUNT, arrow: int = ARROW) -> int:
    """Prints how the oscillator does; 0 if the arrow is simulated to within the bar."""
    row, errors, fit = compare(file, count, arrow)
    print(f"fitted: {count} samples, RMSE {1e3 * row.fitted:.3f} mV, NLL {row.nll:.3f} a value")
    print(
        f"simulated: {arrow} samples in {row.steps} steps, {row.simulation_seconds:.1f} s; RMSE "
        f"{1e3 * row.simulated:.3f} mV, {1e3 * row.inside:.3f} mV before the input is stronger "
        f"than what was fitted; NLL {row.simulated_nll:.3f} a value"
    )
    estimates = {name: value for name, value in fit.estimates.items() if np.ndim(value) == 0}
    print(", ".join(f"{name} {value:.5g}" for name, value in estimates.items()))
    print(f"the fit took {row.seconds:.1f} s. {row.status}")
    if pictures is not None:
        _draw(file, errors).savefig(pictures / "silverbox.png", dpi=100)
    is_met = row.simulated <= BAR
    print(f"{'met' if is_met else 'NOT MET'}: the arrow simulated to within {1e3 * BAR:g} mV")
    return 0 if is_met else 1


def _draw(file: Path, errors: Matrix) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 5.0), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    times = PERIOD * np.arange(errors.size)
    axes[0].plot(times, samples(file)[1][: errors.size], color="k", lw=0.3)
    axes[0].set_ylabel("measured [V]")
    axes[1].plot(times, 1e3 * errors, color="C0", lw=0.3)
    axes[1].set_ylabel("simulated less measured [mV]")
    axes[1].set_xlabel("time [s]")
    return figure
