"""What networks say of noise and of ignorance along a cubic parabola.

The test of N. Meinert, J. Gawlikowski and A. Lavin (2023, "The unreasonable effectiveness of deep
evidential regression", AAAI 37), after A. Amini and others (2020): y = x^3 with Normal noise of 3,
known on [-4, 4], asked at 7. Every fit counts, however it ended.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

import likelihax as lhx
from benchmarks.evidential.network import Network
from likelihax.likelihoods import Normal, NormalInverseGamma, tied

SEEDS, ROWS, NOISE = 50, 1000, 3.0
WIDTH, STEPS = 50, 600
# Aleatoric within a tenth inside the data; epistemic outside at least so many times that inside.
CLOSE, FARTHER, ENOUGH = 0.1, 5.0, 45
INSIDE = np.linspace(-4.0, 4.0, 81)
OUTSIDE = np.array([-7.0, 7.0])
RECOMMENDED = "last layer"

Vector = NDArray[np.float64]


class Said(NamedTuple):
    """Standard deviations that one network states, in the unit of y: inside, then outside."""

    aleatoric: Vector
    epistemic: Vector

    @property
    def noise(self) -> float:
        """What it takes the noise to be, where it has seen data."""
        return float(np.mean(self.aleatoric[: INSIDE.size]))

    @property
    def farther(self) -> float:
        """The least ignorance outside over the largest inside.

        0 where there is none at all, and where it has no bound inside: more there cannot be.
        """
        inside, outside = np.split(self.epistemic, [INSIDE.size])
        largest = max(inside.max(), np.finfo(float).tiny)
        return float(outside.min() / largest) if np.isfinite(largest) else 0.0


class Data(NamedTuple):
    """A data set in units in which its numbers are of the order of one."""

    table: lhx.Dataset
    x_scale: float
    y_scale: float


def data(seed: int) -> Data:
    """A thousand points."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-4.0, 4.0, ROWS)
    y = x**3 + NOISE * rng.normal(size=ROWS)
    return Data(lhx.Dataset(x[:, None] / x.std(), y / y.std()), x.std(), y.std())


def _expected(p: lhx.Predictor) -> Any:
    return p.model.expected


def _trained(objective: Any, likelihood: Any, others: list[float], table: Any, seed: int) -> Any:
    network = Network(1, WIDTH, others, key=jax.random.key(seed))
    method = lhx.BFGS(max_steps=STEPS)
    predictor = lhx.Predictor(network, likelihood)
    return lhx.fit(objective, predictor, table, method=method, throw=False, progress=False)


_PUBLISHED = lhx.NLL() + 0.01 * lhx.terms.MisplacedEvidence("unit")
_TIED = lhx.NLL() + 0.01 * lhx.terms.MisplacedEvidence("width")
_ALONE = lhx.NLL()
_FOUR, _THREE = NormalInverseGamma(), NormalInverseGamma(shape=tied())
_SPREAD = Normal(lhx.predicted())


def _evidential(table: Any, seed: int) -> Any:
    return _trained(_PUBLISHED, _FOUR, [0.0, 0.0, 0.0], table, seed).predictor


def _with_a_tie(table: Any, seed: int) -> Any:
    return _trained(_TIED, _THREE, [0.0, 0.0], table, seed).predictor


def _last_layer(table: Any, seed: int) -> Any:
    return lhx.last_layer(_trained(_ALONE, _SPREAD, [-1.0], table, seed), _expected)


METHODS = {
    "evidential, as published": _evidential,
    "evidential, tied": _with_a_tie,
    RECOMMENDED: _last_layer,
}


def said(method: Any, seed: int) -> Said:
    """What one network says, trained on one data set."""
    known = data(seed)
    at = np.concatenate([INSIDE, OUTSIDE])[:, None] / known.x_scale
    found = method(known.table, seed)(jnp.asarray(at))
    sd = lambda variance: np.sqrt(np.asarray(variance)) * known.y_scale
    return Said(sd(found.aleatoric), sd(found.epistemic))


def draw(pictures: Path) -> None:
    """What the first network of each method says, beside what it has seen."""
    import matplotlib.pyplot as plt

    known, x = data(0), np.linspace(-7.5, 7.5, 151)
    figure, axes = plt.subplots(1, len(METHODS), figsize=(10.0, 3.2), sharey=True)
    for axis, (name, method) in zip(axes, METHODS.items(), strict=True):
        found = method(known.table, 0)(jnp.asarray(x[:, None] / known.x_scale))
        centre = np.asarray(found.mean) * known.y_scale
        total = np.sqrt(np.asarray(found.variance)) * known.y_scale
        noise = np.sqrt(np.asarray(found.aleatoric)) * known.y_scale
        for spread, shade, label in ((total, 0.2, "and ignorance"), (noise, 0.4, "noise")):
            band = centre - 2 * spread, centre + 2 * spread
            axis.fill_between(x, *band, color="C0", alpha=shade, lw=0, label=label)
        axis.plot(x, centre, "C0", label="expected")
        axis.plot(x, x**3, "k:", lw=1, label="truth")
        seen = np.asarray(known.table.inputs[:, 0]) * known.x_scale
        axis.plot(seen, np.asarray(known.table.values) * known.y_scale, "C1.", ms=1, alpha=0.4)
        axis.set(title=name, xlabel="x", ylim=(-480, 480))
    axes[0].set_ylabel("y")
    axes[0].legend(frameon=False, fontsize="small")
    figure.tight_layout()
    figure.savefig(pictures / "evidential_cubic.png", dpi=80)
    plt.close(figure)


def run(pictures: Path | None = None) -> int:
    """Prints a row a method; 0 if the recommended one meets both bars often enough."""
    if pictures is not None:
        draw(pictures)
    print(f"{'':26} {'noise':>6} {'(true 3)':>9}  ignorance at 7 over the largest inside")
    met = False
    for name, method in METHODS.items():
        each = [said(method, seed) for seed in range(SEEDS)]
        noise = np.array([one.noise for one in each])
        farther = np.array([one.farther for one in each])
        close = np.abs(noise / NOISE - 1) <= CLOSE
        good = int(np.sum(close & (farther >= FARTHER)))
        print(
            f"{name:26} {np.median(noise):6.2f} {int(close.sum()):3d} of {SEEDS}  "
            f"median {np.median(farther):8.2f}, {int(np.sum(farther >= FARTHER)):2d} of {SEEDS} "
            f"at least {FARTHER:g}; both: {good}",
            flush=True,
        )
        if name == RECOMMENDED:
            met = good >= ENOUGH
    print(f"{RECOMMENDED}: {'met' if met else 'NOT MET'} (bar {ENOUGH} of {SEEDS})")
    return 0 if met else 1
