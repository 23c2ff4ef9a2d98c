"""Constrained leaves: there and back, against closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpyro.distributions import constraints

import likelihax as lhx
from likelihax._parameters import labels, natural, pack, trainable_size, unpack

sensible = st.floats(1e-6, 1e6)
growing = st.lists(sensible, min_size=2, max_size=4)


class Rates(eqx.Module):
    fast: jax.Array
    slow: jax.Array


@given(
    sensible,
    st.floats(0.01, 0.99),
    st.floats(-1e6, 1e6),
    st.lists(sensible, min_size=2, max_size=4),
)
def test_there_and_back(above, share, anything, steps):
    tree = {
        "positive": lhx.positive(above),
        "bounded": lhx.bounded(-1 + 3 * share, -1.0, 2.0),
        "real": lhx.real(anything),
        "ordered": lhx.ordered(np.cumsum(steps)),
        "array": jnp.asarray([1.0, anything]),
        "frozen": lhx.frozen(7.0),
        "text": "left alone",
    }
    vector = pack(tree)
    assert vector.size == trainable_size(tree) == 5 + len(steps)
    again = lhx.resolve(unpack(vector, tree))
    expected = lhx.resolve(tree)
    assert again.pop("text") == expected.pop("text")
    for name, value in expected.items():
        np.testing.assert_allclose(again[name], value, rtol=1e-9, atol=1e-9)


def test_closed_forms():
    close = lambda tree, expected: np.testing.assert_allclose(pack(tree), expected, rtol=1e-14)
    close(lhx.positive(0.5), [np.log(0.5)])
    close(lhx.bounded(1.0, -1.0, 2.0), [np.log(2.0)])
    close(lhx.real(-4.0), [-1.0])
    close(lhx.real(0.0), [0.0])
    close(lhx.real([3.0, 8.0], scale=[1.5, 2.0]), [2.0, 4.0])
    close(lhx.ordered([1.0, 3.0, 3.5]), [1.0, np.log(2.0), np.log(0.5)])
    close(jnp.asarray([5.0, 6.0]), [5.0, 6.0])


def test_any_numpyro_constraint():
    tree = lhx.constrained([0.2, 0.3, 0.5], constraints.simplex)
    assert pack(tree).size == 2
    np.testing.assert_allclose(natural(pack(tree), tree), [0.2, 0.3, 0.5], rtol=1e-12)
    with pytest.raises(ValueError, match="not strictly inside"):
        lhx.constrained([0.2, 0.3, 0.6], constraints.simplex)


def test_names_and_units():
    tree = {
        "a": Rates(lhx.positive(1.0, unit="1/h"), lhx.positive(2.0)),
        "b": Rates(lhx.positive([1.0, 2.0], name=("x", "y"), unit=("m", "s")), jnp.ones((1, 2))),
        "c": lhx.positive(1.0, name="volume"),
    }
    found = {label.path: label for label in labels(tree)}
    assert [found[path].name for path in ("a.fast", "b.slow", "c")] == [
        "a.fast",
        "b.slow",
        "volume",
    ]
    assert found["b.fast"].elements == ("b.fast[x]", "b.fast[y]")
    assert found["b.fast"].units == ("m", "s")
    assert found["b.slow"].elements == ("b.slow[0, 0]", "b.slow[0, 1]")
    assert found["a.fast"].units == ("1/h",)


def test_no_two_leaves_share_a_name():
    tree = {"a": lhx.positive(1.0, name="b.c"), "b": {"c": lhx.positive(2.0)}}
    assert [label.name for label in labels(tree)] == ["a", "c"]
    assert [label.name for label in labels(jnp.ones(2))] == ["parameter"]


def test_frozen_leaves_are_never_changed():
    class Line(eqx.Module):
        slope: jax.Array = lhx.real(1.0)
        offset: jax.Array = lhx.frozen(2.0)

        def __call__(self, x):
            return self.slope * x + self.offset

    x = np.linspace(0.0, 1.0, 9)
    predictor = lhx.Predictor(Line(), lhx.likelihoods.Normal(0.1))
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(x, 3 * x + 2.5))
    assert set(fit.estimates) == {"slope"}
    assert float(lhx.resolve(fit.predictor.model).offset) == 2.0
    # Least squares through a fixed offset, in closed form.
    assert fit.estimates["slope"] == pytest.approx(x @ (3 * x + 0.5) / (x @ x), rel=1e-9)


def test_bounds_hold_in_a_fit():
    x = np.linspace(0.1, 1.0, 9)
    predictor = lhx.Predictor(
        eqx.Partial(jnp.multiply, lhx.bounded(0.5, 0.0, 1.0)), lhx.likelihoods.Normal(0.1)
    )
    fit = lhx.fit(lhx.NLL(), predictor, lhx.Dataset(x, 2 * x))
    assert 0.99 < next(iter(fit.estimates.values())) <= 1.0
    assert not fit.success
