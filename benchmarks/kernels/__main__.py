"""`python -m benchmarks.kernels accuracy|speed [FAMILY ...] [--json FILE]`.

`accuracy` compares value and derivatives of every kernel with mpmath, `speed` their time with a
bare pass over the same bytes and with NumPyro. The exit status is 0 only if every bar is met, 1
if not, 2 for a family that is not known.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from benchmarks.kernels import accuracy
from benchmarks.kernels.catalogue import CASES, checked


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    exact = commands.add_parser("accuracy", help="digits, against mpmath and NumPyro")
    exact.add_argument("--count", type=int, default=accuracy.COUNT, help="points a family")
    exact.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    fast = commands.add_parser("speed", help="time, against a bare pass, NumPyro and torch")
    fast.add_argument("--scale", type=float, default=1.0, help="the share of the points to run")
    for command in (exact, fast):
        command.add_argument("families", nargs="*", metavar="FAMILY")
        command.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args(arguments)
    if options.command == "accuracy":
        return _accuracy(parser, options)
    from benchmarks.kernels import speed  # torch takes seconds to import, if there is one

    names = _chosen(parser, options.families, speed.FAMILIES)
    return speed.run(names, options.json, options.scale)


def _accuracy(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    names = _chosen(parser, options.families, CASES)
    jobs = [(name, dtype, options.count) for name in names for dtype in accuracy.BARS]
    tables = []
    for table in checked(jobs, options.workers):
        tables.append(table)
        print("\n".join(accuracy.lines(table)), flush=True)
    if options.json:
        entries = [{**asdict(table), "bar": table.bar, "met": table.met} for table in tables]
        options.json.write_text(json.dumps(entries, indent=1) + "\n")
    print(f"{sum(table.met for table in tables)} of {len(tables)} bars met")
    return 0 if all(table.met for table in tables) else 1


def _chosen(parser: argparse.ArgumentParser, asked: list[str], known: Iterable[str]) -> list[str]:
    """The families that were asked for, by name or by how it starts; all by default."""
    names = list(known)
    chosen = []
    for word in asked:
        found = [word] if word in names else [name for name in names if name.startswith(word)]
        if not found:
            parser.error(f"unknown family {word!r}: choose from {', '.join(names)}")
        chosen += found
    return list(dict.fromkeys(chosen)) if asked else names


if __name__ == "__main__":
    sys.exit(main())
