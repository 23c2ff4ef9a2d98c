"""What is wrong with a fit, as far as its learning curves show it."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .._result import RESULTS
from ..fits import Fit, LearningCurves

# A Normal scale that is a fifth too small costs 0.058 nats a value.
_NOTICEABLE = 0.05
# A mean squared error within this share of another one is as good.
_AS_GOOD = 0.05
# A term that makes up this much of the objective leaves the NLL little to say.
_MOST = 0.9
# A term of so many nats cannot move an estimate by more than a tenth of a standard error:
# half the squared distance, in standard errors, is what the NLL rises by.
_NOTHING = 0.005
# Half a nat in total: as far as the NLL rises within one standard error.
_ONE_ERROR = 0.5
# Curves are looked at in twenty windows, or fewer where a window would hold less than three points.
_WINDOWS = 20
_SHORTEST = 3
# Of pure noise, the lowest points of the best of twenty windows and of the last are within 2.7
# typical second differences in 99 of 100 fits; and nine of them tell to a third what is typical.
_AROUND = 5
_BENDS_OF_NOISE = 5
_WIDTH = 96


class Finding(NamedTuple):
    """One thing that is wrong.

    **Attributes:**

    - `kind`: `"overconfident"`, `"overfitting"`, `"turned"`, `"diverging"`, `"dominated"`,
        `"negligible"` or `"not_converged"`.
    - `step`: since when, counted from 0.
    - `sentence`: what it is, with figures, and what to do.
    """

    kind: str
    step: int
    sentence: str


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What `diagnose` found. `print(diagnosis)` reads it out; it is empty if nothing is wrong.

    **Attributes:**

    - `findings`: each thing that is wrong, the gravest first.
    - `unseen`: what could not be looked at, and why.
    - `steps`: how many points were evaluated.
    """

    findings: tuple[Finding, ...]
    unseen: tuple[str, ...]
    steps: int

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the findings."""
        return tuple(finding.kind for finding in self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __getitem__(self, index: int) -> Finding:
        return self.findings[index]

    def __repr__(self) -> str:
        lines = [f"Learning curves of {self.steps} steps: " + ("" if self else "nothing is wrong.")]
        lines += [f"- {each.kind}, since step {each.step}. {each.sentence}" for each in self]
        lines += [f"Not looked at: {each}" for each in self.unseen]
        wrapped = [textwrap.fill(line.rstrip(), _WIDTH, subsequent_indent="  ") for line in lines]
        return "\n".join(wrapped)


def diagnose(fit: Fit | LearningCurves, *, noticeable: float = _NOTICEABLE) -> Diagnosis:
    """Says in words what is wrong with a fit, as far as its learning curves show it.

    **Arguments:**

    - `fit`: a fit with `validation=...` or `curves=True`, or its curves.
    - `noticeable`: from how many nats a value on a worse NLL counts. 0.05 is what a Normal scale
        that is a fifth too small costs.

    The curves are looked at in twenty windows, by the lowest point of each, so that spikes and
    points that a method tried and rejected do not count; and what is called a rise is more than
    noise: five times the typical second difference of the windows near the best, and twice their
    typical depth. Found are:

    - `overconfident`: the validation NLL has risen noticeably since its best window, and the
        validation MSE has not (by more than 5 %): the mean is as good or better, and what the
        likelihood says of the scatter about it is not.
    - `overfitting`: the validation NLL has risen since its best, the training NLL has not.
    - `turned`: both have.
    - `diverging`: the objective itself ended noticeably above its best, where no weight changes.
    - `dominated`: a term makes up more than nine tenths of the objective at the end, where the NLL
        counts by how far it fell if that is more, as its own size depends on the units; or the NLL
        ended worse than it began, and the objective better.
    - `negligible`: a term never was more than 0.005 nats, so that it moves estimates by less
        than a tenth of a standard error.
    - `not_converged`: the steps were used up, and over the last tenth of them the training NLL fell
        by more than half a nat in total, what one standard error is worth. Not said of a fit
        whose validation NLL has risen: more steps would do more of that.

    Raises `ValueError` where no curves were recorded.
    """
    if isinstance(fit, Fit):
        fit = fit.curves
    if not isinstance(fit, LearningCurves):
        raise ValueError(f"diagnose: expected a Fit or its curves, not {type(fit).__name__}.")
    if not noticeable > 0:
        raise ValueError(f"diagnose: noticeable must be positive, got {noticeable}.")
    turned = _turned(fit, noticeable)
    findings = [*turned, *_diverging(fit, noticeable), *_dominated(fit, noticeable)]
    findings += _negligible(fit)
    findings += [] if turned else _not_converged(fit)
    return Diagnosis(tuple(findings), tuple(_unseen(fit)), fit.steps)


class _Windows:
    """Where some curves are finite, in windows of as many points; the last one is the end.

    **Attributes:**

    - `steps`: the steps at which all of them are finite.
    - `size`: how many of these a window holds; the first may hold more.
    - `count`: how many windows there are.
    - `enough`: whether there are two to compare.
    """

    def __init__(self, *curves: np.ndarray):
        self.steps = np.flatnonzero(np.all(np.isfinite(curves), axis=0))
        self.size = max(_SHORTEST, -(-self.steps.size // _WINDOWS))
        self.enough = self.steps.size >= 2 * self.size
        self._starts = np.arange(self.steps.size % self.size, self.steps.size, self.size)
        self._starts[:1] = 0
        self.count = self._starts.size

    def lowest(self, curve: np.ndarray) -> np.ndarray:
        """The lowest point of each window."""
        return np.minimum.reduceat(curve[self.steps], self._starts)

    def noise(self, curve: np.ndarray, near: int) -> float:
        """How far apart two windows may be for no reason, by the eleven windows around one."""
        lowest = self.lowest(curve)
        around = np.isfinite(lowest) & (np.abs(np.arange(self.count) - near) <= _AROUND)
        bends = np.abs(np.diff(lowest[around], 2))  # a trend has none
        parts = np.split(curve[self.steps], self._starts[1:])
        depths = [np.median(parts[i]) - lowest[i] for i in np.flatnonzero(around)]
        between = _BENDS_OF_NOISE * float(np.median(bends)) if bends.size else 0.0
        return max(between, 2 * float(np.median(depths)) if depths else 0.0)


def _turned(curves: LearningCurves, noticeable: float) -> list[Finding]:
    train, validation, step = curves.train_nll, curves.validation_nll, curves.best_step
    if train is None or validation is None or step is None:
        return []
    windows = _Windows(train)
    if not windows.enough:
        return []
    lowest, of_train = windows.lowest(validation), windows.lowest(train)
    best = int(np.argmin(lowest))
    was = f"The validation NLL was lowest there, {lowest[best]:.3g} nats a value, and"
    if np.isinf(lowest[-1]):
        sentence = (
            f"{was} is infinite at the end: the model cannot be solved for these data, or leaves a "
            "measured value no density. Look at what fit.predictor says of them."
        )
        return [Finding("turned", step, sentence)]
    rise = float(lowest[-1] - lowest[best])
    if rise <= max(noticeable, windows.noise(validation, best)):
        return []
    worse = of_train[-1] - of_train[best] > max(noticeable, windows.noise(train, best))
    went = f"while the training NLL went from {of_train[best]:.3g} to {of_train[-1]:.3g}"
    remedy = (
        "Look for what both suffer from: a term, or steps that are too long."
        if worse
        else f"Stop there (max_steps={step + 1}), penalise, or fit fewer parameters."
    )
    sentence = f"{was} at the end {lowest[-1]:.3g} or more, {went}. {remedy}"
    finding = Finding("turned" if worse else "overfitting", step, sentence)
    return [*_overconfident(curves, windows, best, step), finding]


def _overconfident(
    curves: LearningCurves, windows: _Windows, best: int, step: int
) -> list[Finding]:
    if curves.validation_mse is None or curves.validation_nll is None:
        return []
    mse = windows.lowest(curves.validation_mse)
    then, now = mse[best], mse[-1]
    if not (np.isfinite(now) and now <= (1 + _AS_GOOD) * then):
        return []
    fell = now < (1 - _AS_GOOD) * then
    went = f"fell from {then:.3g} to {now:.3g}" if fell else f"stayed near {now:.3g}"
    nll = windows.lowest(curves.validation_nll)
    sentence = (
        f"The validation MSE {went}, while the validation NLL rose by {nll[-1] - nll[best]:.2g} "
        "nats a value or more: the mean is no worse, but the scatter stated about it is, most "
        "often as it became too small. Stop there, or give the scale less freedom."
    )
    return [Finding("overconfident", step, sentence)]


def _diverging(curves: LearningCurves, noticeable: float) -> list[Finding]:
    # Other methods than those of first order begin anew, or try and reject, and do not diverge.
    ended = curves.result in (RESULTS.steps_used_up, RESULTS.frozen)
    to_nats = _nats_a_value(curves)
    if curves.is_scheduled or not ended or to_nats is None:
        return []
    windows = _Windows(curves.objective)
    if not windows.enough:
        return []
    lowest = to_nats * windows.lowest(curves.objective)
    best = int(np.argmin(lowest))
    rise = float(lowest[-1] - lowest[best])
    if rise <= max(noticeable, to_nats * windows.noise(curves.objective, best)):
        return []
    step = int(windows.steps[np.argmin(curves.objective[windows.steps])])
    sentence = (
        f"The objective itself was lowest there, and at the end {rise:.2g} nats a value or more "
        "higher: the steps are too long. Lower the learning rate, or let it decay."
    )
    return [Finding("diverging", step, sentence)]


def _dominated(curves: LearningCurves, noticeable: float) -> list[Finding]:
    if not curves.terms or curves.train_nll is None:
        return []
    windows = _Windows(curves.train_nll, *curves.parts.values())
    if not windows.enough:
        return []
    size, all_sizes = _sizes(curves, windows)
    found = []
    for name in curves.terms:
        share = size[name] / np.where(all_sizes > 0, all_sizes, 1.0)
        at_end = float(np.median(share[-windows.size :]))
        if at_end > _MOST:
            before = np.flatnonzero(share <= _MOST)
            since = before[-1] + 1 if before.size else 0
            step = int(windows.steps[min(since, share.size - 1)])
            sentence = (
                f"{name} makes up {100 * at_end:.0f} % of the objective at the end "
                f"({size[name][-1]:.3g} of {all_sizes[-1]:.3g}): the NLL has little to say. Lower "
                "its weight."
            )
            found.append(Finding("dominated", step, sentence))
    return found or _given_up(curves, windows, noticeable)


def _sizes(curves: LearningCurves, windows: _Windows) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """How much each term is at each usable step, and all parts together."""
    size = {name: np.abs(curves.parts[name][windows.steps]) for name in curves.terms}
    nll = _nll_parts(curves)[windows.steps]
    # An NLL is near zero in some units and far from it in others; what it falls by is not.
    of_nll = np.maximum(np.abs(nll), nll[0] - nll.min())
    return size, of_nll + sum(size.values())


def _given_up(curves: LearningCurves, windows: _Windows, noticeable: float) -> list[Finding]:
    assert curves.train_nll is not None
    first, last = windows.steps[0], windows.steps[-1]
    lowest = windows.lowest(curves.train_nll)
    start, end = curves.train_nll[first], lowest[-1]
    lower = windows.lowest(curves.objective)[-1] < curves.objective[first]
    if not lower or end - start <= max(
        noticeable, windows.noise(curves.train_nll, lowest.size - 1)
    ):
        return []
    fell = {name: curves.parts[name][first] - curves.parts[name][last] for name in curves.terms}
    name = max(fell, key=lambda name: fell[name])
    sentence = (
        f"The training NLL began at {start:.3g} nats a value and ended at {end:.3g}, while {name} "
        f"fell by {fell[name]:.3g}: the fit served the term alone. Lower its weight."
    )
    return [Finding("dominated", int(first), sentence)]


def _negligible(curves: LearningCurves) -> list[Finding]:
    to_nats = _nats_a_value(curves)
    if to_nats is None:
        return []
    found = []
    for name in curves.terms:
        usable = curves.parts[name][np.isfinite(curves.parts[name])]
        most = to_nats * curves.num_observed * float(np.max(np.abs(usable), initial=0.0))
        if 0 < most < _NOTHING:
            sentence = (
                f"{name} never was more than {most:.2g} nats in all, against an NLL of "
                f"{curves.num_observed} values: it moves no estimate by more than "
                f"some {np.sqrt(2 * most):.1g} standard errors. Raise its weight, or leave it out."
            )
            found.append(Finding("negligible", 0, sentence))
    return found


def _not_converged(curves: LearningCurves) -> list[Finding]:
    if curves.result != RESULTS.steps_used_up or curves.train_nll is None:
        return []
    windows = _Windows(curves.train_nll)
    if not windows.enough:
        return []
    curve = curves.train_nll[windows.steps]
    last = max(_SHORTEST, curve.size // 10)
    before, after = curve[:-last], curve[-last:]
    fall = float(before.min() - after.min())
    # Noise has a lowest point too, but not three in four below all that came before.
    if np.quantile(after, 0.75) >= before.min() or fall * curves.num_observed <= _ONE_ERROR:
        return []
    sentence = (
        f"The steps were used up while the training NLL was falling: by {fall:.2g} nats a value, "
        f"{fall * curves.num_observed:.2g} in all, over the last {last}. Allow more steps "
        "(max_steps), go on from fit.predictor, or take longer ones."
    )
    return [Finding("not_converged", int(windows.steps[-last]), sentence)]


def _nll_parts(curves: LearningCurves) -> Any:
    return sum(part for name, part in curves.parts.items() if name not in curves.terms)


def _nats_a_value(curves: LearningCurves) -> float | None:
    """What the objective is to be multiplied by to be in nats a value, whatever its reduction."""
    if curves.train_nll is None or not curves.num_observed:
        return None
    nll = np.asarray(_nll_parts(curves))
    known = np.isfinite(nll) & np.isfinite(curves.train_nll) & (nll != 0)
    if not known.any():
        return None
    return float(np.median(np.abs(curves.train_nll[known] / nll[known])))


def _unseen(curves: LearningCurves) -> Iterator[str]:
    if curves.train_nll is None:
        yield "anything but the objective, as there is no likelihood to measure with."
        return
    if not _Windows(curves.train_nll).enough:
        yield f"anything: fewer than {2 * _SHORTEST} points could be used."
    if curves.validation_nll is None:
        yield "overfitting and overconfidence, for which fit(..., validation=data) is needed."
    elif curves.best_step is None:
        yield "overfitting and overconfidence, as the validation NLL was infinite at every step."
    elif curves.validation_mse is None:
        yield "overconfidence, as the family has no mean whose error could be measured."
