"""Lynx and hare: the posterior of Carpenter's case study, by NUTS.

The model and the counts are those of `lynx_hare.py`; the priors are Carpenter's (2018,
"Predator-prey population dynamics", a Stan case study), whose posterior means are growth 0.55,
predation 0.028, death 0.80 and conversion 0.024, and both noises 0.25.
"""

from pathlib import Path

import jax
import numpy as np
import numpyro.distributions as dist
from lynx_hare import data, predictor

import likelihax as lhx
from likelihax.terms import Prior

jax.config.update("jax_enable_x64", True)


def objective() -> lhx.AbstractObjective:
    """The NLL, and a prior on every parameter, in natural units."""
    above = lambda loc, scale: dist.TruncatedNormal(loc, scale, low=0.0)
    return (
        lhx.NLL()
        + Prior(lambda p: (p.model.field.growth, p.model.field.death), above(1.0, 0.5))
        + Prior(lambda p: (p.model.field.predation, p.model.field.conversion), above(0.05, 0.05))
        + Prior(lambda p: p.model.initial, dist.LogNormal(np.log(10.0), 1.0))
        + Prior(lambda p: p.likelihood.sigma, dist.LogNormal(-1.0, 1.0))
    )


def main() -> lhx.Draws:
    """Samples, prints the table, draws the picture."""
    draws = lhx.sample(objective(), predictor(), data(), key=jax.random.key(0))
    print(draws)
    picture = Path("lynx_hare_posterior.png").resolve()
    lhx.plot.posterior(draws).savefig(picture, dpi=72)
    print(f"The picture is at {picture}")
    return draws


def check(draws: lhx.Draws) -> None:
    """What this script claims: the chains agree, and lie where Carpenter's do."""
    assert not draws.warnings, draws.warnings
    # Means and standard deviations of 10,000 draws of Stan (posteriordb).
    stan = {
        "growth": (0.5469, 0.0631),
        "predation": (0.02775, 0.00415),
        "death": (0.8001, 0.0894),
        "conversion": (0.02409, 0.00353),
    }
    for name, (mean, sd) in stan.items():
        assert abs(draws.mean[name] - mean) < 0.1 * sd + 4 * draws.mcse[name], name
        assert abs(draws.sd[name] / sd - 1) < 0.1, name
    # What would be measured: about 19 in 20 counts lie in the 95 % band of new ones.
    new = draws.posterior_predictive(jax.random.key(1))
    low, high = np.quantile(new, [0.025, 0.975], axis=(0, 1))
    counts = np.asarray(data().values)
    assert np.mean((counts > low) & (counts < high)) > 0.85


if __name__ == "__main__":
    check(main())
