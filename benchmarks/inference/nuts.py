"""Effective draws a second of the lynx-hare posterior, warm-up counted, compiling apart."""

import json
import subprocess
import sys
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist

import likelihax as lhx
from examples.lynx_hare import data, predictor
from likelihax.terms import Prior

CHAINS, DRAWS, ROUNDS = 2, 1000, 3
BAR = 3.0


def objective() -> lhx.AbstractObjective:
    """Carpenter's priors, as in `plain_numpyro`."""
    above = lambda loc, scale: dist.TruncatedNormal(loc, scale, low=0.0)
    return (
        lhx.NLL()
        + Prior(lambda p: (p.model.field.growth, p.model.field.death), above(1.0, 0.5))
        + Prior(lambda p: (p.model.field.predation, p.model.field.conversion), above(0.05, 0.05))
        + Prior(lambda p: p.model.initial, dist.LogNormal(np.log(10.0), 1.0))
        + Prior(lambda p: p.likelihood.sigma, dist.LogNormal(-1.0, 1.0))
    )


def run() -> int:
    """Prints both; 0 if the toolkit's is at least three times the best plain one."""
    ours = _ours()
    plain = _plain()
    print(f"{'':32}{'bulk ESS':>10}{'seconds':>10}{'ESS/s':>10}{'compiling':>12}")
    _line("likelihax", ours)
    for name, each in plain.items():
        _line(f"NumPyro, {name}", each)
    best = max(each["ess"] / each["seconds"] for each in plain.values())
    ratio = ours["ess"] / ours["seconds"] / best
    met = ratio >= BAR
    verdict = "met" if met else "NOT MET"
    print(f"{ratio:.1f} times the best plain one (bar {BAR:g}): {verdict}")
    return 0 if met else 1


def _ours() -> dict[str, float]:
    problem = (objective(), predictor(), data())
    settings: dict[str, Any] = {"chains": CHAINS, "num": DRAWS, "progress": False}
    first = lhx.sample(*problem, key=jax.random.key(100), **settings)
    ess, seconds = [], []
    for i in range(ROUNDS):
        draws = lhx.sample(*problem, key=jax.random.key(i), **settings)
        assert draws.run.compile_seconds == 0
        seconds.append(draws.run.run_seconds)
        ess.append(min(float(np.min(each)) for each in draws.ess_bulk.values()))
    return {
        "ess": float(np.median(ess)),
        "seconds": float(np.median(seconds)),
        "compile_seconds": first.run.compile_seconds,
    }


def _plain() -> dict[str, dict[str, float]]:
    # In a process of its own: the number of devices is set before JAX begins.
    command = [sys.executable, "-m", "benchmarks.inference.plain_numpyro", str(ROUNDS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _line(name: str, found: dict[str, float]) -> None:
    rate = found["ess"] / found["seconds"]
    print(
        f"{name:<32}{found['ess']:>10.0f}{found['seconds']:>10.2f}{rate:>10.0f}"
        f"{found['compile_seconds']:>10.1f} s"
    )
