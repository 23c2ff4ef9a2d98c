"""What is hidden in noise that is random itself: its variance, or also its mean, group by group."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int
from numpyro import distributions as dist

from .._predictor import Predictor
from ..data import AbstractData, Experiments
from ..distributions import InverseGammaScale, NormalInverseGamma
from ..likelihoods import AbstractRandomNoise
from ..models import Simulation


@final
class HiddenNoise(eqx.Module):
    r"""Values that are Normal given what is hidden in each group, and what is known of that.

    Hidden is a standard deviation, or a pair: an offset from the prediction, and a variance; in
    the units of the values. `values` and `measured` below are shaped like the data's.

    **Attributes:**

    - `loc`: the prediction, shape `(*plates, rows, *observables)`.
    - `relative`: the scale of each value in units of its group's, 1 where it is the same for all.
    - `concentration`, `rate`, `evidence`: of what is hidden, shape `(*plates, groups,
        *observables)`; without the last, the mean is not hidden.
    - `lost`: where nothing could be predicted.
    - `of_row`: the group of each row; `None` where each value is a group of its own.
    - `ndim`: how many axes the data's values have.
    """

    loc: Array
    relative: Array
    concentration: Array
    rate: Array
    evidence: Array | None
    lost: Bool[Array, "..."]
    of_row: Int[Array, " rows"] | None
    ndim: int = eqx.field(static=True)

    @property
    def prior(self) -> InverseGammaScale | NormalInverseGamma:
        """What is known of each group before it was measured."""
        if self.evidence is None:
            return InverseGammaScale(self.concentration, self.rate)
        zero = jnp.zeros_like(self.rate)
        return NormalInverseGamma(zero, self.evidence, self.concentration, self.rate)

    def posterior(self, values: Array, measured: Array) -> InverseGammaScale | NormalInverseGamma:
        """What is known of each group once it was measured."""
        count, centre, scatter = self._seen(values, measured)
        prior = self.prior
        if isinstance(prior, InverseGammaScale):
            return prior.update_by(count, scatter + count * centre**2)
        return prior.update_by(count, centre, scatter)

    def nll(self, values: Array, measured: Array) -> Array:
        """Minus the log-density of all values of each group, what is hidden integrated out.

        Infinite, never NaN, where something could not be predicted.
        """
        count, centre, scatter = self._seen(values, measured)
        prior = self.prior
        if isinstance(prior, InverseGammaScale):
            found = prior.log_marginal_by(count, scatter + count * centre**2)
        else:
            found = prior.log_marginal_by(count, centre, scatter)
        width = self._summed(jnp.where(measured, jnp.log(self.relative), 0.0))
        lost = self._summed((self.lost & measured).astype(count.dtype)) > 0
        return jnp.where(lost | jnp.isnan(found), jnp.inf, width - found)

    def given(self, hidden: Array) -> dist.Normal:
        """The values, given what `prior` or `posterior` drew."""
        if self.evidence is None:
            return dist.Normal(self.loc, self._of_rows(hidden) * self.relative)
        offset, variance = self._of_rows(hidden[..., 0]), self._of_rows(hidden[..., 1])
        return dist.Normal(self.loc + offset * self.relative, jnp.sqrt(variance) * self.relative)

    def _seen(self, values: Array, measured: Array) -> tuple[Array, Array, Array]:
        """Of each group: how many values, the mean of their residuals, squares about it."""
        residuals = jnp.where(measured & ~self.lost, (values - self.loc) / self.relative, 0.0)
        count = self._summed(jnp.broadcast_to(measured, residuals.shape).astype(residuals.dtype))
        centre = self._summed(residuals) / jnp.maximum(count, 1.0)
        away = jnp.where(measured, residuals - self._of_rows(centre), 0.0)
        return count, centre, self._summed(away**2)

    def _summed(self, each: Array) -> Array:
        return each if self.of_row is None else _by_group(each, self.of_row, self._groups)

    def _of_rows(self, each: Array) -> Array:
        if self.of_row is None:
            return each
        return jnp.take(each, self.of_row, axis=self.loc.ndim - self.ndim)

    @property
    def _groups(self) -> int:
        return self.rate.shape[self.rate.ndim - self.ndim]


def hidden_noise(
    predictor: Predictor,
    data: AbstractData,
    of_row: Int[Array, " rows"] | None = None,
    groups: int = 0,
) -> tuple[HiddenNoise, Simulation]:
    """What is hidden where a resolved predictor predicts the data, and how the solve went.

    `of_row` numbers the `groups` from 0; without it, each value is a group of its own. A group's
    scale is the geometric mean of its values' scales.
    """
    simulation = predictor.predict(data)
    likelihood = predictor.likelihood_of(data)
    assert isinstance(likelihood, AbstractRandomNoise)
    likelihood.check_shapes(simulation.values, data.values)
    noise = likelihood.random_noise(likelihood.outputs(simulation.values))
    lost = ~jnp.isfinite(noise.loc) | ~jnp.isfinite(noise.log_scale)
    lost = lost | _unsolved(simulation, data)
    loc = jnp.where(lost, 0.0, noise.loc)
    log_scale = jnp.where(lost, 0.0, noise.log_scale)
    concentration, unknown, of_group = noise.concentration, noise.unknown, log_scale
    relative = jnp.ones_like(loc)
    if of_row is not None:
        # One row stands for its group: these are the same for all of it.
        first = jnp.argmax(of_row[None] == jnp.arange(groups)[:, None], axis=1)
        concentration = concentration[first]
        unknown = None if unknown is None else unknown[first]
        count = jnp.bincount(of_row, length=groups).astype(loc.dtype)
        count = count.reshape(count.shape + (1,) * (loc.ndim - 1))
        of_group = jax.ops.segment_sum(log_scale, of_row, num_segments=groups) / count
        relative = jnp.exp(log_scale - of_group[of_row])
    found = HiddenNoise(
        loc=loc,
        relative=relative,
        concentration=concentration,
        rate=concentration * jnp.exp(2 * of_group),
        evidence=None if unknown is None else 1 / unknown,
        lost=lost,
        of_row=of_row,
        ndim=data.values.ndim,
    )
    return found, simulation


def check_random_noise(predictor: Any, owner: str) -> None:
    """Raises `ValueError` unless a likelihood says what is hidden in its noise."""
    likelihood = getattr(predictor, "likelihood", None)
    if not isinstance(likelihood, AbstractRandomNoise):
        raise ValueError(
            f"{owner}: {type(likelihood).__name__} has no hidden variance: give a Predictor whose "
            "likelihood is StudentT(scale, dof), a Normal with a random variance, or "
            "NormalInverseGamma(...), one whose mean is random too."
        )


def _unsolved(simulation: Simulation, data: AbstractData) -> Array:
    """Where the solve behind a value failed."""
    if isinstance(data, Experiments) and simulation.solves is not None:
        failed = simulation.solves.failed[data.of_row]
        failed = failed.reshape(failed.shape + (1,) * (data.values.ndim - 1))
        return jnp.broadcast_to(failed, data.values.shape)
    return jnp.broadcast_to(~simulation.success, data.values.shape)


def _by_group(each: Array, of_row: Array, groups: int) -> Array:
    return jax.ops.segment_sum(each, of_row, num_segments=groups)
