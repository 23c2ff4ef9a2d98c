"""Theophylline by mouth: a one-compartment ODE whose answer another program has printed.

The concentrations are subject 1 of R's `Theoph` (Boeckmann, Sheiner and Beal 1994, "NONMEM users
guide, part V"): one dose of 4.02 mg/kg, eleven samples in 25 hours. R's help page of `SSfol` fits
the closed formula to the same subject by `nls`; here the two equations behind the formula are
solved numerically, and the estimates, the standard errors and the residual standard error must
come out as R prints them.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import likelihax as lhx

jax.config.update("jax_enable_x64", True)

DOSE = 4.02
HOURS = [0.0, 0.25, 0.57, 1.12, 2.02, 3.82, 5.1, 7.03, 9.05, 12.12, 24.37]
CONCENTRATION = [0.74, 2.84, 6.57, 10.5, 9.66, 8.58, 8.36, 7.47, 6.89, 5.94, 3.28]

# Estimate and standard error: R, tests/Examples/stats-Ex.Rout.save, the example of SSfol.
PRINTED = {"lKe": (-2.9196, 0.1709), "lKa": (0.5752, 0.1728), "lCl": (-3.9159, 0.1273)}
PRINTED_RESIDUAL_ERROR = 0.732


class OneCompartment(eqx.Module):
    """The gut empties into the blood, the kidneys and the liver clear the blood.

    Logarithms, as in R, so that the standard errors compare: elimination rate (1/h), absorption
    rate (1/h), clearance (l/h/kg).
    """

    elimination: Array = lhx.real(-2.5, name="lKe")
    absorption: Array = lhx.real(0.5, name="lKa")
    clearance: Array = lhx.real(-3.5, name="lCl")

    def __call__(self, t, y, inputs):
        gut, blood = y  # mg/kg, mg/l
        out, into, clearance = map(jnp.exp, (self.elimination, self.absorption, self.clearance))
        absorbed = into * gut
        return jnp.stack([-absorbed, absorbed * out / clearance - out * blood])


def predictor() -> lhx.Predictor:
    """Only the blood is measured; what scatters about it is the same at all times."""
    return lhx.Predictor(
        lhx.ODE(OneCompartment(), initial=[DOSE, 0.0], observe=lambda t, y: y[1]),
        lhx.likelihoods.Normal(scale=lhx.positive(1.0, unit="mg/l")),
    )


def data() -> lhx.Experiment:
    """The samples of subject 1."""
    return lhx.Experiment(
        times=HOURS, values=CONCENTRATION, name="subject 1", observables="theophylline [mg/l]"
    )


def main() -> lhx.Fit:
    """Fits, prints the table, draws the picture."""
    fit = lhx.fit(lhx.NLL(), predictor(), data())
    print(fit)
    picture = Path("theophylline.png").resolve()
    figure = lhx.plot.trajectories(fit)
    figure.axes[-1].set_xlabel("hours after the dose")
    figure.savefig(picture, dpi=120)
    print(f"The picture is at {picture}")
    return fit


def check(fit: lhx.Fit) -> None:
    """R's numbers, to the last digit that it prints."""
    assert fit.success, fit.message
    # What `nls` prints: the curvature of the mean alone, and n - p in place of n.
    errors = fit.standard_errors("expected", dof="residual")
    for name, (estimate, error) in PRINTED.items():
        assert round(fit.estimates[name], 4) == estimate, (name, fit.estimates[name])
        assert round(errors[name], 4) == error, (name, errors[name])
    count, fitted = len(HOURS), len(PRINTED)
    residual_error = fit.estimates["scale"] * np.sqrt(count / (count - fitted))
    assert round(residual_error, 3) == PRINTED_RESIDUAL_ERROR, residual_error
    print("Estimates and standard errors are R's, to the four places that it prints.")


if __name__ == "__main__":
    check(main())
