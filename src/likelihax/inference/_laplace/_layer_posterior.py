"""A Normal posterior of numbers that predictions are linear in, its prior by the evidence."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

# Prior precisions between which the evidence is looked at, over the mean curvature.
_LEAST, _MOST = 1e-9, 1e9


class LayerPosterior(NamedTuple):
    """What is known of the selected numbers.

    - `mode`: where the posterior is highest.
    - `factor`: a matrix whose product with its transpose is the posterior covariance.
    - `precision`: that of the prior, per number.
    - `widening`: by how much the scatter is wider than the rows were told.
    """

    mode: np.ndarray
    factor: np.ndarray
    precision: float
    widening: float


class _Spectrum(NamedTuple):
    """Rows by their singular directions: strengths, the targets along them, what is left."""

    right: np.ndarray
    strengths: np.ndarray
    along: np.ndarray
    left_over: float

    def misfit(self, ratio: float) -> float:
        """Squares of what a prior of this precision leaves unexplained, its own among them."""
        return self.left_over + float(np.sum(self.along**2 * ratio / (self.strengths + ratio)))

    def spread(self, ratio: float) -> float:
        return float(np.sum(np.log1p(self.strengths / ratio)))

    def factor(self, ratio: float) -> np.ndarray:
        return self.right.T / np.sqrt(self.strengths + ratio)

    def mode(self, ratio: float) -> np.ndarray:
        pulled: np.ndarray = np.sqrt(self.strengths) * self.along / (self.strengths + ratio)
        return self.right.T @ pulled


def about_the_estimates(
    rows: np.ndarray, estimates: np.ndarray, precision: float | None
) -> LayerPosterior:
    r"""The posterior about where training has left the numbers.

    The precision, where it is not known, is the one with the largest marginal likelihood by
    Laplace's approximation about them: up to a constant, $-2\log p(y \mid \tau) =
    \tau\lVert\theta\rVert^2 + \sum_j \log(1 + \lambda_j/\tau)$.
    """
    found = _spectrum(rows, np.zeros(rows.shape[0]))
    squares = float(np.sum(estimates**2))
    if precision is None:
        cost = lambda ratio: ratio * squares + found.spread(ratio)
        precision = _lowest(cost, found.strengths)
    return LayerPosterior(estimates, found.factor(precision), precision, 1.0)


def about_the_mode(
    rows: np.ndarray, targets: np.ndarray, precision: float | None, count: float | None
) -> LayerPosterior:
    r"""The posterior about its mode: Bayesian linear regression of `targets` on `rows`.

    With `count`, the number of values, the variance of all of them is off by one factor $q$, found
    with the precision $\tau$ by the evidence (D. MacKay 1992, "Bayesian interpolation", Neural
    Computation 4): with the misfit $E$ of the mode, its prior's part in it, and
    $\tau = r/q$,

    $$-2\log p(y \mid r, q) = \sum_j \log(1 + \lambda_j/r) + n\log q + E(r)/q.$$
    """
    found = _spectrum(rows, targets)
    if count is None:
        cost = lambda ratio: found.spread(ratio) + found.misfit(ratio)
        ratio = _lowest(cost, found.strengths) if precision is None else precision
        return LayerPosterior(found.mode(ratio), found.factor(ratio), ratio, 1.0)
    tiny = np.finfo(float).tiny
    if precision is None:
        # The best factor for each ratio is known: E / n.
        cost = lambda ratio: found.spread(ratio) + count * math.log(max(found.misfit(ratio), tiny))
        ratio = _lowest(cost, found.strengths)
        variance = max(found.misfit(ratio) / count, tiny)
    else:
        known = precision
        cost = lambda ratio: (
            found.spread(ratio) + count * math.log(ratio) + found.misfit(ratio) * known / ratio
        )
        ratio = _lowest(cost, found.strengths)
        variance = ratio / known
    widening = math.sqrt(variance)
    factor = widening * found.factor(ratio)
    return LayerPosterior(found.mode(ratio), factor, ratio / variance, widening)


def _spectrum(rows: np.ndarray, targets: np.ndarray) -> _Spectrum:
    # The targets ride along as a last column, so that no orthogonal factor is formed.
    # NumPy's types of old take it for several arrays, whatever the mode.
    triangle: Any = np.linalg.qr(np.column_stack([rows, targets]), mode="r")
    size = rows.shape[1]
    left, singular, right = np.linalg.svd(triangle[:, :size], full_matrices=True)
    turned = left.T @ triangle[:, size]
    strengths, along = np.zeros(size), np.zeros(size)
    strengths[: singular.size] = singular**2
    along[: singular.size] = turned[: singular.size]
    return _Spectrum(right, strengths, along, float(np.sum(turned[singular.size :] ** 2)))


def _lowest(cost: Callable[[float], float], strengths: np.ndarray) -> float:
    """The ratio with the lowest cost."""
    typical = max(float(np.mean(strengths)), np.finfo(float).tiny)
    of_log = lambda log_ratio: cost(math.exp(log_ratio))
    # The cost may be flat far out: begin from the best of a grid.
    grid = np.linspace(math.log(_LEAST * typical), math.log(_MOST * typical), 200)
    best = int(np.argmin([of_log(at) for at in grid]))
    around = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(of_log, bounds=around, method="bounded", options={"xatol": 1e-6})
    return math.exp(float(found.x))
