"""Categorical scatter: one of several classes; its NLL is the cross-entropy."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from ._argument import Argument, Source, predicted, source
from ._likelihood import AbstractLikelihood, Outputs
from ._support import Support, labels


@final
class Categorical(AbstractLikelihood):
    r"""`y ~ Categorical`: labels from 0, or with `soft=True` a probability for each class.

    $$-\sum_k t_k\log p_k,\qquad t_k=(1-\varepsilon)\,[k=y]+\varepsilon/K,\qquad
    \log p_k = \ell_k-\log\sum_j e^{\ell_j}.$$

    **Arguments:**

    - `num_classes`: `K`.
    - `logits`: any numbers, one a class; by default the model predicts them.
    - `label_smoothing`: the share `epsilon` of each target that is spread over all classes (C.
        Szegedy and others 2016, "Rethinking the Inception architecture for computer vision",
        CVPR, section 7). With it the loss is a cross-entropy, not the NLL of the label.
    - `soft`: whether values are not labels but probabilities, shape `(..., num_classes)`.
    """

    logits: Source
    num_classes: int = eqx.field(static=True)
    label_smoothing: float = eqx.field(static=True)
    soft: bool = eqx.field(static=True)

    def __init__(
        self,
        num_classes: int,
        logits: Any = predicted(),
        *,
        label_smoothing: float = 0.0,
        soft: bool = False,
    ):
        if num_classes < 2:
            raise ValueError(f"Categorical: at least 2 classes are needed, got {num_classes}.")
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                f"Categorical: label_smoothing must be at least 0 and below 1, got "
                f"{label_smoothing}."
            )
        self.logits = source(logits, "Categorical: logits", constraints.real, "real")
        self.num_classes = num_classes
        self.label_smoothing = float(label_smoothing)
        self.soft = soft

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The logits, a vector."""
        size = self.num_classes
        return (
            Argument("Categorical: logits", self.logits, constraints.real_vector, size, (size,)),
        )

    @property
    def support(self) -> Support:
        """Labels, or probabilities that sum to one."""
        if not self.soft:
            return labels(self.num_classes)
        return Support(
            _is_probability,
            1 / self.num_classes,
            "probabilities, one a class, that sum to 1",
            "Divide each row by its sum, or give labels and leave out soft=True.",
        )

    @property
    def event_ndim(self) -> int:
        """1 for soft targets, 0 for labels."""
        return int(self.soft)

    def event_shape(self, y: Array) -> tuple[int, ...]:
        """One number a class for soft targets."""
        return (self.num_classes,) if self.soft else ()

    def from_outputs(self, outputs: Outputs) -> dist.CategoricalLogits:
        """`CategoricalLogits(logits)`."""
        return dist.CategoricalLogits(*outputs)

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in the logits."""
        (logits,) = outputs
        label = jnp.argmax(logits, axis=-1) if self.soft else y.astype(int)
        smoothing = self.label_smoothing
        target = (1 - smoothing) * y if self.soft else jnp.zeros_like(logits)
        each = label_nll(logits, label)
        if not self.soft and not smoothing:
            return each
        return each + cost_of_others(logits, label, target + smoothing / self.num_classes)


def _is_probability(y: Any) -> Any:
    close = float(jnp.finfo(y.dtype).eps) ** 0.5
    whole = abs(y.sum(axis=-1, keepdims=True) - 1) <= close
    return (y >= 0) & (y <= 1 + close) & whole


@jax.custom_jvp
def label_nll(logits: Array, label: Array) -> Array:
    """`-log p` of a label: next to nothing has all its digits too.

    The label's own term, one where it has the largest logit, stands apart from the others.
    """
    own, others = _terms(logits, label)
    return jnp.log1p(jnp.sum(others, axis=-1) + jnp.expm1(own)) - own


@label_nll.defjvp
def _label_nll_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    logits, label = primals
    own, others = _terms(logits, label)
    rest = jnp.sum(others, axis=-1)
    total = (rest + jnp.exp(own))[..., None]
    slope = jnp.where(_is(label, logits), -rest[..., None], others) / total
    return label_nll(logits, label), jnp.sum(slope * tangents[0], axis=-1)


@jax.custom_jvp
def cost_of_others(logits: Array, label: Array, target: Array) -> Array:
    """`sum_k t_k (l_label - l_k)`: what a target costs more than that label alone."""
    behind = jnp.take_along_axis(logits, label[..., None], axis=-1) - logits
    return jnp.sum(jnp.where(target > 0, target * behind, 0.0), axis=-1)


@cost_of_others.defjvp
def _cost_of_others_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    logits, label, target = primals
    behind = jnp.take_along_axis(logits, label[..., None], axis=-1) - logits
    whole = jnp.sum(target, axis=-1, keepdims=True)
    slope = jnp.where(_is(label, logits), whole - target, -target)
    moved = jnp.sum(slope * tangents[0] + behind * tangents[2], axis=-1)
    return cost_of_others(logits, label, target), moved


def _terms(logits: Array, label: Array) -> tuple[Array, Array]:
    """How far the label's logit is below the largest, and the exponentials of the others."""
    largest = jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    own = (jnp.take_along_axis(logits, label[..., None], axis=-1) - largest)[..., 0]
    return own, jnp.exp(jnp.where(_is(label, logits), -jnp.inf, logits - largest))


def _is(label: Array, logits: Array) -> Array:
    """Whether an entry of the last axis is the label's."""
    index = jnp.arange(logits.shape[-1]).reshape((1,) * label.ndim + (-1,))
    return index == label[..., None]
