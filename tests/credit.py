"""A small table of people in three groups, and predictors of it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

import likelihax as lhx
from likelihax import likelihoods as lk

N = 90
_random = np.random.default_rng(0)
GROUPS = _random.integers(0, 3, N)
X = _random.normal(size=(N, 2)) + 0.8 * (GROUPS == 1)[:, None]
LOGITS = 0.3 + X @ np.array([1.2, -0.4])
LABELS = (_random.uniform(size=N) < special.expit(LOGITS)).astype(float)


class Given(eqx.Module):
    """Predictions as they are, one a row."""

    values: jax.Array

    def __call__(self, x):
        return self.values


class Logit(eqx.Module):
    coefficients: lhx.Parameter

    def __call__(self, x):
        return self.coefficients[0] + x @ self.coefficients[1:]


def given_predictor(values, likelihood):
    return lhx.Predictor(Given(jnp.asarray(values)), likelihood)


def binary(logits=LOGITS):
    return given_predictor(logits, lk.Bernoulli())


def real(means):
    return given_predictor(means, lk.Normal(scale=1.0))


def logistic():
    return lhx.Predictor(Logit(lhx.real(np.zeros(3))), lk.Bernoulli())


TABLE = lhx.Dataset(X, LABELS, name="credit")


def table(values):
    return lhx.Dataset(np.zeros(len(values)), values, name="credit")
