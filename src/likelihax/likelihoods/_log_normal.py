"""Multiplicative scatter: the logarithm of the value is Normal about the prediction's."""

from typing import final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro import distributions as dist

from .._parameters import Numbers, Parameter, resolve
from ._likelihood import AbstractRegularLikelihood, broadcast_noise, check_shapes
from ._normal import noise_parameter, normal_curvature, normal_information, normal_kernel


@final
class LogNormal(AbstractRegularLikelihood):
    r"""`log y ~ Normal(log prediction, sigma)`: the prediction is the median of `y`.

    $$-\log p = \tfrac12 r^2 + \log\sigma + \log y + \tfrac12\log 2\pi,\qquad
    r = (\log y-\log\mu)/\sigma.$$

    `sigma` is a relative error (0.1 is about 10 %): one number for all values or one for
    each observable. A plain number is known; `positive(...)` is fitted. A prediction that
    is not positive has an infinite NLL.
    """

    sigma: Parameter

    def __init__(self, sigma: Numbers | Parameter):
        self.sigma = noise_parameter(sigma, "LogNormal: sigma")

    def distribution(self, prediction: Array) -> dist.LogNormal:
        """`LogNormal(log prediction, sigma)`."""
        loc, log_scale = self.outputs(prediction)
        return dist.LogNormal(loc, jnp.exp(log_scale))

    def nll(self, prediction: Array, y: Array) -> Array:
        """The elementwise NLL in nats, shaped like `y`."""
        check_shapes(prediction, y, "LogNormal")
        return self.kernel(self.outputs(prediction), y)

    def check_support(self, values: np.ndarray, name: str) -> None:
        """Every value must be positive."""
        bad = np.argwhere(values <= 0)
        if bad.size:
            index = tuple(int(i) for i in bad[0])
            raise ValueError(
                f"{name}: values{list(index)} = {values[index]} under LogNormal, whose values are "
                "positive. Mark it as missing (NaN) if it is below detection, or choose Normal."
            )

    def outputs(self, prediction: Array) -> tuple[Array, Array]:
        """The location and scale of `log y`: `log prediction` and `log sigma`."""
        sigma = broadcast_noise(resolve(self.sigma), prediction.shape, "LogNormal: sigma")
        valid = prediction > 0
        # The inner `where` keeps the derivative finite where the prediction is not positive.
        loc = jnp.where(valid, jnp.log(jnp.where(valid, prediction, 1.0)), -jnp.inf)
        return loc, jnp.broadcast_to(jnp.log(sigma), prediction.shape)

    def kernel(self, outputs: tuple[Array, ...], y: Array) -> Array:
        """The formula above, in the location and log-scale of `log y`."""
        log_y = jnp.log(y)
        return normal_kernel(outputs, log_y) + log_y

    def information(self, outputs: tuple[Array, ...]) -> tuple[Array, Array]:
        """`1 / sigma^2` for the location and 2 for the log-scale."""
        return normal_information(outputs)

    def curvature(self, outputs: tuple[Array, ...], y: Array) -> tuple[Array, Array]:
        """`1 / sigma^2` for the location and `1 + r^2` for the log-scale."""
        return normal_curvature(outputs, jnp.log(y))
