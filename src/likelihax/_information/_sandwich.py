"""Scores of what was measured independently: how much the gradient scatters, by the data."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._parameters import map_nodes, pack, resolve, unpack
from ..data import Experiments
from ..models import AbstractSimulator
from ..objectives import NLL, Unknowns


def scores(
    unknowns: Unknowns, data: Any, of_value: Int[Array, " values"], count: int
) -> Float[Array, "clusters size"]:
    """The gradient of each cluster's NLL in the fitter's space, `(clusters, size)`."""
    unknowns = map_nodes(AbstractSimulator, lambda node: node.differentiated("forward"), unknowns)

    def nlls(theta: Array) -> Array:
        now = resolve(unpack(theta, unknowns))
        each, _ = NLL().elementwise(now.predictor, data)
        return jnp.zeros(count, each.dtype).at[of_value].add(each.reshape(-1))

    return jax.jacfwd(nlls)(pack(unknowns))


def clusters(data: Any, cluster: str, width: int) -> tuple[np.ndarray, int]:
    """Which cluster each NLL belongs to, `width` of them a row, and how many there are.

    Raises `ValueError` for a kind that the data do not know.
    """
    rows = data.values.shape[0]
    if cluster == "value":
        return np.arange(rows * width), rows * width
    if cluster == "row":
        return np.repeat(np.arange(rows), width), rows
    if isinstance(data, Experiments) and cluster in data.membership:
        of_row = np.asarray(data.membership[cluster])[np.asarray(data.of_row)]
        return np.repeat(of_row, width), len(data.members[cluster])
    kinds = ["value", "row", *(data.membership if isinstance(data, Experiments) else ())]
    raise ValueError(
        f"cluster is {cluster!r}, but {data.name} knows {', '.join(map(repr, kinds))} only."
    )
