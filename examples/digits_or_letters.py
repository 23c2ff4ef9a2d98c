"""Does a classifier know what is no digit? It depends on the network, and can be measured.

Two small networks learn the handwritten digits of scikit-learn (E. Alpaydin and C. Kaynak 1998,
"Optical recognition of handwritten digits", UCI; 8 by 8 pixels, 17 levels of grey), and predict
evidence for each of ten classes by the same objective. Neither has seen a letter, or noise. The
first is a usual one, which goes on in straight lines where there were no data, and takes most of
what is no digit for one. In the second, evidence comes from prototypes and fades with the distance
from them (T. Denoeux 2000, "A neural network classifier based on Dempster-Shafer theory", IEEE
Transactions on Systems, Man, and Cybernetics A 30): it tells letters and noise apart, and halves of
two digits, put together, less well. Last, batches without labels are judged.
"""

from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from jax import Array
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath
from numpyro.distributions import Distribution
from sklearn.datasets import load_digits

import likelihax as lhx
from likelihax.diagnostics import OutOfDistribution, Verdict

jax.config.update("jax_enable_x64", True)

CLASSES = 10
PROTOTYPES = 100
STEPS = 200
LETTERS = "AEFHKMNRWXY"
FACES = ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono")
USUAL = "digits held out"


class Layers(eqx.Module):
    """A hidden layer; a number for each class, whose softplus is the evidence."""

    layers: eqx.nn.MLP

    def __call__(self, images: Array) -> Array:
        return jax.vmap(self.layers)(images)


class Prototypes(eqx.Module):
    """Evidence for each class from each prototype, the less the farther away."""

    centres: Array
    log_widths: Array
    log_evidence: Array

    def __call__(self, images: Array) -> Array:
        lengths = [jnp.sum(each**2, axis=-1) for each in (images, self.centres)]
        squares = lengths[0][:, None] + lengths[1][None] - 2 * images @ self.centres.T
        near = jnp.exp(-0.5 * squares * jnp.exp(-2 * self.log_widths)[None])
        return near @ jnp.exp(self.log_evidence)


def networks(learnt: lhx.Dataset) -> dict[str, lhx.Predictor]:
    """Both, before they have seen anything; prototypes begin as some of the digits."""
    layers = eqx.nn.MLP(64, CLASSES, 64, 1, key=jax.random.key(0), dtype=jnp.float64)
    which = np.random.default_rng(0).choice(len(learnt.values), PROTOTYPES, replace=False)
    own = learnt.values[which].astype(int)[:, None] == np.arange(CLASSES)[None]
    prototypes = Prototypes(
        centres=learnt.inputs[which],
        log_widths=jnp.full(PROTOTYPES, np.log(0.8)),
        log_evidence=jnp.where(own, 3.0, -4.0),
    )
    evidence = lhx.likelihoods.DirichletCategorical
    return {
        "layers": lhx.Predictor(Layers(layers), evidence(CLASSES)),
        "prototypes": lhx.Predictor(prototypes, evidence(CLASSES, lhx.predicted("identity"))),
    }


def data() -> tuple[lhx.Dataset, lhx.Dataset]:
    """Two thirds of the digits to learn from, and a third held out; greys from 0 to 1."""
    images, labels = load_digits(return_X_y=True)
    held = np.arange(labels.size) % 3 == 0
    make = lambda rows, name: lhx.Dataset(images[rows] / 16, labels[rows], name=name)
    return make(~held, "learnt"), make(held, USUAL)


def strangers(held_out: lhx.Dataset) -> dict[str, np.ndarray]:
    """What is no digit."""
    generator = np.random.default_rng(0)
    images, labels = np.asarray(held_out.inputs), np.asarray(held_out.values)
    other = generator.permutation(labels.size)
    differ = labels != labels[other]
    halves = np.concatenate([images[:, :32], images[other, 32:]], axis=1)[differ]
    return {
        "letters": letters(generator),
        "noise": generator.integers(0, 17, (300, 64)) / 16,
        "shuffled digits": generator.permuted(images, axis=1),
        "halves of two digits": halves,
    }


def letters(generator: np.random.Generator) -> np.ndarray:
    """Letters unlike any digit, drawn as the digits are."""
    drawn = []
    for letter in LETTERS:
        for face in FACES:
            for weight in ("normal", "bold"):
                font = FontProperties(family=face, weight=weight)
                outline = TextPath((0, 0), letter, size=1, prop=font)
                drawn += [raster(outline, slant) for slant in generator.uniform(-0.15, 0.3, 4)]
    return np.array(drawn)


def raster(outline: TextPath, slant: float) -> np.ndarray:
    """How much of each pixel lies inside; 8 pixels high and at most 6 wide, as digits are."""
    polygons = [polygon @ [[1, 0], [slant, 1]] for polygon in outline.to_polygons()]
    low, high = np.min(np.vstack(polygons), axis=0), np.max(np.vstack(polygons), axis=0)
    points = (np.arange(64) + 0.5) / 8 - 4
    x, y = np.meshgrid(points, -points)
    wide, tall = high - low
    size = np.array([max(tall / 8, wide / 6), tall / 8])
    at = np.column_stack([x.ravel(), y.ravel()]) * size + (low + high) / 2
    # A hole lies inside twice.
    inside = sum(Outline(polygon).contains_points(at).astype(int) for polygon in polygons) % 2
    shares = inside.reshape(8, 8, 8, 8).mean(axis=(1, 3))
    return np.round(16 * shares).ravel() / 16


class Found(NamedTuple):
    """What came out.

    - `predictions`: of each network for each kind of image.
    - `right`: the share of the held-out digits that each network knows.
    - `told_apart`: how well vacuity does, by network and kind of stranger.
    - `verdicts`: on a batch of digits, and on one with some letters in it.
    """

    predictions: dict[str, dict[str, Distribution]]
    right: dict[str, float]
    told_apart: dict[str, dict[str, OutOfDistribution]]
    verdicts: tuple[Verdict, Verdict]


def vacuity(prediction: Distribution) -> np.ndarray:
    """One where there is no evidence for anything."""
    return np.asarray(lhx.diagnostics.strangeness(prediction, "vacuity"))


def main() -> Found:
    """Trains, measures, judges, draws the picture."""
    learnt, held_out = data()
    images = {USUAL: np.asarray(held_out.inputs), **strangers(held_out)}
    # Evidence is first found, then held back where it speaks against a label.
    held_back = optax.linear_schedule(0.0, 1 / learnt.values.size, STEPS // 2)
    objective = lhx.NLL(lhx.reductions.Mean()) + held_back * lhx.terms.EvidenceAgainst()
    predictions, right, told_apart = {}, {}, {}
    for (name, network), rate in zip(networks(learnt).items(), (0.01, 0.03), strict=True):
        method = lhx.GradientDescent(optax.adam(rate), max_steps=STEPS)
        fit = lhx.fit(objective, network, learnt, method=method)
        each = {kind: fit.predictor(jnp.asarray(table)) for kind, table in images.items()}
        guesses = np.argmax(np.asarray(each[USUAL].probs), axis=-1)
        right[name] = float(np.mean(guesses == np.asarray(held_out.values)))
        scores = {kind: vacuity(one) for kind, one in each.items()}
        usual = scores.pop(USUAL)
        told_apart[name] = {
            kind: lhx.diagnostics.out_of_distribution(usual, strange)
            for kind, strange in scores.items()
        }
        predictions[name] = each
        print(f"\n{name}: {100 * right[name]:.1f} % of the digits held out are known")
        for kind, one in told_apart[name].items():
            print(f"  {kind:22} AUROC {one.auroc:.3f}   AUPRC {one.auprc:.3f}")
    print(f"\nLetters, by prototypes:\n{told_apart['prototypes']['letters']}\n")
    verdicts = judged(predictions["prototypes"])
    print("A batch of digits:", verdicts[0], "One with letters in it:", verdicts[1], sep="\n")
    picture = Path("digits_or_letters.png").resolve()
    drawn(images, predictions).savefig(picture, dpi=120)
    print(f"The picture is at {picture}")
    return Found(predictions, right, told_apart, verdicts)


def judged(predictions: dict[str, Distribution]) -> tuple[Verdict, Verdict]:
    """Half of what was held out is the reference for batches of 60, one with 20 letters."""
    scores = vacuity(predictions[USUAL])
    reference, rest = scores[::2], scores[1::2]
    some = vacuity(predictions["letters"])[::13][:20]
    mixed = np.concatenate([rest[60:100], some])
    judge = lambda batch: lhx.diagnostics.verdict(reference, batch, level=0.05)
    return judge(rest[:60]), judge(mixed)


def drawn(
    images: dict[str, np.ndarray], predictions: dict[str, dict[str, Distribution]]
) -> plt.Figure:
    """Six of each kind, and how much is known of them by either network."""
    figure = plt.figure(figsize=(10, 5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.6))
    rows = left.subplots(len(images), 6)
    for row, (kind, table) in zip(rows, images.items(), strict=True):
        row[0].set_title(kind, fontsize=9, loc="left")
        for place, at in zip(row, np.linspace(0, len(table) - 1, 6).astype(int), strict=True):
            place.imshow(table[at].reshape(8, 8), cmap="Greys", vmin=0, vmax=1)
            place.axis("off")
    panels = right.subplots(2, 1, sharex=True)
    for panel, (name, each) in zip(panels, predictions.items(), strict=True):
        outlines(panel, {kind: vacuity(one) for kind, one in each.items()})
        panel.set_title(name, fontsize=10)
        panel.set_ylabel("share of the images")
    panels[1].set_xlabel("vacuity: 1 where there is no evidence")
    panels[0].legend(fontsize=8, frameon=False)
    return figure


def outlines(panel: Axes, scores: dict[str, np.ndarray]) -> None:
    """Shares by score, digits filled."""
    edges = np.linspace(0, 1, 26)
    for kind, each in scores.items():
        filled = {"histtype": "stepfilled", "alpha": 0.4} if kind == USUAL else {"histtype": "step"}
        share = np.full(each.size, 1 / each.size)
        panel.hist(each, edges, weights=share, label=kind, **filled)


def check(found: Found) -> None:
    """What this script claims."""
    assert min(found.right.values()) > 0.95, found.right
    layers, prototypes = found.told_apart.values()
    for kind, one in layers.items():
        assert 0.6 < one.auroc < 0.9, (kind, one)
        assert one.caught < 0.6, (kind, one)
    for kind in ("letters", "noise", "shuffled digits"):
        assert min(prototypes[kind].auroc, prototypes[kind].auprc) > 0.99, prototypes[kind]
        assert prototypes[kind].caught > 0.98, prototypes[kind]
    near_misses = prototypes["halves of two digits"]
    assert 0.88 < near_misses.auroc < 0.98, near_misses
    of_digits, with_letters = found.verdicts
    assert not of_digits.unlike, of_digits
    assert of_digits.num_flagged == 0, of_digits
    assert with_letters.unlike, with_letters
    assert with_letters.flagged[40:].mean() > 0.9, with_letters
    assert with_letters.flagged[:40].mean() < 0.1, with_letters


if __name__ == "__main__":
    check(main())
