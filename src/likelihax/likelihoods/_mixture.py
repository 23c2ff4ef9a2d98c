"""Scatter that is a mixture of several kinds: a mixture density network, outliers, subgroups."""

from collections.abc import Sequence
from functools import reduce
from typing import Any, final

import jax
import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import Distribution, constraints

from ._argument import Argument, Predicted, Source, predicted, source
from ._likelihood import AbstractLikelihood, Outputs
from ._support import Support


@final
class Mixture(AbstractLikelihood):
    r"""`y` comes from component `k` with probability `w_k`.

    $$-\log p = -\log\sum_k w_k\,p_k(y).$$

    **Arguments:**

    - `components`: two or more likelihoods over the same kind of values. Give a list of
        `Normal(scale=predicted())` and the model predicts, first, one logit a component and then
        each component's outputs: a mixture density network (C. M. Bishop 1994, "Mixture density
        networks", Aston University NCRG/94/004).
    - `weights`: known, numbers that sum to one; fitted, as
        `constrained([...], numpyro.distributions.constraints.simplex)`; or `predicted()`, the
        default, as logits.
    """

    components: tuple[AbstractLikelihood, ...]
    weights: Source

    def __init__(self, components: Sequence[AbstractLikelihood], weights: Any = predicted()):
        self.components = tuple(components)
        if len(self.components) < 2:
            raise ValueError("Mixture: give two or more components.")
        for component in self.components:
            if not isinstance(component, AbstractLikelihood):
                raise ValueError(f"Mixture: the component {component!r} is not a likelihood.")
        if len({component.event_ndim for component in self.components}) > 1:
            raise ValueError("Mixture: some components are of numbers, some of vectors.")
        self.weights = source(
            weights, "Mixture: weights", constraints.simplex, "positive, with a sum of one,"
        )
        shape = getattr(getattr(self.weights, "value", None), "shape", (self._count,))
        if shape[-1:] != (self._count,):
            raise ValueError(f"Mixture: weights of shape {shape} for {self._count} components.")

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The weights; the kernel takes their logarithms."""
        return (self._weights,)

    @property
    def parts(self) -> tuple[AbstractLikelihood, ...]:
        """The components."""
        return self.components

    @property
    def support(self) -> Support:
        """Whatever some component can give."""
        return self.components[0].support if self._share_support() else _union(self.components)

    @property
    def event_ndim(self) -> int:
        """The components'."""
        return self.components[0].event_ndim

    def event_shape(self, y: Array) -> tuple[int, ...]:
        """The components'."""
        return self.components[0].event_shape(y)

    def outputs(self, prediction: Array) -> Outputs:
        """The logarithms of the weights, then every component's outputs."""
        weights, *rest = super().outputs(prediction)
        known = jnp.log(jnp.where(weights > 0, weights, 1.0))
        if self._weights.is_predicted:
            logarithms = weights - _log_sum(_unstacked(weights))[..., None]
        else:
            logarithms = jnp.where(weights > 0, known, -jnp.inf)
        return logarithms, *rest

    def from_outputs(self, outputs: Outputs) -> Distribution:
        """`MixtureGeneral` of the components' distributions; on the line where these differ."""
        (log_weights,), of_parts = self.split(outputs)
        pairs = zip(self.components, of_parts, strict=True)
        each = [component.from_outputs(own) for component, own in pairs]
        line = constraints.real_vector if self.event_ndim else constraints.real
        support = line if len({type(one.support) for one in each}) > 1 else None
        return dist.MixtureGeneral(dist.CategoricalLogits(log_weights), each, support=support)

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, by components; the largest term is taken out of the sum."""
        (log_weights,), of_parts = self.split(outputs)
        terms = []
        pairs = zip(self.components, of_parts, _unstacked(log_weights), strict=True)
        for component, own, log_weight in pairs:
            support = component.support
            inside = support.contains(y)
            stand_in = jnp.asarray(support.inside, y.dtype)
            nll = component.kernel(own, jnp.where(inside, y, stand_in))
            if self.event_ndim:
                inside = jnp.all(inside, axis=-1)
            terms.append(log_weight - jnp.where(inside, nll, jnp.inf))
        return -_log_sum(tuple(terms))

    @property
    def _count(self) -> int:
        return len(self.components)

    @property
    def _weights(self) -> Argument:
        is_predicted = isinstance(self.weights, Predicted)
        kind = constraints.real_vector if is_predicted else constraints.simplex
        return Argument("Mixture: weights", self.weights, kind, self._count, (self._count,))

    def _share_support(self) -> bool:
        words = {component.support.words for component in self.components}
        return len(words) == 1


def _unstacked(x: Array) -> tuple[Array, ...]:
    """The entries of the last axis, which XLA fuses better one by one."""
    return tuple(jnp.unstack(x, axis=-1))


def _union(components: Sequence[AbstractLikelihood]) -> Support:
    supports = [component.support for component in components]

    def contains(y: Any) -> Any:
        inside = supports[0].contains(y)
        for support in supports[1:]:
            inside = inside | support.contains(y)
        return inside

    words = " or ".join(dict.fromkeys(support.words for support in supports))
    return Support(contains, supports[0].inside, words, supports[0].mend)


@jax.custom_jvp
def _log_sum(terms: tuple[Array, ...]) -> Array:
    """`log sum exp`; its derivatives stay finite where all terms are lost."""
    largest = reduce(jnp.maximum, terms)
    largest = jnp.where(jnp.isfinite(largest), largest, 0.0)
    return largest + jnp.log(sum(jnp.exp(term - largest) for term in terms))


@_log_sum.defjvp
def _log_sum_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (terms,), (moved,) = primals, tangents
    total = _log_sum(terms)
    change = jnp.zeros_like(total)
    for term, each in zip(terms, moved, strict=True):
        some = jnp.isfinite(total) & jnp.isfinite(term)
        share = jnp.where(some, jnp.exp(term - total), 0.0)
        change = change + jnp.where(share > 0, share * each, 0.0)
    return total, change
