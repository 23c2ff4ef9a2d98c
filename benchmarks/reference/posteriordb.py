"""Posteriors against 10,000 gold-standard draws of posteriordb."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

import likelihax as lhx
from benchmarks.reference import report
from benchmarks.reference.posteriors import stated
from benchmarks.reference.problem import required

CHAINS, DRAWS = 4, 4000
MEANS, DEVIATIONS, ERRORS, RHAT = 0.1, 0.05, 4.0, 1.01


def check(fields: Mapping[str, Any]) -> Iterator[report.Row]:
    """One row; a file without reference draws has nothing to compare with."""
    if fields.get("reference") is None:
        yield report.Row("-", "-", "-", "no reference draws in the file", 0.0, True)
        return
    yield compared(fields["reference"], str(required(fields, "model_name")), fields["data"])


def compared(reference: Mapping[str, Any], model: str, data: Mapping[str, Any]) -> report.Row:
    """Means within 0.1 sd beyond four combined Monte Carlo errors, sds within 5 %, R-hat 1.01.

    A standard deviation has a Monte Carlo error too, that of its square's mean, and may be off by
    four of those more.
    """
    began = time.perf_counter()
    problem = stated(model, _floats(data))
    draws = sampled(problem)
    found = problem.numbers(draws.values)
    worst_mean, worst_sd, rhat = 0.0, 0.0, 0.0
    far: list[str] = []
    for name, gold in reference.items():
        each = number(found, name)
        sd = float(gold["sd"])
        error = np.hypot(float(gold["mcse"]), _mcse(each))
        off = abs(each.mean() - float(gold["mean"]))
        excess = max(off - ERRORS * error, 0.0) / sd
        wider = abs(each.std(ddof=1) / sd - 1)
        of_sd = np.hypot(1 / np.sqrt(2 * float(gold["ess_bulk"])), _relative_error_of_sd(each))
        own_rhat = _rhat(each)
        if excess > MEANS or wider > DEVIATIONS + ERRORS * of_sd or not own_rhat < RHAT:
            far.append(name)
        worst_mean = max(worst_mean, off / sd)
        worst_sd = max(worst_sd, wider)
        rhat = max(rhat, own_rhat)
    status = (
        f"R-hat {rhat:.4f}, ESS/s {draws.ess_per_second:.0f}, divergences {draws.divergences}, "
        f"failed solves {draws.failed_solves}, compiled {draws.run.compile_seconds:.1f} s"
    )
    if far:
        status = f"off: {', '.join(far)}; {status}"
    return report.Row(
        "mode",
        f"means off {worst_mean:.3f} sd",
        f"sds off {100 * worst_sd:.1f} %",
        status,
        time.perf_counter() - began,
        not far,
    )


def sampled(problem: Any) -> lhx.Draws:
    """The draws, from the toolkit's own start."""
    key = jax.random.key(0)
    return lhx.sample(
        problem.objective,
        problem.predictor,
        problem.data,
        key=key,
        chains=CHAINS,
        num=DRAWS,
        target_accept=0.9,
    )


def number(found: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """The draws of one of the reference's numbers, `beta[2]` for instance; counted from 1."""
    head, _, rest = name.partition("[")
    if head not in found:
        raise ValueError(f"the model has no number called {head!r}")
    each = found[head]
    if rest:
        index = tuple(int(part) - 1 for part in rest.rstrip("]").split(","))
        each = each[(slice(None), slice(None), *index)]
    if each.ndim != 2:
        raise ValueError(f"{name} is no single number")
    return each


def _floats(data: Any) -> Any:
    """Numbers as floats, from decimals or whatever a file holds."""
    if isinstance(data, Mapping):
        return {name: _floats(each) for name, each in data.items()}
    if isinstance(data, list):
        return [_floats(each) for each in data]
    return data if isinstance(data, str | int | bool) else float(data)


def _stats() -> Any:
    from arviz_stats.base import array_stats

    return array_stats


def _rhat(each: np.ndarray) -> float:
    return float(_stats().rhat(each, chain_axis=0, draw_axis=1))


def _mcse(each: np.ndarray) -> float:
    return float(_stats().mcse(each, chain_axis=0, draw_axis=1, method="mean"))


def _relative_error_of_sd(each: np.ndarray) -> float:
    return float(_stats().mcse(each, chain_axis=0, draw_axis=1, method="sd")) / each.std(ddof=1)
