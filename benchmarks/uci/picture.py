"""The table as a picture: a panel for each set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.uci import published
from benchmarks.uci.scores import Scores, nll_of

COLUMNS = 3


def draw(found: Mapping[str, Scores], pictures: Path) -> None:
    """Test NLL of each method and of what papers print; saved as `uci.png`."""
    import matplotlib.pyplot as plt

    rows = -(-len(found) // COLUMNS)
    figure, axes = plt.subplots(
        rows, COLUMNS, figsize=(10.0, 2.9 * rows), sharey=True, layout="constrained", squeeze=False
    )
    names = list(dict.fromkeys(name for scores in found.values() for name, _ in scores))
    for axis, (name, scores) in zip(axes.flat, found.items(), strict=False):
        _panel(axis, names, scores)
        axis.set_title(name, fontsize="medium")
        _published(axis, name, len(names))
    for axis in axes.flat[len(found) :]:
        axis.set_axis_off()
    whose = names + list(next(iter(published.NLL.values())))
    axes[0, 0].set_yticks(range(len(whose)), whose)
    axes[0, 0].invert_yaxis()
    entries = axes[0, 0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside upper right", ncols=2, frameon=False)
    figure.supxlabel("test NLL [nats a row], mean and standard error over the splits")
    figure.savefig(pictures / "uci.png", dpi=80)
    plt.close(figure)


def _panel(axis: Any, names: Sequence[str], scores: Scores) -> None:
    for kind, shift, style in (("single", -0.15, "o"), ("ensemble", 0.15, "s")):
        at = [i for i, name in enumerate(names) if (name, kind) in scores]
        told = np.array([nll_of(scores[names[i], kind]) for i in at])
        label = {"single": "one network", "ensemble": "an ensemble"}[kind]
        axis.errorbar(told[:, 0], np.add(at, shift), xerr=told[:, 1], fmt=style, ms=4, label=label)


def _published(axis: Any, name: str, below: int) -> None:
    printed = published.NLL.get(name, {})
    if printed:
        axis.plot(list(printed.values()), below + np.arange(len(printed)), "kD", ms=4)
        axis.axvline(min(printed.values()), color="k", ls=":", lw=1)
