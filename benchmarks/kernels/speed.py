"""Value and gradient of a kernel in float32: against a bare pass, NumPyro and torch.

The bare pass reads as many arrays as the kernel and writes as many as it has derivatives, so
it takes what moving the bytes takes. All that are compared are called in turn.
"""

import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist

from benchmarks.kernels import torch_losses
from benchmarks.kernels.case import Kernel
from benchmarks.kernels.catalogue import CASES
from benchmarks.kernels.counted import SMOOTHING
from benchmarks.kernels.workloads import CLASSES, FAMILIES, workload
from likelihax.likelihoods import Categorical

ROUNDS = 9
_NORMAL_BAR = 1.6  # times the bare pass
_PEER_BAR = 1.0  # times NumPyro


@dataclass(frozen=True)
class Row:
    """One family's median seconds, its peers', and the bar it must meet."""

    family: str
    count: int
    ours: float
    stream: float
    numpyro: float
    torch: float | None
    bar: float
    of: str  # what the bar is a multiple of: "stream" or "numpyro"

    @property
    def ratio(self) -> float:
        """The figure that the bar speaks of."""
        return self.ours / getattr(self, self.of)

    @property
    def met(self) -> bool:
        """Whether the bar is met."""
        return self.ratio <= self.bar


def run(families: Sequence[str], file: Path | None, scale: float = 1.0) -> int:
    """Prints a row a family, of a share `scale` of its points; 0 only if every bar is met."""
    print(f"jax {jax.__version__}, Python {platform.python_version()}, {jax.devices()[0].platform}")
    if torch_losses.torch is None:
        print("torch is not installed: its losses are not compared")
    rows = []
    for family in families:
        rows.append(measure(family, max(1, int(scale * FAMILIES[family][0]))))
        print(line(rows[-1]), flush=True)
    if file:
        entries = [{**asdict(row), "ratio": row.ratio, "met": row.met} for row in rows]
        file.write_text(json.dumps(entries, indent=1) + "\n")
    print(f"{sum(row.met for row in rows)} of {len(rows)} bars met")
    return 0 if all(row.met for row in rows) else 1


def measure(family: str, count: int, rounds: int = ROUNDS) -> Row:
    """Medians of calls in turn."""
    columns = workload(family, count)
    ours, peer, moving = contenders(family)
    with jax.enable_x64(False):
        arrays = tuple(map(jnp.asarray, columns))
        calls = {
            "ours": _gradient(ours, moving, arrays),
            "stream": _call(_bare(moving), arrays),
            "numpyro": _gradient(peer, moving, arrays),
        }
        calls["torch"] = torch_losses.loss(family, columns)
        medians = _in_turn({name: call for name, call in calls.items() if call}, rounds)
    bar, of = (_NORMAL_BAR, "stream") if family == "Normal" else (_PEER_BAR, "numpyro")
    return Row(family, count, bar=bar, of=of, **{"torch": None, **medians})


def contenders(family: str) -> tuple[Kernel, Kernel, tuple[int, ...]]:
    """Our kernel, NumPyro's, and the columns that are outputs of a model."""
    if family.startswith("Categorical"):
        smoothing = SMOOTHING if family == "Categorical-smoothed" else 0.0
        likelihood = Categorical(CLASSES, label_smoothing=smoothing)
        ours = lambda logits, y: likelihood.kernel((logits,), y)
        return ours, _categorical_peer(smoothing), (0,)
    case = CASES[family]
    outputs = (i for i in case.moving if not case.columns[i].startswith("y"))
    return case.kernel, case.peer, tuple(outputs)


def _categorical_peer(smoothing: float) -> Kernel:
    def nll(logits: jax.Array, y: jax.Array) -> jax.Array:
        family = dist.CategoricalLogits(logits)
        each = -(1 - smoothing) * family.log_prob(y.astype(int))
        if not smoothing:
            return each
        return each - smoothing * jax.nn.log_softmax(logits).mean(axis=-1)

    return nll


def _gradient(kernel: Kernel, moving: tuple[int, ...], arrays: tuple) -> Callable[[], object]:
    def total(*columns: jax.Array) -> jax.Array:
        return kernel(*columns).sum()

    return _call(jax.value_and_grad(total, argnums=moving), arrays)


def _bare(moving: tuple[int, ...]) -> Callable:
    """Reads every array, writes one for each derivative."""

    def stream(*columns: jax.Array) -> tuple:
        wide = max(column.ndim for column in columns)
        total = sum(c.reshape(c.shape + (1,) * (wide - c.ndim)) for c in columns)
        return total.sum(), tuple(total * (i + 2.0) for i in moving)

    return stream


def _call(function: Callable, arrays: tuple) -> Callable[[], object]:
    compiled = jax.jit(function)
    return lambda: jax.block_until_ready(compiled(*arrays))


def _in_turn(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(rounds + 1):
        for name, call in calls.items():
            call()  # what ran before is still giving its memory back to the system
            started = time.perf_counter()
            call()
            if round_:  # the first call compiles
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(kept) for name, kept in times.items()}


def line(row: Row) -> str:
    """A row as text."""
    peers = [("bare pass", row.stream), ("NumPyro", row.numpyro), ("torch", row.torch)]
    ratios = "".join(f"  {row.ours / t:6.2f} x {name}" for name, t in peers if t is not None)
    verdict = "met" if row.met else "NOT MET"
    of = "bare pass" if row.of == "stream" else "NumPyro"
    return (
        f"{row.family:29} {row.count:9} points  {1e3 * row.ours:8.1f} ms{ratios}  "
        f"(at most {row.bar:g} x {of}: {verdict})"
    )


def values(family: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """What is timed on either side, which has to agree, or the times do not compare."""
    ours, peer, _ = contenders(family)
    with jax.enable_x64(False):
        arrays = tuple(map(jnp.asarray, workload(family, count)))
        return np.asarray(ours(*arrays)), np.asarray(peer(*arrays))
