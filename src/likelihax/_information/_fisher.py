"""The Fisher information: observed, the Hessian; and expected, as rows."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._parameters import map_nodes, pack, resolve, unpack
from ..models import AbstractSimulator
from ..objectives import Unknowns
from ._rows import cholesky, rows_of


def observed_information(unknowns: Unknowns, data: Any) -> Float[Array, "size size"]:
    """The Hessian of the objective in the fitter's space."""
    unknowns = _forward(unknowns)
    theta = pack(unknowns)
    return jax.jacfwd(jax.jacfwd(lambda t: unpack(t, unknowns).evaluate(data).total))(theta)


def expected_rows(unknowns: Unknowns, data: Any) -> Float[Array, "rows size"]:
    """Rows whose cross product is the expected Fisher information in the fitter's space."""
    unknowns = _forward(unknowns)
    theta = pack(unknowns)

    def outputs(theta: Array) -> tuple[Any, Any]:
        now = resolve(unpack(theta, unknowns))
        seen = now.objective.observations(now.predictor, data)
        return [jnp.stack(each.outputs) for each in seen], seen

    jacobians, seen = jax.jacfwd(outputs, has_aux=True)(theta)
    losses = unknowns.objective.losses(unknowns.predictor) or ()
    rows = [
        rows_of(cholesky(loss.information(each.outputs)), jacobian, each.weights)
        for loss, each, jacobian in zip(losses, seen, jacobians, strict=True)
    ]
    return jnp.concatenate(rows)


def _forward(unknowns: Unknowns) -> Unknowns:
    # Second derivatives only go forwards through a solver, whatever the fit itself did.
    return map_nodes(AbstractSimulator, lambda node: node.differentiated("forward"), unknowns)
