"""`python -m benchmarks.speed [CASE ...] [--json FILE]`: each case against its peer."""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from benchmarks.speed import learned, lynx_hare, multistart, progress
from benchmarks.speed.case import Row

CASES: dict[str, Callable[[], Iterator[Row]]] = {
    "learned": learned.run,
    "lynx_hare": lynx_hare.run,
    "multistart": multistart.run,
    "progress": progress.run,
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the cases named, all by default; 0 only if every bar is met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        parser.error(f"unknown case {unknown[0]!r}: choose from {', '.join(CASES)}")
    print(f"jax {jax.__version__}, Python {platform.python_version()}, {jax.devices()[0].platform}")
    rows = []
    for name in options.cases or CASES:
        for row in CASES[name]():
            rows.append(row)
            print(_line(row), flush=True)
    if options.json:
        options.json.write_text(json.dumps([_entry(row) for row in rows], indent=1) + "\n")
    print(f"{sum(row.met for row in rows)} of {len(rows)} bars met")
    return 0 if all(row.met for row in rows) else 1


def _line(row: Row) -> str:
    verb = "times faster than" if row.faster else "times"
    bar = f"at {'least' if row.faster else 'most'} {row.bar:g}"
    return (
        f"{row.case:10} {row.what:36} ours {row.ours:9.4g} s  peer {row.peer:9.4g} s  "
        f"{row.ratio:8.3g} {verb} the peer ({bar}: {'met' if row.met else 'NOT MET'})"
    )


def _entry(row: Row) -> dict[str, object]:
    return {**vars(row), "ratio": row.ratio, "met": row.met, "jax": jax.__version__}


if __name__ == "__main__":
    sys.exit(main())
