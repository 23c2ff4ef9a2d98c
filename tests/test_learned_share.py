"""How much the learned part carries: shares, their table, their picture."""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import likelihax as lhx
from likelihax.diagnostics import learned_share
from likelihax.models import Learned, Spline, Surrogate, freeze_learned, without_learned

# Each compiles fits of its own.
pytestmark = pytest.mark.slow

TIMES = np.linspace(0.0, 5.0, 12)
# Along every trajectory the learned part is what these make of it: no fit is needed for that.
SLOPE, OFFSET = 0.3, -0.2


def linear(slope, offset):
    """A learned part that is a straight line, so that SciPy can have the same one."""
    learned = Learned(1, 1, key=jax.random.key(0), width=2, activation=lambda x: x)
    hidden, last = learned.network.layers
    weights = lambda n: [x for layer in n.network.layers for x in (layer.weight, layer.bias)]
    values = [[[1.0], [0.0]], [0.0, 0.0], [[slope, 0.0]], [offset]]
    assert (hidden.weight.shape, last.weight.shape) == ((2, 1), (1, 2))
    return eqx.tree_at(weights, learned, [jnp.asarray(value) for value in values])


class Oscillator(eqx.Module):
    stiffness: jax.Array
    force: Learned

    def __call__(self, t, y, inputs):
        position, speed = y
        # Inside a product: what it contributes is not what it returns.
        more = 2.0 * self.force(speed[None])[0]
        return jnp.stack([speed, -self.stiffness * position - more])


def rates(t, y, k=1.5):
    return np.stack([y[1], -k * y[0]]), np.stack([0 * y[0], -2 * (SLOPE * y[1] + OFFSET)])


def scipy_trajectory(start, times):
    whole = lambda t, y: sum(rates(t, y))
    return solve_ivp(whole, (0, times[-1]), start, t_eval=times, rtol=1e-11, atol=1e-12).y


def scipy_share(starts, points, first=0.0):
    times = np.linspace(first, 5, points)
    parts = [rates(times, scipy_trajectory(start, times)) for start in starts]
    known, learned = (np.mean([np.abs(p[i]).mean(1) for p in parts], axis=0) for i in (0, 1))
    return learned / (known + learned)


def predictor(initial=(1.0, 0.0)):
    field = Oscillator(lhx.positive(1.5), freeze_learned(linear(SLOPE, OFFSET)))
    return lhx.Predictor(lhx.ODE(field, initial, t0=0.0), lhx.likelihoods.Normal(scale=0.1))


def measured(start=(1.0, 0.0), **options):
    return lhx.Experiment(TIMES[1:], scipy_trajectory(start, TIMES).T[1:], **options)


def several():
    each = [measured((a, 0.0), inputs=jnp.asarray([a, 0.0]), name=f"a={a}") for a in (0.5, 3.0)]
    return lhx.Experiments(each)


@pytest.fixture(scope="module")
def fitted():
    return lhx.fit(lhx.NLL(), predictor(), measured())


@pytest.fixture(scope="module")
def fitted_to_several():
    return lhx.fit(lhx.NLL(), predictor(lambda inputs: inputs), several())


def test_the_share_is_scipys(fitted):
    share = learned_share(fitted)
    expected = scipy_share([(1.0, 0.0)], 400)
    assert expected[0] == 0
    assert 0.2 < expected[1] < 0.5
    np.testing.assert_allclose(share.shares, expected, rtol=1e-5)
    assert share.overall == pytest.approx(expected[1], rel=1e-5)  # the one that it enters
    assert share.components == ("y[0]", "y[1]")
    part = share.parts["experiment"]
    known, learned = rates(part.times, scipy_trajectory((1.0, 0.0), np.asarray(part.times)))
    np.testing.assert_allclose(part.known.T, known, atol=1e-5)
    np.testing.assert_allclose(part.learned.T, learned, atol=1e-5)
    # From where the solve begins, which is before the first measured value.
    assert part.times[0] == 0
    assert part.times[-1] == 5


def test_of_several_experiments_each_its_own(fitted_to_several):
    share = learned_share(fitted_to_several, points=50)
    each = [scipy_share([(a, 0.0)], 50) for a in (0.5, 3.0)]
    np.testing.assert_allclose(list(share.by_experiment.values()), each, rtol=1e-5)
    together = scipy_share([(0.5, 0.0), (3.0, 0.0)], 50)
    np.testing.assert_allclose(share.shares, together, rtol=1e-5)
    assert each[1][1] < together[1] < each[0][1]
    printed = repr(share)
    percent = lambda x: f"{100 * x:.2g} %"
    last = f"y[1]: from {percent(each[1][1])} in a=3.0 to {percent(each[0][1])} in a=0.5"
    assert printed.splitlines()[-1] == last
    assert "y[0]: from" not in printed


def test_the_table(fitted):
    share = learned_share(fitted)
    of_speed = f"{100 * share.shares[1]:.2g} %"
    first, header, position, speed = repr(share).splitlines()
    assert first == f"Learned share of the rates of change: {of_speed}"
    assert header.split() == ["component", "mean", "|known|", "mean", "|learned|", "share"]
    assert position.split()[-3:] == ["0", "0", "%"]
    assert speed.endswith(of_speed)
    assert float(speed.split()[1]) == pytest.approx(
        np.abs(np.asarray(share.parts["experiment"].known)[:, 1]).mean(), rel=1e-3
    )


def test_a_fit_says_it_in_one_line(fitted, fitted_to_several):
    for fit in (fitted, fitted_to_several):
        of_speed = f"{100 * learned_share(fit, points=200).overall:.2g} %"
        line = f"learned part: {of_speed} of the rates of change (y[0] 0 %, y[1] {of_speed})"
        assert line in repr(fit).splitlines()


def test_what_is_switched_off_has_no_share():
    fit = lhx.fit(lhx.NLL(), without_learned(predictor()), measured())
    share = learned_share(fit)
    assert share.overall == 0
    assert np.all(share.shares == 0)
    assert "learned part: 0 % of the rates of change (y[0] 0 %, y[1] 0 %)" in repr(fit)


class Named(eqx.Module):
    factor: Learned

    def __call__(self, t, y, inputs):
        grown = -y["a"] * self.factor(y["b"][:1])[0]
        return {"a": grown, "b": jnp.stack([0.0 * y["a"], y["a"]])}


def test_states_of_several_arrays_are_named():
    start = {"a": 1.0, "b": jnp.asarray([2.0, 3.0])}
    ode = lhx.ODE(Named(linear(0.0, 1.0)), start, t0=0.0)
    found = lhx.models._contributions.contributions(
        ode, jnp.asarray(0.0), jnp.linspace(0.0, 1.0, 3)
    )
    assert found.names == ("y['a']", "y['b'][0]", "y['b'][1]")
    np.testing.assert_allclose(found.known[0], [0.0, 0.0, 1.0])
    np.testing.assert_allclose(found.learned[0], [-1.0, 0.0, 0.0])


def test_along_a_surrogate():
    knots = np.linspace(0.0, 5.0, 12)
    curve = Spline(knots, scipy_trajectory((1.0, 0.0), knots).T)
    model = Surrogate(curve, predictor().model)
    fit = lhx.fit(lhx.NLL(), lhx.Predictor(model, lhx.likelihoods.Normal(scale=0.1)), measured())
    share = learned_share(fit)
    # From the first measured value on: a curve need not be known before it.
    expected = scipy_share([(1.0, 0.0)], 400, first=TIMES[1])
    np.testing.assert_allclose(share.shares, expected, atol=0.01)
    assert "learned part: " in repr(fit)


def test_a_model_that_cannot_be_solved_is_no_error():
    blown_up = lhx.ODE(lambda t, y, u: y, [1.0, 0.0], t0=0.0, max_steps=2)
    start = predictor()
    stuck = eqx.tree_at(lambda p: p.model, start, blown_up._with(field=start.model.field))
    fit = lhx.fit(lhx.NLL(), start, measured())
    object.__setattr__(fit, "predictor", stuck)
    assert "its share is not known, as the model could not be solved" in repr(fit)
    assert "not known, as the model could not be solved" in repr(learned_share(fit))
    with pytest.raises(ValueError, match="learned: the model cannot be solved at the estimates"):
        lhx.plot.learned(fit)


def test_mistakes_are_named(fitted):
    def field(t, y, inputs):
        return jnp.stack([y[1], -y[0]])

    model = lhx.ODE(field, lhx.real([1.0, 0.0]), t0=0.0)
    plain = lhx.fit(lhx.NLL(), lhx.Predictor(model, lhx.likelihoods.Normal(scale=0.1)), measured())
    with pytest.raises(ValueError, match=r"has a likelihax.models.Learned in it"):
        learned_share(plain)
    assert "learned part" not in repr(plain)
    with pytest.raises(ValueError, match="1 points are too few"):
        learned_share(fitted, points=1)


def test_the_picture(fitted, fitted_to_several):
    figure = lhx.plot.learned(fitted, points=50)
    assert [axis.get_ylabel() for axis in figure.axes] == ["rate of y[0]", "rate of y[1]"]
    share = learned_share(fitted, points=50)
    titles = [axis.get_title(loc="right") for axis in figure.axes]
    assert titles == ["learned 0 %", f"learned {100 * share.shares[1]:.2g} %"]
    drawn = {line.get_label(): line.get_ydata() for line in figure.axes[1].lines}
    part = share.parts["experiment"]
    np.testing.assert_array_equal(drawn["learned"], part.learned[:, 1])
    np.testing.assert_array_equal(drawn["known"], part.known[:, 1])
    np.testing.assert_allclose(drawn["total"], drawn["known"] + drawn["learned"])
    figure = lhx.plot.learned(fitted_to_several, points=50)
    assert len(figure.axes) == 4
    assert figure.axes[0].get_title(loc="right") == "a=0.5, learned 0 %"
    assert [axis.get_xlabel() for axis in figure.axes] == ["", "", "time", "time"]
    plt.close("all")
