"""What is known of the standard deviation of Normal values whose mean is known."""

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaincc, gammaln
from jaxtyping import Array, ArrayLike
from numpyro.distributions import Distribution, constraints
from numpyro.distributions.util import validate_sample

from .._special._gamma import rise
from ._summed_up import summed_up


class InverseGammaScale(Distribution):
    r"""A standard deviation whose square is inverse gamma: the conjugate prior of a known mean.

    $$\sigma^2 \sim \mathrm{InverseGamma}(\alpha, \beta),\qquad
    p(\sigma) = \frac{2\beta^\alpha}{\Gamma(\alpha)}\,\sigma^{-2\alpha-1} e^{-\beta/\sigma^2}$$

    It knows as much as if twice `concentration` values had been seen, whose mean square was
    `rate / concentration` (A. Gelman and others 2013, "Bayesian data analysis", section 2.6, where
    its square is called scaled inverse chi-squared).

    **Arguments:** numbers or arrays, broadcast against each other.

    - `concentration`: $\alpha$, positive: half the degrees of freedom.
    - `rate`: $\beta$, positive, in the squared unit of the values.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support = constraints.positive
    reparametrized_params: ClassVar[list[str]] = ["concentration", "rate"]
    pytree_data_fields = ("concentration", "rate")

    def __init__(
        self, concentration: ArrayLike, rate: ArrayLike, *, validate_args: bool | None = None
    ):
        self.concentration, self.rate = jnp.broadcast_arrays(concentration, rate)
        super().__init__(batch_shape=self.rate.shape, validate_args=validate_args)

    def sample(self, key: Array | None, sample_shape: tuple[int, ...] = ()) -> Array:
        """Standard deviations, shape `(*sample_shape, *batch_shape)`."""
        assert key is not None
        shape = sample_shape + self.batch_shape
        concentration = jnp.broadcast_to(self.concentration, shape)
        rate = jnp.broadcast_to(self.rate, shape)
        # In logarithms: of a small concentration the draws themselves underflow.
        precision = jax.random.loggamma(key, concentration, shape, rate.dtype)
        scale = jnp.exp(0.5 * (jnp.log(rate) - precision))
        return jnp.minimum(scale, jnp.finfo(rate.dtype).max)

    @validate_sample  # type: ignore[untyped-decorator]
    def log_prob(self, value: ArrayLike, intermediates: Any = None) -> Array:
        """The logarithm of the density above."""
        value, alpha = jnp.asarray(value), self.concentration
        total = alpha * jnp.log(self.rate) - gammaln(alpha) - (2 * alpha + 1) * jnp.log(value)
        return total - self.rate / value**2 + math.log(2.0)

    def cdf(self, value: ArrayLike) -> Array:
        r"""The regularised gamma function $Q(\alpha, \beta/\sigma^2)$."""
        value = jnp.asarray(value)
        inside = value > 0
        found = gammaincc(self.concentration, self.rate / jnp.where(inside, value, 1.0) ** 2)
        return jnp.where(inside, found, 0.0)

    @property
    def mean(self) -> Array:
        r"""$\sqrt\beta\,\Gamma(\alpha-\frac12)/\Gamma(\alpha)$, infinite where $\alpha \le 1/2$."""
        finite = self.concentration > 0.5
        below = jnp.where(finite, self.concentration - 0.5, 1.0)
        step = rise(below, jnp.full_like(below, 0.5))
        found = jnp.sqrt(self.rate / below) * jnp.exp(-step)
        return jnp.where(finite, found, jnp.inf)

    @property
    def variance(self) -> Array:
        r"""$\beta/(\alpha-1)$ less the square of the mean, infinite where $\alpha \le 1$."""
        finite = self.concentration > 1
        square = self.rate / jnp.where(finite, self.concentration - 1, 1.0)
        return jnp.where(finite, square - jnp.where(finite, self.mean, 0.0) ** 2, jnp.inf)

    def update(self, residuals: ArrayLike, axis: int = 0) -> "InverseGammaScale":
        """What is known once Normal residuals about zero have been seen, along one axis.

        The other axes of `residuals` are broadcast against the batch.
        """
        return self.update_by(*_squares(residuals, axis, "InverseGammaScale.update"))

    def update_by(self, count: ArrayLike, squares: ArrayLike) -> "InverseGammaScale":
        """The same from what suffices: how many residuals, and the sum of their squares."""
        return InverseGammaScale(
            self.concentration + 0.5 * jnp.asarray(count), self.rate + 0.5 * jnp.asarray(squares)
        )

    def log_marginal(self, residuals: ArrayLike, axis: int = 0) -> Array:
        r"""The log-density of Normal residuals about zero that share one unknown scale.

        $$\log p(r_1, \dots, r_n) = \log\frac{\Gamma(\alpha+\frac n2)}{\Gamma(\alpha)}
        - \tfrac n2\log 2\pi\beta
        - (\alpha+\tfrac n2)\log\Bigl(1+\frac{\sum r_i^2}{2\beta}\Bigr),$$

        a multivariate Student's t with $2\alpha$ degrees of freedom. For many of these it is
        Normal, and no digit is lost on the way.
        """
        return self.log_marginal_by(*_squares(residuals, axis, "InverseGammaScale.log_marginal"))

    def log_marginal_by(self, count: ArrayLike, squares: ArrayLike) -> Array:
        """The same from what suffices, as `update_by` takes it."""
        found = jnp.asarray(count), jnp.asarray(squares)
        return log_marginal_of_squares(self.concentration, self.rate, *found)


def log_marginal_of_squares(
    concentration: Array, rate: Array, count: Array, squares: Array
) -> Array:
    """The formula above."""
    half = 0.5 * count
    ways = rise(concentration, half) - half * jnp.log(2 * math.pi * rate / concentration)
    return ways - (concentration + half) * jnp.log1p(0.5 * squares / rate)


def _squares(residuals: ArrayLike, axis: int, owner: str) -> tuple[Array, Array]:
    count, centre, scatter = summed_up(residuals, axis, owner)
    return count, scatter + count * centre**2
