"""A network that goes on learning a mean while what it says of its own error gets worse.

The size of a cell's nucleus from its shape: 569 biopsies, the mean area of the nuclei in each from
seven descriptors of their outlines and grey values, none of which is a length (W. N. Street, W. H.
Wolberg and O. L. Mangasarian 1993, "Nuclear feature extraction for breast tumor diagnosis"; the
table ships with scikit-learn). A small network predicts its mean and its scale. On cells
that it has not seen the mean still improves when the NLL has long turned: the scale shrinks to what
is left of the errors on those it has. The learning curves show it, and `diagnose` says so.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from sklearn.datasets import load_breast_cancer

import likelihax as lhx

jax.config.update("jax_enable_x64", True)

SHAPE = ("texture", "smoothness", "compactness", "concavity", "concave points", "symmetry")
SHAPE += ("fractal dimension",)
STEPS = 550


class MeanAndScale(eqx.Module):
    """A hidden layer; location and log-scale of each row."""

    layers: eqx.nn.MLP

    def __call__(self, inputs: Array) -> Array:
        return jax.vmap(self.layers)(inputs)


def predictor() -> lhx.Predictor:
    """The network before it has seen anything."""
    layers = eqx.nn.MLP(len(SHAPE), 2, 64, 1, jnp.tanh, key=jax.random.key(0), dtype=jnp.float64)
    return lhx.Predictor(MeanAndScale(layers), lhx.likelihoods.Normal(scale=lhx.predicted()))


def data() -> tuple[lhx.Dataset, lhx.Dataset]:
    """Six tenths to learn from, four to look at; all standardised."""
    table = load_breast_cancer()
    columns = {str(name): table.data[:, i] for i, name in enumerate(table.feature_names)}
    inputs = np.column_stack([columns[f"mean {name}"] for name in SHAPE])
    values = columns["mean area"]
    order = np.random.default_rng(0).permutation(values.size)
    learnt, seen = np.split(order, [values.size * 6 // 10])
    standard = lambda x: (x - x[learnt].mean(axis=0)) / x[learnt].std(axis=0)
    inputs, values = standard(inputs), standard(values)
    return (
        lhx.Dataset(inputs[learnt], values[learnt], name="learnt"),
        lhx.Dataset(inputs[seen], values[seen], name="validation"),
    )


def main() -> lhx.Fit:
    """Trains, prints what is wrong, draws the picture."""
    learnt, validation = data()
    fit = lhx.fit(
        lhx.NLL(lhx.reductions.Mean()),
        predictor(),
        learnt,
        validation=validation,
        method=lhx.GradientDescent(optax.adam(1e-3), max_steps=STEPS),
    )
    print(lhx.diagnose(fit))
    picture = Path("overconfidence.png").resolve()
    lhx.plot.learning_curves(fit).savefig(picture, dpi=120)
    print(f"The picture is at {picture}")
    return fit


def check(fit: lhx.Fit) -> None:
    """What this script claims."""
    assert lhx.diagnose(fit).kinds[:2] == ("overconfident", "overfitting")
    curves = fit.curves
    best = curves.best_step
    assert 0.4 * STEPS < best < 0.7 * STEPS, best
    assert curves.validation_nll[-1] > curves.validation_nll[best] + 0.2
    assert curves.validation_mse[-1] < 0.95 * curves.validation_mse[best]
    learnt, validation = data()
    seen, unseen = (error_in_scales(fit, each) for each in (learnt, validation))
    print(
        f"Root mean square error, in predicted scales: {seen:.2f} where learnt, {unseen:.2f} else."
    )
    assert seen < 1.2 < 1.3 < unseen, (seen, unseen)


def error_in_scales(fit: lhx.Fit, table: lhx.Dataset) -> float:
    """About 1 where the predicted scale is right."""
    predicted = fit.predictor(table.inputs)
    return float(jnp.sqrt(jnp.mean(((table.values - predicted.loc) / predicted.scale) ** 2)))


if __name__ == "__main__":
    check(main())
