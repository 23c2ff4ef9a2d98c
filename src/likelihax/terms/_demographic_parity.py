"""The same predictions for all groups."""

from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array
from numpyro.distributions import Distribution

from .._predictor import Predictor
from ..data import AbstractData
from ._parity import AbstractParity, Classes, Compare, Of, check_comparison, checked_groups


@final
class DemographicParity(AbstractParity):
    r"""Predictions do not differ between groups: on average, or in distribution.

    $$\sum_g s_g\,(\bar m_g-\bar m)^2$$

    is the variance between groups of what is predicted: `m` is the mean of a row's predictive
    distribution (the probability of a 1, or of each label), `s` the share of a group in the rows.
    Its unit is that of the prediction, squared; it is zero at parity and only there, and does not
    grow with the number of rows, as an `NLL()` does: weights are to be of the order of that number
    over the variance of the predictions. Observables and labels add up.

    `compare="distributions"` asks that all predictions be distributed alike (R. Jiang and others
    2019, "Wasserstein fair classification", UAI), so that no threshold treats groups differently:

    $$\sum_g s_g\Bigl(2\,\mathrm E|M_g-M|-\mathrm E|M_g-M_g'|-\mathrm E|M-M'|\Bigr),$$

    the energy distance (G. Szekely and M. Rizzo 2013, "Energy statistics", J. Stat. Plan. Inference
    143) of each group's predictions from all, in the unit of the prediction, of each observable and
    label by itself.

    All rows count, whether or not their outcome was measured: this is about predictions.

    **Arguments:**

    - `groups`: which group each row is in, whole numbers from 0 without gaps, two groups or more.
    - `of`: what shall be the same, if not the mean: a function from the (NumPyro) distribution of
        all rows to an array with a first axis of rows. For decisions rather than probabilities,
        `lambda d: jax.nn.sigmoid(d.logits / 0.1)`.
    - `compare`: `"means"` or `"distributions"`.
    - `smoothing`: rounds off the kink that distributions have wherever two rows change places, in
        the unit of the prediction: each `|d|` becomes `|d| + s exp(-|d| / s)`, and the distance is
        zero at parity and only there as before. Give some, for instance a tenth of how far
        predictions scatter, where a method uses curvature.
    - `name`: what it is called in a breakdown.
    """

    groups: Array
    num_groups: int = eqx.field(static=True)
    of: Of | None
    compare: Compare = eqx.field(static=True)
    smoothing: float = eqx.field(static=True)
    name: str | None = eqx.field(static=True)

    def __init__(
        self,
        groups: Any,
        *,
        of: Of | None = None,
        compare: Compare = "means",
        smoothing: float = 0.0,
        name: str | None = None,
    ):
        check_comparison(of, compare, smoothing, "DemographicParity")
        self.groups, self.num_groups = checked_groups(groups, "DemographicParity")
        self.of = of
        self.compare = compare
        self.smoothing = float(smoothing)
        self.name = name

    def classes(self, distribution: Distribution, data: AbstractData) -> Classes:
        """One, of all rows."""
        members = jnp.zeros((data.values.shape[0], 1), int)
        return Classes(members, jnp.ones_like(members, bool), 1)

    def check_classes(self, predictor: Predictor, data: AbstractData) -> None:
        """There is nothing to check: every group has a row."""
