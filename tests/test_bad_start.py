"""Starts that cannot be used, and wrong options, as a user meets them."""

import equinox as eqx
import jax.numpy as jnp
import jaxtyping
import numpy as np
import optax
import pytest
from jax import Array

import likelihax as lhx
from likelihax import _compile

TIMES = np.arange(4.0)
X = np.linspace(0.5, 2.0, 6)


@pytest.fixture
def as_a_user():
    """Lets wrong types past the annotations, which only tests check."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def compilations(monkeypatch):
    """What was compiled for a fit: the check of the start is not."""
    seen = []
    original = _compile.Compiled

    def spy(*arguments):
        seen.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(_compile, "Compiled", spy)
    return seen


class Growth(eqx.Module):
    """dy/dt = rate y^power: for power 2 it ends at t = 1 / (rate y0)."""

    rate: Array
    power: float = eqx.field(static=True)

    def __call__(self, t, y, inputs):
        return self.rate * y**self.power


def growth(power, rate=0.4, **options):
    model = lhx.ODE(Growth(lhx.positive(rate, unit="1/h"), power), lhx.positive(1.0), **options)
    return lhx.Predictor(model, lhx.likelihoods.Normal(lhx.positive(0.1)))


EXPLOSION = lhx.Experiment(TIMES, np.exp(0.3 * TIMES), name="explosion")
METHODS = {
    "LM": lhx.LevenbergMarquardt(),
    "BFGS": lhx.BFGS(),
    "sgd": lhx.GradientDescent(optax.sgd(1e-3), max_steps=5),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


# ------------------------------------------------------------------------ the solve fails at once


@every_method
def test_nothing_is_compiled_for_a_start_that_cannot_be_solved(method, compilations):
    with pytest.raises(ValueError, match=r"^explosion: the model could not be solved") as refused:
        lhx.fit(lhx.NLL(), growth(2.0), EXPLOSION, method=method)
    assert compilations == []
    # From 1 at rate 0.4 it ends at t = 2.5; the last measured time before that is 2.
    for part in ("t = 2 of t = 3", "rate = 0.4", "initial = 1.", "scale = 0.1", "max_steps"):
        assert part in str(refused.value)


def test_the_spy_sees_what_is_compiled(compilations):
    # Without this, the empty list above would prove nothing.
    fit = lhx.fit(lhx.NLL(), growth(1.0), EXPLOSION)
    assert len(compilations) == 1
    assert fit.estimates["rate"] == pytest.approx(0.3, rel=1e-4)
    assert fit.failed_solves == 0


def test_too_few_steps_is_told_from_the_first_time():
    with pytest.raises(ValueError, match=r"not even the first time of t = 3 in 1 steps"):
        lhx.fit(lhx.NLL(), growth(1.0, t0=-50.0, max_steps=1), EXPLOSION)


@every_method
def test_without_throwing_the_fit_says_so_and_holds_no_nan(method, compilations):
    fit = lhx.fit(lhx.NLL(), growth(2.0), EXPLOSION, method=method, throw=False)
    assert compilations == []
    assert bool(fit.result == lhx.RESULTS.start_failed)
    assert not fit.success
    assert "could not be evaluated at the start" in fit.message
    assert fit.nll == np.inf
    assert fit.estimates == pytest.approx({"rate": 0.4, "initial": 1.0, "scale": 0.1}, rel=1e-14)
    assert float(fit.predictor.model.field.rate.value) == pytest.approx(0.4, rel=1e-14)
    assert fit.standard_errors() == dict.fromkeys(fit.estimates, np.inf)
    assert fit.standard_errors("expected") == dict.fromkeys(fit.estimates, np.inf)
    assert not fit.covariance().determined.any()
    np.testing.assert_array_equal(fit.covariance().matrix, np.diag([np.inf] * 3))
    assert not any(np.isnan(float(part)) for part in fit.breakdown.values())
    assert not np.isnan(fit.history).any()
    assert fit.gradient_norm == 0.0
    for shown in (str(fit), fit._repr_html_()):
        assert "NOT CONVERGED" in shown
        assert "NLL inf of 4 measured values" in shown
        assert "nan" not in shown.replace("non-finite", "").lower()


def test_a_later_failed_solve_neither_raises_nor_leaks(compilations):
    # A step that overshoots blows up; the fit steps back and says how often it had to.
    data = lhx.Experiment(TIMES, 1 / (1 - 0.3 * TIMES), name="near the edge")
    start = growth(2.0, rate=0.05)
    method = lhx.GradientDescent(optax.sgd(0.5), max_steps=30)
    fit = lhx.fit(lhx.NLL(), start, data, method=method)
    assert fit.failed_solves > 0
    assert np.isfinite(fit.nll)
    assert np.isfinite(list(fit.estimates.values())).all()
    assert not np.isnan(fit.history).any()


def test_a_table_of_times_fails_as_clearly():
    data = lhx.Dataset(TIMES, np.exp(0.3 * TIMES), name="table")
    with pytest.raises(ValueError, match=r"^table: the model could not be solved"):
        lhx.fit(lhx.NLL(), growth(2.0), data)


# ------------------------------------------------------------------------------- no finite value


def line(slope=lhx.positive(1.0), noise=0.1, family=lhx.likelihoods.Normal):
    return lhx.Predictor(eqx.Partial(jnp.multiply, slope), family(noise))


def test_a_nan_at_the_start_says_which_value():
    def model(x):
        return jnp.where(x > 1.2, jnp.nan, x) * 1.0

    predictor = lhx.Predictor(model, lhx.likelihoods.Normal(lhx.positive(0.1)))
    with pytest.raises(ValueError, match=r"^table: the objective is nan at the start") as refused:
        lhx.fit(lhx.NLL(), predictor, lhx.Dataset(X, 3 * X, name="table"))
    assert f"For values[3] = {3 * X[3]:g} it predicts nan" in str(refused.value)
    assert "scale = 0.1" in str(refused.value)


def test_a_nan_where_nothing_was_measured_is_no_obstacle():
    slope = eqx.Partial(lambda a, x: jnp.where(x > 1.9, jnp.nan, a * x), lhx.positive(1.0))
    values = np.where(X > 1.9, np.nan, 2 * X)
    fit = lhx.fit(
        lhx.NLL(), lhx.Predictor(slope, lhx.likelihoods.Normal(0.1)), lhx.Dataset(X, values)
    )
    assert fit.success
    assert next(iter(fit.estimates.values())) == pytest.approx(2.0, rel=1e-9)


def test_a_nan_of_ones_own_objective():
    start = {"a": lhx.real(-3.0)}
    with pytest.raises(ValueError, match=r"the objective is nan at the start, with a = -3"):
        lhx.fit(lambda tree, data: jnp.log(tree["a"]), start, None)
    fit = lhx.fit(lambda tree, data: jnp.log(tree["a"]), start, None, throw=False)
    assert bool(fit.result == lhx.RESULTS.start_failed)
    assert fit.nll == np.inf
    assert fit.estimates == {"a": -3.0}


# ----------------------------------------------------------------------------- options and dtypes


@pytest.fixture(scope="module")
def good():
    return lhx.fit(lhx.NLL(), line(), lhx.Dataset(X, 2 * X))


def test_unknown_words_name_the_known_ones(good, as_a_user):
    for ask in (good.covariance, good.standard_errors):
        with pytest.raises(ValueError, match="\"observed\" or \"expected\", not 'fisher'"):
            ask("fisher")
        with pytest.raises(ValueError, match="\"sample\" or \"residual\", not 'n - 1'"):
            ask(dof="n - 1")


def test_the_residual_convention_needs_one_fitted_noise(good):
    with pytest.raises(ValueError, match="one fitted noise parameter; this fit has 0"):
        good.covariance(dof="residual")


def test_expected_information_needs_a_likelihood():
    fit = lhx.fit(lambda tree, data: (tree["a"] - 2) ** 2, {"a": lhx.real(1.0)}, None)
    with pytest.raises(ValueError, match='ask for information="observed"'):
        fit.standard_errors("expected")
    # The Hessian is 2.
    assert fit.standard_errors()["a"] == pytest.approx(np.sqrt(0.5), rel=1e-9)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "newton"}, r"unknown method 'newton': give likelihax.LevenbergMarquardt\(\)"),
        ({"method": lhx.BFGS}, r"unknown method <class .*BFGS'>"),
        ({"objective": "NLL"}, r"the objective 'NLL' is neither an objective such as"),
        ({"objective": lhx.NLL}, r"the objective <class .*NLL'> is neither an objective"),
        ({"predictor": lambda x: x}, r"NLL: expected a Predictor .* got function"),
        ({"data": (X, X)}, r"NLL: expected an Experiment or a Dataset, got tuple"),
    ],
)
def test_what_cannot_be_right_is_refused(options, says, as_a_user):
    given = {"objective": lhx.NLL(), "predictor": line(), "data": lhx.Dataset(X, X), **options}
    first = [given.pop(name) for name in ("objective", "predictor", "data")]
    with pytest.raises(ValueError, match=says):
        lhx.fit(*first, **given)


def test_wrong_parts_are_refused(as_a_user):
    field = lambda t, y, inputs: y
    with pytest.raises(ValueError, match=r"the model 3 cannot be called"):
        lhx.Predictor(3, lhx.likelihoods.Normal(1.0))
    with pytest.raises(ValueError, match=r"1.0 is not a likelihood; give .*Normal"):
        lhx.Predictor(field, 1.0)
    with pytest.raises(ValueError, match=r"unknown optimiser 'adam'.*optax.adam\(1e-2\)"):
        lhx.GradientDescent("adam")
    with pytest.raises(ValueError, match=r"unknown solver 'rk4'.*diffrax.Tsit5\(\)"):
        lhx.ODE(field, 1.0, solver="rk4")
    with pytest.raises(ValueError, match=r"unknown adjoint 'direct'.*diffrax.ForwardMode\(\)"):
        lhx.ODE(field, 1.0, adjoint="direct")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: lhx.GradientDescent(optax.sgd(0.1), max_steps=0), "max_steps 0 is below 1"),
        (lambda: lhx.GradientDescent(optax.sgd(0.1), tolerance=-1.0), "-1.0 is negative"),
        (lambda: lhx.BFGS(tolerance=0.0), "BFGS: tolerance 0.0 is not positive"),
        (lambda: lhx.BFGS(tolerance=np.nan), "BFGS: tolerance nan is not positive"),
        (lambda: lhx.LevenbergMarquardt(max_steps=0), "LevenbergMarquardt: max_steps 0 is below"),
        (lambda: lhx.ODE(jnp.sin, 1.0, rtol=np.nan), "rtol must be positive and finite, got nan"),
        (lambda: lhx.ODE(jnp.sin, 1.0, atol=0.0), "atol must be positive and finite, got 0.0"),
        (lambda: lhx.likelihoods.Normal([0.1, 0.0]), r"scale must be positive, got \[0.1 0. \]"),
        (lambda: lhx.likelihoods.LogNormal(np.nan), "sigma must be positive, got nan"),
    ],
)
def test_options_out_of_range(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize(
    ("slope", "noise", "says"),
    [
        (lhx.positive(np.float32(1.0)), 0.1, "args.* is float32, the data are float64"),
        (lhx.positive(1.0), np.float32(0.1), r"likelihood.scale is float32, the data are float64"),
    ],
)
def test_another_dtype_is_named_with_its_path(slope, noise, says):
    with pytest.raises(ValueError, match=says) as refused:
        lhx.fit(lhx.NLL(), line(slope, noise), lhx.Dataset(X, X))
    assert refused.match("jax_enable_x64")


def test_a_value_outside_the_support_is_named():
    predictor = line(family=lhx.likelihoods.LogNormal)
    values = np.array([1.0, np.nan, 3.0, -4.0, 0.0, 5.0])
    with pytest.raises(ValueError, match=r"^table: values\[3\] = -4.0 under LogNormal") as refused:
        lhx.fit(lhx.NLL(), predictor, lhx.Dataset(X, values, name="table"))
    assert refused.match(r"missing \(NaN\) if it is below detection, or choose Normal")


def test_an_objective_must_be_a_scalar():
    with pytest.raises(ValueError, match=r"returned shape \(2,\): it must be a scalar"):
        lhx.fit(lambda tree, data: tree, jnp.ones(2), None)
