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
        target = y if self.soft else _one_hot(y, self.num_classes)
        smoothing = self.label_smoothing
        return cross_entropy(logits, (1 - smoothing) * target + smoothing / self.num_classes)


def _is_probability(y: Any) -> Any:
    close = float(jnp.finfo(y.dtype).eps) ** 0.5
    whole = abs(y.sum(axis=-1, keepdims=True) - 1) <= close
    return (y >= 0) & (y <= 1 + close) & whole


def _one_hot(y: Array, count: int) -> Array:
    return (y[..., None] == jnp.arange(count, dtype=y.dtype).reshape((1,) * y.ndim + (-1,))).astype(
        y.dtype
    )


def _softmax(logits: Array) -> tuple[Array, Array, Array]:
    """How far each is below the largest, the exponentials of that, and their sum less one."""
    index = jnp.arange(logits.shape[-1]).reshape((1,) * (logits.ndim - 1) + (-1,))
    is_first = index == jnp.argmax(logits, axis=-1, keepdims=True)
    # One of the largest: the derivative of the maximum would be shared by all of them.
    below = logits - jnp.sum(jnp.where(is_first, logits, 0.0), axis=-1, keepdims=True)
    share = jnp.exp(below)
    return below, share, jnp.sum(jnp.where(is_first, 0.0, share), axis=-1)


@jax.custom_jvp
def cross_entropy(logits: Array, target: Array) -> Array:
    """`-sum_k target_k log softmax(logits)_k` over the last axis, for targets that sum to one.

    Every term is positive, so that also a loss of next to nothing has all its digits.
    """
    below, _, others = _softmax(logits)
    return jnp.log1p(others) - jnp.sum(jnp.where(target > 0, target * below, 0.0), axis=-1)


@cross_entropy.defjvp
def _cross_entropy_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    logits, target = primals
    below, share, others = _softmax(logits)
    log_sum = jnp.log1p(others)[..., None]
    slope = share / (1 + others[..., None]) - target
    moved = jnp.sum(slope * tangents[0] + (log_sum - below) * tangents[1], axis=-1)
    return cross_entropy(logits, target), moved
