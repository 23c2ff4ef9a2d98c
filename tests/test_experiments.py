"""Several experiments at once: against fits of each alone, SciPy, and tables by hand."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest
from numpyro import distributions as dist
from scipy.optimize import minimize
from scipy.stats import lognorm, norm

import likelihax as lhx
from likelihax.data._padding import bucketed
from likelihax.inputs import Doses, Forcing, Series, Steps

# Each compiles fits of its own: minutes in all.
pytestmark = pytest.mark.slow

NAMES = ("ann", "bob", "cleo", "dan", "eve")
RATES = np.array([0.4, 0.9, 0.6, 0.5, 0.7])
SEX = ("f", "m", "f", "m", "f")


class Elimination(eqx.Module):
    rate: jax.Array

    def __call__(self, t, y, inputs):
        return -self.rate * y


def measured(number):
    """Of a bolus of 2 at 0; times of each its own, some 3 and some 9 of them."""
    random = np.random.default_rng(number)
    times = np.sort(random.uniform(0.2, 5.0, 3 if number == 2 else 7 + number % 3))
    exact = 2 * np.exp(-RATES[number] * times)
    return times, exact + 0.05 * random.standard_normal(times.size)


def one(number, **options):
    times, values = measured(number)
    given = Doses([0.0], [2.0])
    return lhx.Experiment(
        times, values, given, name=NAMES[number], groups={"sex": SEX[number]}, **options
    )


def everyone():
    return lhx.Experiments([one(i) for i in range(5)], name="study")


def predictor(rate=None, scale=0.05, **options):
    rate = lhx.positive(0.5) if rate is None else rate
    ode = lhx.ODE(Elimination(rate), [0.0], t0=0.0, observe=lambda t, y: y[0], **options)
    return lhx.Predictor(ode, lhx.likelihoods.Normal(scale))


def nll(rates, who, scale=0.05):
    total = 0.0
    for i, rate in zip(who, np.broadcast_to(rates, len(who)), strict=True):
        times, values = measured(i)
        total -= np.sum(norm.logpdf(values, 2 * np.exp(-rate * times), scale))
    return total


# ------------------------------------------------------------------------------------------ data


def test_they_come_back_as_they_were():
    data = everyone()
    assert data.names == NAMES
    assert data.members == {"experiment": NAMES, "sex": ("f", "m")}
    assert len(data) == 5
    for i, name in enumerate(NAMES):
        again = data[name]
        times, values = measured(i)
        np.testing.assert_array_equal(again.times, times)
        np.testing.assert_array_equal(again.values, values)
        assert again.members == {"experiment": (name,), "sex": (SEX[i],)}
    with pytest.raises(KeyError, match="no experiment is called 'zoe'; there are 'ann', 'bob'"):
        data["zoe"]


def test_lengths_share_a_bucket_down_to_half_and_other_inputs_never():
    lengths = [10, 4, 9, 5, 2, 1]
    blank = [lhx.Experiment(np.arange(n + 0.0), np.zeros(n), name=str(n)) for n in lengths]
    assert bucketed(blank) == [[0, 2, 3], [1, 4], [5]]
    inputs = (Steps([0.0], [1.0]), Steps([0.0, 0.5], [1.0, 2.0]), Series([0.0, 1.0], [1.0, 2.0]))
    two = [lhx.Experiment([0.0, 1.0], [0.0, 0.0], {"u": given}) for given in inputs]
    assert bucketed(two) == [[0, 1], [2]]


@pytest.mark.parametrize(
    "make",
    [
        lambda n: Series(np.arange(n + 0.0), np.arange(n) ** 2.0),
        lambda n: Steps(np.arange(n + 0.0), np.arange(n) ** 2.0),
        lambda n: Forcing(jnp.sin, np.arange(n + 0.0)),
    ],
)
def test_a_padded_input_is_the_same_function(make):
    short, long = make(3), make(3).padded(7)
    assert (short.length, long.length) == (3, 7)
    at = jnp.linspace(0.0, 2.0, 11)
    np.testing.assert_array_equal(jax.vmap(long)(at), jax.vmap(short)(at))


def test_padded_doses_give_nothing_more():
    doses = Doses([0.0, 1.0], [2.0, 3.0], durations=[0.0, 0.5], into=[1, 0]).padded(4)
    np.testing.assert_allclose(doses.given(jnp.asarray(3.0), 2), [0.0, 2.0])
    np.testing.assert_allclose(doses.rates(jnp.asarray(1.2), 2), [6.0, 0.0])


# ------------------------------------------------------------------------------------------ fits


def test_a_shared_parameter_against_scipy():
    fit = lhx.fit(lhx.NLL(), predictor(), everyone())
    found = minimize(lambda x: nll(x[0], range(5)), [0.5], method="Nelder-Mead", tol=1e-12)
    assert fit.success
    np.testing.assert_allclose(fit.nll, found.fun, rtol=1e-6)
    np.testing.assert_allclose(fit.estimates["rate"], found.x[0], rtol=1e-6)
    assert fit.num_observed == sum(measured(i)[0].size for i in range(5))


def test_by_experiment_each_is_as_if_fitted_alone():
    data = everyone()
    own = predictor(lhx.positive(0.5, by="experiment"), lhx.positive(0.1, by="experiment"))
    fit = lhx.fit(lhx.NLL(), own, data)
    assert fit.success
    assert fit.labels[0].elements == tuple(f"rate[{name}]" for name in NAMES)
    errors = fit.standard_errors()
    for i in (0, 2):
        alone = lhx.fit(lhx.NLL(), predictor(scale=lhx.positive(0.1)), one(i))
        for name in ("rate", "scale"):
            np.testing.assert_allclose(fit.estimates[name][i], alone.estimates[name], rtol=1e-5)
            np.testing.assert_allclose(errors[name][i], alone.standard_errors()[name], rtol=1e-4)


def test_by_group_each_is_as_if_fitted_together():
    data = everyone()
    fit = lhx.fit(lhx.NLL(), predictor(lhx.positive(0.5, by="sex")), data)
    women = lhx.Experiments([one(i) for i in (0, 2, 4)])
    men = lhx.Experiments([one(i) for i in (1, 3)])
    found = [lhx.fit(lhx.NLL(), predictor(), some).estimates["rate"] for some in (women, men)]
    np.testing.assert_allclose(fit.estimates["rate"], found, rtol=1e-6)
    assert fit.labels[0].elements == ("rate[f]", "rate[m]")
    # By its gradient alone, backwards through the solves, it is the same.
    slow = lhx.fit(lhx.NLL(), predictor(lhx.positive(0.5, by="sex")), data, method=lhx.BFGS())
    np.testing.assert_allclose(slow.nll, fit.nll, rtol=1e-9)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_derivatives_against_differences(mode):
    data = everyone()
    own = predictor(lhx.positive(0.5, by="experiment")).differentiated(mode)

    def total(rates):
        at = eqx.tree_at(lambda p: p.model.field.rate, lhx.resolve(varied), Varying_of(rates))
        return lhx.NLL().evaluate(at, data).total

    varied = lhx.fit(lhx.NLL(), own, data, method=lhx.BFGS(max_steps=1)).predictor
    varied = varied.differentiated(mode)
    template = lhx.resolve(varied).model.field.rate
    Varying_of = lambda rates: eqx.tree_at(lambda v: v.value, template, rates)
    at = np.array([0.5, 0.8, 0.6, 0.4, 0.9])
    gradient = jax.jacfwd if mode == "forward" else jax.grad
    slopes = eqx.filter_jit(gradient(total))(jnp.asarray(at))
    step = 1e-5 * np.eye(5)
    expected = [(nll(at + h, range(5)) - nll(at - h, range(5))) / 2e-5 for h in step]
    np.testing.assert_allclose(slopes, expected, rtol=1e-5)


def test_one_predictor_one_experiment_and_others():
    data = everyone()
    fit = lhx.fit(lhx.NLL(), predictor(lhx.positive(0.5, by="experiment")), data)
    prediction = fit.predictor.predict(data)
    np.testing.assert_allclose(
        prediction.values[data.of_row == 1],
        fit.predictor.of(data, "bob").simulate(*data["bob"].arguments).values,
        rtol=1e-12,
    )
    # Of some of them, in another order: each has what it had.
    some = lhx.Experiments([one(4), one(1)])
    rates = fit.estimates["rate"][[4, 1]]
    np.testing.assert_allclose(lhx.NLL()(fit.predictor, some), nll(rates, (4, 1)), rtol=1e-6)
    np.testing.assert_allclose(
        lhx.NLL()(fit.predictor, one(3)), nll(fit.estimates["rate"][3], [3]), rtol=1e-6
    )
    with pytest.raises(ValueError, match="a parameter varies by experiment, so say which"):
        fit.predictor(data["ann"].times, data["ann"].inputs)


def test_a_prior_holds_those_that_vary_together():
    """Normal about a known mean: the minimum of SciPy's posterior."""
    data = everyone()
    own = predictor(lhx.real(0.5, by="experiment"))
    about = lhx.terms.Prior(lambda p: p.model.field.rate, dist.Normal(0.6, 0.05))
    fit = lhx.fit(lhx.NLL() + about, own, data)

    def cost(rates):
        return nll(rates, range(5)) - np.sum(norm.logpdf(rates, 0.6, 0.05))

    found = minimize(cost, np.full(5, 0.5), method="BFGS", options={"gtol": 1e-7})
    np.testing.assert_allclose(fit.estimates["rate"], found.x, rtol=1e-5)


class WithPopulation(eqx.Module):
    """Rates that vary, and about what and how far."""

    rate: jax.Array
    centre: jax.Array
    spread: jax.Array

    def __call__(self, t, y, inputs):
        return -self.rate * y


def hierarchy(by="experiment"):
    """A fitted spread, held by a prior of its own."""
    field = WithPopulation(lhx.real(0.5, by=by), lhx.real(0.5), lhx.positive(0.3))
    ode = lhx.ODE(field, [0.0], t0=0.0, observe=lambda t, y: y[0])
    about = lambda p: dist.Normal(p.model.field.centre, p.model.field.spread)
    objective = (
        lhx.NLL()
        + lhx.terms.Prior(lambda p: p.model.field.rate, about)
        + lhx.terms.Prior(lambda p: p.model.field.spread, dist.LogNormal(-1.5, 0.5))
    )
    return objective, lhx.Predictor(ode, lhx.likelihoods.Normal(0.05))


def test_a_fitted_spread_against_scipy():
    objective, own = hierarchy()
    fit = lhx.fit(objective, own, everyone())

    def cost(x):
        rates, centre, spread = x[:5], x[5], np.exp(x[6])
        held = np.sum(norm.logpdf(rates, centre, spread)) + lognorm.logpdf(
            spread, 0.5, scale=np.exp(-1.5)
        )
        return nll(rates, range(5)) - held

    start = [*np.full(5, 0.5), 0.5, np.log(0.3)]
    found = minimize(cost, start, method="BFGS", options={"gtol": 1e-6})
    assert fit.success
    np.testing.assert_allclose(fit.nll, found.fun, rtol=1e-7)
    np.testing.assert_allclose(fit.estimates["rate"], found.x[:5], rtol=1e-4)
    np.testing.assert_allclose(fit.estimates["centre"], found.x[5], rtol=1e-4)
    np.testing.assert_allclose(fit.estimates["spread"], np.exp(found.x[6]), rtol=1e-3)


@pytest.mark.parametrize(
    ("by", "who", "message"),
    [
        ("experiment", [1], "Prior: a parameter that varies by experiment has one member only, "
            "'bob', and the spread of one number cannot be fitted: give data of two or more"),
        ("sex", [0, 2], "Prior: a parameter that varies by sex has one member only, 'f', and"),
        (None, [0, 1], 'one number is selected, and its spread cannot be fitted: select a para'),
    ],
)  # fmt: skip
def test_a_spread_of_one_is_refused(by, who, message):
    objective, own = hierarchy(by)
    with pytest.raises(ValueError, match=re.escape(message)):
        lhx.fit(objective, own, lhx.Experiments([one(i) for i in who]))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (lambda p: 0.3, "the function returned float, no NumPyro distribution"),
        (lambda p: dist.Normal(p.model.field.mean), "function cannot be applied to the predictor"),
    ],
)
def test_a_function_that_gives_no_distribution(about, message):
    term = lhx.terms.Prior(lambda p: p.model.field.rate, about)
    with pytest.raises(ValueError, match=message):
        lhx.fit(lhx.NLL() + term, hierarchy()[1], everyone())


def test_missing_values_and_several_observables():
    def table(i):
        times, values = measured(i)
        both = np.column_stack([values, 10 * values])
        both[1, 0] = np.nan
        return lhx.Experiment(times, both, Doses([0.0], [2.0]), name=NAMES[i])

    observe = lambda t, y: y[0] * jnp.array([1.0, 10.0])
    ode = lhx.ODE(Elimination(lhx.positive(0.5)), [0.0], t0=0.0, observe=observe)
    noise = lhx.likelihoods.Normal(lhx.frozen([0.05, 0.5]))
    data = lhx.Experiments([table(0), table(1)])
    found = lhx.NLL()(lhx.Predictor(ode, noise), data)
    expected = 0.0
    for i in (0, 1):
        times, values = measured(i)
        exact = 2 * np.exp(-0.5 * times)
        first = -norm.logpdf(values, exact, 0.05)
        expected += first.sum() - first[1] - norm.logpdf(10 * values, 10 * exact, 0.5).sum()
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_a_formula_is_fitted_too():
    class Formula(eqx.Module):
        rate: jax.Array

        def __call__(self, times, inputs):
            return 2 * jnp.exp(-self.rate * times)

    own = lhx.Predictor(Formula(lhx.positive(0.5, by="sex")), lhx.likelihoods.Normal(0.05))
    fit = lhx.fit(lhx.NLL(), own, everyone())
    by_ode = lhx.fit(lhx.NLL(), predictor(lhx.positive(0.5, by="sex")), everyone())
    np.testing.assert_allclose(fit.estimates["rate"], by_ode.estimates["rate"], rtol=1e-6)


def test_what_cannot_be_solved_is_said():
    data = everyone()
    with pytest.raises(ValueError, match=r"study: \d of 5 experiments could not be solved at th"):
        lhx.fit(lhx.NLL(), predictor(max_steps=8), data)
    # From a good start a long first step leads to where some cannot be solved.
    own = predictor(lhx.positive(0.05, by="experiment"), max_steps=24)
    method = lhx.GradientDescent(optax.sgd(1e-2), max_steps=4)
    fit = lhx.fit(lhx.NLL(), own, data, method=method)
    assert fit.failures
    for name, (count, reached) in fit.failures.items():
        assert name in NAMES
        assert 1 <= count <= 4
        assert reached < float(data[name].times[-1])


def test_twenty_fits_are_traced_once():
    traced = []

    class Counted(eqx.Module):
        rate: jax.Array

        def __call__(self, t, y, inputs):
            traced.append(1)
            return -self.rate * y

    ode = lhx.ODE(Counted(lhx.positive(0.5)), [0.0], t0=0.0, observe=lambda t, y: y[0])
    own = lhx.Predictor(ode, lhx.likelihoods.Normal(0.05))
    counts = []
    for seed in range(20):
        noise = 0.01 * np.random.default_rng(seed).standard_normal(9)
        each = []
        for i in range(3):
            times, values = measured(i)
            given = Doses([0.0], [2.0])
            each.append(lhx.Experiment(times, values + noise[: times.size], given, name=NAMES[i]))
        assert lhx.fit(lhx.NLL(), own, lhx.Experiments(each)).success
        counts.append(len(traced))
    assert counts[0] > 0
    assert counts == counts[:1] * 20


# ---------------------------------------------------------------------------------------- tables


def test_a_long_table():
    frame = pd.DataFrame(
        {
            "id": [7, 7, 7, 3, 3, 3],
            "hours": [2.0, 0.0, 1.0, 0.5, 0.0, 4.0],
            "conc": [5.0, np.nan, 6.0, 2.0, np.nan, 1.0],
            "amount": [0.0, 100.0, 0.0, 0.0, 50.0, 0.0],
            "sex": ["m", "m", "m", "f", "f", "f"],
            "weight": [70, 70, 70, 55, 55, 55],
        }
    )
    data = lhx.experiments(
        frame, experiment="id", time="hours", values="conc", dose="amount", groups="sex",
        constants="weight",
    )  # fmt: skip
    assert data.names == ("7", "3")
    assert data.members["sex"] == ("f", "m")
    first = data["7"]
    np.testing.assert_array_equal(first.times, [1.0, 2.0])
    np.testing.assert_array_equal(first.values, [6.0, 5.0])
    assert first.inputs["weight"] == 70.0
    np.testing.assert_array_equal(first.inputs["doses"].given(jnp.asarray(0.0), 1), [100.0])
    np.testing.assert_array_equal(data["3"].inputs["doses"].given(jnp.asarray(1.0), 1), [50.0])


def test_a_table_of_several_observables_and_recorded_inputs():
    frame = pd.DataFrame(
        {
            "id": ["a"] * 5,
            "t": [0.0, 1.0, 1.0, 2.0, 3.0],
            "what": ["x", "x", "y", "y", "x"],
            "value": [1.0, 2.0, 20.0, 30.0, np.nan],
            "light": [0.0, 1.0, 1.0, np.nan, 0.0],
        }
    )
    data = lhx.experiments(
        frame, experiment="id", time="t", values="value", observable="what", steps="light"
    )
    assert data.observables == ("x", "y")
    found = np.where(data["a"].observed, data["a"].values, np.nan)
    np.testing.assert_array_equal(found, [[1.0, np.nan], [2.0, 20.0], [np.nan, 30.0]])
    light = data["a"].inputs["light"]
    np.testing.assert_array_equal(jax.vmap(light)(jnp.array([0.5, 1.5, 3.0])), [0.0, 1.0, 0.0])


# ---------------------------------------------------------------------------------------- errors


TABLE = pd.DataFrame(
    {"id": [1, 1, 2], "t": [0.0, 1.0, 0.0], "y": [1.0, 2.0, np.nan], "g": ["a", "b", "a"]}
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": "z"}, "the table has no column 'z'; it has 'id', 't', 'y', 'g'"),
        ({"groups": "g"}, "1: 'g' is 'a' in one row and 'b' in another"),
        ({}, "2: nothing was measured in this experiment"),
        ({"values": "g"}, "1: g: not a column of numbers"),
        ({"duration": "t"}, "durations and entries belong to doses"),
        ({"values": ["y", "t"], "observable": "g"}, "there is one column of values, not 2"),
    ],
)
def test_tables_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        lhx.experiments(TABLE, **{"experiment": "id", "time": "t", "values": "y", **options})


def test_two_measurements_at_once():
    frame = pd.DataFrame({"id": [1, 1], "t": [1.0, 1.0], "y": [1.0, 2.0]})
    with pytest.raises(ValueError, match="1: 'y' was measured twice at t = 1: average"):
        lhx.experiments(frame, experiment="id", time="t", values="y")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lhx.Experiments([]), "there are no experiments"),
        (lambda: lhx.Experiments([3]), "int is no Experiment"),
        (lambda: lhx.Experiments([one(0), one(0)]), "two experiments are called 'ann'"),
        (
            lambda: lhx.Experiments([one(0), one(1, observables="level")]),
            "bob measures ('level',), ann measures ('value',)",
        ),
        (
            lambda: lhx.Experiments([one(0), lhx.Experiment([1.0], [1.0], name="x")]),
            "x is in groups of [], ann of ['sex']",
        ),
        (lambda: everyone().arguments, "several experiments have no one argument"),
        (
            lambda: lhx.Experiment([1.0], [1.0], groups={"experiment": "x"}),
            '"experiment" is what its name is for',
        ),
        (
            lambda: lhx.fit(lhx.NLL(), predictor(lhx.positive(0.5, by="site")), everyone()),
            "a parameter varies by 'site', but experiments are told apart by 'experiment', 'sex'",
        ),
        (
            lambda: lhx.fit(
                lhx.NLL(),
                predictor(lhx.positive(0.5, by="sex")),
                lhx.Dataset(np.ones(3), np.ones(3)),
            ),
            "a parameter varies by 'sex'",
        ),
    ],
)
def test_mistakes_are_named(make, message, as_a_user):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (Doses([-1.0], [2.0]), "eve: inputs has a dose at t = -1.0, before the solve begins at t"),
        (Series([0.0, 1.0], [1.0, 1.0]), "eve: inputs ends at t = 1.0, before the last"),
        (Steps([0.5, 1.0], [1.0, 1.0]), "eve: inputs begins at t = 0.5, after"),
    ],
)
def test_an_input_that_does_not_fit_is_one_of_a_named_experiment(inputs, message):
    times, values = measured(4)
    eve = lhx.Experiment(times, values, inputs, name="eve", groups={"sex": "f"})
    data = lhx.Experiments([one(0), eve])
    with pytest.raises(ValueError, match=re.escape(message)):
        lhx.fit(lhx.NLL(), predictor(), data)


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        (lhx.Box({"rate[zoe]": (0.1, 1.0)}), "no fitted parameter is called 'rate[zoe]'"),
        (lhx.Box({"speed": (0.1, 1.0)}), "no fitted parameter is called 'speed'"),
        (lhx.Priors({"ann": dist.LogNormal()}), "no fitted parameter is called 'ann'"),
    ],
)
def test_starts_of_members_that_are_not_there(starts, message):
    own = predictor(lhx.positive(0.5, by="experiment"))
    with pytest.raises(ValueError, match=re.escape(message)):
        lhx.multistart(lhx.NLL(), own, everyone(), starts, num=2, key=jax.random.key(0))


def test_starts_within_a_box_of_one_member():
    own = predictor(lhx.positive(0.5, by="experiment"))
    box = lhx.Box({"rate[bob]": (0.8, 1.0)})
    found = lhx.multistart(lhx.NLL(), own, everyone(), box, num=2, key=jax.random.key(0))
    assert found.optima[0].count == 2
    for i in range(2):
        rates = lhx.resolve(found.starts.problem_of(i).predictor.model.field.rate).value
        assert 0.8 < rates[1] < 1.0
        np.testing.assert_array_equal(np.delete(rates, 1), np.full(4, 0.5))
    assert found.fits[0].labels[0].elements[1] == "rate[bob]"


def test_an_unknown_member():
    fit = lhx.fit(
        lhx.NLL(), predictor(lhx.positive(0.5, by="experiment")), lhx.Experiments([one(0), one(1)])
    )
    with pytest.raises(ValueError, match="'cleo' has no value of a parameter that varies by exper"):
        lhx.NLL()(fit.predictor, lhx.Experiments([one(0), one(2)]))
