"""`python -m benchmarks.reference PATH ...`: fits the problems of the known suites under the paths.

Prints a row a problem and start and, last, how many problems were met; the exit status is 0 only if
all were (and there was one), 1 if not, 2 if a path does not exist.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

# Certified digits are beyond float32, and a flag has to be set before the first array is made.
jax.config.update("jax_enable_x64", True)

from benchmarks.reference import (  # noqa: E402
    beta_regression,
    glm,
    nist_linear,
    nist_nonlinear,
    ode,
    posteriordb,
    quantile,
    r_nls,
    report,
)
from benchmarks.reference.problem import files_under, read  # noqa: E402

_Check = Callable[[Mapping[str, Any]], Iterable[report.Row]]
_SUITES: dict[str, _Check] = {
    "beta_regression": beta_regression.check,
    "glm": glm.check,
    "nist_linear": nist_linear.check,
    "nist_nonlinear": nist_nonlinear.check,
    "posteriordb": posteriordb.check,
    "quantile": quantile.check,
    "r_nls": r_nls.check,
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks.reference", description=__doc__)
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", type=Path, help="a JSON file or a folder"
    )
    chosen = parser.parse_args(arguments)
    try:
        files = [file for path in chosen.paths for file in files_under(path)]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    met: list[bool] = []
    unknown: list[str] = []
    print(report.header(), flush=True)
    for file in dict.fromkeys(files):
        suite, name, check = _identify(file)
        if check is None:
            unknown.append(suite)
            continue
        rows = []
        for row in check():
            print(report.line(suite, name, row), flush=True)
            rows.append(row)
        met.append(all(row.met for row in rows))
    if unknown:
        print(report.not_run(unknown))
    print(report.verdict(met))
    return 0 if met and all(met) else 1


def _identify(file: Path) -> tuple[str, str, Callable[[], Iterator[report.Row]] | None]:
    """A file's suite, its problem's name, and what to run, if anything is known to run."""
    try:
        fields = read(file)
    except ValueError as error:
        reason = str(error)
        return "-", file.stem, lambda: iter([report.unread(reason)])
    suite = str(fields.get("suite"))
    name = str(fields.get("name", file.stem))
    if suite == "ode":  # whose data are in another file
        return suite, name, lambda: _rows(lambda fields: ode.check(fields, file.parent), fields)
    if suite not in _SUITES:
        return suite, name, None
    return suite, name, lambda: _rows(_SUITES[suite], fields)


def _rows(check: _Check, fields: Mapping[str, Any]) -> Iterator[report.Row]:
    """A suite's rows; a problem that cannot be expressed or fitted gives one that says why."""
    try:
        yield from check(fields)
    except Exception as error:  # one bad file must not hide the others
        what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        yield report.unread(" ".join(what.split())[:300])


if __name__ == "__main__":
    sys.exit(main())
