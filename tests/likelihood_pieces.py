"""What a likelihood's parameters are made of: predicted, known or fitted, for its table."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpyro.distributions import constraints
from scipy import special

import likelihax as lhx

ORDERED = constraints.ordered_vector


class Piece(NamedTuple):
    """A parameter: what a model predicts for it, what that means, how to have it fitted."""

    columns: tuple[float, ...]
    natural: Callable[[np.ndarray], Any]
    fitted: Callable[[Any], Any]

    @property
    def value(self) -> Any:
        return self.natural(np.asarray(self.columns))


def number(value: float) -> Piece:
    return Piece((value,), lambda c: float(c[0]), lhx.real)


def amount(value: float) -> Piece:
    return Piece((math.log(value),), lambda c: math.exp(c[0]), lhx.positive)


def share(value: float) -> Piece:
    fitted = lambda p: lhx.bounded(p, 0.0, 1.0)
    return Piece((math.log(value / (1 - value)),), lambda c: float(special.expit(c[0])), fitted)


def vector(*values: float) -> Piece:
    return Piece(values, lambda c: c, lhx.real)


def weights(*values: float) -> Piece:
    fitted = lambda w: lhx.constrained(w, constraints.simplex)
    return Piece(tuple(map(math.log, values)), special.softmax, fitted)


def amounts(*values: float) -> Piece:
    fitted = lambda c: lhx.constrained(c, constraints.independent(constraints.positive, 1))
    return Piece(tuple(map(math.log, values)), np.exp, fitted)


def cuts(first: float, *steps: float) -> Piece:
    natural = lambda c: np.cumsum(np.concatenate([c[:1], np.exp(c[1:])]))
    fitted = lambda c: lhx.ordered(c) if np.ndim(c) == 1 else lhx.constrained(c, ORDERED)
    return Piece((first, *map(math.log, steps)), natural, fitted)


def triangle(below: float, *diagonal: float) -> Piece:
    natural = lambda c: np.array([[math.exp(c[1]), 0.0], [c[0], math.exp(c[2])]])
    fitted = lambda t: lhx.constrained(t, constraints.lower_cholesky)
    return Piece((below, *map(math.log, diagonal)), natural, fitted)
