"""What a compiled loop passes on from call to call comes back as it was."""

import jax.numpy as jnp
import numpy as np
import pytest

from likelihax._compile import Packing

TREE = {
    "few": jnp.arange(3.0),
    "many": jnp.arange(6000.0).reshape(20, 300),
    "count": jnp.asarray(7),
    "matrix": jnp.arange(4.0).reshape(2, 2),
    "flags": jnp.arange(2000) % 3 == 0,
    "none": jnp.zeros((0, 5)),
}


def test_a_tree_comes_back():
    packing = Packing(TREE)
    back = packing.unpack(packing.pack(TREE))
    assert back.keys() == TREE.keys()
    for name, array in TREE.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


def test_few_arrays_are_passed_and_large_ones_as_they_are():
    packing = Packing(TREE)
    shapes = [(array.shape, array.dtype) for array in packing.pack(TREE)]
    assert shapes == [((1,), int), ((7,), float), ((2000,), bool), ((20, 300), float)]
    assert shapes == [(array.shape, array.dtype) for array in packing.zeros()]


def test_of_nothing_there_is_nothing_to_pass():
    packing = Packing(())
    assert packing.pack(()) == packing.zeros() == []
    assert packing.unpack([]) == ()


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match="keep structure, shapes"):
        Packing(TREE).pack(TREE | {"count": jnp.arange(2)})
