"""Curves of a fit against paths computed by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import likelihood_table
import numpy as np
import optax
import pytest
from problems import line_problem
from scipy import stats

import likelihax as lhx
from likelihax.fits import Problem, _loop, new_record
from likelihax.fits._measure import Measure
from likelihax.objectives import Unknowns

# Each compiles fits of its own: minutes in all.
pytestmark = pytest.mark.slow

NOISE = 0.5
RATE = 2e-3


def other_rows():
    """Eight rows that are not fitted, one value missing."""
    generator = np.random.default_rng(3)
    rows = np.column_stack([np.ones(8), generator.standard_normal((8, 2))])
    values = rows @ np.array([2.0, -1.0, 0.5]) + NOISE * generator.standard_normal(8)
    values[5] = np.nan
    return lhx.Dataset(rows, values)


def path_by_hand(data, weights_of_ridge):
    """The weights that plain gradient steps visit, from zero, and the ridge at each."""
    rows, values = np.asarray(data.inputs), np.asarray(data.values)
    point, points = np.zeros(3), []
    for weight in weights_of_ridge:
        points.append(point)
        gradient = rows.T @ (rows @ point - values) / NOISE**2 + weight * point
        point = point - RATE * gradient
    return np.array(points)


def scores_by_hand(points, data):
    """The mean NLL and the mean squared error at each point, by SciPy."""
    seen = np.asarray(data.observed)
    means = points @ np.asarray(data.inputs)[seen].T
    values = np.asarray(data.values)[seen]
    nll = -stats.norm.logpdf(values, means, NOISE).mean(axis=1)
    return nll, ((values - means) ** 2).mean(axis=1)


def sgd(steps, tolerance=0.0):
    return lhx.GradientDescent(optax.sgd(RATE), max_steps=steps, tolerance=tolerance)


RIDGE = lhx.terms.L2(lambda p: p.model.weights)

# --- what is measured --------------------------------------------------------------------------


def test_curves_are_those_of_the_path():
    predictor, data = line_problem(NOISE)
    validation = other_rows()
    fit = lhx.fit(lhx.NLL() + 0.3 * RIDGE, predictor, data, method=sgd(40), validation=validation)
    curves = fit.curves
    points = path_by_hand(data, np.full(40, 0.3))
    train_nll, train_mse = scores_by_hand(points, data)
    validation_nll, validation_mse = scores_by_hand(points, validation)
    np.testing.assert_allclose(curves.train_nll, train_nll, rtol=1e-12)
    np.testing.assert_allclose(curves.train_mse, train_mse, rtol=1e-12)
    np.testing.assert_allclose(curves.validation_nll, validation_nll, rtol=1e-12)
    np.testing.assert_allclose(curves.validation_mse, validation_mse, rtol=1e-12)
    penalty = 0.15 * (points**2).sum(axis=1)
    assert list(curves.parts) == ["NLL", "L2"]
    assert curves.terms == ("L2",)
    np.testing.assert_allclose(curves.parts["L2"], penalty, rtol=1e-12)
    np.testing.assert_allclose(curves.parts["NLL"], 30 * train_nll, rtol=1e-12)
    np.testing.assert_allclose(curves.objective, 30 * train_nll + penalty, rtol=1e-12)
    np.testing.assert_array_equal(curves.objective, fit.history)
    assert curves.steps == fit.steps == 40
    assert curves.best_step == np.argmin(validation_nll)
    assert curves.num_observed == 30


def test_the_mean_nll_does_not_depend_on_the_reduction():
    predictor, data = line_problem(NOISE)
    worst = lhx.NLL(lhx.reductions.CVaR(0.5, smoothing=0.1))
    fit = lhx.fit(worst, predictor, data, method=sgd(1), curves=True)
    at_zero = scores_by_hand(np.zeros((1, 3)), data)[0]
    np.testing.assert_allclose(fit.curves.train_nll, at_zero, rtol=1e-12)
    assert fit.curves.objective[0] > at_zero[0] + 0.5
    assert fit.curves.validation_nll is None
    assert fit.curves.best_step is None


@pytest.mark.parametrize(
    "method",
    [lhx.LevenbergMarquardt(), lhx.BFGS(), lhx.ProximalNewton(), lhx.ProximalGradient(), sgd(30)],
    ids=lambda method: type(method).__name__,
)
def test_every_method_says_which_points_it_evaluates(method):
    predictor, data = line_problem(NOISE)
    fit = lhx.fit(lhx.NLL(), predictor, data, method=method, curves=True)
    np.testing.assert_allclose(30 * fit.curves.train_nll, fit.history, rtol=1e-10)
    assert fit.steps > 1


def test_vectors_count_as_one():
    generator = np.random.default_rng(0)
    values = generator.standard_normal((20, 2))
    values[3] = np.nan
    likelihood = lhx.likelihoods.MultivariateNormal(scale_tril=0.7 * np.eye(2))
    model = Constant(lhx.real(np.array([0.2, -0.1])))
    data = lhx.Dataset(np.zeros(20), values)
    fit = lhx.fit(lhx.NLL(), lhx.Predictor(model, likelihood), data, method=sgd(1), curves=True)
    kept = values[~np.isnan(values[:, 0])]
    density = stats.multivariate_normal([0.2, -0.1], 0.49 * np.eye(2))
    assert fit.curves.train_nll[0] == pytest.approx(-density.logpdf(kept).mean(), rel=1e-12)
    expected = ((kept - np.array([0.2, -0.1])) ** 2).mean()
    assert fit.curves.train_mse[0] == pytest.approx(expected, rel=1e-12)


class Constant(eqx.Module):
    value: jax.Array

    def __call__(self, rows):
        return jnp.broadcast_to(self.value, (rows.shape[0], *self.value.shape))


# Of bounds, angles and classes, and of what NumPyro does not build.
WITHOUT_MSE = {
    *(f"censored_{base}" for base in ("normal", "exponential", "gamma", "poisson")),
    *("interval_censored", "von_mises", "categorical", "categorical_smoothed", "categorical_soft"),
    "dirichlet_categorical",
    *("ordered_logistic", "truncated_exponential", "truncated_poisson"),
}


@likelihood_table.every_row
def test_every_family_is_measured_without_nan(name):
    row = likelihood_table.TABLE[name]
    likelihood = row.likelihood
    values = np.asarray(row.values[:2], float)
    shape = likelihood_table.shaped(likelihood, row.columns).shape
    model = Constant(jnp.asarray(np.reshape(row.columns, shape)))
    data = lhx.Dataset(np.zeros(2), values, bounds=name == "interval_censored")
    problem = Problem(Unknowns(lhx.Predictor(model, likelihood), lhx.NLL()), data, True)
    with likelihood_table.as_numpyro_needs():
        measured = Measure(None)(problem, problem.start())
    expected = -np.mean([row.log_prob(y, row.columns) for y in values])
    assert float(measured.train.nll) == pytest.approx(expected, rel=1e-8)
    mse = measured.train.mse
    assert (mse is None or np.isinf(mse)) == (name in WITHOUT_MSE)


def test_a_family_without_a_mean_has_no_mse():
    _, data = line_problem(NOISE)
    likelihood = lhx.likelihoods.StudentT(scale=1.0, dof=0.9)
    predictor = lhx.Predictor(line_problem(NOISE)[0].model, likelihood)
    curves = lhx.fit(lhx.NLL(), predictor, data, method=sgd(3), validation=other_rows()).curves
    assert curves.train_mse is None
    assert curves.validation_mse is None
    assert np.isfinite(curves.validation_nll).all()
    assert "overconfidence" in lhx.diagnose(curves).unseen[-1]


# --- a model that cannot always be solved ------------------------------------------------------


def explosion(initial, data_until=0.5):
    """`y' = y^2`, which reaches infinity at `1 / y(0)`."""
    times = np.linspace(0.1, data_until, 6)
    field = lambda t, y, inputs: y**2
    ode = lhx.ODE(field, initial=lhx.real(initial, scale=1.0), t0=0.0, max_steps=200)
    predictor = lhx.Predictor(ode, lhx.likelihoods.Normal(scale=0.1))
    return predictor, lhx.Experiment(times, 0.5 / (1 - 0.5 * times))


def test_a_validation_that_cannot_be_solved_is_infinite():
    predictor, data = explosion(0.9)
    later = np.array([0.2, 1.5])
    validation = lhx.Experiment(later, 0.5 / (1 - 0.5 * later))
    method = lhx.GradientDescent(optax.sgd(3e-4), max_steps=30)
    curves = lhx.fit(lhx.NLL(), predictor, data, method=method, validation=validation).curves
    for curve in (curves.validation_nll, curves.validation_mse):
        assert not np.isnan(curve).any()
        failed = np.isinf(curve)
        assert failed[0]
        assert not failed[-1]
        assert not np.any(np.diff(failed.astype(int)) > 0)  # solved once, solved from there on
    assert np.isfinite(curves.train_nll).all()
    assert curves.validation_mse[-1] < 0.5


def test_points_that_cannot_be_used_are_infinite_on_all_curves():
    predictor, data = explosion(0.5, 1.5)
    data = eqx.tree_at(lambda d: d.values, data, data.values + 3.0)
    method = lhx.GradientDescent(optax.sgd(5e-4), max_steps=6)
    fit = lhx.fit(lhx.NLL(), predictor, data, method=method, validation=data)
    curves = fit.curves
    unusable = np.isinf(fit.history)
    assert unusable.any()
    assert not unusable[0]
    for curve in (
        curves.train_nll,
        curves.train_mse,
        curves.validation_nll,
        *curves.parts.values(),
    ):
        np.testing.assert_array_equal(np.isinf(curve), unusable)
        assert not np.isnan(curve).any()


class Kinked(eqx.Module):
    """A value everywhere, but no slope at the start."""

    slope: jax.Array

    def __call__(self, rows):
        return self.slope + jnp.sqrt(jnp.abs(self.slope - 1.0)) + rows


def test_a_point_without_a_gradient_is_no_point_of_the_curves():
    predictor = lhx.Predictor(Kinked(jnp.asarray(1.0)), lhx.likelihoods.Normal(scale=0.1))
    data = lhx.Dataset(np.arange(3.0), np.ones(3))
    fit = lhx.fit(lhx.NLL(), predictor, data, method=sgd(3), validation=data, throw=False)
    assert fit.gradient_nans == 1
    curves = fit.curves
    for curve in (curves.objective, curves.train_nll, curves.validation_nll, curves.train_mse):
        np.testing.assert_array_equal(curve, [np.inf])


class Unsolved(lhx.models.AbstractSimulator):
    """Numbers that look right, from a solver that says that it failed."""

    level: jax.Array

    @property
    def reverse_only(self):
        return False

    def simulate(self, times, inputs=None):
        failed, zero = lhx.RESULTS.max_steps_reached, jnp.zeros(())
        return lhx.models.Simulation(0 * times + self.level, failed, zero, jnp.asarray(1), 1e-8)

    def differentiated(self, mode):
        return self

    def check(self, times, inputs, name):
        pass


def test_what_a_failed_solve_returns_is_not_believed():
    predictor = lhx.Predictor(Unsolved(jnp.asarray(1.0)), lhx.likelihoods.Normal(scale=0.1))
    data = lhx.Experiment(np.arange(3.0), np.ones(3))
    problem = Problem(Unknowns(predictor, lhx.NLL()), data, True)
    measured = Measure(data)(problem, problem.start())
    for score in (measured.train, measured.validation):
        assert np.isinf(score.nll)
        assert np.isinf(score.mse)


# --- what it costs ------------------------------------------------------------------------------


def test_nothing_is_measured_unasked_and_nothing_compiled_twice():
    traces = 0

    class Counted(eqx.Module):
        slope: jax.Array

        def __call__(self, x):
            nonlocal traces
            traces += 1
            return self.slope * x

    x = np.linspace(1.0, 2.0, 10)

    def fitted(factor, **options):
        nonlocal traces
        traces = 0
        predictor = lhx.Predictor(Counted(lhx.real(1.0)), lhx.likelihoods.Normal(0.5))
        data = lhx.Dataset(x, factor * x)
        fit = lhx.fit(lhx.NLL(), predictor, data, method=lhx.BFGS(), **options)
        return fit, traces

    plain, for_plain = fitted(2.0)
    other = lhx.Dataset(x[:4], 2 * x[:4])
    first, for_first = fitted(2.0, validation=other)
    assert for_first > for_plain
    assert first.compile_seconds > 0
    again, _ = fitted(3.0, validation=lhx.Dataset(x[:4], x[:4]))
    assert again.compile_seconds == 0
    assert again.curves.validation_nll[0] != first.curves.validation_nll[0]
    plain_again, for_plain_again = fitted(3.0)
    assert for_plain_again == 0
    assert plain_again.record.curves is None
    np.testing.assert_allclose(plain.history, first.history, rtol=1e-12)
    with pytest.raises(ValueError, match="fit with validation=data, or with curves=True"):
        plain.curves  # noqa: B018


def test_an_interrupted_fit_has_its_curves(monkeypatch):
    def interrupt(self, done, note):
        raise KeyboardInterrupt

    monkeypatch.setattr(_loop.Progress, "update", interrupt)
    monkeypatch.setattr(_loop, "_CHUNK_SECONDS", 1e-9)
    predictor, data = line_problem(NOISE)
    fit = lhx.fit(lhx.NLL(), predictor, data, method=sgd(50), curves=True)
    assert fit.curves.steps == 1
    assert np.isfinite(fit.curves.train_nll).all()


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("as_a_user")
def test_mistakes_are_named():
    predictor, data = line_problem(NOISE)
    fit = lambda **options: lhx.fit(lhx.NLL(), predictor, data, **options)
    with pytest.raises(ValueError, match="validation must be an Experiment or a Dataset"):
        fit(validation=[1.0, 2.0])
    with pytest.raises(ValueError, match="leave out curves=False"):
        fit(validation=data, curves=False)
    with pytest.raises(ValueError, match="validation: Normal: the prediction has shape"):
        fit(validation=lhx.Dataset(np.ones((4, 3)), np.ones((4, 2))))
    with pytest.raises(
        ValueError, match=r"predictor.model.weights is float64, the data are float32"
    ):
        fit(validation=lhx.Dataset(np.ones((4, 3), np.float32), np.ones(4, np.float32)))
    with pytest.raises(ValueError, match="it needs a Predictor"):
        lhx.fit(lambda tree, data: tree**2, jnp.asarray(1.0), None, validation=data)
    counts = lhx.Predictor(predictor.model, lhx.likelihoods.Poisson())
    whole = lhx.Dataset(data.inputs, np.ones(30))
    with pytest.raises(ValueError, match=r"validation: dataset: values.* under Poisson"):
        lhx.fit(lhx.NLL(), counts, whole, validation=data)
    with pytest.raises(ValueError, match="expected a Fit or its curves"):
        lhx.diagnose([1.0])
    with pytest.raises(ValueError, match="No learning curves were recorded"):
        lhx.diagnose(fit())


class Silent(lhx.fits.AbstractMethod):
    """A method that does not say where it evaluates."""

    max_steps: int = eqx.field(static=True, default=3)

    def check(self, problem):
        pass

    def init(self, problem, key):
        return new_record(problem, self.max_steps), problem.start()

    def step(self, problem, record, state):
        outcome = problem.value_and_gradient(state)
        record = record.count(outcome).move(outcome.total < record.total, state, outcome)
        return record, state - RATE * outcome.gradient


def test_a_method_that_says_no_points_fits_but_draws_nothing():
    predictor, data = line_problem(NOISE)
    assert lhx.fit(lhx.NLL(), predictor, data, method=Silent()).steps == 3
    with pytest.raises(ValueError, match=r"Silent .* record.count\(outcome, point\)"):
        lhx.fit(lhx.NLL(), predictor, data, method=Silent(), curves=True)


def test_ones_own_function_has_parts_only():
    curves = lhx.fit(
        lambda tree, data: (tree - 2.0) ** 2, jnp.asarray(1.0), None, curves=True
    ).curves
    np.testing.assert_array_equal(curves.parts["objective"], curves.objective)
    assert curves.train_nll is None
    assert "no likelihood" in lhx.diagnose(curves).unseen[0]
    with pytest.raises(ValueError, match="nothing to draw"):
        lhx.plot.learning_curves(curves)


# --- weights that change -----------------------------------------------------------------------


def test_a_scheduled_weight_is_that_of_its_step():
    predictor, data = line_problem(NOISE)
    schedule = optax.linear_schedule(0.0, 8.0, 40)
    fit = lhx.fit(lhx.NLL() + schedule * RIDGE, predictor, data, method=sgd(30), curves=True)
    weights = 8 * np.arange(30) / 40
    points = path_by_hand(data, weights)
    penalty = 0.5 * weights * (points**2).sum(axis=1)
    np.testing.assert_allclose(fit.curves.parts["L2"], penalty, rtol=1e-12)
    nll = 30 * scores_by_hand(points, data)[0]
    np.testing.assert_allclose(fit.history, nll + penalty, rtol=1e-12)
    # The last point, though the objective was lower before.
    assert np.argmin(fit.history) < 29
    np.testing.assert_allclose(fit.estimates["weights"], points[-1], rtol=1e-12)
    assert fit.nll == fit.history[-1]
    assert fit.breakdown["L2"] == pytest.approx(penalty[-1], rel=1e-12)
    assert fit.curves.is_scheduled


def test_it_has_converged_only_at_the_last_weight():
    predictor, data = line_problem(NOISE)
    rows, values = np.asarray(data.inputs), np.asarray(data.values)
    best, *_ = np.linalg.lstsq(rows, values, rcond=None)
    # Flat from the first step on, until the ridge comes.
    start = eqx.tree_at(lambda p: p.model.weights, predictor, jnp.asarray(best))
    schedule = lambda step: jnp.where(step < 50, 0.0, 8.0)
    method = sgd(3000, tolerance=1e-6)
    fit = lhx.fit(lhx.NLL() + schedule * RIDGE, start, data, method=method)
    assert fit.success
    assert 50 < fit.steps < 3000
    ridge = np.linalg.solve(rows.T @ rows + 8 * NOISE**2 * np.eye(3), rows.T @ values)
    np.testing.assert_allclose(fit.estimates["weights"], ridge, rtol=1e-6)


@pytest.mark.parametrize("method", [None, lhx.BFGS()], ids=["default", "bfgs"])
def test_methods_that_compare_values_refuse_a_schedule(method):
    predictor, data = line_problem(NOISE)
    scheduled = lhx.NLL() + optax.linear_schedule(0.0, 8.0, 20) * RIDGE
    with pytest.raises(ValueError, match=r"weight depends on the step. Use method=likelihax.Grad"):
        lhx.fit(scheduled, predictor, data, method=method)


# --- what is said of them: on a fit ------------------------------------------------------------


class Waves(eqx.Module):
    weights: jax.Array

    def __call__(self, waves):
        return waves @ self.weights


def waves(seed, count):
    generator = np.random.default_rng(seed)
    places = generator.uniform(size=count)
    values = np.sin(2 * np.pi * places) + 0.3 * generator.standard_normal(count)
    return lhx.Dataset(np.cos(np.pi * np.arange(20) * places[:, None]), values)


def test_a_model_with_too_free_a_scale_is_overconfident():
    predictor = lhx.Predictor(
        Waves(jnp.zeros((20, 2))), lhx.likelihoods.Normal(scale=lhx.predicted())
    )
    method = lhx.GradientDescent(optax.adam(5e-3), max_steps=500)
    with jax.numpy_dtype_promotion("standard"):
        fit = lhx.fit(
            lhx.NLL(lhx.reductions.Mean()),
            predictor,
            waves(0, 100),
            validation=waves(1, 200),
            method=method,
        )
    curves, diagnosis = fit.curves, lhx.diagnose(fit)
    assert diagnosis.kinds == ("overconfident", "overfitting")
    best = curves.best_step
    assert diagnosis[0].step == diagnosis[1].step == best
    assert curves.validation_nll[-1] > curves.validation_nll[best] + 0.15
    assert curves.validation_mse[-1] < 0.3 * curves.validation_mse[best]
    # The scale itself says so: standardised errors on what was not fitted.
    predicted = fit.predictor(waves(1, 200).inputs)
    errors = (waves(1, 200).values - predicted.loc) / predicted.scale
    assert float(jnp.mean(errors**2)) > 1.8
    lines = str(diagnosis).splitlines()
    assert lines[0] == "Learning curves of 500 steps:"
    assert lines[1].startswith(f"- overconfident, since step {best}. The validation MSE fell from")
    assert max(map(len, lines)) <= 96
