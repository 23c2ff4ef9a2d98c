"""How the starts of many fits are drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
import scipy.stats
from numpyro.distributions import constraints
from wells import KEY, double_well, starts_of, wells

import likelihax as lhx


def one_in_each(shares):
    """Whether sixteen numbers fall into sixteen equal parts of (0, 1), one into each."""
    return sorted(np.floor(16 * np.asarray(shares)).astype(int)) == list(range(16))


def test_a_box_is_filled_evenly():
    starts = starts_of(wells(lhx.Box({"x": (-3.0, 5.0)})))
    assert one_in_each((starts + 3) / 8)


def test_a_box_of_elements():
    predictor = {"x": lhx.positive([1.0, 2.0], name=("a", "b")), "w": jnp.array([3.0, 4.0])}
    bowl = lambda tree, data: jnp.sum(tree["x"] ** 2) + jnp.sum(tree["w"] ** 2)
    box = lhx.Box({"x[b]": (5.0, 6.0), "w": ([10.0, 20.0], [11.0, 22.0])})
    found = lhx.multistart(bowl, predictor, None, box, num=16, key=KEY)
    x, w = starts_of(found, "x"), starts_of(found, "w")
    np.testing.assert_array_equal(x[:, 0], 1.0)  # not named: it keeps its start
    assert one_in_each(x[:, 1] - 5)
    assert one_in_each(w[:, 0] - 10)
    assert one_in_each((w[:, 1] - 20) / 2)


def test_a_box_may_reach_to_the_edge_of_a_constraint():
    predictor = {"x": lhx.bounded(0.5, 0.0, 1.0)}
    found = lhx.multistart(
        double_well, predictor, None, lhx.Box({"x": (0.0, 1.0)}), num=16, key=KEY, throw=False
    )
    assert one_in_each(starts_of(found))


def test_spread_is_normal_in_the_fitters_space():
    predictor = {
        "x": lhx.positive(2.0),
        "y": lhx.real(-4.0),
        "z": lhx.bounded(0.5, 0.0, 2.0),
    }
    bowl = lambda tree, data: tree["x"] ** 2 + tree["y"] ** 2 + tree["z"] ** 2
    found = lhx.multistart(bowl, predictor, None, lhx.Spread(0.7), num=16, key=KEY)
    normal = scipy.stats.norm(0, 0.7)
    assert one_in_each(normal.cdf(np.log(starts_of(found, "x") / 2.0)))
    assert one_in_each(normal.cdf((starts_of(found, "y") + 4.0) / 4.0))
    logit = lambda p: np.log(p / (1 - p))
    assert one_in_each(normal.cdf(logit(starts_of(found, "z") / 2) - logit(0.25)))


def test_priors():
    predictor = {"x": lhx.positive(1.0), "y": lhx.real([1.0, 2.0]), "z": lhx.real(5.0)}
    bowl = lambda tree, data: tree["x"] ** 2 + jnp.sum(tree["y"] ** 2) + tree["z"] ** 2
    priors = lhx.Priors({"y": dist.Normal(3.0, 2.0), "x": dist.LogNormal(1.0, 0.5)})
    found = lhx.multistart(bowl, predictor, None, priors, num=16, key=KEY)
    x, y = starts_of(found, "x"), starts_of(found, "y")
    assert one_in_each(scipy.stats.lognorm(0.5, scale=np.e).cdf(x))
    assert one_in_each(scipy.stats.norm(3, 2).cdf(y[:, 0]))
    assert one_in_each(scipy.stats.norm(3, 2).cdf(y[:, 1]))
    np.testing.assert_array_equal(starts_of(found, "z"), 5.0)


def test_priors_without_quantiles_and_of_arrays():
    gamma = dist.Gamma(4.0, 2.0)
    simplex = lhx.constrained([0.2, 0.3, 0.5], constraints.simplex)
    predictor = {"x": lhx.positive(1.0), "y": lhx.real([1.0, 1.0]), "z": simplex}
    bowl = lambda tree, data: sum(jnp.sum(tree[name] ** 2) for name in "xyz")
    priors = lhx.Priors({"x": gamma, "y": gamma, "z": dist.Dirichlet(jnp.ones(3))})
    found = lhx.multistart(bowl, predictor, None, priors, num=64, key=KEY, throw=False)
    for drawn in (starts_of(found, "x"), *starts_of(found, "y").T):
        assert len(set(drawn)) == 64
        assert scipy.stats.kstest(drawn, scipy.stats.gamma(4.0, scale=0.5).cdf).pvalue > 1e-3
    z = starts_of(found, "z")
    np.testing.assert_allclose(z.sum(axis=1), 1.0)
    np.testing.assert_allclose(z.mean(axis=0), 1 / 3, atol=0.12)


def test_what_a_prior_gives_outside_a_constraint_is_drawn_again():
    found = lhx.multistart(
        double_well,
        {"x": lhx.positive(1.0)},
        None,
        lhx.Priors({"x": dist.Normal(0.0, 1.0)}),
        num=16,
        key=KEY,
    )
    assert np.all(starts_of(found) > 0)
    assert 24 <= found.num_drawn <= 48


def test_keys():
    starts = starts_of(wells())
    np.testing.assert_array_equal(starts, starts_of(wells(workers=1)))
    assert not np.any(np.isin(starts, starts_of(wells(key=jax.random.key(8)))))
    np.testing.assert_array_equal(starts, starts_of(wells(key=jax.random.PRNGKey(7))))


def test_single_precision():
    predictor = {"x": lhx.positive(jnp.float32(0.5))}
    found = lhx.multistart(
        lambda tree, data: (tree["x"] - jnp.float32(2.0)) ** 2,
        predictor,
        None,
        lhx.Spread(0.5),
        num=4,
        key=KEY,
        method=lhx.GradientDescent(optax.sgd(0.2), tolerance=1e-3),
    )
    assert starts_of(found).dtype == np.float32
    assert found.best.estimates["x"] == pytest.approx(2.0, abs=1e-2)


# --- what cannot be right ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: lhx.Spread(0.0), "sd must be one positive, finite number, got 0.0"),
        (lambda: lhx.Spread(np.inf), "sd must be one positive, finite number, got inf"),
        (lambda: lhx.Spread([1.0, 2.0]), "sd must be one positive, finite number"),
        (lambda: lhx.Spread("wide"), "Spread: sd, 'wide', is no number"),
        (lambda: lhx.Box({}), "expected a dictionary by parameter names"),
        (lambda: lhx.Box([(0.0, 1.0)]), "expected a dictionary by parameter names"),
        (lambda: lhx.Box({"x": 1.0}), r"'x' needs a pair \(lower, upper\), got 1.0"),
        (lambda: lhx.Box({"x": (1.0, 1.0)}), "lower 1.0 of 'x' must be below upper 1.0"),
        (lambda: lhx.Box({"x": (2.0, 1.0)}), "lower 2.0 of 'x' must be below upper 1.0"),
        (lambda: lhx.Box({"x": (0.0, np.inf)}), "bounds of 'x' must be finite"),
        (lambda: lhx.Box({"x": ([0.0, 1.0], [2.0, 3.0, 4.0])}), r"shapes \(2,\) and \(3,\)"),
        (lambda: lhx.Priors([dist.Normal()]), "expected a dictionary by parameter names"),
        (lambda: lhx.Priors({"x": 1.0}), "1.0, for 'x', is no continuous NumPyro distribution"),
        (lambda: lhx.Priors({"x": dist.Poisson(1.0)}), "no continuous NumPyro distribution"),
    ],
)
def test_draws(make, says, as_a_user):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize(
    ("draws", "says"),
    [
        (
            lhx.Box({"q": (0.0, 1.0)}),
            r"no fitted parameter is called 'q'. There are: r, s, v, w,",
        ),
        (lhx.Priors({"k": dist.Normal()}), "no fitted parameter is called 'k'"),
        (lhx.Box({"v": (0.0, 1.0), "v[1]": (0.0, 1.0)}), r"'v' and 'v\[1\]' name the same"),
        (lhx.Box({"v": ([0.0] * 3, [1.0] * 3)}), r"bound of 'v' has shape \(3,\), the parameter"),
        (lhx.Box({"v[0]": ([0.0, 0.0], [1.0, 1.0])}), r"has shape \(2,\), the parameter has \(\)"),
        (lhx.Box({"x": (-1.0, 1.0)}), "box of 'x', .* reaches outside its constraint"),
        (lhx.Box({"r": (0.5, 1.5)}), "box of 'r', .* reaches outside its constraint"),
        (lhx.Box({"w[1]": (-0.5, 1.5)}), r"box of 'w\[1\]', .* reaches outside its constraint"),
        (lhx.Box({"s": (0.0, 1.0)}), "elements of 's' depend on each other"),
        (lhx.Priors({"v": dist.Normal(jnp.zeros(3))}), r"shape \(3,\), the parameter has \(2,\)"),
        (lhx.Priors({"v[0]": dist.Normal(jnp.zeros(2))}), r"shape \(2,\), the parameter has \(\)"),
        (lhx.Priors({"x": dist.Dirichlet(jnp.ones(2))}), r"shape \(2,\), the parameter has \(\)"),
    ],
)
def test_draws_that_do_not_suit_the_parameters(draws, says):
    predictor = {
        "k": lhx.frozen(1.0),
        "r": lhx.bounded(0.5, 0.0, 1.0),
        "s": lhx.ordered([1.0, 2.0]),
        "v": jnp.array([1.0, 2.0]),
        "w": lhx.positive([1.0, 2.0]),
        "x": lhx.positive(1.0),
    }
    with pytest.raises(ValueError, match=says):
        lhx.multistart(double_well, predictor, None, draws, num=4, key=KEY)


def test_more_dimensions_than_sobol_points_have():
    predictor = {"x": jnp.zeros(21_202)}
    bowl = lambda tree, data: jnp.sum(tree["x"] ** 2)
    method = lhx.GradientDescent(optax.sgd(0.1), max_steps=2)
    with pytest.raises(ValueError, match="starts in 21202 dimensions: Sobol points exist up to"):
        lhx.multistart(bowl, predictor, None, lhx.Spread(1.0), num=1, key=KEY, method=method)
