"""Several predictive distributions of one family as one: their weighted mixture."""

import math
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float
from numpyro.distributions import Distribution, constraints

# Doublings after which a bracket is wider than any float, and halvings after which none is left.
_DOUBLINGS = 1100
_HALVINGS = 200


class PredictiveMixture(Distribution):
    r"""$p(y) = \sum_k w_k\,p_k(y)$, the members of an ensemble as one NumPyro distribution.

    `log_prob` and `sample` always exist; `mean`, `variance`, `cdf` and `icdf` where the family's
    do. Unlike `numpyro.distributions.MixtureSameFamily` it has quantiles, takes families whose
    support depends on parameters, and tells two kinds of variance apart.

    **Arguments:**

    - `weights`: one a member, shape `(members,)`, not negative, with a sum of one.
    - `components`: the members' distributions as one, the members its first batch axis.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    pytree_data_fields = ("weights", "components")

    def __init__(
        self,
        weights: Float[Array, " members"],
        components: Distribution,
        *,
        validate_args: bool | None = None,
    ):
        self.weights = weights
        self.components = components
        super().__init__(
            batch_shape=components.batch_shape[1:],
            event_shape=components.event_shape,
            validate_args=validate_args,
        )

    @constraints.dependent_property  # type: ignore[untyped-decorator]
    def support(self) -> Any:
        """The members'."""
        return self.components.support

    @property
    def is_discrete(self) -> bool:
        """Whether values are counts or labels."""
        found: bool = self.components.is_discrete
        return found

    def log_prob(self, value: ArrayLike, intermediates: Any = None) -> Array:
        """The logarithm of the mixture's density, the largest term taken out of the sum."""
        each = self._each(self.components.log_prob, value)
        # A member without weight may be infinitely far from anything.
        used = (self.weights > 0).reshape(self._by_member(each.ndim))
        logarithms = jnp.log(jnp.where(self.weights > 0, self.weights, 1.0)).astype(each.dtype)
        terms = jnp.where(used, logarithms.reshape(used.shape) + each, -jnp.inf)
        return jax.nn.logsumexp(terms, axis=0)

    def sample(self, key: Array | None, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws a member for each value, and the value from it."""
        assert key is not None
        of_member, of_value = jax.random.split(key)
        shape = sample_shape + self.batch_shape
        logits = jnp.log(self.weights)
        which = jax.random.categorical(of_member, logits, shape=shape)
        keys = jax.random.split(of_value, math.prod(sample_shape))
        drawn = jax.vmap(self.components.sample)(keys)
        drawn = drawn.reshape(sample_shape + drawn.shape[1:])
        at = len(sample_shape)
        which = which.reshape(shape[:at] + (1,) + shape[at:] + (1,) * self.event_dim)
        return jnp.take_along_axis(drawn, which, axis=at).squeeze(at)

    @property
    def mean(self) -> Array:
        """The weighted mean of the members' means; of angles, the direction of their resultant."""
        if self._is_circular:
            return jnp.angle(self._resultant())
        return self._weighted(self._moment("mean"))

    @property
    def variance(self) -> Array:
        """The sum of `aleatoric` and `epistemic`; of angles, the circular variance."""
        return self.aleatoric + self.epistemic

    @property
    def aleatoric(self) -> Array:
        r"""$\sum_k w_k\,\mathrm{Var}_k$: the scatter that would remain were the truth known.

        Of angles $\sum_k w_k(1 - R_k)$, with $R_k$ the length of a member's mean resultant.
        Raises `NotImplementedError` where the family has no variance.
        """
        return self._weighted(self._moment("variance"))

    @property
    def epistemic(self) -> Array:
        r"""$\sum_k w_k(\mu_k - \mu)^2$: how far the members disagree.

        With `aleatoric` it sums to the variance of the mixture, the law of total variance. Of
        angles $\sum_k w_k R_k - |\sum_k w_k R_k e^{i\mu_k}|$, with the same sum.
        """
        if self._is_circular:
            lengths = self._weighted(1.0 - self._moment("variance"))
            return jnp.maximum(lengths - jnp.abs(self._resultant()), 0.0)
        means = self._moment("mean")
        return self._weighted((means - self._weighted(means)[None]) ** 2)

    def cdf(self, value: ArrayLike) -> Array:
        """The weighted mean of the members' cumulative distributions."""
        return self._weighted(self._each(self.components.cdf, value))

    def icdf(self, q: ArrayLike) -> Array:
        """The quantile: the least value that a share `q` of the mixture is not above.

        By bisection of `cdf`, to the last digits. Raises `NotImplementedError` where the family
        has no cumulative distribution, or its values are vectors.
        """
        if self.event_dim or self._is_circular:
            raise NotImplementedError("Quantiles are known for single numbers on a line.")
        wanted = jnp.asarray(q, jnp.result_type(float) if not hasattr(q, "dtype") else None)
        lead = wanted.shape[: max(wanted.ndim - len(self.batch_shape), 0)]
        wanted = jnp.broadcast_to(wanted, lead + self.batch_shape)
        return _quantile(self, wanted)

    def _quantile(self, wanted: Array) -> Array:
        if self.is_discrete:
            return self._discrete_quantile(wanted)
        lower, upper = (self._edge(end, wanted) for end in ("lower_bound", "upper_bound"))
        found = _bisected(lambda y: self._cdf_on_line(y, lower, upper) >= wanted, wanted)
        found = jnp.clip(found, lower, upper)
        found = jnp.where(wanted <= 0, lower, jnp.where(wanted >= 1, upper, found))
        return jnp.where((wanted >= 0) & (wanted <= 1), found, jnp.nan)

    def _discrete_quantile(self, wanted: Array) -> Array:
        # Between whole numbers the distribution does not change. The least one that reaches the
        # share is the ceiling of where a bisection ends.
        below = lambda y: jnp.where(y < 0, 0.0, self.cdf(jnp.floor(jnp.maximum(y, 0.0))))
        slack = 4 * jnp.finfo(wanted.dtype).eps
        found = _bisected(lambda y: below(y) >= wanted - slack, wanted)
        found = jnp.maximum(jnp.round(found), 0.0)
        found = jnp.where(wanted >= 1, jnp.inf, jnp.where(wanted <= 0, 0.0, found))
        return jnp.where((wanted >= 0) & (wanted <= 1), found, jnp.nan)

    def _cdf_on_line(self, y: Array, lower: Array, upper: Array) -> Array:
        """`cdf`, also where NumPyro's formula has no value: beyond the support."""
        inside = (y > lower) & (y < upper)
        middle = jnp.where(jnp.isfinite(lower), lower + 1.0, 0.0)
        both = jnp.isfinite(lower) & jnp.isfinite(upper)
        middle = jnp.where(both, 0.5 * (lower + upper), middle)
        found = self.cdf(jnp.where(inside, y, middle))
        return jnp.where(inside, found, jnp.where(y <= lower, 0.0, 1.0))

    def _edge(self, name: str, like: Array) -> Array:
        kind = self.components.support
        if isinstance(kind, type(constraints.positive)):
            ends = (0.0, jnp.inf)
        elif isinstance(kind, type(constraints.unit_interval)):
            ends = (0.0, 1.0)
        else:
            ends = (getattr(kind, "lower_bound", -jnp.inf), getattr(kind, "upper_bound", jnp.inf))
        edge = jnp.asarray(ends[0] if name == "lower_bound" else ends[1], like.dtype)
        return jnp.broadcast_to(edge, like.shape)

    def _each(self, function: Any, value: ArrayLike) -> Array:
        """A function of the members at the same value; they are the first axis."""
        value = jnp.asarray(value)
        inner = len(self.batch_shape) + self.event_dim
        extra = value.ndim - inner
        if extra < 0:
            value = jnp.broadcast_to(value, self.batch_shape + self.event_shape)
        at = lambda v: function(jnp.broadcast_to(v[None], (self.weights.size, *v.shape)))
        for _ in range(max(extra, 0)):
            at = jax.vmap(at, out_axes=1)
        return at(value)

    def _weighted(self, each: Array) -> Array:
        weights = self.weights.astype(each.dtype).reshape(self._by_member(each.ndim))
        return jnp.sum(jnp.where(weights > 0, weights * each, 0.0), axis=0)

    def _moment(self, which: str) -> Array:
        found: Array = getattr(self.components, which)
        if isinstance(found, jax.core.Tracer) or not bool(jnp.all(jnp.isnan(found))):
            return found
        raise NotImplementedError(
            f"{type(self.components).__name__} has no {which}: its values are labels, not numbers."
        )

    def _resultant(self) -> Array:
        length, angle = 1.0 - self._moment("variance"), self.components.mean
        across, along = (self._weighted(length * part(angle)) for part in (jnp.cos, jnp.sin))
        return jax.lax.complex(across, along)

    @property
    def _is_circular(self) -> bool:
        return isinstance(self.components.support, type(constraints.circular))

    def _by_member(self, ndim: int) -> tuple[int, ...]:
        return (self.weights.size,) + (1,) * (ndim - 1)


@eqx.filter_jit
def _quantile(mixture: PredictiveMixture, wanted: Array) -> Array:
    # Compiled once for a family and a shape: a loop outside would be compiled at each call.
    return mixture._quantile(wanted)


def _bisected(reached: Any, like: Array) -> Array:
    """The least number at which the monotone `reached` holds, for each of `like`."""

    def widen(_: Any, ends: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        low, high, _ = ends
        too_low, too_high = ~reached(high), reached(low)
        return (
            jnp.where(too_high, 2 * low, low),
            jnp.where(too_low, 2 * high, high),
            jnp.any((too_low & jnp.isfinite(high)) | (too_high & jnp.isfinite(low))),
        )

    unfinished = lambda carry: carry[2] & (carry[3] < _DOUBLINGS)
    step = lambda carry: (*widen(None, carry[:3]), carry[3] + 1)
    begin = (-jnp.ones_like(like), jnp.ones_like(like), jnp.asarray(True), jnp.asarray(0))
    low, high, *_ = jax.lax.while_loop(unfinished, step, begin)
    largest = jnp.finfo(like.dtype).max
    low, high = jnp.maximum(low, -largest), jnp.minimum(high, largest)

    def halve(carry: tuple[Array, Array, Bool[Array, ""], Array]) -> Any:
        low, high, _, count = carry
        middle = low + 0.5 * (high - low)
        inside = (middle > low) & (middle < high)
        up = reached(middle)
        low = jnp.where(inside & ~up, middle, low)
        high = jnp.where(inside & up, middle, high)
        return low, high, jnp.any(inside), count + 1

    unfinished = lambda carry: carry[2] & (carry[3] < _HALVINGS)
    begin = (low, high, jnp.asarray(True), jnp.asarray(0))
    _, high, *_ = jax.lax.while_loop(unfinished, halve, begin)
    return high
