"""Starts for a regression that comes without any.

Parameters in which the formula is linear follow from the others by linear least squares (G. H.
Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems
whose variables separate", SIAM J. Numer. Anal. 10, 1973). The others are tried at values of the
sizes that the data suggest, the same on every run; the combinations with the least residuals are
starts.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jax.typing import ArrayLike
from numpy.typing import NDArray

from benchmarks.reference.formula import evaluate
from benchmarks.reference.problem import Problem

_MOST_TRIALS = 20_000
_MOST_NUMBERS = 2_000_000  # held at once


def propose_starts(problem: Problem, count: int) -> list[dict[str, float]]:
    """Up to `count` starts, the most promising first.

    **Raises:** `ValueError` if the formula is finite at no trial.
    """
    linear = linear_parameters(problem.expression, problem.parameters)
    others = [name for name in problem.parameters if name not in linear]
    trials = _trials(_magnitudes(problem), len(others))
    solved, rss = _solve_linear(problem, linear, others, trials)
    order = [i for i in np.argsort(rss, kind="stable") if np.isfinite(rss[i])][:count]
    if not order:
        raise ValueError("no start found at which the formula is finite")
    names = [*others, *linear]
    rows = np.concatenate([trials, solved], axis=1)[order]
    return [dict(zip(names, row, strict=True)) for row in rows.tolist()]


def linear_parameters(expression: sympy.Expr, names: tuple[str, ...]) -> list[str]:
    """Parameters in which, taken together, the expression is linear: as many as come first."""
    chosen: list[sympy.Symbol] = []
    for symbol in map(sympy.Symbol, names):
        slope = sympy.diff(expression, symbol)
        if all(sympy.expand(sympy.diff(slope, other)) == 0 for other in [*chosen, symbol]):
            chosen.append(symbol)
    return [symbol.name for symbol in chosen]


def _magnitudes(problem: Problem) -> NDArray[np.float64]:
    """Values that a parameter may have: the data's sizes, rates, places, and their logarithms."""
    powers = 2.0 ** np.arange(-9, 3)
    found = [np.arange(-6.0, 7.0), np.linspace(0.1, 0.9, 9)]
    for column in problem.columns.values():
        spread = float(np.max(np.abs(column)))
        if spread > 0:
            sizes = np.concatenate([spread * powers, 1 / (spread * powers)])
            found += [sizes, -sizes, np.log(sizes), np.quantile(column, np.linspace(0, 1, 9))]
    places = np.quantile(problem.values, [0, 0.25, 0.5, 0.75, 1])
    found += [places, 1.5 * places]
    return np.unique(np.concatenate(found))


def _trials(magnitudes: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """All combinations if they are few, or else a fixed random choice; shape (trials, count)."""
    if magnitudes.size**count <= _MOST_TRIALS:
        return np.array(list(itertools.product(magnitudes, repeat=count))).reshape(-1, count)
    return np.random.default_rng(0).choice(magnitudes, size=(_MOST_TRIALS, count))


def _solve_linear(
    problem: Problem, linear: list[str], others: list[str], trials: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The linear parameters at each trial, and the residual sums of squares."""
    length = problem.values.shape

    def parts(trial: jax.Array) -> jax.Array:
        """The formula with every linear parameter zero, then with each of them one."""
        settings = np.vstack([np.zeros(len(linear)), np.eye(len(linear))])
        rows = []
        for setting in settings:
            values: dict[str, ArrayLike] = {**problem.columns}
            values |= zip(others, trial, strict=True)
            values |= zip(linear, setting, strict=True)
            rows.append(jnp.broadcast_to(evaluate(problem.expression, values), length))
        return jnp.stack(rows)

    evaluate_all = jax.jit(jax.vmap(parts))
    step = max(_MOST_NUMBERS // (problem.values.size * (len(linear) + 1)), 1)
    results = []
    for at in range(0, len(trials), step):
        blocks = np.asarray(evaluate_all(jnp.asarray(trials[at : at + step])))
        results.append(_least_squares(blocks, problem.values))
    solved, rss = zip(*results, strict=True)
    return np.concatenate(solved), np.concatenate(rss)


def _least_squares(
    parts: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Linear least squares of many trials at once; infinite residuals where nothing is finite."""
    with np.errstate(all="ignore"):
        offset, ones = parts[:, 0], parts[:, 1:]
        design = np.swapaxes(ones - offset[:, None], 1, 2)
        target = values - offset
        lengths = np.linalg.norm(design, axis=1)
        sound = np.isfinite(target).all(axis=1) & np.isfinite(lengths).all(axis=1)
        sound &= (lengths > 0).all(axis=1)
        scaled = np.where(sound[:, None, None], design / lengths[:, None], 0.0)
        target = np.where(sound[:, None], target, 0.0)
        inverse = np.linalg.pinv(scaled, rcond=1e-10)
        solution = np.einsum("tpn,tn->tp", inverse, target)
        left = target - np.einsum("tnp,tp->tn", scaled, solution)
        rss = np.where(sound, np.sum(np.square(left), axis=1), np.inf)
        return np.where(sound[:, None], solution / lengths, 0.0), rss
