"""The prediction is the log-odds of a probability."""

from typing import final

from jaxtyping import Array

from .._special._elementary import sigmoid, softplus
from ._identity import Identity
from ._link import AbstractLink


@final
class Logit(AbstractLink):
    """The prediction is `log(p / (1 - p))` of a parameter `p` between 0 and 1."""

    def link(self, value: Array) -> Array:
        """`log(p / (1 - p))`."""
        return Identity().logit(value)

    def inverse(self, prediction: Array) -> Array:
        """`1 / (1 + exp(-prediction))`."""
        return sigmoid(prediction)

    def log(self, prediction: Array) -> Array:
        """The logarithm of that."""
        return -softplus(-prediction)

    def logit(self, prediction: Array) -> Array:
        """The prediction."""
        return prediction
