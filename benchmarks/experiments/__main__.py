"""`python -m benchmarks.experiments [PART ...] [--data FOLDER] [--pictures FOLDER]`.

`warfarin`: the pharmacokinetics of 32 people in one fit. `cascaded_tanks`: physics alone and with a
learned part, simulated on data that were not fitted. `silverbox`: a Duffing oscillator, likewise.
All parts by default. The exit status is 0 only if every bar is met, 1 if not.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import jax

# Bars are beyond float32, and a flag has to be set before the first array is made.
jax.config.update("jax_enable_x64", True)

from benchmarks.experiments import cascaded_tanks, silverbox, warfarin  # noqa: E402

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

_Part = Callable[[Path, Path | None], int]
PARTS: dict[str, _Part] = {
    "cascaded_tanks": lambda data, pictures: cascaded_tanks.run(
        data / "sysid" / "cascaded_tanks.csv", pictures
    ),
    "silverbox": lambda data, pictures: silverbox.run(
        data / "sysid" / "silverbox_snls80mV.csv", pictures
    ),
    "warfarin": lambda data, pictures: warfarin.run(data / "ode" / "warfarin.csv", pictures),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks.experiments", description=__doc__)
    parser.add_argument("parts", metavar="PART", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    parser.add_argument("--pictures", type=Path, help="where to draw, if at all")
    chosen = parser.parse_args(arguments)
    unknown = [part for part in chosen.parts if part not in PARTS]
    if unknown:
        parser.error(f"unknown part {unknown[0]!r}: choose from {', '.join(PARTS)}")
    results = {}
    for part in chosen.parts or PARTS:
        print(f"\n{part}\n{'-' * len(part)}", flush=True)
        results[part] = PARTS[part](chosen.data, chosen.pictures)
    print()
    for part, result in results.items():
        print(f"{'met' if result == 0 else 'NOT MET'}: {part}")
    return 0 if not any(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
