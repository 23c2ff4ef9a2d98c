"""All splits of a set in one compiled call, against a loop over them in Python."""

import statistics
import time
from typing import Any

import jax
import numpy as np

import likelihax as lhx
from benchmarks.uci import sets
from benchmarks.uci.network import fresh
from benchmarks.uci.training import penalised
from likelihax.likelihoods import Normal

STEPS, ROUNDS = 100, 3


def line(of: sets.Set) -> str:
    """Median seconds of both, compilation left out, and their ratio."""
    splits = [sets.split(of, number) for number in range(len(of.splits))]
    if len({split.features.shape for split in splits}) > 1:
        return f"{of.name}: its splits have other shapes, so that no one call can serve them"
    dtype = splits[0].target.dtype
    keys = jax.random.split(jax.random.key(0), len(splits))
    starts = [
        lhx.Predictor(
            fresh(split.features.shape[1], of.width, dtype, key),
            Normal(lhx.positive(np.asarray(0.3, dtype))),
        )
        for split, key in zip(splits, keys, strict=True)
    ]
    tables = [lhx.Dataset(split.features, split.target) for split in splits]
    objective, method = penalised(1.0, dtype), lhx.BFGS(max_steps=STEPS)
    given: dict[str, Any] = {"method": method, "progress": False}

    def in_one_call() -> None:
        lhx.fit_each(objective, starts, tables, side_by_side=True, **given)

    def on_threads() -> None:
        lhx.fit_each(objective, starts, tables, side_by_side=False, **given)

    def in_a_loop() -> None:
        for start, table in zip(starts, tables, strict=True):
            lhx.fit(objective, start, table, throw=False, **given)

    one, threads, loop = _medians([in_one_call, on_threads, in_a_loop])
    return (
        f"{of.name}, {len(splits)} splits, {STEPS} steps: a loop {loop:.2f} s, one compiled call "
        f"{one:.2f} s, {loop / one:.2f} times as fast; on threads {threads:.2f} s, "
        f"{loop / threads:.2f} times"
    )


def _medians(runs: list[Any]) -> list[float]:
    """Each run once to compile, then in turn."""
    for run in runs:
        run()
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, each in zip(runs, seconds, strict=True):
            began = time.perf_counter()
            run()
            each.append(time.perf_counter() - began)
    return [statistics.median(each) for each in seconds]
