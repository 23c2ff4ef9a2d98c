"""The certified benchmark's regressions: families, conventions, other programs, whole files."""

import json
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import linprog
from statsmodels.othermod.betareg import BetaModel

from benchmarks.reference import beta_regression, glm, programs, quantile, regression_report
from benchmarks.reference.__main__ import main
from benchmarks.reference.design import regression_data
from benchmarks.reference.family import LogLog, Stated, family_named, link_named
from benchmarks.reference.regressing import first_coefficients, regress

ROWS = 60
PEARSON = "expected (Fisher) information times Pearson dispersion"


def _design(seed):
    """Two regressors of unlike sizes and a constant, and what draws the response."""
    random = np.random.default_rng(seed)
    x = random.uniform(-1, 1, ROWS)
    z = 1000 * random.uniform(0, 1, ROWS)
    return {"x": x, "z": z, "const": np.ones(ROWS)}, random


def _fields(design, y, result, *, family, link, **more):
    """A file's fields, the reference values those of another program's fit."""
    names = list(design)
    return {
        "model": "in words",
        "params": dict(zip(names, result.params.tolist(), strict=True)),
        "se": dict(zip(names, result.bse.tolist(), strict=True)),
        "loglik": float(result.llf),
        "data": {
            "y": np.asarray(y).tolist(),
            "X": {name: column.tolist() for name, column in design.items()},
        },
        "family": family,
        "link": link,
        "penalty": None,
        **more,
    }


def _statsmodels(model, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of links that reach beyond a family's range
        return model().fit(**options)


def _glm(design, y, family, **more):
    model = lambda: sm.GLM(y, np.column_stack(list(design.values())), family=family, **more)
    return _statsmodels(model, tol=1e-14, maxiter=200)


# ------------------------------------------------------------------- against other programs' fits


def _poisson_with_offset():
    design, random = _design(1)
    offset = random.uniform(0, 1, ROWS)
    y = random.poisson(np.exp(1 + design["x"] - design["z"] / 1000 + offset)).astype(float)
    result = _glm(design, y, sm.families.Poisson(), offset=offset)
    fields = _fields(design, y, result, family="poisson", link="log", se_kind="observed")
    fields["data"]["offset"] = offset.tolist()
    return fields


def _poisson_sqrt():
    design, random = _design(2)
    y = random.poisson((2 + design["x"] + design["z"] / 1000) ** 2).astype(float)
    result = _glm(design, y, sm.families.Poisson(sm.families.links.Sqrt()))
    return _fields(design, y, result, family="poisson", link="sqrt", se_kind="expected")


def _binomial_cloglog():
    """Successes and failures in pairs."""
    design, random = _design(3)
    total = random.integers(1, 9, ROWS)
    hazard = np.exp(-0.5 + design["x"] + design["z"] / 1000)
    y = random.binomial(total, 1 - np.exp(-hazard)).astype(float)
    pairs = np.column_stack([y, total - y])
    result = _glm(design, pairs, sm.families.Binomial(sm.families.links.CLogLog()))
    return _fields(design, pairs, result, family="binomial", link="cloglog", se_kind="expected")


def _bernoulli_probit():
    design, random = _design(4)
    y = (design["x"] + design["z"] / 1000 + random.normal(size=ROWS) > 0.5).astype(float)
    result = _glm(design, y, sm.families.Binomial(sm.families.links.Probit()))
    return _fields(design, y, result, family="bernoulli", link="probit", se_kind="expected")


def _gamma_inverse():
    design, random = _design(5)
    mean = 1 / (1 + 0.5 * design["x"] + design["z"] / 1000)
    y = random.gamma(4.0, mean / 4)
    result = _glm(design, y, sm.families.Gamma(sm.families.links.InversePower()))
    more = {"se_kind": PEARSON, "loglik": None}
    return {**_fields(design, y, result, family="gamma", link="inverse"), **more}


def _normal_log():
    design, random = _design(6)
    y = np.exp(1 + design["x"] - design["z"] / 1000) + 0.1 * random.normal(size=ROWS)
    result = _glm(design, y, sm.families.Gaussian(sm.families.links.Log()))
    fields = _fields(design, y, result, family="gaussian", link="log", se_kind=PEARSON)
    size = np.log(2 * np.pi * np.mean(np.square(y - result.fittedvalues))) + 1
    return {**fields, "loglik": float(-ROWS / 2 * size)}


def _counts(seed):
    design, random = _design(seed)
    design["z"] /= 1000  # the optimiser of statsmodels needs that
    mean = np.exp(1 + design["x"] + design["z"])
    return design, random.poisson(mean * random.gamma(2.0, 0.5, ROWS)).astype(float)


def _negative_binomial(kind, model):
    design, y = _counts(7)
    columns = np.column_stack(list(design.values()))
    fitted = lambda: sm.NegativeBinomial(y, columns, loglike_method=kind)
    result = _statsmodels(fitted, method="bfgs", disp=0, maxiter=2000, gtol=1e-9)
    named = {**design, "alpha": np.ones(ROWS)}
    fields = _fields(named, y, result, family="negative_binomial", link="log")
    del fields["data"]["X"]["alpha"]
    return {**fields, "model": model, "se_kind": "observed information"}


def _negative_binomial_2():
    return _negative_binomial("nb2", "NegBin NB2 var=mu+alpha*mu^2")


def _negative_binomial_1():
    return _negative_binomial("nb1", "NegBin NB1 var=mu+alpha*mu")


def _known_concentration():
    """As R's `negative.binomial(theta)` does, with the dispersion of the residuals."""
    design, y = _counts(8)
    result = _glm(design, y, sm.families.NegativeBinomial(alpha=0.5))
    fields = _fields(design, y, result, family="negative_binomial", link="log", se_kind="expected")
    return {**fields, "model": "negative binomial, alpha=0.5"}


def _beta_loglog():
    """The observed information; a precision with a design of its own."""
    design, random = _design(9)
    mean = np.exp(-np.exp(-(design["x"] + design["z"] / 1000)))
    precision = np.exp(3 + design["x"])
    y = random.beta(mean * precision, (1 - mean) * precision)
    second = {"const": design["const"], "x": design["x"]}
    model = lambda: BetaModel(
        y,
        np.column_stack(list(design.values())),
        exog_precision=np.column_stack(list(second.values())),
        link=sm.families.links.LogLog(),
        link_precision=sm.families.links.Log(),
    )
    result = _statsmodels(model, disp=0, gtol=1e-9)
    named = {**design, "phi_const": design["const"], "phi_x": design["x"]}
    fields = _fields(named, y, result, family="beta", link="loglog")
    columns = fields["data"]["X"]
    fields["data"]["Z"] = {"const": columns.pop("phi_const"), "x": columns.pop("phi_x")}
    return {**fields, "note": "hessian = TRUE", "model": "loglog mean link, log precision link"}


CASES = [
    _poisson_with_offset,
    _binomial_cloglog,
    _bernoulli_probit,
    _gamma_inverse,
    _normal_log,
    *(
        pytest.param(case, marks=pytest.mark.slow)
        for case in (
            _poisson_sqrt,
            _negative_binomial_2,
            _negative_binomial_1,
            _known_concentration,
            _beta_loglog,
        )
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__.lstrip("_"))
def test_regressions_agree_with_statsmodels(case):
    fields = case()
    [row] = glm.check(fields)
    assert row.status.startswith("successful"), row.status
    assert row.met, row.status
    assert row.parameters == f"{len(fields['params'])} of {len(fields['params'])}"


@pytest.fixture(scope="module")
def probit():
    """The fields of a file, and the fit once and for all, for what is compared with it."""
    fields = _bernoulli_probit()
    data = regression_data(fields)
    return fields, regress(glm.stated(fields, data), data)


@pytest.mark.parametrize(
    ("field", "share", "met"),
    [
        ("params", 0.9e-4, True),  # of a standard error
        ("params", 1.2e-4, False),
        ("se", 0.9e-6, True),  # of itself, as the next
        ("se", 1.2e-6, False),
        ("loglik", 0.9e-8, True),
        ("loglik", 1.2e-8, False),
    ],
)
def test_how_near_is_near_enough(probit, monkeypatch, field, share, met):
    fields, fitted = probit
    monkeypatch.setattr(regression_report, "regress", lambda stated, data: fitted)
    if field == "loglik":
        fields = {**fields, "loglik": fields["loglik"] * (1 + share)}
    else:
        unit = fields["se"]["z"]
        fields = {**fields, field: {**fields[field], "z": fields[field]["z"] + share * unit}}
    [row] = glm.check(fields)
    assert row.met is met
    assert ("not" in row.status) is not met


@pytest.mark.parametrize("wrong", [False, True])
def test_few_printed_digits_are_enough_if_all_agree(probit, monkeypatch, wrong):
    fields, fitted = probit
    monkeypatch.setattr(regression_report, "regress", lambda stated, data: fitted)
    rounded = {name: float(f"{value:.4g}") for name, value in fields["params"].items()}
    if wrong:
        rounded["x"] += float(10.0 ** (np.floor(np.log10(abs(rounded["x"]))) - 3))
    errors = {name: float(f"{value:.3g}") for name, value in fields["se"].items()}
    [row] = glm.check(
        {**fields, "params": rounded, "se": errors, "loglik": round(fields["loglik"], 2)}
    )
    assert row.met is not wrong


def test_expected_and_observed_information_are_told_apart(probit, monkeypatch):
    """The probit is not canonical, so they differ."""
    fields, fitted = probit
    monkeypatch.setattr(regression_report, "regress", lambda stated, data: fitted)
    [row] = glm.check({**fields, "se_kind": "observed information"})
    assert not row.met
    assert row.deviations == "0 of 3, observed"


@pytest.mark.parametrize("level", [0.8, pytest.param(0.5, marks=pytest.mark.slow)])
def test_quantile_regression_reaches_the_linear_programme(level):
    design, random = _design(10)
    y = 3 + design["x"] - design["z"] / 1000 + (1 + design["z"] / 1000) * random.normal(size=ROWS)
    columns = np.column_stack(list(design.values()))
    eye = np.eye(ROWS)
    cost = np.r_[np.zeros(3), np.full(ROWS, level), np.full(ROWS, 1 - level)]
    bounds = [(None, None)] * 3 + [(0, None)] * (2 * ROWS)
    best = linprog(cost, A_eq=np.c_[columns, eye, -eye], b_eq=y, bounds=bounds)
    fields = {
        "model": "linear quantile regression speed ~ x + z + const",
        "tau": level,
        "params": dict(zip(design, best.x[:3].tolist(), strict=True)),
        "sum_adev": 2 * best.fun,
        "data": {"speed": y.tolist(), "x": design["x"].tolist(), "z": design["z"].tolist()},
    }
    [row] = quantile.check(fields)
    assert row.met, row.status
    assert row.parameters == "3 of 3"
    [row] = quantile.check({**fields, "tau": level - 0.1})
    assert not row.met


def test_whole_weights_repeat_rows():
    design, random = _design(11)
    y = random.poisson(np.exp(1 + design["x"])).astype(float)
    weights = random.integers(1, 4, ROWS)
    result = _glm(design, y, sm.families.Poisson(), freq_weights=weights)
    fields = _fields(design, y, result, family="poisson", link="log", se_kind="observed")
    fields["data"]["freq_weights"] = weights.tolist()
    [row] = glm.check(fields)
    assert row.met, row.status
    fields["data"]["freq_weights"][0] = 1.5
    with pytest.raises(ValueError, match="weights that are no whole numbers"):
        regression_data(fields)


def test_an_exposure_is_an_offset():
    fields = _poisson_with_offset()
    offset = np.array(fields["data"]["offset"])
    fields["data"] |= {"offset": (offset / 2).tolist(), "exposure": np.exp(offset / 2).tolist()}
    np.testing.assert_allclose(regression_data(fields).offset, offset, rtol=1e-14)
    with pytest.raises(ValueError, match="with the log link only"):
        regression_data({**fields, "link": "sqrt"})


def test_shares_of_trials_are_counts():
    fields = {**_bernoulli_probit(), "family": "binomial"}
    half = [0.5 if value else 0.0 for value in fields["data"]["y"]]
    fields["data"] = {**fields["data"], "y": half, "weights": [4] * ROWS}
    data = regression_data(fields)
    assert set(data.values.tolist()) == {0.0, 2.0}
    assert data.total is not None
    assert set(data.total.tolist()) == {4.0}


@pytest.mark.parametrize("case", [_poisson_sqrt, _gamma_inverse, _normal_log, _bernoulli_probit])
def test_starts_do_not_come_from_the_reference(case):
    fields = case()
    data = regression_data(fields)
    start = first_coefficients(glm.stated(fields, data), data)
    fields["params"] = dict.fromkeys(fields["params"], 1e9)
    np.testing.assert_array_equal(first_coefficients(glm.stated(fields, data), data), start)


def test_a_start_outside_the_range_is_drawn_to_a_constant():
    """Least squares of reciprocals that cross zero: no Gamma has such means."""
    x = np.linspace(0.0, 1.0, 20)
    y = np.where(x < 0.9, 1.0 + x, 0.02)
    data = regression_data({"data": {"y": y.tolist(), "X": {"x": x.tolist(), "const": [1.0] * 20}}})
    stated = Stated(family_named("gamma"), link_named("inverse"))
    plain = np.linalg.lstsq(data.design.columns, 1 / y, rcond=None)[0]
    assert np.min(data.design.columns @ plain) < 0
    assert np.min(data.design.columns @ first_coefficients(stated, data)) > 0


def test_the_loglog_link_is_its_own_inverse():
    link = LogLog()
    predictor = jnp.array([-1.5, -0.2, 0.7, 3.0])
    share = jnp.exp(-jnp.exp(-predictor))
    np.testing.assert_allclose(link.inverse(predictor), share, rtol=1e-14)
    np.testing.assert_allclose(link.link(share), predictor, rtol=1e-13)
    np.testing.assert_allclose(link.log(predictor), np.log(share), rtol=1e-14)
    np.testing.assert_allclose(link.logit(predictor), np.log(share / (1 - share)), rtol=1e-13)
    assert np.all(np.isfinite(jax.vmap(jax.grad(link.logit))(predictor)))


# --------------------------------------------------------------- what programs do before they print


def _dobson():
    """R: `example(glm)`, its first model, as R prints it."""
    levels = ["1", "2", "3"]
    return {
        "model": "Poisson, log link: counts ~ outcome + treatment",
        "params": {"(Intercept)": 3.045, "outcome2": -0.4543, "outcome3": -0.293},
        "se": {
            "(Intercept)": 0.1709,
            "outcome2": 0.2022,
            "outcome3": 0.1927,
            "treatment2": 0.2,
            "treatment3": 0.2,
        },
        "loglik": -23.38,
        "data": {
            "counts": [18, 17, 15, 20, 10, 20, 25, 13, 12],
            "factors": {"outcome": levels * 3, "treatment": [a for a in levels for _ in range(3)]},
        },
        "family": "poisson",
        "link": "log",
    }


def test_factors_are_coded_as_r_does():
    fields = _dobson()
    [row] = glm.check(fields)
    assert row.met, row.status
    fields["params"]["outcome2"] = -0.4544
    [row] = glm.check(fields)
    assert not row.met
    assert "outcome2 -0.454255" in row.status
    assert "not -0.4544" in row.status


def test_standard_errors_an_iterate_early_are_rs_only(probit, monkeypatch):
    """R's weights are those before its last step; a fit's are those at its end."""
    fields, fitted = probit
    monkeypatch.setattr(regression_report, "regress", lambda stated, data: fitted)
    data = regression_data(fields)
    shift = programs.shift_of_glm(glm.stated(fields, data), data, pearson=False)
    late = fitted.errors("expected", "model")[0]
    assert 1e-6 < np.max(np.abs(shift.errors / late)) < 1e-3
    early = dict(zip(fields["se"], (late + shift.errors).tolist(), strict=True))
    [row] = glm.check({**fields, "se": early})
    assert not row.met
    [row] = glm.check({**fields, "se": early, "origin": "R"})
    assert row.met, row.status
    assert "as R's glm prints it, an iterate early" in row.status
    early["x"] *= 1 + 1e-5
    [row] = glm.check({**fields, "se": early, "origin": "R"})
    assert not row.met


def test_single_precision_is_statas_only():
    design, random = _design(12)
    design["x"] += 100.0  # beside which single precision rounds a good deal
    y = (design["x"] - 100.0 + random.normal(size=ROWS) > 0).astype(float)
    held = {name: column.astype(np.float32).astype(float) for name, column in design.items()}
    result = _glm(held, y, sm.families.Binomial())
    double = _glm(design, y, sm.families.Binomial())
    assert abs(result.llf / double.llf - 1) > 1e-8
    fields = _fields(design, y, result, family="bernoulli", link="logit", se_kind="observed")
    [row] = glm.check(fields)
    assert not row.met
    [row] = glm.check({**fields, "origin": "Stata 11"})
    assert row.met, row.status
    assert "in single precision, as Stata holds them" in row.status


@pytest.mark.parametrize(
    ("family", "se_kind", "note", "expected"),
    [
        ("poisson", "observed information", None, [("observed", "observed", "model")]),
        ("gamma", PEARSON, None, [("expected", "expected", "pearson")]),
        (
            "nb",
            "observed information",
            "R glm.nb SEs are from expected information at fixed theta; Stata alpha se",
            [("expected", "observed", "model")],
        ),
        (
            "beta",
            None,
            "SE are expected-information in betareg; observed-information SE differ slightly",
            [("expected", "expected", "model")],
        ),
        ("beta", None, "fitted with hessian = TRUE", [("observed", "observed", "model")]),
        (
            "beta",
            None,
            "Table 1",
            [("expected", "expected", "model"), ("observed", "observed", "model")],
        ),
        (
            "normal",
            "expected information",
            None,
            [("expected", "expected", "pearson"), ("expected", "expected", "model")],
        ),
    ],
)
def test_which_standard_errors_a_file_asks_for(family, se_kind, note, expected):
    stated = Stated(family_named(family), link_named("log"))
    found = regression_report.conventions({"se_kind": se_kind, "note": note}, stated)
    assert [tuple(one) for one in found] == expected


# ------------------------------------------------------------------------------------ whole files


def _with_data(**data):
    fields = _dobson()
    x = [0.1 * k for k in range(9)]
    plain = {"y": [1.0, 2.0] * 4 + [3.0], "X": {"x": x, "const": [1.0] * 9}}
    return {**fields, "suite": "glm", "data": {**plain, **data}, "params": {"x": 1.0}, "se": None}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"suite": "glm"}, "'data' is missing"),
        ({"suite": "glm", "data": "elsewhere"}, "'data' is not an object"),
        ({**_with_data(), "family": "tweedie"}, "the family 'tweedie' is not one of"),
        ({**_with_data(), "family": None}, "'family' is missing"),
        ({**_with_data(), "link": "cauchit"}, "the link 'cauchit' is not one of"),
        ({**_with_data(), "penalty": "l0"}, "the penalty 'l0' cannot be expressed"),
        ({**_with_data(), "params": None}, "nothing to compare"),
        ({**_with_data(), "params": {"q": 1.0}}, "params has 'q', the design has x, const"),
        ({**_with_data(), "n": 10}, "the file says n = 10"),
        ({**_with_data(), "family": "bernoulli"}, "not such as the family binomial has"),
        (_with_data(y="all"), "is not a list of numbers"),
        (_with_data(y=[1.0] * 8), "X has 9 rows, y has 8 values"),
        (_with_data(X={"x": [1.0]}), "X has 1 rows"),
        (_with_data(X={"x": [1.0], "z": [1.0, 2.0]}), "expected columns of one length"),
        (_with_data(X={"x": ["a"] * 9}), "is not a list of numbers"),
        (_with_data(y=[[1.0, 2.0, 3.0]] * 9), "successes and failures"),
        (_with_data(offset=[1.0]), "the field 'offset' has shape"),
        (_with_data(exposure=[0.0] * 9), "values that are not positive"),
        (_with_data(weights=[0.5] * 9), "no whole numbers"),
        ({**_dobson(), "suite": "glm", "model": "in words"}, "no formula after a colon"),
        ({**_dobson(), "suite": "glm", "model": "in: y ~ __import__"}, "cannot read the formula"),
        ({"suite": "quantile", "data": {}}, "'tau' is missing"),
        ({"suite": "quantile", "tau": 1.5, "data": {}}, "not between 0 and 1"),
        (
            {"suite": "quantile", "tau": 0.5, "model": "y ~ x", "data": {"y": [1.0, 2.0]}}
            | {"params": {"x": 1.0}},
            "no such columns",
        ),
        (
            {**_with_data(), "suite": "beta_regression", "link": None, "model": "odd mean link"},
            "the link 'odd' is not one of",
        ),
    ],
)
def test_a_file_that_cannot_be_expressed_says_why(tmp_path, capsys, fields, reason):
    (tmp_path / "bad.json").write_text(json.dumps(fields))
    assert main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert reason in printed
    assert printed.endswith("0 of 1 problems met\n")


@pytest.mark.parametrize(
    "problem",
    [
        "glm/cpunish_poisson",
        "glm/scotvote_gamma_inverse",
        "quantile/engel_q50",
        pytest.param("glm/quine_nb1", marks=pytest.mark.slow),
        pytest.param("beta_regression/mock_jurors", marks=pytest.mark.slow),
    ],
)
def test_published_regressions_are_met(reference, problem, capsys):
    assert main([str(reference / f"{problem}.json")]) == 0
    assert capsys.readouterr().out.endswith("1 of 1 problems met\n")


@pytest.mark.slow
def test_a_precision_without_a_design_is_constant():
    fields = {**_with_data(y=[0.1 * k for k in range(1, 10)]), "params": {"phi": 3.0}}
    data = regression_data(fields)
    design, link = beta_regression.second_design(fields, data)
    assert design.names == ("phi",)
    assert type(link) is type(link_named("identity"))
