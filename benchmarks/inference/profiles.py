"""Profiles of all eight lynx-hare parameters, 30 points each, against one warm fit."""

import likelihax as lhx
from benchmarks.speed.case import interleaved
from examples.lynx_hare import data, predictor

NUM = 30
# In warm fits.
BAR = 100.0
ROUNDS = 11


def run() -> int:
    """Prints the table, the medians and their ratio; 0 if the bar is met."""
    model, measured = predictor(), data()
    once = lambda: lhx.fit(lhx.NLL(), model, measured)
    fit = once()
    found = lhx.profile(fit, num=NUM)
    print(found)
    points = [one.values.size for one in found.values()]
    bounded = all(one.verdict == "bounded" and one.converged.all() for one in found.values())
    ours, peer = interleaved(lambda: lhx.profile(fit, num=NUM), once, ROUNDS)
    met = ours / peer < BAR and bounded and min(points) >= NUM
    print(
        f"{len(points)} profiles of {min(points)} points or more: {1e3 * ours:.0f} ms; one warm "
        f"fit: {1e3 * peer:.1f} ms; ratio {ours / peer:.1f}, to be below {BAR:g}: "
        f"{'met' if met else 'NOT MET'} (medians of {ROUNDS})"
    )
    return 0 if met else 1
