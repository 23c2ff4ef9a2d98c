"""`python -m benchmarks.experiments [PART ...] [--data FOLDER] [--pictures FOLDER]`.

`long_problems`: three oscillators over a long time, from far starts. `warfarin`: the
pharmacokinetics of 32 people in one fit. `cascaded_tanks`: water that runs over, physics alone and
with a learned part. `silverbox`: an electronic Duffing oscillator. `chemostat`: rotifers and algae,
from many starts. All parts by default. The exit status is 0 only if every bar is met, 1 if not.
"""

import sys

import jax

# Bars are beyond float32, and a flag has to be set before the first array is made.
jax.config.update("jax_enable_x64", True)

from benchmarks import parts  # noqa: E402
from benchmarks.experiments import (  # noqa: E402
    cascaded_tanks,
    chemostat,
    long_problems,
    silverbox,
    warfarin,
)

PARTS: dict[str, parts.Part] = {
    "long_problems": lambda given: long_problems.run(given.pictures),
    "warfarin": lambda given: warfarin.run(given.data / "ode" / "warfarin.csv", given.pictures),
    "cascaded_tanks": lambda given: cascaded_tanks.run(
        given.data / "sysid" / "cascaded_tanks.csv", given.pictures
    ),
    "silverbox": lambda given: silverbox.run(
        given.data / "sysid" / "silverbox_snls80mV.csv", given.pictures
    ),
    "chemostat": lambda given: chemostat.run(
        given.data / "ode" / "chemostat_rotifer_algae.csv", given.pictures
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return parts.main("benchmarks.experiments", __doc__, PARTS, arguments, draws=True)


if __name__ == "__main__":
    sys.exit(main())
