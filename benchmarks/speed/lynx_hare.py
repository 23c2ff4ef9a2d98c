"""One lynx-hare fit: warm and first call, against the same fit written by hand.

Run as a module, it prints the seconds of the first call.
"""

import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

import likelihax as lhx
from benchmarks.speed import by_hand
from benchmarks.speed.case import Row, first_calls, interleaved
from examples.lynx_hare import data, predictor

jax.config.update("jax_enable_x64", True)

# All three must find the same optimum, or their times do not compare.
_SAME_NLL = 1e-4


def run() -> Iterator[Row]:
    """The three comparisons that the project promises."""
    fit = lhx.fit(lhx.NLL(), predictor(), data())
    constants = np.sum(by_hand.LOG_COUNTS) + 0.5 * np.log(2 * np.pi) * by_hand.LOG_COUNTS.size
    start = jnp.asarray(by_hand.START)
    _, hand = by_hand.optimistix_fit(start)
    started = time.perf_counter()
    scipy_result = by_hand.scipy_fit()
    scipy_seconds = time.perf_counter() - started
    print(
        f"NLL: likelihax {fit.nll - constants:.6f}, Optimistix by hand {float(hand):.6f}, "
        f"SciPy {scipy_result.fun:.6f}"
    )
    for name, found in (("by hand", float(hand)), ("SciPy", scipy_result.fun)):
        if abs(found - (fit.nll - constants)) > _SAME_NLL:
            raise RuntimeError(f"lynx_hare: {name} ended at another NLL: {found}")

    model, measured = predictor(), data()
    ours, peer = interleaved(
        lambda: lhx.fit(lhx.NLL(), model, measured),
        lambda: jax.block_until_ready(by_hand.optimistix_fit(start)),
        rounds=101,
    )
    yield Row("lynx_hare", "warm fit, SciPy L-BFGS-B", ours, scipy_seconds, 60.0, faster=True)
    yield Row("lynx_hare", "warm fit, by hand", ours, peer, 1.10)
    first = first_calls("benchmarks.speed.lynx_hare", "benchmarks.speed.by_hand", rounds=5)
    yield Row("lynx_hare", "first call, by hand", *first, 1.20)


def main() -> None:
    """Prints the seconds of the first call: checks, trace, compile, run."""
    model, measured = predictor(), data()
    started = time.perf_counter()
    lhx.fit(lhx.NLL(), model, measured)
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
