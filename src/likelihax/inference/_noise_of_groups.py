"""How noisy each group is that an objective takes as one."""

from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from numpyro.distributions import Distribution
from scipy.special import gammainccinv

from .._parameters import nodes_of, resolve
from ..distributions import InverseGammaScale
from ..fits import Fit
from ..objectives import GroupNLL, HiddenNoise
from ._checks import check_level


class NoiseOfGroups(NamedTuple):
    """The hidden noise of each group, given its values and the estimates.

    All arrays have shape `(groups, *observables)`, in the units of the values.

    **Attributes:**

    - `members`: what the groups are called, in their order.
    - `medians`: of the standard deviation's posterior; the geometric mean over the group's values
        where the stated scale differs among them.
    - `low`, `high`: the ends of its interval with equal tails.
    - `offsets`: how far the values of a group are expected to lie off their predictions together;
        `None` where the likelihood has no such offset.
    - `posterior`: the whole of it: `distributions.InverseGammaScale`, or
        `distributions.NormalInverseGamma` of offset and variance.
    """

    members: tuple[str, ...]
    medians: np.ndarray
    low: np.ndarray
    high: np.ndarray
    offsets: np.ndarray | None
    posterior: Distribution


def noise_of_groups(fit: Fit, *, level: float = 0.9) -> NoiseOfGroups:
    """The standard deviation of each group of a fit of a `GroupNLL`, with an interval.

    In closed form, and drawn towards what the groups have in common, the more the fewer values a
    group has. The fitted parameters are taken to be exactly the estimates. Raises `ValueError` for
    the fit of another objective, or for a `level` that is not between 0 and 1.
    """
    check_level(level, "noise_of_groups")
    found = nodes_of(GroupNLL, resolve(fit.unknowns.objective))
    if len(found) != 1:
        raise ValueError(
            f"noise_of_groups: no noise was hidden in a fit of {fit.problem.objective.title}: fit "
            "a likelihax.GroupNLL, one."
        )
    if not np.isfinite(fit.nll):
        raise ValueError(f"noise_of_groups: there are no estimates. {fit.message}")
    noise = _hidden(found[0], fit.unknowns.predictor, fit.data)
    posterior = noise.posterior(fit.data.values, fit.data.observed)
    concentration, rate = np.asarray(posterior.concentration), np.asarray(posterior.rate)
    # Q(concentration, rate / scale^2) is the probability of a smaller scale.
    at = lambda share: np.sqrt(rate / gammainccinv(concentration, share))
    offsets = None if isinstance(posterior, InverseGammaScale) else np.asarray(posterior.loc)
    tail = 0.5 * (1 - level)
    members = found[0].members(fit.data)
    return NoiseOfGroups(members, at(0.5), at(tail), at(1 - tail), offsets, posterior)


@eqx.filter_jit
def _hidden(objective: GroupNLL, predictor: Any, data: Any) -> HiddenNoise:
    return objective.hidden(resolve(predictor), data)
