"""The ODE model against closed forms and SciPy."""

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from scipy.integrate import solve_ivp

import likelihax as lhx

TIMES = jnp.linspace(0.0, 3.0, 13)


class Oscillator(eqx.Module):
    stiffness: Array = lhx.positive(4.0)
    damping: Array = lhx.positive(0.3)

    def __call__(self, t, y, inputs):
        force = 0.0 if inputs is None else inputs * jnp.sin(t)
        return jnp.stack([y[1], force - self.stiffness * y[0] - self.damping * y[1]])


def by_scipy(stiffness, damping, initial, times, force=0.0):
    field = lambda t, y: [y[1], force * np.sin(t) - stiffness * y[0] - damping * y[1]]
    options = {"t_eval": np.asarray(times), "rtol": 1e-12, "atol": 1e-13, "method": "DOP853"}
    return solve_ivp(field, (0.0, float(times[-1])), initial, **options).y.T


def test_values_against_scipy():
    model = lhx.ODE(Oscillator(), [1.0, 0.0])
    np.testing.assert_allclose(model(TIMES), by_scipy(4.0, 0.3, [1, 0], TIMES), atol=2e-6)


def test_forcing_and_a_clock_that_starts_elsewhere():
    model = lhx.ODE(Oscillator(), [1.0, 0.0], t0=0.0, rtol=1e-10, atol=1e-12)
    later = TIMES[4:]
    expected = by_scipy(4.0, 0.3, [1, 0], later, force=2.0)
    np.testing.assert_allclose(model(later, jnp.asarray(2.0)), expected, atol=1e-8)


def test_initial_state_as_function_and_as_pytree():
    def field(t, y, inputs):
        return {"a": -y["a"], "b": y["a"]}

    model = lhx.ODE(
        field,
        lambda inputs: {"a": inputs, "b": jnp.zeros(())},
        observe=lambda t, y: jnp.stack([y["a"], y["b"], t]),
    )
    decayed = 3.0 * np.exp(-np.asarray(TIMES))
    expected = np.stack([decayed, 3.0 - decayed, TIMES], axis=1)
    np.testing.assert_allclose(model(TIMES, jnp.asarray(3.0)), expected, atol=1e-6)
    with pytest.raises(ValueError, match="2 arrays, so say what is measured"):
        lhx.ODE(field, {"a": 1.0, "b": 0.0})(TIMES)


@pytest.mark.parametrize(
    "solver", [None, dfx.Dopri8(), dfx.Kvaerno5()], ids=["default", "dopri8", "kvaerno5"]
)
def test_solvers_agree(solver):
    model = lhx.ODE(Oscillator(), [1.0, 0.0], solver=solver)
    np.testing.assert_allclose(model(TIMES), by_scipy(4.0, 0.3, [1, 0], TIMES), atol=5e-6)


def test_default_solver_follows_the_tolerance():
    for rtol, expected in ((1e-7, dfx.Tsit5), (1e-10, dfx.Dopri8)):
        ode = lhx.ODE(Oscillator(), [1.0, 0.0], rtol=rtol)
        (solver,) = ode._solving(np.dtype(float), jnp.asarray(1.0)).solvers
        assert type(solver) is expected


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_derivatives_against_scipy_differences(mode):
    def last(values):
        field = Oscillator(values[0], values[1])
        model = lhx.ODE(field, lhx.frozen(values[2:]), rtol=1e-10, atol=1e-12)
        return model.differentiated(mode)(TIMES)[-1, 0]

    point = jnp.asarray([4.0, 0.3, 1.0, 0.5])
    found = jax.jacfwd(last)(point) if mode == "forward" else jax.grad(last)(point)
    for i in range(4):
        step = 1e-4 * np.eye(4)[i]
        ends = [np.asarray(point) + sign * step for sign in (1, -1)]
        high, low = (by_scipy(p[0], p[1], p[2:], TIMES)[-1, 0] for p in ends)
        assert found[i] == pytest.approx((high - low) / 2e-4, rel=1e-6, abs=1e-8)


def test_a_failed_solve_is_a_value():
    model = lhx.ODE(lambda t, y, inputs: y**2, 1.0)
    times = jnp.linspace(0.0, 3.0, 14)
    simulation = jax.jit(lambda times: model.simulate(times))(times)
    assert not bool(simulation.success)
    assert np.isinf(np.asarray(simulation.values)).all()
    # The closed form, 1 / (1 - t), ends at 1; the last time asked for before that is 12/13.
    assert float(simulation.time_reached) == pytest.approx(12 / 13)


def test_float32_where_asked():
    times = TIMES.astype(jnp.float32)
    single = Oscillator(lhx.positive(np.float32(4.0)), lhx.positive(np.float32(0.3)))
    found = lhx.ODE(single, np.asarray([1.0, 0.0], np.float32))(times)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, by_scipy(4.0, 0.3, [1, 0], TIMES), atol=3e-3)
