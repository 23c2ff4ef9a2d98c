"""Problems that several test files fit."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

import likelihax as lhx
from examples import lynx_hare

# What the NLL has on top of the sum of r^2 / 2 + log sigma over the 42 logarithms.
LYNX_HARE_CONSTANTS = float(
    np.sum(np.log(lynx_hare.HARE + lynx_hare.LYNX)) + 42 * 0.5 * np.log(2 * np.pi)
)


def lynx_hare_at(values) -> lhx.Predictor:
    """The demo's predictor, started at growth, predation, death, conversion, hare, lynx, sigmas."""
    field = lynx_hare.LotkaVolterra(*(lhx.positive(float(value)) for value in values[:4]))
    noise = lhx.positive(np.asarray(values[6:8], float))
    initial = lhx.positive(np.asarray(values[4:6], float))
    return lhx.Predictor(lhx.ODE(field, initial), lhx.likelihoods.LogNormal(noise))


class Line(eqx.Module):
    """A straight line through rows of a design matrix."""

    weights: Array

    def __call__(self, rows):
        return rows @ self.weights


def line_problem(scale) -> tuple[lhx.Predictor, lhx.Dataset]:
    """Thirty rows of a noisy line with three weights, the same ones at every call."""
    generator = np.random.default_rng(7)
    rows = np.column_stack([np.ones(30), generator.standard_normal((30, 2))])
    values = rows @ np.array([2.0, -1.0, 0.5]) + 0.3 * generator.standard_normal(30)
    predictor = lhx.Predictor(Line(jnp.zeros(3)), lhx.likelihoods.Normal(scale))
    return predictor, lhx.Dataset(rows, values)
