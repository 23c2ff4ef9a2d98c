"""What the benchmarks in parts have in common: a part by name, each with a verdict."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

# From the command's options to 0 where every bar was met, 1 where not.
Part = Callable[[argparse.Namespace], int]

_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def main(
    name: str,
    description: str | None,
    parts: Mapping[str, Part],
    arguments: list[str] | None = None,
    *,
    draws: bool = False,
) -> int:
    """Runs the parts named, all by default, with `--data` and, if something draws, `--pictures`.

    Returns 0 only if every bar was met, 1 if not.
    """
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("parts", metavar="PART", nargs="*", help=", ".join(parts))
    parser.add_argument("--data", type=Path, default=_DATA, help="the folder of real data")
    if draws:
        parser.add_argument("--pictures", type=Path, help="where to draw, if at all")
    options = parser.parse_args(arguments)
    unknown = [part for part in options.parts if part not in parts]
    if unknown:
        parser.error(f"unknown part {unknown[0]!r}: choose from {', '.join(parts)}")
    results = {}
    for part in options.parts or parts:
        print(f"\n{part}\n{'-' * len(part)}", flush=True)
        results[part] = parts[part](options)
    print()
    for part, result in results.items():
        print(f"{'met' if result == 0 else 'NOT MET'}: {part}")
    return 0 if not any(results.values()) else 1
