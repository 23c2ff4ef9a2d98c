"""Forces in a molecule from a network that says how uncertain it is, and when it is far from home.

Dimethyl ether moves at 300 K under the forces of GFN2-xTB (C. Bannwarth, S. Ehlert and S. Grimme
2019, "GFN2-xTB - an accurate and broadly parametrized self-consistent tight-binding quantum
chemical method", Journal of Chemical Theory and Computation 15), which `tblite` computes in a
millisecond. A network learns them from 150 geometries. Then it meets the ether on another path at
300 K, the ether at 900 K, and ethanol: the same nine atoms, bonded differently. The ether is soon
everywhere it ever goes. Of ethanol, whose hydroxyl group stays for picoseconds where it is, two
short paths would differ, and forces held out be strange for a good reason.

The force on an atom is a sum over pairs of a number times the unit vector between the two, and the
number, that of both atoms, follows from distances alone. So forces turn with the molecule, like
atoms may change places, and neither the sum of the forces nor their torque is ever anything but
zero, as in nature. The network also says how far off it is, an atom at a time. Its last layer is
then refitted as Bayesian linear regression, which says what the data leave open.
"""

import math
import os
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any, NamedTuple

# Nine atoms are no work to share: on cores that others use too, OpenMP's threads would wait for
# one another most of the time. Read when tblite is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from ase import Atoms, units
from ase.build import molecule
from ase.md.langevin import Langevin
from jax import Array
from numpyro.distributions import Distribution
from tblite.ase import TBLite

import likelihax as lhx
from likelihax.diagnostics import OutOfDistribution, Verdict
from likelihax.inference import LastLayer

jax.config.update("jax_enable_x64", True)

ELEMENTS = (1, 6, 8)  # what the network can be asked about: hydrogen, carbon, oxygen
KINDS = 6  # of pairs of these
RADII, CHANNELS, SURROUNDINGS, WIDTH = 12, 16, 24, 32
NEAREST, FARTHEST = 0.85, 4.6  # Å
LEARNT, SEEN, STEPS = 150, 80, 300
WARM_UP, APART = 500, 25  # fs before the first geometry, and between one and the next
USUAL = "dimethyl ether at 300 K"
HOT, OTHER = "dimethyl ether at 900 K", "ethanol at 300 K"
MOLECULES = {USUAL: ("CH3OCH3", 300), HOT: ("CH3OCH3", 900), OTHER: ("CH3CH2OH", 300)}


def with_forces(name: str) -> Atoms:
    """A molecule by its formula in ASE's collection, and what computes its forces, in eV/Å."""
    atoms = molecule(name)
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    return atoms


def geometries(kind: str, count: int, seed: int) -> lhx.Dataset:
    """Positions in Å along a path at the temperature of `kind`, and the forces there."""
    name, kelvin = MOLECULES[kind]
    atoms, rng = with_forces(name), np.random.default_rng(seed)
    # ASE's own correction of drift heats small molecules; drift does not matter to forces.
    path = Langevin(
        atoms, units.fs, temperature_K=kelvin, friction=0.01 / units.fs, rng=rng, fixcm=False
    )
    path.run(WARM_UP)
    positions, forces = [], []
    for _ in range(count):
        path.run(APART)
        positions.append(atoms.get_positions())
        forces.append(atoms.get_forces().ravel())
    return lhx.Dataset(asked(np.array(positions), atoms.numbers), np.array(forces), name=kind)


def asked(positions: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the network takes: positions, shape `(rows, atoms, 3)`, and the atomic numbers."""
    unknown = set(numbers.tolist()) - set(ELEMENTS)
    if unknown:
        raise ValueError(f"The network knows the elements {ELEMENTS}, not {sorted(unknown)}.")
    return positions, np.tile(numbers, (len(positions), 1))


class Forces(eqx.Module):
    """Three forces an atom and, of the same three, what else the likelihood asks for.

    `others` says where those begin, everywhere alike.
    """

    atoms: Array
    to_channels: Array
    of_kinds: Array
    first: Array
    first_bias: Array
    second: Array
    second_bias: Array
    expected: Array
    of_atoms: Array
    shift: Array

    def __init__(self, others: tuple[float, ...] = (-1.5,), *, key: Array):
        keys = jax.random.split(key, 5)
        draw = lambda key, *shape: jax.random.normal(key, shape) / np.sqrt(shape[0])
        pair = RADII + 2 * SURROUNDINGS + CHANNELS
        self.atoms = draw(keys[0], (RADII + 1) * len(ELEMENTS), SURROUNDINGS)
        self.to_channels = 2.0 * draw(keys[1], RADII, CHANNELS)
        self.of_kinds = 1.0 + 0.5 * jax.random.normal(keys[2], (KINDS, CHANNELS))
        self.first = 1.5 * draw(keys[3], pair + KINDS, WIDTH)
        self.first_bias = jnp.zeros(WIDTH)
        self.second = 1.5 * draw(keys[4], WIDTH, WIDTH)
        self.second_bias = jnp.zeros(WIDTH)
        self.expected = jnp.zeros((pair + 2 * WIDTH, KINDS))
        self.of_atoms = jnp.zeros((len(ELEMENTS), SURROUNDINGS, len(others)))
        self.shift = jnp.tile(jnp.asarray(others, float), (len(ELEMENTS), 1))

    def __call__(self, inputs: tuple[Array, Array]) -> Array:
        positions, numbers = inputs
        rows, count, _ = positions.shape
        element = jnp.stack([numbers == one for one in ELEMENTS], axis=-1).astype(positions.dtype)
        i, j = np.triu_indices(count, 1)
        between = positions[:, i] - positions[:, j]
        lengths = jnp.sqrt(jnp.sum(between**2, axis=-1))
        near, kind = radial(lengths), kinds(element[:, i], element[:, j])
        around = self.surroundings(full(near, count), element)
        mixed = full(near @ self.to_channels * (kind @ self.of_kinds), count)
        third = jnp.einsum("rimc,rjmc->rijc", mixed, mixed)[:, i, j]  # over all third atoms
        both = [around[:, i] + around[:, j], around[:, i] * around[:, j]]
        seen = jnp.concatenate([near, *both, third], axis=-1)
        hidden = through(jnp.concatenate([seen, kind], -1), self.first, self.first_bias)
        deep = through(hidden, self.second, self.second_bias)
        features = jnp.concatenate([seen, hidden, deep], axis=-1)
        along = jnp.sum(kind * (features @ self.expected), axis=-1)
        of_pairs = (along / lengths)[..., None] * between
        forces = jnp.zeros_like(positions).at[:, i].add(of_pairs).at[:, j].add(-of_pairs)
        rest = jnp.einsum("rie,eso,ris->rio", element, self.of_atoms, around) + element @ self.shift
        forces = forces.reshape(rows, -1, 1)
        return jnp.concatenate([forces, jnp.repeat(rest, 3, axis=1)], axis=-1)

    def surroundings(self, near: Array, element: Array) -> Array:
        """What is around each atom, summed over those of each element."""
        sums = jnp.einsum("rijk,rje->rike", near, element).reshape(*element.shape[:2], -1)
        return jax.nn.silu(jnp.concatenate([sums, element], axis=-1) @ self.atoms)


def through(inputs: Array, weights: Array, bias: Array) -> Array:
    return jax.nn.silu(inputs @ weights + bias[None, None])


def radial(lengths: Array) -> Array:
    """Bumps along the logarithm of a distance: narrow where bonds are, wide farther out."""
    nearest, farthest = math.log(NEAREST), math.log(FARTHEST)
    width = (farthest - nearest) / (RADII - 1)
    logs = jnp.log(lengths)
    bumps = [jnp.exp(-0.5 * ((logs - nearest) / width - i) ** 2) for i in range(RADII)]
    return jnp.stack(bumps, axis=-1)


def kinds(one: Array, other: Array) -> Array:
    """Which two elements a pair has, in either order."""
    of = lambda i, j: one[..., i] * other[..., j]
    pairs = combinations_with_replacement(range(len(ELEMENTS)), 2)
    return jnp.stack([of(i, j) if i == j else of(i, j) + of(j, i) for i, j in pairs], axis=-1)


def full(of_pairs: Array, count: int) -> Array:
    """From pairs to a table of both atoms, zero for an atom and itself."""
    i, j = np.triu_indices(count, 1)
    table = jnp.zeros((of_pairs.shape[0], count, count, of_pairs.shape[-1]), of_pairs.dtype)
    return table.at[:, i, j].set(of_pairs).at[:, j, i].set(of_pairs)


def last(predictor: lhx.Predictor) -> Array:
    """The last layer: a weight for each feature and kind of pair."""
    return predictor.model.expected


def train(learnt: lhx.Dataset, steps: int, key: Array) -> lhx.Fit:
    """A network that predicts forces and how far off it is."""
    predictor = lhx.Predictor(Forces(key=key), lhx.likelihoods.Normal(lhx.predicted()))
    rate = optax.cosine_decay_schedule(0.01, steps)
    method = lhx.GradientDescent(optax.adam(rate), max_steps=steps)
    return lhx.fit(lhx.NLL(lhx.reductions.Mean()), predictor, learnt, method=method)


def uncertainty(found: Distribution, kind: Any = "epistemic") -> np.ndarray:
    """How far the forces of each geometry may be off, in eV/Å: the geometric mean of all.

    So every atom counts, and not only the few of which least is known.
    """
    variances = np.asarray(lhx.diagnostics.strangeness(found, kind), float)
    return np.exp(0.5 * np.mean(np.log(variances), axis=1))


def turned(data: lhx.Dataset, by: np.ndarray) -> tuple[Array, Array]:
    """The same molecules, seen from elsewhere."""
    positions, numbers = data.inputs
    return positions @ by.T + 3.0, numbers


class Found(NamedTuple):
    """What came out.

    - `errors`, `stated`: of the force on an atom along one axis, root mean square, in eV/Å: how
        wrong the network is, and how wrong it says it is.
    - `inside`: the share of held-out forces inside their 90 % bands.
    - `told_apart`: how well its uncertainty tells other geometries from those held out.
    - `verdicts`: on a batch at 300 K, and on one at 900 K.
    - `off_when_turned`: the largest change of a force in the molecule's frame, in eV/Å.
    """

    errors: dict[str, float]
    stated: dict[str, float]
    inside: float
    told_apart: dict[str, OutOfDistribution]
    verdicts: tuple[Verdict, Verdict]
    off_when_turned: float


def main() -> Found:
    """Computes, trains, measures, judges, draws the picture."""
    learnt = geometries(USUAL, LEARNT, seed=0)
    seen = {kind: geometries(kind, SEEN, seed=1 + i) for i, kind in enumerate(MOLECULES)}
    fit = train(learnt, STEPS, jax.random.key(0))
    layer = lhx.last_layer(fit, last, refit=True)
    said = {kind: layer(data.inputs) for kind, data in seen.items()}
    usual, before = seen[USUAL], fit.predictor(seen[USUAL].inputs)
    for name, one in (("as trained", before), ("last layer refitted", said[USUAL])):
        nll = -float(jnp.mean(one.log_prob(usual.values)))
        print(f"{name:20} error {whole(off(one, usual)):.3f} eV/Å, NLL {nll:.2f} a force held out")
    inside = inside_90(said[USUAL], usual)
    print(f"{100 * inside:.0f} % of the forces held out are inside their 90 % bands\n")
    by_geometry = {kind: off(said[kind], data) for kind, data in seen.items()}
    errors = {kind: whole(each) for kind, each in by_geometry.items()}
    stated = {kind: whole(np.sqrt(each.variance)) for kind, each in said.items()}
    scores = {kind: uncertainty(each) for kind, each in said.items()}
    told_apart = {}
    for kind, each in scores.items():
        told_apart[kind] = told = lhx.diagnostics.out_of_distribution(scores[USUAL], each)
        print(
            f"{kind:23} error {errors[kind]:.3f} eV/Å where {stated[kind]:.3f} is stated, "
            f"AUROC {told.auroc:.3f}, AUPRC {told.auprc:.3f}"
        )
    verdicts = judged(scores)
    print("\nA batch at 300 K:", verdicts[0], "One at 900 K:", verdicts[1], sep="\n")
    picture = Path("forces.png").resolve()
    drawn(scores, by_geometry).savefig(picture, dpi=120)
    print(f"The picture is at {picture}")
    return Found(errors, stated, inside, told_apart, verdicts, off_when_turned(layer, usual))


def whole(each: np.ndarray) -> float:
    """The root mean square of all."""
    return float(np.sqrt(np.mean(each**2)))


def off(found: Distribution, data: lhx.Dataset) -> np.ndarray:
    """The root mean square error of each geometry, in eV/Å."""
    away = found.mean - data.values
    return np.asarray(jnp.sqrt(jnp.mean(away**2, axis=1)))


def inside_90(found: Distribution, data: lhx.Dataset) -> float:
    """The share of forces inside a band that is to hold 90 % of them."""
    below = found.cdf(data.values)
    return float(jnp.mean((below > 0.05) & (below < 0.95)))


def judged(scores: dict[str, np.ndarray]) -> tuple[Verdict, Verdict]:
    """Sixty of what was held out are the reference for batches of 20."""
    reference, rest = scores[USUAL][:60], scores[USUAL][60:]
    judge = lambda batch: lhx.diagnostics.verdict(reference, batch, level=0.05)
    return judge(rest), judge(scores[HOT][:20])


def off_when_turned(layer: LastLayer, data: lhx.Dataset) -> float:
    """What comes of turning the molecule first, less the turned forces."""
    by, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    forces = lambda inputs: np.asarray(layer(inputs).mean).reshape(len(data.values), -1, 3)
    return float(np.max(np.abs(forces(turned(data, by)) - forces(data.inputs) @ by.T)))


def drawn(scores: dict[str, np.ndarray], errors: dict[str, np.ndarray]) -> plt.Figure:
    """How uncertain the network is of each geometry, and how wrong."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    lowest, highest = (f([f(each) for each in scores.values()]) for f in (np.min, np.max))
    edges = np.geomspace(0.9 * lowest, 1.1 * highest, 40)
    for i, (kind, each) in enumerate(scores.items()):
        style = {"histtype": "stepfilled", "alpha": 0.4} if kind == USUAL else {"histtype": "step"}
        left.hist(each, edges, label=kind, color=f"C{i}", **style)
        right.plot(each, errors[kind], ".", color=f"C{i}", ms=4)
    left.set(xscale="log", xlabel="uncertainty of the mean force [eV/Å]", ylabel="geometries")
    left.legend(frameon=False, fontsize=8)
    right.plot(edges, edges, "k:", lw=1)
    right.set(xscale="log", yscale="log", xlabel="uncertainty [eV/Å]", ylabel="error [eV/Å]")
    return figure


def check(found: Found) -> None:
    """What this script claims."""
    assert found.off_when_turned < 1e-10, found.off_when_turned
    assert found.errors[USUAL] < 0.08, found.errors
    assert found.errors[HOT] > 2 * found.errors[USUAL], found.errors
    assert 0.8 < found.inside < 0.95, found.inside
    for kind in (HOT, OTHER):
        assert found.told_apart[kind].auroc > 0.92, found.told_apart[kind]
        # It sees that it is far off, and not quite how far.
        assert 0.3 < found.stated[kind] / found.errors[kind] < 1.5, (found.stated, found.errors)
    at_rest, heated = found.verdicts
    assert not at_rest.unlike, at_rest
    assert at_rest.num_flagged <= 2, at_rest
    assert heated.unlike, heated
    # How many stand out by themselves hangs on the strangest few of the reference.
    assert heated.num_flagged >= 4, heated


if __name__ == "__main__":
    check(main())
