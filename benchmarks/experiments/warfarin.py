"""Warfarin in 32 people: one compartment, absorbed at first order, all subjects in one fit.

One oral dose each, 6 to 17 concentrations at irregular times (R. O'Reilly and P. Aggeler 1968,
"Studies on coumarin anticoagulant drugs", Circulation 38). Pooled, with one clearance for all, and
with a clearance for each. The witness is SciPy's least squares on the closed formula (H. Bateman
1910): with Normal noise of one scale, the least squares are the likelihood's.
"""

import time
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import least_squares

import likelihax as lhx

# How near the objective must be to SciPy's, in nats, and the parameters, relatively.
CLOSE_NLL = 1e-4
CLOSE = 1e-3

Matrix = NDArray[np.float64]


class Row(NamedTuple):
    """One fit beside SciPy's."""

    clearance: str
    parameters: int
    nll: float
    above: float  # our NLL less SciPy's
    farthest: float  # the largest relative difference of a parameter
    seconds: float
    compile_seconds: float
    status: str

    @property
    def met(self) -> bool:
        """Whether it converged to SciPy's minimum."""
        return self.status == "Converged." and abs(self.above) < CLOSE_NLL and self.farthest < CLOSE


class OneCompartment(eqx.Module):
    """Absorption rate (1/h), clearance (l/h), volume (l); the dose in mg, the blood in mg/l."""

    absorption: Any
    clearance: Any
    volume: Any

    def __call__(self, t: Any, y: Any, inputs: Any) -> Any:
        """The rates of the amount in the gut and of the concentration in the blood."""
        gut, blood = y
        taken_up = self.absorption * gut
        return jnp.stack([-taken_up, (taken_up - self.clearance * blood) / self.volume])


def measurements(file: Path) -> lhx.Experiments:
    """The concentrations; what was measured twice at one time is an observable of its own."""
    table = pd.read_csv(file)
    table = table[(table.dvid == "cp")]
    same = ["id", "time", "evid"]
    table["which"] = "cp " + (table.groupby(same).cumcount() + 1).astype(str)
    return lhx.experiments(
        table,
        experiment="id",
        time="time",
        values="dv",
        observable="which",
        dose="amt",
        groups="sex",
        name="warfarin",
    )


def predictor(*, each: bool) -> lhx.Predictor:
    """The model where fits start."""
    by = "experiment" if each else None
    field = OneCompartment(lhx.positive(0.5), lhx.positive(0.1, by=by), lhx.positive(8.0))
    ode = lhx.ODE(field, [0.0, 0.0], t0=0.0, observe=_concentrations)
    return lhx.Predictor(ode, lhx.likelihoods.Normal(lhx.positive(1.0)))


def _concentrations(t: Any, y: Any) -> Any:
    # The same for the first and for the second measurement at one time.
    return jnp.stack([y[1], y[1]])


def by_formula(data: lhx.Experiments, *, each: bool) -> tuple[float, Matrix]:
    """The least NLL by SciPy and Bateman's formula; rates, clearances and volume there."""
    people = [_known(one) for one in data.experiments]
    count = len(people) if each else 1

    def residuals(theta: Matrix) -> Matrix:
        ka, clearances, volume = np.exp(theta[0]), np.exp(theta[1:-1]), np.exp(theta[-1])
        found = []
        for (times, values, dose), clearance in zip(
            people, np.broadcast_to(clearances, len(people)), strict=True
        ):
            k = clearance / volume
            bateman = dose / volume * ka / (ka - k) * (np.exp(-k * times) - np.exp(-ka * times))
            found.append(values - bateman)
        return np.concatenate(found)

    start = np.log([0.5, *[0.1] * count, 8.0])
    found = least_squares(residuals, start, xtol=1e-14, ftol=1e-14, gtol=1e-14)
    number = found.fun.size
    scale = np.sqrt(2 * found.cost / number)
    nll = number * (0.5 + np.log(scale) + 0.5 * np.log(2 * np.pi))
    return float(nll), np.exp(found.x)


def _known(one: Any) -> tuple[Matrix, Matrix, float]:
    rows, columns = np.nonzero(np.asarray(one.observed))
    values = np.asarray(one.values)[rows, columns]
    dose = float(np.asarray(lhx.resolve(one.inputs["doses"].amounts)).sum())
    return np.asarray(one.times)[rows], values, dose


def compare(data: lhx.Experiments, *, each: bool) -> tuple[Row, lhx.Fit]:
    """One fit, and its witness."""
    start = predictor(each=each)
    fit = lhx.fit(lhx.NLL(), start, data)
    again = time.perf_counter()
    lhx.fit(lhx.NLL(), start, data)
    seconds = time.perf_counter() - again
    nll, theirs = by_formula(data, each=each)
    names = ("absorption", "clearance", "volume")
    ours = np.concatenate([np.atleast_1d(fit.estimates[name]) for name in names])
    farthest = float(np.max(np.abs(ours / theirs - 1)))
    kind = "each its own" if each else "one for all"
    row = Row(
        kind, ours.size + 1, fit.nll, fit.nll - nll, farthest, seconds, fit.compile_seconds,
        fit.message,
    )  # fmt: skip
    return row, fit


def run(file: Path, pictures: Path | None = None) -> int:
    """Prints a row a fit; 0 if both are SciPy's and a clearance each explains the data better."""
    data = measurements(file)
    print(f"{data.name}: {len(data)} subjects, {data.num_observed} concentrations")
    print("clearance     parameters        NLL  above SciPy  farthest   warm  compiled")
    rows = []
    for each in (False, True):
        row, fit = compare(data, each=each)
        rows.append(row)
        print(
            f"{row.clearance:12}  {row.parameters:10d}  {row.nll:9.4f}  {row.above:11.1e}  "
            f"{row.farthest:8.1e}  {row.seconds:4.2f} s  {row.compile_seconds:6.2f} s  "
            f"{'met' if row.met else 'NOT MET: ' + row.status}",
            flush=True,
        )
        if each and pictures is not None:
            lhx.plot.trajectories(fit).savefig(pictures / "warfarin.png", dpi=100)
    better = 2 * (rows[0].nll - rows[1].nll)
    more = rows[1].parameters - rows[0].parameters
    print(f"a clearance each: 2 log likelihood ratio {better:.1f} for {more} more parameters")
    return 0 if all(row.met for row in rows) and better > 2 * more else 1
