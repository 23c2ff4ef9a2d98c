"""Doctor visits: which distribution of counts do 20,190 person-years of outpatient care have?

The data are the RAND Health Insurance Experiment's (Deb and Trivedi 2002, "The structure of demand
for medical care", J. Health Econ. 21), as the package statsmodels ships them: visits a year, and
nine things known of each person. Four families are fitted to the same linear predictor, and the
NLL says which explains the counts best. The Poisson and the negative binomial must come out as
Stata and R print them; what the fitted distributions say about the share of people without a
visit is compared with that share.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax import Array
from statsmodels.datasets import randhie

import likelihax as lhx

jax.config.update("jax_enable_x64", True)

# Log-likelihoods: Stata's poisson and R's MASS::glm.nb, as in statsmodels' own tests.
PRINTED = {"Poisson": -62419.588, "negative binomial": -43383.662}
MOST_SHOWN = 15  # visits a year in the picture


class LinearPredictor(eqx.Module):
    """The logarithm of the expected count, linear in what is known of a person."""

    coefficients: Array

    def __call__(self, table: Array) -> Array:
        return table @ self.coefficients


def families() -> dict[str, lhx.likelihoods.AbstractLikelihood]:
    """Four ways in which counts may scatter about their mean."""
    kinds = lhx.likelihoods
    return {
        "Poisson": kinds.Poisson(),
        "zero-inflated Poisson": kinds.ZeroInflated(kinds.Poisson(), lhx.bounded(0.2, 0.0, 1.0)),
        "negative binomial": kinds.NegativeBinomial(lhx.positive(1.0)),
        "zero-inflated negative binomial": kinds.ZeroInflated(
            kinds.NegativeBinomial(lhx.positive(1.0)), lhx.bounded(0.05, 0.0, 1.0)
        ),
    }


def data() -> tuple[lhx.Dataset, tuple[str, ...]]:
    """The table, with a column of ones, and the names of its columns."""
    loaded = randhie.load_pandas()
    table = loaded.exog.assign(const=1.0)
    visits = lhx.Dataset(
        table.to_numpy(float), loaded.endog.to_numpy(), name="RAND", observables=("visits",)
    )
    return visits, tuple(table.columns)


def predictor(
    likelihood: lhx.likelihoods.AbstractLikelihood, visits: lhx.Dataset, names: tuple[str, ...]
) -> lhx.Predictor:
    """The common mean at its start: the overall average, in units of each column's size."""
    size = np.std(np.asarray(visits.inputs), axis=0)
    start = np.zeros(len(names))
    start[-1] = np.log(np.mean(np.asarray(visits.values)))
    scale = 1 / np.where(size > 0, size, 1.0)
    return lhx.Predictor(LinearPredictor(lhx.real(start, scale=scale, name=names)), likelihood)


def main() -> tuple[dict[str, lhx.Fit], dict[str, np.ndarray]]:
    """Fits all four, prints what they say, draws the picture; the fits and their shares."""
    visits, names = data()
    fits, shares = {}, {}
    print(f"{'family':32} {'NLL':>10} {'parameters':>10} {'AIC':>10} {'P(0)':>7}")
    for name, likelihood in families().items():
        fit = lhx.fit(lhx.NLL(), predictor(likelihood, visits, names), visits)
        fits[name], shares[name] = fit, expected_shares(fit)
        count = sum(np.size(value) for value in fit.estimates.values())
        none = shares[name][0]
        aic = 2 * (fit.nll + count)
        print(f"{name:32} {fit.nll:10.1f} {count:10d} {aic:10.1f} {none:7.3f}")
    print(f"{'the data':32} {'':32} {observed_shares(visits)[0]:7.3f}")
    draw(shares, visits)
    return fits, shares


def expected_shares(fit: lhx.Fit) -> np.ndarray:
    """The expected share of people with 0, 1, ... visits: the mean of each one's own."""
    prediction = fit.predictor.simulate(*fit.data.arguments).values
    nll = jax.jit(lambda count: fit.predictor.likelihood.nll(prediction, count))
    ones = jnp.ones_like(prediction)
    return np.array([jnp.mean(jnp.exp(-nll(k * ones))) for k in range(MOST_SHOWN + 1)])


def observed_shares(visits: lhx.Dataset) -> np.ndarray:
    """The share of people with 0, 1, ... visits."""
    counts = np.asarray(visits.values).astype(int)
    return np.bincount(counts, minlength=MOST_SHOWN + 1)[: MOST_SHOWN + 1] / counts.size


def draw(shares: dict[str, np.ndarray], visits: lhx.Dataset) -> None:
    """Bars for what was observed, a line for each family."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    shown = np.arange(MOST_SHOWN + 1)
    axes.bar(shown, observed_shares(visits), color="0.85", label="observed")
    for (name, expected), marker in zip(shares.items(), "osD^", strict=True):
        axes.plot(shown, expected, marker, ls="-", lw=1, ms=4, label=name)
    axes.set(xlabel="visits a year", ylabel="share of people", xlim=(-0.6, MOST_SHOWN + 0.6))
    axes.legend(frameon=False)
    picture = Path("doctor_visits.png").resolve()
    figure.savefig(picture, dpi=120)
    plt.close(figure)
    print(f"The picture is at {picture}")


def check(fits: dict[str, lhx.Fit], shares: dict[str, np.ndarray]) -> None:
    """What this script claims."""
    for name, fit in fits.items():
        assert fit.success, (name, fit.message)
    for name, printed in PRINTED.items():
        assert abs(-fits[name].nll - printed) < 1e-3, (name, fits[name].nll)
    # Overdispersion, not a second kind of zero: the negative binomial explains the counts ...
    nll = {name: fit.nll for name, fit in fits.items()}
    assert nll["Poisson"] > nll["zero-inflated Poisson"] > nll["negative binomial"] + 5_000
    # ... and leaves nothing for a gate to explain, though the Poisson would have welcomed one.
    assert nll["negative binomial"] - nll["zero-inflated negative binomial"] < 5
    none = observed_shares(fits["Poisson"].data)[0]
    assert abs(shares["negative binomial"][0] - none) < 0.02
    assert none - shares["Poisson"][0] > 0.15
    assert fits["Poisson"].pearson_dispersion > 5
    print("The negative binomial it is: the variance exceeds the mean, for all counts alike.")


if __name__ == "__main__":
    check(*main())
