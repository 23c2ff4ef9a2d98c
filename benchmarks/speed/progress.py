"""What the progress bar costs: a long fit with a bar and without one."""

import io
import sys
from collections.abc import Iterator

import jax
import optax

import likelihax as lhx
from benchmarks.speed.case import Row, interleaved
from examples.lynx_hare import data, predictor

jax.config.update("jax_enable_x64", True)


def run() -> Iterator[Row]:
    """Two seconds or so of gradient descent that cannot end early, with and without."""
    model, measured = predictor(), data()
    method = lhx.GradientDescent(optax.adam(1e-4), max_steps=20_000, tolerance=0.0)

    def fit(progress: bool) -> None:
        terminal, sys.stderr = sys.stderr, io.StringIO()
        try:
            lhx.fit(lhx.NLL(), model, measured, method=method, progress=progress)
        finally:
            sys.stderr = terminal

    fit(True)
    shown, hidden = interleaved(lambda: fit(True), lambda: fit(False), rounds=9)
    yield Row("progress", "long fit, bar shown against hidden", shown, hidden, 1.01)
