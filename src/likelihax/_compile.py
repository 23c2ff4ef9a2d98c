"""Compile once, and know what compiling cost.

JAX's own cache compiles at the first call and cannot say how long that took. Here a function
is compiled ahead of time for the structure, shapes and dtypes of its arguments, and kept.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

_LARGEST = 256
# An array beyond this size is passed as it is: to pack it takes longer than to pass it.
_SMALL = 1024
_kept: OrderedDict[Any, "Compiled"] = OrderedDict()


class Packing:
    """How a tree of arrays is passed: small ones as one vector for each dtype, large ones alone.

    A compiled call costs Python by the array, in and out: for the many small ones of a fit,
    more than a step of a small problem.
    """

    def __init__(self, shapes: Any):
        leaves, self._treedef = jtu.tree_flatten(shapes)
        self._shapes = [(leaf.shape, leaf.dtype) for leaf in leaves]
        self._packed = [math.prod(shape) <= _SMALL for shape, _ in self._shapes]
        small = (dtype for (_, dtype), packed in self._each(self._shapes) if packed)
        self._dtypes = list(dict.fromkeys(small))

    def zeros(self) -> list[np.ndarray]:
        """What all zeros are packed to: the vectors, then the large arrays."""
        sizes = dict.fromkeys(self._dtypes, 0)
        large = []
        for (shape, dtype), packed in self._each(self._shapes):
            if packed:
                sizes[dtype] += math.prod(shape)
            else:
                large.append(np.zeros(shape, dtype))
        return [np.zeros(size, dtype) for dtype, size in sizes.items()] + large

    def pack(self, tree: Any) -> list[jax.Array]:
        """The vectors and the large arrays, in the order of `zeros`."""
        leaves, treedef = jtu.tree_flatten(tree)
        shapes = [(leaf.shape, leaf.dtype) for leaf in leaves]
        if (treedef, shapes) != (self._treedef, self._shapes):
            raise ValueError(
                f"A step returned {jtu.tree_unflatten(treedef, shapes)} for its state, which began "
                f"as {jtu.tree_unflatten(self._treedef, self._shapes)}: keep structure, shapes "
                "and dtypes."
            )
        small = [leaf for leaf, packed in self._each(leaves) if packed]
        of = lambda dtype: [jnp.ravel(leaf) for leaf in small if leaf.dtype == dtype]
        vectors = [jnp.concatenate(of(dtype)) for dtype in self._dtypes]
        return vectors + [leaf for leaf, packed in self._each(leaves) if not packed]

    def unpack(self, arrays: Sequence[Any]) -> Any:
        """The tree, of JAX's arrays or of NumPy's, views of the vectors, as the arrays are."""
        rest = dict(zip(self._dtypes, arrays, strict=False))
        large = iter(arrays[len(rest) :])
        leaves = []
        for (shape, dtype), packed in self._each(self._shapes):
            if packed:
                size = math.prod(shape)
                leaves.append(rest[dtype][:size].reshape(shape))
                rest[dtype] = rest[dtype][size:]
            else:
                leaves.append(next(large))
        return jtu.tree_unflatten(self._treedef, leaves)

    def _each(self, leaves: Sequence[Any]) -> Iterator[tuple[Any, bool]]:
        return zip(leaves, self._packed, strict=True)


class Lowered:
    """A function traced for one structure of arguments, not yet compiled.

    **Attributes:**

    - `arrays`: the arrays among the arguments, in the order in which they are passed.
    - `packings`: how what the function passes on from call to call is packed, if it does.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        initial: Callable[..., Any] | None = None,
    ):
        leaves, treedef = jtu.tree_flatten(arguments)
        where = [i for i, leaf in enumerate(leaves) if eqx.is_array(leaf)]
        self.arrays = [leaves[i] for i in where]
        fixed = [None if eqx.is_array(leaf) else leaf for leaf in leaves]

        def rebuild(arrays: list[Any]) -> Any:
            filled = list(fixed)
            for i, array in zip(where, arrays, strict=True):
                filled[i] = array
            return jtu.tree_unflatten(treedef, filled)

        self.packings: tuple[Packing, ...] = ()
        if initial is None:
            flat = lambda arrays: function(*rebuild(arrays))
            self._lowered = jax.jit(flat).lower(self.arrays)
            return
        shapes = jax.eval_shape(lambda arrays: initial(*rebuild(arrays)), self.arrays)
        packings = self.packings = tuple(Packing(each) for each in shapes)

        def onward(arrays: list[Any], packed: list[Any], limit: Any) -> list[Any]:
            carry = [each.unpack(part) for each, part in zip(packings, packed, strict=True)]
            after = function(*rebuild(arrays), *carry, limit)
            return [each.pack(part) for each, part in zip(packings, after, strict=True)]

        zeros = [each.zeros() for each in packings]
        self._lowered = jax.jit(onward).lower(self.arrays, zeros, np.asarray(0))

    def compile(self) -> Callable[..., Any]:
        """The executable, called with the arrays, and the packed carry and a limit."""
        return self._lowered.compile()


class Compiled:
    """A function compiled for one structure of arguments, called with their arrays.

    **Attributes:**

    - `seconds`: what tracing and compiling took, waiting for anything else left out.
    - `carry`: zeros, packed, for what the function passes on from call to call, if it does.
    - `packings`: how each part of it is packed.
    - `notes`: what a caller likes to remember about it, for instance how fast it is.
    """

    def __init__(self, lowered: Lowered, lowering_seconds: float):
        started = time.perf_counter()
        self._executable = lowered.compile()
        self.seconds = lowering_seconds + time.perf_counter() - started
        self.packings = lowered.packings
        # NumPy's zeros: JAX would compile a little function for each shape. Put where they are
        # needed, once and not at every call.
        self.carry = jax.device_put([each.zeros() for each in self.packings])
        self.notes: dict[str, float] = {}

    def __call__(self, arrays: list[Any], *carry: Any) -> Any:
        return self._executable(arrays, *carry)


def compiled(
    function: Callable[..., Any],
    *arguments: Any,
    initial: Callable[..., Any] | None = None,
    check: Callable[[], Callable[[], None]] | None = None,
) -> tuple[Compiled, list[Any], bool]:
    """The compiled form of `function`, its arrays, and whether it was compiled just now.

    With `initial`, the function takes further arguments, shaped like the parts of the tuple that
    `initial(*arguments)` returns, and a limit, a whole number; it returns such parts again. They
    go in and out packed.

    Where there is anything to compile, `check()` begins a check, which may run while the
    function is traced; what it returns is called before the function is compiled, and may
    raise.
    """
    key, arrays = _signature(function, arguments)
    entry = _kept.get(key)
    if entry is not None:
        _kept.move_to_end(key)
        return entry, arrays, False
    finish = None if check is None else check()
    started = time.perf_counter()
    lowered = Lowered(function, arguments, initial)
    lowering_seconds = time.perf_counter() - started
    if finish is not None:
        finish()
    entry = Compiled(lowered, lowering_seconds)
    _keep(key, entry)
    return entry, arrays, True


def begin(
    function: Callable[..., Any], *arguments: Any
) -> Callable[[], tuple[Compiled, list[Any], float]]:
    """Traces `function` and begins to compile it on another thread; returns what waits for it.

    That gives the compiled form, its arrays, and what of the caller's own time it took.
    """
    key, arrays = _signature(function, arguments)
    entry = _kept.get(key)
    if entry is not None:
        _kept.move_to_end(key)
        return lambda: (entry, arrays, 0.0)
    started = time.perf_counter()
    lowered = Lowered(function, arguments)
    lowering_seconds = time.perf_counter() - started
    with_own_thread = ThreadPoolExecutor(max_workers=1)
    compiling = with_own_thread.submit(Compiled, lowered, lowering_seconds)
    with_own_thread.shutdown(wait=False)

    def finish() -> tuple[Compiled, list[Any], float]:
        started = time.perf_counter()
        entry = compiling.result()
        _keep(key, entry)
        return entry, arrays, lowering_seconds + time.perf_counter() - started

    return finish


def _keep(key: Any, entry: Compiled) -> None:
    _kept[key] = entry
    if len(_kept) > _LARGEST:
        _kept.popitem(last=False)


def _signature(
    function: Callable[..., Any], arguments: tuple[Any, ...]
) -> tuple[tuple[Any, ...], list[Any]]:
    """What tells one compiled form from another, and the arrays among the arguments."""
    leaves, treedef = jtu.tree_flatten(arguments)
    arrays = []
    signature: list[Any] = [function, treedef]
    for leaf in leaves:
        if eqx.is_array(leaf):
            arrays.append(leaf)
            signature.append((leaf.shape, leaf.dtype, getattr(leaf, "weak_type", False)))
        else:
            # With its type: True, 1 and 1.0 are equal, and a model may treat them differently.
            signature.append((type(leaf), leaf))
    return tuple(signature), arrays
