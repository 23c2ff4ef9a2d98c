"""A chain of decays: its solution, data of it, and a surrogate of its trajectory."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.interpolate import CubicSpline

import likelihax as lhx
from likelihax.models import Spline, Surrogate

Normal = lhx.likelihoods.Normal
KNOTS = np.array([0.0, 0.4, 1.0, 1.3, 2.0, 2.2, 3.0])
STATES = np.column_stack([np.cos(2 * KNOTS), 1.5 + np.sin(KNOTS)])
WITHIN = np.linspace(0.0, 3.0, 31)


class Chain(eqx.Module):
    """The first decays, the second gains from it, not necessarily as much."""

    lost: Array
    gained: Array

    def __call__(self, t, y, inputs):
        return jnp.stack([-self.lost * y[0], self.gained * y[0]])


TIMES = np.linspace(0.0, 4.0, 12)
NOISE = 0.05


def chain(lost, gained, times):
    left = np.exp(-lost * times)
    return np.column_stack([left, gained / lost * (1 - left)])


MEASURED = chain(0.8, 0.8, TIMES) + NOISE * np.random.default_rng(3).standard_normal((12, 2))


def chain_data():
    return lhx.Experiment(TIMES, MEASURED)


def chain_predictor(lost=0.5, gained=0.6):
    field = Chain(lhx.positive(lost), lhx.positive(gained))
    return lhx.Predictor(lhx.ODE(field, [1.0, 0.0]), Normal(NOISE))


def mass(t, y):
    return y.sum()


def surrogate(values=STATES, log=False, **options):
    field = Chain(lhx.positive(0.5), lhx.positive(0.6))
    ode = lhx.ODE(field, lhx.real([7.0, 7.0]), **options)
    return Surrogate(Spline(KNOTS, values, log=log), ode)


SPAN = lhx.Experiment(WITHIN, np.zeros((31, 2)))
PEER = CubicSpline(KNOTS, STATES)
