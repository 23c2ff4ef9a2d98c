"""Terms on the learned part: its size, and what of it the known part could say."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

import likelihax as lhx
from likelihax.fits._share import share_along
from likelihax.models import Learned, Spline, Surrogate, without_learned
from likelihax.terms import LearnedOverlap, LearnedSize

# Each compiles fits of its own.
pytestmark = pytest.mark.slow

TIMES = np.linspace(0.0, 4.0, 21)
SLOPE, OFFSET = -0.4, 0.15


def straight(slope, offset):
    """A learned part that is a straight line of its input, so that SciPy can have it, too."""
    learned = Learned(1, 1, key=jax.random.key(0), width=1, activation=lambda x: x)
    weights = lambda n: [x for layer in n.network.layers for x in (layer.weight, layer.bias)]
    values = [[[1.0]], [0.0], [[slope]], [offset]]
    return eqx.tree_at(weights, learned, [jnp.asarray(value) for value in values])


class Decay(eqx.Module):
    """One decays and feeds the other, which is lost; in its rate something is learned."""

    decay: jax.Array
    loss: jax.Array
    idle: jax.Array
    learned: Learned | None

    def __call__(self, t, y, inputs):
        fed = self.decay * y[0]
        more = 0.0 * fed if self.learned is None else self.learned(y[1:])[0]
        return jnp.stack([-fed, fed - self.loss * y[1] + more])


def predictor(learned=None, **options):
    learned = straight(SLOPE, OFFSET) if learned is None else learned
    field = Decay(lhx.positive(0.8), lhx.positive(0.3), lhx.real(1.0), learned)
    return lhx.Predictor(
        lhx.ODE(field, [2.0, 0.5], t0=0.0, **options), lhx.likelihoods.Normal(scale=0.1)
    )


def scipy_states(times, decay=0.8, loss=0.3, slope=SLOPE, offset=OFFSET):
    field = lambda t, y: [-decay * y[0], decay * y[0] - loss * y[1] + slope * y[1] + offset]
    end = max(times[-1], 1e-9)
    return solve_ivp(field, (0, end), [2.0, 0.5], t_eval=times, rtol=1e-11, atol=1e-12).y


def measured():
    noise = 0.1 * np.random.default_rng(0).standard_normal((len(TIMES), 2))
    return lhx.Experiment(TIMES, scipy_states(TIMES, slope=-0.1).T + noise)


def parts(times):
    y = scipy_states(times)
    learned = np.stack([0 * y[0], SLOPE * y[1] + OFFSET])
    known = np.stack([-0.8 * y[0], 0.8 * y[0] - 0.3 * y[1]])
    return y, known, learned


def value(term, model=None):
    return float(term(predictor() if model is None else model, measured()))


def both(p):
    return [p.model.field.decay, p.model.field.loss]


# ------------------------------------------------------------------------------------------ size


@pytest.mark.parametrize("scale", [None, 0.5, [3.0, 0.2]])
def test_the_size_is_the_mean_square(scale):
    _, known, learned = parts(TIMES)
    whole = np.sqrt(np.mean((known + learned) ** 2, axis=1))
    size = whole if scale is None else np.broadcast_to(scale, (2,))
    expected = 0.5 * np.sum(np.mean((learned / size[:, None]) ** 2, axis=1))
    assert value(LearnedSize(scale=scale)) == pytest.approx(expected, rel=1e-5)


def test_its_times_may_be_its_own():
    for times, term in (
        (np.array([0.5, 3.0]), LearnedSize(scale=1.0, times=[0.5, 3.0])),
        (np.linspace(0, 4, 9), LearnedSize(scale=1.0, times=9)),
    ):
        expected = 0.5 * np.mean(parts(times)[2][1] ** 2)
        assert value(term) == pytest.approx(expected, rel=1e-5)


def test_where_nothing_is_learned_yet_both_are_zero_and_have_gradients():
    fresh = predictor(Learned(1, 1, key=jax.random.key(1), width=3))
    for term in (LearnedSize(), LearnedOverlap(both)):
        assert value(term, fresh) == 0
        assert value(term, without_learned(predictor())) == 0
        gradient = eqx.filter_grad(lambda p, term=term: term(p, measured()))(predictor())
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


class Resting(eqx.Module):
    learned: Learned

    def __call__(self, t, y, inputs):
        return jnp.stack([0.0 * y[0], self.learned(y[1:])[0]])


def test_a_component_that_rests_is_no_trouble():
    model = lhx.ODE(Resting(straight(SLOPE, OFFSET)), [2.0, 0.5], t0=0.0)
    resting = lhx.Predictor(model, lhx.likelihoods.Normal(scale=0.1))
    assert value(LearnedSize(), resting) == pytest.approx(0.5, rel=1e-12)
    gradient = eqx.filter_grad(lambda p: LearnedSize()(p, measured()))(resting)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize(
    "term",
    [LearnedSize(), LearnedSize(scale=0.3), LearnedOverlap(both), LearnedOverlap(both, scale=0.3)],
    ids=lambda term: f"{term.title}, {'relative' if term.scale is None else 'in units'}",
)
def test_gradient_and_curvature_agree_with_differences(term):
    """The rows of the linearisation, by central differences of what is squared."""
    from likelihax.fits._prepare import prepare

    model = predictor(rtol=1e-10, atol=1e-12)
    _, problem = prepare(lhx.NLL() + 3.0 * term, model, measured(), lhx.LevenbergMarquardt())
    _, alone = prepare(lhx.NLL(), model, measured(), lhx.LevenbergMarquardt())
    start = problem.start()
    total = jax.jit(lambda theta: problem.value(theta)[0])
    numeric = [
        (total(start.at[i].add(1e-5)) - total(start.at[i].add(-1e-5))) / 2e-5
        for i in range(start.size)
    ]
    found, nll_only = (
        jax.jit(lambda theta, each=each: each.linearise(theta))(start) for each in (problem, alone)
    )
    np.testing.assert_allclose(found.outcome.gradient, numeric, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.rows.T @ found.residual, numeric, rtol=1e-5, atol=1e-6)
    more = found.rows.T @ found.rows - nll_only.rows.T @ nll_only.rows
    numbers = jax.jit(lambda theta: _numbers(problem, term, theta))
    jacobian = np.stack(
        [
            (numbers(start.at[i].add(1e-5)) - numbers(start.at[i].add(-1e-5))) / 2e-5
            for i in range(start.size)
        ]
    )
    np.testing.assert_allclose(more, 3.0 * jacobian @ jacobian.T, rtol=1e-4, atol=1e-6)


def _numbers(problem, term, theta):
    from likelihax._parameters import unpack

    at = lhx.resolve(unpack(theta, problem.unknowns)).predictor
    return term.observations(at, measured())[0].outputs[0]


def test_the_smallest_rest_leaves_to_physics_what_physics_can_say():
    """A learned straight line can be the loss itself: only the size says whose it is."""
    fit = lhx.fit(lhx.NLL() + 100.0 * LearnedSize(scale=1.0), predictor(), measured())
    assert fit.success
    assert fit.breakdown["LearnedSize"] < 0.01 * 100 * value(LearnedSize(scale=1.0))

    def cost(theta):
        decay, loss, slope, offset = theta
        y = scipy_states(TIMES, decay, loss, slope, offset)
        nll = 0.5 * np.sum(((np.asarray(measured().values).T - y) / 0.1) ** 2)
        return nll + 100 * 0.5 * np.mean((slope * y[1] + offset) ** 2)

    best = minimize(cost, [0.8, 0.4, 0.0, 0.0], method="BFGS").x
    np.testing.assert_allclose(fit.estimates["decay"], best[0], rtol=1e-3)
    np.testing.assert_allclose(fit.estimates["loss"], best[1], rtol=1e-2)


# --------------------------------------------------------------------------------------- overlap


def scipy_overlap(columns, size=1.0):
    """By NumPy's least squares: how much of the learned rates the columns can say."""
    _, _, learned = parts(TIMES)
    target = (learned / np.reshape(size, (-1, 1))).ravel()
    matrix = np.stack([(c / np.reshape(size, (-1, 1))).ravel() for c in columns], axis=1)
    said = matrix @ np.linalg.lstsq(matrix, target, rcond=None)[0]
    return 0.5 * np.sum(said**2) / len(TIMES)


def columns():
    y = scipy_states(TIMES)
    return [np.stack([-y[0], y[0]]), np.stack([0 * y[0], -y[1]])]


@pytest.mark.parametrize("scale", [None, 1.0, [3.0, 0.2]])
def test_the_overlap_is_a_projection(scale):
    _, known, learned = parts(TIMES)
    whole = np.sqrt(np.mean((known + learned) ** 2, axis=1))
    size = whole if scale is None else np.broadcast_to(scale, (2,))
    expected = scipy_overlap(columns(), size)
    assert value(LearnedOverlap(both, scale=scale)) == pytest.approx(expected, rel=1e-5)
    assert 0 < expected < value(LearnedSize(scale=scale))


def test_one_direction_alone_and_those_that_add_nothing():
    loss = lambda p: p.model.field.loss
    expected = scipy_overlap(columns()[1:])
    assert value(LearnedOverlap(loss, scale=1.0)) == pytest.approx(expected, rel=1e-5)
    idle = lambda p: [p.model.field.loss, p.model.field.idle]
    assert value(LearnedOverlap(idle, scale=1.0)) == pytest.approx(expected, rel=1e-5)


class Twice(eqx.Module):
    first: jax.Array
    second: jax.Array
    learned: Learned

    def __call__(self, t, y, inputs):
        return -self.first * self.second * y + self.learned(y)


def test_parameters_that_do_the_same_count_once():
    def twice(where):
        field = Twice(lhx.positive(0.5), lhx.positive(0.6), straight(SLOPE, OFFSET))
        model = lhx.Predictor(lhx.ODE(field, [2.0], t0=0.0), lhx.likelihoods.Normal(scale=0.1))
        data = lhx.Experiment(TIMES, np.zeros((len(TIMES), 1)))
        term = LearnedOverlap(where, scale=1.0)
        gradient = eqx.filter_grad(lambda p: term(p, data))(model)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
        return float(term(model, data))

    once = twice(lambda p: p.model.field.first)
    assert twice(lambda p: [p.model.field.first, p.model.field.second]) == pytest.approx(once)


def test_nothing_overlaps_where_both_are_orthogonal():
    """The least overlap of all straight lines, by SciPy: orthogonal to the loss."""
    y = scipy_states(TIMES)[1]
    # Sum over times of y * (slope y + offset) is zero for this slope; the states stay the same.
    slope = -OFFSET * y.sum() / (y**2).sum()
    curve = Spline(TIMES, scipy_states(TIMES).T)
    model = predictor(straight(slope, OFFSET)).model
    on_curve = lhx.Predictor(Surrogate(curve, model), lhx.likelihoods.Normal(scale=0.1))
    loss = lambda p: p.model.ode.field.loss
    assert value(LearnedOverlap(loss, scale=1.0), on_curve) < 1e-15
    assert value(LearnedSize(scale=1.0), on_curve) > 1e-4


def test_single_precision():
    """The same numbers in float32, terms and share alike."""
    single = jax.tree.map(
        lambda leaf: leaf.astype(jnp.float32) if eqx.is_inexact_array(leaf) else leaf, predictor()
    )
    data = lhx.Experiment(
        TIMES.astype(np.float32), np.asarray(measured().values, np.float32), dtype=np.float32
    )
    for term in (LearnedSize(), LearnedSize(scale=0.5), LearnedOverlap(both, scale=0.5)):
        found = term(single, data)
        assert found.dtype == jnp.float32
        assert float(found) == pytest.approx(value(term), rel=1e-3)
    shares = share_along(single, data, 50).shares
    np.testing.assert_allclose(shares, share_along(predictor(), measured(), 50).shares, rtol=1e-3)
    assert shares[0] == 0  # where the learned part does not enter, whatever is rounded


# -------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LearnedSize(scale=-1.0), "LearnedSize: the scale is -1.0: it must be positive"),
        (lambda: LearnedOverlap(both, scale=[1.0, np.nan]), "LearnedOverlap: the scale is"),
        (lambda: LearnedSize(times=[2.0, 1.0]), r"LearnedSize: times\[1\] = 1.0 follows 2.0"),
        (lambda: LearnedOverlap(3), "LearnedOverlap: where is 3"),
        (lambda: LearnedOverlap(both, times=1), "LearnedOverlap: 1 times are too few"),
    ],
)
def test_mistakes_are_named(make, message, as_a_user):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (LearnedSize(scale=[1.0, 2.0, 3.0]), r"a scale of shape \(3,\) for 2 components"),
        (LearnedSize(times=[1.0, 9.0]), r"LearnedSize: times\[1\] = 9.0 lies outside"),
        (LearnedOverlap(lambda p: p.model.field.nothing), "where cannot be applied"),
        (
            LearnedOverlap(lambda p: p.model.field.loss * 2.0),
            "else than leaves of the vector field",
        ),
        (
            LearnedOverlap(lambda p: p.model.field.learned.network.layers[0].weight),
            "else than leaves of the vector field",
        ),
    ],
)
def test_mistakes_that_a_fit_sees(term, message, as_a_user):
    with pytest.raises(ValueError, match=message):
        lhx.fit(lhx.NLL() + term, predictor(), measured())


def test_there_must_be_something_learned():
    none = eqx.tree_at(lambda p: p.model.field.learned, predictor(), None)
    with pytest.raises(ValueError, match="LearnedSize: nothing is learned in the vector field"):
        lhx.fit(lhx.NLL() + LearnedSize(), none, measured())


def test_a_failed_solve_is_carried_up():
    stuck = predictor(max_steps=2)
    found = LearnedSize().evaluate(lhx.resolve(stuck), measured())
    assert found.total == np.inf
    assert found.result != lhx.RESULTS.successful
