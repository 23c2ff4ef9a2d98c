"""Splines and surrogates of a trajectory against SciPy's."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chain import KNOTS, PEER, SPAN, STATES, WITHIN, Chain, Normal, chain_predictor, surrogate
from jax import Array
from scipy.interpolate import CubicSpline

import likelihax as lhx
from likelihax.models import Spline, Surrogate
from likelihax.terms import Collocation

# ------------------------------------------------------------------------------------- splines


@pytest.mark.parametrize("values", [STATES, STATES[:, 0]], ids=["vector", "number"])
def test_a_spline_is_scipys(values):
    spline, peer = Spline(KNOTS, values), CubicSpline(KNOTS, values)
    beyond = np.append(WITHIN, [-0.1, 3.2])
    at = jax.vmap(spline)(jnp.asarray(beyond))
    np.testing.assert_allclose(at, peer(beyond), atol=1e-12)
    slope = jax.vmap(lambda t: jax.jvp(spline, (t,), (jnp.ones_like(t),))[1])
    np.testing.assert_allclose(slope(jnp.asarray(beyond)), peer(beyond, 1), atol=1e-11)
    assert spline.span == (0.0, 3.0)


def test_a_spline_of_logarithms_stays_positive():
    values = np.exp(3 * STATES)
    spline = Spline(KNOTS, values, log=True)
    expected = np.exp(CubicSpline(KNOTS, np.log(values))(WITHIN))
    np.testing.assert_allclose(jax.vmap(spline)(jnp.asarray(WITHIN)), expected, rtol=1e-12)


def test_a_spline_keeps_the_dtype_of_its_values():
    spline = Spline(KNOTS, STATES.astype(np.float32))
    assert spline(jnp.asarray(0.7, np.float32)).dtype == np.float32


def test_what_a_spline_fits():
    def kinds(spline):
        leaves = jax.tree.leaves(spline, is_leaf=lambda x: isinstance(x, lhx.Parameter))
        return [leaf.trainable for leaf in leaves]

    assert kinds(Spline(KNOTS, STATES)) == [False, True, False]
    assert kinds(Spline(KNOTS, lhx.frozen(STATES))) == [False, False, False]
    np.testing.assert_allclose(
        Spline(KNOTS, STATES).values.scale[0], np.sqrt(np.mean(STATES**2, axis=0))
    )


@pytest.mark.parametrize(
    ("knots", "values", "options", "message"),
    [
        (KNOTS[:3], STATES[:3], {}, "at least 4 times"),
        (KNOTS[:, None], STATES, {}, "knots of shape"),
        (KNOTS[::-1], STATES, {}, r"knots\[1\] = 2.2 follows 3.0"),
        (KNOTS * np.nan, STATES, {}, "must be finite"),
        (KNOTS, STATES[:4], {}, r"values of shape \(4, 2\) for 7 knots"),
        (KNOTS, STATES, {"log": True}, r"values\[2, 0\] = -0.4.* has no logarithm"),
    ],
)
def test_a_spline_names_mistakes(knots, values, options, message):
    with pytest.raises(ValueError, match=message):
        Spline(knots, values, **options)


def test_a_surrogate_predicts_what_the_ode_would_observe():
    curve = surrogate(observe=lambda t, y: y[0] * y[1] + t)
    expected = PEER(WITHIN).prod(axis=1) + WITHIN
    np.testing.assert_allclose(curve(jnp.asarray(WITHIN)), expected, atol=1e-12)
    np.testing.assert_allclose(surrogate()(jnp.asarray(WITHIN)), PEER(WITHIN), atol=1e-12)


def test_only_the_curve_and_the_field_are_fitted():
    fit = lhx.fit(
        lhx.NLL() + Collocation(Normal(1.0)), lhx.Predictor(surrogate(), Normal(1.0)), SPAN
    )
    assert fit.success
    assert set(fit.estimates) == {"values", "lost", "gained"}


def test_back_to_the_ode():
    ode = surrogate(max_steps=77).as_ode()
    assert (ode.t0, ode.max_steps) == (0.0, 77)
    assert ode.initial.trainable
    np.testing.assert_allclose(ode.initial.value, STATES[0])
    later = surrogate(t0=0.25).as_ode()
    np.testing.assert_allclose(later.initial.value, PEER(0.25), atol=1e-12)
    assert later.t0 == 0.25
    assert surrogate(t0=0.25).as_ode(0.5).t0 == 0.5


def test_what_was_known_of_the_start_stays_known():
    field = lambda t, y, inputs: [-y[0], y[0]]
    curve = lambda t: [jnp.cos(t), jnp.sin(t) + 1]
    ode = lhx.ODE(field, (lhx.positive(9.0), lhx.frozen(8.0)), observe=lambda t, y: y[0])
    with pytest.raises(ValueError, match=r"the trajectory's state is .* let the trajectory return"):
        Surrogate(curve, ode).as_ode(0.0)
    back = Surrogate(lambda t: tuple(curve(t)), ode).as_ode(0.5)
    first, second = back.initial
    np.testing.assert_allclose(first.value, np.cos(0.5))
    assert (first.trainable, second.trainable, float(second.value)) == (True, False, 8.0)


def test_a_start_that_depends_on_the_inputs_comes_back_as_it_was():
    class Start(eqx.Module):
        dose: Array
        share: Array

        def __call__(self, inputs):
            return inputs * self.dose * self.share

    ode = lhx.ODE(lambda t, y, inputs: -y, Start(lhx.positive(2.0), jnp.asarray(0.5)))
    held = Surrogate(Spline(KNOTS, STATES[:, 1]), ode)
    trainable = lhx.objectives.Unknowns(lhx.Predictor(held, Normal(1.0)), lhx.NLL()).labels()
    assert [label.name for label in trainable] == ["values"]
    back = held.as_ode().initial
    assert back.dose.trainable
    assert isinstance(back.share, jax.Array)
    assert float(back.share) == 0.5


def test_a_surrogate_names_mistakes(as_a_user):
    with pytest.raises(ValueError, match="Chain is no ODE"):
        Surrogate(Spline(KNOTS, STATES), Chain(1.0, 1.0))
    with pytest.raises(ValueError, match="the trajectory 3 cannot be called"):
        Surrogate(3, chain_predictor().model)
    beyond = lhx.Experiment([0.0, 1.0, 3.5], np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"times\[2\] = 3.5 lies outside the spline's knots, from"):
        lhx.fit(
            lhx.NLL() + Collocation(Normal(1.0)), lhx.Predictor(surrogate(), Normal(1.0)), beyond
        )
    ode = lhx.ODE(Chain(1.0, 1.0), lhx.positive([1.0, 1.0]))
    with pytest.raises(ValueError, match=r"at t = 1.0 the trajectory is at .* outside the constr"):
        Surrogate(Spline(KNOTS, STATES), ode).as_ode(1.0)
    with pytest.raises(ValueError, match="it is not known when the ODE starts: say as_ode"):
        Surrogate(lambda t: jnp.ones(2), ode).as_ode()
