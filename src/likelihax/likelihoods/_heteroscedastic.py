"""Gradients under which a network learns a mean and a scale together without stalling.

The gradient of the Normal NLL in the mean is the residual over the variance. Where the
network has come to call a region noisy, it is told little of its mean there, fits it badly,
and sees its opinion confirmed. Both remedies change the gradient and leave the value alone, so
that what a fit reports is still the NLL.
"""

import abc
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._likelihood import Outputs


class AbstractGradient(eqx.Module):
    """Another gradient for the Normal NLL of a predicted mean and scale.

    It is not the gradient of any function, so that only methods that look at nothing else can
    use it: `GradientDescent`, or a loop of one's own.
    """

    @abc.abstractmethod
    def weights(self, outputs: Outputs, y: Array) -> tuple[Array, Array]:
        """By how much the derivatives in the location and in the log-scale are multiplied."""

    def reweight(self, each: Array, outputs: Outputs, y: Array) -> Array:
        """`each` with the other gradient."""
        loc, log_scale = outputs
        for_loc, for_scale = map(jax.lax.stop_gradient, self.weights(outputs, y))
        residual = jax.lax.stop_gradient((y - loc) * jnp.exp(-log_scale))
        per_scale = jnp.exp(-jax.lax.stop_gradient(log_scale))
        slope_loc = -for_loc * residual * per_scale
        slope_scale = for_scale * (1 - residual) * (1 + residual)
        change = slope_loc * _still(loc) + slope_scale * _still(log_scale)
        return jax.lax.stop_gradient(each) + change


@final
class BetaNLL(AbstractGradient):
    """The gradient of the beta-NLL: the NLL's, times the predicted variance to the power `beta`.

    0 is the NLL, 1 gives the mean the gradient of the squared error; 0.5 is what Seitzer,
    Tavakoli, Antic and Martius recommend (2022, "On the pitfalls of heteroscedastic uncertainty
    estimation with probabilistic neural networks", ICLR; equation 5 there).
    """

    beta: float = eqx.field(static=True, default=0.5)

    def __check_init__(self) -> None:
        if not 0 <= self.beta <= 1:
            raise ValueError(f"BetaNLL: beta must be between 0 and 1, got {self.beta}.")

    def weights(self, outputs: Outputs, y: Array) -> tuple[Array, Array]:
        """`scale^(2 beta)` for both."""
        weight = jnp.exp(2 * self.beta * outputs[1])
        return weight, weight


@final
class Faithful(AbstractGradient):
    """The mean learns from the squared error alone, the scale from the NLL.

    Stirn, Wessels, Schertzer, Pereira, Sanjana and Knowles (2023, "Faithful heteroscedastic
    regression with neural networks", AISTATS). Theirs has a second part, which is the model's:
    stop the gradient of the scale's head before the layers that both heads share, with
    `jax.lax.stop_gradient(features)`.
    """

    def weights(self, outputs: Outputs, y: Array) -> tuple[Array, Array]:
        """`scale^2` for the location, 1 for the scale."""
        return jnp.exp(2 * outputs[1]), jnp.ones_like(outputs[1])


def _still(x: Array) -> Array:
    # Zero, with the derivative of x.
    return x - jax.lax.stop_gradient(x)
