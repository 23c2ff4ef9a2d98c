"""`python -m benchmarks.evidential [PART ...]`.

`marginal`: the NLL of a Normal-Inverse-Gamma likelihood against quadrature over the latent mean and
variance, against NumPyro's hierarchy, and in float32 against itself in float64. `cubic`: what 50
networks say of noise and of ignorance along y = x^3, the test of Meinert, Gawlikowski and Lavin
(2023). `forces`: what a network says of forces in a molecule, of hotter geometries and of another
molecule, against a deep ensemble. All by default. The exit status is 0 only if every bar is met, 1
if not.
"""

import sys

import jax

# Bars are beyond float32, and a flag has to be set before the first array is made.
jax.config.update("jax_enable_x64", True)

from benchmarks import parts  # noqa: E402
from benchmarks.evidential import cubic, forces, marginal  # noqa: E402

PARTS: dict[str, parts.Part] = {
    "marginal": lambda given: marginal.run(),
    "cubic": lambda given: cubic.run(given.pictures),
    "forces": lambda given: forces.run(given.pictures),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return parts.main("benchmarks.evidential", __doc__, PARTS, arguments, draws=True)


if __name__ == "__main__":
    sys.exit(main())
