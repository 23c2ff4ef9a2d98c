"""256 lynx-hare fits from drawn starts, against `jax.vmap` over the same fit; what compiling adds.

Run as a module, it prints the seconds that compiling took. SciPy's sequences are imported before:
the first time in a process that takes 0.4 s, on a thread beside the compiler, which holds that up
by 0.15 to 0.2 s on two cores. It is no compiling, and costs nothing where SciPy is in use.
"""

from collections.abc import Iterator

import jax
import numpy as np
import scipy.stats.qmc  # noqa: F401 - see above

import likelihax as lhx
from benchmarks.speed.case import Row, first_calls, interleaved
from examples.lynx_hare import data, predictor
from likelihax.fits._candidates import Drawn, strong
from likelihax.fits._many import SideBySide
from likelihax.fits._prepare import prepare

jax.config.update("jax_enable_x64", True)

STARTS = 256
KEY = jax.random.key(0)
SPREAD = lhx.Spread(0.5)
# What compiling for many starts may take beyond compiling one fit, in seconds.
MORE = 0.2


def run() -> Iterator[Row]:
    """Warm fits from 256 starts, each of them checked against its fit alone; compile time."""
    model, measured = predictor(), data()
    ours = lambda: lhx.multistart(lhx.NLL(), model, measured, SPREAD, num=STARTS, key=KEY)
    found = ours()
    print(found)
    unequal = sum(not _equal(each, _alone(each)) for each in found.fits)
    if unequal:
        raise RuntimeError(f"multistart: {unequal} of {STARTS} fits differ from the fit alone")
    yield Row("multistart", "256 starts, jax.vmap", *interleaved(ours, _vmapped(), 3), 25.0, True)
    compiling = first_calls(
        "benchmarks.speed.multistart", "benchmarks.speed.multistart_alone", rounds=5
    )
    yield Row("multistart", f"compiling, one fit and {MORE} s", *compiling, 1.0)


def _vmapped():
    """The same fits, side by side in one computation."""
    method, problem = prepare(lhx.NLL(), predictor(), data(), None)
    source = Drawn(SPREAD, strong(problem), STARTS, KEY)
    starts = source.reach(STARTS)
    runner = SideBySide(method, starts.problem, None, starts, STARTS)
    call = lambda: runner.run(starts, range(STARTS), lambda ran: None)
    call()
    return call


def _alone(fit: lhx.Fit) -> lhx.Fit:
    return lhx.fit(lhx.NLL(), fit.problem.predictor, data(), throw=False)


def _equal(a: lhx.Fit, b: lhx.Fit) -> bool:
    pairs = zip(jax.tree.leaves(a.record), jax.tree.leaves(b.record), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


def main() -> None:
    """Prints the seconds of compiling."""
    found = lhx.multistart(lhx.NLL(), predictor(), data(), SPREAD, num=2, key=KEY)
    print(found.compile_seconds)


if __name__ == "__main__":
    main()
