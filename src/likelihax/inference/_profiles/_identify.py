"""What is determined, seen further than the curvature reaches."""

from dataclasses import replace

import numpy as np

from ..._information import Identifiability, Open
from ...fits import Fit
from .._checks import check_fit, check_level
from ._profile import Profile, profile


def identify(
    fit: Fit,
    *,
    level: float = 0.95,
    num: int = 12,
    workers: int | None = None,
    progress: bool | None = None,
) -> Identifiability:
    r"""Which parameters the data leave open, by the curvature and then by profiles.

    `Fit.identifiability` names the directions that are flat at the estimates. A parameter with a
    proper minimum may be open all the same, where the NLL rises no further (practical
    identifiability: Raue et al. 2009, Bioinformatics 25, 1923-1929). So whatever looks determined
    is walked along its profile, to where the NLL has risen by $\chi^2_{1, level} / 2$, or as far
    as `likelihax.profile` looks.

    **Arguments:**

    - `fit`: a fit that converged.
    - `level`: the confidence at which each parameter should have an interval with two ends.
    - `num`: about how many points each profile has.
    - `workers`, `progress`: as for `likelihax.profile`.

    Raises `ValueError` where `likelihax.profile` does.
    """
    check_fit(fit, "identify")
    check_level(level, "identify")
    local = fit.identifiability
    names = [name for label in fit.labels for name in label.elements]
    known = [names[i] for i in np.flatnonzero(local.determined)]
    if not known:
        return local
    found = profile(fit, known, num=num, level=level, workers=workers, progress=progress)
    open_ = {name: _open(each) for name, each in found.items() if each.verdict != "bounded"}
    determined = local.determined & np.array([name not in open_ for name in names])
    return replace(local, determined=determined, open=(*local.open, *open_.values()), doubtful=())


def _open(found: Profile) -> Open:
    name = found.name
    if found.verdict == "unfinished":
        sentence = f"Whether {name} is determined cannot be said: {' '.join(found.remarks)}"
        return Open((name,), (), False, sentence)
    if found.verdict == "flat":
        sentence = (
            f"{name} is practically not determined: its profile rises by at most "
            f"{np.max(found.rises):.2g} from {found.values[0]:.3g} to {found.values[-1]:.3g}."
        )
        return Open((name,), (), False, sentence)
    below = found.walks[0].found(found.walks[0].crossing) is None
    side, other, end = ("below", "above", 0) if below else ("above", "below", -1)
    bound = found.interval().upper if below else found.interval().lower
    sentence = (
        f"{name} is practically determined from {other} only, by {bound:.3g}: {side} the estimate "
        f"its profile has risen by {found.rises[end]:.2g} at {found.values[end]:.3g}."
    )
    return Open((name,), (), False, sentence)
