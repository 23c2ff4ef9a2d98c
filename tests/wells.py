"""Functions with several minima, fitted from many starts."""

import jax
import numpy as np

import likelihax as lhx

KEY = jax.random.key(7)


def double_well(tree, data):
    return (tree["x"] ** 2 - 1) ** 2 + tree["x"] / 5


def four_wells(tree, data):
    return (tree["x"] ** 2 - 1) ** 2 + (tree["y"] ** 2 - 1) ** 2


def at(x, **others):
    return {"x": lhx.real(x, scale=1.0), **others}


def wells(starts=None, *, num=16, key=KEY, **options):
    starts = lhx.Box({"x": (-1.5, 1.5)}) if starts is None else starts
    return lhx.multistart(double_well, at(0.5), None, starts, num=num, key=key, **options)


def starts_of(found, name="x"):
    values = [lhx.resolve(fit.problem.predictor)[name] for fit in found.fits]
    return np.stack([np.asarray(value) for value in values])
