"""The evidential benchmark: its witnesses against SciPy, and one network of each kind."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.evidential import cubic, marginal


@pytest.mark.parametrize("shape", [0.51, 3.0, 200.0])
def test_quadrature_over_mean_and_variance_is_students_t(shape):
    for y, loc, evidence, rate in ((0.3, 0.7, 2.2, 1.9), (-4.0, 0.0, 0.1, 0.5)):
        scale = np.sqrt(rate * (1 + evidence) / (shape * evidence))
        wanted = stats.t.pdf(y, 2 * shape, loc, scale)
        found = marginal.by_quadrature(y, loc, evidence, shape, rate)
        np.testing.assert_allclose(found, wanted, rtol=1e-10)
        ours = marginal.nll(np.array([loc, evidence, shape, rate]), y)
        np.testing.assert_allclose(ours, -np.log(wanted), rtol=1e-12)


def test_single_precision():
    assert 1e-8 < marginal.worst_in_single() < marginal.SINGLE


def test_what_is_said_is_averaged_inside_and_compared_at_its_worst():
    aleatoric = np.full(cubic.INSIDE.size + 2, 2.0)
    aleatoric[-2:] = 50.0
    epistemic = np.linspace(0.1, 0.5, cubic.INSIDE.size + 2)
    epistemic[-2:] = 4.0, 3.0
    said = cubic.Said(aleatoric, epistemic)
    assert said.noise == 2.0
    np.testing.assert_allclose(said.farther, 3.0 / epistemic[-3])
    assert said._replace(epistemic=np.full_like(epistemic, np.inf)).farther == 0.0


@pytest.mark.slow
def test_the_last_layer_knows_the_noise_and_where_it_has_seen_nothing():
    said = cubic.said(cubic.METHODS[cubic.RECOMMENDED], 0)
    assert abs(said.noise / cubic.NOISE - 1) < cubic.CLOSE
    assert said.farther > cubic.FARTHER
