"""`python -m benchmarks.inference [PART ...] [--pictures FOLDER]`.

Whether errors are what they are said to be.
`profiles`: profiles of all lynx-hare parameters against the time of one fit. `coverage`: how often
intervals of 500 simulated lynx-hare data sets hold the truth. `nuts`: effective draws a second of
the lynx-hare posterior, against a plain NumPyro model with a Diffrax solve inside. `theophylline`:
twelve people as a sample of a population, by Laplace's marginal likelihood. All by default. The
exit status is 0 only if every bar is met, 1 if not.
"""

import sys

import jax

# Bars are beyond float32, and a flag has to be set before the first array is made.
jax.config.update("jax_enable_x64", True)

from benchmarks import parts  # noqa: E402
from benchmarks.inference import coverage, nuts, profiles, theophylline  # noqa: E402

PARTS: dict[str, parts.Part] = {
    "profiles": lambda given: profiles.run(),
    "coverage": lambda given: coverage.run(),
    "nuts": lambda given: nuts.run(),
    "theophylline": lambda given: theophylline.run(given.pictures),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return parts.main("benchmarks.inference", __doc__, PARTS, arguments, draws=True)


if __name__ == "__main__":
    sys.exit(main())
