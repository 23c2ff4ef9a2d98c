"""How uncertain predictions are."""

from typing import Any, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import Distribution

from .._parameters import resolve
from .._predictor import Predictor
from .._special._elementary import sigmoid, softplus
from ..data import AbstractData
from ..objectives._objective import Evaluation
from ._predictions import check_kinds, evaluated_rows, predicted_rows
from ._term import AbstractTerm

Towards = Literal["uncertain", "certain"]
Rows = Literal["all", "measured", "missing"]


@final
class Entropy(AbstractTerm):
    r"""The mean entropy of the predictive distributions, in nats.

    $$\mp\frac1n\sum_i H\bigl(p_i\bigr),\qquad H(p)=-\mathrm E_p\log p.$$

    `towards="uncertain"` is minus the mean: with it overconfident predictions cost something (G.
    Pereyra and others 2017, "Regularizing neural networks by penalizing confident output
    distributions", ICLR workshop). `towards="certain"` is plus the mean: a classifier is then to
    decide, which rows without an outcome help it with, `rows="missing"` (Y. Grandvalet and Y.
    Bengio 2004, "Semi-supervised learning by entropy minimization", NeurIPS). How much is said by
    the weight, `n * 0.1 * Entropy()` beside the sum of `n` NLLs.

    The entropy of a density depends on the unit of the outcome, and has no lower bound: a fitted
    scale with `towards="certain"` may run off to zero.

    **Arguments:**

    - `towards`: what is rewarded, `"uncertain"` or `"certain"`.
    - `rows`: of which values, `"all"`, `"measured"` or `"missing"` ones.
    - `name`: what it is called in a breakdown.
    """

    towards: Towards = eqx.field(static=True)
    rows: Rows = eqx.field(static=True)
    name: str | None = eqx.field(static=True)

    def __init__(
        self,
        towards: Towards = "uncertain",
        *,
        rows: Rows = "all",
        name: str | None = None,
    ):
        if towards not in ("uncertain", "certain"):
            raise ValueError(f'Entropy: towards is "uncertain" or "certain", not {towards!r}.')
        if rows not in ("all", "measured", "missing"):
            raise ValueError(f'Entropy: rows is "all", "measured" or "missing", not {rows!r}.')
        self.towards = towards
        self.rows = rows
        self.name = name

    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """The mean, with its sign."""
        distribution, simulation = predicted_rows(predictor, data)
        each = entropies(distribution)
        counted = self._counted(each.ndim, data.observed)
        mean = jnp.sum(jnp.where(counted, each, 0.0)) / jnp.sum(counted).astype(each.dtype)
        return evaluated_rows(-mean if self.towards == "uncertain" else mean, simulation)

    def check(self, predictor: Any, data: Any) -> None:
        """Checks that the likelihood's entropy is known, and that there is a value to count."""
        check_kinds(predictor, data, self.title)
        try:
            shape = eqx.filter_eval_shape(_entropies_of, predictor, data)
        except NotImplementedError as error:
            raise ValueError(
                f"{self.title}: the entropy of what {type(predictor.likelihood).__name__} predicts "
                "has no formula here. It is known for Bernoulli, Categorical, OrderedLogistic, "
                "Normal, StudentT, Laplace, LogNormal, Gamma, Exponential, Beta, "
                "MultivariateNormal, and those that NumPyro knows it of."
            ) from error
        counted = np.asarray(self._counted(shape.ndim, data.observed))
        if not counted.any():
            raise ValueError(f"{self.title}: {data.name} has no value that is {self.rows}.")

    @property
    def is_density(self) -> bool:
        """How much certainty is worth is no density."""
        return False

    def _counted(self, ndim: int, observed: Array) -> Array:
        # A vector, or a pair of bounds, is one value.
        measured = jnp.all(observed, axis=tuple(range(ndim, observed.ndim)))
        if self.rows == "all":
            return jnp.ones_like(measured)
        return measured if self.rows == "measured" else ~measured


def entropies(distribution: Distribution) -> Array:
    """The entropy of each value, in nats; finite also where a probability is 0 or 1.

    Raises `NotImplementedError` where there is no formula.
    """
    if isinstance(distribution, dist.BernoulliLogits):
        # Symmetric, so the logit that cannot overflow.
        away = -jnp.abs(distribution.logits)
        return softplus(away) - away * sigmoid(away)
    if isinstance(distribution, dist.BernoulliProbs):
        return _surprise(distribution.probs) + _surprise(1 - distribution.probs)
    if isinstance(distribution, dist.CategoricalLogits):
        log_p = jax.nn.log_softmax(distribution.logits, axis=-1)
        some = jnp.exp(log_p) > 0
        finite = jnp.where(some, log_p, 0.0)
        return -jnp.sum(jnp.where(some, jnp.exp(finite) * finite, 0.0), axis=-1)
    if isinstance(distribution, dist.CategoricalProbs):
        return jnp.sum(_surprise(distribution.probs), axis=-1)
    return distribution.entropy()


def _surprise(p: Array) -> Array:
    """`-p log p`; zero, with its derivative, where there is no probability."""
    some = p > 0
    known = jnp.where(some, p, 1.0)
    return -known * jnp.log(known)


def _entropies_of(predictor: Predictor, data: AbstractData) -> Array:
    return entropies(predicted_rows(resolve(predictor), data).distribution)
