"""Bad input gets a ValueError that says what, where and how to mend it."""

import re
import subprocess
import sys

import diffrax as dfx
import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from problems import line_problem, lynx_hare_at
from scipy.optimize import minimize
from scipy.stats import norm

import likelihax as lhx
from examples import lynx_hare
from likelihax import _compile

TIMES = np.arange(4.0)
VALUES = np.ones(4)


@pytest.mark.parametrize(
    ("times", "values", "parts"),
    [
        ([0.0, 2.0, 1.0], [1.0, 2.0, 3.0], ["times[2] = 1.0 comes before times[1]", "sort"]),
        ([0.0, 1.0, 1.0], [1.0, 2.0, 3.0], ["times[2] = 1.0 repeats times[1]", "average"]),
        ([0.0, np.inf, 2.0], [1.0, 2.0, 3.0], ["times[1] is inf", "finite"]),
        ([0.0, np.nan, 2.0], [1.0, 2.0, 3.0], ["times[1] is nan", "finite"]),
        ([0.0, 1.0, 2.0], [1.0, 2.0], ["(2,)", "(3,)", "one row a time"]),
        ([0.0, 1.0], [[[1.0]], [[2.0]]], ["(2, 1, 1)", "(2,)"]),
        ([0.0, 1.0], [np.nan, np.nan], ["all 2 values are missing"]),
        ([0.0, 1.0], [1.0, np.inf], ["values[1] is infinite", "NaN"]),
        ([], [], ["a vector of times is needed"]),
        (np.arange(3), VALUES[:3], ["times are int64 where float64 is asked for", "astype"]),
        (TIMES, VALUES.astype(np.float32), ["values are float32 where float64", "dtype=float32"]),
        (TIMES, ["a", "b", "c", "d"], ["not an array of numbers"]),
    ],
)
def test_experiments(times, values, parts):
    with pytest.raises(ValueError, match=r"^tank: ") as caught:
        lhx.Experiment(times, values, name="tank")
    for part in parts:
        assert part in str(caught.value)


def test_miscounted_observables():
    with pytest.raises(ValueError, match=r"3 observables named.*have 2"):
        lhx.Experiment(TIMES, np.ones((4, 2)), observables=("a", "b", "c"))


def test_observables_named_alike():
    with pytest.raises(ValueError, match=r"\('a', 'a'\) must have different names"):
        lhx.Experiment(TIMES, np.ones((4, 2)), observables=("a", "a"))


def test_a_mask_is_not_lost():
    masked = np.ma.masked_array([1.0, 999.0, 3.0, 4.0], mask=[0, 1, 0, 0])
    with pytest.raises(ValueError, match=r"masked array.*filled"):
        lhx.Experiment(TIMES, masked)


def test_unsolvable_start_on_a_table():
    data = lhx.Dataset(TIMES, VALUES, name="explosion")
    with pytest.raises(ValueError, match=r"^explosion: .*It reached t = 1 of t = 3"):
        lhx.fit(lhx.NLL(), blow_up(), data)


def test_tables():
    with pytest.raises(ValueError, match=r"inputs has shape \(3,\), values have shape \(4,\)"):
        lhx.Dataset(np.ones(3), VALUES)
    with pytest.raises(ValueError, match=r"inputs\['x'\] are float32"):
        lhx.Dataset({"x": np.ones(4, np.float32)}, VALUES)
    with pytest.raises(ValueError, match=r"not finite"):
        lhx.Dataset(np.array([1.0, np.nan, 1.0, 1.0]), VALUES)
    with pytest.raises(ValueError, match=r"needs? a floating dtype"):
        lhx.Dataset(np.ones(4), np.ones(4, complex))
    with pytest.raises(ValueError, match=r"values are int64 and too large to be exact as float64"):
        lhx.Dataset(np.ones(2), np.array([2**53, 2**53 + 1]))
    with pytest.raises(ValueError, match=r"shape \(4,\): bounds must be \(rows, 2\)"):
        lhx.Dataset(np.ones(4), VALUES, bounds=True)
    with pytest.raises(ValueError, match=r"values\[1\] is infinite"):
        lhx.Dataset(np.ones(2), [1.0, np.inf])


def test_counts_and_flags_are_data():
    counts = lhx.Dataset(np.ones(3), np.array([0, 2, 5], np.uint8))
    flags = lhx.Dataset(np.ones(3), np.array([False, True, True]))
    single = lhx.Dataset(np.ones(3, np.float32), np.array([0, 2, 5]), dtype=np.float32)
    np.testing.assert_array_equal(counts.values, [0.0, 2.0, 5.0])
    np.testing.assert_array_equal(flags.values, [0.0, 1.0, 1.0])
    assert counts.values.dtype == flags.values.dtype == np.float64
    assert single.values.dtype == np.float32
    bounds = lhx.Dataset(np.ones(2), [[1.0, np.inf], [np.nan, np.nan]], bounds=True)
    np.testing.assert_array_equal(bounds.values, [[1.0, np.inf], [1.0, np.inf]])
    assert bounds.num_observed == 2


def test_float64_without_x64_is_refused():
    code = "import likelihax as lhx; lhx.Experiment([0.0, 1.0], [1.0, 2.0])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode != 0
    assert "ValueError: float64 is asked for, but JAX is in 32-bit mode" in run.stderr
    assert 'jax.config.update("jax_enable_x64", True)' in run.stderr


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: lhx.positive(0.0, name="rate"), "'rate', 0.0, is not strictly inside.*positive"),
        (lambda: lhx.positive([1.0, -2.0]), "positive"),
        (lambda: lhx.bounded(1.0, 0.0, 1.0), "between 0.0 and 1.0"),
        (lambda: lhx.bounded(2.0, 0.0, 1.0), "between 0.0 and 1.0"),
        (lambda: lhx.bounded(0.5, 1.0, 0.0), "lower 1.0 must be below upper 0.0"),
        (lambda: lhx.ordered([1.0, 1.0]), "strictly increasing"),
        (lambda: lhx.ordered(1.0), "expected a vector"),
        (lambda: lhx.real(np.nan), "real and finite"),
        (lambda: lhx.real(1.0, scale=0.0), "scale must be positive"),
        (lambda: lhx.positive([1.0, 2.0], name=("a",)), "1 names for a parameter of 2 elements"),
        (lambda: lhx.likelihoods.Normal(-1.0), "scale must be positive and finite, got -1.0"),
        (lambda: lhx.likelihoods.LogNormal(0.0), "sigma must be positive"),
        (lambda: lhx.likelihoods.Normal(np.inf), "scale must be positive and finite, got inf"),
        (lambda: lhx.bounded(1.0, 0.0, np.inf), "both bounds must be finite, got 0.0 and inf"),
        (lambda: lhx.ODE(lambda t, y, u: y, 1.0, t0=np.nan), "t0 must be finite, got nan"),
        (lambda: lhx.ODE(lambda t, y, u: y, [1.0, np.nan]), "initial state must be finite, got"),
        (lambda: lhx.ODE(lambda t, y, u: y, 1.0, rtol=-1.0), "rtol must be positive"),
        (lambda: lhx.ODE(lambda t, y, u: y, 1.0, max_steps=0), "max_steps must be at least 1"),
        (lambda: lhx.LevenbergMarquardt(tolerance=0.0), "tolerance 0.0 is not positive"),
        (lambda: lhx.BFGS(max_steps=0), "max_steps 0 is below 1"),
    ],
)
def test_parts(make, says):
    with pytest.raises(ValueError, match=re.compile(says, re.DOTALL)):
        make()


def fit_line(**options):
    predictor, data = line_problem(lhx.positive(1.0))
    return lhx.fit(options.pop("objective", lhx.NLL()), predictor, data, **options)


def test_unknown_options_name_the_known_ones(as_a_user):
    with pytest.raises(ValueError, match=r"unknown method 'newton'.*BFGS"):
        fit_line(method="newton")
    with pytest.raises(ValueError, match=r"objective 'nll' is neither"):
        fit_line(objective="nll")
    fit = fit_line()
    with pytest.raises(ValueError, match='"observed", "expected" or "sandwich", not \'fisher\''):
        fit.covariance("fisher")
    with pytest.raises(ValueError, match='"sample" or "residual", not \'n\''):
        fit.standard_errors("expected", "n")
    with pytest.raises(ValueError, match=r"unknown solver 'rk4'.*Tsit5"):
        lhx.ODE(Decay(), 1.0, solver="rk4")
    with pytest.raises(ValueError, match=r"unknown adjoint 'backwards'.*ForwardMode"):
        lhx.ODE(Decay(), 1.0, adjoint="backwards")
    with pytest.raises(ValueError, match=r"unknown optimiser 'adam'.*optax"):
        lhx.GradientDescent("adam")
    with pytest.raises(ValueError, match=r"None is not a likelihood"):
        lhx.Predictor(Decay(), None)


def test_wrong_method_for_an_objective():
    with pytest.raises(ValueError, match=r"needs the summed NLL of a likelihood.*BFGS"):
        fit_line(objective=lambda tree, data: 0.0, method=lhx.LevenbergMarquardt())


def test_nothing_to_fit():
    model = lambda x: x
    predictor = lhx.Predictor(model, lhx.likelihoods.Normal(1.0))
    with pytest.raises(ValueError, match=r"no trainable leaves.*positive"):
        lhx.fit(lhx.NLL(), predictor, lhx.Dataset(VALUES, VALUES))


def test_parameters_of_another_dtype():
    slope = lhx.positive(np.float32(1.0))
    predictor = lhx.Predictor(eqx.Partial(jnp.multiply, slope), lhx.likelihoods.Normal(1.0))
    with pytest.raises(ValueError, match=r"is float32, the data are float64.*x64"):
        lhx.fit(lhx.NLL(), predictor, lhx.Dataset(VALUES, VALUES))


def test_values_outside_the_support():
    data = lhx.Experiment(lynx_hare.YEARS, np.zeros((21, 2)), name="pelts")
    with pytest.raises(ValueError, match=r"pelts: values\[0, 0\] = 0.0 under LogNormal.*Normal"):
        lhx.fit(lhx.NLL(), lynx_hare.predictor(), data)


def test_shapes_of_prediction_and_values():
    predictor, data = line_problem(lhx.positive(1.0))
    narrow = lhx.Dataset(data.inputs, np.ones((30, 1)))
    with pytest.raises(ValueError, match=r"\(30,\), the values have shape \(30, 1\)"):
        lhx.fit(lhx.NLL(), predictor, narrow)


class Decay(eqx.Module):
    rate: Array = lhx.positive(1.0)
    shape: str = eqx.field(static=True, default="right")

    def __call__(self, t, y, inputs):
        rate = -self.rate * y
        return {"right": rate, "tuple": (rate, rate), "longer": jnp.stack([rate, rate])}[self.shape]


def decay(shape="right", **options):
    return lhx.Predictor(
        lhx.ODE(Decay(shape=shape), 1.0, **options), lhx.likelihoods.Normal(lhx.positive(0.1))
    )


@pytest.mark.parametrize("shape", ["tuple", "longer"])
def test_vector_field_of_another_structure(shape):
    with pytest.raises(ValueError, match=r"vector field returned .* for a state of f64"):
        lhx.fit(lhx.NLL(), decay(shape), lhx.Experiment(TIMES, VALUES))


def test_tolerance_beyond_the_dtype():
    with pytest.raises(ValueError, match=r"rtol = 1e-16 cannot be reached in float64"):
        lhx.fit(lhx.NLL(), decay(rtol=1e-16), lhx.Experiment(TIMES, VALUES))


def test_times_before_the_initial_state():
    with pytest.raises(ValueError, match=r"times\[0\] = 0.0 comes before .* t0 = 1.0"):
        lhx.fit(lhx.NLL(), decay(t0=1.0), lhx.Experiment(TIMES, VALUES))


def test_forward_method_with_a_reverse_adjoint():
    predictor = decay(adjoint=dfx.RecursiveCheckpointAdjoint())
    data = lhx.Experiment(TIMES, np.exp(-0.5 * TIMES) + 0.01 * np.cos(5 * TIMES))
    with pytest.raises(ValueError, match=r"needs forward derivatives"):
        lhx.fit(lhx.NLL(), predictor, data, method=lhx.LevenbergMarquardt())
    # Without a method asked for, one is chosen that can do it; errors go forward all the same.
    fit = lhx.fit(lhx.NLL(), predictor, data)
    assert type(fit.method) is lhx.BFGS

    def nll(x):
        rate, scale = np.exp(x)
        return -np.sum(norm.logpdf(data.values, np.exp(-rate * TIMES), scale))

    found = minimize(nll, np.log([0.5, 0.01]), method="BFGS", options={"gtol": 1e-6})
    assert fit.nll == pytest.approx(found.fun, abs=1e-6)
    # The curvature in the logarithm of the rate, by differences; the scale is orthogonal to it.
    step = 1e-3 * np.array([1.0, 0.0])
    curvature = (nll(found.x + step) - 2 * found.fun + nll(found.x - step)) / 1e-6
    error = np.exp(found.x[0]) / np.sqrt(curvature)
    assert fit.standard_errors()["rate"] == pytest.approx(error, rel=1e-2)


def test_tables_under_an_ode():
    with pytest.raises(ValueError, match=r"times that increase, but 1.0 follows 2.0"):
        lhx.fit(lhx.NLL(), decay(), lhx.Dataset(np.array([0.0, 2.0, 1.0, 3.0]), VALUES))
    with pytest.raises(ValueError, match=r"an ODE needs a vector of times, got .*'x': f64\[4\]"):
        lhx.fit(lhx.NLL(), decay(), lhx.Dataset({"x": TIMES}, VALUES))


def test_observe_returns_one_array():
    predictor = decay(observe=lambda t, y: (y, y))
    with pytest.raises(ValueError, match=r"observe returned \(f64\[4\], f64\[4\]\)"):
        lhx.fit(lhx.NLL(), predictor, lhx.Experiment(TIMES, VALUES))


def test_an_objective_is_a_floating_scalar():
    with pytest.raises(ValueError, match=r"returned int\d+: it must be a floating number"):
        fit_line(objective=lambda tree, data: 1)
    with pytest.raises(ValueError, match=r"returned shape \(2,\): it must be a scalar"):
        fit_line(objective=lambda tree, data: jnp.ones(2))


class BlowUp(eqx.Module):
    """dy/dt = rate y^2 from 1 ends at t = 1 / rate."""

    rate: Array = lhx.positive(0.75)

    def __call__(self, t, y, inputs):
        return self.rate * y**2


def blow_up(rate=0.75):
    model = lhx.ODE(BlowUp(lhx.positive(rate)), 1.0)
    return lhx.Predictor(model, lhx.likelihoods.Normal(lhx.positive(0.1)))


def test_unsolvable_start_is_found_before_the_gradient_is_compiled(monkeypatch):
    compiled = []
    monkeypatch.setattr(_compile, "Compiled", lambda *args: compiled.append(args))
    data = lhx.Experiment(TIMES, VALUES, name="explosion")
    with pytest.raises(ValueError, match=r"^explosion: the model could not be solved") as caught:
        lhx.fit(lhx.NLL(), blow_up(), data)
    assert compiled == []
    # The equation ends at 4/3: the last measured time before that is 1.
    for part in ("It reached t = 1 of t = 3", "rate = 0.75", "scale = 0.1", "max_steps"):
        assert part in str(caught.value)


def test_unsolvable_start_without_throwing():
    data = lhx.Experiment(TIMES, VALUES)
    fit = lhx.fit(lhx.NLL(), blow_up(), data, throw=False)
    assert bool(fit.result == lhx.RESULTS.start_failed)
    assert fit.nll == np.inf
    assert fit.estimates["rate"] == pytest.approx(0.75)
    assert np.isinf(fit.standard_errors()["rate"])
    assert "NOT CONVERGED" in str(fit)


def test_unsolvable_start_where_everything_is_compiled_already():
    times = TIMES / 4
    data = lhx.Experiment(times, 1 / (1 - 0.5 * times), name="explosion")
    assert lhx.fit(lhx.NLL(), blow_up(0.6), data).success
    with pytest.raises(ValueError, match=r"^explosion: the model could not be solved"):
        lhx.fit(lhx.NLL(), blow_up(5.0), data)


def test_start_without_a_density_says_which_value():
    predictor = lhx.Predictor(
        eqx.Partial(jnp.multiply, lhx.real(-1.0)), lhx.likelihoods.LogNormal(0.1)
    )
    with pytest.raises(ValueError, match=r"For values\[0\] = 1 it predicts -1, which"):
        lhx.fit(lhx.NLL(), predictor, lhx.Dataset(VALUES, VALUES))


def test_a_good_start_is_not_accused():
    predictor = lynx_hare_at([0.5, 0.03, 1, 0.03, 30, 4, 0.3, 0.3])
    assert lhx.fit(lhx.NLL(), predictor, lynx_hare.data()).success


# --------------------------------------------------------------- regressions of other families


class Rate(eqx.Module):
    """A constant, for every row."""

    level: Array = lhx.real(0.5)

    def __call__(self, table):
        return self.level + 0.0 * table


@pytest.mark.parametrize(
    ("likelihood", "values", "says"),
    [
        (
            lhx.likelihoods.Poisson(),
            [1.0, -1.0],
            r"values\[1\] = -1.0 under Poisson.*whole",
        ),
        (lhx.likelihoods.Beta(2.0), [0.5, 1.0], r"values\[1\] = 1.0 under Beta.*Smithson"),
        (lhx.likelihoods.Bernoulli(), [2.0, 1.0], r"values\[0\] = 2.0 under Bernoulli.*0 and 1"),
        (lhx.likelihoods.Gamma(1.0), [0.0, 1.0], r"values\[0\] = 0.0 under Gamma.*Censored"),
    ],
)
def test_values_outside_the_support_of_a_family(likelihood, values, says):
    with pytest.raises(ValueError, match=says):
        lhx.fit(lhx.NLL(), lhx.Predictor(Rate(), likelihood), lhx.Dataset(np.ones(2), values))


class Pair(eqx.Module):
    """The same pair for every row."""

    mean: Array = lhx.real([0.0, 0.0])

    def __call__(self, table):
        return jnp.broadcast_to(self.mean.reshape(1, 2), (table.shape[0], 2))


def test_a_vector_measured_in_part():
    likelihood = lhx.likelihoods.MultivariateNormal(np.eye(2))
    values = np.array([[1.0, 2.0], [np.nan, 3.0], [np.nan, np.nan]])
    with pytest.raises(ValueError, match=r"values\[1\] was measured in part.*single values"):
        lhx.fit(lhx.NLL(), lhx.Predictor(Pair(), likelihood), lhx.Dataset(np.ones(3), values))
    values[1] = [3.0, 6.0]
    fit = lhx.fit(lhx.NLL(), lhx.Predictor(Pair(), likelihood), lhx.Dataset(np.ones(3), values))
    np.testing.assert_allclose(fit.estimates["mean"], [2.0, 4.0], rtol=1e-6)
    assert fit.num_observed == 2
    assert fit.breakdown["value[0], value[1]"] == pytest.approx(fit.nll)


def test_dispersion_is_asked_for_where_there_is_one(as_a_user):
    counts = lhx.Dataset(np.ones(4), [1.0, 2.0, 0.0, 3.0])
    fit = lhx.fit(lhx.NLL(), lhx.Predictor(Rate(), lhx.likelihoods.Poisson()), counts)
    # The mean is 1.5, so this is sum (y - 1.5)^2 / 1.5 over 4 - 1.
    assert fit.pearson_dispersion == pytest.approx(5 / 1.5 / 3, rel=1e-6)
    plain, wider = fit.standard_errors(), fit.standard_errors(dispersion="pearson")
    assert wider["level"] / plain["level"] == pytest.approx(np.sqrt(5 / 1.5 / 3), rel=1e-6)
    with pytest.raises(ValueError, match=r'dispersion is "model" or "pearson"'):
        fit.standard_errors(dispersion="deviance")
    with pytest.raises(ValueError, match=r"already counts n - p"):
        fit.standard_errors(dof="residual", dispersion="pearson")
    cauchy = lhx.likelihoods.StudentT(1.0, 1.0)
    wild = lhx.fit(lhx.NLL(), lhx.Predictor(Rate(), cauchy), counts)
    with pytest.raises(ValueError, match=r"StudentT has no finite variance"):
        wild.standard_errors(dispersion="pearson")
    one = lhx.Dataset(np.ones(1), [1.0])
    alone = lhx.fit(lhx.NLL(), lhx.Predictor(Rate(), lhx.likelihoods.Poisson()), one)
    with pytest.raises(ValueError, match=r"leave no residual degrees of freedom"):
        alone.standard_errors(dispersion="pearson")
