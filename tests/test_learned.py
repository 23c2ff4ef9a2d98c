"""The learned part of a vector field: where it begins, its gradient, its switches."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import likelihax as lhx
from likelihax._parameters import pack, trainable_size, unpack
from likelihax.models import (
    Hybrid,
    Learned,
    freeze_learned,
    thaw_learned,
    with_learned,
    without_learned,
)
from likelihax.models._learned import has_learned

TIMES = np.linspace(0.0, 4.0, 15)


def perturbed(tree, key, size=0.3):
    """The same tree, every weight of a learned part moved, the last layer's away from zero."""
    vector = pack(tree)
    return unpack(vector + size * jax.random.normal(key, vector.shape, vector.dtype), tree)


def awake(learned, key):
    arrays, rest = eqx.partition(learned, eqx.is_inexact_array)
    return eqx.combine(perturbed(arrays, key), rest)


class Pendulum(eqx.Module):
    """Gravity is known; the friction, of angle and speed, is learned."""

    stiffness: jax.Array
    friction: Learned

    def __call__(self, t, y, inputs):
        force = self.friction(y)
        return jnp.stack([y[1], -self.stiffness * jnp.sin(y[0]) - force[0]])


def pendulum(key, **options):
    return Pendulum(lhx.positive(2.0), Learned(2, 1, key=key, width=8, **options))


def physics_alone(stiffness=2.0, friction=0.0):
    field = lambda t, y: [y[1], -stiffness * np.sin(y[0]) - friction * y[1]]
    return solve_ivp(field, (0, 4), [1.0, 0.0], t_eval=TIMES, rtol=1e-11, atol=1e-12).y.T


def by_hand(learned, x, c=0.0, s=1.0, out=1.0, activation=np.tanh):
    """The formula, in NumPy."""
    *hidden, last = learned.network.layers
    x = (x - c) / s
    for layer in hidden:
        x = activation(np.asarray(layer.weight) @ x + np.asarray(layer.bias))
    return out * (np.asarray(last.weight) @ x + np.asarray(last.bias))


# --------------------------------------------------------------------------------------- Learned


@pytest.mark.parametrize("depth", [1, 2])
def test_it_is_the_formula(getkey, depth):
    options = {"centre": [0.5, -1.0], "scale": [2.0, 0.1], "output_scale": [3.0, 7.0, 0.2]}
    learned = awake(Learned(2, 3, key=getkey(), width=5, depth=depth, **options), getkey())
    x = np.array([0.3, -0.9])
    assert len(learned.network.layers) == depth + 1
    expected = by_hand(learned, x, *(np.asarray(each) for each in options.values()))
    np.testing.assert_allclose(learned(jnp.asarray(x)), expected, rtol=1e-14)
    assert np.all(np.abs(expected) > 1e-3)


def test_another_activation(getkey):
    learned = awake(Learned(1, 1, key=getkey(), activation=jnp.sin), getkey())
    expected = by_hand(learned, np.array([0.4]), activation=np.sin)
    np.testing.assert_allclose(learned(jnp.asarray([0.4])), expected, rtol=1e-13)


def test_a_fit_begins_at_the_physics_exactly(getkey):
    with_it = lhx.ODE(pendulum(getkey()), [1.0, 0.0])
    times = jnp.asarray(TIMES)
    without = lhx.ODE(lambda t, y, u: jnp.stack([y[1], -2.0 * jnp.sin(y[0])]), [1.0, 0.0])
    assert np.array_equal(with_it(times), without(times))
    np.testing.assert_allclose(with_it(times), physics_alone(), atol=1e-6)


def test_the_last_layer_moves_first(getkey):
    predictor = lhx.Predictor(
        lhx.ODE(pendulum(getkey()), [1.0, 0.0]), lhx.likelihoods.Normal(scale=0.1)
    )
    data = lhx.Experiment(TIMES, physics_alone(friction=0.4))
    gradient = eqx.filter_grad(lambda p: lhx.NLL()(p, data))(predictor)
    hidden, last = gradient.model.field.friction.network.layers
    assert np.all(np.abs(last.weight) > 1e-2)
    assert np.all(np.abs(last.bias) > 1e-2)
    assert np.all(hidden.weight == 0)
    assert np.all(hidden.bias == 0)


def test_what_is_fitted(getkey):
    learned = Learned(2, 1, key=getkey(), width=8)
    assert trainable_size(learned) == 8 * 2 + 8 + 8 + 1
    assert learned.network.layers[0].weight.dtype == jnp.float64
    assert Learned(2, 1, key=getkey(), dtype=jnp.float32)(jnp.zeros(2, jnp.float32)).dtype == (
        jnp.float32
    )


def test_another_key_draws_other_weights():
    first, again, other = (Learned(2, 1, key=jax.random.key(k)) for k in (0, 0, 1))
    weights = lambda learned: np.asarray(learned.network.layers[0].weight)
    assert np.array_equal(weights(first), weights(again))
    assert not np.any(weights(first) == weights(other))
    assert np.any(weights(Learned(2, 1, key=jax.random.PRNGKey(0))))


KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Learned(0, 1, key=KEY), "in_size is 0: it must be a whole number, at least 1"),
        (lambda: Learned(1, 1.5, key=KEY), "out_size is 1.5"),
        (lambda: Learned(1, True, key=KEY), "out_size is True"),
        (lambda: Learned(1, 1, key=KEY, width=-2), "width is -2"),
        (lambda: Learned(1, 1, key=KEY, depth=0), "depth is 0"),
        (lambda: Learned(1, 1), r"give one random key, key=jax.random.key\(0\)"),
        (lambda: Learned(1, 1, key=7), "the key is 7"),
        (lambda: Learned(1, 1, key=jax.random.split(KEY)), "the key is "),
        (lambda: Learned(1, 1, key=KEY, activation="tanh"), "'tanh' is no function"),
        (lambda: Learned(2, 1, key=KEY, centre=[1.0, 2.0, 3.0]), r"centre has shape \(3,\)"),
        (lambda: Learned(2, 1, key=KEY, centre=[1.0, np.nan]), "centre is .* must be finite"),
        (lambda: Learned(2, 1, key=KEY, scale=[1.0, 0.0]), "scale is .* must be positive"),
        (lambda: Learned(2, 1, key=KEY, output_scale=-1.0), "output_scale is -1.0"),
        (lambda: Learned(2, 1, key=KEY)(jnp.zeros(3)), r"takes one array of shape \(2,\)"),
        (lambda: Learned(1, 1, key=KEY)(jnp.zeros(())), r"called with f64\[\]"),
        (lambda: Learned(2, 1, key=KEY)([0.0, 1.0]), r"jnp.stack\(\[...\]\) of 2 numbers"),
        (lambda: Learned(2, 1, key=KEY)(jnp.zeros(2, jnp.float32)), "dtype=jnp.float32"),
        (lambda: Hybrid(3.0, Learned(1, 1, key=KEY)), "the known part 3.0 is no function"),
        (lambda: Hybrid(decay, decay), "of type function: give likelihax.models.Learned"),
        (lambda: Hybrid(decay, Learned(1, 1, key=KEY), sees=0), "sees is 0"),
        (
            lambda: Hybrid(decay, Learned(2, 1, key=KEY))(0.0, jnp.zeros(2), None),
            r"returned f64\[2\] where the learned part has 1 outputs",
        ),
    ],
)
def test_mistakes_are_named(make, message, as_a_user):
    with pytest.raises(ValueError, match=message):
        make()


# ---------------------------------------------------------------------------------------- Hybrid


def decay(t, y, inputs):
    return -0.5 * y


def test_a_hybrid_is_the_sum(getkey):
    learned = awake(Learned(2, 2, key=getkey()), getkey())
    y = jnp.asarray([1.0, 0.3])
    np.testing.assert_allclose(
        Hybrid(decay, learned)(0.0, y, None), -0.5 * y + by_hand(learned, y), rtol=1e-14
    )
    seeing = awake(Learned(1, 2, key=getkey()), getkey())
    hybrid = Hybrid(decay, seeing, sees=lambda t, y, inputs: y[1:] * inputs)
    expected = -0.5 * y + by_hand(seeing, np.asarray([0.6]))
    np.testing.assert_allclose(hybrid(0.0, y, 2.0), expected, rtol=1e-14)


# -------------------------------------------------------------------------------------- switches


def test_switched_off_it_is_zero_and_nothing_else_changes(getkey):
    field = eqx.tree_at(lambda f: f.friction, pendulum(getkey()), awake_friction(getkey))
    y = jnp.asarray([0.7, -0.4])
    off = without_learned(field)
    share = lhx.resolve(field)(0.0, y, None) - lhx.resolve(off)(0.0, y, None)
    np.testing.assert_allclose(share, [0.0, -by_hand(field.friction, y)[0]], rtol=1e-13)
    assert off.friction(y).shape == (1,)
    assert off.friction(y).dtype == jnp.float64
    assert np.all(off.friction(y) == 0)
    assert eqx.tree_equal(pack(off), pack(field))
    assert eqx.tree_equal(with_learned(off), field)
    assert not eqx.tree_equal(off, field)
    assert has_learned(off)
    assert has_learned({"a": (field,)})
    assert not has_learned(decay)


def awake_friction(getkey):
    return awake(Learned(2, 1, key=getkey(), width=8), getkey())


def test_a_switch_is_no_parameter_and_what_is_off_gets_no_gradient(getkey):
    field = eqx.tree_at(lambda f: f.friction, pendulum(getkey()), awake_friction(getkey))
    assert trainable_size(without_learned(field)) == trainable_size(field)
    speed = lambda field: lhx.resolve(field)(0.0, jnp.asarray([0.7, -0.4]), None)[1]
    gradient = eqx.filter_grad(speed)(without_learned(field))
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(gradient.friction))
    gradient = eqx.filter_grad(speed)(field)
    assert np.all(gradient.friction.network.layers[1].weight != 0)


def test_frozen_weights_are_no_longer_fitted(getkey):
    field = eqx.tree_at(lambda f: f.friction, pendulum(getkey()), awake_friction(getkey))
    frozen = freeze_learned(field)
    y = jnp.asarray([0.7, -0.4])
    assert trainable_size(frozen) == 1
    np.testing.assert_array_equal(frozen.friction(y), field.friction(y))
    assert eqx.tree_equal(thaw_learned(frozen), field)
    assert eqx.tree_equal(freeze_learned(frozen), frozen)
    # In any order with the switch, as a fit by stages needs it.
    both = without_learned(freeze_learned(field))
    assert eqx.tree_equal(with_learned(thaw_learned(both)), field)


@pytest.mark.slow
def test_physics_first_by_hand(getkey):
    """A fit of the physics alone, then of both: what a strategy does."""
    data = lhx.Experiment(TIMES, physics_alone(stiffness=3.0, friction=0.4))
    predictor = lhx.Predictor(
        lhx.ODE(pendulum(getkey()), [1.0, 0.0]), lhx.likelihoods.Normal(scale=0.1)
    )
    alone = lhx.fit(lhx.NLL(), freeze_learned(without_learned(predictor)), data)
    assert [label.name for label in alone.labels] == ["stiffness"]
    assert alone.success
    start = with_learned(thaw_learned(alone.predictor))
    assert float(lhx.NLL()(start, data)) == pytest.approx(alone.nll, abs=1e-8)
    both = lhx.fit(lhx.NLL(), start, data)
    least = -len(TIMES) * 2 * np.log(1 / (0.1 * np.sqrt(2 * np.pi)))
    assert alone.nll > least + 40
    assert both.nll < least + 0.1


# ------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_gradients_agree_with_central_differences(getkey, mode):
    """To 1e-6 of each, in every weight, away from the start where most are zero."""
    learned = Learned(
        2, 1, key=getkey(), width=5, depth=2, centre=0.1, scale=[0.7, 1.5], output_scale=0.5
    )
    field = Pendulum(lhx.positive(2.0), awake(learned, getkey()))
    model = lhx.ODE(field, [1.0, 0.0], rtol=1e-11, atol=1e-12)
    predictor = lhx.Predictor(model, lhx.likelihoods.Normal(lhx.positive(0.3)))
    predictor = predictor.differentiated(mode)
    data = lhx.Experiment(TIMES, physics_alone(friction=0.4))
    start = pack(predictor)
    nll = jax.jit(lambda vector: lhx.NLL()(unpack(vector, predictor), data))
    differentiate = jax.grad if mode == "reverse" else jax.jacfwd
    gradient = np.asarray(jax.jit(differentiate(nll))(start))
    assert gradient.size == 2 + (2 * 5 + 5) + (5 * 5 + 5) + (5 + 1)
    for i, exact in enumerate(gradient):
        # Richardson's extrapolation: two steps, so that what is left of the error is h^4.
        central = lambda h, i=i: (nll(start.at[i].add(h)) - nll(start.at[i].add(-h))) / (2 * h)
        numeric = (4 * central(5e-4) - central(1e-3)) / 3
        np.testing.assert_allclose(exact, numeric, rtol=1e-6, atol=0)
    assert np.abs(gradient).min() > 0
