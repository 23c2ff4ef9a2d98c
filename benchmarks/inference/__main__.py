"""`python -m benchmarks.inference [PART ...]`: whether errors are what they are said to be.

`profiles`: profiles of all lynx-hare parameters against the time of one fit. `coverage`: how often
intervals of 500 simulated lynx-hare data sets hold the truth. All by default. The exit status is 0
only if every bar is met, 1 if not.
"""

import sys

import jax

# Bars are beyond float32, and a flag has to be set before the first array is made.
jax.config.update("jax_enable_x64", True)

from benchmarks import parts  # noqa: E402
from benchmarks.inference import coverage, profiles  # noqa: E402

PARTS: dict[str, parts.Part] = {
    "profiles": lambda given: profiles.run(),
    "coverage": lambda given: coverage.run(),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return parts.main("benchmarks.inference", __doc__, PARTS, arguments)


if __name__ == "__main__":
    sys.exit(main())
