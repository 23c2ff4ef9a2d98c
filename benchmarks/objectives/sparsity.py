"""The L1 path of a logistic regression beside scikit-learn's: zeros, objective, KKT, time.

The electrical grid's stability (UCI, simulated): 12 readings and their 66 products, standardised,
against unstable or not. The readings p1 to p4 sum to zero, so that columns depend on others.
"""

import statistics
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

import likelihax as lhx

WEIGHTS = 30
OBJECTIVE = 1e-8
KKT = 1e-8
# Tight enough that its zeros are those of the minimum.
TOLERANCE = 1e-8
_RUNS = 3

Matrix = NDArray[np.float64]


class Row(NamedTuple):
    """One weight: how many coefficients are not zero, and how far both are from the minimum."""

    weight: float
    nonzero: int
    same_support: bool
    relative: float  # our objective less scikit-learn's, over it
    kkt: float
    kkt_of_peer: float


class Logistic(eqx.Module):
    """Linear predictors, the intercept apart."""

    intercept: lhx.Parameter
    coefficients: lhx.Parameter

    def __call__(self, inputs: Any) -> Any:
        """One a row."""
        return inputs @ self.coefficients + self.intercept


def design(file: Path) -> tuple[Matrix, Matrix]:
    """The standardised columns, and whether each row is unstable."""
    table = np.genfromtxt(file, delimiter=";", names=True)
    readings = [table[name] for name in table.dtype.names if name != "stab"]
    pairs = [(i, j) for i in range(len(readings)) for j in range(i + 1, len(readings))]
    columns = np.column_stack(readings + [readings[i] * readings[j] for i, j in pairs])
    unstable = (table["stab"] > 0).astype(float)
    return (columns - columns.mean(axis=0)) / columns.std(axis=0), unstable


def ours(x: Matrix, y: Matrix) -> tuple[lhx.fits.Path, float]:
    """The path, and the median time of a warm one in seconds."""
    model = Logistic(lhx.real(0.0), lhx.real(np.zeros(x.shape[1])))
    predictor = lhx.Predictor(model, lhx.likelihoods.Bernoulli())
    penalty = lhx.terms.L1(lambda p: p.model.coefficients)
    data = lhx.Dataset(jnp.asarray(x), jnp.asarray(y))
    seconds = []
    for _ in range(_RUNS + 1):
        began = time.perf_counter()
        found = lhx.path(lhx.NLL(), penalty, predictor, data, num_weights=WEIGHTS)
        seconds.append(time.perf_counter() - began)
    return found, statistics.median(seconds[1:])


def peers(x: Matrix, y: Matrix, weights: Matrix) -> tuple[Matrix, float]:
    """Intercepts and coefficients of scikit-learn along the same weights, and its time."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        l1_ratio=1.0, solver="saga", tol=TOLERANCE, max_iter=50_000, warm_start=True
    )
    found = []
    began = time.perf_counter()
    for weight in weights:
        with warnings.catch_warnings():
            # Its name for an L1 penalty differs between releases; both are understood.
            warnings.simplefilter("ignore", FutureWarning)
            model.set_params(C=1.0 / weight).fit(x, y)
        found.append(np.concatenate([model.intercept_, model.coef_[0]]))
    return np.stack(found), time.perf_counter() - began


def objective(b: Matrix, weight: float, x: Matrix, y: Matrix) -> float:
    """The NLL and the penalty, in NumPy."""
    logits = x @ b[1:] + b[0]
    nll = np.sum(np.logaddexp(0.0, (1 - 2 * y) * logits))
    return float(nll + weight * np.sum(np.abs(b[1:])))


def kkt(b: Matrix, weight: float, x: Matrix, y: Matrix) -> float:
    """The largest entry of the least subgradient, in NumPy."""
    error = 1 / (1 + np.exp(-(x @ b[1:] + b[0]))) - y
    slope = x.T @ error
    off_zero = np.abs(slope + weight * np.sign(b[1:]))
    at_zero = np.maximum(np.abs(slope) - weight, 0.0)
    return float(max(np.max(np.where(b[1:] != 0, off_zero, at_zero)), abs(error.sum())))


def rows(found: lhx.fits.Path, theirs: Matrix, x: Matrix, y: Matrix) -> list[Row]:
    """One a weight."""
    compared = []
    for fit, weight, b in zip(found.fits, found.weights, theirs, strict=True):
        own = np.concatenate([[fit.estimates["intercept"]], fit.estimates["coefficients"]])
        mine, other = (objective(each, weight, x, y) for each in (own, b))
        compared.append(
            Row(
                float(weight),
                int(np.count_nonzero(own[1:])),
                bool(np.array_equal(own[1:] != 0, b[1:] != 0)),
                (mine - other) / other,
                kkt(own, weight, x, y),
                kkt(b, weight, x, y),
            )
        )
    return compared


def run(file: Path) -> int:
    """Prints a row a weight, the bars and the ratio of times; 0 if all bars are met."""
    if not file.is_file():
        print(f"sparsity: not run, there is no {file.name}")
        return 1
    x, y = design(file)
    found, seconds = ours(x, y)
    theirs, their_seconds = peers(x, y, found.weights)
    compared = rows(found, theirs, x, y)
    print("   weight  nonzero  same zeros  objective, relative       KKT  KKT of scikit-learn")
    for row in compared:
        print(
            f"{row.weight:9.4g}  {row.nonzero:7d}  {row.same_support!s:>10}  {row.relative:19.1e}"
            f"  {row.kkt:8.1e}  {row.kkt_of_peer:19.1e}"
        )
    met = {
        "same zeros": all(row.same_support for row in compared),
        f"objective within {OBJECTIVE:g}": all(row.relative <= OBJECTIVE for row in compared),
        f"KKT at most {KKT:g}": all(row.kkt <= KKT for row in compared),
        "in at most the time of scikit-learn": seconds <= their_seconds,
    }
    print(
        f"path of {len(compared)} weights: {seconds:.2f} s warm, scikit-learn "
        f"{their_seconds:.2f} s, ratio {seconds / their_seconds:.3f}"
    )
    for bar, is_met in met.items():
        print(f"{'met' if is_met else 'NOT MET'}: {bar}")
    return 0 if all(met.values()) else 1
