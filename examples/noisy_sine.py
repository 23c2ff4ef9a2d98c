"""A network that learns a mean and a scale together, and what keeps it from stalling.

Five periods of a sine with little noise, after Seitzer, Tavakoli, Antic and Martius (2022, "On the
pitfalls of heteroscedastic uncertainty estimation with probabilistic neural networks", ICLR). The
plain Normal NLL soon calls what it cannot yet follow noise, and then has no reason to follow it.
Two remedies change its gradient, not its value: `BetaNLL` and `Faithful`. The noise is computed
here, so that the truth is known: all three are compared with it.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from jax import Array

import likelihax as lhx

jax.config.update("jax_enable_x64", True)

COUNT = 300
NOISE = 0.02
STEPS = 4_000


class TwoHeads(eqx.Module):
    """Location and log-scale from shared features; the scale's head may only look at them."""

    trunk: eqx.nn.MLP
    loc: eqx.nn.Linear
    log_scale: eqx.nn.Linear
    apart: bool = eqx.field(static=True)

    def __call__(self, inputs: Array) -> Array:
        features = jax.vmap(self.trunk)(inputs)
        seen = jax.lax.stop_gradient(features) if self.apart else features
        heads = jax.vmap(self.loc)(features), jax.vmap(self.log_scale)(seen)
        return jnp.concatenate(heads, axis=-1)


def network(apart: bool) -> TwoHeads:
    """The same start for all."""
    first, second, third = jax.random.split(jax.random.key(1), 3)
    double = {"dtype": jnp.float64}
    return TwoHeads(
        eqx.nn.MLP(1, 64, 64, 1, jnp.tanh, jnp.tanh, key=first, **double),
        eqx.nn.Linear(64, 1, key=second, **double),
        eqx.nn.Linear(64, 1, key=third, **double),
        apart,
    )


def truth(inputs: np.ndarray) -> np.ndarray:
    """The curve without noise."""
    return 0.4 * np.sin(2 * np.pi * inputs)


def data() -> tuple[np.ndarray, lhx.Dataset]:
    """Places from 0 to 5, and the table: places of order one, noisy values."""
    generator = np.random.default_rng(0)
    places = np.sort(generator.uniform(0.0, 5.0, COUNT))
    values = truth(places) + NOISE * generator.standard_normal(COUNT)
    return places, lhx.Dataset(((places - 2.5) / 1.5)[:, None], values, name="sine")


def main() -> dict[str, lhx.Fit]:
    """Trains all three alike, prints how far each is from the truth, draws the picture."""
    places, table = data()
    remedies = {
        "NLL": None,
        "beta-NLL": lhx.likelihoods.BetaNLL(0.5),
        "faithful": lhx.likelihoods.Faithful(),
    }
    method = lhx.GradientDescent(optax.adam(5e-3), max_steps=STEPS, tolerance=0.0)
    fits = {}
    print(f"{'gradient':10} {'NLL a value':>12} {'error of mean':>14} {'typical scale':>14}")
    for name, remedy in remedies.items():
        likelihood = lhx.likelihoods.Normal(scale=lhx.predicted(), gradient=remedy)
        start = lhx.Predictor(network(apart=name == "faithful"), likelihood)
        fits[name] = lhx.fit(lhx.NLL(), start, table, method=method)
        error, scale = error_and_scale(fits[name], places)
        print(f"{name:10} {fits[name].nll / COUNT:12.3f} {error:14.4f} {scale:14.4f}")
    draw(fits, places, table)
    return fits


def error_and_scale(fit: lhx.Fit, places: np.ndarray) -> tuple[float, float]:
    """The root mean square error of the mean, and the median of the predicted scale."""
    loc, log_scale = np.asarray(fit.predictor.model(fit.data.inputs)).T
    error = np.sqrt(np.mean((loc - truth(places)) ** 2))
    return float(error), float(np.exp(np.median(log_scale)))


def draw(fits: dict[str, lhx.Fit], places: np.ndarray, table: lhx.Dataset) -> None:
    """One panel a gradient: mean, two predicted standard deviations, values."""
    figure, panels = plt.subplots(1, 3, figsize=(10, 3), sharey=True, layout="constrained")
    for axes, (name, fit) in zip(panels, fits.items(), strict=True):
        predicted = fit.predictor(table.inputs)
        loc, scale = np.asarray(predicted.loc), np.asarray(predicted.scale)
        axes.plot(places, table.values, ".", ms=3, color="0.6")
        axes.fill_between(places, loc - 2 * scale, loc + 2 * scale, alpha=0.3, lw=0)
        axes.plot(places, loc, lw=1.2)
        axes.set(title=name, xlabel="x", ylim=(-0.75, 0.75))
    picture = Path("noisy_sine.png").resolve()
    figure.savefig(picture, dpi=120)
    plt.close(figure)
    print(f"The picture is at {picture}")


def check(fits: dict[str, lhx.Fit]) -> None:
    """What this script claims."""
    places, _ = data()
    errors = {name: error_and_scale(fit, places)[0] for name, fit in fits.items()}
    scales = {name: error_and_scale(fit, places)[1] for name, fit in fits.items()}
    assert errors["NLL"] > 3 * errors["beta-NLL"], errors
    assert errors["NLL"] > 3 * errors["faithful"], errors
    for name in ("beta-NLL", "faithful"):
        assert abs(scales[name] / NOISE - 1) < 0.5, (name, scales)
    print("With a remedy the mean is found, and with it the noise.")


if __name__ == "__main__":
    check(main())
