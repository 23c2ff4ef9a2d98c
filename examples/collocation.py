"""Lynx and hare from a round start: collocation finds the valley that shooting misses.

The pelts of `lynx_hare.py`, from growth 1, predation 0.05, death 1 and conversion 0.05. A solve
from there swings at another rhythm than the animals did, and a fit that solves at each step
(single shooting) ends in a valley where all swings are noise. Collocation starts from the pelts:
a curve through them, whose slope the equations only have to explain. Nothing is solved, so
nothing swings out of step, and what it finds is where shooting then starts.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from lynx_hare import HARE, LYNX, YEARS, LotkaVolterra, data

import likelihax as lhx

jax.config.update("jax_enable_x64", True)

ROUND = {"growth": 1.0, "predation": 0.05, "death": 1.0, "conversion": 0.05}
KNOTS = np.linspace(YEARS[0], YEARS[-1], 41)  # two a year
FLOOR = 0.01  # 1/year: what a spline of such knots cannot follow


def ode(start: dict[str, float]) -> lhx.ODE:
    """The equations with rates to start from."""
    field = LotkaVolterra(**{name: lhx.positive(value) for name, value in start.items()})
    return lhx.ODE(field, initial=lhx.positive([30.0, 4.0], name=("hare", "lynx")))


def noise() -> lhx.likelihoods.LogNormal:
    """How counts scatter about either kind of curve."""
    return lhx.likelihoods.LogNormal(sigma=lhx.positive([0.3, 0.3], name=("hare", "lynx")))


def shooting(start: dict[str, float]) -> lhx.Fit:
    """The plain fit: each step solves the equations from the first year to the last."""
    return lhx.fit(lhx.NLL(), lhx.Predictor(ode(start), noise()), data())


def by_collocation() -> lhx.Fit:
    """Curve, rates and both kinds of scatter at once, from the round start.

    Residuals are in relative rates, 1/year, and their scale is fitted.
    """
    pelts = np.log(np.column_stack([HARE, LYNX]))
    between = np.column_stack([np.interp(KNOTS, YEARS, column) for column in pelts.T])
    curve = lhx.models.Spline(KNOTS, np.exp(between), log=True)
    physics = lhx.terms.Collocation(
        lhx.likelihoods.Normal(scale=lhx.positive(0.1, unit="1/year")),
        quantity=lambda t, y: jnp.log(y),
        floor=FLOOR,
    )
    predictor = lhx.Predictor(lhx.models.Surrogate(curve, ode(ROUND)), noise())
    return lhx.fit(lhx.NLL() + physics, predictor, data(), method=lhx.LevenbergMarquardt())


def from_there(started: lhx.Fit) -> lhx.Fit:
    """Single shooting from what collocation found."""
    found = started.predictor
    return lhx.fit(lhx.NLL(), lhx.Predictor(found.model.as_ode(), found.likelihood), data())


def main() -> tuple[lhx.Fit, lhx.Fit, lhx.Fit]:
    """Fits in the three ways, prints what each found, draws the picture."""
    lost, started = shooting(ROUND), by_collocation()
    found = from_there(started)
    fits = {"shooting alone": lost, "collocation": started, "shooting from there": found}
    print(f"{'':20}{'NLL of counts':>14}" + "".join(f"{name:>12}" for name in ROUND))
    for name, fit in fits.items():
        rates = "".join(f"{fit.estimates[rate]:12.4f}" for rate in ROUND)
        counts = sum(part for of, part in fit.breakdown.items() if of != "Collocation")
        print(f"{name:20}{counts:14.3f}{rates}")
    print(f"The scale of the residual: {started.estimates['scale']:.4f}/year, floor {FLOOR}/year")
    draw(fits)
    return lost, started, found


def draw(fits: dict[str, lhx.Fit]) -> None:
    """The hares: counts and the three curves."""
    years = np.linspace(YEARS[0], YEARS[-1], 401)
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    axes.plot(YEARS, HARE, "k.", label="counted")
    widths = {"shooting alone": 1.5, "collocation": 5.0, "shooting from there": 1.5}
    for (name, fit), color in zip(fits.items(), ("C1", "0.8", "C0"), strict=True):
        curve = fit.predictor.model(jnp.asarray(years))
        axes.plot(years, curve[:, 0], color, lw=widths[name], label=name)
    axes.set(xlabel="year", ylabel="hare [thousands of pelts]", ylim=(0, None))
    axes.xaxis.set_major_locator(plt.MultipleLocator(5))
    axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    picture = Path("collocation.png").resolve()
    figure.savefig(picture, dpi=120)
    plt.close(figure)
    print(f"The picture is at {picture}")


def check(fits: tuple[lhx.Fit, lhx.Fit, lhx.Fit]) -> None:
    """What this script claims."""
    lost, started, found = fits
    assert started.success, started.message
    assert found.success, found.message
    # The optimum that `lynx_hare.py` reaches from a start near it.
    for name, value in {"growth": 0.54, "predation": 0.02716, "death": 0.7966}.items():
        assert abs(found.estimates[name] / value - 1) < 1e-3, name
        assert abs(started.estimates[name] / value - 1) < 0.02, name
    assert lost.nll > found.nll + 40
    # Lotka and Volterra's equations are not contradicted: their residual is as small as it can be.
    assert started.estimates["scale"] < 1.01 * FLOOR
    print("Collocation led to the optimum that shooting missed.")


if __name__ == "__main__":
    check(main())
