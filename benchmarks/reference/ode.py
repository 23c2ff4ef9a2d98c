"""Published posteriors of differential equations: what a case study prints, to its digits."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reference import report
from benchmarks.reference.posteriordb import sampled
from benchmarks.reference.posteriors import stated
from benchmarks.reference.problem import read, required

# What the case study's Greek letters are in posteriordb's model of the same name.
_NAMES = {
    "alpha": ("theta", 0),
    "beta": ("theta", 1),
    "gamma": ("theta", 2),
    "delta": ("theta", 3),
    "sigma1": ("sigma", 0),
    "sigma2": ("sigma", 1),
}


def check(fields: Mapping[str, Any], beside: Path) -> Iterator[report.Row]:
    """One row: means within 0.1 sd of what is printed, beyond half a unit of its last digit."""
    if fields.get("weak"):
        yield report.Row("-", "-", "-", "said to be too weak to compare with", 0.0, True)
        return
    began = time.perf_counter()
    source = read(beside.parent / str(required(fields, "data_ref")))
    data = json.loads(json.dumps(source["data"], default=float))
    draws = sampled(stated(str(required(source, "model_name")), data))
    far, worst = [], 0.0
    for name, printed in required(fields, "posterior_mean").items():
        leaf, place = _NAMES[name]
        each = draws.values[leaf][..., place]
        rounding = 0.5 * 10.0 ** printed.as_tuple().exponent
        off = max(abs(each.mean() - float(printed)) - rounding, 0.0) / each.std(ddof=1)
        worst = max(worst, off)
        if off > 0.1:
            far.append(name)
    apart = _intervals(fields.get("interval80") or {}, draws, far)
    rhat = max(float(np.max(one)) for one in draws.rhat.values())
    if not rhat < 1.01:
        far.append("R-hat")
    status = f"R-hat {rhat:.4f}, ESS/s {draws.ess_per_second:.0f}"
    yield report.Row(
        "mode",
        f"means off {worst:.3f} sd",
        f"ends off {apart:.3f} sd",
        f"off: {', '.join(far)}; {status}" if far else status,
        time.perf_counter() - began,
        not far,
    )


def _intervals(stated80: Mapping[str, Any], draws: Any, far: list[str]) -> float:
    """How far the ends of the 80 % intervals are off, beyond rounding, in sds."""
    worst = 0.0
    for name, (low, high) in stated80.items():
        leaf, place = _NAMES.get(name, _NAMES["sigma1"])
        each = draws.values[leaf][..., place]
        for level, printed in ((0.1, low), (0.9, high)):
            rounding = 0.5 * 10.0 ** printed.as_tuple().exponent
            off = max(abs(np.quantile(each, level) - float(printed)) - rounding, 0.0)
            worst = max(worst, off / each.std(ddof=1))
            if off > 0.1 * each.std(ddof=1):
                far.append(f"{name} at {level:g}")
    return worst
