"""What likelihoods take and what they refuse: parameters, shapes, dtypes, values, predictions."""

import re
from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from likelihood_table import (
    TABLE,
    as_numpyro_needs,
    every_row,
    is_bare,
    one_value,
    shaped,
)
from numpyro import distributions as dist

import likelihax as lhx
from likelihax import likelihoods as lk
from likelihax import predicted

EACH_PIECE = [(name, piece) for name, row in TABLE.items() for piece in row.pieces]
EACH_BAD_VALUE = [(name, bad) for name, row in TABLE.items() for bad in row.outside]


def values_of(row, batch):
    """The table's values, over and over, in a given shape."""
    count = int(np.prod(batch))
    repeated = [row.values[i % len(row.values)] for i in range(count)]
    found = np.asarray(repeated, float)
    return jnp.asarray(found.reshape(batch + found.shape[1:]))


# ------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(("name", "which"), EACH_PIECE)
def test_known_fitted_and_predicted_parameters_mean_the_same(name, which):
    row = TABLE[name]
    value = np.asarray(row.pieces[which].value, float)
    rest = {other: predicted() for other in row.pieces if other != which}
    an_observable = np.stack([value, value])
    values = values_of(row, (3, 2))
    everything = shaped(row.likelihood, row.columns, (3, 2))
    expected = row.likelihood.nll(everything, values)
    others = [piece.columns for other, piece in row.pieces.items() if other != which]
    columns = np.concatenate([*others, ()])
    with as_numpyro_needs():  # to fit weights for each observable
        fitted = [row.pieces[which].fitted(each) for each in (value, an_observable)]
    for given in (value.item() if value.ndim == 0 else value.tolist(), an_observable, *fitted):
        likelihood = row.make(**{which: given}, **rest)
        assert likelihood.num_outputs == len(columns)
        found = likelihood.nll(shaped(likelihood, columns, (3, 2)), values)
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


@every_row
def test_everything_may_be_known(name):
    row = TABLE[name]
    likelihood = row.make(**{which: piece.value for which, piece in row.pieces.items()})
    assert likelihood.num_outputs == 0
    found = likelihood.nll(jnp.zeros((2, 0)), values_of(row, (2,)))
    expected = [-row.log_prob(np.asarray(y), row.columns) for y in values_of(row, (2,))]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_noise_differs_from_one_observable_to_the_next():
    prediction = jnp.full((3, 2), 2.0)
    together = lk.LogNormal([0.1, 0.7]).nll(prediction, prediction + 0.1)
    for column, sigma in enumerate((0.1, 0.7)):
        alone = lk.LogNormal(sigma).nll(prediction[:, column], prediction[:, column] + 0.1)
        np.testing.assert_allclose(together[:, column], alone, rtol=1e-14)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: lk.Normal(-1.0), "Normal: scale must be positive and finite, got -1.0"),
        (lambda: lk.Normal(1.0, loc=np.nan), "Normal: loc must be real and finite, got nan"),
        (lambda: lk.Normal("1"), "Normal: scale must be a number, .* or predicted.*got '1'"),
        (lambda: lk.LogNormal([0.1, 0.0]), "LogNormal: sigma must be positive"),
        (lambda: lk.Laplace(0.0), "Laplace: scale must be positive"),
        (lambda: lk.Quantile(1.0), "Quantile: level must be between 0 and 1, got 1.0"),
        (lambda: lk.StudentT(1.0, 0.0), "StudentT: dof must be positive"),
        (lambda: lk.Gamma(-2.0), "Gamma: concentration must be positive"),
        (lambda: lk.Exponential(0.0), "Exponential: mean must be positive"),
        (lambda: lk.Poisson(-1.0), "Poisson: rate must be positive"),
        (lambda: lk.NegativeBinomial(0.0), "NegativeBinomial: concentration must be positive"),
        (lambda: lk.ZeroInflated(lk.Poisson(), 1.5), "ZeroInflated: gate must be between 0 and 1"),
        (lambda: lk.ZeroInflated(2.0), "ZeroInflated: 2.0 is not a likelihood"),
        (lambda: lk.Beta(-1.0), "Beta: precision must be positive"),
        (lambda: lk.Beta(1.0, 1.5), "Beta: mean must be between 0 and 1"),
        (lambda: lk.VonMises(0.0), "VonMises: concentration must be positive"),
        (lambda: lk.Bernoulli(1.5), "Bernoulli: probability must be between 0 and 1.*got 1.5"),
        (lambda: lk.Binomial(2.5), "Binomial: total must be whole numbers from 0 up, got 2.5"),
        (lambda: lk.Categorical(1), "Categorical: at least 2 classes are needed, got 1"),
        (lambda: lk.Categorical(3, label_smoothing=1.0), "label_smoothing must be .* got 1.0"),
        (lambda: lk.OrderedLogistic([1.0, 0.5]), "OrderedLogistic: cutpoints must be increasing"),
        (lambda: lk.OrderedLogistic([0.0, 1.0], num_classes=4), "2 cutpoints make 3 grades"),
        (lambda: lk.OrderedLogistic(predicted()), "num_classes must be at least 2, got None"),
        (
            lambda: lk.MultivariateNormal([[1.0, 0.3], [0.3, 1.0]]),
            "MultivariateNormal: scale_tril must be lower triangular",
        ),
        (lambda: lk.MultivariateNormal(predicted()), "MultivariateNormal: dim=None: give it"),
        (lambda: lk.Mixture([lk.Normal(1.0)]), "Mixture: give two or more"),
        (lambda: lk.Mixture([lk.Normal(1.0), 2.0]), "the component 2.0 is not a likelihood"),
        (
            lambda: lk.Mixture([lk.Normal(1.0), lk.Normal(2.0)], [0.5, 0.6]),
            "Mixture: weights must be positive, with a sum of one",
        ),
        (
            lambda: lk.Mixture([lk.Normal(1.0), lk.Normal(2.0)], [0.2, 0.3, 0.5]),
            r"Mixture: weights of shape \(3,\) for 2 components",
        ),
        (
            lambda: lk.Mixture([lk.Normal(1.0), lk.Categorical(2, soft=True)]),
            "some components are of numbers, some of vectors",
        ),
        (lambda: lk.Censored(2.0, lower=0.0), "Censored: 2.0 is not a likelihood"),
        (
            lambda: lk.Censored(lk.MultivariateNormal(np.eye(2)), lower=0.0),
            "Censored: MultivariateNormal is of vectors",
        ),
        (lambda: lk.Censored(lk.Normal(1.0)), "Censored: give lower, upper or both"),
        (lambda: lk.Censored(lk.Normal(1.0), lower=np.nan), "Censored: lower must not be NaN"),
        (lambda: lk.Censored(lk.Normal(1.0), lower=lhx.real(1.0)), "lower must be known"),
        (lambda: lk.IntervalCensored(None), "IntervalCensored: None is not a likelihood"),
        (lambda: lk.Truncated(lk.Normal(1.0)), "Truncated: give lower, upper or both"),
        (lambda: lk.Truncated(lk.Normal(1.0), lower=np.nan), "Truncated: lower must not be NaN"),
        (lambda: lk.Truncated(lk.Normal(1.0), upper=np.inf), "Truncated: upper must be finite"),
        (lambda: lk.Truncated(lk.Normal(1.0), lower=predicted()), "Truncated: lower must be known"),
        (lambda: lk.Truncated(lk.Normal(1.0), lower=2.0, upper=1.0), "lower must be below upper"),
        (lambda: lk.Censored(lk.Normal(1.0), lower=2.0, upper=1.0), "lower must be below upper"),
        (
            lambda: lk.Censored(lk.Normal(1.0), lower=[1.0, 2.0], upper=[3.0, 4.0, 5.0]),
            r"lower has shape \(2,\), upper \(3,\)",
        ),
        (lambda: lk.OrderedLogistic(1.0), "OrderedLogistic: cutpoints must be a vector, got 1.0"),
        (lambda: lk.MultivariateNormal(2.0), "scale_tril must be a matrix, got 2.0"),
        (lambda: lk.Mixture([lk.Normal(1.0), lk.Normal(2.0)], 0.5), "weights must be a vector"),
        (lambda: lhx.likelihoods.predicted("cube"), "unknown link 'cube'; known are 'identity'"),
    ],
)
def test_impossible_parameters_are_named(make, says, as_a_user):
    with pytest.raises(ValueError, match=re.compile(says, re.DOTALL)):
        make()


def test_impossible_parameters_of_numpyro_distributions_are_named():
    with pytest.raises(ValueError, match=r"Gumbel: scale must be within Gumbel's constraint"):
        lk.FromNumPyro(dist.Gumbel, loc=0.0, scale=-1.0)
    with pytest.raises(ValueError, match=r"Gumbel has the parameters \['loc', 'scale'\]"):
        lk.FromNumPyro(dist.Gumbel, loc=0.0, sigma=1.0)
    likelihood = lk.FromNumPyro(dist.Dirichlet, concentration=predicted())
    with pytest.raises(ValueError, match=r"concentration is a predicted vector: give its size"):
        likelihood.nll(jnp.zeros((1, 3)), jnp.full((1, 3), 1 / 3))


@pytest.mark.parametrize("wrap", [lk.Censored, lk.Truncated])
def test_a_base_without_a_cumulative_distribution_is_named(wrap):
    likelihood = wrap(lk.VonMises(2.0, 0.0), upper=0.5)
    with pytest.raises(ValueError, match=r"VonMises has no cumulative"):
        likelihood.nll(jnp.zeros((1, 0)), jnp.full(1, 0.4))


def test_constants_of_a_wrong_shape_are_named():
    with pytest.raises(ValueError, match=r"scale has shape \(3,\), the values have shape \(3, 2\)"):
        lk.Normal([0.1, 0.2, 0.3]).nll(jnp.ones((3, 2)), jnp.ones((3, 2)))


def test_noise_may_be_traced_in_a_hand_written_loss():
    loss = lambda scale: lk.Normal(scale).nll(jnp.zeros(2), jnp.ones(2)).sum()
    assert jax.jit(jax.grad(loss))(jnp.asarray(2.0)) == pytest.approx(2 * (0.5 - 1 / 8), rel=1e-12)


# ------------------------------------------------------------------------------------ shapes


@every_row
@pytest.mark.parametrize("batch", [(3, 1), (1, 2), (2,), (3, 2, 1), ()])
def test_nothing_is_broadcast(name, batch):
    row = TABLE[name]
    prediction = shaped(row.likelihood, row.columns, (3, 2))
    wrong = values_of(row, batch) if batch else jnp.asarray(row.values[0])
    with pytest.raises(ValueError, match=r"nothing is broadcast") as caught:
        row.likelihood.nll(prediction, wrong)
    assert str(prediction.shape) in str(caught.value)
    assert str(wrong.shape) in str(caught.value)


@pytest.mark.parametrize(
    "name", [name for name, row in TABLE.items() if not is_bare(row.likelihood)]
)
def test_last_axis_of_a_prediction_holds_the_outputs(name):
    row = TABLE[name]
    values = values_of(row, (3,))
    for columns in (np.append(row.columns, 0.0), row.columns[:-1]):
        prediction = np.broadcast_to(columns, (3, len(columns)))
        with pytest.raises(ValueError, match=r"its last axis must hold") as caught:
            row.likelihood.nll(prediction, values)
        assert f"{len(row.columns)} numbers (" in str(caught.value)
    with pytest.raises(ValueError, match=r"has shape \(\)"):
        row.likelihood.nll(0.5, values)


# ------------------------------------------------------------------------------------ dtypes


@pytest.mark.parametrize(
    "name", [name for name, row in TABLE.items() if isinstance(row.domain, range)]
)
def test_whole_numbers_may_be_of_any_type(name):
    row = TABLE[name]
    prediction = shaped(row.likelihood, row.columns, (2,))
    values = np.asarray(row.values[:2])
    expected = row.likelihood.nll(prediction, values)
    for dtype in (int, np.uint8, np.int32, *([bool] if np.all(values <= 1) else [])):
        np.testing.assert_array_equal(
            row.likelihood.nll(prediction, values.astype(dtype)), expected
        )
    np.testing.assert_array_equal(row.likelihood.nll(prediction, values.tolist()), expected)
    single = row.likelihood.nll(prediction.astype(np.float32), values.astype(int))
    assert single.dtype == jnp.float32


def test_dtypes_that_differ_are_not_converted():
    with pytest.raises(ValueError, match=r"values are float64, the prediction is float16: convert"):
        lk.Normal(1.0).nll(np.ones(2, np.float16), np.ones(2))
    with pytest.raises(ValueError, match=r"values are float16, the prediction is float64: convert"):
        lk.Normal(1.0).nll(np.ones(2), np.ones(2, np.float16))
    with pytest.raises(ValueError, match=r"the prediction is int64: it must be floating"):
        lk.Normal(1.0).nll(np.ones(2, int), np.ones(2))
    # A bare number has no dtype of its own.
    assert lk.Normal(1.0).nll(np.float32(1.0), 2.0).dtype == jnp.float32


# -------------------------------------------------------------------- values outside the support


@pytest.mark.parametrize(("name", "bad"), EACH_BAD_VALUE)
def test_a_value_outside_the_support_is_pointed_at(name, bad):
    row = TABLE[name]
    values = np.asarray([row.values[0], bad], float)
    with pytest.raises(ValueError, match=re.escape(row.mend)) as caught:
        row.likelihood.nll(shaped(row.likelihood, row.columns, (2,)), values)
    message = str(caught.value)
    assert message.startswith("nll: y[1")
    assert f"under {type(row.likelihood).__name__}, whose values are " in message
    entries = np.atleast_1d(np.asarray(bad, float))
    assert any(f" = {entry} under" in message for entry in entries)


@cache
def checked(name):
    likelihood = TABLE[name].likelihood
    return eqx.filter_jit(lambda prediction, y: likelihood.nll(prediction, y, outside="error"))


@pytest.mark.parametrize("name", ["poisson", "beta", "categorical_soft", "interval_censored"])
def test_a_value_outside_the_support_raises_under_jit_if_asked(name):
    row = TABLE[name]
    good, bad = (one_value(row, y) for y in (row.values[0], row.outside[0]))
    expected = -row.log_prob(row.values[0], row.columns)
    assert float(checked(name)(*good)) == pytest.approx(expected)
    with pytest.raises(eqx.EquinoxRuntimeError, match=r"a value outside the support"):
        checked(name)(*bad)


def test_an_unknown_way_with_values_outside_is_refused(as_a_user):
    with pytest.raises(ValueError, match=r"outside='ignore': give \"infinite\" or \"error\""):
        lk.Normal(1.0).nll(jnp.ones(2), jnp.ones(2), outside="ignore")


def test_what_a_censored_base_cannot_give_is_infinitely_bad_unless_censored():
    likelihood = lk.Censored(lk.LogNormal(0.5), lower=0.1)
    value = likelihood.nll(jnp.ones(2), jnp.asarray([-1.0, 0.1]))
    assert value[0] == value[1]
    assert np.isfinite(value[0])
    assert lk.Censored(lk.LogNormal(0.5), upper=2.0).nll(1.0, -1.0) == np.inf


# ----------------------------------------------------------------------------- bad predictions


@pytest.mark.parametrize(
    ("likelihood", "prediction", "y"),
    [
        (lk.Poisson(predicted("identity")), -1.0, 2.0),
        (lk.Poisson(predicted("sqrt")), -1.0, 2.0),
        (lk.Gamma(2.0, predicted("identity")), -1.0, 2.0),
        (lk.Gamma(2.0, predicted("inverse")), -1.0, 2.0),
        (lk.Exponential(predicted("inverse")), -1.0, 2.0),
        (lk.LogNormal(0.5), -1.0, 2.0),
        (lk.NegativeBinomial(2.0, predicted("identity")), -1.0, 2.0),
        (lk.Bernoulli(predicted("identity")), 1.5, 1.0),
        (lk.Bernoulli(predicted("log")), 0.1, 1.0),
        (lk.Binomial(4, predicted("identity")), -0.1, 1.0),
        (lk.Beta(4.0, predicted("identity")), 1.1, 0.5),
        (lk.ZeroInflated(lk.Poisson(predicted("identity")), 0.5), -1.0, 2.0),
        (lk.Truncated(lk.Exponential(predicted("identity")), lower=1.0), -1.0, 2.0),
        (lk.Censored(lk.Exponential(predicted("identity")), upper=1.0), -1.0, 2.0),
    ],
    ids=lambda given: type(given).__name__ if isinstance(given, eqx.Module) else "",
)
def test_a_prediction_outside_its_link_is_infinitely_bad(likelihood, prediction, y):
    for place in (prediction, np.nan):
        value, gradient = jax.value_and_grad(lambda p: likelihood.nll(p, y))(jnp.asarray(place))
        assert value == np.inf
        assert gradient == 0
