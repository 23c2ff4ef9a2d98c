"""The mean of the worst."""

import math
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, ArrayLike

from ._mean import Mean
from ._reduction import AbstractReduction, weighted_sum


@final
class CVaR(AbstractReduction):
    r"""The mean of the worst losses: at `level` 0.95, of the worst 5 %.

    $$\min_\tau\; \tau + \frac{1}{1-a}\sum_i p_i\,(l_i-\tau)_+,\qquad p_i = w_i/\sum_j w_j,$$

    the conditional value at risk of R. T. Rockafellar and S. Uryasev (2000, "Optimization of
    conditional value-at-risk", J. Risk 2). It is exact for any number of values: one that is
    only partly among the worst counts in part.

    **Arguments:**

    - `level`: `a`, between 0 and 1.
    - `smoothing`: how far, in units of the loss, losses count beside the threshold: `(x)_+`
        becomes `s log(1 + exp(x / s))`, and the number has a second derivative. It is larger
        then, by at most `s H(a) / (1 - a)` with `H` the entropy of a coin.
    - `drop`: a fraction of the largest losses that is left out first, because it might be
        outliers, and of these the mean of the worst would consist (R. Zhai and others 2021, "DORO:
        distributional and outlier robust optimization", ICML).

    **Minibatches:** the mean over minibatches of their CVaRs is smaller than the CVaR of all
    values, the more so the fewer values a batch has beyond the threshold: each batch finds a
    threshold of its own. `at_threshold` has none of that bias.
    """

    level: float = eqx.field(static=True, converter=float)
    smoothing: float = eqx.field(static=True, converter=float, default=0.0)
    drop: float = eqx.field(static=True, converter=float, default=0.0)

    def __check_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(
                f"CVaR: level {self.level} is not between 0 and 1. For the worst 5 % give 0.95; "
                "for the mean of all, use Mean()."
            )
        if not 0 <= self.smoothing < float("inf"):
            raise ValueError(f"CVaR: smoothing {self.smoothing} is not a number from 0 up.")
        if not 0 <= self.drop < 1:
            raise ValueError(f"CVaR: drop {self.drop} is not a fraction: from 0 to below 1.")

    def num_averaged(self, weights: Array) -> Array:
        """The weight of the worst."""
        return (1 - self.drop) * (1 - self.level) * jnp.sum(weights)

    @property
    def is_weighted_sum(self) -> bool:
        """Not with smoothing, which adds an entropy."""
        return not self.smoothing

    @property
    def has_kinks(self) -> bool:
        """Not with smoothing."""
        return not self.smoothing

    def reduce(self, losses: Array, weights: Array) -> Array:
        """The least of the formula above over all thresholds."""
        mass = _without_largest(losses, weights, self.drop)
        mass = mass / jnp.sum(mass)
        if self.smoothing:
            return self._smooth(losses, mass)
        worst = mass - _without_largest(losses, mass, 1 - self.level)
        # Which losses are the worst changes, but to first order nothing is gained by it: the
        # number is the largest over all shares of at most `mass / (1 - level)` (Danskin's theorem).
        return weighted_sum(losses, jax.lax.stop_gradient(worst / jnp.sum(worst)))

    def at_threshold(
        self, losses: ArrayLike, threshold: ArrayLike, weights: ArrayLike | None = None
    ) -> Array:
        """`threshold + sum_i p_i (l_i - threshold)_+ / (1 - level)`: never below the CVaR.

        It is the CVaR at the threshold where it is least, so minimise it in `threshold` too, as one
        more trainable number. Being a mean of the values, it is estimated without bias
        by a minibatch. With `smoothing` the smooth form; `drop` needs all values and is refused.
        """
        if self.drop:
            raise ValueError(
                "CVaR.at_threshold: drop needs the order of all losses: leave it out here."
            )
        threshold = jnp.asarray(threshold)
        above = jnp.asarray(losses) - threshold
        if self.smoothing:
            beyond = self.smoothing * jax.nn.softplus(above / self.smoothing)
        else:
            beyond = jnp.maximum(above, 0.0)
        return threshold + Mean()(beyond, weights) / (1 - self.level)

    def _smooth(self, losses: Array, mass: Array) -> Array:
        threshold = self._threshold(losses, mass)
        beyond = self.smoothing * jax.nn.softplus((losses - threshold) / self.smoothing)
        return threshold + weighted_sum(beyond, mass) / (1 - self.level)

    def _threshold(self, losses: Array, mass: Array) -> Array:
        """Where the smooth form is least: `sum_i p_i sigmoid((l_i - t) / s) = 1 - level`."""
        counted = (mass > 0) & jnp.isfinite(losses)
        low = jnp.min(jnp.where(counted, losses, jnp.inf), initial=jnp.inf)
        high = jnp.max(jnp.where(counted, losses, -jnp.inf), initial=-jnp.inf)
        low, high = (jnp.where(jnp.isfinite(x), x, 0.0) for x in (low, high))
        # What is infinite makes the whole so, wherever the threshold is; it must only exist.
        losses = jnp.where(counted, losses, low)

        def more(threshold: Array, args: tuple[Array, Array]) -> Array:
            losses, mass = args
            kept = jax.nn.sigmoid((losses - threshold) / self.smoothing)
            return weighted_sum(kept, mass) - (1 - self.level)

        # Were all losses the same, the threshold would be this far from them.
        away = self.smoothing * math.log(self.level / (1 - self.level))
        eps = float(jnp.finfo(losses.dtype).eps)
        # Beside losses so large that rounding would swallow it, as much as rounding can be.
        largest = jnp.maximum(jnp.abs(low), jnp.abs(high))
        margin = jnp.maximum(self.smoothing + abs(away), 8 * eps * largest)
        solver: Any = optx.Bisection
        found: Any = optx.root_find(
            more,
            solver(rtol=4 * eps, atol=4 * eps * self.smoothing),
            0.5 * (low + high) - away,
            (losses, mass),
            {"lower": low - margin, "upper": high + margin},
            max_steps=256,
            throw=False,
        )
        threshold: Array = found.value
        return threshold


def _without_largest(losses: Array, mass: Array, fraction: float) -> Array:
    """The mass of each loss once the largest ones, a fraction of all mass, are taken away."""
    if not fraction:
        return mass
    order = jnp.argsort(-jax.lax.stop_gradient(losses), stable=True)
    ordered = mass[order]
    gone = jnp.clip(fraction * jnp.sum(mass) - (jnp.cumsum(ordered) - ordered), 0.0, ordered)
    return jnp.zeros_like(mass).at[order].set(ordered - gone)
