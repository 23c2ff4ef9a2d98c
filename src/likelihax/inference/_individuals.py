"""The individual values of a marginal fit, and how sure one may be of each."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from .._parameters import is_parameter, labels, nodes_of, resolve
from ..fits import Fit
from ..objectives import Marginal
from ..objectives._individuals import chosen
from ..objectives._marginal import integrated


class IndividualValues(NamedTuple):
    """What was integrated out of a fit, member by member, in natural units.

    **Attributes:**

    - `members`: for each parameter by name, whose its values are.
    - `estimates`: the modes given the estimated population, the empirical Bayes estimates: one
        for each member along the first axis.
    - `standard_errors`: shaped like them: those of the Normal approximation about the modes, the
        population parameters taken to be exactly the estimates.
    - `centres`: shaped like them: the population's centre, where a member would be of whom nothing
        was measured; the same for all unless the prior says otherwise.
    """

    members: dict[str, tuple[str, ...]]
    estimates: dict[str, np.ndarray]
    standard_errors: dict[str, np.ndarray]
    centres: dict[str, np.ndarray]


def individuals(fit: Fit) -> IndividualValues:
    """The individual values of a fit of a `Marginal`, with their conditional standard errors.

    They are drawn towards the population's centre, the more the less a member's own values say.
    Their errors come from the inverse of the Hessian in the unconstrained coordinates, brought to
    natural units by the delta method. Raises `ValueError` for the fit of another objective, and
    where no modes were found.
    """
    together = IndividualValues({}, {}, {}, {})
    for marginal in _marginals(fit):
        _put(together, marginal, fit)
    return together


def typical(fit: Fit) -> Any:
    """The fitted predictor with every member's values where the population has its centre.

    Its centre in the unconstrained coordinates, the median of a log-normal prior: what is most
    probable of a member of whom nothing was measured. Raises `ValueError` as `individuals` does.
    """
    predictor = fit.predictor
    for marginal in _marginals(fit):
        predictor = marginal.unmeasured().completed(predictor, fit.data)
    return predictor


def _marginals(fit: Fit) -> list[Marginal]:
    found = nodes_of(Marginal, resolve(fit.unknowns.objective))
    if not found:
        raise ValueError(
            f"individuals: nothing was integrated out of a fit of {fit.problem.objective.title}: "
            "fit a likelihax.Marginal."
        )
    if not np.isfinite(fit.nll):
        raise ValueError(f"individuals: no individual values were found. {fit.message}")
    return found


def _put(together: IndividualValues, marginal: Marginal, fit: Fit) -> None:
    """Adds what one objective integrated out."""
    held = marginal.individuals
    assert held is not None
    predictor = fit.unknowns.predictor
    at = integrated(marginal, predictor, fit.data)
    basis = jnp.eye(at.rows.shape[1], dtype=at.rows.dtype)
    tangents = jnp.broadcast_to(basis[:, None], (len(basis), *at.rows.shape))
    push = lambda tangent: jax.jvp(held.values, (at.rows,), (tangent,))
    values, slopes = jax.vmap(push, out_axes=(None, -1))(tangents)
    centres = held.values(integrated(marginal.unmeasured(), predictor, fit.data).rows)
    covariance = np.linalg.inv(np.asarray(at.hessian))
    for i, name in enumerate(_names(marginal, fit.predictor)):
        together.members[name] = held.members[i]
        together.estimates[name] = np.asarray(values[i])
        together.standard_errors[name] = _errors(np.asarray(slopes[i]), covariance)
        together.centres[name] = np.asarray(centres[i])


def _errors(slope: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """The root of `J C J^T` for each number, where its member has a row, or all share one."""
    each = np.broadcast_to(covariance, (slope.shape[0], *covariance.shape[1:]))
    return np.sqrt(np.einsum("m...i,mij,m...j->m...", slope, each, slope))


def _names(marginal: Marginal, predictor: Any) -> list[str]:
    """What the parameters that were integrated out are called, in the order of `over`."""
    found = chosen(marginal.over, predictor)

    def only(place: int) -> Any:
        # All others known, so that the labels are those of one parameter.
        leaves = [_known(leaf) if i != place else leaf for i, leaf in enumerate(found.leaves)]
        return jtu.tree_unflatten(found.treedef, leaves)

    each = [labels(only(place))[0] for place in found.places]
    names = [label.name for label in each]
    unique = [label.path if names.count(label.name) > 1 else label.name for label in each]
    return unique


def _known(leaf: Any) -> Any:
    return None if is_parameter(leaf) or eqx.is_array(leaf) else leaf
