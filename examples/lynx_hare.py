"""Lynx and hare: Lotka-Volterra fitted to the Hudson's Bay Company's pelt counts, 1900-1920.

The counts, in thousands of pelts, are those of Howard (2009, "Modeling basics", after Hewitt
1921, "The conservation of the wild life of Canada"), as used by Carpenter (2018, "Predator-prey
population dynamics", a Stan case study). Carpenter's posterior means are growth 0.55, predation
0.028, death 0.80 and conversion 0.024.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

import likelihax as lhx

jax.config.update("jax_enable_x64", True)

YEARS = [1900.0 + i for i in range(21)]
HARE = [30, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22, 25.4, 27.1, 40.3, 57, 76.6, 52.3]
HARE += [19.5, 11.2, 7.6, 14.6, 16.2, 24.7]
LYNX = [4, 6.1, 9.8, 35.2, 59.4, 41.7, 19, 13, 8.3, 9.1, 7.4, 8, 12.3, 19.5, 45.7]
LYNX += [51.1, 29.7, 15.8, 9.7, 10.1, 8.6]


class LotkaVolterra(eqx.Module):
    """Hares grow and are eaten; lynxes starve and eat."""

    growth: Array = lhx.positive(0.5, unit="1/year")
    predation: Array = lhx.positive(0.03, unit="1/(year k-lynx)")
    death: Array = lhx.positive(1.0, unit="1/year")
    conversion: Array = lhx.positive(0.03, unit="1/(year k-hare)")

    def __call__(self, t, y, inputs):
        hare, lynx = y
        return jnp.stack(
            [
                (self.growth - self.predation * lynx) * hare,
                (self.conversion * hare - self.death) * lynx,
            ]
        )


def predictor() -> lhx.Predictor:
    """The model with its start, and how counts scatter about it."""
    return lhx.Predictor(
        lhx.ODE(LotkaVolterra(), initial=lhx.positive([30.0, 4.0], name=("hare", "lynx"))),
        lhx.likelihoods.LogNormal(sigma=lhx.positive([0.3, 0.3], name=("hare", "lynx"))),
    )


def data() -> lhx.Experiment:
    """The counts."""
    return lhx.Experiment(
        times=YEARS,
        values=list(zip(HARE, LYNX, strict=True)),
        name="Hudson Bay",
        observables=("hare [thousands]", "lynx [thousands]"),
    )


def main() -> lhx.Fit:
    """Fits, prints the table, draws the picture."""
    fit = lhx.fit(lhx.NLL(), predictor(), data())
    print(fit)
    picture = Path("lynx_hare.png").resolve()
    lhx.plot.trajectories(fit).savefig(picture, dpi=120)
    print(f"The picture is at {picture}")
    return fit


def check(fit: lhx.Fit) -> None:
    """What this script claims: it converged, to where Carpenter's posterior lies."""
    assert fit.success, fit.message
    # Posterior means and standard deviations, from 10,000 draws (posteriordb).
    posterior = {
        "growth": (0.5469, 0.0631),
        "predation": (0.02775, 0.00415),
        "death": (0.8001, 0.0894),
        "conversion": (0.02409, 0.00353),
    }
    errors = fit.standard_errors()
    for name, (mean, deviation) in posterior.items():
        assert abs(fit.estimates[name] - mean) < 0.25 * deviation, name
        assert 0.7 < errors[name] / deviation < 1.1, name


if __name__ == "__main__":
    check(main())
