"""Scores of what was measured independently: how much the gradient scatters, by the data."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._parameters import map_nodes, pack, resolve, unpack
from ..data import Experiments
from ..models import AbstractSimulator
from ..objectives import NLL, Unknowns


def scores(unknowns: Unknowns, data: Any, cluster: str) -> Float[Array, "clusters size"]:
    """The gradient of each cluster's NLL in the fitter's space, `(clusters, size)`."""
    unknowns = map_nodes(AbstractSimulator, lambda node: node.differentiated("forward"), unknowns)
    of_row, count = clusters(data, cluster)

    def nlls(theta: Array) -> Array:
        now = resolve(unpack(theta, unknowns))
        each, _ = NLL().elementwise(now.predictor, data)
        if cluster == "value":
            return each.reshape(-1)
        rows = jnp.sum(each.reshape(each.shape[0], -1), axis=1)
        return jnp.zeros(count, rows.dtype).at[of_row].add(rows)

    return jax.jacfwd(nlls)(pack(unknowns))


def clusters(data: Any, cluster: str) -> tuple[np.ndarray, int]:
    """Which cluster each row belongs to, and how many there are; `ValueError` for unknown ones."""
    rows = data.values.shape[0]
    if cluster in ("value", "row"):
        return np.arange(rows), rows
    if isinstance(data, Experiments) and cluster in data.membership:
        of_row = np.asarray(data.membership[cluster])[np.asarray(data.of_row)]
        return of_row, len(data.members[cluster])
    kinds = ["value", "row", *(data.membership if isinstance(data, Experiments) else ())]
    raise ValueError(
        f"cluster is {cluster!r}, but {data.name} knows {', '.join(map(repr, kinds))} only."
    )
