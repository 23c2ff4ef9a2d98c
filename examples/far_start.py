"""Lynx and hare from far starts: where a plain fit is lost, and strategies that are not.

The pelts of `lynx_hare.py`. From all rates at 0.05 the hares are gone within five years, and a
plain fit gives up swings altogether: a slow decline of hares that do not grow. From a growth of
100 and all else at 1 the equations cannot even be solved, so that it cannot begin.
`strategy="auto"` gets away from both by a curve whose slope is matched to the equations, nothing
being solved; `MultipleShooting` from the first by pieces that need not join. All end where
`lynx_hare.py` does.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
from lynx_hare import HARE, LYNX, YEARS, LotkaVolterra, data

import likelihax as lhx

jax.config.update("jax_enable_x64", True)

RATES = ("growth", "predation", "death", "conversion")
SLOW = (0.05, 0.05, 0.05, 0.05)
FAST = (100.0, 1.0, 1.0, 1.0)


def fitted(start: tuple[float, ...], strategy: object = None) -> lhx.Fit:
    """The fit of `lynx_hare.py` from other rates."""
    field = LotkaVolterra(*map(lhx.positive, start))
    predictor = lhx.Predictor(
        lhx.ODE(field, initial=lhx.positive([30.0, 4.0], name=("hare", "lynx"))),
        lhx.likelihoods.LogNormal(sigma=lhx.positive([0.3, 0.3], name=("hare", "lynx"))),
    )
    return lhx.fit(lhx.NLL(), predictor, data(), strategy=strategy, throw=False)


def main() -> dict[str, lhx.Fit]:
    """Fits in five ways, prints what each found, draws the picture."""
    fits = {
        "0.05, plain": fitted(SLOW),
        "0.05, auto": fitted(SLOW, "auto"),
        "0.05, pieces": fitted(SLOW, lhx.fits.MultipleShooting()),
        "100, plain": fitted(FAST),
        "100, auto": fitted(FAST, "auto"),
    }
    print(f"{'growth at start':16}{'NLL':>10}" + "".join(f"{rate:>12}" for rate in RATES))
    for name, fit in fits.items():
        rates = "".join(f"{fit.estimates[rate]:12.4f}" for rate in RATES)
        print(f"{name:16}{fit.nll:10.3f}{rates}  {'' if fit.success else 'not '}converged")
    print(f"auto: {fits['0.05, auto'].reason}")
    draw(fits["0.05, plain"], fits["0.05, auto"])
    return fits


def draw(lost: lhx.Fit, found: lhx.Fit) -> None:
    """The counts, and where the start, the lost fit and the other one go."""
    years = jnp.linspace(YEARS[0], YEARS[-1], 401)
    solved = eqx.filter_jit(lambda predictor: lhx.resolve(predictor).model(years))
    curves = {
        "start": (solved(lost.problem.predictor), "0.6", "--"),
        "plain fit from there": (solved(lost.predictor), "C1", "-"),
        'strategy="auto" from there': (solved(found.predictor), "C0", "-"),
    }
    figure, both = plt.subplots(2, 1, figsize=(8, 5), sharex=True, layout="constrained")
    counted = zip(both, (HARE, LYNX), ("hare", "lynx"), strict=True)
    for column, (axes, counts, animal) in enumerate(counted):
        axes.plot(YEARS, counts, "k.", label="counted")
        for label, (curve, color, style) in curves.items():
            axes.plot(years, curve[:, column], color=color, ls=style, label=label)
        axes.set(ylabel=f"{animal} [thousands of pelts]", ylim=(0, 1.25 * max(counts)))
    both[1].xaxis.set_major_locator(plt.MultipleLocator(5))
    both[1].set_xlabel("year")
    both[0].legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    picture = Path("far_start.png").resolve()
    figure.savefig(picture, dpi=120)
    plt.close(figure)
    print(f"The picture is at {picture}")


def check(fits: dict[str, lhx.Fit]) -> None:
    """What this script claims."""
    lost, unsolved = fits.pop("0.05, plain"), fits.pop("100, plain")
    assert lost.result == lhx.RESULTS.runaway
    assert lost.nll > 122.926 + 40
    assert lost.estimates["growth"] < 1e-6
    assert unsolved.result == lhx.RESULTS.start_failed
    # The optimum that `lynx_hare.py` reaches from a start near it.
    optimum = {"growth": 0.54, "predation": 0.02716, "death": 0.7966, "conversion": 0.0237}
    for start, fit in fits.items():
        assert fit.success, (start, fit.message)
        assert abs(fit.nll - 122.926) < 1e-3, start
        for name, value in optimum.items():
            assert abs(fit.estimates[name] / value - 1) < 1e-3, (start, name)
    assert fits["0.05, auto"].reason.startswith("GradientMatching, since the data turn 3 times")


if __name__ == "__main__":
    check(main())
