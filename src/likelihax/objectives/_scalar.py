"""One's own function as an objective."""

from collections.abc import Callable
from typing import Any, final

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._objective import AbstractObjective, Evaluation, evaluated


@final
class ScalarObjective(AbstractObjective):
    """Any function `(tree, data) -> scalar` as an objective, for a fit of one's own loss.

    The tree's `Parameter`s arrive as plain arrays. `fit` wraps a bare function in this.
    """

    function: Callable[[Any, Any], Float[Array, ""]]

    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """The function's own value."""
        from_user = self.function(predictor, data)
        if jnp.shape(from_user) != ():
            raise ValueError(
                f"The objective returned shape {jnp.shape(from_user)}: it must be a scalar."
            )
        total = jnp.asarray(from_user)
        if not jnp.issubdtype(total.dtype, jnp.floating):
            raise ValueError(
                f"The objective returned {total.dtype}: it must be a floating number, or there is "
                "nothing to differentiate."
            )
        return evaluated(total)

    def breakdown(self, predictor: Any, data: Any) -> dict[str, Array]:
        """One part: the whole."""
        return {"objective": self.evaluate(predictor, data).total}

    def check(self, predictor: Any, data: Any) -> None:
        """Nothing is known of the function's own demands."""
