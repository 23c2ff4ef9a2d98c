"""A walk along a profile, outwards from the minimum, to one side."""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ...fits import Record
from ._local import Local
from ._pulled import Request, Steps, converged
from ._quantity import Quantity

# How hard a number is pulled, as a multiple of the curvature of its profile. The harder, the
# nearer to where it was sent; the profile is exact for any.
_WEIGHT = 1e3
# From one step to the next it grows by at most this factor, beyond what was asked for.
_GROWTH = 2.0
# So often a shorter step is tried where a fit fails.
_SHORTER = 5
# A rise below this, in nats, is rounding or what a fit's tolerance leaves, above a lower minimum.
_SAME = 1e-4
# A crossing is interpolated where a point is this near to it, as a share of the signed root.
_NEAR = 0.02
# Less than this share of a step that was asked for means that there is nowhere to go.
_STUCK = 1e-3
# Parameters have run off when they are so many units of the fitter away, a factor of a hundred; and
# the objective is level if on the second half of that way it rose by less than this share of what
# is looked for.
_FAR = 4.6
_LEVEL = 0.1

End = Literal["crossed", "reach", "edge", "lost", "lower", "interrupted"]


@dataclass(frozen=True, eq=False)
class Point:
    """A point of a profile.

    **Attributes:**

    - `at`: the coordinate.
    - `rise`: the objective there, above the minimum.
    - `root`: the root of twice the rise.
    - `slope`: how fast the objective rises outwards.
    - `theta`: all parameters there.
    - `converged`: whether the fit of the others was.
    """

    at: float
    rise: float
    slope: float
    theta: np.ndarray
    converged: bool = True

    @property
    def root(self) -> float:
        """The root of twice the rise: 2 is two standard errors."""
        return math.sqrt(2.0 * max(self.rise, 0.0))


@dataclass(eq=False)
class Walk:
    """The points of a profile to one side of the minimum, found one after the other.

    **Arguments:**

    - `quantity`: what is held at a value, `measure` its coordinate at a point.
    - `origin`: the minimum.
    - `side`: -1 or 1.
    - `roots`: at about which roots of twice the rise there should be points.
    - `crossing`: the root that is to be found closely.

    **Attributes:**

    - `points`: from the origin outwards.
    - `end`: why there are no more: beyond all `roots`; as far as one would look, or at an edge of
        what can be reached; where fits failed; below the minimum; or the user interrupted.
    - `lower`: where it was below the minimum.
    - `failed_solves`, `unusable`, `evaluations`: how many points could not be solved, and how many
        could not be evaluated for whatever reason, of how many.
    """

    quantity: Quantity
    measure: Callable[[np.ndarray], float]
    origin: Local
    side: Literal[-1, 1]
    roots: Sequence[float]
    crossing: float
    values: np.ndarray | None = None
    points: list[Point] = field(default_factory=list)
    end: End = "interrupted"
    lower: Point | None = None
    failed_solves: int = 0
    unusable: int = 0
    evaluations: int = 0

    def __post_init__(self) -> None:
        which = self.quantity.which
        self._error = self.origin.standard_error(which)
        self._tangent = self.origin.tangent(which)
        centre = float(self.origin.numbers[which])
        self._reach = self.quantity.reach(centre, self._error)
        self._direction = np.zeros(len(self.origin.numbers))
        self._direction[which] = 1.0
        self.points.append(Point(centre, 0.0, 0.0, self.origin.theta))

    @property
    def standard_error(self) -> float:
        """That of the curvature at the minimum, of the coordinate; infinite where it is flat."""
        return self.origin.known_error(self.quantity)

    def steps(self) -> Steps:
        """Asks for the fits that it takes."""
        most = 3 * len(self.roots) + 20
        while len(self.points) < most:
            target = self._target()
            if target is None:
                self.end = "crossed"
                break
            gone = abs(self.points[-1].at - self.points[0].at)
            if gone >= self._reach * (1 - 1e-6):
                self.end = "reach"
                break
            point = yield from self._next(self._length(target), target)
            if point is None:
                return
            if abs(point.at - self.points[-1].at) <= _STUCK * max(self._asked, 0.01 * gone):
                self.end = "lost" if self.unusable and not self._is_level(point) else "edge"
                break
            self.points.append(point)
        else:
            self.end = "lost"
        yield from self._polish()

    def _is_level(self, point: Point) -> bool:
        """Whether parameters ran off and the objective no longer rises, as it is at an edge."""
        away = lambda p: float(np.max(np.abs(p.theta - self.origin.theta)))
        whole = away(point)
        before = max(p.rise for p in self.points if away(p) <= 0.5 * whole)
        return whole > _FAR and point.rise - before < _LEVEL * 0.5 * self.crossing**2

    def _target(self) -> float | None:
        """The next of the roots that was not passed."""
        here = self.points[-1].root
        passed = here + 0.25 * self.roots[0]
        onward = next((root for root in self.roots if root > passed), None)
        # The last one is not nearly passed, it is reached.
        last = self.roots[-1]
        return last if onward is None and here < (1 - 0.5 * _NEAR) * last else onward

    def _length(self, target: float) -> float:
        """How far to go for the rise to be what it should."""
        last = self.points[-1]
        left = self._reach - abs(last.at - self.points[0].at)
        by = target - last.root
        if len(self.points) == 1:
            return min(by * self._error, self._reach / 8)
        before = self.points[-2]
        slow, slower = self._pace(last), self._pace(before)
        length = by * slow
        apart = last.root - before.root
        if math.isfinite(length) and apart > 0.2 * self.roots[0]:
            bent = length + 0.5 * (slow - slower) / apart * by**2
            length = min(max(bent, 0.3 * length), 3.0 * length)
        most = _GROWTH * abs(last.at - before.at)
        return min(length if length > 0 else most, most, left)

    def _pace(self, point: Point) -> float:
        """How far one goes for the root to grow by one."""
        if point is self.points[0]:
            return self._error
        return point.root / point.slope if point.slope > 0 else math.inf

    def _next(self, length: float, target: float) -> Generator[Request, Record, Point | None]:
        """A point about so far on; `None` where there is none, and `end` says why."""
        last = self.points[-1]
        for attempt in range(_SHORTER + 1):
            self._asked = length
            at = last.at + self.side * length
            begin = self._predicted(at, length) if attempt < 2 else last.theta
            point = yield from self._fit(at, begin, self._steepness(length))
            if point is not None and point.rise < -max(_SAME, 1e-9 * abs(self.origin.total)):
                self.lower, self.end = point, "lower"
                return None
            if point is None or not (point.converged or attempt >= 2):
                length /= 3
                continue
            too_far = point.root - target
            if too_far > 1.5 * self.roots[0] and attempt < 3:
                share = (target - last.root) / (point.root - last.root)
                length *= min(max(share, 0.1), 0.7)
                continue
            return point
        self.end = "lost"
        return None

    def _steepness(self, length: float) -> float:
        """The slope so far on, going by the last one and by how it changed."""
        last = self.points[-1]
        if len(self.points) == 1:
            return length / self._error**2
        before = self.points[-2]
        change = (last.slope - before.slope) / abs(last.at - before.at)
        return max(last.slope + change * length, 0.0)

    def _weight(self) -> float:
        last = self.points[-1]
        here = 1.0 / self._pace(last) if self._pace(last) > 0 else 0.0
        widest = 1.0 / max(self._reach, np.finfo(float).tiny)
        return _WEIGHT * max(1.0 / self._error, here, widest) ** 2

    def _fit(
        self, at: float, begin: np.ndarray, slope: float
    ) -> Generator[Request, Record, Point | None]:
        """The point of the profile near `at`; `None` where the fit did not even begin."""
        weight = self._weight()
        # Sent a little beyond, by what the objective pulls back.
        centre = at + self.side * slope / weight
        record = yield Request(begin, self._direction, centre, weight, self.values)
        self.failed_solves += int(record.failed_solves)
        unusable = (record.failed_solves, record.value_nans, record.gradient_nans)
        self.unusable += sum(map(int, unusable))
        self.evaluations += int(record.steps)
        if not np.isfinite(record.total):
            return None
        theta = np.array(record.theta)
        reached = self.measure(theta)
        away = centre - reached
        total = float(record.total) - 0.5 * weight * away**2
        pulled = self.side * weight * away + self._left(record, theta, reached)
        return Point(reached, total - self.origin.total, pulled, theta, converged(record))

    def _left(self, record: Record, theta: np.ndarray, reached: float) -> float:
        """What of the slope a fit that ended within its tolerance left in its gradient."""
        last = self.points[-1]
        moved = abs(reached - last.at)
        if moved == 0:
            return 0.0
        return float(np.asarray(record.gradient) @ (theta - last.theta)) / moved

    def _predicted(self, at: float, length: float) -> np.ndarray:
        """All parameters where the coordinate is `at`, by a polynomial through the last points."""
        known = [(p.at, p.theta) for p in self.points]
        # The tangent at the minimum counts as one more point there.
        nodes = [known[0], *known][-4:]
        if len(known) > 2 and length > 1.5 * abs(known[-1][0] - known[-2][0]):
            nodes = known[-2:]
        return _newton(nodes, self._tangent, at)

    def _polish(self) -> Steps:
        """Adds points where the crossing is not close to one."""
        for _ in range(5):
            place = _bracket(self.points, self.crossing)
            if place is None:
                return
            a, b = self.points[place - 1 : place + 1]
            if min(abs(p.root - self.crossing) for p in (a, b)) <= _NEAR * self.crossing:
                return
            at = self.crossing_between(a, b, self.crossing)
            share = (at - a.at) / (b.at - a.at)
            begin = a.theta + share * (b.theta - a.theta)
            point = yield from self._fit(at, begin, a.slope + share * (b.slope - a.slope))
            if point is None or not min(a.at, b.at) < point.at < max(a.at, b.at):
                return
            self.points.insert(place, point)

    def rise_at(self, at: float) -> Generator[Request, Record, float | None]:
        """How far the objective has risen at one value of the coordinate; `None` if not known."""
        whole = abs(at - self.points[0].at)
        if whole == 0:
            return 0.0
        # In one step, or in shorter ones where that fails.
        for count in (1, 4):
            self.points = self.points[:1]
            point: Point | None = None
            for i in range(1, count + 1):
                there = self.points[0].at + (at - self.points[0].at) * i / count
                length = abs(there - self.points[-1].at)
                begin = self._predicted(there, length)
                point = yield from self._fit(there, begin, self._steepness(length))
                if point is None or not point.converged:
                    break
                self.points.append(point)
            if point is not None and len(self.points) == count + 1:
                return point.rise + self.side * point.slope * (at - point.at)
        return None

    def found(self, root: float) -> float | None:
        """The coordinate where the root of twice the rise is first so large; `None` if nowhere."""
        place = _bracket(self.points, root)
        if place is not None:
            a, b = self.points[place - 1 : place + 1]
            return self.crossing_between(a, b, root)
        last = self.points[-1]
        # Only a walk that ended since this was near enough: on a plateau, near is not across.
        near = self.end == "crossed" and last.root >= (1 - _NEAR) * root
        if len(self.points) > 1 and near and last.slope > 0:
            return last.at + self.side * self._pace(last) * (root - last.root)
        return None

    def crossing_between(self, a: Point, b: Point, root: float) -> float:
        """Cubic interpolation in the root, where the slopes at both ends are known."""
        apart = b.root - a.root
        share = (root - a.root) / apart
        chord = b.at - a.at
        paces = [self.side * self._pace(p) * apart for p in (a, b)]
        # A cubic with slopes beyond thrice the chord's need not be monotone.
        if not all(0 <= pace / chord <= 3 for pace in paces):
            return a.at + share * chord
        start, stop = paces
        bend = (start - chord) * (1 - share) + (chord - stop) * share
        return a.at + share * chord + share * (1 - share) * bend


def _bracket(points: Sequence[Point], root: float) -> int | None:
    """The first point at or beyond a root."""
    return next((i for i, p in enumerate(points) if i and p.root >= root), None)


def _newton(nodes: Sequence[tuple[float, Any]], tangent: np.ndarray, at: float) -> np.ndarray:
    """Newton's interpolation; the first two nodes may coincide, with `tangent` for their slope."""
    places = [x for x, _ in nodes]
    table = [np.asarray(y, float) for _, y in nodes]
    total, product = table[0], 1.0
    for order in range(1, len(nodes)):
        above = []
        for i in range(len(table) - 1):
            apart = places[i + order] - places[i]
            above.append(tangent if apart == 0 else (table[i + 1] - table[i]) / apart)
        table = above
        product *= at - places[order - 1]
        total = total + table[0] * product
    return total
