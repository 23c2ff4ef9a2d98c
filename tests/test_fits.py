"""The verb and its methods, against closed forms, SciPy and finite differences."""

import sys
from types import ModuleType, SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array
from problems import LYNX_HARE_CONSTANTS, line_problem, lynx_hare_at
from scipy.integrate import solve_ivp

import likelihax as lhx
from examples import lynx_hare
from likelihax import _progress
from likelihax.fits import _loop


@pytest.fixture(scope="module")
def demo_fit():
    return lhx.fit(lhx.NLL(), lynx_hare.predictor(), lynx_hare.data())


def scipy_nll(natural):
    """The lynx-hare NLL by SciPy alone, in natural units, constants included."""
    growth, predation, death, conversion = natural[:4]

    def field(t, y):
        return [(growth - predation * y[1]) * y[0], (conversion * y[0] - death) * y[1]]

    times = np.arange(21.0)
    solution = solve_ivp(field, (0, 20), natural[4:6], "DOP853", times, rtol=1e-12, atol=1e-12)
    logs = np.log(np.stack([lynx_hare.HARE, lynx_hare.LYNX]))
    scaled = (logs - np.log(solution.y)) / natural[6:8, None]
    return np.sum(0.5 * scaled**2 + np.log(natural[6:8, None])) + LYNX_HARE_CONSTANTS


def flat(named):
    return np.concatenate([np.ravel(value) for value in named.values()])


# --- the lynx-hare fit -------------------------------------------------------------------------


def test_lynx_hare_minimum(demo_fit):
    assert demo_fit.success
    assert demo_fit.nll - LYNX_HARE_CONSTANTS == pytest.approx(-42.740561, abs=1e-6)
    expected = [0.54001, 0.027156, 0.79660, 0.023702, 34.5992, 5.84374, 0.218380, 0.220084]
    np.testing.assert_allclose(flat(demo_fit.estimates), expected, rtol=3e-5)


def test_lynx_hare_value_and_stationarity_by_scipy(demo_fit):
    natural = flat(demo_fit.estimates)
    # Within what the fit's solver tolerance of 1e-7 leaves.
    assert demo_fit.nll == pytest.approx(scipy_nll(natural), abs=1e-5)
    for i in range(8):
        step = 1e-4 * natural[i] * np.eye(8)[i]
        slope = (scipy_nll(natural + step) - scipy_nll(natural - step)) / 2e-4
        assert abs(slope) < 2e-4, i


def test_lynx_hare_standard_errors_by_finite_differences(demo_fit):
    natural = flat(demo_fit.estimates)
    steps = 5e-4 * np.diag(natural)
    hessian = np.empty((8, 8))
    for i in range(8):
        for j in range(8):
            corners = [
                scipy_nll(natural + a * steps[i] + b * steps[j])
                for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ]
            signs = np.array([1, -1, -1, 1])
            hessian[i, j] = signs @ corners / (4 * steps[i, i] * steps[j, j])
    errors = np.sqrt(np.diag(np.linalg.inv(hessian)))
    np.testing.assert_allclose(flat(demo_fit.standard_errors()), errors, rtol=2e-4)


def test_lynx_hare_has_a_poorer_minimum():
    # From round numbers the fit ends in another minimum, and truthfully says it converged.
    start = [1.0, 0.05, 1.0, 0.05, 30.0, 4.0, 0.3, 0.3]
    fit = lhx.fit(lhx.NLL(), lynx_hare_at(start), lynx_hare.data())
    assert fit.success
    assert fit.nll - LYNX_HARE_CONSTANTS == pytest.approx(0.67410, abs=2e-5)
    found = [fit.estimates[name] for name in ("growth", "predation", "death", "conversion")]
    np.testing.assert_allclose(found, [0.7343, 0.04409, 1.6345, 0.05709], rtol=1e-4)


@pytest.mark.parametrize(
    "method", [lhx.BFGS(), lhx.GradientDescent(optax.adam(3e-2))], ids=["bfgs", "adam"]
)
def test_other_methods_agree(demo_fit, method):
    fit = lhx.fit(lhx.NLL(), lynx_hare.predictor(), lynx_hare.data(), method=method)
    assert fit.success
    assert fit.nll == pytest.approx(demo_fit.nll, abs=1e-6)
    distance = (flat(fit.estimates) - flat(demo_fit.estimates)) / flat(demo_fit.standard_errors())
    assert np.max(np.abs(distance)) < 1e-3


CENTRE = [0.5, 0.03, 1.0, 0.03, 30.0, 4.0, 0.3, 0.3]


@pytest.mark.slow
def test_two_hundred_starts_all_end_truthfully():
    found = lhx.multistart(
        lhx.NLL(),
        lynx_hare_at(CENTRE),
        lynx_hare.data(),
        [
            lynx_hare_at(np.exp(np.log(CENTRE) + 1.5 * each))
            for each in np.random.default_rng(1).standard_normal((200, 8))
        ],
        throw=False,
    )
    best = 0
    for fit in found.fits:
        assert np.isfinite(flat(fit.estimates)).all()
        assert not np.isnan([fit.nll, fit.gradient_norm, *fit.history]).any()
        if fit.success:
            # A claim to have converged is checked: no gradient is left, in standard errors.
            assert fit.gradient_norm < 1e-2 * (1 + abs(fit.nll))
        if fit.steps == 1 and not np.isfinite(fit.nll):
            assert bool(fit.result == lhx.RESULTS.start_failed)
        best += fit.nll - LYNX_HARE_CONSTANTS < -42.7405
    print(f"{best} of 200 starts reach the best optimum; {found.endings}")
    assert best >= 60


# --- the noise is fitted with the rest ---------------------------------------------------------


def test_linear_regression_closed_form():
    predictor, data = line_problem(lhx.positive(1.0))
    fit = lhx.fit(lhx.NLL(), predictor, data)
    rows, values = np.asarray(data.inputs), np.asarray(data.values)
    weights, *_ = np.linalg.lstsq(rows, values, rcond=None)
    variance = np.mean((values - rows @ weights) ** 2)
    np.testing.assert_allclose(fit.estimates["weights"], weights, rtol=1e-7)
    assert fit.estimates["scale"] == pytest.approx(np.sqrt(variance), rel=1e-7)
    assert fit.nll == pytest.approx(15 * (np.log(2 * np.pi * variance) + 1), rel=1e-12)
    errors = np.sqrt(variance * np.diag(np.linalg.inv(rows.T @ rows)))
    for information in ("observed", "expected"):
        found = fit.standard_errors(information)
        np.testing.assert_allclose(found["weights"], errors, rtol=1e-6)
        assert found["scale"] == pytest.approx(np.sqrt(variance / 60), rel=1e-6)
    residual = fit.standard_errors("expected", dof="residual")["weights"]
    np.testing.assert_allclose(residual, errors * np.sqrt(30 / 27), rtol=1e-6)


@pytest.mark.parametrize("start", [1e-3, 1e3])
def test_a_noise_scale_far_off_is_found(start):
    predictor, data = line_problem(lhx.positive(start))
    fit = lhx.fit(lhx.NLL(), predictor, data)
    reference = lhx.fit(lhx.NLL(), line_problem(lhx.positive(1.0))[0], data)
    assert fit.success
    assert fit.steps < 40
    assert fit.estimates["scale"] == pytest.approx(reference.estimates["scale"], rel=1e-6)


def test_known_noise_is_least_squares():
    predictor, data = line_problem(0.5)
    fit = lhx.fit(lhx.NLL(), predictor, data)
    rows, values = np.asarray(data.inputs), np.asarray(data.values)
    weights, *_ = np.linalg.lstsq(rows, values, rcond=None)
    assert set(fit.estimates) == {"weights"}
    np.testing.assert_allclose(fit.estimates["weights"], weights, rtol=1e-9)
    errors = 0.5 * np.sqrt(np.diag(np.linalg.inv(rows.T @ rows)))
    np.testing.assert_allclose(fit.standard_errors()["weights"], errors, rtol=1e-9)
    with pytest.raises(ValueError, match="one fitted noise parameter; this fit has 0"):
        fit.standard_errors("expected", dof="residual")


def test_missing_values_weigh_nothing():
    predictor, data = line_problem(lhx.positive(1.0))
    rows, values = np.asarray(data.inputs), np.array(data.values)
    values[[3, 17]] = np.nan
    kept = ~np.isnan(values)
    with_gaps = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(rows, values))
    without = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(rows[kept], values[kept]))
    assert with_gaps.nll == pytest.approx(without.nll, rel=1e-12)
    for kind in ("observed", "expected"):
        np.testing.assert_allclose(
            flat(with_gaps.standard_errors(kind)), flat(without.standard_errors(kind)), rtol=1e-6
        )


# --- other objectives --------------------------------------------------------------------------


def rosenbrock(tree, data):
    x, y = tree["x"], tree["y"]
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def test_any_scalar_function():
    start = {"x": lhx.real(-1.2), "y": lhx.bounded(1.0, -2.0, 2.0)}
    fit = lhx.fit(rosenbrock, start, None)
    assert type(fit.method) is lhx.BFGS
    assert fit.success
    assert fit.nll < 1e-8
    assert fit.estimates["x"] == pytest.approx(1.0, abs=1e-4)
    assert fit.estimates["y"] == pytest.approx(1.0, abs=1e-4)
    assert fit.breakdown == {"objective": pytest.approx(fit.nll)}


def test_many_parameters_go_backwards():
    # A network: more parameters than forward mode is used for.
    network = eqx.nn.MLP(1, 1, 32, 1, key=jax.random.key(0))
    grid = np.linspace(-1, 1, 40)[:, None]
    predictor = lhx.Predictor(eqx.filter_vmap(network), lhx.likelihoods.Normal(0.1))
    data = lhx.Dataset(grid, np.sin(3 * grid))
    fit = lhx.fit(
        lhx.NLL(),
        predictor,
        data,
        method=lhx.GradientDescent(optax.adam(1e-2), max_steps=1500),
    )
    assert fit.record.theta.size == 97
    assert not fit.problem.forward
    fitted = np.asarray(fit.predictor.simulate(grid).values)
    assert np.sqrt(np.mean((fitted - np.sin(3 * grid)) ** 2)) < 0.06


# --- failures are values -----------------------------------------------------------------------


class Saturation(eqx.Module):
    rate: Array = lhx.positive(1.0)

    def __call__(self, x):
        return 1 - jnp.exp(-self.rate * x)


def test_a_parameter_that_runs_off_is_not_called_converged():
    predictor = lhx.Predictor(Saturation(), lhx.likelihoods.Normal(0.1))
    x = np.linspace(1.0, 5.0, 9)
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(x, np.full(9, 1.05)))
    assert bool(fit.result == lhx.RESULTS.runaway)
    assert "NOT CONVERGED" in str(fit)


class Product(eqx.Module):
    a: Array = lhx.positive(2.0)
    b: Array = lhx.positive(3.0)

    def __call__(self, x):
        return self.a * self.b * x


def test_what_is_not_determined_has_infinite_errors():
    x = np.linspace(1.0, 2.0, 20)
    predictor = lhx.Predictor(Product(), lhx.likelihoods.Normal(lhx.positive(1.0)))
    values = 5 * x + 0.1 * np.sin(40 * x)
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(x, values))
    assert fit.success
    assert fit.estimates["a"] * fit.estimates["b"] == pytest.approx((x @ values) / (x @ x))
    for kind in ("observed", "expected"):
        errors = fit.standard_errors(kind)
        assert np.isinf(errors["a"])
        assert np.isinf(errors["b"])
        assert np.isfinite(errors["scale"])
    assert str(fit).count("not determined") == 2


class Fragile(eqx.Module):
    """A line that is NaN for slopes above 3, or whose gradient is, from a start of 1."""

    slope: Array = lhx.real(1.0)
    breaks: str = eqx.field(static=True, default="value")

    def __call__(self, x):
        above = jnp.where(self.slope > 3, 0.0, 1.0)
        if self.breaks == "value":
            return self.slope * x / jnp.where(above > 0, 1.0, jnp.nan)
        # Zero, with the derivative of the square root at zero, which is infinite times zero.
        return self.slope * x + jnp.sqrt(jnp.where(above > 0, 1.0, (self.slope * 0.0) ** 2))


@pytest.mark.parametrize(
    ("breaks", "count"), [("value", "value_nans"), ("gradient", "gradient_nans")]
)
def test_unusable_points_are_counted_apart_and_stepped_back_from(breaks, count):
    predictor = lhx.Predictor(Fragile(breaks=breaks), lhx.likelihoods.Normal(0.1))
    x = np.linspace(1.0, 2.0, 20)
    values = 2.9 * x + (1.0 if breaks == "gradient" else 0.0)
    optimiser = lhx.GradientDescent(optax.sgd(1e-3), max_steps=300, tolerance=1e-6)
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(x, values), method=optimiser)
    assert getattr(fit, count) > 0
    others = {"failed_solves", "value_nans", "gradient_nans"} - {count}
    assert all(getattr(fit, other) == 0 for other in others)
    assert np.isfinite(fit.nll)
    assert np.isfinite(fit.estimates["slope"])
    assert np.isinf(fit.history).sum() == getattr(fit, count)


def test_failed_solves_are_counted():
    # Started so that a first long step leaves where the equation can be solved.
    fit = lhx.fit(lhx.NLL(), lynx_hare.predictor(), lynx_hare.data(), method=lhx.BFGS())
    assert fit.success
    assert fit.failed_solves > 0


# --- the loop ----------------------------------------------------------------------------------


def test_same_shapes_compile_once():
    traces = 0

    class Counted(eqx.Module):
        slope: Array = lhx.positive(1.0)

        def __call__(self, x):
            nonlocal traces
            traces += 1
            return self.slope * x

    x = np.linspace(1.0, 2.0, 10)
    fits = []
    for i in range(20):
        predictor = lhx.Predictor(Counted(), lhx.likelihoods.Normal(lhx.positive(0.5)))
        noisy = (2 + 0.1 * i) * x + 0.01 * np.cos(9 * x)
        fits.append(lhx.fit(lhx.NLL(), predictor, lhx.Dataset(x, noisy)))
        if i == 0:
            after_first = traces
    assert traces == after_first
    assert fits[0].compile_seconds > 0
    assert fits[0].run_seconds > 0
    assert all(fit.compile_seconds == 0 for fit in fits[1:])
    assert all(fit.success for fit in fits)


class Halved(eqx.Module):
    slope: Array
    whole: object

    def __call__(self, x):
        return self.slope * x * (0.5 if self.whole is True else 1.0)


def test_equal_leaves_of_other_types_do_not_share_a_compilation():
    x = np.linspace(1.0, 2.0, 10)
    for whole, expected in ((True, 4.0), (1, 2.0), (1.0, 2.0)):
        model = Halved(lhx.real(1.0), whole)
        predictor = lhx.Predictor(model, lhx.likelihoods.Normal(0.1))
        fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(x, 2 * x))
        assert fit.estimates["slope"] == pytest.approx(expected)


def test_interruption_returns_the_best_so_far(monkeypatch):
    chunks = 0

    def interrupt(self, done, note):
        nonlocal chunks
        chunks += 1
        if chunks == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(_loop.Progress, "update", interrupt)
    monkeypatch.setattr(_loop, "_CHUNK_SECONDS", 1e-9)
    method = lhx.GradientDescent(optax.adam(1e-2), max_steps=50)
    fit = lhx.fit(lhx.NLL(), lynx_hare.predictor(), lynx_hare.data(), method=method)
    assert bool(fit.result == lhx.RESULTS.interrupted)
    assert fit.steps == 3
    assert fit.nll == min(fit.history)
    assert fit.nll < fit.history[0]


def test_no_bar_where_nobody_watches(capfd):
    method = lhx.GradientDescent(optax.adam(1e-3), max_steps=2000, tolerance=0.0)
    lhx.fit(lhx.NLL(), lynx_hare.predictor(), lynx_hare.data(), method=method)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("shell", "watched"), [(object(), False), (None, False), ("kernel", True)])
def test_a_notebook_is_where_there_is_a_kernel(shell, watched, monkeypatch):
    """Not where something has merely imported one, as whatever starts a kernel does."""
    from likelihax._progress import interactive

    if shell == "kernel":
        shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    ipython = ModuleType("IPython")
    ipython.get_ipython = lambda: shell
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert interactive() is watched


def test_a_bar_where_asked(capfd, monkeypatch):
    monkeypatch.setattr(_loop, "_CHUNK_SECONDS", 1e-3)
    monkeypatch.setattr(_progress, "_DELAY", 0.0)
    method = lhx.GradientDescent(optax.adam(1e-3), max_steps=200, tolerance=0.0)
    lhx.fit(lhx.NLL(), lynx_hare.predictor(), lynx_hare.data(), method=method, progress=True)
    assert "/200" in capfd.readouterr().err


def test_steps_used_up_is_said():
    method = lhx.LevenbergMarquardt(max_steps=3)
    fit = lhx.fit(lhx.NLL(), lynx_hare.predictor(), lynx_hare.data(), method=method)
    assert bool(fit.result == lhx.RESULTS.steps_used_up)
    assert fit.steps == 3
    assert len(fit.history) == 3
    assert fit.nll == min(fit.history)


def test_a_fit_goes_on_from_another(demo_fit):
    again = lhx.fit(lhx.NLL(), demo_fit.predictor, lynx_hare.data())
    assert again.success
    assert again.steps <= 3
    assert again.nll == pytest.approx(demo_fit.nll, abs=1e-9)


# --- the report --------------------------------------------------------------------------------


def test_table(demo_fit):
    text = str(demo_fit)
    assert "converged in" in text
    assert "growth" in text
    assert "1/year" in text
    # An estimate is shown with as many places as two digits of its error have.
    row = next(line for line in text.splitlines() if line.startswith("initial[hare]"))
    assert row.split() == ["initial[hare]", "34.6", "2.6", "7.5", "%"]
    assert max(map(len, text.splitlines())) <= 96
    html = demo_fit._repr_html_()
    assert html.startswith("<pre")
    assert "initial[hare]" in html


def test_breakdown_sums_to_the_whole(demo_fit):
    assert list(demo_fit.breakdown) == ["hare [thousands]", "lynx [thousands]"]
    assert sum(demo_fit.breakdown.values()) == pytest.approx(demo_fit.nll, rel=1e-12)


class Rounded(eqx.Module):
    """A decay whose values are rounded, its derivatives not: the error of a solver."""

    rate: jax.Array
    unit: float = eqx.field(static=True)

    def __call__(self, times):
        exact = jnp.exp(-self.rate * times)
        rounded = self.unit * jnp.round(exact / self.unit)
        return exact + jax.lax.stop_gradient(rounded - exact)


@pytest.mark.parametrize(("unit", "result"), [(1e-8, "successful"), (1e-4, "stalled")])
def test_what_the_error_of_the_values_hides_is_converged_within_a_thousandth(unit, result):
    times = np.linspace(0.1, 3.0, 60)
    values = np.exp(-1.3 * times) + 1e-3 * np.random.default_rng(0).standard_normal(60)
    likelihood = lhx.likelihoods.Normal(1e-3)
    data = lhx.Dataset(times, values)
    fit = lhx.fit(lhx.NLL(), lhx.Predictor(Rounded(lhx.positive(0.5), unit), likelihood), data)
    exact = lhx.fit(lhx.NLL(), lhx.Predictor(Rounded(lhx.positive(0.5), 1e-16), likelihood), data)
    off = abs(fit.estimates["rate"] - exact.estimates["rate"])
    error = exact.standard_errors()["rate"]
    assert fit.result == getattr(lhx.RESULTS, result), (off / error, fit.steps)
    assert (off < 2e-3 * error) == (result == "successful")


def test_bfgs_in_single_precision_where_double_is_allowed():
    """Optimistix keeps its step lengths in JAX's default precision, whatever the parameters' is."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2)).astype(np.float32)
    y = np.asarray(x @ [1.0, 2.0] + rng.normal(size=30), np.float32)
    model = Columns(jnp.zeros(2, jnp.float32))
    start = lhx.Predictor(model, lhx.likelihoods.Normal(np.float32(1.0)))
    found = lhx.fit(lhx.NLL(), start, lhx.Dataset(x, y), method=lhx.BFGS(tolerance=1e-2))
    assert found.predictor.model.weights.dtype == np.float32
    wanted = np.linalg.lstsq(np.asarray(x, float), np.asarray(y, float), rcond=None)[0]
    # A hundredth of a standard error, which is 0.18.
    np.testing.assert_allclose(found.predictor.model.weights, wanted, atol=2e-3)


class Columns(eqx.Module):
    weights: Array

    def __call__(self, x):
        return x @ self.weights
