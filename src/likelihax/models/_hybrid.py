"""A vector field that is known in part, and learned for the rest."""

from collections.abc import Callable
from typing import Any, final

import equinox as eqx
from jaxtyping import Array, Float

from ._learned import Learned


@final
class Hybrid(eqx.Module):
    """A field `known(t, y, inputs) + learned(y)`, for an `ODE` whose state is one vector.

    **Arguments:**

    - `known`: the physics: any callable or Equinox module `(t, y, inputs) -> dy/dt`.
    - `learned`: a `Learned` with an output for each entry of the state, in units of its rate.
    - `sees`: `(t, y, inputs) -> vector`: what the network is given; by default the state.

    Where only one rate is unknown, or something inside of one, call a `Learned` in a field of
    one's own instead: the less it may do, the less it has to be told. Raises `ValueError` where
    `known` is no function, `learned` is something else, or their shapes differ.
    """

    known: Callable[..., Array]
    learned: Learned
    sees: Callable[..., Array] | None

    def __init__(
        self,
        known: Callable[..., Array],
        learned: Learned,
        *,
        sees: Callable[..., Array] | None = None,
    ):
        if not callable(known):
            raise ValueError(f"Hybrid: the known part {known!r} is no function of t, y, inputs.")
        if not isinstance(learned, Learned):
            raise ValueError(
                f"Hybrid: the learned part is of type {type(learned).__name__}: give "
                "likelihax.models.Learned(in_size, out_size, key=...)."
            )
        if sees is not None and not callable(sees):
            raise ValueError(
                f"Hybrid: sees is {sees!r}: it must be a function, for instance "
                "lambda t, y, inputs: y[:1]."
            )
        self.known = known
        self.learned = learned
        self.sees = sees

    def __call__(self, t: Any, y: Float[Array, " state"], inputs: Any) -> Float[Array, " state"]:
        """The rates of the state."""
        rates = self.known(t, y, inputs)
        more = self.learned(y if self.sees is None else self.sees(t, y, inputs))
        if not eqx.is_array(rates) or rates.shape != more.shape:
            raise ValueError(
                f"Hybrid: the known part returned {eqx.tree_pformat(rates, struct_as_array=True)} "
                f"where the learned part has {more.size} outputs: both must be one vector, an "
                "entry for each of the state."
            )
        return rates + more
