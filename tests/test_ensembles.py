"""Ensembles: mixtures against SciPy and quadrature, members lost, networks beside each other."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from jax import Array
from problems import Line, line_problem
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import logsumexp

import likelihax as lhx
from likelihax.inference import PredictiveMixture

KEY = jax.random.key(3)
WEIGHTS = np.array([0.2, 0.5, 0.3])
LOCS, SCALES = np.array([-1.0, 0.5, 2.0]), np.array([0.3, 1.0, 0.5])


def mixture(components, weights=WEIGHTS):
    return PredictiveMixture(jnp.asarray(weights), components)


def of_normals():
    # Two values: the second is shifted by ten.
    locs = jnp.asarray(LOCS[:, None] + np.array([0.0, 10.0]))
    return mixture(dist.Normal(locs, jnp.asarray(np.tile(SCALES[:, None], 2))))


# --- the distribution --------------------------------------------------------------------------


def test_density_is_the_mixtures():
    y = np.array([0.7, 12.5])
    each = stats.norm(LOCS[:, None] + np.array([0.0, 10.0]), SCALES[:, None]).logpdf(y)
    expected = logsumexp(each + np.log(WEIGHTS)[:, None], axis=0)
    np.testing.assert_allclose(of_normals().log_prob(jnp.asarray(y)), expected, rtol=1e-13)


def test_far_out_the_density_is_that_of_the_nearest_member():
    y = jnp.asarray([60.0, 70.0])
    expected = stats.norm(0.5, 1.0).logpdf(60.0) + np.log(0.5)
    np.testing.assert_allclose(of_normals().log_prob(y), [expected] * 2, rtol=1e-12)


def test_quantiles_are_roots_of_the_distribution_function():
    share = lambda y: WEIGHTS @ stats.norm(LOCS, SCALES).cdf(y)
    for q in (1e-9, 0.025, 0.5, 0.975):
        root = brentq(lambda y, q=q: share(y) - q, -20, 20, xtol=1e-13)
        found = of_normals().icdf(q)
        np.testing.assert_allclose(found, [root, root + 10], rtol=1e-9)
        np.testing.assert_allclose(of_normals().cdf(found), q, rtol=1e-6)
    assert np.all(np.isneginf(of_normals().icdf(0.0)))
    assert np.all(np.isposinf(of_normals().icdf(1.0)))
    assert np.all(np.isnan(of_normals().icdf(1.5)))


def test_variance_is_split_by_the_law_of_total_variance():
    mean = WEIGHTS @ LOCS
    found = of_normals()
    np.testing.assert_allclose(found.mean, [mean, mean + 10], rtol=1e-13)
    np.testing.assert_allclose(found.aleatoric, WEIGHTS @ SCALES**2, rtol=1e-13)
    np.testing.assert_allclose(found.epistemic, WEIGHTS @ (LOCS - mean) ** 2, rtol=1e-12)
    density = lambda y: WEIGHTS @ stats.norm(LOCS, SCALES).pdf(y)
    spread, _ = quad(lambda y: (y - mean) ** 2 * density(y), -30, 30, points=LOCS)
    np.testing.assert_allclose(found.variance, spread, rtol=1e-8)


def test_samples_are_from_it():
    drawn = np.asarray(of_normals().sample(KEY, (20_000,)))
    assert drawn.shape == (20_000, 2)
    share = lambda y: WEIGHTS @ stats.norm(LOCS[:, None], SCALES[:, None]).cdf(y)
    assert stats.kstest(drawn[:, 0], share).pvalue > 0.01
    assert stats.kstest(drawn[:, 1] - 10, share).pvalue > 0.01


@pytest.mark.parametrize(
    ("components", "witness", "inside"),
    [
        (dist.LogNormal(jnp.asarray(LOCS), jnp.asarray(SCALES)), None, (1e-3, 30.0)),
        (dist.Beta(jnp.asarray([2.0, 5.0, 1.0]), jnp.asarray([3.0, 1.0, 4.0])), None, (0, 1)),
        (dist.TruncatedNormal(jnp.asarray(LOCS), jnp.asarray(SCALES), low=0.0), None, (0, 9)),
    ],
    ids=["positive", "unit interval", "truncated"],
)
def test_quantiles_within_a_support(components, witness, inside):
    found = mixture(components)
    density = lambda y: float(jnp.exp(found.log_prob(jnp.asarray(y))))
    for q in (0.05, 0.6):
        at = float(found.icdf(q))
        below, _ = quad(density, inside[0], at, limit=200)
        np.testing.assert_allclose(below, q, atol=1e-4 if inside[0] else 1e-7)
    low, high = float(found.icdf(0.0)), float(found.icdf(1.0))
    assert low == 0.0
    assert high == (1.0 if inside[1] == 1 else np.inf)


def test_quantiles_of_counts_are_the_least_that_reach_the_share():
    rates = np.array([0.3, 4.0, 11.0])
    found = mixture(dist.Poisson(jnp.asarray(rates)))
    reached = WEIGHTS @ stats.poisson(rates[:, None]).cdf(np.arange(60))
    for q in (0.01, 0.2, 0.5, 0.9, 0.999):
        assert float(found.icdf(q)) == np.flatnonzero(reached >= q)[0]


def test_angles_have_a_mean_direction_and_circular_variances():
    locs, kappas = np.array([3.0, -3.0, 2.5]), np.array([4.0, 8.0, 2.0])
    found = mixture(dist.VonMises(jnp.asarray(locs), jnp.asarray(kappas)))
    density = lambda y: WEIGHTS @ stats.vonmises(kappas, locs).pdf(y)
    real, _ = quad(lambda y: density(y) * np.cos(y), -np.pi, np.pi)
    imaginary, _ = quad(lambda y: density(y) * np.sin(y), -np.pi, np.pi)
    resultant = complex(real, imaginary)
    np.testing.assert_allclose(found.mean, np.angle(resultant), rtol=1e-7)
    np.testing.assert_allclose(found.variance, 1 - abs(resultant), rtol=1e-7)
    own = 1 - np.array([quad(lambda y, k=k: stats.vonmises(k).pdf(y) * np.cos(y), -np.pi, np.pi)[0]
                        for k in kappas])  # fmt: skip
    np.testing.assert_allclose(found.aleatoric, WEIGHTS @ own, rtol=1e-7)
    with pytest.raises(NotImplementedError, match="on a line"):
        found.icdf(0.5)


def test_vectors_are_mixed_whole():
    locs = np.array([[0.0, 0.0], [3.0, 1.0], [-1.0, 2.0]])
    covariance = np.array([[1.0, 0.6], [0.6, 2.0]])
    whole = dist.MultivariateNormal(jnp.asarray(locs), jnp.asarray(covariance))
    y = np.array([0.4, 0.9])
    each = [stats.multivariate_normal(loc, covariance).logpdf(y) for loc in locs]
    expected = logsumexp(np.array(each) + np.log(WEIGHTS))
    found = mixture(whole)
    np.testing.assert_allclose(found.log_prob(jnp.asarray(y)), expected, rtol=1e-12)
    assert found.sample(KEY, (7,)).shape == (7, 2)
    np.testing.assert_allclose(found.mean, WEIGHTS @ locs, rtol=1e-12)


def test_labels_have_no_variance():
    found = mixture(dist.CategoricalProbs(jnp.asarray([[0.5, 0.5], [0.1, 0.9], [1.0, 0.0]])))
    np.testing.assert_allclose(jnp.exp(found.log_prob(jnp.asarray(1))), WEIGHTS @ [0.5, 0.9, 0.0])
    with pytest.raises(NotImplementedError, match="labels"):
        _ = found.variance


# --- ensembles of predictors -------------------------------------------------------------------


def lines(weights=None):
    """Three lines with scales of their own, and what they were fitted to."""
    _, data = line_problem(lhx.positive(0.3))
    members = []
    for i in range(3):
        line = Line(jnp.asarray([2.0, -1.0, 0.5]) + 0.1 * i)
        members.append(lhx.Predictor(line, lhx.likelihoods.Normal(lhx.positive(0.2 + 0.1 * i))))
    return lhx.Ensemble(members, weights), members, data


def test_nll_is_that_of_the_members_mixed():
    ensemble, members, data = lines([1.0, 1.0, 2.0])
    assert len(ensemble) == 3
    np.testing.assert_allclose(ensemble.weights, [0.25, 0.25, 0.5])
    each = np.stack([
        stats.norm(data.inputs @ member.model.weights, 0.2 + 0.1 * i).logpdf(data.values)
        for i, member in enumerate(members)
    ])  # fmt: skip
    expected = -logsumexp(each + np.log([0.25, 0.25, 0.5])[:, None], axis=0)
    np.testing.assert_allclose(ensemble.nll(data), expected, rtol=1e-12)
    for distribution in (ensemble.predictive(data), ensemble(data.inputs)):
        np.testing.assert_allclose(-distribution.log_prob(data.values), expected, rtol=1e-12)
    predictions = ensemble.predict(data)
    alone = [member.predict(data).values for member in members]
    np.testing.assert_allclose(predictions.values, alone, rtol=1e-13)
    assert ensemble.failed(data) == ()


def test_missing_values_have_no_nll():
    ensemble, _, data = lines()
    values = np.asarray(data.values).copy()
    values[4] = np.nan
    some = lhx.Dataset(data.inputs, values)
    found = np.asarray(ensemble.nll(some))
    assert found[4] == 0
    np.testing.assert_array_equal(np.delete(found, 4), np.delete(ensemble.nll(data), 4))


def test_one_member_alone_is_itself():
    _, members, data = lines()
    alone = lhx.Ensemble(members[:1])
    expected, _ = lhx.NLL().elementwise(members[0], data)
    np.testing.assert_allclose(alone.nll(data), expected, rtol=1e-14)
    assert np.all(np.asarray(alone.predictive(data).epistemic) == 0)


class Growth(eqx.Module):
    """Explodes in finite time where the rate is large."""

    rate: Array

    def __call__(self, t, y, inputs):
        return self.rate * y**2


@pytest.fixture(scope="module")
def exploding():
    times = np.array([0.5, 1.0])
    data = lhx.Experiment(times, [1.2, 1.4], name="growth")
    make = lambda rate: lhx.Predictor(
        lhx.ODE(Growth(lhx.positive(rate)), initial=1.0, t0=0.0, max_steps=256),
        lhx.likelihoods.Normal(0.2),
    )
    return data, [make(rate) for rate in (0.3, 5.0, 0.4)]


@pytest.mark.slow
def test_a_member_that_cannot_be_solved_takes_no_part_and_is_named(exploding):
    data, members = exploding
    ensemble = lhx.Ensemble(members, [0.2, 0.5, 0.3])
    assert ensemble.failed(data) == (1,)
    # y' = r y^2 from 1 is 1 / (1 - r t)
    exact = [1 / (1 - rate * np.asarray(data.times)) for rate in (0.3, 0.4)]
    with pytest.warns(UserWarning, match="1 of 3 members could not be solved for growth.*: 1"):
        found = ensemble.nll(data)
    each = np.stack([stats.norm(mean, 0.2).logpdf(data.values) for mean in exact])
    expected = -logsumexp(each + np.log([0.4, 0.6])[:, None], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    with pytest.warns(UserWarning, match="could not be solved"):
        mixed = ensemble.predictive(data)
    np.testing.assert_allclose(mixed.mean, 0.4 * exact[0] + 0.6 * exact[1], rtol=1e-5)
    np.testing.assert_allclose(-mixed.log_prob(data.values), found, rtol=1e-10)
    assert np.all(np.isfinite(mixed.variance))
    assert np.all(np.isfinite(mixed.sample(KEY, (50,))))


@pytest.mark.slow
def test_if_no_member_can_be_solved_the_nll_is_infinite(exploding):
    data, members = exploding
    with pytest.warns(UserWarning, match="2 of 2"):
        found = lhx.Ensemble([members[1], members[1]]).nll(data)
    assert np.all(np.isposinf(found))


@pytest.mark.slow
def test_several_experiments_and_what_varies_by_them():
    class Ramp(eqx.Module):
        slope: Array

        def __call__(self, times):
            return self.slope * times

    times = np.arange(1.0, 4.0)
    data = lhx.Experiments([
        lhx.Experiment(times, slope * times, name=name) for name, slope in (("a", 1.0), ("b", 3.0))
    ])  # fmt: skip
    fits = [
        lhx.fit(
            lhx.NLL(),
            lhx.Predictor(Ramp(lhx.real(1.0, by="experiment")), lhx.likelihoods.Normal(scale)),
            data,
        )
        for scale in (0.5, 1.0)
    ]
    ensemble = lhx.Ensemble(fits)
    expected = np.concatenate([times, 3 * times])
    np.testing.assert_allclose(ensemble.predictive(data).mean, expected, rtol=1e-9)
    np.testing.assert_allclose(ensemble.predictive(data).aleatoric, 0.625, rtol=1e-12)
    np.testing.assert_allclose(ensemble.of(data, "b")(data["b"].times).mean, 3 * times, rtol=1e-9)


# --- many starts -------------------------------------------------------------------------------


class Squared(eqx.Module):
    """Two optima: the root, and minus it, which a little of itself makes worse."""

    root: Array

    def __call__(self, inputs):
        return self.root**2 + 0.1 * self.root + 0.0 * inputs


@pytest.mark.slow
def test_survivors_are_the_optima_near_the_best(as_a_user):
    data = lhx.Dataset(np.zeros(5), np.array([0.8, 0.9, 1.1, 1.0, 1.2]))
    predictor = lhx.Predictor(Squared(lhx.real(0.5)), lhx.likelihoods.Normal(0.2))
    prior = lhx.terms.Prior(lambda p: p.model.root, dist.Normal(0.0, 1.0))
    found = lhx.multistart(
        lhx.NLL() + prior, predictor, data, lhx.Box({"root": (-2.0, 2.0)}), num=8, key=KEY
    )
    assert len(found.optima) == 2
    apart = found.optima[1].nll - found.optima[0].nll
    assert apart > 1e-3
    ensemble = lhx.survivors(found)
    expected = np.array([1.0, np.exp(-apart)])
    np.testing.assert_allclose(ensemble.weights, expected / expected.sum(), rtol=1e-12)
    np.testing.assert_allclose(lhx.survivors(found, weights="equal").weights, 0.5)
    assert len(lhx.survivors(found, within=0.5 * apart)) == 1
    with pytest.raises(ValueError, match="survivors"):
        lhx.Ensemble(found)
    with pytest.raises(ValueError, match="0 or more nats"):
        lhx.survivors(found, within=-1.0)


# --- deep ensembles ----------------------------------------------------------------------------


class Curve(eqx.Module):
    layers: eqx.nn.MLP

    def __call__(self, inputs):
        return jax.vmap(self.layers)(inputs[:, None])


def network(key):
    layers = eqx.nn.MLP(1, 2, 8, 1, jnp.tanh, key=key, dtype=jnp.float64)
    return lhx.Predictor(Curve(layers), lhx.likelihoods.Normal(scale=lhx.predicted()))


@pytest.fixture(scope="module")
def trained():
    generator = np.random.default_rng(5)
    inputs = np.linspace(-1.0, 1.0, 40)
    data = lhx.Dataset(inputs, np.sin(3 * inputs) + 0.1 * generator.standard_normal(40))
    method = lhx.GradientDescent(optax.sgd(0.02, momentum=0.9), max_steps=300)
    mean = lhx.NLL(lhx.reductions.Mean())
    found = lhx.deep_ensemble(mean, network, data, num=4, key=KEY, method=method, workers=2)
    return found, mean, data, method


@pytest.mark.slow
def test_each_network_is_fitted_as_it_would_be_alone(trained):
    found, mean, data, method = trained
    assert found.used == (0, 1, 2, 3)
    assert found.refits.compile_seconds > 0
    for fit, key in zip(found.fits, jax.random.split(KEY, 4), strict=True):
        alone = lhx.fit(mean, network(key), data, method=method)
        assert alone.compile_seconds == 0  # the one that was compiled serves both
        np.testing.assert_array_equal(alone.record.theta, fit.record.theta)
    assert "4 members, of 4 fitted" in repr(found)


@pytest.mark.slow
def test_networks_disagree_where_there_are_no_data(trained):
    found, _, data, _ = trained
    near, far = (found.ensemble(jnp.linspace(*ends, 20)) for ends in ((-0.9, 0.9), (2.0, 4.0)))
    assert np.mean(far.epistemic) > 10 * np.mean(near.epistemic)
    # By Jensen's inequality the mixture is no worse than its members are on average.
    together = float(jnp.sum(found.ensemble.nll(data)))
    each = [float(jnp.sum(lhx.NLL().elementwise(m, data)[0])) for m in found.ensemble.members]
    assert together < np.mean(each)


@pytest.mark.slow
def test_a_network_that_cannot_begin_is_no_member(trained):
    _, mean, data, method = trained
    bad = jax.random.key_data(jax.random.split(KEY, 4))[2]

    def sometimes(key):
        predictor = network(key)
        lost = jnp.all(jax.random.key_data(key) == bad)
        weights = lambda p: p.model.layers.layers[0].weight
        spoilt = jnp.where(lost, jnp.nan, weights(predictor))
        return eqx.tree_at(weights, predictor, spoilt)

    found = lhx.deep_ensemble(mean, sometimes, data, num=4, key=KEY, method=method)
    assert found.used == (0, 1, 3)
    assert found.endings["start_failed"] == 1
    assert len(found.ensemble) == 3


# --- bad input ---------------------------------------------------------------------------------


def test_members_must_be_built_alike(as_a_user):
    _, members, _ = lines()
    with pytest.raises(ValueError, match=r"members\[1\] is built differently"):
        lhx.Ensemble([members[0], lhx.Predictor(Line(jnp.zeros(2)), members[0].likelihood)])
    other = lhx.likelihoods.Laplace(lhx.positive(0.3))
    with pytest.raises(ValueError, match=r"members\[1\] is built differently"):
        lhx.Ensemble([members[0], lhx.Predictor(members[0].model, other)])
    with pytest.raises(ValueError, match=r"members\[0\] is Line"):
        lhx.Ensemble([members[0].model])
    with pytest.raises(ValueError, match="one or more"):
        lhx.Ensemble([])


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([1.0, 1.0], "shape"),
        ([1.0, -1.0, 1.0], "not negative"),
        ([0.0] * 3, "all zero"),
        ([np.nan, 1.0, 1.0], "finite"),
    ],
)
def test_weights_must_be_weights(weights, said):
    with pytest.raises(ValueError, match=said):
        lines(weights)


def test_values_outside_the_support_are_refused():
    member = lhx.Predictor(Line(jnp.ones(3)), lhx.likelihoods.LogNormal(0.3))
    _, data = line_problem(0.3)
    with pytest.raises(ValueError, match="LogNormal"):
        lhx.Ensemble([member]).nll(data)


@pytest.mark.slow
def test_deep_ensembles_need_a_function_and_a_key(trained, as_a_user):
    _, mean, data, method = trained
    with pytest.raises(ValueError, match="num must be 1"):
        lhx.deep_ensemble(mean, network, data, num=0, key=KEY)
    with pytest.raises(ValueError, match="no JAX random key"):
        lhx.deep_ensemble(mean, network, data, num=2, key=3)
    with pytest.raises(ValueError, match="function from a random key"):
        lhx.deep_ensemble(mean, network(KEY), data, num=2, key=KEY)
    with pytest.raises(ValueError, match="workers"):
        lhx.deep_ensemble(mean, network, data, num=2, key=KEY, method=method, workers=0)


# --- the picture -------------------------------------------------------------------------------


def test_bands_hold_observations_and_means(as_a_user):
    _, members, _ = lines()
    data = lhx.Dataset(jnp.linspace(0.0, 1.0, 5)[:, None], np.arange(5.0), observables=("height",))
    weights = lambda p: p.model.weights
    ensemble = lhx.Ensemble([eqx.tree_at(weights, m, weights(m)[:1]) for m in members])
    figure = lhx.plot.ensemble(ensemble, data, level=0.9, ends=(0.0, 2.0), points=11)
    (axis,) = figure.axes
    assert axis.get_ylabel() == "height"
    # The slopes are 2.0, 2.1 and 2.2, the scales 0.2, 0.3 and 0.4.
    share = lambda y: np.mean(stats.norm([4.0, 4.2, 4.4], [0.2, 0.3, 0.4]).cdf(y))
    lower, upper = (brentq(lambda y, q=q: share(y) - q, 0, 9) for q in (0.05, 0.95))
    wide, narrow = (band.get_paths()[0].vertices for band in axis.collections)
    at_two = lambda vertices: np.sort(np.unique(vertices[vertices[:, 0] == 2.0, 1]))[[0, -1]]
    np.testing.assert_allclose(at_two(wide), [lower, upper], rtol=1e-6)
    reach = stats.norm.ppf(0.95) * np.std([4.0, 4.2, 4.4])
    np.testing.assert_allclose(at_two(narrow), [4.2 - reach, 4.2 + reach], rtol=1e-6)
    with pytest.raises(ValueError, match="level"):
        lhx.plot.ensemble(ensemble, data, level=1.5)
    with pytest.raises(ValueError, match="one column of inputs"):
        lhx.plot.ensemble(ensemble, line_problem(0.3)[1])
