"""Parameters that a formula does not tell apart.

`a1*exp(-k1*x) + a2*exp(-k2*x)` is the same for the pairs exchanged, and `exp(-(x/s)**2)` for a
width of the other sign, so each optimum occurs several times, and which one a reference lists is a
matter of labels.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from benchmarks.reference.formula import evaluate
from benchmarks.reference.problem import Problem

_MOST_SIGNED = 5  # parameters; up to that, every order with every choice of signs is looked at
_MOST_ORDERED = 7  # up to that, every order, and beyond it exchanges of two
_CLOSE = 1e-9


class Relabelling(NamedTuple):
    """Parameter `i` becomes `sign[i]` times parameter `order[i]`."""

    order: NDArray[np.intp]
    sign: NDArray[np.float64]


def relabellings(problem: Problem, estimates: Sequence[float]) -> list[Relabelling]:
    """The relabellings under which the formula keeps its values, the identity first.

    Found by evaluating it at fixed pseudo-random points near the estimates: a formula over real
    analytic functions that agrees there agrees everywhere, except by a freak.
    """
    points = np.asarray(estimates) * np.random.default_rng(0).uniform(0.8, 1.2, (3, len(estimates)))
    candidates = list(_candidates(len(estimates)))

    def predict(row: jax.Array) -> jax.Array:
        values = dict(zip(problem.parameters, row, strict=True))
        prediction = evaluate(problem.expression, {**problem.columns, **values})
        return jnp.broadcast_to(prediction, problem.values.shape)

    predict_all = jax.jit(jax.vmap(predict))
    same = np.ones(len(candidates), dtype=bool)
    for point in points:
        rows = np.stack([one.sign * point[one.order] for one in candidates])
        found = np.asarray(predict_all(jnp.asarray(rows)))
        with np.errstate(invalid="ignore"):  # some may not be finite: those are not the same
            same &= np.all(np.abs(found - found[0]) <= _CLOSE * np.max(np.abs(found[0])), axis=1)
    same[0] = True
    return [one for one, kept in zip(candidates, same, strict=True) if kept]


def _candidates(count: int) -> Iterator[Relabelling]:
    signs = [np.ones(count)]
    if count <= _MOST_SIGNED:
        signs = [np.array(sign) for sign in itertools.product([1.0, -1.0], repeat=count)]
    for sign in signs:
        for order in _orders(count):
            yield Relabelling(np.array(order), sign)


def _orders(count: int) -> list[tuple[int, ...]]:
    if count <= _MOST_ORDERED:
        return list(itertools.permutations(range(count)))
    orders = [list(range(count))]
    for one, other in itertools.combinations(range(count), 2):
        exchanged = list(range(count))
        exchanged[one], exchanged[other] = other, one
        orders.append(exchanged)
    return [tuple(order) for order in orders]
