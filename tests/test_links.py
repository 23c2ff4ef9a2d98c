"""Links: there and back again, logarithms and logits in both tails, what is outside their range."""

import math
from collections.abc import Callable
from typing import NamedTuple

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings

from likelihax import likelihoods, links

DIGITS = 60


class Case(NamedTuple):
    """A link, the inverse's exact value, and predictions inside and outside its ranges.

    - `round_trip`: from where to where `link(inverse(prediction))` has all its digits.
    - `tails`: predictions whose parameter is a positive number, out to where it is extreme.
    - `shares`: those where it is between 0 and 1, so that it has a logit.
    - `no_log`, `no_logit`: those for which there is none.
    """

    link: links.AbstractLink
    inverse: Callable[[mp.mpf], mp.mpf]
    round_trip: tuple[float, float]
    tails: tuple[float, ...]
    shares: tuple[float, ...]
    no_log: tuple[float, ...] = ()
    no_logit: tuple[float, ...] = ()


def normal_cdf(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2


MIDDLE = (-2.5, -0.3, 0.01, 0.4, 1.7)
CASES = {
    "identity": Case(
        links.Identity(),
        lambda x: x,
        (1e-3, 1e3),
        (1e-300, 0.2, 1.0, 1e300),
        (1e-300, 1e-9, 0.3, 0.5, 0.999999),
        (-1.0, -1e-300),
        (-0.1, 1.1),
    ),
    "log": Case(
        links.Log(),
        mp.exp,
        (-20.0, 20.0),
        (-900.0, *MIDDLE, 900.0),
        (-900.0, -40.0, -2.5, -0.3, -1e-9),
        (),
        (0.1, 30.0),
    ),
    "logit": Case(
        links.Logit(),
        lambda x: 1 / (1 + mp.exp(-x)),
        (-20.0, 3.0),
        (-900.0, -40.0, *MIDDLE, 30.0),
        (-900.0, -40.0, *MIDDLE, 40.0, 900.0),
    ),
    "probit": Case(
        links.Probit(),
        normal_cdf,
        (-5.0, 2.0),
        (-200.0, -30.0, *MIDDLE, 8.0),
        (-200.0, -30.0, *MIDDLE, 8.0, 30.0),
    ),
    "inverse": Case(
        links.Inverse(),
        lambda x: 1 / x,
        (1e-3, 1e3),
        (1e-300, 0.2, 1.0, 1e300),
        (1.000001, 2.0, 3.7, 1e9, 1e300),
        (-1.0,),
        (-1.0, 0.5),
    ),
    "softplus": Case(
        links.Softplus(),
        lambda x: mp.log1p(mp.exp(x)),
        (-20.0, 30.0),
        (-900.0, -40.0, -20.5, -19.5, *MIDDLE, 30.0, 900.0),
        (-900.0, -40.0, -20.5, -19.5, -3.0, -0.1, 0.5),
        (),
        (0.6, 30.0),
    ),
    "sqrt": Case(
        links.Sqrt(),
        lambda x: x**2,
        (1e-3, 1e3),
        (1e-200, 0.2, 1.0, 1e200),
        (1e-200, 1e-9, 0.3, 0.5, 0.9999999),
        (-1.0,),
        (-0.1, 1.1),
    ),
    "cloglog": Case(
        links.ComplementaryLogLog(),
        lambda x: -mp.expm1(-mp.exp(x)),
        (-7.0, 1.0),
        (-900.0, -40.0, -20.5, -19.5, *MIDDLE, 3.0),
        (-900.0, -40.0, -20.5, -19.5, *MIDDLE, 4.0),
    ),
}

every_link = pytest.mark.parametrize("name", CASES)


@every_link
def test_a_name_stands_for_the_link(name):
    assert likelihoods.predicted(name).link == CASES[name].link
    own = CASES[name].link
    assert likelihoods.predicted(own).link is own


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"unknown link 'cube'; known are 'identity', 'log'"):
        likelihoods.predicted("cube")


@every_link
def test_there_and_back_again(name):
    case = CASES[name]

    @settings(max_examples=50)
    @given(st.floats(*case.round_trip))
    def check(prediction):
        value = case.link.inverse(jnp.asarray(prediction))
        back = float(case.link.link(value))
        # A probability near one has lost digits of its complement, and no more than these.
        assert back == pytest.approx(prediction, rel=1e-11, abs=1e-12)

    check()


def as_floats(points, dtype):
    """The points, less those whose exponential a float32 does not have."""
    return [dtype(p) for p in points if dtype == np.float64 or 1e-30 < abs(p) < 80]


@every_link
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_logarithm_and_logit_in_both_tails(name, dtype):
    case = CASES[name]
    eps, logit = float(np.finfo(dtype).eps), lambda p: mp.log(p) - mp.log1p(-p)
    # Of a probability that is one to 800 digits, the complement is still to be told.
    with mp.workdps(900):
        for function, points, exact in (
            (case.link.inverse, case.tails, case.inverse),
            (case.link.log, case.tails, lambda x: mp.log(case.inverse(x))),
            (case.link.logit, case.shares, lambda x: logit(case.inverse(x))),
        ):
            for x in as_floats(points, dtype):
                expected = exact(mp.mpf(float(x)))
                if not float(np.finfo(dtype).tiny) < abs(expected) < float(np.finfo(dtype).max):
                    continue
                found = function(jnp.asarray(x))
                assert found.dtype == dtype
                # An exponential has the relative error of its logarithm's size.
                rel = eps * (100 + 2 * abs(math.log(abs(expected))))
                assert float(found) == pytest.approx(float(expected), rel=rel, abs=0)


@every_link
def test_derivatives_are_those_of_mpmath(name):
    case = CASES[name]
    logit = lambda p: mp.log(p) - mp.log1p(-p)
    with mp.workdps(DIGITS):
        for point in (p for p in case.shares if 1e-3 < abs(p) < 4 and abs(p - 1) > 1e-3):
            for function, exact in (
                (case.link.inverse, case.inverse),
                (case.link.log, lambda x: mp.log(case.inverse(x))),
                (case.link.logit, lambda x: logit(case.inverse(x))),
            ):
                expected = float(mp.diff(exact, mp.mpf(point)))
                assert float(jax.grad(function)(jnp.asarray(point))) == pytest.approx(
                    expected, rel=1e-10
                )


@every_link
def test_outside_its_range_it_is_nan_and_flat(name):
    case = CASES[name]
    for function, points in ((case.link.log, case.no_log), (case.link.logit, case.no_logit)):
        for point in (*points, np.nan):
            if np.isnan(point) and function(jnp.asarray(0.3)) == 0.3:
                continue  # the prediction itself, whose derivative is one
            value, gradient = jax.value_and_grad(function)(jnp.asarray(point))
            assert np.isnan(value)
            if not np.isnan(point):
                assert gradient == 0


@pytest.mark.parametrize("link", [links.Identity(), links.Sqrt(), links.Inverse()])
def test_a_prediction_at_the_edge_has_an_infinite_logarithm(link):
    value, gradient = jax.value_and_grad(link.log)(jnp.asarray(0.0))
    assert abs(value) == np.inf
    assert gradient == 0


@pytest.mark.parametrize(
    ("link", "value"),
    [
        (links.Log(), -1.0),
        (links.Logit(), 1.5),
        (links.Probit(), 1.5),
        (links.Softplus(), -1.0),
        (links.Softplus(least=1.0), 0.9),
        (links.Sqrt(), -1.0),
        (links.ComplementaryLogLog(), 1.5),
    ],
)
def test_a_parameter_outside_the_range_has_no_prediction(link, value):
    assert np.isnan(link.link(jnp.asarray(value)))


def test_a_softplus_above_a_least_value():
    link = links.Softplus(least=1.0)
    x = jnp.array([-40.0, -1.0, 0.0, 3.0, 800.0])
    expected = 1 + np.logaddexp(0, np.asarray(x))
    np.testing.assert_allclose(link.inverse(x), expected, rtol=1e-15)
    np.testing.assert_allclose(link.log(x), np.log(expected), rtol=1e-13, atol=1e-17)
    np.testing.assert_allclose(link.link(link.inverse(x[1:])), x[1:], rtol=1e-13, atol=1e-13)
    assert np.all(np.isnan(link.logit(x)))
    share = links.Softplus(least=0.25)
    p = np.asarray(share.inverse(x[:2]))
    np.testing.assert_allclose(share.logit(x[:2]), np.log(p / (1 - p)), rtol=1e-13)
    for least in (-1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="Softplus: least must be 0 or more and finite"):
            links.Softplus(least=least)
