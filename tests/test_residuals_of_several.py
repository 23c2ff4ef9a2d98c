"""Laws and collocation in several experiments: against one at a time, closed forms and SciPy."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chain import KNOTS, NOISE, STATES, Chain, Normal, chain, mass
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize
from scipy.stats import norm

import likelihax as lhx
from likelihax._parameters import vary
from likelihax.models import Spline, Surrogate
from likelihax.terms import Collocation, Law, conserved, monotone

# Each compiles fits of its own.
pytestmark = pytest.mark.slow

# Two of one length, one that shares their bucket, one that does not.
TIMES = {
    "a": np.linspace(0.0, 3.0, 9),
    "b": np.linspace(0.0, 2.5, 6),
    "c": np.linspace(0.0, 2.0, 9),
    "d": np.linspace(0.0, 2.8, 3),
}
RATES = np.array([0.5, 0.6, 0.7, 0.8, 0.55])  # what each loses, and what all gain
WITHIN = 0.02  # how far off the law may be


def one(name):
    number = list(TIMES).index(name)
    noise = NOISE * np.random.default_rng(number).standard_normal((TIMES[name].size, 2))
    return lhx.Experiment(TIMES[name], chain(0.7, 0.7, TIMES[name]) + noise, name=name)


def several():
    return lhx.Experiments([one(name) for name in TIMES], name="runs")


def predictor(rates=RATES, **options):
    """The rate of loss is each one's own."""
    field = Chain(lhx.positive(0.5, by="experiment"), lhx.positive(rates[-1]))
    ode = lhx.ODE(field, [1.0, 0.0], **options)
    own = vary(lhx.Predictor(ode, Normal(NOISE)), several().members, "runs")
    lost = lambda p: p.model.field.lost.value
    return eqx.tree_at(lost, own, jnp.asarray(rates[:-1]))


def law(**options):
    return Law(conserved(mass), Normal(WITHIN), **options)


def off(rates, times=None):
    """What the law leaves, by the closed form, experiment after experiment."""
    each = zip(rates[:-1], TIMES.values(), strict=True)
    found = [chain(r, rates[-1], own if times is None else times).sum(axis=1) for r, own in each]
    return np.concatenate([mass - mass[0] for mass in found])


def cost(rates, times=None):
    return -np.sum(norm.logpdf(off(rates, times), 0.0, WITHIN))


def test_it_is_the_sum_of_the_laws_of_each():
    term, own = law(), predictor()
    found = term(own, several())
    alone = [term(own.of(several(), name), one(name)) for name in TIMES]
    np.testing.assert_allclose(found, sum(alone), rtol=1e-9)
    np.testing.assert_allclose(found, cost(RATES), rtol=1e-5)
    # Every residual is there once, however it was padded.
    residuals = term.residuals(lhx.resolve(own), several())
    assert residuals.values.shape == (27,)
    np.testing.assert_allclose(np.sort(residuals.values), np.sort(off(RATES)), atol=1e-6)


def test_an_experiment_whose_rate_varies_alone():
    field = Chain(lhx.positive(0.6, by="experiment"), lhx.positive(0.55))
    own = lhx.Predictor(lhx.ODE(field, [1.0, 0.0]), Normal(NOISE))
    residual = chain(0.6, 0.55, TIMES["b"]).sum(axis=1) - 1.0
    found = law()(own, one("b"))
    np.testing.assert_allclose(found, -np.sum(norm.logpdf(residual, 0, WITHIN)), rtol=1e-5)


@pytest.mark.parametrize("times", [[0.5, 1.0, 2.0], None], ids=["given", "measured"])
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_derivatives_against_differences(mode, times):
    own = predictor(rtol=1e-9, atol=1e-11).differentiated(mode)
    term, data = law(times=times), several()
    where = lambda p: (p.model.field.lost.value, p.model.field.gained)

    def total(rates):
        at = eqx.tree_at(where, lhx.resolve(own), (rates[:-1], rates[-1]))
        return lhx.resolve(term).evaluate(at, data).total

    gradient = jax.jacfwd if mode == "forward" else jax.grad
    slopes = eqx.filter_jit(gradient(total))(jnp.asarray(RATES))
    at = None if times is None else np.array(times)
    step = 1e-5 * np.eye(5)
    expected = [(cost(RATES + h, at) - cost(RATES - h, at)) / 2e-5 for h in step]
    np.testing.assert_allclose(slopes, expected, rtol=1e-5)


class Total(eqx.Module):
    """The mass should be some constant, which is not known."""

    total: jax.Array

    def __call__(self, times, states, field):
        return states.sum(axis=1) - self.total


def test_a_fit_under_a_law_finds_what_scipy_finds():
    term = Law(Total(lhx.positive(0.9)), Normal(WITHIN), name="mass")
    fit = lhx.fit(lhx.NLL() + term, predictor(), several())
    assert fit.success
    assert isinstance(fit.method, lhx.LevenbergMarquardt)
    measured = [np.asarray(one(name).values) for name in TIMES]

    def total(theta):
        *lost, gained, constant = np.exp(theta)
        exact = [chain(rate, gained, t) for rate, t in zip(lost, TIMES.values(), strict=True)]
        pairs = zip(measured, exact, strict=True)
        nll = -sum(np.sum(norm.logpdf(y, f, NOISE)) for y, f in pairs)
        left = np.concatenate(exact).sum(axis=1) - constant
        return nll - np.sum(norm.logpdf(left, 0.0, WITHIN))

    start = np.log([*RATES, 0.9])
    found = minimize(total, start, method="BFGS", options={"gtol": 1e-4})
    np.testing.assert_allclose(fit.nll, found.fun, rtol=1e-7)
    np.testing.assert_allclose(fit.estimates["lost"], np.exp(found.x[:-2]), rtol=1e-4)
    np.testing.assert_allclose(fit.estimates["total"], np.exp(found.x[-1]), rtol=1e-4)


def test_a_failed_solve_is_one_of_a_named_experiment():
    short = predictor(max_steps=6)
    with pytest.raises(ValueError, match=r"runs: \d of 4 experiments could not be solved at the s"):
        lhx.fit(law(), short, several())


# ---------------------------------------------------------------------------------- collocation


def curves():
    """A spline each, the same at the start."""
    field = Chain(lhx.positive(0.5), lhx.positive(0.6))
    spline = Spline(KNOTS, lhx.real(STATES, by="experiment"))
    return lhx.Predictor(Surrogate(spline, lhx.ODE(field, [1.0, 0.0])), Normal(1.0))


def slope_error(times):
    peer = CubicSpline(KNOTS, STATES)
    states = peer(times)
    return peer(times, 1) - np.column_stack([-0.5 * states[:, 0], 0.6 * states[:, 0]])


def test_each_curve_is_compared_with_the_field():
    times = np.array([0.3, 1.1, 1.9])
    found = Collocation(Normal(0.4), times=times)(curves(), several())
    expected = -4 * np.sum(norm.logpdf(slope_error(times), 0, 0.4))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    # By a count the times are those of each one's own length.
    found = Collocation(Normal(0.4), times=4)(curves(), several())
    shares = (np.arange(4) + 0.5) / 4
    each = [slope_error(3.0 * shares)] * 4  # the same knots
    np.testing.assert_allclose(found, -np.sum(norm.logpdf(each, 0, 0.4)), rtol=1e-9)


def test_curves_of_several_find_the_rates_of_all():
    objective = lhx.NLL() + Collocation(Normal(0.05), times=20)
    own = curves()
    own = eqx.tree_at(lambda p: p.likelihood, own, Normal(NOISE))
    fit = lhx.fit(objective, own, several())
    assert fit.success
    assert abs(fit.estimates["lost"] - 0.7) < 0.1
    assert abs(fit.estimates["gained"] - 0.7) < 0.1
    assert fit.estimates["values"].shape == (4, 7, 2)


# -------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (law(times=[0.5, 2.2]), "times[1] = 2.2 lies outside the trajectory of c, from 0.0 to 2.0"),
        (
            Law(lambda t, y, field: y[:, :1] * t[None], Normal(1.0)),
            "runs: experiments of other lengths give arrays of other shapes",
        ),
    ],
)
def test_mistakes_are_named(term, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        lhx.fit(lhx.NLL() + term, predictor(), several())


def test_an_inequality_holds_within_each_not_from_one_to_the_next():
    falls = Law(monotone(lambda t, y: y[0], increasing=False), Normal(1.0))
    found = falls.residuals(lhx.resolve(predictor()), several())
    assert found.values.shape == (23,)  # one less in each
    np.testing.assert_array_equal(found.values, 0.0)
