"""How much of a fitted vector field the learned part carries."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from .._predictor import Predictor
from ..data import Experiment, Experiments
from ..models import ODE, Contributions
from ..models._contributions import contributions, is_partly_learned

Matrix = NDArray[np.floating]


@dataclass(frozen=True, repr=False)
class LearnedShare:
    r"""How much of the rates of change is learned. `print(share)` shows it as a table.

    $$\frac{\sum|f_\text{learned}|}{\sum|f_\text{known}| + \sum|f_\text{learned}|}$$

    of each component of the state, summed over times evenly spread along the fitted trajectory;
    half where both parts cancel. What `inputs.Doses` put into the state is in neither.

    **Attributes:**

    - `parts`: the `Contributions` of each experiment, under its name.
    """

    parts: dict[str, Contributions]

    @property
    def components(self) -> tuple[str, ...]:
        """What the components of the state are called."""
        return next(iter(self.parts.values())).names

    @property
    def success(self) -> bool:
        """Whether every experiment could be solved at the estimates."""
        return all(bool(part.success) for part in self.parts.values())

    @cached_property
    def by_experiment(self) -> dict[str, Matrix]:
        """The share of each component, in each experiment."""
        return {name: _share(*_sizes([part])) for name, part in self.parts.items()}

    @cached_property
    def shares(self) -> Matrix:
        """The share of each component, over all experiments; each of them counts alike."""
        return _share(*_sizes(list(self.parts.values())))

    @property
    def overall(self) -> float:
        """The mean over the components that the learned part enters; 0 where it enters none."""
        entered = self.shares[self.shares != 0]
        return float(np.mean(entered)) if entered.size else 0.0

    def __repr__(self) -> str:
        if not self.success:
            return f"{_TITLE}: not known, as the model could not be solved at the estimates."
        known, learned = _sizes(list(self.parts.values()))
        wide = max(len("component"), *map(len, self.components))
        lines = [f"{_TITLE}: {_percent(self.overall)}"]
        lines.append(f"{'component':{wide}}  {'mean |known|':>12}  {'mean |learned|':>14}  share")
        for row in zip(self.components, known, learned, self.shares, strict=True):
            name, of_known, of_learned, share = row
            lines.append(f"{name:{wide}}  {of_known:12.4g}  {of_learned:14.4g}  {_percent(share)}")
        if len(self.parts) > 1:
            lines += self._extremes()
        return "\n".join(lines)

    def _extremes(self) -> list[str]:
        lines = []
        for i, component in enumerate(self.components):
            each = {name: float(shares[i]) for name, shares in self.by_experiment.items()}
            least, most = min(each, key=each.__getitem__), max(each, key=each.__getitem__)
            if each[most] > 0:
                lines.append(
                    f"{component}: from {_percent(each[least])} in {least} to "
                    f"{_percent(each[most])} in {most}"
                )
        return lines


_TITLE = "Learned share of the rates of change"


def has_share(predictor: Any, data: Any) -> bool:
    """Whether there is a vector field with a learned part, and a trajectory to look at it on."""
    solved = isinstance(predictor, Predictor) and isinstance(data, Experiment | Experiments)
    return solved and is_partly_learned(predictor.model)


def share_along(predictor: Any, data: Any, points: int) -> LearnedShare:
    """The share at so many times of each experiment; see `diagnostics.learned_share`."""
    each = data.experiments if isinstance(data, Experiments) else (data,)
    return LearnedShare(
        {one.name: _along(predictor.of(data, one.name).model, one, points) for one in each}
    )


def share_line(predictor: Any, data: Any) -> str | None:
    """One line for a report; `None` where nothing is learned."""
    if not has_share(predictor, data):
        return None
    share = share_along(predictor, data, _POINTS)
    if not share.success:
        return "learned part: its share is not known, as the model could not be solved"
    pairs = zip(share.components, share.shares, strict=True)
    each = ", ".join(f"{name} {_percent(one)}" for name, one in pairs)
    return f"learned part: {_percent(share.overall)} of the rates of change ({each})"


_ROUNDED = 64
# Enough to sum over, few enough not to be noticed.
_POINTS = 200


def _along(model: Any, data: Experiment, points: int) -> Contributions:
    first = model.start_time(data.times) if isinstance(model, ODE) else data.times[0]
    times = jnp.linspace(first, data.times[-1], points)
    return _contributions(model, jnp.asarray(first), times, data.inputs)


_contributions = eqx.filter_jit(contributions)


def _sizes(parts: list[Contributions]) -> tuple[Matrix, Matrix]:
    mean = lambda arrays: np.mean([np.mean(np.abs(np.asarray(a)), axis=0) for a in arrays], axis=0)
    known, learned = mean([part.known for part in parts]), mean([part.learned for part in parts])
    # A difference of two that are rounded apart is nothing that was learned.
    rounding = _ROUNDED * float(jnp.finfo(parts[0].known.dtype).eps) * known
    return known, np.where(learned > rounding, learned, 0.0)


def _share(known: Matrix, learned: Matrix) -> Matrix:
    whole = known + learned
    return np.where(whole > 0, learned / np.where(whole > 0, whole, 1.0), 0.0)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.4g} %"
