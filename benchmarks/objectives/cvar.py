"""The CVaR of Laplace losses in linear regression beside the linear programme of the same minimum.

At every level, over designs and noises of several kinds, the CVaR is recomputed by sorting, and
compared with what HiGHS finds for R. T. Rockafellar and S. Uryasev's programme (2000).
"""

import time
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

import likelihax as lhx

from .linear import Linear

LEVELS = (0.5, 0.9, 0.99)
CLOSE = 1e-6
SCALE = 0.7

Matrix = NDArray[np.float64]


class Row(NamedTuple):
    """One problem at one level."""

    problem: str
    level: float
    relative: float  # our CVaR less the programme's, over it
    steps: int
    seconds: float
    their_seconds: float
    status: str


def problems() -> dict[str, tuple[Matrix, Matrix]]:
    """Designs with a constant, and values with noise of light and heavy tails."""
    found = {}
    for seed, (rows, columns, dof) in enumerate(
        [(60, 2, 30.0), (200, 3, 3.0), (500, 4, 30.0), (500, 8, 2.0), (2000, 5, 4.0)]
    ):
        rng = np.random.default_rng(seed)
        x = np.column_stack([np.ones(rows), rng.normal(size=(rows, columns - 1))])
        y = x @ rng.normal(size=columns) + 0.5 * rng.standard_t(dof, size=rows)
        found[f"{rows} rows, {columns} columns, t({dof:g})"] = x, y
    return found


def by_programme(x: Matrix, y: Matrix, level: float) -> float:
    """The least CVaR of `|y - x b| / s + log(2 s)`, by HiGHS."""
    rows, columns = x.shape
    constant = np.log(2 * SCALE)
    # Unknowns: b, t, z (beyond the threshold), e (absolute errors).
    cost = np.concatenate(
        [np.zeros(columns), [1.0], np.full(rows, 1 / (rows * (1 - level))), np.zeros(rows)]
    )
    eye, ones, none = sparse.identity(rows), np.ones((rows, 1)), sparse.csr_matrix((rows, rows))
    beyond = sparse.hstack([sparse.csr_matrix((rows, columns)), -ones, -eye, eye / SCALE])
    above = sparse.hstack([-x, np.zeros((rows, 1)), none, -eye])
    below = sparse.hstack([x, np.zeros((rows, 1)), none, -eye])
    found = linprog(
        cost,
        A_ub=sparse.vstack([beyond, above, below]).tocsc(),
        b_ub=np.concatenate([np.full(rows, -constant), -y, y]),
        bounds=[(None, None)] * (columns + 1) + [(0, None)] * (2 * rows),
        method="highs",
    )
    return float(found.fun)


def by_sorting(b: Matrix, x: Matrix, y: Matrix, level: float) -> float:
    """The mean of the worst, in NumPy."""
    losses = np.sort(np.abs(y - x @ b) / SCALE + np.log(2 * SCALE))[::-1]
    left = (1 - level) * losses.size
    whole = int(left)
    beyond = (left - whole) * losses[whole] if whole < losses.size else 0.0
    return float((losses[:whole].sum() + beyond) / left)


def compare(name: str, x: Matrix, y: Matrix, level: float) -> Row:
    """The default fit from zero, and the programme."""
    predictor = lhx.Predictor(
        Linear(lhx.real(np.zeros(x.shape[1]))), lhx.likelihoods.Laplace(SCALE)
    )
    objective = lhx.NLL(lhx.reductions.CVaR(level))
    fit = lhx.fit(objective, predictor, lhx.Dataset(jnp.asarray(x), jnp.asarray(y)))
    ours = by_sorting(np.asarray(fit.estimates["coefficients"]), x, y, level)
    began = time.perf_counter()
    theirs = by_programme(x, y, level)
    seconds = time.perf_counter() - began
    relative = (ours - theirs) / abs(theirs)
    return Row(name, level, relative, fit.steps, fit.run_seconds, seconds, fit.message)


def run() -> int:
    """Prints a row a problem and level; 0 if all are within the bar and say so."""
    met = True
    print(f"{'problem':32}  level  above the programme  steps      time  HiGHS")
    for name, (x, y) in problems().items():
        for level in LEVELS:
            row = compare(name, x, y, level)
            good = abs(row.relative) <= CLOSE and row.status == "Converged."
            met &= good
            print(
                f"{row.problem:32}  {row.level:5g}  {row.relative:19.1e}  {row.steps:5d}  "
                f"{row.seconds:6.3f} s  {row.their_seconds:.3f} s  "
                f"{'met' if good else 'NOT MET: ' + row.status}",
                flush=True,
            )
    print(f"{'met' if met else 'NOT MET'}: within {CLOSE:g} of the linear programme")
    return 0 if met else 1
