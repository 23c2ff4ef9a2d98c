"""`python -m benchmarks.uci FOLDER [SET ...] [--quick]`.

Test NLL and RMSE of networks of one hidden layer on every set in a folder, over the splits that are
given there, beside what papers print for them. Everything that is chosen is chosen by training rows
that were left out; every split counts, and is trained once. The exit status is 0 if no score is
lost and, where all six of the papers' sets are there and none was cut short, the goals are met.
"""

import argparse
import os
import sys
import time
from pathlib import Path

# As many fits run at the same time as there are cores: within one, threads of its own are only in
# the way (with two fits on two cores, up to ten times as slow). Read when JAX begins.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"

import jax

jax.config.update("jax_enable_x64", True)

from benchmarks.uci import methods, published, scores, sets, together, training  # noqa: E402

FULL = training.Effort()
# Many rows outweigh any prior, so that its cost need not be chosen, and take more steps.
MANY = training.Effort(first=1200, further=600, costs=(1.0,))
QUICK = training.Effort(first=200, further=100, rounds=1, costs=(1.0,), members=3)
QUICK_SPLITS = 3


def effort(of: sets.Set, quick: bool) -> training.Effort:
    """How much is done for a set."""
    if quick:
        return QUICK
    return MANY if len(of.splits[0][0]) > sets.MANY else FULL


def run(of: sets.Set, quick: bool) -> dict[tuple[str, str], list[scores.Score]]:
    """All splits of a set, or the first of them."""
    found: dict[tuple[str, str], list[scores.Score]] = {}
    for number in range(min(len(of.splits), QUICK_SPLITS if quick else len(of.splits))):
        trained = training.expected(of, number, effort(of, quick))
        for key, score in scores.scores_of(methods.all_of(trained), trained.split).items():
            found.setdefault(key, []).append(score)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks.uci", description=__doc__)
    parser.add_argument("folder", type=Path, help="with a folder for each set")
    parser.add_argument("names", metavar="SET", nargs="*", help="only these; by default all")
    parser.add_argument("--quick", action="store_true", help="3 splits each, and few steps")
    options = parser.parse_args(arguments)
    found = sets.read(options.folder)
    unknown = set(options.names) - {one.name for one in found}
    if unknown:
        known = ", ".join(one.name for one in found)
        parser.error(f"no set {sorted(unknown)[0]!r} there: choose from {known}")
    found = [one for one in found if not options.names or one.name in options.names]
    lost, reached = 0, {}
    for one in found:
        began = time.perf_counter()
        of_set = run(one, options.quick)
        count = len(next(iter(of_set.values())))
        print(f"\n{one.name}: {count} splits, {time.perf_counter() - began:.0f} s")
        print(f"  {'':26}  test NLL           test RMSE")
        print("\n".join(scores.lines(one.name, of_set)), flush=True)
        lost += scores.lost(of_set)
        reached[one.name] = {kind: scores.no_worse(one.name, of_set, kind) for kind in _GOALS}
    small = min(found, key=lambda one: len(one.target))
    print(f"\n{together.line(small)}")
    return _verdict(lost, reached, judged=not options.quick)


_GOALS = {"single": published.SINGLE, "ensemble": published.ENSEMBLE}


def _verdict(lost: int, reached: dict[str, dict[str, bool | None]], *, judged: bool) -> int:
    print(f"\nscores that are not finite: {lost}")
    judged = judged and set(published.NLL) <= set(reached)
    missed = lost > 0
    for kind, least in _GOALS.items():
        told = [each[kind] for each in reached.values() if each[kind] is not None]
        if told:
            print(f"{kind}, chosen: at or below the published on {sum(told)} of {len(told)} sets")
        if judged:
            met = sum(map(bool, told)) >= least
            print(f"{'met' if met else 'NOT MET'}: goal {least}")
            missed |= not met
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
