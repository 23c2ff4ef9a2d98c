"""The individual values of a marginal fit, and how sure one may be of each."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from .._parameters import is_parameter, labels, nodes_of, resolve
from ..fits import Fit
from ..objectives import Integrated, Marginal, chosen, integrated


class IndividualValues(NamedTuple):
    """What was integrated out of a fit, member by member, in natural units.

    **Attributes:**

    - `members`: for each parameter by name, whose its values are.
    - `estimates`: the modes given the estimated population, the empirical Bayes estimates: one
        for each member along the first axis.
    - `standard_errors`: shaped like them: those of the Normal approximation about the modes, the
        population parameters taken to be exactly the estimates.
    """

    members: dict[str, tuple[str, ...]]
    estimates: dict[str, np.ndarray]
    standard_errors: dict[str, np.ndarray]


def individuals(fit: Fit) -> IndividualValues:
    """The individual values of a fit of a `Marginal`, with their conditional standard errors.

    They are drawn towards the population's centre, the more the less a member's own values say.
    Their errors come from the inverse of the Hessian in the unconstrained coordinates, brought to
    natural units by the delta method. Raises `ValueError` for the fit of another objective, and
    where no modes were found.
    """
    found = nodes_of(Marginal, resolve(fit.unknowns.objective))
    if not found:
        raise ValueError(
            f"individuals: nothing was integrated out of a fit of {fit.problem.objective.title}: "
            "fit a likelihax.Marginal."
        )
    if not np.isfinite(fit.nll):
        raise ValueError(f"individuals: no individual values were found. {fit.message}")
    together = IndividualValues({}, {}, {})
    for marginal in found:
        at = integrated(marginal, fit.unknowns.predictor, fit.data)
        for name, members, values, errors in _of_one(marginal, fit.predictor, at):
            together.members[name] = members
            together.estimates[name] = values
            together.standard_errors[name] = errors
    return together


def _of_one(
    marginal: Marginal, predictor: Any, at: Integrated
) -> list[tuple[str, tuple[str, ...], np.ndarray, np.ndarray]]:
    held = marginal.individuals
    assert held is not None
    basis = jnp.eye(at.rows.shape[1], dtype=at.rows.dtype)
    tangents = jnp.broadcast_to(basis[:, None], (len(basis), *at.rows.shape))
    push = lambda tangent: jax.jvp(held.values, (at.rows,), (tangent,))
    values, slopes = jax.vmap(push, out_axes=(None, -1))(tangents)
    covariance = np.linalg.inv(np.asarray(at.hessian))
    rows = []
    for name, members, value, slope in zip(
        _names(marginal, predictor), held.members, values, slopes, strict=True
    ):
        rows.append((name, members, np.asarray(value), _errors(np.asarray(slope), covariance)))
    return rows


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
