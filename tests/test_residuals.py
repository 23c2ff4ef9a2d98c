"""Laws and collocation against SciPy, closed forms and plain NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from chain import (
    KNOTS,
    MEASURED,
    NOISE,
    PEER,
    SPAN,
    STATES,
    TIMES,
    WITHIN,
    Chain,
    Normal,
    chain,
    chain_data,
    chain_predictor,
    mass,
    surrogate,
)
from jax import Array
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize
from scipy.stats import norm

import likelihax as lhx
from likelihax.models import Spline, Surrogate
from likelihax.terms import (
    Collocation,
    Law,
    balance,
    boundary,
    conserved,
    monotone,
    nonnegative,
)

# Each compiles fits of its own: minutes in all.
pytestmark = pytest.mark.slow

# ---------------------------------------------------------------------------- laws in fits


def by_scipy(cost, start):
    found = minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    assert found.success
    return found


def chain_nll(theta):
    predicted = chain(*np.exp(theta[:2]), TIMES)
    return -np.sum(norm.logpdf(MEASURED, predicted, NOISE))


def mass_residual(theta, times=TIMES):
    return chain(*np.exp(theta[:2]), times).sum(axis=1) - 1.0


def test_a_fit_under_a_law_finds_what_scipy_finds():
    objective = lhx.NLL() + Law(conserved(mass), Normal(0.02), name="mass")
    fit = lhx.fit(objective, chain_predictor(), chain_data())
    assert fit.success
    assert isinstance(fit.method, lhx.LevenbergMarquardt)
    cost = lambda theta: chain_nll(theta) - np.sum(norm.logpdf(mass_residual(theta), 0, 0.02))
    found = by_scipy(cost, np.log([0.5, 0.6]))
    np.testing.assert_allclose(fit.nll, found.fun, rtol=1e-7)
    estimates = [fit.estimates["lost"], fit.estimates["gained"]]
    np.testing.assert_allclose(estimates, np.exp(found.x), rtol=1e-5)
    np.testing.assert_allclose(
        fit.breakdown["mass"], -np.sum(norm.logpdf(mass_residual(found.x), 0, 0.02)), rtol=1e-5
    )


def test_a_fitted_scale_ends_where_the_formula_says():
    floor = 0.01
    law = Law(conserved(mass), Normal(lhx.positive(0.3)), floor=floor)
    fit = lhx.fit(lhx.NLL() + law, chain_predictor(), chain_data())
    assert fit.success

    def cost(theta):
        scale = np.exp(theta[2])
        squares = mass_residual(theta) ** 2 + floor**2
        return chain_nll(theta) + np.sum(0.5 * squares / scale**2 + np.log(scale)) + CONSTANT

    CONSTANT = 12 * 0.5 * np.log(2 * np.pi)
    found = by_scipy(cost, np.log([0.5, 0.6, 0.3]))
    np.testing.assert_allclose(fit.nll, found.fun, rtol=1e-7)
    np.testing.assert_allclose(fit.estimates["scale"], np.exp(found.x[2]), rtol=1e-4)
    at_optimum = np.sqrt(floor**2 + np.mean(mass_residual(found.x) ** 2))
    np.testing.assert_allclose(fit.estimates["scale"], at_optimum, rtol=1e-4)


def test_a_law_that_every_solution_keeps_says_nothing():
    class Tied(eqx.Module):
        rate: Array = lhx.positive(0.5)

        def __call__(self, t, y, inputs):
            return jnp.stack([-self.rate * y[0], self.rate * y[0]])

    predictor = lhx.Predictor(lhx.ODE(Tied(), [1.0, 0.0]), Normal(NOISE))
    law = Law(conserved(mass), Normal(1e-3))
    alone, with_law = (
        lhx.fit(objective, predictor, chain_data()) for objective in (lhx.NLL(), lhx.NLL() + law)
    )
    assert with_law.success
    np.testing.assert_allclose(with_law.estimates["rate"], alone.estimates["rate"], rtol=1e-7)


def test_own_times_begin_where_the_data_do():
    later = np.array([1.0, 2.5, 3.5])
    law = Law(conserved(mass), Normal(0.1), times=later)
    found = law(chain_predictor(), chain_data())
    # The first of the law's times, not the start, is what `conserved` compares with.
    residual = mass_residual(np.log([0.5, 0.6]), later)
    expected = -np.sum(norm.logpdf(residual - residual[0], 0, 0.1))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_as_many_times_as_asked_for_from_the_initial_state_to_the_last():
    seen = []

    def residual(times, states, field):
        seen.append((times.shape, states.shape))
        return states.sum(axis=1) - jnp.cos(times)

    field = Chain(lhx.positive(0.5), lhx.positive(0.6))
    predictor = lhx.Predictor(lhx.ODE(field, [1.0, 0.0], t0=-1.0), Normal(NOISE))
    found = Law(residual, Normal(0.1), times=5)(predictor, chain_data())
    assert seen[-1] == ((5,), (5, 2))
    grid = np.linspace(-1.0, 4.0, 5)
    off = chain(0.5, 0.6, grid + 1).sum(axis=1) - np.cos(grid)
    np.testing.assert_allclose(found, -np.sum(norm.logpdf(off, 0, 0.1)), rtol=1e-6)


def test_a_law_sees_what_scipy_solves():
    class Swing(eqx.Module):
        friction: Array = lhx.positive(0.3)

        def __call__(self, t, y, inputs):
            return {"angle": y["speed"], "speed": -jnp.sin(y["angle"]) - self.friction * y["speed"]}

    def residual(times, states, field):
        return field.friction * states["speed"] ** 2 - states["angle"]

    model = lhx.ODE(Swing(), {"angle": 1.0, "speed": 0.2}, observe=lambda t, y: y["angle"])
    law = Law(residual, Normal(0.5))
    data = lhx.Experiment(TIMES, MEASURED[:, 0])
    swing = lambda t, y: [y[1], -np.sin(y[0]) - 0.3 * y[1]]
    solved = solve_ivp(swing, (0, 4), [1.0, 0.2], t_eval=TIMES, rtol=1e-11, atol=1e-12).y
    expected = -np.sum(norm.logpdf(0.3 * solved[1] ** 2 - solved[0], 0, 0.5))
    np.testing.assert_allclose(law(lhx.Predictor(model, Normal(1.0)), data), expected, rtol=1e-6)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_a_failed_solve_is_carried_up(mode):
    blows_up = lambda t, y, inputs: y**2
    model = lhx.ODE(blows_up, lhx.positive(2.0), max_steps=50).differentiated(mode)
    predictor = lhx.Predictor(model, Normal(1.0))
    data = lhx.Experiment(TIMES, MEASURED[:, 0])
    law = Law(nonnegative(), Normal(0.1), name="law")
    found = lhx.resolve(law).evaluate(lhx.resolve(predictor), data)
    assert found.result != lhx.RESULTS.successful
    assert np.isposinf(found.total)
    assert 0.0 <= found.time_reached < 0.6
    with pytest.raises(ValueError, match="the model could not be solved at the start"):
        lhx.fit(lhx.NLL() + law, predictor, data)


# ------------------------------------------------------------------------- laws ready made

GRID = np.linspace(0.0, 2.0, 41)
CURVES = np.column_stack([np.exp(-GRID), np.sin(3 * GRID)])


def left_over(law, states=CURVES):
    return np.asarray(law(jnp.asarray(GRID), jnp.asarray(states), None))


def test_conserved():
    found = left_over(conserved(lambda t, y: y[0] * y[1]))
    product = CURVES[:, 0] * CURVES[:, 1]
    np.testing.assert_allclose(found, product - product[0], atol=1e-14)
    # An exponential that decays is what its logarithm and the time make up for.
    constant = left_over(conserved(lambda t, y: jnp.log(y[0]) + t))
    np.testing.assert_allclose(constant, 0.0, atol=1e-14)


def test_balance():
    found = left_over(balance(lambda t, y: y, lambda t, y, field: jnp.cos(t) * y))
    rates = np.cos(GRID)[:, None] * CURVES
    # NumPy's own rule up to each time.
    brought = np.stack([np.trapezoid(rates[: i + 1], GRID[: i + 1], axis=0) for i in range(41)])
    np.testing.assert_allclose(found, CURVES - CURVES[0] - brought, atol=1e-14)


def test_a_balance_that_holds_leaves_the_error_of_the_rule_only():
    found = left_over(balance(lambda t, y: y[0], lambda t, y, field: -y[0]))
    assert 0 < np.max(np.abs(found)) < 0.05**2 / 12  # the square of a step over 12


def test_boundary():
    found = left_over(boundary([1.0, 0.0]))
    np.testing.assert_allclose(found, CURVES - [1.0, 0.0])
    found = left_over(boundary(2.0, lambda t, y: y[0] + t))
    np.testing.assert_allclose(found, CURVES[:, 0] + GRID - 2.0)
    with pytest.raises(ValueError, match=r"a value of shape \(\) for a quantity of shape \(2,\)"):
        left_over(boundary(1.0))


def test_nonnegative():
    found = left_over(nonnegative())
    np.testing.assert_allclose(found, np.where(CURVES < 0, CURVES, 0.0))
    found = left_over(nonnegative(lambda t, y: y[1] - 0.5))
    np.testing.assert_allclose(found, np.minimum(CURVES[:, 1] - 0.5, 0))


@pytest.mark.parametrize(("increasing", "sign"), [(True, 1), (False, -1)])
def test_monotone(increasing, sign):
    found = left_over(monotone(increasing=increasing))
    steps = sign * (CURVES[1:] - CURVES[:-1])
    np.testing.assert_allclose(found, np.where(steps < 0, steps, 0.0))
    # An exponential falls all the way: no step is wrong, or every one.
    wrong = np.sum(left_over(monotone(lambda t, y: y[0], increasing=increasing)) != 0)
    assert wrong == (40 if increasing else 0)


def test_an_inequality_pulls_from_one_side_only():
    low = lhx.ODE(lambda t, y, inputs: -jnp.ones_like(y), lhx.real(2.0))
    data = lhx.Experiment(TIMES, [*np.full(11, np.nan), 1.0])
    alone = lhx.fit(lhx.NLL(), lhx.Predictor(low, Normal(1.0)), data)
    # Started at 5 it would end at 1: high enough, so that the law changes nothing.
    kept = Law(nonnegative(), Normal(0.1))
    with_law = lhx.fit(lhx.NLL() + kept, lhx.Predictor(low, Normal(1.0)), data)
    np.testing.assert_allclose(alone.estimates["initial"], 5.0, atol=1e-6)
    np.testing.assert_allclose(with_law.estimates["initial"], 5.0, atol=1e-6)
    # At least 2 at all times: the last value alone, of scale 0.1, pulls from below.
    higher = Law(nonnegative(lambda t, y: y - 2.0), Normal(0.1))
    raised = lhx.fit(lhx.NLL() + higher, lhx.Predictor(low, Normal(1.0)), data)
    below = lambda x: np.sum(np.minimum(x - TIMES - 2.0, 0.0) ** 2) / 0.1**2 / 2
    found = by_scipy(lambda x: (x[0] - 5.0) ** 2 / 2 + below(x[0]), [5.5])
    np.testing.assert_allclose(raised.estimates["initial"], found.x[0], atol=1e-6)


def test_a_law_on_a_surrogate():
    law = Law(conserved(mass), Normal(0.3), times=7)
    predictor = lhx.Predictor(surrogate(), Normal(1.0))
    grid = np.linspace(0, 3, 7)
    total = PEER(grid).sum(axis=1)
    expected = -np.sum(norm.logpdf(total - total[0], 0, 0.3))
    np.testing.assert_allclose(law(predictor, SPAN), expected, rtol=1e-10)


# -------------------------------------------------------------------------------- collocation


def slope_error(times):
    state, slope = PEER(times), PEER(times, 1)
    return slope - np.column_stack([-0.5 * state[:, 0], 0.6 * state[:, 0]])


def residuals(term, data=SPAN, curve=None):
    predictor = lhx.Predictor(surrogate() if curve is None else curve, Normal(1.0))
    return lhx.resolve(term).residuals(lhx.resolve(predictor), data).values


def two_each(nodes):
    points, _ = np.polynomial.legendre.leggauss(2)
    middle, half = (nodes[1:] + nodes[:-1]) / 2, np.diff(nodes) / 2
    return (middle[:, None] + half[:, None] * points).reshape(-1)


def test_collocation_compares_the_slope_with_the_field():
    own = np.array([2.9, 0.3, 0.31])
    found = residuals(Collocation(Normal(1.0), times=own))
    np.testing.assert_allclose(found, slope_error(own), atol=1e-11)
    found = residuals(Collocation(Normal(1.0)))
    np.testing.assert_allclose(found, slope_error(two_each(KNOTS)), atol=1e-11)
    found = residuals(Collocation(Normal(1.0), times=4))
    np.testing.assert_allclose(found, slope_error(3 * np.array([1, 3, 5, 7]) / 8), atol=1e-11)


def test_a_curve_without_knots_is_compared_between_the_data():
    plain = Surrogate(lambda t: jnp.stack([jnp.cos(t), t]), chain_predictor().model)
    at = two_each(WITHIN)
    expected = np.column_stack([-np.sin(at) + 0.5 * np.cos(at), 1 - 0.6 * np.cos(at)])
    np.testing.assert_allclose(residuals(Collocation(Normal(1.0)), curve=plain), expected)


def test_each_component_has_its_scale_and_its_floor():
    term = Collocation(Normal(np.array([0.5, 2.0])), floor=np.array([0.1, 0.2]))
    off = slope_error(two_each(KNOTS))
    square = (off**2 + np.array([0.1, 0.2]) ** 2) / np.array([0.5, 2.0]) ** 2
    each = 0.5 * square + np.log([0.5, 2.0]) + 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(
        term(lhx.Predictor(surrogate(), Normal(1.0)), SPAN), np.sum(each), rtol=1e-10
    )


def test_what_is_compared_may_be_a_quantity():
    positive = np.exp(STATES)
    relative = Collocation(Normal(1.0), quantity=lambda t, y: jnp.log(y))
    found = residuals(relative, curve=surrogate(positive, log=True))
    at = two_each(KNOTS)
    prey = np.exp(PEER(at)[:, 0])
    share = np.exp(PEER(at)[:, 1])
    rates = np.column_stack([np.full(at.size, -0.5), 0.6 * prey / share])
    np.testing.assert_allclose(found, PEER(at, 1) - rates, atol=1e-10)


def test_a_field_that_depends_on_time_and_inputs():
    field = lambda t, y, inputs: inputs["gain"] * t * y
    curve = Surrogate(Spline(KNOTS, STATES[:, 1]), lhx.ODE(field, 1.0))
    data = lhx.Experiment(WITHIN, np.zeros(31), {"gain": jnp.asarray(0.25)})
    at = two_each(KNOTS)
    expected = PEER(at, 1)[:, 1] - 0.25 * at * PEER(at)[:, 1]
    found = residuals(Collocation(Normal(1.0)), data, curve)
    np.testing.assert_allclose(found, expected[:, None], atol=1e-11)


def test_a_linear_field_makes_it_a_linear_least_squares_problem():
    """Values at the knots by NumPy, from SciPy's splines through single ones."""
    values = np.exp(-0.7 * WITHIN) + 0.05 * np.random.default_rng(5).standard_normal(31)
    ode = lhx.ODE(lambda t, y, inputs: -0.7 * y, 1.0)
    curve = Surrogate(Spline(KNOTS, np.full(7, 0.3)), ode)
    objective = lhx.NLL() + Collocation(Normal(0.2), floor=0.1)
    fit = lhx.fit(objective, lhx.Predictor(curve, Normal(0.05)), lhx.Experiment(WITHIN, values))
    assert fit.success
    basis, at = CubicSpline(KNOTS, np.eye(7)), two_each(KNOTS)
    rows = np.concatenate([basis(WITHIN) / 0.05, (basis(at, 1) + 0.7 * basis(at)) / 0.2])
    wanted = np.concatenate([values / 0.05, np.zeros(at.size)])
    expected, *_ = np.linalg.lstsq(rows, wanted, rcond=None)
    np.testing.assert_allclose(fit.estimates["values"], expected, atol=1e-8)
    errors = np.sqrt(np.diag(np.linalg.inv(rows.T @ rows)))
    np.testing.assert_allclose(fit.standard_errors()["values"], errors, rtol=1e-6)


def test_times_drawn_anew():
    term = Collocation(Normal(1.0), times=50, key=jax.random.key(1))
    assert term.is_scheduled
    with pytest.raises(ValueError, match="the times depend on the step of a fit"):
        residuals(term)
    first, again, second = (term.at(jnp.asarray(step)) for step in (3, 3, 4))
    assert not first.is_scheduled
    np.testing.assert_array_equal(first.shares, again.shares)
    assert np.all(np.asarray(first.shares) != np.asarray(second.shares))
    for drawn in (first.shares, second.shares):
        # One in each share.
        np.testing.assert_array_equal(np.floor(50 * np.asarray(drawn)), np.arange(50))
    np.testing.assert_allclose(
        residuals(second), slope_error(3 * np.asarray(second.shares)), atol=1e-11
    )


def test_a_fit_with_times_drawn_anew():
    """The rates of a curve that is known: a solution of the chain with 0.8 for both."""
    knots = np.linspace(0, 3, 25)
    ode = lhx.ODE(Chain(lhx.positive(0.5), lhx.positive(0.6)), [1.0, 0.0])
    curve = Surrogate(Spline(knots, lhx.frozen(chain(0.8, 0.8, knots))), ode)
    term = Collocation(Normal(0.1), times=50, key=jax.random.key(0))
    method = lhx.GradientDescent(optax.adam(0.01), max_steps=500)
    data = lhx.Experiment(knots, np.zeros((25, 2)))
    # The curve is known, so that the NLL is a constant beside the term.
    fit = lhx.fit(lhx.NLL() + term, lhx.Predictor(curve, Normal(1.0)), data, method=method)
    np.testing.assert_allclose(fit.estimates["lost"], 0.8, atol=1e-4)
    np.testing.assert_allclose(fit.estimates["gained"], 0.8, atol=1e-4)


def test_single_precision():
    curve = Surrogate(
        Spline(KNOTS, STATES[:, 1].astype(np.float32)),
        lhx.ODE(lambda t, y, inputs: -y, np.float32(1.0)),
    )
    data = lhx.Experiment(WITHIN.astype(np.float32), np.zeros(31, np.float32), dtype=np.float32)
    term = Collocation(Normal(np.float32(0.5)), times=[0.5, 1.0], floor=0.1)
    predictor = lhx.Predictor(curve, Normal(np.float32(1.0)))
    found = term(predictor, data)
    assert found.dtype == np.float32
    at = np.array([0.5, 1.0])
    off = PEER(at, 1)[:, 1] + PEER(at)[:, 1]
    expected = np.sum(0.5 * (off**2 + 0.01) / 0.25 + np.log(0.5) + 0.5 * np.log(2 * np.pi))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_where_all_residuals_can_vanish_the_scale_is_the_floor():
    # One point an interval: the curve can meet all of them.
    middles = (KNOTS[1:] + KNOTS[:-1]) / 2
    term = Collocation(Normal(lhx.positive(0.1)), times=middles, floor=1e-3)
    values = chain(0.8, 0.8, KNOTS) + 0.02 * np.random.default_rng(1).standard_normal((7, 2))
    predictor = lhx.Predictor(surrogate(values), Normal(0.05))
    fit = lhx.fit(lhx.NLL() + term, predictor, lhx.Experiment(KNOTS, values))
    assert fit.success
    np.testing.assert_allclose(fit.estimates["scale"], 1e-3, rtol=1e-4)


# -------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Law(3, Normal(1.0)), "the residual 3 is no function"),
        (lambda: Law(mass, 0.1), "0.1 is not a likelihood: say how far off"),
        (lambda: Law(mass, lhx.likelihoods.LogNormal(0.1)), "LogNormal with 1 predicted outputs"),
        (lambda: Law(mass, Normal(lhx.predicted())), "Normal with 2 predicted outputs"),
        (lambda: Law(mass, Normal(1.0), times=[2.0, 1.0]), r"times\[1\] = 1.0 follows 2.0"),
        (lambda: Law(mass, Normal(1.0), times=[0.0, np.nan]), r"times\[1\] is nan"),
        (lambda: Law(mass, Normal(1.0), times=[]), r"times of shape \(0,\)"),
        (lambda: Law(mass, Normal(1.0), times=1), "1 times are too few"),
        (lambda: Law(mass, Normal(1.0), floor=0.0), "the floor is 0.0: it must be positive"),
        (lambda: Law(mass, Normal(lhx.positive(1.0))), "Law: the scale is fitted, and would run"),
        (lambda: Collocation(Normal(lhx.positive(1.0))), "say by floor="),
        (lambda: Collocation(0.1), "Collocation: 0.1 is not a likelihood"),
        (lambda: Collocation(Normal(1.0), quantity=2), "the quantity 2 is no function"),
        (lambda: Collocation(Normal(1.0), key=jax.random.key(0)), "so say how many"),
        (lambda: conserved(1.0), "conserved: 1.0 is no function"),
        (lambda: balance(mass, 1.0), "balance: 1.0 is no function"),
    ],
)
def test_mistakes_are_named(make, message, as_a_user):
    with pytest.raises(ValueError, match=message):
        make()


def nothing(times, states, field):
    return states[5:5, 0]


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (Law(conserved(mass), Normal(1.0), times=[1.0, 4.5]), r"times\[1\] = 4.5 lies outside the"),
        (Law(conserved(mass), Normal(1.0), times=[-1.0, 2.0]), r"times\[0\] = -1.0 lies outside"),
        (Law(nothing, Normal(1.0), name="mine"), r"mine: the residual selects nothing"),
        (Law(lambda t, y, field: 0.0, Normal(1.0)), "it must return one floating array"),
        (Law(nonnegative(), Normal(1.0), floor=[1.0, 1.0, 1.0]), r"a floor of shape \(3,\)"),
        (Collocation(Normal(1.0)), "the model is of type ODE: it must be a likelihax Surrogate"),
    ],
)
def test_mistakes_that_a_fit_sees(law, message, as_a_user):
    with pytest.raises(ValueError, match=message):
        lhx.fit(lhx.NLL() + law, chain_predictor(), chain_data())


def test_other_mistakes_that_a_fit_sees(as_a_user):
    formula = lhx.Predictor(lambda times: times, Normal(lhx.positive(1.0)))
    one = lhx.Experiment(TIMES, MEASURED[:, 0])
    with pytest.raises(ValueError, match=r"of type function: it must be a likelihax ODE or Surr"):
        lhx.fit(lhx.NLL() + Law(nonnegative(), Normal(1.0)), formula, one)
    with pytest.raises(ValueError, match="expected a Predictor"):
        Law(nonnegative(), Normal(1.0)).check(formula.model, one)
    with pytest.raises(ValueError, match="expected an Experiment"):
        Law(nonnegative(), Normal(1.0)).check(chain_predictor(), 3)
    curve = lhx.Predictor(surrogate(), Normal(1.0))
    with pytest.raises(
        ValueError, match=r"Collocation: times\[1\] = 3.1 lies outside the spline's"
    ):
        lhx.fit(lhx.NLL() + Collocation(Normal(1.0), times=[0.5, 3.1]), curve, SPAN)
    with pytest.raises(ValueError, match=r"Law: times\[0\] = 3.05 lies outside the spline's"):
        lhx.fit(lhx.NLL() + Law(nonnegative(), Normal(1.0), times=[3.05]), curve, SPAN)
    early = lhx.Predictor(surrogate(t0=-0.5), Normal(1.0))
    with pytest.raises(ValueError, match=r"Law: times\[0\] = -0.5 lies outside the spline's"):
        lhx.fit(lhx.NLL() + Law(nonnegative(), Normal(1.0), times=5), early, SPAN)
    moment = lhx.Experiment([1.0], [[1.0, 1.0]])
    with pytest.raises(ValueError, match=r"the trajectory from 1\.0 to 1\.0 has no length"):
        Law(nonnegative(), Normal(1.0), times=5).check(chain_predictor(), moment)
    short = Surrogate(Spline(KNOTS, STATES), lhx.ODE(lambda t, y, inputs: (y,), [1.0, 1.0]))
    with pytest.raises(ValueError, match=r"the vector field returned .* the same structure"):
        lhx.fit(lhx.NLL() + Collocation(Normal(1.0)), lhx.Predictor(short, Normal(1.0)), SPAN)
    parts = lhx.ODE(lambda t, y, inputs: y, {"a": 1.0}, observe=lambda t, y: y["a"])
    with pytest.raises(ValueError, match="say which quantity is meant"):
        Law(nonnegative(), Normal(1.0))(lhx.Predictor(parts, Normal(1.0)), one)
