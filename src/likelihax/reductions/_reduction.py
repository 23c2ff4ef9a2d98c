"""What a reduction is: one number from many losses."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike


class AbstractReduction(eqx.Module):
    """One number from many losses."""

    @abc.abstractmethod
    def reduce(self, losses: Array, weights: Array) -> Array:
        """The number, from vectors of the same length; losses without weight are zero."""

    @abc.abstractmethod
    def num_averaged(self, weights: Array) -> Array:
        """How many values the number is a mean of; 1 for a sum.

        A fit to within a share of a standard error has to be that much more precise.
        """

    @property
    def is_weighted_sum(self) -> bool:
        """Whether the number is the sum of the losses, each times its derivative in that loss."""
        return True

    @property
    def has_kinks(self) -> bool:
        """Whether the number has kinks where the losses have none."""
        return False

    def __call__(self, losses: ArrayLike, weights: ArrayLike | None = None) -> Array:
        """The reduced loss, a scalar in the dtype of `losses`.

        **Arguments:**

        - `losses`: any shape; infinite ones make the number infinite where they count.
        - `weights`: how much each value weighs, of the same shape, not negative; or which of them
            were measured, as `bool`. What has no weight may be anything, NaN too.

        Raises `ValueError` for losses that are not floating and weights that cannot be right, as
        far as there are values to look at: not inside `jit`.
        """
        each = jnp.asarray(losses)
        if not jnp.issubdtype(each.dtype, jnp.floating):
            raise ValueError(f"{self._name}: the losses are {each.dtype}: they must be floating.")
        weight = jnp.ones_like(each) if weights is None else jnp.asarray(weights)
        self._check(each, weight)
        weight = weight.astype(each.dtype).reshape(-1)
        each = jnp.where(weight > 0, each.reshape(-1), 0.0)
        return self.reduce(each, weight)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _check(self, losses: Array, weights: Array) -> None:
        if weights.shape != losses.shape:
            raise ValueError(
                f"{self._name}: the weights have shape {weights.shape}, the losses have shape "
                f"{losses.shape}: give one weight a loss, or none."
            )
        if isinstance(weights, jax.core.Tracer):
            return
        found = np.asarray(weights)
        bad = np.argwhere(~((found >= 0) & np.isfinite(found)))
        if bad.size:
            index = [int(i) for i in bad[0]]
            raise ValueError(
                f"{self._name}: weights{index} = {found[tuple(bad[0])]}: a weight must be finite "
                "and not negative. Give 0 to what shall not count."
            )
        if not np.any(found > 0):
            raise ValueError(
                f"{self._name}: no loss has a weight: nothing is left to reduce. Look at what "
                "selects the values."
            )


def weighted_sum(losses: Array, shares: Array) -> Array:
    """The sum of those losses that have a share; infinite ones without one do not count."""
    return jnp.sum(jnp.where(shares > 0, shares * losses, 0.0))
