"""Measured data: what is kept, what is masked, and what is refused beyond `test_bad_input`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import likelihax as lhx

TIMES = np.array([0.5, 1.0, 4.0])
HOLED = np.array([[1.0, np.nan], [np.nan, 20.0], [3.0, 30.0]])


def test_times_values_and_names_are_kept():
    data = lhx.Experiment(TIMES, [1.0, 2.0, 3.0], name="tank")
    np.testing.assert_array_equal(data.times, TIMES)
    np.testing.assert_array_equal(data.values, [1.0, 2.0, 3.0])
    assert data.times.dtype == data.values.dtype == jnp.float64
    assert (data.name, data.observables) == ("tank", ("value",))
    assert data.num_observed == 3
    assert lhx.Experiment(TIMES, TIMES).name == "experiment"
    assert lhx.Dataset(TIMES, TIMES).name == "dataset"


@pytest.mark.parametrize("make", [lhx.Experiment, lhx.Dataset])
def test_nan_is_masked_and_a_measured_value_stands_in(make):
    data = make(TIMES, HOLED)
    np.testing.assert_array_equal(data.observed, [[True, False], [False, True], [True, True]])
    np.testing.assert_array_equal(np.asarray(data.values)[data.observed], [1.0, 20.0, 3.0, 30.0])
    # The stand-in is in the support of any likelihood that the measured ones are in.
    assert set(np.asarray(data.values)[~np.asarray(data.observed)]) <= {1.0, 20.0, 3.0, 30.0}
    assert data.num_observed == 4


@pytest.mark.parametrize("make", [lhx.Experiment, lhx.Dataset])
def test_observables_are_named_by_column(make):
    assert make(TIMES, HOLED).observables == ("value[0]", "value[1]")
    assert make(TIMES, HOLED, observables=["hare", "lynx"]).observables == ("hare", "lynx")
    assert make(TIMES, HOLED[:, 0], observables="hare").observables == ("hare",)
    assert make(TIMES, HOLED[:, :1]).observables == ("value",)


@pytest.mark.parametrize("make", [lhx.Experiment, lhx.Dataset])
@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["a"], r"tank: 1 observables named, \('a',\), but values of shape \(3, 2\) have 2"),
        (["a", "b", "c"], r"3 observables named, \('a', 'b', 'c'\), but .* \(3, 2\) have 2"),
        ("ab", r"1 observables named, \('ab',\), but .* have 2"),
    ],
)
def test_miscounted_names_are_refused(make, names, says):
    with pytest.raises(ValueError, match=says):
        make(TIMES, HOLED, observables=names, name="tank")


def test_the_model_is_called_with_inputs_only_where_there_are_some():
    assert len(lhx.Experiment(TIMES, TIMES).arguments) == 1
    times, inputs = lhx.Experiment(TIMES, TIMES, inputs={"dose": 2.0}).arguments
    np.testing.assert_array_equal(times, TIMES)
    assert inputs == {"dose": 2.0}
    (table,) = lhx.Dataset({"x": TIMES, "design": np.ones((3, 2))}, TIMES).arguments
    assert isinstance(table["x"], jax.Array)
    assert table["design"].shape == (3, 2)


def test_float32_where_it_is_asked_for():
    single = np.float32([0.0, 1.0])
    data = lhx.Experiment(single, single, dtype=np.float32)
    assert data.times.dtype == data.values.dtype == jnp.float32
    # Python's numbers have no dtype to disagree with.
    assert lhx.Experiment([0.0, 1.0], [1.0, 2.0], dtype=np.float32).values.dtype == jnp.float32
    # A table has the dtype of its values.
    assert lhx.Dataset(single, single).values.dtype == jnp.float32
    with pytest.raises(ValueError, match=r"values are float64 where float32 is asked for"):
        lhx.Experiment(single, np.ones(2), dtype=np.float32)
    with pytest.raises(ValueError, match=r"inputs are float64 where the values are float32"):
        lhx.Dataset(np.ones(2), single)


def test_rows_may_be_labelled_by_integers():
    data = lhx.Dataset({"group": np.array([0, 1, 1]), "x": TIMES}, TIMES)
    assert jnp.issubdtype(data.inputs["group"].dtype, jnp.integer)


@pytest.mark.parametrize("dtype", [int, bool, complex])
def test_only_floating_dtypes_hold_measurements(dtype):
    with pytest.raises(ValueError, match="measured values need a floating dtype") as refused:
        lhx.Experiment(TIMES, TIMES, dtype=dtype)
    assert refused.match(str(np.dtype(dtype)))
    assert refused.match("dtype=float64, or convert")


@pytest.mark.parametrize(
    ("values", "index"), [([1.0, np.inf, np.nan], "[1]"), (np.where(HOLED > 20, -np.inf, 1), "[2, 1]")]
)
@pytest.mark.parametrize("make", [lhx.Experiment, lhx.Dataset])
def test_an_infinite_value_is_refused_where_it_is(make, values, index):
    with pytest.raises(ValueError, match="is infinite; mark missing values by NaN") as refused:
        make(TIMES, values, name="tank")
    assert f"tank: values{index} " in str(refused.value)


@pytest.mark.parametrize("make", [lhx.Experiment, lhx.Dataset])
def test_nothing_measured_at_all_is_refused(make):
    with pytest.raises(ValueError, match="tank: all 6 values are missing: nothing to fit"):
        make(TIMES, np.full((3, 2), np.nan), name="tank")


@pytest.mark.parametrize(
    ("times", "says"),
    [
        (1.0, r"times of shape \(\)"),
        (np.ones((2, 2)), r"times of shape \(2, 2\)"),
        ([0.0, 0.0, 1.0], r"times\[1\] = 0.0 repeats times\[0\] = 0.0.*average"),
        ([3.0, 2.0, 1.0], r"times\[1\] = 2.0 comes before times\[0\] = 3.0.*sort the rows"),
        # The first fault is the one reported, and non-finite times go before their order.
        ([2.0, 1.0, np.nan], r"times\[2\] is nan: times must be finite"),
        ([0.0, 1.0, -np.inf], r"times\[2\] is -inf: times must be finite"),
    ],
)
def test_times(times, says):
    with pytest.raises(ValueError, match=f"^tank: {says}"):
        lhx.Experiment(times, TIMES, name="tank")


@pytest.mark.parametrize(
    ("inputs", "values", "says"),
    [
        (np.float64(1.0), TIMES, r"inputs has shape \(\), values have shape \(3,\)"),
        ({"a": TIMES, "b": np.ones((2, 3))}, TIMES, r"inputs\['b'\] has shape \(2, 3\), .*\(3,\)"),
        ([TIMES, TIMES[:1]], HOLED, r"inputs\[1\] has shape \(1,\), values have shape \(3, 2\)"),
        ([TIMES, [1.0, np.inf, 2.0]], TIMES, r"inputs"),
        (TIMES, np.float64(1.0), r"values of shape \(\)"),
        (TIMES, np.ones((3, 1, 1)), r"values of shape \(3, 1, 1\): they must be \(rows,\) or"),
    ],
)
def test_tables(inputs, values, says):
    with pytest.raises(ValueError, match=f"^tank: {says}"):
        lhx.Dataset(inputs, values, name="tank")


def test_what_is_missing_adds_nothing_and_pulls_at_nothing():
    # Both observables by a closed form: the mean of what was measured, each by itself.
    predictor = lhx.Predictor(
        lambda x: x, lhx.likelihoods.Normal(lhx.positive([5.0, 5.0], name=["a", "b"]))
    )
    data = lhx.Dataset(np.zeros((3, 2)), HOLED, observables=["a", "b"])
    fit = lhx.fit(lhx.NLL(), predictor, data)
    squares = np.nanmean(HOLED**2, axis=0)
    np.testing.assert_allclose(fit.estimates["scale"] ** 2, squares, rtol=1e-6)
    # Two values each: the NLL at the optimum is n (1 + log 2 pi + log mean square) / 2.
    expected = 2 * 0.5 * (1 + np.log(2 * np.pi) + np.log(squares))
    np.testing.assert_allclose(list(fit.breakdown.values()), expected, rtol=1e-9)


def test_a_masked_array_keeps_its_mask():
    values = np.ma.masked_array([1.0, 999.0, 3.0], mask=[False, True, False])
    assert lhx.Experiment(TIMES, values).num_observed == 2


def test_two_observables_of_one_name_are_refused():
    # Reports are by name: the second would take the place of the first.
    with pytest.raises(ValueError, match="a"):
        lhx.Dataset(TIMES, HOLED, observables=["a", "a"])
