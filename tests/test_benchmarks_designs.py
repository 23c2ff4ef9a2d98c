"""The certified benchmark's designs: from formulas of factors and from pointers to packages."""

import numpy as np
import pytest

from benchmarks.reference.datasets import load
from benchmarks.reference.factors import design_of_formula, independent, plain_name

# ---------------------------------------------------------------------------------------- formulas

LEVELS = {
    "Sex": ["F", "M", "F", "M", "F", "M", "M", "F"],
    "Age": ["a", "a", "b", "b", "c", "c", "a", "b"],
    "x": [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0],
}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Days ~ Sex + x", ["Intercept", "Sex[T.M]", "x"]),
        ("Days ~ Sex + x - 1", ["Sex[F]", "Sex[M]", "x"]),
        ("Days ~ Sex + 0", ["Sex[F]", "Sex[M]"]),
        ("Days ~ Sex:x", ["Intercept", "Sex[F]:x", "Sex[M]:x"]),
        ("Days ~ Sex*x ; in words", ["Intercept", "Sex[T.M]", "x", "Sex[T.M]:x"]),
        ("Days ~ (Sex + x)^2", ["Intercept", "Sex[T.M]", "x", "Sex[T.M]:x"]),
        ("Days ~ Sex/x", ["Intercept", "Sex[T.M]", "Sex[F]:x", "Sex[M]:x"]),
    ],
)
def test_formulas_give_rs_columns(text, names):
    response, found, columns = design_of_formula(text, LEVELS)
    assert (response, list(found)) == ("Days", names)
    male = np.array(LEVELS["Sex"]) == "M"
    by_hand = {
        "Intercept": np.ones(8),
        "Sex[T.M]": male,
        "Sex[M]": male,
        "Sex[F]": ~male,
        "x": LEVELS["x"],
        "Sex[F]:x": ~male * LEVELS["x"],
        "Sex[M]:x": male * LEVELS["x"],
        "Sex[T.M]:x": male * LEVELS["x"],
    }
    for name, column in zip(found, columns.T, strict=True):
        np.testing.assert_array_equal(column, by_hand[name])


def test_a_dot_is_every_column():
    """Eight rows: of the cells, Sex and Age fill five, so a column is left out, as R does."""
    factors = {name: LEVELS[name] for name in ("Sex", "Age")}
    _, dotted, columns = design_of_formula("Days ~ .^2", factors)
    _, spelled, _ = design_of_formula("Days ~ Sex*Age", factors)
    assert dotted == spelled
    cells = set(zip(LEVELS["Sex"], LEVELS["Age"], strict=True))
    assert columns.shape == (8, len(cells))
    assert np.linalg.matrix_rank(columns) == len(cells)


def test_listed_columns_give_the_order():
    text, listed = "Days ~ Sex + x", ["x", "SexM", "(Intercept)"]
    _, names, columns = design_of_formula(text, LEVELS, listed)
    assert list(names) == listed
    np.testing.assert_array_equal(columns[:, 0], LEVELS["x"])
    with pytest.raises(ValueError, match="the file lists the columns"):
        design_of_formula(text, LEVELS, [*listed, "SexQ"])
    with pytest.raises(ValueError, match="which the file does not list"):
        design_of_formula(text, LEVELS, listed[:2])


def test_columns_that_depend_on_others_are_left_out():
    columns = np.random.default_rng(0).normal(size=(9, 3)) * [1.0, 1e6, 1e-6]
    dependent = np.column_stack([columns, columns @ [1.0, 2.0, 3.0], np.zeros(9)])
    assert independent(dependent) == [0, 1, 2]


def test_names_as_r_writes_them():
    assert plain_name("Sex[T.M]:Age[T.F1]") == plain_name("Sex[M]:Age[F1]") == "SexM:AgeF1"
    assert plain_name("Intercept") == plain_name("const") == "(Intercept)"


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true') ~ x",
        "Days ~ __import__('os')",
        "Days ~ x.real",
        "Days ~ x(1)",
        "Days ~ (x)(1)",
        "Days ~ exp(x)",
        "Days ~ Q('x')",
        "Days ~ [x]",
        "Days ~ x if x else x",
        "Days ~ x @ Sex",
        "Days ~ os",
        "Days ~ x ~ Sex",
        "Days ~ 7",
        "Days ~ x ** 99",
        "Days ~ x +",
        "Days ~ x Sex",
        "Days ~ (x",
        "Days ~ é",
        "x",
        "Days ~ " + "x+" * 600 + "x",
        "Days ~ " + "*".join(["Sex"] * 30),
    ],
    ids=lambda text: text[:28],
)
def test_other_formulas_are_refused(text):
    with pytest.raises(ValueError, match="formula"):
        design_of_formula(text, LEVELS)


@pytest.mark.parametrize("text", ["x(1)", "(x)(1)", "1(x)", ".(x)", "Sex + x (Sex)"])
def test_no_call_reaches_patsy(text):
    with pytest.raises(ValueError, match="has a function"):
        design_of_formula(f"Days ~ {text}", LEVELS)


# ---------------------------------------------------------------------------------------- pointers

POINTER = "statsmodels.datasets.spector.load_pandas(); X=add_constant(exog,prepend=False)"


def test_a_pointer_loads_what_the_package_ships():
    values, columns = load({"pointer": POINTER, "n": 32, "sum_y": 11.0})
    assert list(columns) == ["GPA", "TUCE", "PSI", "const"]
    assert values.sum() == 11
    first = load({"pointer": POINTER.replace(",prepend=False", "")})[1]
    assert list(first) == ["const", "GPA", "TUCE", "PSI"]
    bare = load({"pointer": "sm.datasets.spector.load()"})[1]
    assert list(bare) == ["GPA", "TUCE", "PSI"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"n": 33}, "n is 32, but the file says 33"),
        ({"sum_y": 12.0}, "sum_y is 11"),
        ({"colsums": [1.0, 2.0, 3.0, 32.0]}, "the sum of GPA is"),
        ({"columns": ["GPA", "TUCE", "PSI"]}, "the file lists"),
        ({"pointer": "statsmodels.datasets.nothing.load_pandas()"}, "ships no data set 'nothing'"),
        ({"pointer": "statsmodels.datasets.utils.load_pandas()"}, "ships no data set 'utils'"),
        ({"pointer": "os.system('true')"}, "is not of the form"),
        ({"pointer": POINTER + "; import os"}, "is not of the form"),
        ({"pointer": POINTER.replace("spector", "spector.os")}, "is not of the form"),
        ({"pointer": 3}, "is not of the form"),
    ],
)
def test_a_pointer_to_anything_else_is_refused(more, reason):
    with pytest.raises(ValueError, match=reason):
        load({"pointer": POINTER, **more})
