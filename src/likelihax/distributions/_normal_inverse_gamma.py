"""What is known of the mean and the variance of Normal values."""

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammaln
from jaxtyping import Array, ArrayLike
from numpyro.distributions import Distribution, biject_to, constraints, kl_divergence, transforms
from numpyro.distributions.util import validate_sample

from .._special._elementary import log_excess
from ._inverse_gamma_scale import log_marginal_of_squares
from ._predictive_student_t import PredictiveStudentT
from ._summed_up import summed_up


class _MeanAndVariance(constraints.Constraint):
    """A pair, the last axis: any number, and a positive one."""

    event_dim = 1

    def __call__(self, x: Any) -> Any:
        return (x[..., 1] > 0) & jnp.all(jnp.isfinite(x), axis=-1)

    def feasible_like(self, prototype: Any) -> Array:
        return jnp.ones_like(prototype)

    def tree_flatten(self) -> Any:
        return (), ((), {})

    def eq(self, other: object, static: bool = False) -> bool:
        return isinstance(other, _MeanAndVariance)


MEAN_AND_VARIANCE = _MeanAndVariance()


class _ToMeanAndVariance(transforms.Transform):
    """The second of each pair becomes its exponential."""

    domain = constraints.real_vector
    codomain = MEAN_AND_VARIANCE

    def __call__(self, x: Array) -> Array:
        return jnp.stack([x[..., 0], jnp.exp(x[..., 1])], axis=-1)

    def _inverse(self, y: Array) -> Array:
        return jnp.stack([y[..., 0], jnp.log(y[..., 1])], axis=-1)

    def log_abs_det_jacobian(self, x: Array, y: Array, intermediates: Any = None) -> Array:
        return x[..., 1]

    def tree_flatten(self) -> Any:
        return (), ((), {})

    def eq(self, other: object, static: bool = False) -> bool:
        return isinstance(other, _ToMeanAndVariance)


@biject_to.register(_MeanAndVariance)  # type: ignore[untyped-decorator]
def _to_mean_and_variance(constraint: _MeanAndVariance) -> _ToMeanAndVariance:
    return _ToMeanAndVariance()


class NormalInverseGamma(Distribution):
    r"""The mean and the variance of Normal values, both unknown: their conjugate prior.

    $$\sigma^2 \sim \mathrm{InverseGamma}(\alpha, \beta),\qquad
    \mu \mid \sigma^2 \sim \mathrm{Normal}(\gamma, \sigma^2 / \nu)$$

    A draw is a pair along the last axis: the mean and the variance. It knows as much as if
    `evidence` values had been seen for the mean, and twice `concentration` for the variance (A.
    Gelman and others 2013, "Bayesian data analysis", section 3.3).

    **Arguments:** numbers or arrays, broadcast against each other.

    - `loc`: $\gamma$, the expected mean.
    - `evidence`: $\nu$, positive.
    - `concentration`: $\alpha$, positive, which the likelihood of the same name calls `shape`, as
        that of a NumPyro distribution is something else. The variance is expected to be finite
        above 1.
    - `rate`: $\beta$, positive, in the squared unit of the values.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real,
        "evidence": constraints.positive,
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support = MEAN_AND_VARIANCE
    reparametrized_params: ClassVar[list[str]] = ["loc", "evidence", "concentration", "rate"]
    pytree_data_fields = ("loc", "evidence", "concentration", "rate")

    def __init__(
        self,
        loc: ArrayLike,
        evidence: ArrayLike,
        concentration: ArrayLike,
        rate: ArrayLike,
        *,
        validate_args: bool | None = None,
    ):
        self.loc, self.evidence, self.concentration, self.rate = jnp.broadcast_arrays(
            loc, evidence, concentration, rate
        )
        super().__init__(batch_shape=self.loc.shape, event_shape=(2,), validate_args=validate_args)

    def sample(self, key: Array | None, sample_shape: tuple[int, ...] = ()) -> Array:
        """Pairs of a mean and a variance, shape `(*sample_shape, *batch_shape, 2)`."""
        assert key is not None
        of_mean, of_variance = jax.random.split(key)
        shape = sample_shape + self.batch_shape
        loc, evidence, concentration, rate = (
            jnp.broadcast_to(each, shape)
            for each in (self.loc, self.evidence, self.concentration, self.rate)
        )
        # In logarithms: of a small concentration the draws themselves underflow.
        precision = jax.random.loggamma(of_variance, concentration, shape, rate.dtype)
        log_variance = jnp.minimum(jnp.log(rate) - precision, math.log(jnp.finfo(rate.dtype).max))
        variance = jnp.exp(log_variance)
        away = jax.random.normal(of_mean, shape, rate.dtype)
        mean = loc + away * jnp.exp(0.5 * log_variance) / jnp.sqrt(evidence)
        return jnp.stack([mean, variance], axis=-1)

    @validate_sample  # type: ignore[untyped-decorator]
    def log_prob(self, value: ArrayLike, intermediates: Any = None) -> Array:
        """The logarithm of the joint density of mean and variance."""
        mean, variance = value[..., 0], value[..., 1]  # type: ignore[index]
        alpha, log_variance = self.concentration, jnp.log(variance)
        away = (mean - self.loc) ** 2 * self.evidence / variance
        of_mean = 0.5 * (jnp.log(self.evidence) - math.log(2 * math.pi) - log_variance - away)
        of_variance = alpha * jnp.log(self.rate) - gammaln(alpha) - (alpha + 1) * log_variance
        return of_mean + of_variance - self.rate / variance

    @property
    def mean(self) -> Array:
        r"""$(\gamma,\ \beta / (\alpha - 1))$, infinite where $\alpha$ is 1 or less."""
        return jnp.stack([self.loc, self.predictive().aleatoric], axis=-1)

    @property
    def variance(self) -> Array:
        """Of the mean and of the variance; infinite where there is none."""
        alpha = self.concentration
        beyond = alpha > 2
        said = self.predictive()
        spread = said.aleatoric**2 / jnp.where(beyond, alpha - 2, 1.0)
        spread = jnp.where(beyond, spread, jnp.inf)
        return jnp.stack([said.epistemic, spread], axis=-1)

    def entropy(self) -> Array:
        r"""In nats.

        $$\alpha + \tfrac12\log\frac{2\pi e}\nu + \tfrac32\log\beta + \log\Gamma(\alpha)
        - (\alpha + \tfrac32)\,\psi(\alpha)$$
        """
        alpha = self.concentration
        gammas = gammaln(alpha) - (alpha + 1.5) * digamma(alpha)
        plain = 0.5 * (1 + math.log(2 * math.pi) - jnp.log(self.evidence))
        return alpha + plain + 1.5 * jnp.log(self.rate) + gammas

    def update(self, values: ArrayLike, axis: int = 0) -> "NormalInverseGamma":
        """What is known once Normal values have been seen, along one axis, the first by default.

        The other axes of `values` are broadcast against the batch. The conjugate update of Gelman
        and others, equation 3.9.
        """
        return self.update_by(*summed_up(values, axis, "NormalInverseGamma.update"))

    def update_by(
        self, count: ArrayLike, centre: ArrayLike, scatter: ArrayLike
    ) -> "NormalInverseGamma":
        """The same from what suffices: how many values, their mean, their squares about it.

        A count may be zero, and differ along the batch; `scatter` is the sum of squared distances
        from `centre`.
        """
        count, centre = jnp.asarray(count), jnp.asarray(centre)
        evidence = self.evidence + count
        return NormalInverseGamma(
            self.loc + count / evidence * (centre - self.loc),
            evidence,
            self.concentration + 0.5 * count,
            self.rate + 0.5 * self._squares(count, centre, jnp.asarray(scatter)),
        )

    def log_marginal(self, values: ArrayLike, axis: int = 0) -> Array:
        r"""The log-density of Normal values that share one mean and one variance, neither known.

        $$\log p(y_1, \dots, y_n) = \log\frac{\Gamma(\alpha_n)}{\Gamma(\alpha)}
        + \alpha\log\beta - \alpha_n\log\beta_n + \tfrac12\log\frac{\nu}{\nu_n}
        - \tfrac n2\log 2\pi,$$

        with the numbers of `update`: a multivariate Student's t with $2\alpha$ degrees of freedom
        (K. Murphy 2007, "Conjugate Bayesian analysis of the Gaussian distribution", section 3).
        """
        return self.log_marginal_by(*summed_up(values, axis, "NormalInverseGamma.log_marginal"))

    def log_marginal_by(self, count: ArrayLike, centre: ArrayLike, scatter: ArrayLike) -> Array:
        """The same from what suffices, as `update_by` takes it."""
        count, centre = jnp.asarray(count), jnp.asarray(centre)
        squares = self._squares(count, centre, jnp.asarray(scatter))
        of_variance = log_marginal_of_squares(self.concentration, self.rate, count, squares)
        return of_variance - 0.5 * jnp.log1p(count / self.evidence)

    def _squares(self, count: Array, centre: Array, scatter: Array) -> Array:
        # How far the values lie from what was expected, as far as that was known.
        return scatter + count / (1 + count / self.evidence) * (centre - self.loc) ** 2

    def predictive(self) -> PredictiveStudentT:
        """The distribution of one more value."""
        return PredictiveStudentT(self.loc, self.evidence, self.concentration, self.rate)


@kl_divergence.register(NormalInverseGamma, NormalInverseGamma)  # type: ignore[untyped-decorator]
def _kl(p: NormalInverseGamma, q: NormalInverseGamma) -> Array:
    """Of the mean given the variance, and of the variance; never negative but for rounding."""
    share = q.evidence / p.evidence - 1
    away = q.evidence * (p.loc - q.loc) ** 2 * p.concentration / p.rate
    of_mean = 0.5 * (log_excess(share) + away)
    step = q.concentration - p.concentration
    gammas = gammaln(q.concentration) - gammaln(p.concentration) - step * digamma(p.concentration)
    wider = q.rate / p.rate - 1
    of_variance = gammas + p.concentration * log_excess(wider) - step * jnp.log1p(wider)
    return of_mean + of_variance
