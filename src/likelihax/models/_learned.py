"""A small network for the unknown part of a vector field."""

from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, DTypeLike, Float, PyTree

from .._parameters import Numbers, fixed, frozen, is_parameter, map_nodes, resolve


@final
class Learned(eqx.Module):
    r"""What is not known of a vector field, as a network: `learned(x)` anywhere inside a field.

    $$s_\text{out}\;\mathrm{MLP}\!\left(\frac{x - c}{s}\right)$$

    Its last layer starts at zero, so that a fit begins at the physics alone, exactly, while its
    gradient there is not zero. Its weights are fitted; nothing else in it is.

    **Arguments:**

    - `in_size`, `out_size`: how many numbers it is given, and how many it returns.
    - `key`: a JAX random key, from which the other layers are drawn.
    - `width`, `depth`: how many units a hidden layer has, and how many such layers there are.
    - `activation`: elementwise. A smooth one: the solver's steps feel every kink.
    - `centre`, `scale`: known numbers, in units of the input, one for all or one for each: about
        where the inputs lie and how far they spread; by default 0 and 1.
    - `output_scale`: a known number, or one for each output, in units of the output: how large it
        may be expected to become; by default 1. A network learns slowly what is far from that.
    - `dtype`: of its weights, and so of inputs and outputs; by default float64 where JAX is in
        64-bit mode.

    Called with an array of shape `(in_size,)`, it returns one of shape `(out_size,)`. Raises
    `ValueError` for sizes below 1, scales that are not positive and finite, a lacking key; and
    when it is called with an array of another shape or dtype.
    """

    network: eqx.nn.MLP
    centre: Any
    scale: Any
    output_scale: Any
    is_on: bool = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        *,
        key: Array | None = None,
        width: int = 32,
        depth: int = 1,
        activation: Callable[[Array], Array] = jnp.tanh,
        centre: Numbers | None = None,
        scale: Numbers | None = None,
        output_scale: Numbers | None = None,
        dtype: DTypeLike | None = None,
    ):
        sizes = {"in_size": in_size, "out_size": out_size, "width": width, "depth": depth}
        for name, size in sizes.items():
            _check_size(size, name)
        if not callable(activation):
            raise ValueError(
                f"Learned: the activation {activation!r} is no function: give for instance "
                "jnp.tanh."
            )
        kind = jnp.result_type(float) if dtype is None else jnp.dtype(dtype)
        drawn_from = _checked_key(key)
        network = eqx.nn.MLP(
            in_size, out_size, width, depth, activation=activation, dtype=kind, key=drawn_from
        )
        last = lambda network: (network.layers[-1].weight, network.layers[-1].bias)
        self.network = eqx.tree_at(last, network, replace_fn=jnp.zeros_like)
        self.centre = _known(centre, in_size, "centre", kind)
        self.scale = _positive(scale, in_size, "scale", kind)
        self.output_scale = _positive(output_scale, out_size, "output_scale", kind)
        self.is_on = True

    def __call__(self, inputs: Float[Array, " in_size"]) -> Float[Array, " out_size"]:
        """What the network says; zeros where it is switched off."""
        network: eqx.nn.MLP = resolve(self.network)
        dtype = network.layers[-1].weight.dtype
        _check_inputs(inputs, int(network.in_size), dtype)
        if not self.is_on:
            return jnp.zeros((int(network.out_size),), dtype)
        centre, scale, output_scale = resolve((self.centre, self.scale, self.output_scale))
        # What was left out costs nothing: a field is called thousands of times a gradient.
        seen = inputs if centre is None else inputs - centre
        found = network(seen if scale is None else seen / scale)
        return found if output_scale is None else output_scale * found

    def switched(self, on: bool) -> "Learned":
        """The same network, or zeros in its place; what is switched off is still fitted."""
        changed = object.__new__(Learned)
        for name, value in vars(self).items():
            object.__setattr__(changed, name, on if name == "is_on" else value)
        return changed


def without_learned(tree: PyTree) -> PyTree:
    """The same field, model or predictor with every `Learned` in it switched off.

    They return zeros. What they contribute to a right-hand side is thus the difference of two
    fields, wherever in the field they stand.
    """
    return map_nodes(Learned, lambda node: node.switched(False), tree)


def with_learned(tree: PyTree) -> PyTree:
    """The same tree with every `Learned` in it switched on; undoes `without_learned`."""
    return map_nodes(Learned, lambda node: node.switched(True), tree)


def freeze_learned(tree: PyTree) -> PyTree:
    """The same tree, the weights of every `Learned` in it known: no fit changes them."""
    return map_nodes(Learned, lambda node: _with_network(node, fixed(node.network)), tree)


def thaw_learned(tree: PyTree) -> PyTree:
    """The same tree, all weights of every `Learned` in it fitted; undoes `freeze_learned`."""
    free = lambda network: jtu.tree_map(resolve, network, is_leaf=is_parameter)
    return map_nodes(Learned, lambda node: _with_network(node, free(node.network)), tree)


def has_learned(tree: PyTree) -> bool:
    """Whether there is a `Learned` in a tree, switched on or off."""
    is_learned = lambda node: isinstance(node, Learned)
    return any(is_learned(node) for node in jtu.tree_leaves(tree, is_leaf=is_learned))


def _with_network(node: Learned, network: eqx.nn.MLP) -> Learned:
    changed: Learned = eqx.tree_at(lambda n: n.network, node, network)
    return changed


def _check_size(size: Any, name: str) -> None:
    whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
    if not whole or size < 1:
        raise ValueError(f"Learned: {name} is {size!r}: it must be a whole number, at least 1.")


def _checked_key(key: Any) -> Array:
    dtype = getattr(key, "dtype", None)
    new = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and key.shape == ()
    old = dtype is not None and dtype == np.uint32 and key.ndim == 1
    if not (new or old):
        raise ValueError(
            f"Learned: the key is {key!r}: its first weights are drawn, so give one random key, "
            "key=jax.random.key(0), and another one to another network."
        )
    return jnp.asarray(key)


def _known(value: Any, size: int, name: str, dtype: Any) -> Any:
    if value is None:
        return None
    found = np.asarray(resolve(value), dtype=dtype)
    if found.shape not in ((), (size,)):
        raise ValueError(
            f"Learned: {name} has shape {found.shape}: give one number for all, or {size}, one "
            "for each."
        )
    if not np.all(np.isfinite(found)):
        raise ValueError(f"Learned: {name} is {found}: it must be finite.")
    return frozen(np.broadcast_to(found, (size,)))


def _positive(value: Any, size: int, name: str, dtype: Any) -> Any:
    found = _known(value, size, name, dtype)
    if found is not None and not np.all(np.asarray(found.value) > 0):
        raise ValueError(f"Learned: {name} is {np.asarray(value)}: it must be positive.")
    return found


def _check_inputs(inputs: Any, size: int, dtype: Any) -> None:
    if not eqx.is_array(inputs) or inputs.shape != (size,):
        raise ValueError(
            f"Learned: called with {eqx.tree_pformat(inputs, struct_as_array=True)}: it takes one "
            f"array of shape ({size},), for instance jnp.stack([...]) of {size} numbers."
        )
    if inputs.dtype != dtype:
        raise ValueError(
            f"Learned: called with {inputs.dtype}, its weights are {dtype}: make it with "
            f"Learned(..., dtype=jnp.{inputs.dtype})."
        )
