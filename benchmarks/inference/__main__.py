"""`python -m benchmarks.inference [PART ...] [--pictures FOLDER]`.

`theophylline`: twelve people as a sample of a population, by Laplace's marginal likelihood. All
parts by default. The exit status is 0 only if every bar is met, 1 if not.
"""

import sys

import jax

# Bars are beyond float32, and a flag has to be set before the first array is made.
jax.config.update("jax_enable_x64", True)

from benchmarks import parts  # noqa: E402
from benchmarks.inference import theophylline  # noqa: E402

PARTS: dict[str, parts.Part] = {
    "theophylline": lambda given: theophylline.run(given.pictures),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return parts.main("benchmarks.inference", __doc__, PARTS, arguments, draws=True)


if __name__ == "__main__":
    sys.exit(main())
