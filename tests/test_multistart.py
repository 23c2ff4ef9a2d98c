"""Many starts: each fit as it is alone, known optima and basins."""

import re
import threading

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from problems import line_problem
from wells import KEY, at, double_well, four_wells, starts_of, wells

import likelihax as lhx
from examples import lynx_hare
from likelihax import _progress, _result
from likelihax.fits import _many, _multistart, _optima, _threads
from likelihax.fits._start import StartError

# Where (x^2 - 1)^2 + x/5 has no slope: two minima, and the hill that parts their basins.
LOWER, HILL, UPPER = np.sort(np.roots([4.0, 0.0, -4.0, 0.2]).real)
# Small steps downhill stay in the basin that they start in.
DOWNHILL = lhx.GradientDescent(optax.sgd(0.02), tolerance=1e-8)


def assert_same(fit, alone):
    pairs = zip(jtu.tree_leaves(fit.record), jtu.tree_leaves(alone.record), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours, theirs)


# --- each fit is what it is alone --------------------------------------------------------------


def test_lynx_hare_fits_are_those_of_fit():
    predictor, data = lynx_hare.predictor(), lynx_hare.data()
    found = lhx.multistart(lhx.NLL(), predictor, data, lhx.Spread(0.5), num=6, key=KEY, workers=3)
    assert len(found.fits) == 6
    for fit in found.fits:
        alone = lhx.fit(lhx.NLL(), fit.problem.predictor, data)
        assert alone.compile_seconds == 0  # the one that was compiled serves both
        assert_same(fit, alone)
        assert fit.estimates["growth"] == alone.estimates["growth"]
    again = lhx.multistart(lhx.NLL(), predictor, data, lhx.Spread(0.5), num=6, key=KEY, workers=1)
    assert again.compile_seconds == 0
    for fit, same in zip(found.fits, again.fits, strict=True):
        assert_same(fit, same)


@pytest.mark.parametrize(
    "method",
    [lhx.BFGS(), lhx.Bundle(), DOWNHILL],
    ids=["bfgs", "bundle", "descent"],
)
def test_methods(method):
    found = wells(num=5, method=method, workers=2)
    for fit in found.fits:
        assert type(fit.method) is type(method)
        assert_same(fit, lhx.fit(double_well, fit.problem.predictor, None, method=method))


@pytest.mark.parametrize("method", [lhx.ProximalNewton(), lhx.ProximalGradient()])
def test_proximal_methods(method):
    predictor, data = line_problem(lhx.positive(1.0))
    objective = lhx.NLL() + 3.0 * lhx.terms.L1(lambda p: p.model.weights)
    options = {"num": 3, "key": KEY, "method": method}
    found = lhx.multistart(objective, predictor, data, lhx.Spread(0.3), **options)
    for fit in found.fits:
        assert_same(fit, lhx.fit(objective, fit.problem.predictor, data, method=method))
    assert len(found.optima) == 1  # the problem is convex but for the scale


def test_a_list_keeps_its_order_and_each_scale():
    listed = [{"x": lhx.real(x)} for x in (2.0, -0.5, 0.7, -3.0)]
    found = lhx.multistart(double_well, {"x": lhx.real(1.0)}, None, listed)
    np.testing.assert_array_equal(starts_of(found), [2.0, -0.5, 0.7, -3.0])
    for fit, start in zip(found.fits, listed, strict=True):
        assert_same(fit, lhx.fit(double_well, start, None))
    # Each sees its own unit; optima are compared in one.
    assert sorted(optimum.count for optimum in found.optima) in ([2, 2], [1, 3])
    assert found.num_drawn == found.num == 4


def test_a_list_of_stiff_and_mild_starts_is_solved_one_way():
    """Each alone would choose a solver of its own; together all take the given predictor's."""

    class Relaxation(eqx.Module):
        rate: jax.Array

        def __call__(self, t, y, inputs):
            return self.rate * (jnp.cos(t) - y)

    def from_rate(rate):
        ode = lhx.ODE(Relaxation(lhx.positive(rate)), [1.0], t0=0.0, solver="auto")
        return lhx.Predictor(ode, lhx.likelihoods.Normal(0.05))

    times = np.linspace(0.1, 6.0, 20)
    # y' = k (cos t - y) from 1, in closed form.
    rate, decay = 5.0, 1 - 25 / 26
    exact = (rate**2 * np.cos(times) + rate * np.sin(times)) / (rate**2 + 1)
    data = lhx.Experiment(times, (exact + decay * np.exp(-rate * times))[:, None])
    starts = [from_rate(2.0), from_rate(1e5)]
    choices = [start.model.probed(data.times).implicit_first for start in starts]
    assert choices == [False, True]
    for given, implicit in ((from_rate(4.0), False), (from_rate(1e5), True)):
        found = lhx.multistart(
            lhx.NLL(), given, data, starts, throw=False, method=lhx.BFGS(max_steps=60)
        )
        models = [fit.problem.predictor.model for fit in found.fits]
        assert [model.implicit_first for model in models] == [implicit, implicit]
        np.testing.assert_allclose(found.fits[0].estimates["rate"], rate, rtol=1e-3)


def test_known_numbers_stay():
    start = at(0.5, known=lhx.frozen(3.0))
    found = lhx.multistart(double_well, start, None, lhx.Spread(1.0), num=2, key=KEY)
    assert [float(fit.predictor["known"].value) for fit in found.fits] == [3.0, 3.0]


# --- optima ------------------------------------------------------------------------------------


def test_two_wells_and_their_basins():
    found = wells(num=64, method=DOWNHILL)
    assert [optimum.count for optimum in found.optima] == [
        np.sum(starts_of(found) < HILL),
        np.sum(starts_of(found) > HILL),
    ]
    for optimum, place in zip(found.optima, (LOWER, UPPER), strict=True):
        assert optimum.fit.estimates["x"] == pytest.approx(place, abs=1e-7)
        assert optimum.nll == pytest.approx((place**2 - 1) ** 2 + place / 5, abs=1e-12)
        assert optimum.nll == found.totals[optimum.members[0]]
    members = [i for optimum in found.optima for i in optimum.members]
    assert sorted(members) == list(range(64))
    assert found.best is not None
    assert found.best.nll == found.totals.min()
    assert found.endings == {"successful": 64}
    assert found.results == ("successful",) * 64


def test_optima_of_the_same_height_are_told_apart():
    box = lhx.Box({"x": (-1.5, 1.5), "y": (-1.5, 1.5)})
    start = at(0.5, y=lhx.real(0.5, scale=1.0))
    found = lhx.multistart(four_wells, start, None, box, num=64, key=KEY, method=DOWNHILL)
    # Sobol points fill the four quarters evenly.
    assert [optimum.count for optimum in found.optima] == [16, 16, 16, 16]
    corners = {tuple(np.sign(list(o.fit.estimates.values()))) for o in found.optima}
    assert corners == {(-1, -1), (-1, 1), (1, -1), (1, 1)}


def test_a_place_with_two_heights_is_two_optima():
    points = [np.array([1.0, 200.0]), np.array([1.005, 201.0]), np.array([1.0, 200.0])]
    assert _optima.group(np.array([3.0, 3.0005, 3.1]), points) == [[0, 1], [2]]
    assert _optima.group(np.array([3e6, 3.1, 3e6 + 2]), points) == [[1], [0, 2]]
    apart = [np.array([1.0, 200.0]), np.array([1.02, 200.0]), np.array([1.0, 203.0])]
    assert _optima.group(np.array([3.0, 2.9995, 3.0]), apart) == [[1], [0], [2]]


def test_the_best_has_converged_where_any_has():
    slope = lambda tree, data: jnp.where(tree["x"] < -2.0, -9.0, (tree["x"] ** 2 - 1) ** 2)
    method = lhx.GradientDescent(optax.sgd(0.02), max_steps=300, tolerance=1e-8)
    steps = lambda tree, data: slope(tree, data) + 1e-3 * jnp.minimum(tree["x"] + 2.0, 0.0)
    listed = [at(0.5), at(-3.0)]
    found = lhx.multistart(steps, at(0.5), None, listed, method=method)
    assert found.endings == {"successful": 1, "steps_used_up": 1}
    assert found.best.estimates["x"] == pytest.approx(1.0)
    assert "1 fit went lower without converging, to -9.00" in str(found)
    none = lhx.multistart(steps, at(0.5), None, listed[1:], method=method)
    assert none.optima == ()
    assert none.best.nll == none.totals[0] < -9
    assert "The lowest objective reached is -9.00" in str(none)


def test_it_prints_a_table():
    lines = str(wells(num=64, method=DOWNHILL)).splitlines()
    first = "Fits by GradientDescent from 64 starts: 64 converged, to 2 optima"
    assert lines[0] == first
    assert re.fullmatch(r" +1 +-0\.202\d+ +0 +3\d", lines[2])
    assert re.fullmatch(r" +2 +0\.197\d+ +0\.3999\d* +[23]\d", lines[3])
    assert re.fullmatch(r"64 starts tried; compiled in \S+ s, ran in \S+ s", lines[4])


def test_names_of_results():
    for name in _result._NAMES:
        assert _result.name_of(getattr(lhx.RESULTS, name)) == name
    other = lhx.RESULTS.max_steps_reached
    assert _result.name_of(other) == _result.describe(other)


# --- starts that cannot be evaluated -----------------------------------------------------------


def half_a_well(tree, data):
    """Infinite to the left of zero."""
    return jnp.where(tree["x"] > 0, (tree["x"] - 1) ** 2, jnp.inf)


def halves(starts, **options):
    options = {"num": 16, "key": KEY, "method": DOWNHILL} | options
    return lhx.multistart(half_a_well, at(0.5), None, starts, **options)


def test_starts_without_a_value_are_drawn_again():
    box = lhx.Box({"x": (-1.0, 1.0)})
    found = halves(box)
    drawn = starts_of(wells(lhx.Box({"x": (-1.0, 1.0)}), num=16))
    further = starts_of(wells(lhx.Box({"x": (-1.0, 1.0)}), num=64))
    starts = starts_of(found)
    assert np.all(starts > 0)
    assert found.endings == {"successful": 16}
    assert 24 <= found.num_drawn <= 48
    # The first that can, in the order in which they are drawn.
    np.testing.assert_array_equal(starts[: np.sum(drawn > 0)], drawn[drawn > 0])
    np.testing.assert_array_equal(starts, further[further > 0][:16])
    np.testing.assert_array_equal(starts, starts_of(halves(box, workers=1)))


def test_too_few_that_can_be_evaluated():
    box = lhx.Box({"x": (-1.0, 0.02)})
    with pytest.raises(StartError, match=r"only \d of 16 starts could be evaluated") as caught:
        halves(box)
    assert "160 were drawn" in str(caught.value)
    assert "the objective is inf at the start, with x = -" in str(caught.value)
    found = halves(box, throw=False)
    usable = int(np.sum(starts_of(found) > 0))
    assert 0 < usable < 16
    assert len(found.fits) == 16
    assert found.num_drawn == 160
    assert found.endings == {"start_failed": 16 - usable, "successful": usable}
    assert np.sum(np.isinf(found.totals)) == 16 - usable
    assert f"only {usable} of 16 starts could be evaluated" in str(found)
    assert found.best.success


def test_none_that_can_be_evaluated():
    box = lhx.Box({"x": (-2.0, -1.0)})
    found = halves(box, num=2, throw=False)
    assert found.endings == {"start_failed": 2}
    assert found.best.nll == np.inf
    assert bool(found.best.result == lhx.RESULTS.start_failed)
    with pytest.raises(ValueError, match="no fit ended with a finite objective"):
        lhx.plot.waterfall(found)
    outside = lhx.Priors({"x": dist.Normal(-9.0, 0.1)})
    with pytest.raises(ValueError, match="It is outside the constraint"):
        lhx.multistart(double_well, {"x": lhx.positive(1.0)}, None, outside, num=2, key=KEY)


def test_a_slope_that_is_not_finite():
    root = lambda tree, data: jnp.sqrt(jnp.maximum(tree["x"], 0.0)) + tree["x"] ** 2
    options = {"method": lhx.BFGS(), "num": 2, "key": KEY}
    with pytest.raises(ValueError, match="The gradient of the objective is not finite there"):
        lhx.multistart(root, at(0.0), None, lhx.Box({"x": (-1e-9, 0.0)}), **options)


def test_a_list_is_not_drawn_again():
    listed = [at(0.5), at(-1.0), at(0.2)]
    options = {"num": None, "key": None}
    with pytest.raises(StartError, match=r"no fit can begin at starts\[1\]. .* with x = -1\."):
        halves(listed, **options)
    found = halves(listed, throw=False, **options)
    assert found.results == ("successful", "start_failed", "successful")
    np.testing.assert_array_equal(starts_of(found), [0.5, -1.0, 0.2])


# --- hardware, interruption, pictures ----------------------------------------------------------


@pytest.mark.parametrize("workers", [None, 3])
def test_side_by_side(monkeypatch, workers):
    threads = wells(num=7, method=DOWNHILL)
    monkeypatch.setattr(_many.jax, "default_backend", lambda: "gpu")
    beside = wells(num=7, method=DOWNHILL, workers=workers)
    assert beside.endings == {"successful": 7}
    np.testing.assert_array_equal(starts_of(beside), starts_of(threads))
    np.testing.assert_allclose(beside.totals, threads.totals, rtol=1e-12)
    for fit, same in zip(beside.fits, threads.fits, strict=True):
        assert abs(fit.steps - same.steps) <= 1
        assert fit.estimates["x"] == pytest.approx(same.estimates["x"], abs=1e-7)
    assert halves(lhx.Box({"x": (-1.0, 1.0)}), num=5).endings == {"successful": 5}


def test_an_interruption_keeps_what_was_found(monkeypatch):
    third = threading.Event()
    done = []
    one = _many.OnThreads._one

    def slow(self, starts, which, stop):
        ran = one(self, starts, which, stop)
        done.append(which)
        if len(done) == 3:
            third.set()
            stop.wait()
        return ran

    def interrupt(*args):
        third.wait()
        raise KeyboardInterrupt

    whole = wells(num=8, method=DOWNHILL)
    monkeypatch.setattr(_many.OnThreads, "_one", slow)
    monkeypatch.setattr(_threads, "wait", interrupt)
    found = wells(num=8, method=DOWNHILL, workers=1)
    assert len(found.fits) == 3
    assert "interrupted: 8 fits were wanted" in str(found)
    for fit, same in zip(found.fits, whole.fits, strict=False):
        assert_same(fit, same)


def test_a_fit_under_way_ends_where_it_is(monkeypatch):
    third, stop = threading.Event(), threading.Event()
    chunks = _many.chunks

    def slow(chunk, arrays):
        chunk.notes["seconds_per_step"] = 1.0  # one step a chunk
        for record in chunks(chunk, arrays):
            chunk.notes["seconds_per_step"] = 1.0
            if int(record.steps) == 3:
                third.set()
                stop.wait()
            yield record

    def interrupt(*args):
        third.wait()
        raise KeyboardInterrupt

    monkeypatch.setattr(_many, "chunks", slow)
    monkeypatch.setattr(_threads, "wait", interrupt)
    monkeypatch.setattr(_threads, "Event", lambda: stop)
    found = wells(num=2, method=DOWNHILL, workers=1)
    assert found.endings == {"interrupted": 1}
    assert found.fits[0].steps == 3
    assert found.best.nll == pytest.approx(min(found.fits[0].history), rel=1e-12)


def test_an_interruption_before_anything_was_found(monkeypatch):
    nothing = lambda self, starts, which, watch: ({}, True)
    monkeypatch.setattr(_many.OnThreads, "run", nothing)
    with pytest.raises(KeyboardInterrupt):
        wells()


def test_a_bar(monkeypatch, capfd):
    monkeypatch.setattr(_progress, "_DELAY", 0.0)
    monkeypatch.setattr(_threads, "_GLANCE", 1e-4)
    wells(num=64, method=DOWNHILL, progress=True)
    assert "fits" in capfd.readouterr().err
    wells(num=64, method=DOWNHILL, progress=False)
    assert capfd.readouterr().err == ""


def test_an_error_on_a_thread_is_raised_and_stops_the_others(monkeypatch):
    stop = threading.Event()
    calls, told = iter(range(99)), []

    def fail(chunk, arrays):
        if next(calls) == 0:
            raise RuntimeError("out of memory")
        told.append(stop.wait(20.0))
        raise RuntimeError("told to stop")

    monkeypatch.setattr(_many, "chunks", fail)
    monkeypatch.setattr(_threads, "Event", lambda: stop)
    with pytest.raises(RuntimeError, match="out of memory"):
        wells(workers=2)
    assert next(calls) <= 2
    assert all(told)


@pytest.mark.parametrize(
    ("waits", "cores", "found"), [(True, 4, [3, 1, 3]), (True, 1, [1, 1, 1]), (False, 4, [4, 1, 9])]
)
def test_a_core_is_left_free_where_lapack_waits_for_itself(monkeypatch, waits, cores, found):
    monkeypatch.setattr(_threads, "_LAPACK_WAITS", waits)
    monkeypatch.setattr(_threads, "num_cores", lambda: cores)
    assert [_threads.most_threads(asked) for asked in (None, 1, 9)] == found


def test_waterfall():
    found = halves(lhx.Box({"x": (-1.0, 0.02)}), throw=False)
    usable = int(np.sum(np.isfinite(found.totals)))
    (axis,) = lhx.plot.waterfall(found).axes
    assert sum(line.get_xdata().size for line in axis.lines) == usable
    both = lhx.plot.waterfall(wells(num=16, method=DOWNHILL)).axes[0]
    heights = both.lines[0].get_ydata()
    assert np.all(np.diff(heights) >= 0)
    assert heights[0] == 0
    well = lambda x: (x**2 - 1) ** 2 + x / 5
    assert heights[-1] == pytest.approx(well(UPPER) - well(LOWER))


# --- what cannot be right ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"num": 0}, "num, how many starts to draw, must be 1 or more, got 0"),
        ({"num": None}, "num, how many starts to draw, must be 1 or more, got None"),
        ({"key": None}, r"drawn at random: give key=jax.random.key\(0\)"),
        ({"key": 3}, "3 is no JAX random key"),
        ({"key": jax.random.split(KEY, 2)}, "no JAX random key"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"starts": {"x": (0.0, 1.0)}}, "starts is dict: give Spread"),
        ({"starts": 3}, "starts is int: give Spread"),
        ({"starts": []}, "the list of starts is empty"),
        ({"starts": [at(1.0)]}, "num is 4, but 1 starts are given"),
        ({"method": "bfgs"}, "unknown method 'bfgs'"),
    ],
)
def test_arguments(options, says, as_a_user):
    options = {"starts": lhx.Spread(1.0), "num": 4, "key": KEY} | options
    with pytest.raises(ValueError, match=says):
        lhx.multistart(double_well, at(0.5), None, options.pop("starts"), **options)


@pytest.mark.parametrize(
    ("start", "says"),
    [
        ({"y": lhx.real(1.0)}, r"starts\[1\] is built differently"),
        (at(1.0, known=lhx.frozen([1.0, 2.0])), r"starts\[1\] is built differently"),
        (at(1.0, known=lhx.frozen(2.0)), r"starts\[1\] differs .* in a number that is not fitted"),
        (at(jnp.float32(1.0), known=lhx.frozen(1.0)), r"starts\[1\] is built differently"),
        ({"x": lhx.frozen(1.0)}, r"starts\[1\]: The predictor has no trainable leaves"),
    ],
)
def test_lists_of_what_is_not_alike(start, says):
    first = at(0.5, known=lhx.frozen(1.0))
    with pytest.raises(ValueError, match=says):
        lhx.multistart(double_well, first, None, [first, start])


def test_what_fit_refuses_is_refused():
    experiment = lynx_hare.data()
    nothing = eqx.tree_at(lambda d: d.values, experiment, experiment.values.astype(jnp.float32))
    with pytest.raises(ValueError, match="float32"):
        lhx.multistart(lhx.NLL(), lynx_hare.predictor(), nothing, lhx.Spread(1.0), num=2, key=KEY)
    assert _multistart.StartError is StartError
