"""`python -m benchmarks.objectives [PART ...] [--data FOLDER]`: what the objectives promise.

`sparsity`: an L1 path beside scikit-learn's. `cvar`: the tail beside the linear programme.
`tail`: the S&P 500 by mean and by tail. `fairness`: accuracy and disparity beside fairlearn.
`residuals`: laws of physics and collocation. All by default. The exit status is 0 only if every bar
is met, 1 if not.
"""

import sys

import jax

# Bars are beyond float32, and a flag has to be set before the first array is made.
jax.config.update("jax_enable_x64", True)

from benchmarks import parts  # noqa: E402
from benchmarks.objectives import cvar, fairness, residuals, sparsity, tail  # noqa: E402

PARTS: dict[str, parts.Part] = {
    "sparsity": lambda given: sparsity.run(given.data / "grid" / "grid_stability.csv"),
    "cvar": lambda given: cvar.run(),
    "tail": lambda given: tail.run(),
    "fairness": lambda given: fairness.run(given.data / "fairness" / "compas-scores-two-years.csv"),
    "residuals": lambda given: residuals.run(),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return parts.main("benchmarks.objectives", __doc__, PARTS, arguments)


if __name__ == "__main__":
    sys.exit(main())
