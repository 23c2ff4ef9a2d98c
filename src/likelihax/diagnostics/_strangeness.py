"""How strange single predictions are, by what a predictive distribution says of itself."""

from collections.abc import Callable
from typing import Literal, cast

import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import Distribution

from ..inference import PredictiveMixture
from ..terms._entropy import entropies
from ..terms._predictions import expected_values

Strangeness = Literal["epistemic", "entropy", "variance", "ignorance", "vacuity"]

_WHO_KNOWS = {
    "epistemic": "An Ensemble knows it, and the likelihoods DirichletCategorical and "
    "NormalInverseGamma.",
    "entropy": "It is known of labels, of most densities, and of an ensemble's labels.",
    "variance": "Numbers have one. Of labels take kind='entropy'.",
    "ignorance": "The likelihood NormalInverseGamma knows it.",
    "vacuity": "The likelihood DirichletCategorical knows it.",
}


def strangeness(distribution: Distribution, kind: Strangeness = "epistemic") -> Array:
    r"""A score of each value to come, the higher the stranger; shape `batch_shape`.

    **Arguments:**

    - `distribution`: what is predicted, `predictor(x)` or `predictor.predictive(data)`, the same of
        an `Ensemble`.
    - `kind`: what is asked.
        - `"epistemic"`: what comes of not knowing the truth. A variance in the squared unit of
            the values; of labels the mutual information of label and probabilities, in nats.
        - `"entropy"`: of what will be seen, in nats; also high where the truth is known to scatter.
        - `"variance"`: likewise, in the squared unit of the values.
        - `"ignorance"`: $1/\sqrt\nu$ of a `PredictiveStudentT`.
        - `"vacuity"`: $K/S$ of a `PredictiveCategorical`.

    Of vectors, variances are summed over their entries. Only `"epistemic"`, `"ignorance"` and
    `"vacuity"` are meant to tell what was never seen from what is merely noisy, and none of them
    does so by necessity: look at `out_of_distribution`. Raises `ValueError` where a distribution
    does not know what is asked.
    """
    if not isinstance(distribution, Distribution):
        raise ValueError(
            f"strangeness: expected a distribution, such as predictor(x) gives, not "
            f"{type(distribution).__name__}."
        )
    if kind not in _HOW:
        raise ValueError(f"strangeness: kind is one of {', '.join(map(repr, _HOW))}, not {kind!r}.")
    try:
        found = _HOW[kind](distribution)
    except (AttributeError, NotImplementedError) as error:
        raise ValueError(
            f"strangeness: {_name(distribution)} has no {kind}. {_WHO_KNOWS[kind]}"
        ) from error
    extra = found.ndim - len(distribution.batch_shape)
    return jnp.sum(found, axis=tuple(range(-extra, 0))) if extra else found


def _epistemic(distribution: Distribution) -> Array:
    labels = _labels_of_members(distribution)
    if labels is None:
        return cast(Array, distribution.epistemic)
    mixture = cast(PredictiveMixture, distribution)
    # What is left to chance: as each member knows it, or else as it says.
    known = getattr(labels, "aleatoric", None)
    each = entropies(labels) if known is None else known
    return jnp.maximum(_entropy(mixture) - _weighted(mixture, each), 0.0)


def _entropy(distribution: Distribution) -> Array:
    labels = _labels_of_members(distribution)
    if labels is None:
        return entropies(distribution)
    together = _weighted(cast(PredictiveMixture, distribution), expected_values(labels))
    return entropies(dist.CategoricalProbs(together))


def _variance(distribution: Distribution) -> Array:
    if isinstance(distribution, dist.CategoricalLogits | dist.CategoricalProbs):
        raise NotImplementedError("Labels are no numbers.")
    return cast(Array, distribution.variance)


_HOW: dict[str, Callable[[Distribution], Array]] = {
    "epistemic": _epistemic,
    "entropy": _entropy,
    "variance": _variance,
    "ignorance": lambda distribution: cast(Array, distribution.ignorance),
    "vacuity": lambda distribution: cast(Array, distribution.vacuity),
}


def _labels_of_members(distribution: Distribution) -> Distribution | None:
    """What the members of an ensemble say, where these are labels."""
    if not isinstance(distribution, PredictiveMixture):
        return None
    each = distribution.components
    return each if isinstance(each, dist.CategoricalLogits | dist.CategoricalProbs) else None


def _weighted(mixture: PredictiveMixture, each: Array) -> Array:
    return jnp.tensordot(mixture.weights.astype(each.dtype), each, axes=1)


def _name(distribution: Distribution) -> str:
    own = type(distribution).__name__
    if isinstance(distribution, PredictiveMixture):
        return f"{own} of {type(distribution.components).__name__}"
    return own
