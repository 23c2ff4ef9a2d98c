"""Laws that every likelihood keeps: densities, scores, derivatives, arithmetic, never NaN."""

import itertools
import math
from functools import cache

import equinox as eqx
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from likelihood_table import (
    MADE_OF_OTHERS,
    NUMPYRO,
    PLAIN,
    TABLE,
    as_numpyro_needs,
    every_row,
    is_bare,
    nll,
    one_value,
    shaped,
    slope,
    value_and_slope,
)
from scipy import integrate, special, stats

from likelihax import likelihoods as lk
from likelihax import predicted

DRAWS = 20_000
SHIFTS = st.floats(-1.0, 1.0, width=16)


@cache
def hessian(name):
    likelihood = TABLE[name].likelihood
    return jax.jit(jax.jacfwd(jax.jacfwd(lambda prediction, y: likelihood.nll(prediction, y))))


@st.composite
def somewhere(draw, row):
    """What a model predicts near the table's entry, and a value of the table's."""
    shifts = [draw(SHIFTS) for _ in row.columns]
    return row.columns + np.asarray(shifts), np.asarray(draw(st.sampled_from(row.values)))


def each_drawn(name, check, examples=20):
    row = TABLE[name]

    @settings(max_examples=examples)
    @given(somewhere(row))
    def run(place):
        check(row, *place)

    run()


# ------------------------------------------------------------------------------- the density


@every_row
def test_value_is_that_of_scipy(name):
    def check(row, columns, y):
        expected = -row.log_prob(y, columns)
        assert nll(name, columns, y) == pytest.approx(expected, rel=1e-9, abs=1e-10)

    each_drawn(name, check)


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.sampled])
@pytest.mark.filterwarnings("ignore:Out-of-support values")  # of a part of a mixture
def test_value_is_that_of_its_distribution(name):
    row = TABLE[name]
    if row.seen is not None and not name.startswith("truncated_normal"):
        pytest.skip("the distribution is that of the value behind what is recorded")
    for y in row.values:
        if name == "exponential" and y == 0:
            continue  # NumPyro's has no density there
        prediction, value = one_value(row, y)
        distribution = row.likelihood.distribution(prediction)
        with as_numpyro_needs():
            whole = isinstance(row.domain, range)
            expected = -distribution.log_prob(value.astype(int) if whole else value)
        # NumPyro's negative binomial has no more digits than that.
        rel = 1e-6 if "negative_binomial" in name else 1e-9
        assert nll(name, row.columns, y) == pytest.approx(float(expected), rel=rel)


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.domain is not None])
def test_total_probability_is_one(name):
    row = TABLE[name]
    density = lambda y: math.exp(-nll(name, row.columns, y))
    if isinstance(row.domain, range):
        counts = np.asarray(row.domain, float)
        total = np.sum(np.exp(-nll(name, np.tile(row.columns, (len(counts), 1)), counts)))
    else:
        pieces = itertools.pairwise(row.domain)
        total = sum(integrate.quad(density, *ends, epsabs=1e-9)[0] for ends in pieces)
    assert total == pytest.approx(1.0, abs=1e-6)


def test_masses_at_the_limits_make_up_for_what_is_censored():
    for name, low, high in (
        ("censored_normal", -0.5, 1.6),
        ("censored_exponential", None, 2.5),
        ("censored_gamma", None, 2.5),
    ):
        columns = TABLE[name].columns
        density = lambda y, name=name, columns=columns: math.exp(-nll(name, columns, y))
        start, end = (1e-12 if low is None else low + 1e-12), high - 1e-12
        inside, _ = integrate.quad(density, start, end, epsabs=1e-10)
        masses = density(high) + (0.0 if low is None else density(low))
        assert inside + masses == pytest.approx(1.0, abs=1e-8)


def test_probabilities_of_intervals_that_cover_the_line_sum_to_one():
    edges = [-math.inf, -1.0, 0.2, 0.7, 3.0, math.inf]
    columns = TABLE["interval_censored"].columns
    cells = itertools.pairwise(edges)
    total = sum(math.exp(-nll("interval_censored", columns, cell)) for cell in cells)
    assert total == pytest.approx(1.0, abs=1e-12)


# --------------------------------------------------------------------------------- the score


@cache
def sample(name):
    """Values drawn by NumPyro where the model predicts the table's entry, as they are recorded."""
    row = TABLE[name]
    likelihood = row.likelihood
    drawn_from = likelihood.base if name in MADE_OF_OTHERS and row.seen else likelihood
    prediction, _ = one_value(row)
    with as_numpyro_needs():
        drawn = drawn_from.distribution(prediction).sample(jax.random.key(4), (DRAWS,))
    recorded = np.asarray(drawn) if row.seen is None else row.seen(np.asarray(drawn))
    return recorded.astype(float)


@cache
def scores(name):
    row = TABLE[name]
    drawn = sample(name)
    return slope(name, np.tile(row.columns, (len(drawn), 1)), drawn)


def assert_mean(draws, expected):
    """Within five standard errors, and rounding where nothing varies."""
    error = np.std(draws, axis=0) / math.sqrt(draws.shape[0])
    away = np.abs(np.mean(draws, axis=0) - expected)
    assert np.all(away <= 5 * error + 1e-10 * (1 + np.abs(expected)))


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.sampled])
def test_score_is_zero_on_average(name):
    assert np.all(np.isfinite(scores(name)))
    assert np.all(np.std(scores(name), axis=0) > 0)
    assert_mean(scores(name), 0.0)


def regular(name):
    """The likelihood and its outputs, which are what the model predicts, at the table's entry."""
    row = TABLE[name]
    prediction, _ = one_value(row)
    outputs = row.likelihood.outputs(prediction)
    found = np.asarray([float(output) for output in outputs[: len(row.columns)]])
    np.testing.assert_allclose(found, row.columns, rtol=1e-14)
    return row.likelihood, outputs


@cache
def quadrature(name):
    """Values all over the support, and the probability that each stands for."""
    row = TABLE[name]
    if isinstance(row.domain, range):
        values, width = np.asarray(row.domain, float), 1.0
    else:
        # Evenly on the scale on which the support is the whole line; a kink is between nodes.
        t = 0.01 * (np.arange(-2500, 2500) + 0.5)
        if row.domain[-1] == math.pi:
            values = np.linspace(-math.pi, math.pi, 501)[:-1]
            width = np.full(500, 2 * math.pi / 500)
        elif row.domain[0] == -math.inf:
            values, width = row.domain[1] + np.sinh(t), np.cosh(t) * 0.01
        elif row.domain[-1] == 1.0:
            values = special.expit(t)
            width = values * special.expit(-t) * 0.01
        else:
            values, width = np.exp(t), np.exp(t) * 0.01
    each, scores = value_and_slope(name, np.tile(row.columns, (len(values), 1)), values)
    probability = np.exp(-each) * width
    assert np.sum(probability) == pytest.approx(1.0, abs=1e-4)
    return values, probability, scores


@pytest.mark.parametrize("name", PLAIN)
def test_information_is_the_variance_of_the_score(name):
    likelihood, outputs = regular(name)
    information = np.asarray(likelihood.information(outputs))
    _, probability, scores = quadrature(name)
    size = scores.shape[1]
    np.testing.assert_allclose(probability @ scores, 0.0, atol=1e-4)
    variance = np.einsum("n,ni,nj->ij", probability, scores, scores)
    np.testing.assert_allclose(information[:size, :size], variance, rtol=2e-4, atol=1e-4)
    np.testing.assert_allclose(information, information.T)
    # What is known, such as the number of trials, has none.
    assert np.all(information[size:] == 0)


@pytest.mark.parametrize(
    "name", sorted(PLAIN.keys() - {"laplace", "quantile", "negative_binomial"})
)
def test_curvature_is_the_information_on_average(name):
    likelihood, outputs = regular(name)
    assert not likelihood.majorises
    values, probability, _ = quadrature(name)
    together = tuple(jnp.full(len(values), output) for output in outputs)
    curvature = np.asarray(likelihood.curvature(together, jnp.asarray(values)))
    information = np.asarray(likelihood.information(outputs))
    np.testing.assert_allclose(curvature @ probability, information, rtol=2e-4, atol=1e-4)
    # Of four numbers that make up three there is a direction without any, but for rounding.
    lowest = np.linalg.eigvalsh(np.moveaxis(curvature, -1, 0)).min()
    assert lowest >= (-1e-15 if name == "normal_inverse_gamma" else 0)


@pytest.mark.parametrize("name", ["laplace", "quantile"])
def test_parabola_lies_above_the_kink_and_touches_it(name):
    likelihood, outputs = regular(name)
    assert likelihood.majorises
    loc, log_scale = (float(output) for output in outputs)
    for y in TABLE[name].values:
        value = lambda loc, y=y: float(nll(name, np.array([loc, log_scale]), y))
        gradient = slope(name, np.array([loc, log_scale]), y)[0]
        curvature = float(likelihood.curvature(outputs, jnp.asarray(y))[0, 0])
        steps = np.linspace(-20.0, 20.0, 801)
        parabola = value(loc) + gradient * steps + 0.5 * curvature * steps**2
        places = np.column_stack([loc + steps, np.full(steps.size, log_scale)])
        gap = parabola - nll(name, places, np.full(steps.size, y))
        assert np.min(gap) >= -1e-12
        # It touches again on the other side of the kink, so that none below it would do.
        other = 2 * (y - loc)
        touched = value(loc) + gradient * other + 0.5 * curvature * other**2
        if name == "laplace":
            assert touched == pytest.approx(value(loc + other), abs=1e-12)


def test_curvature_of_a_concentration_is_near_its_information():
    mean, concentration = np.meshgrid(10.0 ** np.arange(-1, 4), 10.0 ** np.arange(-1, 4))
    outputs = (jnp.log(mean.ravel()), jnp.log(concentration.ravel()))
    likelihood = lk.NegativeBinomial(predicted())
    information = np.asarray(likelihood.information(outputs))
    curvature = np.asarray(likelihood.curvature(outputs, jnp.ones(mean.size)))
    np.testing.assert_allclose(curvature[0, 0], information[0, 0], rtol=1e-14)
    ratio = curvature[1, 1] / information[1, 1]
    assert np.all((ratio > 0.5) & (ratio < 2.0))
    for m, r, found in zip(mean.ravel(), concentration.ravel(), information[1, 1], strict=True):
        if m <= 10:
            assert found == pytest.approx(variance_of_the_score(m, r), rel=1e-4)


def variance_of_the_score(mean, concentration):
    """Of the log-concentration's, summed over all counts, by differences of SciPy's logpmf."""
    counts = np.arange(int(60 + 40 * mean + 60 * mean / concentration))
    log_prob = lambda r: stats.nbinom.logpmf(counts, r, r / (r + mean))
    step = 1e-4
    score = log_prob(concentration * math.exp(step)) - log_prob(concentration * math.exp(-step))
    return np.sum(np.exp(log_prob(concentration)) * (score / (2 * step)) ** 2)


# ------------------------------------------------------------------------------- derivatives


def central(function, columns):
    """Fourth-order differences along every column, of a function of many rows of them."""
    step = 1e-3
    along = np.eye(len(columns))[:, None] * step * np.array([-2, -1, 1, 2])[:, None]
    ends = function((columns + along).reshape(-1, len(columns)))
    ends = ends.reshape(len(columns), 4, -1)
    found = (ends[:, 0] - 8 * ends[:, 1] + 8 * ends[:, 2] - ends[:, 3]) / (12 * step)
    return found.reshape(len(columns), *found.shape[1:])


def repeated(function, name, y):
    return lambda rows: function(name, rows, np.repeat(np.asarray(y)[None], len(rows), axis=0))


@every_row
def test_gradient_is_that_of_finite_differences(name):
    def check(row, columns, y):
        expected = central(repeated(nll, name, y), columns)[:, 0]
        size = 1 + np.max(np.abs(expected))
        np.testing.assert_allclose(slope(name, columns, y), expected, atol=1e-8 * size)

    each_drawn(name, check, 10)


# To look for what is held on to takes long; these hold all that the composed families could.
@pytest.mark.parametrize("name", ["censored_normal", "interval_censored", "truncated_exponential"])
def test_a_gradient_of_many_is_that_of_each_and_leaks_nothing(name):
    row = TABLE[name]
    columns, values = batch(row)
    predictions = jnp.stack([shaped(row.likelihood, each) for each in columns])
    gradient = jax.grad(row.likelihood.nll)
    with jax.checking_leaks():
        found = jax.jit(jax.vmap(gradient))(predictions, values)
    each = jax.jit(gradient)
    expected = np.stack([each(*pair) for pair in zip(predictions, values, strict=True)])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def assert_hessian(name, columns, y):
    prediction = jnp.asarray(shaped(TABLE[name].likelihood, columns))
    found = np.asarray(hessian(name)(prediction, jnp.asarray(y)))
    found = found.reshape(len(columns), len(columns))
    expected = central(repeated(slope, name, y), columns)
    size = 1 + np.max(np.abs(expected))
    np.testing.assert_allclose(found, expected, atol=1e-8 * size)
    np.testing.assert_allclose(found, found.T, rtol=1e-10, atol=1e-12 * size)


@pytest.mark.slow
@every_row
def test_hessian_is_that_of_finite_differences(name):
    each_drawn(name, lambda row, columns, y: assert_hessian(name, columns, y), 5)
    # Where a network starts that predicts nothing yet, and logits are equal.
    for y in TABLE[name].values:
        assert_hessian(name, np.zeros(len(TABLE[name].columns)), np.asarray(y))


# -------------------------------------------------------------------------------- arithmetic


def batch(row):
    """Three values, and columns for each."""
    values = [row.values[i % len(row.values)] for i in range(3)]
    return row.columns + 0.1 * np.arange(3.0)[:, None], np.asarray(values, float)


@every_row
def test_eager_and_vectorised_values_agree_with_compiled_ones(name):
    row = TABLE[name]
    columns, values = batch(row)
    predictions = np.stack([shaped(row.likelihood, each) for each in columns])
    together = row.likelihood.nll(predictions, values)
    assert together.shape == (3,)
    np.testing.assert_allclose(together, nll(name, columns, values), rtol=1e-12, atol=1e-14)
    mapped = jax.vmap(row.likelihood.nll)(jnp.asarray(predictions), jnp.asarray(values))
    np.testing.assert_allclose(mapped, together, rtol=1e-12, atol=1e-14)


@every_row
def test_float32_agrees_with_float64(name):
    row = TABLE[name]
    single = [array.astype(np.float32) for array in batch(row)]
    value, gradient = value_and_slope(name, *single)
    assert value.dtype == gradient.dtype == np.float32
    expected = value_and_slope(name, *(array.astype(float) for array in single))
    np.testing.assert_allclose(value, expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, expected[1], rtol=2e-4, atol=2e-5)


@every_row
def test_constants_stay_in_the_dtype_of_the_prediction(name):
    row = TABLE[name]
    first, *others = row.pieces
    known = {other: row.pieces[other].value for other in others}
    likelihood = row.make(**{first: predicted()}, **known)
    _, values = batch(row)
    for dtype in (jnp.float32, jnp.float64):
        columns = shaped(likelihood, row.pieces[first].columns, (3,))
        found = likelihood.nll(jnp.asarray(columns, dtype), values.astype(dtype))
        assert found.dtype == dtype
        expected = [-row.log_prob(np.asarray(y), row.columns) for y in values]
        np.testing.assert_allclose(found, expected, rtol=2e-5 if dtype == jnp.float32 else 1e-9)


@every_row
def test_number_of_outputs_is_what_a_model_predicts(name):
    assert TABLE[name].likelihood.num_outputs == len(TABLE[name].columns)


@pytest.mark.parametrize(
    "name", ["poisson", "normal", "categorical_soft", "multivariate_normal", "interval_censored"]
)
def test_a_network_of_that_width_takes_a_step(name):
    row = TABLE[name]
    likelihood = row.likelihood
    width = "scalar" if is_bare(likelihood) else likelihood.num_outputs
    network = eqx.nn.Linear(2, width, key=jax.random.key(0))
    inputs = jnp.asarray([[0.1, 0.2], [0.3, -0.4], [-0.5, 0.6]])
    _, values = batch(row)

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def loss(network):
        prediction = jnp.stack([network(each) for each in inputs])
        return jnp.mean(likelihood.nll(prediction, values))

    before, gradient = loss(network)
    length = sum(float(jnp.sum(leaf**2)) for leaf in jax.tree_util.tree_leaves(gradient))
    step = jax.tree_util.tree_map(lambda slope: -1e-4 / length * slope, gradient)
    after, _ = loss(eqx.apply_updates(network, step))
    # To first order in the step, the loss falls by its product with the gradient.
    assert float(before - after) == pytest.approx(1e-4, rel=0.05)


# -------------------------------------------------------------------- infinite, but never NaN


@pytest.mark.parametrize(
    ("name", "bad"), [(name, bad) for name, row in TABLE.items() for bad in row.outside]
)
def test_a_value_outside_the_support_is_infinite_under_jit(name, bad):
    row = TABLE[name]
    value, gradient = value_and_slope(name, row.columns, bad)
    assert value == np.inf
    assert np.all(np.asarray(gradient) == 0)


# In the tails these are no better than NumPyro.
CUMULATIVE_OF_NUMPYRO = {"censored_gamma", "censored_poisson", "truncated_poisson"}
EXTREMES = (math.inf, -math.inf, 1e300, -1e300, 800.0, -800.0, 100.0, -100.0, 0.0)


def where_one_output_is(name, extreme):
    """The NLL and its gradient for every value, with each output in turn replaced."""
    row = TABLE[name]
    width = len(row.columns)
    columns = np.tile(row.columns, (width, 1))
    columns[np.diag_indices(width)] = extreme
    values = np.asarray(row.values, float)
    values = np.repeat(values, width, axis=0)
    return value_and_slope(name, np.tile(columns, (len(row.values), 1)), values)


@every_row
def test_a_prediction_that_is_not_a_number_is_infinitely_bad(name):
    value, gradient = where_one_output_is(name, math.nan)
    assert np.all(value == np.inf)
    assert np.all(gradient == 0)


@every_row
def test_no_prediction_makes_value_or_gradient_nan(name):
    for extreme in EXTREMES:
        value, gradient = where_one_output_is(name, extreme)
        assert not np.any(np.isnan(value))
        assert not np.any(np.isnan(gradient))


@pytest.mark.parametrize("name", sorted(TABLE.keys() - NUMPYRO.keys() - CUMULATIVE_OF_NUMPYRO))
def test_far_from_the_values_the_gradient_is_finite(name):
    for extreme in (20.0, -20.0, 0.0):
        value, gradient = where_one_output_is(name, extreme)
        assert np.all(np.isfinite(value))
        assert np.all(np.isfinite(gradient))
