"""Data as they were some time ago: what was measured later is left out."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ._experiment import Experiment
from ._experiments import Experiments


def until(data: Any, share: float) -> Any:
    """The same data, as if each experiment had ended after a share of its measured times.

    All arrays keep their shapes, so that what was compiled for one share serves all: later times
    become the last one that is kept, and what was measured then counts as missing.
    """
    if isinstance(data, Experiments):
        return _until_of_each(data, share)
    kept = _num_kept(share, data.times.size)
    within = np.arange(data.times.size) < kept
    observed = np.asarray(data.observed) & _like_rows(within, data.observed)
    times = np.minimum(np.asarray(data.times), np.asarray(data.times)[kept - 1])
    changed = (jnp.asarray(times), jnp.asarray(observed))
    return eqx.tree_at(lambda d: (d.times, d.observed), data, changed)


def horizon(data: Any, share: float) -> float:
    """The last time that `until` keeps, the latest of several experiments."""
    each = data.experiments
    ends = [np.asarray(one.times)[_num_kept(share, one.times.size) - 1] for one in each]
    return float(max(ends))


def _until_of_each(data: Experiments, share: float) -> Experiments:
    lengths = np.bincount(np.asarray(data.of_row), minlength=len(data))
    kept = np.array([_num_kept(share, int(length)) for length in lengths])
    within = np.concatenate([np.arange(length) for length in lengths]) < np.repeat(kept, lengths)
    observed = np.asarray(data.observed) & _like_rows(within, data.observed)
    buckets = []
    for part in data.buckets:
        times = np.asarray(part.times)
        last = np.take_along_axis(times, kept[np.asarray(part.which)][:, None] - 1, axis=1)
        buckets.append(part._replace(times=jnp.asarray(np.minimum(times, last))))
    changed = (jnp.asarray(observed), tuple(buckets))
    return eqx.tree_at(lambda d: (d.observed, d.buckets), data, changed)


def _num_kept(share: float, length: int) -> int:
    return min(max(int(np.ceil(share * length)), 1), length)


def _like_rows(within: np.ndarray, values: Any) -> np.ndarray:
    return within.reshape(within.shape + (1,) * (values.ndim - 1))


def is_timed(data: Any) -> bool:
    """Whether data have times that can be left out."""
    return isinstance(data, Experiment | Experiments)
