"""Families that are Normal with a variance, or a mean and a variance, that nobody sees."""

import abc
from typing import NamedTuple

from jaxtyping import Array

from ._likelihood import AbstractRegularLikelihood, Outputs


class RandomNoise(NamedTuple):
    r"""How the hidden mean and variance of Normal values are distributed, one of each a value.

    $$y = \text{loc} + s\,(\delta + \tau z),\quad z \sim \mathrm{Normal}(0, 1),\quad
    \tau^2 \sim \mathrm{InverseGamma}(\alpha, \alpha),\quad
    \delta \mid \tau \sim \mathrm{Normal}(0, \tau^2 u)$$

    **Attributes:**

    - `loc`: where values are expected.
    - `log_scale`: the logarithm of $s$, in the units of the values.
    - `concentration`: $\alpha$, how alike the variances are.
    - `unknown`: $u$, one over the evidence of the mean; `None` where the mean is `loc`.
    """

    loc: Array
    log_scale: Array
    concentration: Array
    unknown: Array | None


class AbstractRandomNoise(AbstractRegularLikelihood):
    """A family whose values are Normal once a hidden variance, or a mean and a variance, are known.

    Drawn anew for each value, they leave its own NLL; drawn once for all values of a group,
    `objectives.GroupNLL`.
    """

    @abc.abstractmethod
    def random_noise(self, outputs: Outputs) -> RandomNoise:
        """How what is hidden is distributed, given the outputs."""
