"""Which measurements tell how diabetes goes on: an L1 path, its weight chosen by what it predicts.

Ten measurements of 442 patients and how the disease had progressed a year later, from B. Efron, T.
Hastie, I. Johnstone and R. Tibshirani (2004, "Least angle regression", Annals of Statistics 32),
as scikit-learn ships them. The noise of the Normal likelihood is fitted with the coefficients.
As the weight of the penalty falls, the measurements come in one by one, in the order that the
paper prints for the Lasso; cross-validation says how many of them predict anything.
"""

from pathlib import Path

import equinox as eqx
import jax
import numpy as np
from jax import Array
from sklearn.datasets import load_diabetes

import likelihax as lhx

jax.config.update("jax_enable_x64", True)

# Efron and others (2004), table 1 and section 2: the names, and the Lasso's order of entry.
NAMES = ("age", "sex", "bmi", "map", "tc", "ldl", "hdl", "tch", "ltg", "glu")
ENTRY = ("bmi", "ltg", "map", "hdl", "sex", "glu", "tc", "tch", "ldl", "age")


class Linear(eqx.Module):
    """A constant and one coefficient a measurement, each in units of its standard deviation."""

    intercept: lhx.Parameter
    coefficients: lhx.Parameter

    def __call__(self, inputs: Array) -> Array:
        return inputs @ self.coefficients + self.intercept


def patients() -> lhx.Dataset:
    """Standardised measurements, and the progression."""
    measured, progression = load_diabetes(return_X_y=True, scaled=False)
    measured = (measured - measured.mean(axis=0)) / measured.std(axis=0)
    return lhx.Dataset(measured, progression, name="diabetes", observables=("progression",))


def start(data: lhx.Dataset) -> lhx.Predictor:
    """The mean and nothing else."""
    mean, spread = float(np.mean(data.values)), float(np.std(data.values))
    model = Linear(lhx.real(mean), lhx.real(np.zeros(len(NAMES)), scale=spread))
    return lhx.Predictor(model, lhx.likelihoods.Normal(scale=lhx.positive(spread)))


def main() -> lhx.fits.CrossValidation:
    """Fits the path, chooses the weight, prints both and draws them."""
    data = patients()
    found = lhx.cross_validate(
        lhx.NLL(),
        lhx.terms.L1(lambda p: p.model.coefficients),
        start(data),
        data,
        key=jax.random.key(0),
        num_folds=10,
        num_weights=40,
        ratio=2e-3,
    )
    print(found)
    kept = [name for name, b in zip(NAMES, chosen(found), strict=True) if b != 0]
    print(f"\nWithin a standard error of the best: {', '.join(kept)}.")
    picture = Path("diabetes_path.png").resolve()
    lhx.plot.path(found, NAMES).savefig(picture, dpi=120)
    print(f"The picture is at {picture}")
    return found


def chosen(found: lhx.fits.CrossValidation) -> np.ndarray:
    """The coefficients at the largest weight that is within a standard error of the best."""
    return np.asarray(found.sparsest_fit.estimates["coefficients"])


def order_of_entry(along: lhx.fits.Path) -> list[str]:
    """The measurements by when they first leave zero, the larger first among those of one step."""
    entered = np.argmax(along.coefficients != 0, axis=0)
    size = np.abs(along.coefficients[entered, np.arange(len(NAMES))])
    return [NAMES[i] for i in np.lexsort((-size, entered))]


def check(found: lhx.fits.CrossValidation) -> None:
    """What this script claims."""
    assert found.path.success
    finer = lhx.path(
        lhx.NLL(),
        found.path.penalty,
        start(patients()),
        patients(),
        num_weights=120,
        ratio=2e-3,
    )
    assert tuple(order_of_entry(finer)) == ENTRY, order_of_entry(finer)
    kept = {name for name, b in zip(NAMES, chosen(found), strict=True) if b != 0}
    assert {"bmi", "ltg", "map"} <= kept < set(NAMES), kept
    # Fewer measurements predict as well as all of them, within what chance would do.
    everything = found.mean[-1]
    assert found.mean[found.sparsest] < everything + found.standard_error[found.best]
    # Without a penalty, least squares: its residuals' scatter, with the noise at n and not n - p.
    x, y = np.asarray(patients().inputs), np.asarray(patients().values)
    design = np.column_stack([np.ones(len(y)), x])
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    nearly = found.path.fits[-1].estimates["scale"]
    assert abs(nearly / np.sqrt(np.mean(residual**2)) - 1) < 1e-3


if __name__ == "__main__":
    check(main())
