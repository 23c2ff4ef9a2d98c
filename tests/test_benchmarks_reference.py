"""The certified benchmark: its parser, its measures, its files, and a few fits of each suite."""

import json
import math
from decimal import Decimal
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.reference import digits, nist_linear, nist_nonlinear, r_nls, report
from benchmarks.reference.__main__ import main
from benchmarks.reference.fitting import Fitted, first_noise
from benchmarks.reference.formula import evaluate, names_in, parse
from benchmarks.reference.problem import read, regression
from benchmarks.reference.starts import linear_parameters, propose_starts
from benchmarks.reference.symmetry import relabellings

X = np.array([0.5, 1.25, 2.0, 3.75])

# ------------------------------------------------------------------------------------- formulas

AGAINST_NUMPY = [
    ("b1*(1-exp(-b2*x))", lambda x, b1, b2: b1 * (1 - np.exp(-b2 * x))),
    ("b1*(1-(1+2*b2*x)**(-0.5))", lambda x, b1, b2: b1 * (1 - (1 + 2 * b2 * x) ** -0.5)),
    (
        "b1 - b2*x - arctan(b1/(x-b2))/pi",
        lambda x, b1, b2: b1 - b2 * x - np.arctan(b1 / (x - b2)) / np.pi,
    ),
    ("y = b1*exp[b2/(x+b1)]", lambda x, b1, b2: b1 * np.exp(b2 / (x + b1))),
    (
        "b1/((1+exp(b2-x))**(1/b2)); and so on",
        lambda x, b1, b2: b1 / (1 + np.exp(b2 - x)) ** (1 / b2),
    ),
    ("b1+b2*2**(-x/b1)", lambda x, b1, b2: b1 + b2 * 2 ** (-x / b1)),
    ("-x^2 + b1*-b2", lambda x, b1, b2: -(x**2) - b1 * b2),
    ("x^2^b1/3", lambda x, b1, b2: x ** (2**b1) / 3),
    ("b1 - b2 - x", lambda x, b1, b2: b1 - b2 - x),
    ("b1 / b2 / x", lambda x, b1, b2: b1 / b2 / x),
    ("2*pi*x/12 + .5e-1 + 1.E2*b1", lambda x, b1, b2: 2 * np.pi * x / 12 + 0.05 + 100 * b1),
    ("abs(b1-x)+sqrt(x)+power(x, b2)", lambda x, b1, b2: abs(b1 - x) + np.sqrt(x) + x**b2),
    ("cos(x)*sin(b1*x) + tan(x)", lambda x, b1, b2: np.cos(x) * np.sin(b1 * x) + np.tan(x)),
    ("log(x)+ln(b1)+log10(x)+log2(x)", lambda x, b1, b2: np.log(x * b1) + np.log10(x) + np.log2(x)),
    ("expm1(1e-9*x)+log1p(1e-9*x)", lambda x, b1, b2: np.expm1(1e-9 * x) + np.log1p(1e-9 * x)),
    ("sinh(x)+cosh(x)+tanh(x)", lambda x, b1, b2: np.exp(x) + np.tanh(x)),
    ("asin(x/4)+acos(x/4)+exp(1)", lambda x, b1, b2: np.full(4, np.pi / 2 + np.e)),
    ("(x-4)**3 + (x-4)**(-2)", lambda x, b1, b2: (x - 4) ** 3 + (x - 4) ** -2.0),
]


@pytest.mark.parametrize(("text", "numpy"), AGAINST_NUMPY, ids=lambda part: str(part)[:24])
def test_a_formula_has_the_values_that_numpy_gives(text, numpy):
    expression = parse(text, ["x", "b1", "b2"])
    value = jax.jit(lambda b1, b2: evaluate(expression, {"x": X, "b1": b1, "b2": b2}))(1.7, 0.6)
    np.testing.assert_allclose(value, numpy(X, 1.7, 0.6), rtol=1e-14)


def test_a_formula_is_differentiable():
    expression = parse("b1*x**b2", ["x", "b1", "b2"])
    values = {"x": X, "b1": 1.7}
    slope = jax.jacfwd(lambda b2: evaluate(expression, {**values, "b2": b2}))(0.6)
    np.testing.assert_allclose(slope, 1.7 * X**0.6 * np.log(X), rtol=1e-14)


def test_names_are_taken_as_they_are_declared():
    """Names that are functions, constants, Python words or R names with dots."""
    names = ["lambda", "pi", "exp", "E", "T.max"]
    expression = parse("lambda*pi + exp - E/T.max", names)
    value = evaluate(expression, dict(zip(names, [2.0, 3.0, 5.0, 8.0, 4.0], strict=True)))
    assert float(value) == 2 * 3 + 5 - 8 / 4


def test_names_in_order_of_appearance():
    assert names_in("Dose*exp(lKe-lCl)*sin(pi*t)/lKe ; but not these") == [
        "Dose",
        "lKe",
        "lCl",
        "t",
    ]


MALICIOUS = [
    "__import__('os').system('true')",
    "x.__class__",
    "().__class__.__bases__[0]",
    "open('a')",
    "eval(x)",
    "exec(x)",
    "getattr(x, x)",
    "lambda: x",
    "[x for x in x]",
    "{x}",
    "x if x else x",
    "x := 1",
    "x == 1",
    "x, x",
    "x\\n",
    "x @ x",
    "x & 1",
    "x!",
    "'x'",
    "e",
    "os",
    "é*x",
    "",
    "; x",
    "x +",
    "(x",
    "(x]",
    "x x",
    "2x",
    "exp(x, x)",
    "power(x)",
    "exp()",
    "1/0",
    "x/(1-1)",
    "log(0)",
    "sqrt(-1)",
    "1e999*x",
    "9**9**9*x",
    "(2*x)**(9**9)",
    "exp(1e300*log(2))",
    "((((2**64)**64)**64)**64)*x",
    "(" * 5000 + "x" + ")" * 5000,
    "-" * 5000 + "x",
    "x+" * 6000 + "x",
]


@pytest.mark.parametrize("text", MALICIOUS, ids=lambda text: text[:24])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match=r"formula|finite"):
        parse(text, ["x"])


def test_a_formula_that_is_no_string_is_refused():
    with pytest.raises(ValueError, match="must be a string, got list"):
        parse(["x"], ["x"])


# ------------------------------------------------------------------------------------- measures


def test_right_digits_by_hand():
    assert digits.right_digits(1.0001, 1.0) == pytest.approx(4.0, abs=1e-9)
    assert digits.right_digits(-250.0, -200.0) == pytest.approx(-math.log10(0.25))
    assert digits.right_digits(2.0, 2.0) == 11.0
    assert digits.right_digits(2.0 + 1e-15, 2.0) == 11.0
    assert digits.right_digits(1e-9, 0.0) == pytest.approx(9.0)
    assert digits.right_digits(5.0, 1.0) == 0.0
    assert digits.right_digits(math.nan, 1.0) == 0.0
    assert digits.fewest_right_digits([1.0, 1.001], [1.0, 1.0]) == pytest.approx(3.0, abs=1e-9)


def test_values_and_references_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="2 values, but 1 reference"):
        digits.fewest_right_digits([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("stored", "printed"),
    [("476.0", "476"), ("470", "470"), ("0.50", "0.5"), ("0.732", "0.732"), ("1.2E-5", "1.2E-5")],
)
def test_a_stored_number_is_taken_as_it_was_printed(stored, printed):
    found = digits.as_printed(Decimal(stored))
    assert found.as_tuple() == Decimal(printed).as_tuple()


@pytest.mark.parametrize(
    ("value", "printed", "agrees"),
    [
        (81.3738, "81.37", True),
        (81.3751, "81.37", False),  # rounds to 81.38
        (81.375, "81.37", True),  # a tie
        (-2.91961, "-2.9196", True),
        (-2.91966, "-2.9196", False),
        (475.6, "476", True),
        (475.4, "476", False),
        (0.0128675, "0.01287", True),
        (math.nan, "1", False),
    ],
)
def test_agreement_to_the_last_printed_digit(value, printed, agrees):
    assert digits.agrees_as_printed(value, Decimal(printed)) is agrees


def test_the_condition_of_a_mean_by_hand():
    """One column of ones: `X^+` is 1/n and `(X'X)^-1` is 1/n."""
    values = np.array([1.0, 2.0, 6.0])
    by_hand = ((9 + 3 * 3) / 3 + (2 + 1 + 3) / 3) / 3
    assert digits.componentwise_condition(np.ones((3, 1)), values) == pytest.approx(by_hand)
    assert digits.column_scaled_condition(np.ones((3, 1))) == pytest.approx(1.0)


def test_conditions_do_not_depend_on_units():
    design = np.vander(X, 3)
    units = np.array([1e-6, 1.0, 1e9])
    for condition in (
        digits.column_scaled_condition,
        lambda design: digits.componentwise_condition(design, np.cos(X)),
    ):
        assert condition(design * units) == pytest.approx(condition(design), rel=1e-6)


def test_conditioning_forbids_digits():
    assert digits.reachable_digits(1.0) == 15
    assert digits.reachable_digits(1e9) == 6
    assert digits.reachable_digits(math.inf) == 0
    assert digits.rounding_of_residuals(1e-13, np.array([3.0, -3.0])) == pytest.approx(3e13)
    assert digits.rounding_of_residuals(0.0, np.array([3.0])) == math.inf


# ---------------------------------------------------------------------------------- the problems


def _fields(**changes):
    fields = {"model": "a*exp(-k*x)+c", "x": X.tolist(), "y": (2 * X).tolist(), "n": 4}
    return {**fields, **changes}


def _regression(parameters=("a", "k", "c"), **changes):
    fields = _fields(**changes)
    return regression(fields, fields, parameters, fields["model"])


def test_a_problem_holds_what_its_formula_uses():
    problem = _regression(response="log(y)", z=[1.0, 2.0], model="a*exp(-k*x)+c*dose", dose=4)
    assert problem.parameters == ("a", "k", "c")
    assert problem.dof == 1
    assert problem.columns.keys() == {"x", "dose"}
    np.testing.assert_array_equal(problem.columns["dose"], [4.0] * 4)
    np.testing.assert_allclose(problem.values, np.log(2 * X), rtol=1e-15)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": None}, "the name 'y' is not one of"),
        ({"y": [1.0, 2.0, 3.0]}, r"one length, got {'x': 4, 'y': 3}"),
        ({"n": 5}, "n = 5, but the response has 4"),
        ({"y": [1.0, math.nan, 1.0, 1.0]}, "'y' has values that are not finite"),
        ({"response": "log(y-2)"}, "not a column of finite numbers"),
        ({"model": "a*exp(-k*z)+c"}, "the name 'z' is not one of"),
        ({"model": "a*exp(-k*x)"}, r"\['c'\] do not occur"),
        ({"x": [1.0], "y": [1.0], "n": 1}, "1 values cannot determine 3"),
        ({"x": ["1", "2", "3", "4"]}, "the name 'x' is not one of"),
    ],
)
def test_a_problem_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        _regression(**changes)


def test_first_noise_is_the_size_of_the_residuals():
    problem = _regression()
    residuals = 2 * X - (np.exp(-3 * X) + 0.5)
    size = np.sqrt(np.mean(residuals**2))
    assert first_noise(problem, {"a": 1.0, "k": 3.0, "c": 0.5}) == pytest.approx(size, rel=1e-14)
    values = np.sqrt(np.mean((2 * X) ** 2))
    assert first_noise(problem, {"a": 1.0, "k": -1e9, "c": 0.5}) == pytest.approx(values, rel=1e-14)


def test_linear_parameters():
    names = ("a", "b", "k")
    assert linear_parameters(parse("a+(b-a)*exp(-k*x)", ["x", *names]), names) == ["a", "b"]
    assert linear_parameters(parse("a*b*x+k", ["x", *names]), names) == ["a", "k"]
    assert linear_parameters(parse("exp(a+b*x)/k", ["x", *names]), names) == []


def test_starts_are_close_to_a_noiseless_truth():
    x = np.linspace(0, 8, 30)
    fields = {"model": "a*exp(-exp(k)*x)+c", "x": x.tolist()}
    fields["y"] = (3 * np.exp(-math.exp(-1.0) * x) - 0.7).tolist()
    problem = regression(fields, fields, ("a", "k", "c"), fields["model"])
    starts = propose_starts(problem, 3)
    assert len(starts) == 3
    assert starts[0]["k"] == pytest.approx(-1.0)  # a value that is tried
    assert starts[0]["a"] == pytest.approx(3.0, rel=1e-8)
    assert starts[0]["c"] == pytest.approx(-0.7, rel=1e-8)


def test_no_start_is_said():
    with pytest.raises(ValueError, match="no start found"):
        propose_starts(_regression(model="a*log(-exp(k)*x)+c"), 3)


@pytest.mark.parametrize(
    ("model", "names", "found"),
    [
        ("a*exp(-k*x)+c", "akc", [(1.0, 2.0, 3.0)]),
        ("a*exp(-k*x)+b*exp(-m*x)", "akbm", [(1.0, 2.0, 3.0, 4.0), (3.0, 4.0, 1.0, 2.0)]),
        ("a*exp(-(x-m)**2/s**2)", "ams", [(1.0, 2.0, 3.0), (1.0, 2.0, -3.0)]),
        # 1/(1+exp(-u)) is 1 - 1/(1+exp(u)): the two levels change places with the sign of the scale
        ("a+(b-a)/(1+exp((m-x)/s))", "abms", [(1.0, 2.0, 3.0, 4.0), (2.0, 1.0, 3.0, -4.0)]),
    ],
)
def test_relabellings(model, names, found):
    x = np.linspace(0.5, 4, 6).tolist()
    problem = regression({}, {"x": x, "y": x}, tuple(names), model)
    estimates = np.arange(1.0, len(names) + 1)
    relabelled = [
        tuple(one.sign * estimates[one.order]) for one in relabellings(problem, estimates)
    ]
    assert relabelled[0] == tuple(estimates)
    assert sorted(relabelled) == sorted(found)


# ------------------------------------------------------------------------------------ the suites


@pytest.mark.parametrize(
    ("model", "spelled"),
    [
        ("b1*x", "b1*x"),
        ("polynomial degree 2", "b0 + b1*x**1 + b2*x**2"),
        ("Polynomial of degree 1", "b0 + b1*x**1"),
        ("b0+b1*x1+...+b4*x4", "b0+b1*x1 + b2*x2 + b3*x3 + b4*x4"),
        ("B0 + B1*x + ... + B3*(x**3)", "B0 + B1*x + B2*(x**2) + B3*(x**3)"),
    ],
)
def test_models_in_words_are_spelled_out(model, spelled):
    found = nist_linear.spelled_out(model)
    assert found.replace(" ", "") == spelled.replace(" ", "")


@pytest.mark.parametrize("model", ["b0+...+c4*x", "x+...+y", "b5+...+b2", "b0+...+b9999*x9999", 3])
def test_models_that_cannot_be_spelled_out_are_refused(model):
    with pytest.raises(ValueError, match=r"dots|string"):
        nist_linear.spelled_out(model)


def test_the_design_of_a_linear_model():
    fields = {"x": X.tolist(), "y": X.tolist()}
    problem = regression(
        fields, fields, ("b0", "b1", "b2"), nist_linear.spelled_out("polynomial 2")
    )
    np.testing.assert_allclose(nist_linear.design(problem), np.vander(X, 3, increasing=True))


def test_residuals_lost_in_rounding_are_said_to_be():
    problem = _regression()
    assert nist_nonlinear.rounding_note(problem, 0.1) == ""
    # 2.2e-16 * 4.5 / 1e-13 is 0.01: two digits are left
    assert "leaves about 2 digits" in nist_nonlinear.rounding_note(problem, 1e-13)


def test_summary_values_are_those_of_r():
    """R: `fit <- lm(dist ~ speed, cars)`; `logLik`, `AIC`, `BIC`, `deviance`."""
    problem = regression({}, {"x": [1.0] * 50, "y": [1.0] * 50}, ("a", "b"), "a+b*x")
    fitted = Fitted(np.zeros(2), np.ones(2), 15.37959, 11353.52, 0.0, "successful", 0.0)
    found = r_nls.summary_values(problem, fitted)
    assert found["loglik"] == pytest.approx(-206.5784, abs=1e-4)
    assert found["aic"] == pytest.approx(419.1569, abs=1e-4)
    assert found["bic"] == pytest.approx(424.8929, abs=1e-4)


def test_the_report_reads_as_it_should():
    row = report.Row("start1", report.reached(7.96, 8), "-", "successful", 1.5, False)
    line = report.line("suite", "problem", row)
    assert "7.9 digits (need 8)" in line  # rounded down: 8.0 would look met
    assert "NOT MET  1.50 s  successful" in line
    assert report.not_run(["glm", "ode", "glm"]) == "Not run, unknown suites: glm (2), ode (1)"
    assert report.verdict([True, False]) == "1 of 2 problems met"


# ----------------------------------------------------------------------------------- the command


def _misra():
    """NIST Misra1a: https://www.itl.nist.gov/div898/strd/nls/data/misra1a.shtml."""
    pressure = "77.6 114.9 141.1 190.8 239.9 289.0 332.8 378.4 434.8 477.3 536.8 593.1 689.1 760.0"
    volume = "10.07 14.73 17.94 23.93 29.61 35.18 40.02 44.82 50.76 55.05 61.01 66.40 75.47 81.78"
    return {
        "suite": "nist_nonlinear",
        "name": "by another name",
        "model": "top*(1-exp(-rate*pressure))",
        "params": ["top", "rate"],
        "pressure": list(map(float, pressure.split())),
        "y": list(map(float, volume.split())),
        "start1": [500, 1e-4],
        "start2": [250, 5e-4],
        "certified": [238.94212918, 5.5015643181e-4],
        "certified_sd": [2.7070075241, 7.2668688436e-6],
        "residual_sd": 0.1018787633,
    }


def _line():
    """A straight line whose exact least-squares solution follows from fractions."""
    x, y = [1, 2, 3, 5, 8], [2, 3, 5, 7, 12]
    n, sx, sy = 5, sum(x), sum(y)
    determinant = n * sum(a * a for a in x) - sx**2
    slope = Fraction(n * sum(a * b for a, b in zip(x, y, strict=True)) - sx * sy, determinant)
    level = Fraction(sy, n) - slope * Fraction(sx, n)
    rss = sum((b - level - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    se = [
        math.sqrt(rss / 3 * sum(a * a for a in x) / determinant),
        math.sqrt(rss / 3 * n / determinant),
    ]
    exact = {"beta": [float(level), float(slope)], "se": se}
    return {"suite": "nist_linear", "model": "b0+b1*x", "x": x, "y": y, "exact_rational": exact}


def _write(folder, name, content):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_met_problems_exit_with_0(tmp_path, capsys):
    _write(tmp_path, "misra.json", _misra())
    _write(tmp_path, "deep/line.json", _line())
    _write(tmp_path, "deep/other.json", {"suite": "other"})
    _write(tmp_path, "deep/table.json", {"suite": ["r_nls"]})
    assert main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "2 of 2 problems met"
    assert printed[-2] == "Not run, unknown suites: ['r_nls'] (1), other (1)"
    assert sum("by another name" in line for line in printed) == 2  # a row a start


def test_a_wrong_digit_is_not_met(tmp_path, capsys):
    fields = _misra()
    fields["certified"][0] += 1e-5
    path = _write(tmp_path, "misra.json", fields)
    assert main([str(path)]) == 1
    printed = capsys.readouterr().out
    assert printed.count("NOT MET") == 2
    assert " 7.3 digits (need 8)" in printed  # -log10(1e-5 / 238.9)
    assert printed.endswith("0 of 1 problems met\n")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "cannot be read"),
        ("[1]", "not a JSON object"),
        ({"suite": "nist_nonlinear"}, "'params' is missing"),
        ({**_misra(), "model": "__import__('os')"}, "cannot read the formula"),
        ({**_misra(), "certified": [1.0]}, "'certified' has 1 numbers, expected 2"),
        ({**_misra(), "start1": None, "start2": "far"}, "is not a list of finite numbers"),
        ({**_line(), "model": "exp(b0)+b1*x"}, "is not linear"),
        ({**_line(), "exact_rational": None}, "'exact_rational' is missing"),
        ({"suite": "r_nls", "data": "a package", "params": {"a": 1}}, "must be objects"),
    ],
)
def test_a_file_that_cannot_be_expressed_is_not_met_and_says_why(tmp_path, capsys, content, reason):
    _write(tmp_path, "bad.json", content)
    assert main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert reason in printed
    assert printed.endswith("0 of 1 problems met\n")


def test_nothing_to_run_is_no_success(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.endswith("0 of 0 problems met\n")
    assert main([str(tmp_path / "absent")]) == 2
    assert "no file or folder" in capsys.readouterr().err


def test_r_prints_are_reached_without_starts(tmp_path, capsys):
    """R: `example(SSmicmen)`, with the formula written out."""
    x = [0.02, 0.02, 0.06, 0.06, 0.11, 0.11, 0.22, 0.22, 0.56, 0.56, 1.1, 1.1]
    y = [76, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200]
    fields = {
        "suite": "r_nls",
        "model": "Vm*x/(K+x)",
        "data": {"x": x, "y": y},
        "params": {"Vm": 212.6837, "K": 0.06412},
        "se": {"Vm": 6.947, "K": 0.008281},
        "residual_se": 10.93,
        "other": {"rss": 1195.449},
    }
    assert main([str(_write(tmp_path, "right.json", fields))]) == 0
    fields["params"]["K"] = 0.06413
    assert main([str(_write(tmp_path, "wrong.json", fields))]) == 1
    assert "K 0.064121282, not 0.06413" in capsys.readouterr().out


@pytest.mark.parametrize(
    "problem", ["nist_nonlinear/BoxBOD", "nist_linear/longley", "r_nls/theoph1_fol"]
)
def test_certified_problems_are_met(reference, problem, capsys):
    assert main([str(reference / f"{problem}.json")]) == 0
    assert capsys.readouterr().out.endswith("1 of 1 problems met\n")


def test_every_known_problem_can_be_expressed(reference):
    """Each formula at the certified values gives the certified residual sum of squares."""
    seen = 0
    for file in sorted((reference / "nist_nonlinear").glob("*.json")):
        fields = read(file)
        problem = regression(fields, fields, fields["params"], fields["model"])
        certified = dict(zip(fields["params"], map(float, fields["certified"]), strict=True))
        prediction = evaluate(problem.expression, {**problem.columns, **certified})
        rss = float(jnp.sum((problem.values - prediction) ** 2))
        assert rss == pytest.approx(float(fields["rss"]), rel=1e-9), file.name
        seen += 1
    assert seen > 0
