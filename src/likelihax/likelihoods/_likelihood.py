"""What a likelihood is: how measured values scatter about a prediction."""

import abc
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float
from numpyro.distributions import Distribution


class AbstractLikelihood(eqx.Module):
    """How measured values scatter about a model's prediction.

    A likelihood never sums: `nll` is elementwise, one number a measured value, and the
    objective is the only place that reduces. Its noise parameters are leaves like any
    other: a number is a known constant, a `Parameter` is fitted with the model's.
    """

    @abc.abstractmethod
    def distribution(self, prediction: Array) -> Distribution:
        """The NumPyro distribution of the observation, given the model's prediction."""

    @abc.abstractmethod
    def nll(self, prediction: Array, y: Array) -> Array:
        """The negative log-likelihood of each value of `y`, in nats, all constants kept.

        `prediction` and `y` have the same shape, and so has the result; raises `ValueError`
        where they do not.
        """

    @abc.abstractmethod
    def check_support(self, values: np.ndarray, name: str) -> None:
        """Raises `ValueError` where a measured value lies outside the support."""


class AbstractRegularLikelihood(AbstractLikelihood):
    """A family whose Fisher information is known, so that a fit can use its curvature.

    The family is written in terms of its distribution's own parameters, called outputs
    here, for instance a location and a log-scale. Each output has the shape of `y`; the
    information is diagonal in them.
    """

    @abc.abstractmethod
    def outputs(self, prediction: Array) -> tuple[Array, ...]:
        """The distribution's parameters for each predicted value."""

    @abc.abstractmethod
    def kernel(self, outputs: tuple[Array, ...], y: Array) -> Array:
        """The elementwise NLL as a function of the outputs."""

    @abc.abstractmethod
    def information(self, outputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """The expected curvature of the kernel in each output: the Fisher information."""

    @abc.abstractmethod
    def curvature(self, outputs: tuple[Array, ...], y: Array) -> tuple[Array, ...]:
        """A positive curvature for each output, `information` in expectation.

        It may depend on `y`, where that makes steps from a bad start shorter.
        """


def check_shapes(prediction: Any, y: Any, family: str) -> None:
    """Raises `ValueError` unless a prediction has exactly the shape of the values."""
    if prediction.shape != y.shape:
        raise ValueError(
            f"{family}: the prediction has shape {prediction.shape}, the values have shape "
            f"{y.shape}. They must agree exactly: nothing is broadcast. Let the model (or "
            "`observe`) return one number for each measured value."
        )


def broadcast_noise(noise: Float[Array, "..."], shape: tuple[int, ...], what: str) -> Array:
    """A noise parameter for every value: one for all, one an observable, or one each."""
    if noise.shape != shape[len(shape) - noise.ndim :]:
        raise ValueError(
            f"{what} has shape {noise.shape}, the values have shape {shape}: give one number for "
            "all, or one for each observable (the last axis)."
        )
    return noise.reshape((1,) * (len(shape) - noise.ndim) + noise.shape)
