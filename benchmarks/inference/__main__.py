"""`python -m benchmarks.inference [PART ...]`.

`nuts`: effective draws a second of the lynx-hare posterior, against a plain NumPyro model with a
Diffrax solve inside. All parts by default. The exit status is 0 only if every bar is met, 1 if not.
"""

import sys

import jax

# Bars are beyond float32, and a flag has to be set before the first array is made.
jax.config.update("jax_enable_x64", True)

from benchmarks import parts  # noqa: E402
from benchmarks.inference import nuts  # noqa: E402

PARTS: dict[str, parts.Part] = {
    "nuts": lambda given: nuts.run(),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return parts.main("benchmarks.inference", __doc__, PARTS, arguments)


if __name__ == "__main__":
    sys.exit(main())
