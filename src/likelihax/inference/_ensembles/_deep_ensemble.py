"""Networks from different beginnings, fitted to the same data at the same time."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from ..._keys import check_key
from ..._predictor import Predictor
from ...fits import AbstractMethod, Fit, Problem
from ...fits._prepare import prepare, solved_like
from ...objectives import AbstractObjective
from ._ensemble import Ensemble
from ._refits import Refits, refits

# What a fit that ended so left behind is not a trained network.
_NOT_TRAINED = ("start_failed", "frozen", "interrupted")


@dataclass(frozen=True, eq=False, repr=False)
class DeepEnsemble:
    """The fits of a deep ensemble, and what they predict together.

    **Attributes:**

    - `refits`: the fits and how they ended.
    """

    refits: Refits

    @cached_property
    def used(self) -> tuple[int, ...]:
        """The numbers of the fits that are members: those that were trained to a finite objective.

        That a fit used up its steps is how the training of a network usually ends; it counts.
        """
        ended = zip(self.refits.results, self.refits.totals, strict=True)
        good = [result not in _NOT_TRAINED and np.isfinite(total) for result, total in ended]
        return tuple(int(i) for i in np.flatnonzero(good))

    @cached_property
    def fits(self) -> tuple[Fit, ...]:
        """The fit from each beginning, whether or not it succeeded."""
        return tuple(self.refits.fit(i) for i in range(len(self.refits)))

    @cached_property
    def ensemble(self) -> Ensemble:
        """The members as one, all with the same weight. Raises `ValueError` where there is none."""
        if not self.used:
            raise ValueError(f"deep_ensemble: no fit was trained: {self.fits[0].message}")
        return Ensemble([self.fits[i] for i in self.used])

    @property
    def endings(self) -> dict[str, int]:
        """How many fits ended in each way, the most frequent first."""
        return self.refits.endings

    def __repr__(self) -> str:
        each = self.refits
        totals = each.totals[list(self.used)]
        lines = [f"Deep ensemble of {len(self.used)} members, of {len(each)} fitted"]
        if totals.size:
            lines.append(
                f"objective from {totals.min():.6g} to {totals.max():.6g}, "
                f"median {np.median(totals):.6g}"
            )
        ended = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in each.endings.items())
        lines.append(f"how the fits ended: {ended}")
        lines.append(f"compiled in {each.compile_seconds:.2f} s, ran in {each.run_seconds:.2f} s")
        return "\n".join(lines)


def deep_ensemble(
    objective: AbstractObjective,
    make_predictor: Callable[[Array], Predictor],
    data: Any,
    *,
    num: int,
    key: Array,
    method: AbstractMethod | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> DeepEnsemble:
    """Fits predictors from different random beginnings to the same data.

    Where data are plenty the members agree, where there are none they go apart, each its own way:
    that is what `ensemble(x).epistemic` measures. All see all of the data, as B. Lakshminarayanan,
    A. Pritzel and C. Blundell found best (2017, "Simple and scalable predictive uncertainty
    estimation using deep ensembles", NeurIPS 30, section 2.4).

    **Arguments:**

    - `objective`, `data`, `method`: as for `fit`.
    - `make_predictor`: from a JAX random key to a predictor; all must be built alike.
    - `num`: how many.
    - `key`: a JAX random key, split for the predictors.
    - `workers`: how many fits run at the same time: by default as many as there are cores on a
        CPU, and all on an accelerator. One compilation serves all.
    - `progress`: whether to show a bar; by default in a terminal or a notebook.

    Raises `ValueError` for arguments that cannot be right. A fit that cannot begin is no member,
    and counted in `endings`.
    """
    if num < 1:
        raise ValueError(f"deep_ensemble: num must be 1 or more, got {num}.")
    check_key(key, "deep_ensemble")
    if not callable(make_predictor) or isinstance(make_predictor, Predictor):
        raise ValueError(
            "deep_ensemble: make_predictor must be a function from a random key to a predictor, "
            f"got {type(make_predictor).__name__}."
        )
    problems: list[Problem] = []
    for each in jax.random.split(key, num):
        method, problem = prepare(objective, make_predictor(each), data, method)
        problems.append(solved_like(problems[0], problem) if problems else problem)
    assert method is not None
    return DeepEnsemble(
        refits(method, problems, workers=workers, progress=progress, label="deep_ensemble")
    )
