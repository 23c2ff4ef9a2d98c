"""`python -m benchmarks.uci FOLDER [SET ...] [--quick] [--pictures FOLDER]`.

Test NLL and RMSE of networks of one hidden layer on every set in a folder, over the splits that are
given there, beside what papers print for them. Everything that is chosen is chosen by training rows
that were left out; every split counts, and is trained once. The exit status is 0 if no score is
lost and, where all six of the papers' sets are there and none was cut short, the goals are met.
"""

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

# As many fits run at the same time as there are cores: within one, threads of its own are only in
# the way (with two fits on two cores, up to ten times as slow). Read when JAX begins.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"

import jax

jax.config.update("jax_enable_x64", True)

from benchmarks.uci import methods, picture, published, scores, sets, together, training  # noqa: E402

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


class Ran(NamedTuple):
    """The scores on a set, and how often each method was the one chosen."""

    scores: dict[tuple[str, str], list[scores.Score]]
    chosen: Counter[str]


def run(of: sets.Set, quick: bool) -> Ran:
    """All splits of a set, or the first of them."""
    found = Ran({}, Counter())
    for number in range(min(len(of.splits), QUICK_SPLITS if quick else len(of.splits))):
        trained = training.expected(of, number, effort(of, quick))
        said = methods.all_of(trained)
        found.chosen[methods.chosen_of(said)] += 1
        for key, score in scores.scores_of(said, trained.split).items():
            found.scores.setdefault(key, []).append(score)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks.uci", description=__doc__)
    parser.add_argument("folder", type=Path, help="with a folder for each set")
    parser.add_argument("names", metavar="SET", nargs="*", help="only these; by default all")
    parser.add_argument("--quick", action="store_true", help="3 splits each, and few steps")
    parser.add_argument("--pictures", type=Path, help="where to draw, if at all")
    options = parser.parse_args(arguments)
    found = sets.read(options.folder)
    unknown = set(options.names) - {one.name for one in found}
    if unknown:
        known = ", ".join(one.name for one in found)
        parser.error(f"no set {sorted(unknown)[0]!r} there: choose from {known}")
    found = [one for one in found if not options.names or one.name in options.names]
    lost, reached, every = 0, {}, {}
    for one in found:
        began = time.perf_counter()
        of_set, chosen = run(one, options.quick)
        print(f"\n{one.name}: {chosen.total()} splits, {time.perf_counter() - began:.0f} s")
        print(f"  {'':26}  test NLL           test RMSE")
        print("\n".join(scores.lines(one.name, of_set)))
        often = ", ".join(f"{name} {count}" for name, count in chosen.most_common())
        print(f"  chosen by rows left out: {often}", flush=True)
        lost += scores.lost(of_set)
        reached[one.name] = {kind: scores.no_worse(one.name, of_set, kind) for kind in _GOALS}
        every[one.name] = of_set
    if options.pictures is not None:
        picture.draw(every, options.pictures)
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
