"""Strategies: where they lead, what they leave alone, and what they say."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import likelihax as lhx
from likelihax import _compile
from likelihax.data._horizon import horizon, until
from likelihax.fits import (
    Auto,
    GradientMatching,
    GrowingHorizon,
    MultipleShooting,
    PhysicsFirst,
    _growing_horizon,
)
from likelihax.fits._easier import easier
from likelihax.fits._multiple_shooting import Continuity
from likelihax.fits._prepare import prepare
from likelihax.fits._start import StartError
from likelihax.fits._states import guessed_states
from likelihax.fits._strategy import anchored
from likelihax.fits._turns import num_turns
from likelihax.models._segments import Segments

# Most of them compile fits of their own.
pytestmark = pytest.mark.slow

TRUTH = np.array([1.5, 1.0, 3.0, 1.0])
FAR = (5.0, 5.0, 5.0, 5.0)
TIMES = np.linspace(0.0, 12.0, 121)


class Predation(eqx.Module):
    """Lotka and Volterra's equations."""

    a: jax.Array
    b: jax.Array
    c: jax.Array
    d: jax.Array

    def __call__(self, t, y, inputs):
        x, z = y
        return jnp.stack([self.a * x - self.b * x * z, self.d * x * z - self.c * z])


def by_scipy(times=TIMES, truth=TRUTH, state=(1.0, 1.0)):
    a, b, c, d = truth
    rates = lambda t, y: [a * y[0] - b * y[0] * y[1], d * y[0] * y[1] - c * y[1]]
    solved = solve_ivp(rates, (0, times[-1]), state, "DOP853", times, rtol=1e-12, atol=1e-12)
    return solved.y.T


def prey(t, y):
    return y[0]


def predation(start=FAR, *, initial=(1.0, 1.0), observe=None, scale=0.1):
    initial = list(initial) if isinstance(initial, tuple) else initial
    ode = lhx.ODE(Predation(*map(lhx.positive, start)), initial, observe=observe)
    return lhx.Predictor(ode, lhx.likelihoods.Normal(scale))


def animals(columns=slice(None), **options):
    return lhx.Experiment(TIMES, by_scipy()[:, columns], name="animals", **options)


def found(fit):
    return np.array([fit.estimates[name] for name in "abcd"])


# --- data up to a horizon, and how often they turn -----------------------------------------------


def test_data_until_a_horizon():
    data = lhx.Experiment([0.0, 1.0, 2.0, 5.0], [[1.0, np.nan], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]])
    short = until(data, 0.5)
    np.testing.assert_array_equal(short.times, [0.0, 1.0, 1.0, 1.0])
    np.testing.assert_array_equal(
        short.observed, [[True, False], [True, True], [False, False], [False, False]]
    )
    assert horizon(data, 0.5) == 1.0
    assert jax.tree_util.tree_structure(short) == jax.tree_util.tree_structure(data)
    np.testing.assert_array_equal(until(data, 1.0).observed, data.observed)


def test_several_experiments_until_a_horizon():
    first = lhx.Experiment([0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0], name="first")
    second = lhx.Experiment([0.0, 5.0], [5.0, 6.0], name="second")
    short = until(lhx.Experiments([first, second]), 0.5)
    np.testing.assert_array_equal(short.observed, [True, True, False, False, True, False])
    times = np.sort(np.concatenate([np.ravel(part.times) for part in short.buckets]))
    assert times.max() == 1.0
    assert horizon(lhx.Experiments([first, second]), 1.0) == 5.0


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize(
    ("curve", "turns"),
    [(lambda t: np.exp(-t), 0), (lambda t: t, 0), (lambda t: np.cos(np.pi * t), 9)],
)
def test_how_often_values_turn(curve, turns, noise):
    times = np.linspace(0.0, 9.95, 400)
    values = curve(times) + noise * np.random.default_rng(0).standard_normal(times.size)
    values[::7] = np.nan
    assert num_turns(lhx.Experiment(times, values)) == turns


def test_what_does_not_vary_does_not_turn():
    assert num_turns(lhx.Experiment([0.0, 1.0], [1.0, 2.0])) == 0
    assert num_turns(lhx.Experiment(np.arange(5.0), np.ones(5))) == 0


# --- a growing horizon ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grown():
    _compile._kept.clear()
    fit = lhx.fit(lhx.NLL(), predation(), animals(), strategy=GrowingHorizon())
    return fit, len(_compile._kept)


def test_a_growing_horizon_finds_what_a_fit_from_the_start_does_not(grown):
    fit, _ = grown
    assert fit.success
    np.testing.assert_allclose(found(fit), TRUTH, rtol=1e-6)
    lost = lhx.fit(lhx.NLL(), predation(), animals())
    assert lost.nll > fit.nll + 1000


def test_all_horizons_and_the_fit_itself_are_compiled_once(grown):
    fit, compiled = grown
    assert compiled == 1
    assert len(fit.stages) > 2
    assert [stage.compile_seconds > 0 for stage in fit.stages[:2]] == [True, False]
    assert fit.compile_seconds == 0


def test_the_fit_knows_nothing_of_the_pull_on_the_way(grown):
    fit, _ = grown
    alone = lhx.fit(lhx.NLL(), fit.predictor, animals())
    assert fit.nll == pytest.approx(alone.nll, abs=1e-9)
    assert fit.problem.anchor is None
    ours, theirs = fit.standard_errors(), alone.standard_errors()
    for name in "abcd":
        assert ours[name] == pytest.approx(theirs[name], rel=1e-4)


def test_stages_say_what_happened(grown):
    fit, _ = grown
    ends = [float(stage.name.removeprefix("to t = ")) for stage in fit.stages]
    assert ends[0] < 1
    assert max(ends) <= TIMES[-1]
    assert f"{len(fit.stages)} fits on the way" in repr(fit)
    assert fit.reason == ""


def test_hidden_states_noise_and_a_spread_that_is_fitted():
    noise = 0.1 * np.random.default_rng(0).standard_normal(TIMES.size)
    data = lhx.Experiment(TIMES, by_scipy()[:, 0] + noise)
    start = predation(observe=prey, scale=lhx.positive(1.0))
    fit = lhx.fit(lhx.NLL(), start, data, strategy=GrowingHorizon())
    errors = np.array([fit.standard_errors()[name] for name in "abcd"])
    assert fit.success
    assert np.all(np.abs(found(fit) - TRUTH) < 2.576 * errors)
    assert fit.estimates["scale"] == pytest.approx(0.1, rel=0.2)


def test_several_experiments_grow_together():
    each = [
        lhx.Experiment(TIMES, by_scipy(TIMES, (1.5, 1.0, 3.0, 1.0)), name="long"),
        lhx.Experiment(TIMES[:81], by_scipy(TIMES[:81], (1.0, 1.0, 2.0, 1.0)), name="short"),
    ]
    data = lhx.Experiments(each)
    own = lambda start: lhx.positive(start, by="experiment")
    field = Predation(own(4.0), lhx.positive(4.0), own(4.0), lhx.positive(4.0))
    start = lhx.Predictor(lhx.ODE(field, [1.0, 1.0]), lhx.likelihoods.Normal(0.1))
    fit = lhx.fit(lhx.NLL(), start, data, strategy=GrowingHorizon())
    np.testing.assert_allclose(fit.estimates["a"], [1.5, 1.0], rtol=1e-6)
    np.testing.assert_allclose(fit.estimates["c"], [3.0, 2.0], rtol=1e-6)


def test_a_lost_horizon_is_taken_back(monkeypatch):
    """Told that everything beyond t = 6 is lost, it goes on in smaller and smaller steps."""
    whole = _growing_horizon.errors_of

    def blind(unknowns, data, measured):
        places, errors = whole(unknowns, data, measured)
        return places, np.where(places * TIMES[-1] > 6.0, 10.0, errors)

    monkeypatch.setattr(_growing_horizon, "errors_of", blind)
    fit = lhx.fit(lhx.NLL(), predation(), animals(), strategy=GrowingHorizon())
    ends = np.array([float(stage.name.removeprefix("to t = ")) for stage in fit.stages])
    beyond = np.flatnonzero(ends > 6.0)
    assert beyond.size > 2
    assert np.any(np.diff(ends) < 0)
    np.testing.assert_allclose(found(fit), TRUTH, rtol=1e-6)


def test_a_start_that_cannot_be_solved_even_to_the_first_horizon():
    ode = lhx.ODE(predation().model.field, [1.0, 1.0], max_steps=2, rtol=1e-10)
    start = lhx.Predictor(ode, lhx.likelihoods.Normal(0.1))
    with pytest.raises(StartError, match="could not be solved at the start"):
        lhx.fit(lhx.NLL(), start, animals(), strategy=GrowingHorizon())
    fit = lhx.fit(lhx.NLL(), start, animals(), strategy=GrowingHorizon(), throw=False)
    assert fit.result == lhx.RESULTS.start_failed


def test_a_user_who_interrupts_on_the_way_keeps_what_was_found(monkeypatch):
    from likelihax.fits import _loop

    taken = []
    chunks = _loop.chunks

    def impatient(chunk, arrays, most=None):
        for record in chunks(chunk, arrays, most):
            taken.append(1)
            yield record
            if len(taken) == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(_loop, "chunks", impatient)
    _compile._kept.clear()  # so that the first chunk is one step
    fit = lhx.fit(lhx.NLL(), predation(), animals(), strategy=[GrowingHorizon()] * 2)
    assert fit.result == lhx.RESULTS.interrupted
    assert [stage.result for stage in fit.stages] == ["interrupted"]
    assert np.isfinite(fit.stages[0].nll)
    np.testing.assert_allclose(found(fit), FAR)


# --- multiple shooting ---------------------------------------------------------------------------


def test_states_that_explain_what_was_measured():
    states = guessed_states(predation(observe=lambda t, y: 2 * y[0] + 1), animals(0))
    np.testing.assert_allclose(2 * states[:, 0] + 1, by_scipy()[:, 0], atol=1e-12)
    np.testing.assert_array_equal(states[:, 1], 1.0)


def test_pieces_from_the_true_states_join_and_others_do_not():
    truth = by_scipy()
    nodes = truth[[40, 80]] + np.array([[0.1, 0.0], [0.0, 0.0]])
    ode = lhx.resolve(predation(tuple(TRUTH))).model
    pieces = Segments(ode, jnp.asarray(nodes), 3)
    values = pieces.simulate(jnp.asarray(TIMES)).values
    np.testing.assert_allclose(values[:40], truth[:40], atol=1e-5)
    np.testing.assert_allclose(values[80:], truth[80:], atol=1e-5)
    moved = by_scipy(TIMES[:41], state=nodes[0])
    np.testing.assert_allclose(values[40:80], moved[:40], atol=1e-5)
    gaps = pieces.gaps(jnp.asarray(TIMES)).values
    np.testing.assert_allclose(gaps, [truth[40] - nodes[0], moved[40] - nodes[1]], atol=1e-5)


def test_gradient_of_pieces_against_differences():
    _, problem = prepare(lhx.NLL(), predation((1.6, 1.1, 2.8, 0.9)), animals(), None)
    nodes = lhx.real(by_scipy()[[40, 80]] * 1.1, scale=np.ones((2, 2)))
    term = Continuity(lhx.likelihoods.Normal(scale=[0.3, 0.4]))
    cut = anchored(easier(problem, Segments(problem.predictor.model, nodes, 3), term), 0.5)
    theta = cut.start() + 0.02
    value = jax.jit(lambda theta: cut.value(theta)[0])
    outcome = jax.jit(lambda theta: cut.value_and_gradient(theta))(theta)
    rows = jax.jit(lambda theta: cut.linearise(theta))(theta)
    step = 1e-5 * np.eye(theta.size)
    differences = [(value(theta + h) - value(theta - h)) / 2e-5 for h in step]
    np.testing.assert_allclose(outcome.gradient, differences, rtol=2e-5)
    np.testing.assert_allclose(rows.outcome.gradient, outcome.gradient, rtol=1e-8)


@pytest.fixture(scope="module")
def shot():
    """Prey alone, with noise; the initial state of both unknown, the scale of predators known."""
    noise = 0.1 * np.random.default_rng(1).standard_normal(TIMES.size)
    data = lhx.Experiment(TIMES, by_scipy()[:, 0] + noise, name="animals")
    start = predation(initial=(1.0, 1.0), observe=prey, scale=lhx.positive(1.0))
    return lhx.fit(lhx.NLL(), start, data, strategy=MultipleShooting())


def test_shooting_finds_parameters_behind_a_hidden_state(shot):
    errors = np.array([shot.standard_errors()[name] for name in "abcd"])
    assert shot.success
    assert np.all(np.abs(found(shot) - TRUTH) < 2.576 * errors)


def test_joined_pieces_begin_at_the_optimum(shot):
    assert shot.history[0] - shot.nll < 0.1


def test_only_the_fit_without_pieces_is_reported(shot):
    assert set(shot.estimates) == {"a", "b", "c", "d", "scale"}
    assert isinstance(shot.predictor.model, lhx.ODE)
    assert isinstance(shot.problem.objective, lhx.NLL)
    alone = lhx.fit(lhx.NLL(), shot.predictor, shot.data)
    assert shot.nll == pytest.approx(alone.nll, abs=1e-9)


def test_gaps_fall_from_stage_to_stage_and_compile_once(shot):
    names = [stage.name for stage in shot.stages]
    assert names == [f"gaps of {gap:g}" for gap in (1.0, 0.3, 0.1, 0.03, 0.01, 0.001)]
    assert [stage.compile_seconds > 0 for stage in shot.stages] == [True] + [False] * 5


def test_shooting_keeps_other_parts_of_the_objective_and_leaves_laws_out():
    prior = lhx.terms.L2(lambda p: p.model.field.a)
    law = lhx.terms.Law(
        lhx.terms.nonnegative(), lhx.likelihoods.Normal(0.1), times=np.linspace(0.0, 12.0, 5)
    )
    start = predation((2.0, 1.2, 2.5, 1.2), initial=lhx.positive([1.2, 0.8]))
    objective = lhx.NLL() + 0.5 * prior + law
    shooting = MultipleShooting(pieces=4, gaps=(1.0, 0.1))
    fit = lhx.fit(objective, start, animals(), strategy=shooting)
    alone = lhx.fit(objective, fit.predictor, animals())
    assert fit.nll == pytest.approx(alone.nll, abs=1e-8)
    assert len(fit.breakdown) == 4
    assert fit.estimates["a"] == pytest.approx(1.5, rel=0.01)


def test_shooting_in_several_experiments():
    data = lhx.Experiments(
        [
            lhx.Experiment(TIMES[:61], by_scipy(TIMES[:61], state=state), name=name)
            for state, name in [((1.0, 1.0), "even"), ((2.0, 1.0), "odd")]
        ]
    )
    initial = lhx.positive([1.5, 1.5], by="experiment")
    start = predation((3.0, 2.0, 4.0, 2.0), initial=initial)
    fit = lhx.fit(lhx.NLL(), start, data, strategy=MultipleShooting(pieces=4))
    np.testing.assert_allclose(found(fit), TRUTH, rtol=1e-5)
    np.testing.assert_allclose(fit.estimates["initial"], [[1.0, 1.0], [2.0, 1.0]], rtol=1e-5)


# --- gradient matching ---------------------------------------------------------------------------


@pytest.mark.parametrize("initial", [(1.0, 1.0), lhx.positive([2.0, 2.0])])
def test_a_curve_leads_to_the_parameters(initial):
    start = predation(initial=initial)
    fit = lhx.fit(lhx.NLL(), start, animals(), strategy=GradientMatching())
    np.testing.assert_allclose(found(fit), TRUTH, rtol=1e-6)
    assert [stage.name for stage in fit.stages] == ["slack of 1", "slack of 0.3", "slack of 0.1"]
    assert fit.predictor.model.t0 is None


# --- physics first -------------------------------------------------------------------------------


class Decay(eqx.Module):
    """Exponential decay, and whatever else there is."""

    rate: jax.Array
    rest: lhx.models.Learned

    def __call__(self, t, y, inputs):
        return -self.rate * y + self.rest(y)


@pytest.fixture(scope="module")
def learned():
    times = np.linspace(0.0, 3.0, 31)
    solved = solve_ivp(
        lambda t, y: -y + 0.3 * np.sin(3 * y), (0, 3), [2.0], t_eval=times, rtol=1e-9
    )
    rest = lhx.models.Learned(1, 1, width=4, key=jax.random.key(0))
    last = lambda network: network.network.layers[1].weight
    rest = eqx.tree_at(last, rest, replace_fn=lambda weight: weight + 0.1)
    ode = lhx.ODE(Decay(lhx.positive(3.0), rest), [2.0])
    start = lhx.Predictor(ode, lhx.likelihoods.Normal(0.02))
    data = lhx.Experiment(times, solved.y.T)
    weights = 1e-3 * lhx.terms.L2(lambda p: p.model.field.rest.network.layers[1].weight)
    fit = lhx.fit(lhx.NLL() + weights, start, data, strategy=PhysicsFirst())
    return start, data, fit


def test_the_known_part_is_fitted_alone_first(learned):
    start, data, fit = learned
    off = lhx.models.freeze_learned(lhx.models.without_learned(start))
    alone = lhx.fit(lhx.NLL(), off, data)
    (stage,) = fit.stages
    assert stage.name == "physics alone"
    assert stage.nll == pytest.approx(alone.nll, abs=1e-8)
    began = lhx.resolve(fit.problem.predictor).model.field
    assert float(began.rate) == pytest.approx(alone.estimates["rate"], rel=1e-8)
    np.testing.assert_array_equal(began.rest.network.layers[1].weight, 0.1)


def test_then_both_are_fitted(learned):
    _, data, fit = learned
    assert fit.nll < fit.stages[0].nll - 10
    values = fit.predictor.predict(data).values
    assert np.sqrt(np.mean((values - data.values) ** 2)) < 0.01


# --- which one -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "data", "reason"),
    [
        (predation(), animals(), "GrowingHorizon, since the data turn 6 times, and the initial"),
        (
            predation(initial=lhx.positive([2.0, 2.0])),
            animals(),
            "GradientMatching, since the data turn 6 times, and the initial state is not known.",
        ),
        (predation(tuple(1.01 * TRUTH)), animals(), "No strategy: the start follows the data"),
    ],
)
def test_what_is_chosen_and_why(start, data, reason):
    fit = lhx.fit(lhx.NLL(), start, data, strategy="auto")
    assert fit.reason.startswith(reason)
    assert fit.reason.split(",")[0] in " ".join(repr(fit).split())
    np.testing.assert_allclose(found(fit), TRUTH, rtol=1e-5)


def test_a_strategy_that_cannot_begin_is_passed_over(monkeypatch):
    def refuse(self, problem, method, progress):
        raise StartError("nothing to begin with")

    monkeypatch.setattr(GrowingHorizon, "find", refuse)
    fit = lhx.fit(lhx.NLL(), predation(), animals(), strategy="auto")
    assert fit.reason == (
        "GradientMatching, since the data turn 6 times, and the initial state is known; "
        "GrowingHorizon did not lead to the data."
    )
    np.testing.assert_allclose(found(fit), TRUTH, rtol=1e-5)


def test_where_nothing_follows_the_data_the_lowest_is_taken():
    """Prey that swing, and an equation that cannot."""

    class Still(eqx.Module):
        rate: jax.Array

        def __call__(self, t, y, inputs):
            return -self.rate * y

    swing = np.sin(2 * TIMES)
    start = lhx.Predictor(lhx.ODE(Still(lhx.positive(1.0)), [0.5]), lhx.likelihoods.Normal(0.3))
    data = lhx.Experiment(TIMES, swing[:, None])
    fit = lhx.fit(lhx.NLL(), start, data, strategy="auto", throw=False)
    assert ": the lowest of all; " in fit.reason
    assert fit.reason.endswith("did not lead to the data.")
    plain = lhx.fit(lhx.NLL(), start, data)
    assert fit.nll <= plain.nll + 1e-6


def test_data_that_hardly_turn_need_no_strategy():
    class Still(eqx.Module):
        rate: jax.Array

        def __call__(self, t, y, inputs):
            return -self.rate * y

    start = lhx.Predictor(lhx.ODE(Still(lhx.positive(50.0)), [1.0]), lhx.likelihoods.Normal(0.1))
    data = lhx.Experiment(TIMES, np.exp(-0.5 * TIMES)[:, None])
    fit = lhx.fit(lhx.NLL(), start, data, strategy="auto")
    assert fit.reason == "No strategy: the start can be solved, and the data turn not once."
    assert fit.estimates["rate"] == pytest.approx(0.5, rel=1e-6)


def test_what_is_no_ode_is_left_alone():
    fit = lhx.fit(
        lambda tree, data: (tree["x"] - 2) ** 2, {"x": lhx.real(0.5)}, None, strategy="auto"
    )
    assert fit.reason == "No strategy: there is no trajectory to lose."
    assert fit.estimates["x"] == pytest.approx(2.0)


# --- what cannot be ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GrowingHorizon(first=0.0), "first is 0.0: give a share"),
        (lambda: GrowingHorizon(growth=(1.0, 2.0)), "growth from 1.0 to 2.0: both must be above 1"),
        (lambda: GrowingHorizon(limit=0.0), "limit 0.0 is not positive"),
        (lambda: GrowingHorizon(max_steps=0), "max_steps 0 is below 1"),
        (lambda: MultipleShooting(pieces=1), "1 pieces: give 2 or more"),
        (lambda: MultipleShooting(gaps=()), "give a positive number for each stage"),
        (lambda: MultipleShooting(spread=-1.0), "spread -1.0 is not positive"),
        (lambda: MultipleShooting(max_steps=0), "max_steps 0 is below 1"),
        (lambda: GradientMatching(knots=3), "3 knots: a spline needs 4 or more"),
        (lambda: GradientMatching(slack=(0.1, 0.0)), "give a positive number for each stage"),
        (lambda: GradientMatching(spread=0.0), "spread 0.0 is not positive"),
        (lambda: GradientMatching(max_steps=0), "max_steps 0 is below 1"),
        (lambda: PhysicsFirst("growing"), "unknown strategy 'growing'"),
        (lambda: PhysicsFirst(max_steps=0), "max_steps 0 is below 1"),
        (lambda: Auto(limit=0.0), "limit 0.0 is not positive"),
    ],
)
def test_arguments_that_cannot_be(as_a_user, make, message):
    with pytest.raises(ValueError, match=message):
        make()


def dosed():
    doses = lhx.inputs.Doses(times=[1.03], amounts=[1.0])
    return animals(inputs={"doses": doses})


LINE = lhx.Predictor(lambda x: x @ jnp.ones(1), lhx.likelihoods.Normal(lhx.positive(1.0)))
TABLE = lhx.Dataset(np.ones((3, 1)), [1.0, 2.0, 3.0])
PAIR = lhx.Experiments([animals(), lhx.Experiment(TIMES, by_scipy(), name="others")])


@pytest.mark.parametrize(
    ("strategy", "start", "data", "message"),
    [
        ("growing", predation(), animals(), "unknown strategy 'growing'"),
        ([GrowingHorizon(), 3], predation(), animals(), "unknown strategy 3"),
        (GrowingHorizon(), LINE, TABLE, "GrowingHorizon needs data with times"),
        (MultipleShooting(), LINE, TABLE, "MultipleShooting needs data with times"),
        (MultipleShooting(), predation(), dosed(), "cannot cut a trajectory with doses"),
        (
            GradientMatching(),
            predation(),
            dosed(),
            "cannot draw a curve for",
        ),
        (GradientMatching(), predation(), PAIR, "the curve of one experiment"),
        (GradientMatching(), LINE, TABLE, "whose model is an ODE"),
        (PhysicsFirst(), predation(), animals(), "no likelihax.models.Learned part"),
    ],
)
def test_problems_that_a_strategy_cannot_serve(as_a_user, strategy, start, data, message):
    with pytest.raises(ValueError, match=message):
        lhx.fit(lhx.NLL(), start, data, strategy=strategy)


@pytest.mark.parametrize("strategy", [MultipleShooting(), GradientMatching()])
def test_too_few_times(strategy):
    data = lhx.Experiment(TIMES[:3], by_scipy()[:3], name="three")
    with pytest.raises(ValueError, match="three: 3 measured times are too few"):
        lhx.fit(lhx.NLL(), predation(), data, strategy=strategy)
