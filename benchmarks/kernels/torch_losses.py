"""The losses of torch.nn that are likelihoods, forward and backward, if torch is there."""

import os
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.kernels.counted import SMOOTHING

# Threads that spin while they wait would take the time of whoever is measured next.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    import torch
except ImportError:
    torch = None


def loss(family: str, columns: Sequence[np.ndarray]) -> Callable[[], object] | None:
    """A call that does what torch does in the same place; `None` if it has nothing there."""
    if torch is None or family not in _LOSSES:
        return None
    *outputs, y = (torch.from_numpy(column) for column in columns)
    for output in outputs:
        output.requires_grad_()

    def call() -> None:
        for output in outputs:
            output.grad = None
        _LOSSES[family](*outputs, y).backward()

    return call


def _cross_entropy(smoothing: float) -> Callable:
    def nll(logits, y):
        return torch.nn.CrossEntropyLoss(reduction="sum", label_smoothing=smoothing)(
            logits, y.long()
        )

    return nll


_LOSSES: dict[str, Callable] = {
    "Normal": lambda loc, log_scale, y: torch.nn.GaussianNLLLoss(full=True, reduction="sum")(
        loc, y, torch.exp(2 * log_scale)
    ),
    # The scale is none of L1Loss's business: what is compared is the same pass without it.
    "Laplace": lambda loc, log_scale, y: torch.nn.L1Loss(reduction="sum")(loc, y),
    "Poisson": lambda log_rate, y: torch.nn.PoissonNLLLoss(full=True, reduction="sum")(log_rate, y),
    "Bernoulli": lambda logit, y: torch.nn.BCEWithLogitsLoss(reduction="sum")(logit, y),
    "Categorical": _cross_entropy(0.0),
    "Categorical-smoothed": _cross_entropy(SMOOTHING),
}
