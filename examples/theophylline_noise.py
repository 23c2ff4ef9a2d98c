"""Theophylline by mouth in twelve people: who is not like the others?

All of R's `Theoph`, and the two equations of `theophylline_subjects.py`, the same three numbers for
all. Fitted twice: with one noise for all people, and with a noise for each, whose variance is
inverse gamma, how much it differs among people fitted with the rest. Who is not like the others
then widens his own noise, and says the less of what all have in common.

Then the concentrations of one person are doubled, as if a dilution had been forgotten; of each of
the twelve in turn. The common curve moves by half of what it moves with one noise, or by less.

A person's noise here is how far he strays from the common curve, not how well was measured: people
have clearances of their own, which `theophylline_population.py` looks into, and who strays at one
time strays at the next. Neither fit knows that, so the standard errors of both are too small.

The witness is SciPy: the same two likelihoods on the closed formula (H. Bateman 1910), the second
by its own multivariate Student's t, minimised by Nelder and Mead's method.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from jax import Array
from scipy import optimize, stats
from theophylline_subjects import START, OneCompartment, data, dose

import likelihax as lhx

if TYPE_CHECKING:
    from matplotlib.figure import Figure

jax.config.update("jax_enable_x64", True)

DOSE = 4.6  # mg/kg, what people had on average
TIMES = np.linspace(0.0, 24.0, 200)
FAR = 1.2  # times the noise that all have in common: drawn in red


class Fits(NamedTuple):
    """With one noise for all, and with a noise for each."""

    common: lhx.Fit
    own: lhx.Fit


def blood(t: Array, y: Array) -> Array:
    """Only the blood is measured."""
    return y[1]


def predictor(noise: lhx.likelihoods.AbstractLikelihood) -> lhx.Predictor:
    """The same three logarithms for all: elimination, absorption, clearance."""
    field = OneCompartment(*map(lhx.real, START))
    model = lhx.ODE(field, initial=[0.0, 0.0], t0=0.0, observe=blood)
    return lhx.Predictor(model, noise)


def fits(people: lhx.AbstractData) -> Fits:
    """Both."""
    one = lhx.likelihoods.Normal(scale=lhx.positive(1.0, unit="mg/l"))
    each = lhx.likelihoods.StudentT(scale=lhx.positive(1.0, unit="mg/l"), dof=lhx.positive(4.0))
    return Fits(
        lhx.fit(lhx.NLL(), predictor(one), people),
        lhx.fit(lhx.GroupNLL(by="experiment"), predictor(each), people),
    )


def spoilt(people: lhx.Experiments, name: str) -> lhx.AbstractData:
    """The same, one person's concentrations doubled."""
    factor = np.where(np.asarray(people.of_row) == people.names.index(name), 2.0, 1.0)
    return people.with_values(people.values * factor)


def main(pictures: Path | None = None) -> tuple[Fits, dict[str, Fits]]:
    """Fits people as they are and with each of them spoilt, and prints what that says."""
    people = data()
    found = fits(people)
    print(found.common, found.own, sep="\n\n")
    print(f"\nAIC {aic(found.common):.1f} with one noise, {aic(found.own):.1f} with one for each")
    others = {name: fits(spoilt(people, name)) for name in people.names}
    noise = lhx.inference.noise_of_groups(found.own)
    print("\nsubject  noise [mg/l], 90 %     spoilt, moves the curve by [mg/l]")
    for i, name in enumerate(noise.members):
        width = f"{noise.medians[i]:.2f}   {noise.low[i]:.2f} to {noise.high[i]:.2f}"
        away = moved(found.common, others[name].common), moved(found.own, others[name].own)
        print(f"{name:>7}  {width:20}   {away[0]:.2f}, with a noise for each {away[1]:.2f}")
    if pictures is not None:
        picture(found, others).savefig(pictures / "theophylline_noise.png", dpi=120)
    return found, others


def picture(found: Fits, others: dict[str, Fits]) -> "Figure":
    """People and the two curves; the noise of each; how far each moves the curve, if spoilt."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 4.0), layout="constrained")
    curves, noises, moves = figure.subplots(1, 3, width_ratios=[1.3, 1, 1])
    noise = lhx.inference.noise_of_groups(found.own)
    common = float(found.common.estimates["scale"])
    for one, width in zip(found.own.data.experiments, noise.medians, strict=True):
        colour = "C3" if width > FAR * common else "0.6"
        values = np.asarray(one.values) * DOSE / dose(one)
        curves.plot(np.asarray(one.times), values, ".-", linewidth=0.7, color=colour)
    curves.plot(TIMES, curve(TIMES, found.common.estimates), "C1--", linewidth=2, label="one noise")
    curves.plot(TIMES, curve(TIMES, found.own.estimates), "C0", linewidth=2, label="one for each")
    curves.set(xlabel="hour", ylabel=f"theophylline [mg/l] for {DOSE} mg/kg")
    curves.legend(frameon=False)

    order = np.argsort(noise.medians)
    places = np.arange(len(order))
    ends = np.stack([noise.medians - noise.low, noise.high - noise.medians])[:, order]
    strays = noise.medians[order] > FAR * common
    for some, colour in ((strays, "C3"), (~strays, "0.4")):
        middle = noise.medians[order][some]
        noises.errorbar(middle, places[some], xerr=ends[:, some], fmt="o", color=colour)
    noises.axvline(common, color="C1", linestyle="--")
    noises.set(xscale="log", xlabel="noise [mg/l], 90 %", ylabel="subject")
    noises.set_xticks([0.5, 1.0, 2.0, 4.0], ["0.5", "1", "2", "4"])
    noises.set_xticks([], minor=True)

    names = [noise.members[i] for i in order]
    for kind, style in (("common", "C1s"), ("own", "C0o")):
        away = [moved(getattr(found, kind), getattr(others[name], kind)) for name in names]
        moves.plot(away, places, style)
    moves.set(xlim=(0, None), xlabel="curve moves, if spoilt [mg/l]")
    for axis in (noises, moves):
        axis.set_yticks(places, names)
    return figure


def aic(fit: lhx.Fit) -> float:
    """Akaike's criterion: lower is better."""
    return 2 * (fit.nll + len(fit.estimates))


def curve(t: np.ndarray, at: dict[str, np.ndarray], amount: float = DOSE) -> np.ndarray:
    """Bateman's formula for one dose (mg/kg)."""
    out, into, clearance = (np.exp(at[name]) for name in ("elimination", "absorption", "clearance"))
    factor = amount * into * out / (clearance * (into - out))
    return factor * (np.exp(-out * t) - np.exp(-into * t))


def moved(before: lhx.Fit, after: lhx.Fit) -> float:
    """How far the curve moved, at most within the day."""
    return float(np.max(np.abs(curve(TIMES, after.estimates) - curve(TIMES, before.estimates))))


def by_scipy(fit: lhx.Fit) -> tuple[float, float]:
    """The NLL at the estimates by SciPy's distributions, and the lowest that SciPy finds near."""
    names = list(fit.estimates)
    people = [
        (np.asarray(one.times), np.asarray(one.values), dose(one)) for one in fit.data.experiments
    ]

    def nll(theta: np.ndarray) -> float:
        at = dict(zip(names, theta, strict=True))
        if min(at["scale"], at.get("dof", 1.0)) <= 0:
            return np.inf
        total = 0.0
        for t, values, amount in people:
            covariance = at["scale"] ** 2 * np.eye(t.size)
            family: object = stats.multivariate_normal(np.zeros(t.size), covariance)
            if "dof" in at:
                family = stats.multivariate_t(np.zeros(t.size), covariance, df=at["dof"])
            total -= family.logpdf(values - curve(t, at, amount))
        return total

    start = np.array([float(fit.estimates[name]) for name in names])
    options = {"maxiter": 400, "xatol": 1e-4, "fatol": 1e-5}
    found = optimize.minimize(nll, start, method="Nelder-Mead", options=options)
    return nll(start), float(found.fun)


def check(result: tuple[Fits, dict[str, Fits]]) -> None:
    """What this script claims."""
    found, others = result
    for fit in (*found, *(fit for both in others.values() for fit in both)):
        assert fit.success, fit.message
    for fit in found:
        here, lowest = by_scipy(fit)
        assert abs(here - fit.nll) < 1e-3, (here, fit.nll)
        assert lowest > fit.nll - 1e-3, (lowest, fit.nll)

    # One parameter more, and nine nats less.
    assert found.common.nll - found.own.nll > 8.5
    assert aic(found.own) < aic(found.common) - 15
    noise = lhx.inference.noise_of_groups(found.own)
    common = float(found.common.estimates["scale"])
    strays = {noise.members[i] for i in np.flatnonzero(noise.medians > FAR * common)}
    print(f"Much noisier than one noise for all says: {', '.join(sorted(strays))}.")
    assert strays == {"1", "9"}
    assert noise.medians.max() > 2.2 * noise.medians.min()
    assert np.sum(noise.medians < common) >= 7

    # Whoever is spoilt.
    for name, both in others.items():
        away = [moved(before, after) for before, after in zip(found, both, strict=True)]
        assert away[1] < 0.55 * away[0], (name, away)
        widened = lhx.inference.noise_of_groups(both.own)
        assert widened.members[int(np.argmax(widened.medians))] == name
    print("As SciPy has it; who is not like the others widens his own noise.")


if __name__ == "__main__":
    check(main())
