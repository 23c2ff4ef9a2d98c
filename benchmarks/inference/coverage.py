"""How often 95 % intervals of simulated lynx-hare data sets hold the truth.

The bar is for profile intervals with the Bartlett factor, each half of the data sets with the
factor of the other; the plain ones, which are too short for 42 values, are printed beside, and
those of standard errors.
"""

import jax
import numpy as np

import likelihax as lhx
from examples.lynx_hare import data, predictor

NUM = 500
KEY = jax.random.key(0)
LEAST, MOST = 0.93, 0.97


def run() -> int:
    """Prints the table; 0 if every corrected coverage is within the bar."""
    fit = lhx.fit(lhx.NLL(), predictor(), data())
    refits = lhx.simulate_and_refit(fit, NUM, key=KEY)
    print(refits)
    counted = {**refits.coverage, "corrected": refits.bartlett_coverage}
    for kind, shares in counted.items():
        outside = [n for n, s in zip(refits.names, shares, strict=True) if not LEAST <= s <= MOST]
        print(f"{kind}: {', '.join(outside) or 'none'} outside {LEAST:.0%} to {MOST:.0%}")
    corrected = refits.bartlett_coverage
    met = bool(np.all((corrected >= LEAST) & (corrected <= MOST)))
    met = met and refits.endings == {"successful": NUM} and bool(np.all(np.isfinite(refits.roots)))
    print(f"corrected profile intervals: {'met' if met else 'NOT MET'}")
    return 0 if met else 1
