"""How sure? Profiles of lynx and hare, and of what the counts do not say directly.

The model and the counts are those of `lynx_hare.py`. Where the equilibrium lies, and how long a
cycle near it takes, are functions of the rates: their profiles need no formula for errors.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from lynx_hare import data, predictor

import likelihax as lhx

jax.config.update("jax_enable_x64", True)


def functions() -> dict:
    """The hares that feed lynxes and no more, and the period of small cycles, in years."""
    field = lambda p: p.model.field
    return {
        "hares at rest": lambda p: field(p).death / field(p).conversion,
        "period": lambda p: 2 * jnp.pi / jnp.sqrt(field(p).growth * field(p).death),
    }


def main() -> tuple[lhx.Fit, lhx.inference.Profiles, lhx.inference.Profiles]:
    """Fits, profiles, prints both tables, draws the picture."""
    fit = lhx.fit(lhx.NLL(), predictor(), data())
    fitted, derived = lhx.profile(fit), lhx.profile(fit, functions(), num=15)
    print(fitted)
    print(derived)
    picture = Path("profiles.png").resolve()
    lhx.plot.profiles(fitted).savefig(picture, dpi=120)
    print(f"The picture is at {picture}")
    return fit, fitted, derived


def check(fit: lhx.Fit, fitted: lhx.inference.Profiles, derived: lhx.inference.Profiles) -> None:
    """What this script claims."""
    # Everything is determined, and more so to one side: noise could rather be larger than smaller.
    for name, one in fitted.items():
        assert one.verdict == "bounded", name
        assert not one.remarks, one.remarks
        lower, upper = one.interval()
        assert upper - one.estimate > one.estimate - lower, name
    # The period is known to 5 %, though growth and death are to 20 % only.
    lower, upper = derived["period"].interval()
    assert upper - lower < 0.15 * derived["period"].estimate
    wide = np.subtract(*fitted["growth"].interval()[::-1])
    assert wide > 0.35 * fitted["growth"].estimate
    # A maximum of hares every ten years, it is said.
    assert lower < 10 < upper or abs(derived["period"].estimate - 10) < 1


if __name__ == "__main__":
    check(*main())
