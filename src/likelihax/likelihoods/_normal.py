"""Normal scatter about the prediction: least squares when the scale is known."""

import math
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro import distributions as dist

from .._parameters import Numbers, Parameter, known, resolve
from ._likelihood import AbstractRegularLikelihood, broadcast_noise, check_shapes


@final
class Normal(AbstractRegularLikelihood):
    r"""`y ~ Normal(prediction, scale)`.

    $$-\log p = \tfrac12 r^2 + \log\sigma + \tfrac12\log 2\pi,\qquad r = (y-\mu)/\sigma.$$

    `scale` is the standard deviation in the units of `y`: one number for all values or one
    for each observable. A plain number is known; `positive(...)` is fitted.
    """

    scale: Parameter

    def __init__(self, scale: Numbers | Parameter):
        self.scale = noise_parameter(scale, "Normal: scale")

    def distribution(self, prediction: Array) -> dist.Normal:
        """`Normal(prediction, scale)`."""
        scale = broadcast_noise(resolve(self.scale), prediction.shape, "Normal: scale")
        return dist.Normal(prediction, jnp.broadcast_to(scale, prediction.shape))

    def nll(self, prediction: Array, y: Array) -> Array:
        """The elementwise NLL in nats, shaped like `y`."""
        check_shapes(prediction, y, "Normal")
        return self.kernel(self.outputs(prediction), y)

    def check_support(self, values: np.ndarray, name: str) -> None:
        """Every finite value is in the support."""

    def outputs(self, prediction: Array) -> tuple[Array, Array]:
        """The location and the log-scale of each value."""
        scale = broadcast_noise(resolve(self.scale), prediction.shape, "Normal: scale")
        return prediction, jnp.broadcast_to(jnp.log(scale), prediction.shape)

    def kernel(self, outputs: tuple[Array, ...], y: Array) -> Array:
        """The formula above, in location and log-scale."""
        return normal_kernel(outputs, y)

    def information(self, outputs: tuple[Array, ...]) -> tuple[Array, Array]:
        """`1 / scale^2` for the location and 2 for the log-scale."""
        return normal_information(outputs)

    def curvature(self, outputs: tuple[Array, ...], y: Array) -> tuple[Array, Array]:
        """`1 / scale^2` for the location and `1 + r^2` for the log-scale."""
        return normal_curvature(outputs, y)


def normal_kernel(outputs: tuple[Array, ...], y: Array) -> Array:
    """The Normal NLL in location and log-scale."""
    loc, log_scale = outputs
    residual = (y - loc) * jnp.exp(-log_scale)
    return 0.5 * residual**2 + log_scale + 0.5 * math.log(2 * math.pi)


def normal_information(outputs: tuple[Array, ...]) -> tuple[Array, Array]:
    """The Fisher information of a Normal in location and log-scale."""
    _, log_scale = outputs
    return jnp.exp(-2 * log_scale), jnp.full_like(log_scale, 2.0)


def normal_curvature(outputs: tuple[Array, ...], y: Array) -> tuple[Array, Array]:
    """The Normal's curvature for scoring steps.

    In the log-scale the observed curvature is `2 r^2` and the expected one 2. Their mean
    keeps a step between -1 and 1 however wrong the scale is at the start (from the
    expected one alone a scale ten times too small would leap by a factor of e^50), and it
    equals both at the optimum.
    """
    loc, log_scale = outputs
    residual = (y - loc) * jnp.exp(-log_scale)
    return jnp.exp(-2 * log_scale), 1 + residual**2


def noise_parameter(value: Any, what: str) -> Parameter:
    """A noise scale as given by the user: a known number or a `Parameter`, all positive."""
    noise = known(value)
    if isinstance(noise, list | tuple) or not isinstance(noise, Parameter):
        raise ValueError(f"{what} must be a number, an array or a Parameter, got {value!r}.")
    # Inside somebody's jitted loss there is no value to look at yet.
    if isinstance(noise.value, jax.core.Tracer):
        return noise
    value = np.asarray(noise.value)
    if not bool(np.all((value > 0) & np.isfinite(value))):
        raise ValueError(f"{what} must be positive and finite, got {value}.")
    return noise
