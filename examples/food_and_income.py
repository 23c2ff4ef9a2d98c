"""Food and income: quantile regression on the data that Engel's law was read from.

235 Belgian working-class households, their income and what they spent on food, in francs a year
(Engel 1857; Koenker and Bassett 1982, "Robust tests for heteroscedasticity based on regression
quantiles", Econometrica 50), as the package statsmodels ships them. One likelihood a quantile: the
asymmetric Laplace, whose location is the quantile. The median line must be the one that
Stata's qreg prints, and each line must leave as many households below it as its level says.
"""

from pathlib import Path

import equinox as eqx
import jax
import matplotlib.pyplot as plt
import numpy as np
from jax import Array
from statsmodels.datasets import engel

import likelihax as lhx

jax.config.update("jax_enable_x64", True)

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
# Slope and intercept: Stata 12, qreg foodexp income.
PRINTED = (0.5601805, 81.48233)


class Line(eqx.Module):
    """Food expenditure as a line in income; francs."""

    slope: Array = lhx.real(0.5)
    intercept: Array = lhx.real(100.0)

    def __call__(self, income: Array) -> Array:
        return self.slope * income + self.intercept


def data() -> lhx.Dataset:
    """Incomes and food expenditures."""
    table = engel.load_pandas().data
    return lhx.Dataset(
        table["income"].to_numpy(float),
        table["foodexp"].to_numpy(float),
        name="Engel",
        observables=("food [francs]",),
    )


def main() -> dict[float, lhx.Fit]:
    """Fits a line a level, prints them, draws the picture."""
    households = data()
    fits = {}
    print(f"{'level':>5} {'slope':>8} {'(s.e.)':>8} {'intercept':>10} {'below':>6}")
    for level in LEVELS:
        likelihood = lhx.likelihoods.Quantile(level, scale=lhx.positive(50.0))
        fit = lhx.fit(lhx.NLL(), lhx.Predictor(Line(), likelihood), households)
        fits[level] = fit
        error = fit.standard_errors("expected")["slope"]
        slope, intercept = fit.estimates["slope"], fit.estimates["intercept"]
        print(
            f"{level:5.2f} {slope:8.4f} {error:8.4f} {intercept:10.2f} {share_below(fit)[1]:6.3f}"
        )
    draw(fits, households)
    return fits


def share_below(fit: lhx.Fit) -> tuple[float, float]:
    """The shares of households below the line, and below it or on it."""
    line = np.asarray(fit.predictor.simulate(*fit.data.arguments).values)
    above = np.asarray(fit.data.values) - line
    near = 1e-3  # francs: the line goes through two of them
    return float(np.mean(above < -near)), float(np.mean(above <= near))


def draw(fits: dict[float, lhx.Fit], households: lhx.Dataset) -> None:
    """The households and the lines."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    income = np.asarray(households.inputs)
    axes.plot(income, households.values, "o", ms=3, color="0.6", label="households")
    ends = np.array([income.min(), income.max()])
    colours = plt.get_cmap("viridis")(np.linspace(0.1, 0.85, len(fits)))
    for (level, fit), colour in zip(reversed(fits.items()), reversed(colours), strict=True):
        line = fit.estimates["slope"] * ends + fit.estimates["intercept"]
        axes.plot(ends, line, color=colour, label=f"{level:.0%}")
    axes.set(xlabel="income [francs a year]", ylabel="food [francs a year]")
    axes.legend(frameon=False)
    picture = Path("food_and_income.png").resolve()
    figure.savefig(picture, dpi=120)
    plt.close(figure)
    print(f"The picture is at {picture}")


def check(fits: dict[float, lhx.Fit]) -> None:
    """What this script claims."""
    for level, fit in fits.items():
        assert fit.success, (level, fit.message)
        below, up_to = share_below(fit)
        assert below <= level <= up_to, (level, below, up_to)
    median = fits[0.5].estimates
    errors = fits[0.5].standard_errors("expected")
    for name, printed in zip(("slope", "intercept"), PRINTED, strict=True):
        assert abs(median[name] - printed) < 1e-4 * errors[name], (name, median[name])
    slopes = [fit.estimates["slope"] for fit in fits.values()]
    assert all(np.diff(slopes) > 0), "the rich differ more in what they eat than the poor"
    print("The median line is Stata's; the lines fan out.")


if __name__ == "__main__":
    check(main())
