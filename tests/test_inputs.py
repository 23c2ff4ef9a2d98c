"""Doses, switches, series, resets, events, rest and stiffness against closed forms and SciPy."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicHermiteSpline

import likelihax as lhx
from likelihax.inputs import Doses, Forcing, Series, Steps
from likelihax.models import Event, Resets, Spline, Surrogate

# Each compiles solves of its own: minutes in all.
pytestmark = pytest.mark.slow

TIMES = np.linspace(0.0, 10.0, 21)
BOTH = ("forward", "reverse")
TIGHT = {"t0": 0.0, "rtol": 1e-11, "atol": 1e-13}


def predicted(ode, inputs=None, times=TIMES):
    simulation = ode.simulate(jnp.asarray(times), inputs)
    assert simulation.values.shape[0] == len(times)
    return simulation.values


def differences(function, at, step=1e-4):
    """Central differences of the fourth order, the entries of `at` last."""
    columns = []
    for i in range(len(at)):
        h = np.zeros(len(at))
        h[i] = step
        near, far = function(at + h) - function(at - h), function(at + 2 * h) - function(at - 2 * h)
        columns.append((8 * near - far) / (12 * step))
    return np.stack(columns, axis=-1)


def check(model, exact, at, *, modes=("forward",), rtol=1e-7):
    """Values and derivatives of `model(x, mode)` against the closed form `exact(x)`."""
    at = np.asarray(at, float)
    values, slopes = exact(at), differences(exact, at)
    for mode in modes:
        found, slope = with_slopes(lambda x, mode=mode: model(x, mode), at, mode)
        np.testing.assert_allclose(found, values, rtol=1e-8, atol=1e-9 * np.abs(values).max())
        np.testing.assert_allclose(slope, slopes, rtol=rtol, atol=rtol * np.abs(slopes).max())


def with_slopes(function, at, mode):
    """Values and Jacobian from one compilation."""
    jacobian = jax.jacfwd if mode == "forward" else jax.jacrev
    twice = lambda x: (lambda found: (found, found))(function(x))
    slope, found = eqx.filter_jit(jacobian(twice, has_aux=True))(jnp.asarray(at))
    return found, slope


# ----------------------------------------------------------------------------------------- doses

BOLUSES = ((0.0, 1.0), (2.03, 2.0), (5.5001, 0.5))


def absorbed(t, y, inputs, theta):
    return jnp.stack([-theta[0] * y[0], theta[0] * y[0] - theta[1] * y[1]])


def test_boluses():
    when, much = zip(*BOLUSES, strict=True)

    def model(x, mode):
        field = lambda t, y, inputs: absorbed(t, y, inputs, x)
        ode = lhx.ODE(field, [0.0, 0.0], **TIGHT).differentiated(mode)
        return predicted(ode, Doses(when, x[2] * np.array(much)))

    def exact(x):
        total = 0.0
        for start, amount in BOLUSES:
            since, given = np.maximum(TIMES - start, 0), x[2] * amount
            bateman = x[0] / (x[0] - x[1]) * (np.exp(-x[1] * since) - np.exp(-x[0] * since))
            each = given * np.stack([np.exp(-x[0] * since), bateman], axis=-1)
            total = total + np.where((start <= TIMES)[:, None], each, 0.0)
        return total

    check(model, exact, [1.2, 0.3, 1.0], modes=BOTH)


def test_infusions():
    infused = ((1.0, 2.0, 1.5), (1.7, 1.0, 0.7))

    def model(x, mode):
        ode = lhx.ODE(lambda t, y, inputs: -x[0] * y, [x[1]], **TIGHT).differentiated(mode)
        when, much, long = map(np.array, zip(*infused, strict=True))
        return predicted(ode, {"drug": Doses(when, much, durations=long)})

    def exact(x):
        total = x[1] * np.exp(-x[0] * TIMES)
        for start, amount, long in infused:
            during, after = np.clip(TIMES - start, 0, long), np.maximum(TIMES - start - long, 0)
            total += amount / long / x[0] * -np.expm1(-x[0] * during) * np.exp(-x[0] * after)
        return total[:, None]

    check(model, exact, [0.5, 1.0])


def test_doses_into_any_entry_and_several_at_once():
    still = lambda t, y, inputs: jax.tree.map(jnp.zeros_like, y)
    ode = lhx.ODE(still, {"gut": [0.0, 0.0], "blood": 0.0}, observe=lambda t, y: y["gut"], t0=0.0)
    # Flattened, dictionaries are sorted: blood is 0, gut 1 and 2.
    doses = Doses([1.3, 1.3, 4.2], [1.0, -2.0, 5.0], into=[1, 2, 1])
    found = predicted(ode, doses)
    expected = np.outer(TIMES >= 1.3, [1.0, -2.0]) + np.outer(TIMES >= 4.2, [5.0, 0.0])
    np.testing.assert_allclose(found, expected, atol=1e-14)


def test_a_clock_far_from_zero_does_not_round_across_a_jump():
    first = 1e9
    ode = lhx.ODE(lambda t, y, u: -0.1 * y + u[0](t), [0.0], t0=first, rtol=1e-9)
    inputs = (Steps([first, first + 3.3], [0.0, 1.0]), Doses([first + 0.7], [1.0]))
    found = predicted(ode, inputs, first + TIMES)[:, 0]
    bolus = np.where(TIMES >= 0.7, np.exp(-0.1 * (TIMES - 0.7)), 0.0)
    driven = np.where(TIMES >= 3.3, 10 * -np.expm1(-0.1 * (TIMES - 3.3)), 0.0)
    np.testing.assert_allclose(found, bolus + driven, rtol=1e-6, atol=1e-6)


# --------------------------------------------------------------------------------- other inputs


def test_switches():
    def model(x, mode):
        ode = lhx.ODE(lambda t, y, u: x[0] * (u(t) - y), [x[1]], **TIGHT).differentiated(mode)
        return predicted(ode, Steps([0.0, 2.2, 5.5], x[2:]))

    def exact(x):
        state, out = x[1], []
        ends = [0.0, 2.2, 5.5, np.inf]
        for i, level in enumerate(x[2:]):
            here = TIMES[(ends[i] <= TIMES) & (ends[i + 1] > TIMES)]
            out.append(level + (state - level) * np.exp(-x[0] * (here - ends[i])))
            if np.isfinite(ends[i + 1]):
                state = level + (state - level) * np.exp(-x[0] * (ends[i + 1] - ends[i]))
        return np.concatenate(out)[:, None]

    check(model, exact, [0.5, 1.0, 1.0, 3.0, -1.0])


def test_what_inputs_are_between_their_times():
    knots, values = np.array([0.0, 1.0, 2.5, 4.0]), np.array([[0.0, 1.0], [2, 0], [1, 1], [3, -1]])
    at = jnp.asarray([0.0, 0.5, 1.0, 2.0, 4.0])
    linear = np.stack([np.interp(at, knots, column) for column in values.T], axis=-1)
    np.testing.assert_allclose(jax.vmap(Series(knots, values))(at), linear, atol=1e-14)
    back = np.diff(values, axis=0) / np.diff(knots)[:, None]
    cubic = CubicHermiteSpline(knots, values, np.concatenate([back[:1], back]))
    found = jax.vmap(Series(knots, values, kind="cubic"))(at)
    np.testing.assert_allclose(found, cubic(at), atol=1e-14)
    held = jax.vmap(Steps(knots, values))(at)
    np.testing.assert_allclose(held, values[[0, 0, 1, 1, 3]])
    assert Forcing(jnp.sin, [1.0])(jnp.asarray(0.5)) == np.sin(0.5)


def test_so_many_switches_that_they_are_searched():
    """Each is exact at its time and just before it; the solve misses none, and no derivative."""
    rng = np.random.default_rng(0)
    knots = 1e4 + np.concatenate([[0.0], np.sort(rng.uniform(0.0, 10.0, 699))])
    values = rng.standard_normal(700)
    many = Steps(knots, values)
    np.testing.assert_array_equal(jax.vmap(many)(jnp.asarray(knots)), values)
    before = jax.vmap(many)(jnp.asarray(np.nextafter(knots, -np.inf)))
    np.testing.assert_array_equal(before[1:], values[:-1])
    assert before[0] == values[0]
    times = 1e4 + TIMES
    areas = np.clip(times[:, None] - knots, 0.0, np.diff(knots, append=np.inf)) @ values

    def model(x, mode):
        ode = lhx.ODE(lambda t, y, u: x[0] * u(t)[None], [0.0], t0=1e4)
        return predicted(ode.differentiated(mode), many, times)

    check(model, lambda x: x[0] * areas[:, None], [1.5], modes=BOTH)


def test_an_input_may_be_fitted():
    """Levels of a switch inside the field, found from what they do."""
    truth = Steps([0.0, 3.0], [1.0, -0.5])
    field = lambda u: lambda t, y, inputs: u(t) - 0.5 * y
    values = lhx.ODE(field(truth), [0.0], t0=0.0)(jnp.asarray(TIMES))

    class Driven(eqx.Module):
        level: Steps

        def __call__(self, t, y, inputs):
            return self.level(t) - 0.5 * y

    start = Driven(Steps([0.0, 3.0], lhx.real([0.1, 0.1])))
    predictor = lhx.Predictor(lhx.ODE(start, [0.0], t0=0.0), lhx.likelihoods.Normal(0.1))
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Experiment(TIMES, np.asarray(values)))
    assert fit.success
    np.testing.assert_allclose(fit.estimates["values"], [1.0, -0.5], rtol=1e-6)


def test_a_forcing_that_jumps_is_told():
    """A pulse too short for a solver that does not know of it."""
    pulse = lambda t: jnp.where((t >= 5.0) & (t < 5.001), 1000.0, 0.0)
    ode = lhx.ODE(lambda t, y, u: jnp.atleast_1d(u(t)), [0.0], t0=0.0)
    known = predicted(ode, Forcing(pulse, [5.0, 5.001]), np.array([1.0, 9.0]))
    np.testing.assert_allclose(known[:, 0], [0.0, 1.0], atol=1e-9)


# -------------------------------------------------------------------------------- resets, events


def test_resets():
    def model(x, mode):
        halve = Resets([2.0, 5.2], lambda t, y, inputs: x[1] * y + 1)
        ode = lhx.ODE(lambda t, y, inputs: -x[0] * y, [1.0], resets=halve, **TIGHT)
        return predicted(ode.differentiated(mode))

    def exact(x):
        y2 = x[1] * np.exp(-2.0 * x[0]) + 1
        y5 = x[1] * y2 * np.exp(-3.2 * x[0]) + 1
        out = np.where(
            TIMES < 5.2, y2 * np.exp(-x[0] * (TIMES - 2.0)), y5 * np.exp(-x[0] * (TIMES - 5.2))
        )
        return np.where(TIMES < 2.0, np.exp(-x[0] * TIMES), out)[:, None]

    check(model, exact, [0.5, 0.3])


def test_a_reset_at_a_measured_time_and_with_a_dose():
    harvest = Resets([4.0], lambda t, y, inputs: 0.5 * y)
    ode = lhx.ODE(lambda t, y, inputs: jnp.zeros_like(y), [1.0], t0=0.0, resets=harvest)
    found = predicted(ode, Doses([2.1], 3.0))[:, 0]
    np.testing.assert_allclose(found, np.where(TIMES < 2.1, 1.0, np.where(TIMES < 4.0, 4.0, 2.0)))
    last = predicted(ode, None, np.array([1.0, 4.0]))
    np.testing.assert_allclose(last[:, 0], [1.0, 0.5])


FALL = np.linspace(0.0, 1.9, 20)


def ball(x, mode, **options):
    def bounce(t, y, inputs):
        return jnp.stack([jnp.zeros_like(y[0]), -x[1] * y[1]])

    event = Event(lambda t, y, inputs: y[0], bounce, direction="down", **options)
    field = lambda t, y, inputs: jnp.stack([y[1], -x[0]])
    return lhx.ODE(field, [1.0, 0.0], event=event, **TIGHT).differentiated(mode)


def bounced(x):
    out = []
    for t in FALL:
        speed, left = np.sqrt(2 * x[0]), t - np.sqrt(2 / x[0])
        if left < 0:
            out.append([1 - x[0] * t**2 / 2, -x[0] * t])
            continue
        speed *= x[1]
        while left >= 2 * speed / x[0]:
            left, speed = left - 2 * speed / x[0], speed * x[1]
        out.append([speed * left - x[0] * left**2 / 2, speed - x[0] * left])
    return np.array(out)


def test_a_bouncing_ball():
    check(lambda x, mode: predicted(ball(x, mode), times=FALL), bounced, [9.81, 0.8], modes=BOTH)


def test_more_events_than_allowed_are_a_failure():
    one = ball(np.array([9.81, 0.8]), "forward", at_most=1).simulate(jnp.asarray(FALL))
    assert one.result == lhx.RESULTS.events_used_up
    assert np.all(np.isinf(one.values))
    # What was reached before the second bounce is said.
    assert FALL[5] < one.time_reached < FALL[-1]


def switching(x, mode, at_most=16):
    """Decays three times as fast below a level; which side it is on is an entry of the state."""
    event = Event(
        lambda t, y, inputs: y[0] - x[1], lambda t, y, inputs: y.at[1].set(1.0), at_most=at_most
    )
    rate = lambda y: jnp.where(y[1] < 0.5, x[0], 3 * x[0])
    field = lambda t, y, inputs: jnp.stack([-rate(y) * y[0], jnp.zeros_like(y[1])])
    ode = lhx.ODE(field, [2.0, 0.0], event=event, observe=lambda t, y: y[:1], **TIGHT)
    return ode.differentiated(mode)


def test_a_field_that_switches():
    def exact(x):
        when = np.log(2 / x[1]) / x[0]
        below = x[1] * np.exp(-3 * x[0] * (TIMES - when))
        return np.where(when > TIMES, 2 * np.exp(-x[0] * TIMES), below)[:, None]

    check(lambda x, mode: predicted(switching(x, mode)), exact, [0.5, 0.7])


def test_an_event_a_switch_and_a_dose_behind_it():
    """The event moves with the parameters, the jumps behind it do not."""
    refill = lambda x: Event(
        lambda t, y, inputs: y[0] - x[1], lambda t, y, inputs: y + 1.0, direction="down"
    )

    def model(x, mode):
        ode = lhx.ODE(lambda t, y, u: -x[0] * y + u[0](t), [2.0], event=refill(x), **TIGHT)
        inputs = (Steps([0.0, 3.2], [0.0, 0.2]), Doses([4.13], x[2]))
        return predicted(ode.differentiated(mode), inputs, TIMES[:11])

    def exact(x):
        when = np.log(2 / x[1]) / x[0]
        t = TIMES[:11]
        raised = (x[1] + 1) * np.exp(-x[0] * (t - when))
        driven = np.where(t >= 3.2, 0.2 / x[0] * -np.expm1(-x[0] * (t - 3.2)), 0.0)
        dosed = np.where(t >= 4.13, x[2] * np.exp(-x[0] * (t - 4.13)), 0.0)
        return np.where(t < when, 2 * np.exp(-x[0] * t), raised + driven + dosed)[:, None]

    check(model, exact, [0.5, 0.7, 1.0])


# -------------------------------------------------------------------------------- rest, stiffness


def test_a_steady_state_start():
    def field(t, y, u, x):
        return jnp.stack([u(t) * x[0] - x[1] * y[0] ** 2, x[1] * y[0] ** 2 - x[2] * y[1]])

    switch = Steps([0.0, 3.0], [1.0, 0.0])
    later = np.array([0.0, 1.0, 3.0, 4.0, 8.0])

    def model(x, mode):
        ode = lhx.ODE(
            lambda t, y, u: field(t, y, u, x), [1.0, 1.0], **{**TIGHT, "t0": -np.inf}
        ).differentiated(mode)
        return predicted(ode, switch, later)[:, 0]

    def exact(x):
        rest = np.sqrt(x[0] / x[1])
        since = np.maximum(later - 3.0, 0)
        return rest / (1 + x[1] * rest * since)

    check(model, exact, [0.5, 1.3, 0.7], modes=BOTH)


def test_where_nothing_rests_the_failure_says_so():
    ode = lhx.ODE(lambda t, y, inputs: 1.0 + y**2, [1.0], t0=-np.inf)
    simulation = ode.simulate(jnp.asarray(TIMES))
    assert simulation.result == lhx.RESULTS.no_steady_state
    assert np.all(np.isinf(simulation.values))
    data = lhx.Experiment(TIMES, np.ones((21, 1)))
    fitted = lhx.ODE(_Scaled(lhx.positive(1.0)), [1.0], t0=-np.inf)
    with pytest.raises(ValueError, match="No steady state was found"):
        lhx.fit(lhx.NLL(), lhx.Predictor(fitted, lhx.likelihoods.Normal(1.0)), data)


class _Scaled(eqx.Module):
    scale: jax.Array

    def __call__(self, t, y, inputs):
        return self.scale * (1.0 + y**2)


ROBERTSON = np.array([0.04, 1e4, 3e7])
LATE = np.array([0.4, 4.0, 40.0, 400.0])


def robertson(t, y, x):
    decay, back, on = x[0] * y[0], x[1] * y[1] * y[2], x[2] * y[1] ** 2
    return [-decay + back, decay - back - on, on]


def stiff(x, **options):
    field = lambda t, y, inputs: jnp.stack(robertson(t, y, x * ROBERTSON))
    options = {"rtol": 1e-10, "atol": 1e-14, **options}
    return lhx.ODE(field, [1.0, 0.0, 0.0], t0=0.0, solver="auto", **options)


def by_radau(x):
    options = {"method": "Radau", "rtol": 1e-12, "atol": 1e-15, "t_eval": LATE}
    return solve_ivp(robertson, (0, LATE[-1]), [1.0, 0, 0], args=(x * ROBERTSON,), **options).y.T


def test_a_stiff_reaction():
    """Robertson's problem, the first concentration and the last."""
    ends = lambda values: values[:, [0, 2]]
    first = stiff(np.ones(3)).probed(jnp.asarray(LATE))
    assert first.implicit_first

    def model(x, mode):
        ode = eqx.tree_at(lambda ode: ode.field, first, stiff(x).field).differentiated(mode)
        return ends(predicted(ode, times=LATE))

    at = np.ones(3)
    found, slope = with_slopes(lambda x: model(x, "forward"), at, "forward")
    np.testing.assert_allclose(found, ends(by_radau(at)), rtol=1e-8)
    slopes = differences(lambda x: ends(by_radau(x)), at, step=1e-3)
    np.testing.assert_allclose(slope, slopes, atol=1e-6 * np.abs(slopes).max())


def test_where_one_solver_fails_the_other_helps():
    loose = stiff(np.ones(3), rtol=1e-5, atol=1e-9, max_steps=500)
    assert not loose.implicit_first
    rescued = loose.simulate(jnp.asarray(LATE))
    assert rescued.result == lhx.RESULTS.successful
    assert rescued.num_steps > 500
    np.testing.assert_allclose(rescued.values[:, 0], by_radau(np.ones(3))[:, 0], rtol=1e-4)
    mild = lhx.ODE(lambda t, y, inputs: -y, [1.0], solver="auto").probed(jnp.asarray(TIMES))
    assert not mild.implicit_first


def test_an_implicit_step_that_strays_is_no_exception():
    """A root of a negative number on the way: derivatives exist all the same."""

    def last(x):
        field = lambda t, y, inputs: -x * jnp.sqrt(y)
        ode = lhx.ODE(field, [1.0], t0=0.0, solver="auto")._with(implicit_first=True)
        return predicted(ode.differentiated("forward"), times=np.array([1.0, 1.99]))[-1, 0]

    value, slope = jax.jvp(last, (jnp.asarray(1.0),), (jnp.asarray(1.0),))
    np.testing.assert_allclose(value, (1 - 1.99 / 2) ** 2, rtol=1e-2)
    np.testing.assert_allclose(slope, -1.99 * (1 - 1.99 / 2), rtol=1e-2)


def test_a_fit_probes_by_itself():
    class Reaction(eqx.Module):
        rates: jax.Array

        def __call__(self, t, y, inputs):
            return jnp.stack(robertson(t, y, self.rates * ROBERTSON))

    ode = lhx.ODE(
        Reaction(lhx.positive([1.3, 0.8, 0.9])),
        [1.0, 0.0, 0.0],
        t0=0.0,
        solver="auto",
        observe=lambda t, y: y[::2],
        max_steps=2000,
    )
    data = lhx.Experiment(LATE, by_radau(np.ones(3))[:, ::2])
    fit = lhx.fit(lhx.NLL(), lhx.Predictor(ode, lhx.likelihoods.Normal(1e-3)), data)
    assert fit.success
    assert fit.failed_solves == 0
    assert fit.problem.predictor.model.implicit_first
    assert abs(fit.estimates["rates"][0] - 1) < 1e-3


# ---------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Series([0.0], [1.0]), "Series: times of shape (1,): a vector of at least 2 times"),
        (lambda: Series([0.0, 1.0], [1.0]), "Series: values of shape (1,) for 2 times"),
        (
            lambda: Series([1.0, 0.0], [1.0, 2.0]),
            "times[1] = 0.0 does not come after times[0] = 1.0",
        ),
        (lambda: Series([0.0, 1.0], [1.0, np.nan]), "Series: values[1] is nan: it must be finite"),
        (lambda: Series([0.0, 1.0], [1.0, 2.0], kind="spline"), 'kind is "linear" or "cubic"'),
        (lambda: Steps([0.0, np.inf], [1.0, 2.0]), "Steps: times[1] is inf"),
        (lambda: Steps([0.0, 0.0], [1.0, 2.0]), "times[1] = 0.0 does not come after"),
        (lambda: Forcing(3.0), "3.0 is no function of time"),
        (lambda: Forcing(jnp.sin, [np.nan]), "jumps_at must be a vector of finite times"),
        (lambda: Doses([[1.0]], 1.0), "times of shape (1, 1)"),
        (lambda: Doses([1.0, 2.0], [1.0]), "amounts of shape (1,) for 2 times"),
        (lambda: Doses([1.0, np.nan], 1.0), "Doses: times[1] is nan"),
        (lambda: Doses([1.0], np.inf), "Doses: amounts is inf"),
        (lambda: Doses([1.0], 1.0, durations=-2.0), "durations[0] = -2.0 is negative"),
        (lambda: Doses([1.0], 1.0, durations=[1.0, 2.0]), "durations of shape (2,) for 1 times"),
        (lambda: Doses([1.0], 1.0, into=0.5), "into is 0.5"),
        (lambda: Doses([1.0], 1.0, into=-1), "into is -1"),
        (lambda: Resets([2.0, 1.0], jnp.sin), "times must be finite and increase"),
        (lambda: Resets([1.0], 3), "apply 3 is no function"),
        (lambda: Event(3), "when 3 is no function"),
        (lambda: Event(jnp.sin, 3), "apply 3 is no function"),
        (lambda: Event(jnp.sin, direction="left"), 'direction is "both", "up" or "down"'),
        (lambda: Event(jnp.sin, at_most=0), "at_most is 0"),
        (lambda: lhx.ODE(jnp.sin, 1.0, event=3), "unknown event 3"),
        (lambda: lhx.ODE(jnp.sin, 1.0, resets=3), "unknown resets 3"),
        (lambda: lhx.ODE(jnp.sin, 1.0, solver="stiff"), "unknown solver 'stiff'"),
    ],
)
def test_mistakes_are_named(make, message, as_a_user):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def fitted(inputs, times=TIMES, **options):
    ode = lhx.ODE(lambda t, y, inputs: -y, lhx.positive([1.0]), **options)
    data = lhx.Experiment(times, np.ones((len(times), 1)), inputs, name="subject 7")
    lhx.fit(lhx.NLL(), lhx.Predictor(ode, lhx.likelihoods.Normal(1.0)), data)


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (
            Doses([-1.0], 1.0),
            {},
            "subject 7: inputs has a dose at t = -1.0, before the solve begins",
        ),
        (
            {"u": Doses([2.0], 1.0)},
            {},
            "subject 7 has a bolus at t = 2.0, where something was measured",
        ),
        (
            (Series([0.0, 9.0], [1.0, 1.0]),),
            {},
            "subject 7: inputs[0] ends at t = 9.0, before the last",
        ),
        ((Series([1.0, 12.0], [1.0, 1.0]),), {}, "subject 7: inputs[0] begins at t = 1.0, after"),
        (Steps([1.0, 2.0], [1.0, 1.0]), {}, "subject 7: inputs begins at t = 1.0"),
        (
            None,
            {"resets": Resets([0.0], lambda t, y, u: y)},
            "a reset at t = 0.0 does not come after",
        ),
        (
            None,
            {"resets": Resets([1.0], lambda t, y, u: y[0])},
            "an event's apply returned f64[] for a state of f64[1]",
        ),
        (None, {"event": Event(lambda t, y, u: y)}, "when returned float64 of shape (1,)"),
    ],
)
def test_mistakes_that_a_fit_sees(inputs, options, message, as_a_user):
    with pytest.raises(ValueError, match=re.escape(message)):
        fitted(inputs, **options)


def test_a_smooth_curve_cannot_follow_doses():
    curve = Surrogate(Spline(TIMES[:5], np.ones((5, 1))), lhx.ODE(lambda t, y, u: -y, [1.0]))
    with pytest.raises(ValueError, match="a smooth curve cannot follow doses, resets and events"):
        curve.check(jnp.asarray(TIMES[:5]), Doses([0.3], 1.0), "subject 7")
