"""Compile once, and know what compiling cost.

JAX's own cache compiles at the first call and cannot say how long that took. Here a function
is compiled ahead of time for the structure, shapes and dtypes of its arguments, and kept.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.tree_util as jtu
import numpy as np

_LARGEST = 256
_kept: OrderedDict[Any, "Compiled"] = OrderedDict()


class Lowered:
    """A function traced for one structure of arguments, not yet compiled.

    **Attributes:**

    - `arrays`: the arrays among the arguments, in the order in which they are passed.
    - `carry`: zeros shaped like what the function passes on from call to call, if it does.
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

        def flat(arrays: list[Any], *carry: Any) -> Any:
            return function(*rebuild(arrays), *carry)

        self.carry: Any = None
        if initial is not None:
            shapes = jax.eval_shape(lambda arrays: initial(*rebuild(arrays)), self.arrays)
            # NumPy's zeros: JAX would compile a little function for each shape.
            self.carry = jtu.tree_map(lambda s: np.zeros(s.shape, s.dtype), shapes)
        rest = () if initial is None else (self.carry,)
        self._lowered = jax.jit(flat).lower(self.arrays, *rest)

    def compile(self) -> Callable[..., Any]:
        """The executable, called with the arrays and the carry."""
        return self._lowered.compile()


class Compiled:
    """A function compiled for one structure of arguments, called with their arrays.

    **Attributes:**

    - `seconds`: what tracing and compiling took, waiting for anything else left out.
    - `carry`: zeros shaped like what the function passes on from call to call, if it does.
    - `notes`: what a caller likes to remember about it, for instance how fast it is.
    """

    def __init__(self, lowered: Lowered, lowering_seconds: float):
        started = time.perf_counter()
        self._executable = lowered.compile()
        self.seconds = lowering_seconds + time.perf_counter() - started
        self.carry = lowered.carry
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

    With `initial`, the function takes one argument more, a carry shaped like what
    `initial(*arguments)` returns.

    Where there is anything to compile, `check()` begins a check, which may run while the
    function is traced; what it returns is called before the function is compiled, and may
    raise.
    """
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
    key = tuple(signature)
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
    entry = _kept[key] = Compiled(lowered, lowering_seconds)
    if len(_kept) > _LARGEST:
        _kept.popitem(last=False)
    return entry, arrays, True
