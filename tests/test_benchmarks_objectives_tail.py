"""The table of returns in the tail, against SciPy, arch and plain loops."""

from functools import cache

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import norm, t

from benchmarks.objectives import tail

arch = pytest.importorskip("arch", reason="the returns come with the package arch")

CONSTANT_NORMAL = [("constant", "Normal", to) for to in tail.OBJECTIVES]
# The other six are fitted, and compared with SciPy, by the benchmark itself.
SOME = [*CONSTANT_NORMAL, pytest.param("GARCH", "Student-t", "CVaR", marks=pytest.mark.slow)]


@cache
def returns():
    return tail.days()


@cache
def row(*which):
    return tail.fitted(*which, returns())


# ----------------------------------------------------------------------- the witnesses, by hand


def squares(y, loc, rest, kept, share, before):
    """The squared scales of all days, one after another."""
    square, surprise, found = before, before, []
    for value in y:
        square = (1 - kept) * rest + kept * ((1 - share) * square + share * surprise)
        surprise = (value - loc) ** 2
        found.append(square)
    return np.array(found)


def losses(scale, family, theta, y):
    """The NLLs of unconstrained parameters: location, those of the scale, the logarithm of dof."""
    if scale == "constant":
        loc, spread, *others = theta[0], np.exp(theta[1]), *theta[2:]
    else:
        rest, kept, share = np.exp(theta[1]), *(1 / (1 + np.exp(-theta[2:4])))
        before = returns().train.var()
        loc, spread, *others = theta[0], squares(y, theta[0], rest, kept, share, before), *theta[4:]
        spread = np.sqrt(spread)
    if family == "Normal":
        return -norm.logpdf(y, loc, spread)
    return -t.logpdf(y, np.exp(others[0]), loc, spread)


def unconstrained(found):
    logit = lambda p: np.log(p) - np.log1p(-p)
    ways = {"loc": float, "scale": np.log, "rest": np.log, "dof": np.log}
    return np.array([ways.get(name, logit)(value) for name, value in found.estimates.items()])


def smoothed(each, threshold):
    """The CVaR that is fitted, at a threshold; it is the least over all of them."""
    beyond = np.logaddexp(0.0, (each - threshold) / tail.SMOOTHING) * tail.SMOOTHING
    return threshold + beyond.mean() / (1 - tail.LEVEL)


def mean_of_worst(each):
    """The mean of the largest twentieth, each loss counted twenty times, so that it is whole."""
    repeated = np.sort(np.repeat(each, 20))
    return repeated[-each.size :].mean()


# -------------------------------------------------------------------------------------- the data


def test_returns_lead_from_the_first_close_to_the_last():
    train, test = returns()
    assert (train.size, test.size) == (2010, 3020)
    np.testing.assert_allclose(train[0], 100 * (1244.780029 / 1228.099976 - 1), rtol=1e-9)
    both = np.concatenate([train, test])
    np.testing.assert_allclose(np.prod(1 + both / 100), 2506.850098 / 1228.099976, rtol=1e-9)
    assert test.min() < -9  # the autumn of 2008 is in the years of the test


# ------------------------------------------------------------------------------------- the table


@pytest.mark.parametrize(("scale", "family", "to"), SOME)
def test_figures_are_those_of_scipys_densities_in_order(scale, family, to):
    found = row(scale, family, to)
    assert found.success
    both = np.concatenate(returns())
    train, test = np.split(losses(scale, family, unconstrained(found), both), [2010])
    expected = [train.mean(), mean_of_worst(train), test.mean(), mean_of_worst(test)]
    np.testing.assert_allclose(found.figures, expected, rtol=0, atol=1e-8)
    by_scipy = tail.figures_by_scipy(found, returns())
    np.testing.assert_allclose(by_scipy, expected, rtol=0, atol=1e-10)


def test_a_normal_of_constant_scale_has_the_minima_of_the_closed_forms():
    y = returns().train
    by_mean, by_cvar = (row(*which) for which in CONSTANT_NORMAL)
    np.testing.assert_allclose(by_mean.estimates["loc"], y.mean(), atol=1e-8)
    np.testing.assert_allclose(by_mean.estimates["scale"], y.std(), rtol=1e-8)
    # Of the worst days alone the variance is theirs, about whichever centre makes it least.
    worst = minimize_scalar(
        lambda loc: mean_of_worst((y - loc) ** 2), bounds=(-1, 1), method="bounded"
    ).fun
    least = 0.5 * (1 + np.log(2 * np.pi * worst))
    assert least <= by_cvar.train_cvar + 1e-9 < least + 2e-4
    np.testing.assert_allclose(by_cvar.estimates["scale"], np.sqrt(worst), rtol=0.01)


# Location, what the scale has, and the logarithm of dof: none of them near an answer.
STARTS = {"constant": [0.0, 0.0], "GARCH": [0.0, 0.0, 4.0, -2.5]}


def least_by_scipy(function, start):
    """By finite differences as far as they go, then without them."""
    near = minimize(function, start).x
    options = {"xatol": 1e-7, "fatol": 1e-12, "maxiter": 10_000}
    return minimize(function, near, method="Nelder-Mead", options=options).fun


@pytest.mark.parametrize(("scale", "family", "to"), SOME)
def test_a_fit_ends_as_low_as_scipy(scale, family, to):
    y, theta = returns().train, unconstrained(row(scale, family, to))
    start = STARTS[scale] + ([2.0] if family == "Student-t" else [])
    each = lambda at: losses(scale, family, at, y)
    if to == "mean":
        found, least = each(theta).mean(), least_by_scipy(lambda at: each(at).mean(), start)
    else:
        at_best = each(theta)
        found = minimize_scalar(lambda threshold: smoothed(at_best, threshold)).fun
        least = least_by_scipy(lambda at: smoothed(each(at[:-1]), at[-1]), [*start, 2.0])
    assert abs(found - least) < 1e-9


@pytest.mark.slow
def test_the_scale_that_follows_the_last_days_is_that_of_arch():
    y, found = returns().train, row("GARCH", "Normal", "mean")
    model = arch.arch_model(y, mean="Constant", vol="GARCH", p=1, q=1, rescale=False)
    peer = model.fit(disp="off", backcast=y.var())
    np.testing.assert_allclose(found.train_mean, -peer.loglikelihood / y.size, rtol=1e-8)
    at = found.estimates
    kept, share = at["kept"], at["share"]
    expected = [at["loc"], (1 - kept) * at["rest"], kept * share, kept * (1 - share)]
    np.testing.assert_allclose(peer.params, expected, rtol=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("scale", tail.SCALES)
def test_of_the_tail_alone_the_student_t_becomes_normal(scale):
    normal, student = row(scale, "Normal", "CVaR"), row(scale, "Student-t", "CVaR")
    assert student.estimates["dof"] > 1e6
    np.testing.assert_allclose(student.figures, normal.figures, atol=1e-4)


# ------------------------------------------------------------------------------------ the verdict


def test_each_claim_can_be_broken():
    by_mean, by_cvar = (row(*which) for which in CONSTANT_NORMAL)
    said = lambda *found: tail.broken_claims(found, returns())
    assert said(by_mean, by_cvar) == []
    (stalled,) = said(by_mean, by_cvar._replace(success=False))
    assert stalled == "constant scale, Normal, fitted to the CVaR: the fit did not converge"
    for field in ("train_mean", "train_cvar", "test_mean", "test_cvar"):
        off = by_mean._replace(**{field: getattr(by_mean, field) + 2e-8})
        (away,) = said(off, by_cvar)
        assert (
            away == "constant scale, Normal, fitted to the mean: 2.0e-08 nats from SciPy's figures"
        )
    assert said(by_mean._replace(test_cvar=np.nan), by_cvar)
    changed = said(by_mean._replace(fitted_to="CVaR"), by_cvar._replace(fitted_to="mean"))
    assert [claim.split(": ")[1] for claim in changed] == [
        "its CVaR is above that of the fit to the mean",
        "its mean is above that of the fit to the CVaR",
    ]


def test_the_verdict_is_the_exit_status(monkeypatch, capsys):
    monkeypatch.setattr(tail, "rows", lambda _: iter(row(*which) for which in CONSTANT_NORMAL))
    assert tail.run() == 0
    printed = capsys.readouterr().out
    assert "constant  Normal     mean           1.5424     5.0160     1.6511     7.8468" in printed
    assert printed.endswith("tail: all claims hold\n")
    monkeypatch.setattr(tail, "CLOSE", -1.0)
    assert tail.run() == 1
    assert "NOT MET: constant scale, Normal, fitted to the mean: " in capsys.readouterr().out
