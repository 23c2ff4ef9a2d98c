"""Noise that is random itself: one hidden variance, or mean and variance, a value or a group."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from jax import Array
from numpyro.infer import MCMC, NUTS, Predictive
from scipy import integrate, stats
from scipy.special import gammaln

import likelihax as lhx
from likelihax.distributions import InverseGammaScale
from likelihax.inference import noise_of_groups, prior_predictive
from likelihax.likelihoods import Normal, StudentT
from likelihax.terms import Prior

NIG = lhx.likelihoods.NormalInverseGamma


class Line(eqx.Module):
    slope: Array

    def __call__(self, t):
        return self.slope * t


class Two(eqx.Module):
    """A line beside its square."""

    slope: Array

    def __call__(self, t):
        return jnp.stack([self.slope * t, (self.slope * t) ** 2], axis=-1)


def several(values=None, **groups) -> lhx.Experiments:
    """Four experiments of three to six values, the third ten times as noisy as the rest."""
    generator = np.random.default_rng(5)
    each = []
    for i, noise in enumerate((0.1, 0.15, 1.5, 0.08)):
        t = np.linspace(0.5, 2.0, 3 + i)
        y = 1.3 * t + noise * generator.standard_normal(t.size)
        own = {kind: which[i] for kind, which in groups.items()}
        each.append(lhx.Experiment(t, y, name=f"e{i}", groups=own))
    return lhx.Experiments(each)


def value_of(objective, predictor, data) -> float:
    objective.check(predictor, data)
    return float(objective(predictor, data))


def t_of_group(y, loc, scales, dof) -> float:
    """SciPy's multivariate Student's t."""
    return -stats.multivariate_t(loc, np.diag(np.square(scales)), df=dof).logpdf(y)


# ---------------------------------------------------------------------------- the NLL of groups


def test_group_nll_is_scipys_multivariate_t():
    data = several()
    predictor = lhx.Predictor(Line(lhx.real(1.1)), StudentT(lhx.positive(0.3), lhx.positive(4.0)))
    each = [
        t_of_group(one.values, 1.1 * one.times, np.full(one.times.size, 0.3), 4.0)
        for one in data.experiments
    ]
    np.testing.assert_allclose(value_of(lhx.GroupNLL(), predictor, data), sum(each), rtol=1e-12)
    found = lhx.GroupNLL().each(lhx.resolve(predictor), data)
    np.testing.assert_allclose(found, each, rtol=1e-12)
    # Of one experiment alone it is one group.
    alone = data.experiments[2]
    np.testing.assert_allclose(value_of(lhx.GroupNLL(), predictor, alone), each[2], rtol=1e-12)


def test_groups_of_one_value_are_the_nll():
    y = np.array([0.3, 1.9, -0.4, 0.8])
    t = np.array([0.1, 1.0, 2.0, 3.0])
    table = lhx.Dataset(t, y)
    of_each = lhx.GroupNLL(groups=np.arange(4))
    for likelihood in (StudentT(0.3, 2.5), NIG(evidence=2.0, shape=1.7, rate=0.2)):
        predictor = lhx.Predictor(Line(lhx.real(1.1)), likelihood)
        expected = value_of(lhx.NLL(), predictor, table)
        np.testing.assert_allclose(value_of(of_each, predictor, table), expected, rtol=1e-12)


def test_many_degrees_of_freedom_are_normal():
    data = several()
    normal = lhx.Predictor(Line(lhx.real(1.1)), Normal(0.4))
    expected = value_of(lhx.NLL(), normal, data)
    for dof in (1e9, 1e15):
        student = lhx.Predictor(Line(lhx.real(1.1)), StudentT(0.4, dof))
        found = value_of(lhx.GroupNLL(), student, data)
        np.testing.assert_allclose(found, expected, atol=1e4 / dof + 1e-11, rtol=0)


def test_observables_scales_and_missing_values():
    """Two observables with a scale each, one of them missing here and there."""
    t = np.linspace(0.5, 2.0, 5)
    generator = np.random.default_rng(2)
    first, second = 1.2 * t[:, None] ** [1, 2] + 0.2 * generator.standard_normal((2, 5, 2))
    first[1, 1] = second[0, 0] = second[3, 0] = np.nan
    second[:, 1] = np.nan  # nothing of it
    data = lhx.Experiments(
        [lhx.Experiment(t, first, name="a"), lhx.Experiment(t, second, name="b")]
    )
    scale = lhx.positive([0.2, 0.4])
    predictor = lhx.Predictor(Two(lhx.real(1.1)), StudentT(scale, lhx.positive(3.0)))
    total = 0.0
    for values in (first, second):
        for column in (0, 1):
            seen = np.isfinite(values[:, column])
            if seen.any():
                loc = (1.1 * t[seen]) ** (column + 1)
                scales = np.full(seen.sum(), (0.2, 0.4)[column])
                total += t_of_group(values[seen, column], loc, scales, 3.0)
    np.testing.assert_allclose(value_of(lhx.GroupNLL(), predictor, data), total, rtol=1e-12)
    parts = lhx.GroupNLL().breakdown(lhx.resolve(predictor), data)
    np.testing.assert_allclose(sum(parts.values()), total, rtol=1e-12)
    assert lhx.GroupNLL().num_observed(predictor, data) == 12


class LineAndWidth(eqx.Module):
    """A line, and a log-scale that grows along it."""

    slope: Array

    def __call__(self, t):
        return jnp.stack([self.slope * t, jnp.log(0.2 + 0.1 * t)], axis=-1)


def test_scale_that_is_predicted_is_multiplied():
    data = several()
    likelihood = StudentT(lhx.predicted(), lhx.positive(3.0))
    predictor = lhx.Predictor(LineAndWidth(lhx.real(1.1)), likelihood)
    total = sum(
        t_of_group(one.values, 1.1 * one.times, 0.2 + 0.1 * np.asarray(one.times), 3.0)
        for one in data.experiments
    )
    np.testing.assert_allclose(value_of(lhx.GroupNLL(), predictor, data), total, rtol=1e-12)


@pytest.mark.parametrize("values", [1, 4])
def test_collapsed_is_the_quadrature_over_mean_and_variance(values):
    """`NormalInverseGamma` by groups, against nested Gauss quadrature, to 1e-10."""
    t = np.arange(1.0, values + 1)
    y = 1.1 * t + np.array([0.4, -0.2, 0.9, 0.3])[:values]
    likelihood = NIG(evidence=lhx.positive(0.8), shape=lhx.positive(1.6), rate=lhx.positive(0.5))
    predictor = lhx.Predictor(Line(lhx.real(1.1)), likelihood)
    table = lhx.Dataset(t, y)
    found = value_of(lhx.GroupNLL(groups=np.zeros(values, int)), predictor, table)

    nodes, weights = np.polynomial.legendre.leggauss(600)
    log_variance = 6 + 16 * nodes
    variance = np.exp(log_variance)[:, None]
    # The offset about its mode for each variance: everything there is Normal.
    z, of_z = np.polynomial.hermite_e.hermegauss(30)
    r = y - 1.1 * t
    precision = (values + 0.8) / variance
    offset = r.sum() / (values + 0.8) + z[None] / np.sqrt(precision)
    inner = stats.norm.logpdf(offset, 0, np.sqrt(variance / 0.8))
    inner = inner + sum(stats.norm.logpdf(one, offset, np.sqrt(variance)) for one in r)
    inner = np.exp(inner + 0.5 * z**2) @ of_z / np.sqrt(precision[:, 0])
    outer = stats.invgamma.pdf(variance[:, 0], 1.6, scale=0.5) * variance[:, 0]
    exact = -np.log(np.sum(16 * weights * outer * inner))
    np.testing.assert_allclose(found, exact, atol=1e-10, rtol=0)


def test_derivatives_are_those_of_values():
    data = several()

    def value(theta):
        likelihood = NIG(evidence=theta[1], shape=theta[2], rate=theta[3])
        now = lhx.resolve(lhx.Predictor(Line(theta[0]), likelihood))
        return lhx.GroupNLL().evaluate(now, data).total

    theta, h = jnp.array([1.1, 0.7, 2.0, 1.4]), 1e-5
    gradient, hessian = jax.jit(jax.grad(value)), jax.jit(jax.hessian(value))
    value = jax.jit(value)
    for i in range(4):
        central = (value(theta.at[i].add(h)) - value(theta.at[i].add(-h))) / (2 * h)
        np.testing.assert_allclose(gradient(theta)[i], central, rtol=1e-7)
        # Standard errors are made of the second ones.
        second = (gradient(theta.at[i].add(h)) - gradient(theta.at[i].add(-h))) / (2 * h)
        np.testing.assert_allclose(hessian(theta)[i], second, rtol=1e-6, atol=1e-7)


def test_a_solve_that_fails_is_infinite():
    def field(t, y, inputs=None):
        return y**2  # beyond bounds at t = 1

    one = lhx.Experiment(np.array([0.5, 2.0]), np.array([2.0, 1.0]), name="a")
    two = lhx.Experiment(np.array([0.1, 0.2]), np.array([1.1, 1.2]), name="b")
    model = lhx.ODE(field, initial=lhx.positive(1.0), t0=0.0, max_steps=200)
    predictor = lhx.Predictor(model, StudentT(0.1, 4.0))
    found = lhx.GroupNLL().evaluate(lhx.resolve(predictor), lhx.Experiments([one, two]))
    assert np.isinf(found.total)
    assert found.result != lhx.RESULTS.successful
    each = lhx.GroupNLL().each(lhx.resolve(predictor), lhx.Experiments([one, two]))
    assert np.isinf(each[0])
    assert np.isfinite(each[1])


def test_what_cannot_be_meant_is_said():
    data = several(lab=["x", "x", "y", "y"])
    line = Line(lhx.real(1.1))
    check = lambda likelihood, objective=lhx.GroupNLL(), d=data: objective.check(
        lhx.Predictor(line, likelihood), d
    )
    with pytest.raises(ValueError, match="Normal has no hidden variance: give a Predictor whose"):
        check(Normal(0.1))
    table = lhx.Dataset(np.arange(3.0), np.zeros(3))
    with pytest.raises(ValueError, match="not grouped by 'experiment'; there is none"):
        check(StudentT(0.1, 4.0), d=table)
    with pytest.raises(ValueError, match="2 groups for 3 rows"):
        check(StudentT(0.1, 4.0), lhx.GroupNLL(groups=[0, 1]), table)
    with pytest.raises(ValueError, match="group 1 has no member"):
        lhx.GroupNLL(groups=[0, 2])
    with pytest.raises(ValueError, match="differ within a group, whose values share"):
        check(StudentT(0.1, lhx.positive(4.0, by="experiment")), lhx.GroupNLL("lab"))
    check(StudentT(0.1, lhx.positive(4.0, by="lab")))
    with pytest.raises(ValueError, match="differ within a group"):
        lhx.GroupNLL().check(lhx.Predictor(line, StudentT(0.1, lhx.predicted(), loc=0.0)), data)


def test_groups_of_experiments_share_one_variance():
    data = several(lab=["x", "y", "x", "y"])
    predictor = lhx.Predictor(Line(lhx.real(1.1)), StudentT(lhx.positive(0.3), lhx.positive(4.0)))
    total = 0.0
    for which in ((0, 2), (1, 3)):
        some = [data.experiments[i] for i in which]
        y, t = (np.concatenate([getattr(o, k) for o in some]) for k in ("values", "times"))
        total += t_of_group(y, 1.1 * t, np.full(t.size, 0.3), 4.0)
    np.testing.assert_allclose(value_of(lhx.GroupNLL("lab"), predictor, data), total, rtol=1e-12)


def test_may_count_once_only():
    assert (lhx.GroupNLL() + Prior(lambda p: p.model.slope, dist.Normal(0.0, 1.0))).is_density
    assert not (2.0 * lhx.GroupNLL()).is_density


# --------------------------------------------------------------------------------------- fits


@pytest.fixture(scope="module")
def noisy_fit():
    likelihood = StudentT(lhx.positive(0.3), lhx.positive(4.0))
    return lhx.fit(lhx.GroupNLL(), lhx.Predictor(Line(lhx.real(1.0)), likelihood), several())


def test_outlying_experiment_widens_its_own_noise(noisy_fit):
    assert noisy_fit.success
    noise = noise_of_groups(noisy_fit)
    assert noise.members == ("e0", "e1", "e2", "e3")
    assert noise.medians[2] > 5 * noise.medians[[0, 1, 3]].max()
    assert noise.low[2] > noise.high[3]
    assert noise.offsets is None
    # By hand: the conjugate update of each.
    at = noisy_fit.estimates
    for i, one in enumerate(noisy_fit.data.experiments):
        r = np.asarray(one.values) - at["slope"] * one.times
        concentration = 0.5 * (at["dof"] + r.size)
        rate = 0.5 * (at["dof"] * at["scale"] ** 2 + np.sum(r**2))
        square = stats.invgamma(concentration, scale=rate)
        for share, found in ((0.05, noise.low), (0.5, noise.medians), (0.95, noise.high)):
            np.testing.assert_allclose(found[i], np.sqrt(square.ppf(share)), rtol=1e-9)
    common = lhx.fit(
        lhx.NLL(), lhx.Predictor(Line(lhx.real(1.0)), Normal(lhx.positive(0.3))), several()
    )
    assert noisy_fit.nll + 1 < common.nll - 5  # one parameter more
    errors = noisy_fit.standard_errors()["slope"], common.standard_errors()["slope"]
    assert errors[0] < 0.5 * errors[1]


def test_noise_of_groups_says_what_it_needs(noisy_fit):
    with pytest.raises(ValueError, match="noise_of_groups: the level must be in"):
        noise_of_groups(noisy_fit, level=1.5)
    common = lhx.fit(lhx.NLL(), lhx.Predictor(Line(lhx.real(1.0)), Normal(0.3)), several())
    with pytest.raises(ValueError, match="no noise was hidden in a fit of NLL"):
        noise_of_groups(common)
    with pytest.raises(ValueError, match="not equally noisy"):
        lhx.bootstrap(noisy_fit, kind="residual", num=4, key=jax.random.key(0))


def test_offsets_of_groups():
    """All values of one experiment lie off together: that is an offset, no noise."""
    generator = np.random.default_rng(1)
    t = np.linspace(0.5, 2.0, 8)
    offsets = np.array([0.8, -0.5, 0.1, -0.9, 0.6])
    data = lhx.Experiments(
        [
            lhx.Experiment(t, 1.3 * t + o + 0.05 * generator.standard_normal(8), name=f"e{i}")
            for i, o in enumerate(offsets)
        ]
    )
    likelihood = NIG(evidence=lhx.positive(0.1), shape=lhx.positive(3.0), rate=lhx.positive(0.01))
    fit = lhx.fit(lhx.GroupNLL(), lhx.Predictor(Line(lhx.real(1.0)), likelihood), data)
    noise = noise_of_groups(fit)
    np.testing.assert_allclose(noise.offsets, offsets, atol=0.1)
    np.testing.assert_allclose(noise.medians, 0.05, atol=0.025)


class Hyper(eqx.Module):
    """A line, with the two numbers of the noise of its experiments."""

    slope: Array
    scale: Array
    dof: Array

    def __call__(self, t):
        return self.slope * t


def of_scales(p) -> InverseGammaScale:
    half = 0.5 * p.model.dof
    return InverseGammaScale(half, half * p.model.scale**2)


def by_scales() -> lhx.Predictor:
    model = Hyper(lhx.real(1.1), lhx.positive(0.3, name="typical"), lhx.positive(4.0))
    return lhx.Predictor(model, Normal(lhx.positive(0.3, by="experiment")))


@pytest.mark.slow
def test_marginal_integrates_the_same_scales():
    """By Laplace's method within its error, by quadrature to the digits of that."""
    collapsed = lhx.Predictor(Line(lhx.real(1.1)), StudentT(lhx.positive(0.3), lhx.positive(4.0)))
    exact = value_of(lhx.GroupNLL(), collapsed, several())
    joint = lhx.NLL() + Prior(lambda p: p.likelihood.scale, of_scales)
    at = lambda points: float(
        lhx.Marginal(joint, lambda p: p.likelihood.scale, points=points)(by_scales(), several())
    )
    # Stirling's formula in the place of each gamma function: 1 / (12 x) of x near 4.
    assert 0.01 < abs(at(1) - exact) < 0.1
    np.testing.assert_allclose(at(31), exact, atol=1e-7)


@pytest.mark.slow
def test_individual_rates_under_random_noise():
    """`GroupNLL` inside `Marginal`: each member's rate integrated out, its noise too."""

    class Own(eqx.Module):
        slope: Array
        centre: Array

        def __call__(self, t):
            return self.slope * t

    model = Own(lhx.real(1.1, by="experiment"), lhx.real(1.2))
    predictor = lhx.Predictor(model, StudentT(lhx.positive(0.3), lhx.positive(4.0)))
    joint = lhx.GroupNLL() + Prior(
        lambda p: p.model.slope, lambda p: dist.Normal(p.model.centre, 0.5)
    )
    found = float(lhx.Marginal(joint, lambda p: p.model.slope, points=41)(predictor, several()))
    total = 0.0
    for one in several().experiments:
        t, y = np.asarray(one.times), np.asarray(one.values)

        def density(slope, t=t, y=y):
            noise = np.exp(-t_of_group(y, slope * t, np.full(t.size, 0.3), 4.0))
            return noise * stats.norm.pdf(slope, 1.2, 0.5)

        total -= np.log(integrate.quad(density, -2, 4, points=[1.2, 1.3], limit=200)[0])
    np.testing.assert_allclose(found, total, atol=1e-4)


# ------------------------------------------------------------------------------------- NumPyro


@pytest.fixture
def lenient():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def hierarchy(shared: bool):
    """Objective, predictor and data: a pair a value, or a pair a group of three or four."""
    t = np.linspace(0.2, 2.0, 10)
    generator = np.random.default_rng(8)
    y = 1.3 * t + 0.3 * generator.standard_normal(10)
    likelihood = NIG(evidence=1.5, shape=2.5, rate=lhx.positive(0.2))
    predictor = lhx.Predictor(Line(lhx.real(1.0)), likelihood)
    nll = lhx.GroupNLL(groups=[0, 0, 0, 1, 1, 1, 2, 2, 2, 2]) if shared else lhx.NLL()
    objective = (
        nll
        + Prior(lambda p: p.model.slope, dist.Normal(1.0, 0.5))
        + Prior(lambda p: p.likelihood.rate, dist.LogNormal(-1.0, 0.5))
    )
    return objective, predictor, lhx.Dataset(t, y)


SHARES = np.array([0.1, 0.25, 0.5, 0.75, 0.9])


@pytest.mark.slow
@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("shared", [False, True], ids=["a value", "a group"])
def test_prior_draws_of_hierarchy_and_collapsed_model(shared):
    objective, predictor, data = hierarchy(shared)
    drawn = []
    for latent in (True, False):
        model = lhx.numpyro_model(objective, predictor, latent=latent)
        found = Predictive(model, num_samples=20_000)(
            jax.random.key(int(latent)), data, observed=False
        )
        drawn.append(np.asarray(found["values"]))
        if latent:
            assert found["values hidden"].shape == (20_000, 3 if shared else 10, 2)
    for statistic in (
        lambda y: y[:, 4],
        lambda y: y[:, 1] - y[:, 0],  # as far as they share a pair
        lambda y: np.abs(y[:, 8] - y[:, 7]) + np.abs(y[:, 9] - y[:, 8]),
    ):
        assert stats.ks_2samp(statistic(drawn[0]), statistic(drawn[1])).pvalue > 1e-3


@pytest.mark.slow
@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("shared", [False, True], ids=["a value", "a group"])
def test_posterior_of_hierarchy_and_collapsed_model(shared):
    objective, predictor, data = hierarchy(shared)
    model = lhx.numpyro_model(objective, predictor, latent=True)
    chain = MCMC(NUTS(model), num_warmup=300, num_samples=1500, num_chains=2,
                 chain_method="vectorized", progress_bar=False)  # fmt: skip
    chain.run(jax.random.key(0), data)
    found = chain.get_samples(group_by_chain=True)
    exact = posterior_on_a_grid(objective, predictor, data)
    for name in ("slope", "rate"):
        draws = np.asarray(found[name])
        effective = numpyro.diagnostics.effective_sample_size(draws)
        assert effective > 400
        values, weights = exact[name]
        mean = np.sum(weights * values)
        sd = np.sqrt(np.sum(weights * (values - mean) ** 2))
        assert abs(draws.mean() - mean) < 4 * sd / np.sqrt(effective)
        for share in SHARES:
            below = np.mean(draws < np.interp(share, np.cumsum(weights), values))
            assert abs(below - share) < 4 * np.sqrt(share * (1 - share) / effective) + 0.01
    # What is hidden, given the rest, is conjugate: the mean variance of each over the draws.
    by_groups = objective.parts[0] if shared else lhx.GroupNLL(groups=np.arange(10))

    def variances(slope, rate):
        now = lhx.Predictor(Line(slope), NIG(evidence=1.5, shape=2.5, rate=rate))
        noise = by_groups.hidden(lhx.resolve(now), data)
        return noise.posterior(data.values, data.observed).mean[:, 1]

    each = jax.vmap(variances)(jnp.ravel(found["slope"]), jnp.ravel(found["rate"]))
    for i, expected in enumerate(np.asarray(each).mean(0)):
        own = np.asarray(found["values hidden"])[..., i, 1]
        error = own.std() / np.sqrt(numpyro.diagnostics.effective_sample_size(own))
        assert abs(own.mean() - expected) < 5 * error


def posterior_on_a_grid(objective, predictor, data):
    """Of slope and rate, of the collapsed model written with SciPy."""
    t, y = np.asarray(data.inputs), np.asarray(data.values)
    groups = (
        objective.parts[0].groups if isinstance(objective.parts[0], lhx.GroupNLL) else np.arange(10)
    )
    slopes, log_rates = np.linspace(0.0, 2.5, 121), np.linspace(-4.0, 2.0, 121)
    total = stats.norm.logpdf(slopes, 1.0, 0.5)[:, None] + stats.norm.logpdf(log_rates, -1.0, 0.5)
    residuals = y - slopes[:, None] * t
    for group in np.unique(groups):
        r = residuals[:, groups == group]
        total = total + multivariate_t(r[:, None], np.exp(log_rates))
    weights = np.exp(total - total.max())
    weights = weights / weights.sum()
    return {"slope": (slopes, weights.sum(1)), "rate": (np.exp(log_rates), weights.sum(0))}


def multivariate_t(r, rate, evidence=1.5, shape=2.5):
    """Its formula, of many at once: SciPy's takes one covariance a call."""
    n = r.shape[-1]
    square = np.sum(r**2, axis=-1) - np.sum(r, axis=-1) ** 2 / (evidence + n)
    half = shape + 0.5 * n
    ways = gammaln(half) - gammaln(shape) - 0.5 * n * np.log(2 * np.pi * rate)
    return ways - 0.5 * np.log1p(n / evidence) - half * np.log1p(square / (2 * rate))


@pytest.mark.usefixtures("lenient")
def test_hierarchy_in_a_plate_and_with_missing_values():
    objective, predictor, data = hierarchy(True)
    values = np.array(data.values)
    values[[0, 5]] = np.nan
    data = lhx.Dataset(np.asarray(data.inputs), values)

    def model():
        with numpyro.plate("replicates", 2):
            drawn = lhx.inference.draw(predictor, objective, data)
            lhx.inference.observe("y", drawn, data, nll=objective.parts[0], latent=True)

    sites = numpyro.handlers.trace(numpyro.handlers.seed(model, jax.random.key(3))).get_trace()
    hidden = np.asarray(sites["y hidden"]["value"])
    assert hidden.shape == (2, 3, 2)
    slopes = np.asarray(sites["slope"]["value"])
    found = sites["y"]["fn"].log_prob(jnp.asarray(data.values))
    of_row = np.asarray(objective.parts[0].groups)
    seen = np.isfinite(values)
    for i in range(2):
        loc = slopes[i] * np.asarray(data.inputs) + hidden[i, of_row, 0]
        each = stats.norm.logpdf(values, loc, np.sqrt(hidden[i, of_row, 1]))
        np.testing.assert_allclose(found[i], each[seen].sum(), rtol=1e-10)


def test_latent_says_what_it_needs():
    _, _, data = hierarchy(False)
    nothing = lhx.Predictor(Line(lhx.real(1.0)), Normal(0.1))
    with pytest.raises(ValueError, match="latent=True: Normal has no hidden variance"):
        lhx.inference.observe("y", nothing, data, latent=True)
    student = lhx.Predictor(Line(lhx.real(1.0)), StudentT(0.1, 4.0))
    with pytest.raises(ValueError, match="count more or less than once"):
        lhx.inference.observe("y", student, data, nll=lhx.NLL(weights=np.ones(10)), latent=True)


@pytest.mark.slow
def test_sampled_scales_and_collapsed_model():
    """NUTS over the scale of each experiment, non-centred, against the closed form."""
    data = several()
    priors = lambda where: (
        Prior(lambda p: p.model.slope, dist.Normal(1.0, 1.0))
        + Prior(lambda p: where(p).scale, dist.LogNormal(-1.0, 0.7))
        + Prior(lambda p: where(p).dof, dist.LogNormal(1.0, 0.5))
    )
    own = Prior(lambda p: p.likelihood.scale, of_scales)
    posterior = lhx.inference.Posterior(
        lhx.NLL() + own + priors(lambda p: p.model), by_scales(), data
    )
    assert int(np.sum(~np.asarray(posterior.direct))) == 4
    scales = lhx.sample(posterior, key=jax.random.key(0), num=600)
    collapsed = lhx.Predictor(Line(lhx.real(1.1)), StudentT(lhx.positive(0.3), lhx.positive(4.0)))
    objective = lhx.GroupNLL() + priors(lambda p: p.likelihood)
    draws = lhx.sample(objective, collapsed, data, key=jax.random.key(1), num=600)
    for one, other in (("slope", "slope"), ("typical", "scale"), ("dof", "dof")):
        error = np.hypot(scales.mcse[one], draws.mcse[other])
        assert abs(scales.mean[one] - draws.mean[other]) < 4 * error
        a, b = scales.values[one].ravel(), draws.values[other].ravel()
        for share in SHARES:
            below = np.mean(a < np.quantile(b, share))
            assert abs(below - share) < 0.06
    # The scale of each experiment, drawn in closed form at each draw of the rest.
    slope, scale, dof = (draws.values[name].ravel() for name in ("slope", "scale", "dof"))
    generator = np.random.default_rng(0)
    closed = []
    for one in data.experiments:
        y, t = np.asarray(one.values), np.asarray(one.times)
        squares = np.sum((y - slope[:, None] * t) ** 2, axis=1)
        half, rate = 0.5 * (dof + t.size), 0.5 * (dof * scale**2 + squares)
        closed.append(np.sqrt(rate / generator.gamma(half)))
    (name,) = set(scales.values) - {"slope", "typical", "dof"}
    sampled = scales.values[name].reshape(-1, 4)
    for i in range(4):
        for share in SHARES:
            below = np.mean(sampled[:, i] < np.quantile(closed[i], share))
            assert abs(below - share) < 0.06

    # Measured again, an experiment scatters as it did; a new one as any.
    again = draws.posterior_predictive(jax.random.key(2)).reshape(-1, data.values.size)
    of_row = np.asarray(data.of_row)
    width = lambda i: np.subtract(*np.quantile(again[:, of_row == i][:, 0], [0.9, 0.1]))
    assert width(2) > 4 * width(3)
    new = prior_predictive(objective, collapsed, data, key=jax.random.key(3), num=2000)
    # Two residuals of one experiment are wide together, those of two are not.
    away = np.log(np.abs(new - np.median(new, axis=0)))
    correlated = np.corrcoef(away[:, of_row == 3].T)[0, 1]
    apart = np.corrcoef(away[:, 0], away[:, -1])[0, 1]
    assert correlated > apart + 0.05


def test_simulated_again_with_one_noise_a_group(noisy_fit):
    """A parametric bootstrap draws the noise of each experiment anew, once for its values."""
    from likelihax.inference._simulated_values import simulated_values

    drawn = simulated_values(
        noisy_fit.objective, noisy_fit.predictor, noisy_fit.data, jax.random.key(0), 4000
    )
    one = noisy_fit.data.experiments[3]
    r = np.asarray(drawn)[:, -one.times.size :] - noisy_fit.estimates["slope"] * np.asarray(
        one.times
    )
    at = noisy_fit.estimates
    # The mean square of n values over scale^2 is an F with n and dof degrees of freedom.
    share = np.mean(r**2, axis=1) / at["scale"] ** 2
    assert stats.kstest(share, stats.f(one.times.size, at["dof"]).cdf).pvalue > 1e-3
