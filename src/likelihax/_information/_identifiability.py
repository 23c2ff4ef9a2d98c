"""Which parameters the data leave open, said in the user's own names.

A direction of the parameters along which the objective does not change is found in the spectrum
of the information, and named by what does not change along it: a product, a ratio, a sum.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._parameters import unit_kinds
from ..objectives import Unknowns
from ._combinations import combined, connected, kernel_of, reduced, whole_numbers
from ._spread import Spread

# How long a standard error is before its parameter counts as practically not determined, in the
# units that a fit sees. Through a logarithm: a 95 % interval of more than a factor of a thousand.
# For a real one with a scale, in that scale. A bare array has none to compare with.
_LIMITS = {"transformed": float(np.log(1e3)) / (2 * 1.959964), "real": 1e3, "bare": np.inf}
# From here on, a symmetric 95 % interval of a positive number reaches below zero.
_DOUBTFUL = 0.51
# How much of a parameter's own reach a flat direction must make up to be named with it, and how
# near to whole numbers its coefficients are: a direction that is only nearly flat is known less
# well. What is named is confirmed in either case.
_SHARE = {True: 1e-4, False: 0.1}
_NEAR = {True: 2e-3, False: 0.1}
# By how much the objective, in nats, may change along a direction whose name is right: where it
# is practically flat, and where it is exactly.
_UNCHANGED, _EXACTLY = 0.1, 1e-4


class Open(NamedTuple):
    """Some parameters that the data do not determine, each by itself.

    **Attributes:**

    - `names`: what they are called.
    - `determined`: the combinations of them that are determined, as formulas; empty if none is,
        or none has a simple form.
    - `exact`: whether the objective does not depend on them at all along their direction; if not,
        it does, but so little that the estimates say next to nothing.
    - `sentence`: the same in words.
    """

    names: tuple[str, ...]
    determined: tuple[str, ...]
    exact: bool
    sentence: str


@dataclass(frozen=True, eq=False, repr=False)
class Identifiability:
    """What the curvature at the estimates says about what is determined. Local, not a profile.

    **Attributes:**

    - `strengths`: the spectrum of the information, its diagonal scaled to 1, ascending; shape
        `(size,)`. Their ratio is what collinearity means.
    - `determined`: for each number, in the order of the labels, whether it is, by itself.
    - `open`: what is not, one entry for what belongs together.
    - `doubtful`: which of those that are have a standard error so long, for a number with a
        constraint, that a symmetric interval would reach beyond it.
    """

    strengths: np.ndarray
    determined: np.ndarray
    open: tuple[Open, ...]
    doubtful: tuple[str, ...] = ()

    @property
    def is_identified(self) -> bool:
        """Whether every parameter is determined by itself."""
        return not self.open

    @property
    def condition_number(self) -> float:
        """The strongest direction's strength over the weakest one's; infinite for a flat one."""
        weakest, strongest = float(np.min(self.strengths)), float(np.max(self.strengths))
        return strongest / weakest if weakest > 0 else np.inf

    def __repr__(self) -> str:
        lines = list(self.sentences)
        if self.is_identified:
            lines.insert(0, "Every parameter is determined by itself.")
        number = f"{self.condition_number:.2g}"
        return "\n".join([*lines, f"Condition number of the scaled information: {number}."])

    @property
    def sentences(self) -> tuple[str, ...]:
        """What there is to say, in words; nothing where all is well."""
        found = [each.sentence for each in self.open]
        if self.doubtful:
            found.append(
                f"A symmetric interval says little about {_listed(self.doubtful)}: see "
                "likelihax.identify."
            )
        return tuple(found)


class _Point(NamedTuple):
    """Where the spectrum was taken: names, natural values, the way to them, and the objective."""

    names: tuple[str, ...]
    values: np.ndarray
    to_natural: np.ndarray
    evaluate: Callable[[np.ndarray], float]


def identified(
    spread: Spread,
    unknowns: Unknowns,
    to_natural: np.ndarray,
    values: np.ndarray,
    evaluate: Callable[[np.ndarray], float],
) -> Identifiability:
    """What is determined, from the spread of the estimates at natural `values`.

    `evaluate` is the objective at other natural values, infinite outside the constraints. It is
    called only where a name is to be confirmed.
    """
    names = tuple(name for label in unknowns.labels() for name in label.elements)
    point = _Point(names, values, to_natural, evaluate)
    limits = np.array([_LIMITS[kind] for kind in unit_kinds(unknowns)])
    known = spread.through(to_natural)
    lengths = np.linalg.norm(to_natural, axis=1)
    # At the very edge of a range nothing moves any more.
    errors = np.sqrt(np.diag(known.matrix)) / np.where(lengths > 0, lengths, 1.0)
    errors = np.where(lengths > 0, errors, np.inf)
    determined = known.determined & (errors <= limits)
    found: list[Open] = []
    for exact in (True, False):
        named = {name for each in found for name in each.names}
        which = _flat(spread, point, limits, exact)
        rest = ~determined & [name not in named for name in names]
        found += _opened(spread, point, which, rest, exact)
    named = {name for each in found for name in each.names}
    for i in np.flatnonzero(~determined):
        if names[i] not in named:
            found.append(_alone(names[i], float(errors[i]), float(limits[i])))
    long = determined & (limits == _LIMITS["transformed"]) & (errors > _DOUBTFUL)
    doubtful = tuple(names[i] for i in np.flatnonzero(long))
    return Identifiability(np.sort(spread.strengths), determined, tuple(found), doubtful)


def _flat(spread: Spread, point: _Point, limits: np.ndarray, exact: bool) -> np.ndarray:
    """The directions that are lost in rounding, or else those along which errors are too long."""
    usable = np.asarray(spread.usable)
    if exact:
        return ~usable
    lengths = np.linalg.norm(point.to_natural, axis=1)
    moved = np.abs(point.to_natural @ spread.directions)
    errors = moved / np.sqrt(np.where(usable, spread.strengths, 1.0))
    errors = errors / np.where(lengths > 0, lengths, 1.0)[:, None]
    return usable & np.any(errors > limits[:, None], axis=0)


def _opened(
    spread: Spread, point: _Point, which: np.ndarray, among: np.ndarray, exact: bool
) -> list[Open]:
    """What is not determined, in the blocks that some flat directions make of it."""
    moved = point.to_natural @ spread.directions
    reach = np.linalg.norm(moved, axis=1)
    share = np.linalg.norm(moved[:, which], axis=1) / np.where(reach > 0, reach, 1.0)
    members = np.flatnonzero((share > _SHARE[exact]) & among)
    if not members.size:
        return []
    part = moved[np.ix_(members, which)]
    return [_named(point, members[rows], part[rows], exact) for rows in connected(part)]


def _named(point: _Point, members: np.ndarray, moves: np.ndarray, exact: bool) -> Open:
    """One block of parameters that move together, by the combinations that stay."""
    names = tuple(point.names[i] for i in members)
    rank = np.linalg.matrix_rank(moves / np.linalg.norm(moves, axis=1, keepdims=True), tol=1e-3)
    if len(members) <= rank:
        return Open(names, (), exact, _nothing(names, exact))
    values = point.values[members]
    scale = 0.25 * float(np.min(np.abs(values)) or np.max(np.abs(values)) or 1.0)
    ways = (
        [(True, moves / values[:, None], lambda step: values * 2.0**step)] if values.all() else []
    )
    ways.append((False, moves, lambda step: values + scale * step))
    for product, along, moved in ways:
        stay = whole_numbers(reduced(kernel_of(reduced(along.T))), _NEAR[exact])
        # A number that stays by itself is no name for a direction that moves it.
        if stay is None or np.any(np.sum(stay != 0, axis=1) < 2):
            continue
        change = _change(point, members, kernel_of(stay), moved)
        if change <= _UNCHANGED:
            formulas = tuple(combined(names, row, product=product) for row in stay)
            exactly = change <= _EXACTLY
            return Open(names, formulas, exactly, _only(names, formulas, exactly))
    return Open(names, (), exact, _together(names, moves[:, 0], exact))


def _change(
    point: _Point,
    members: np.ndarray,
    basis: np.ndarray,
    moved: Callable[[np.ndarray], np.ndarray],
) -> float:
    """How much the objective changes at most, along directions that should leave it as it is."""
    here = point.evaluate(point.values)
    changes = []
    for step in basis:
        each = []
        for way in (1.0, -1.0):
            there = point.values.copy()
            there[members] = moved(way * step / np.max(np.abs(step)))
            each.append(point.evaluate(there))
        # One way may lead out of a range.
        changes.append(min(abs(value - here) for value in each))
    return max(changes)


def _alone(name: str, error: float, limit: float) -> Open:
    if not np.isfinite(error):
        return Open((name,), (), True, _nothing((name,), True))
    if limit == _LIMITS["transformed"]:
        factor = np.exp(min(2 * 1.959964 * error, 700.0))
        how = f"its 95 % interval spans a factor of {factor:.0e}"
    else:
        how = f"its standard error is {error:.0e} times its scale"
    sentence = f"{name} is practically not determined: {how}."
    return Open((name,), (), False, sentence)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _nothing(names: tuple[str, ...], exact: bool) -> str:
    verb = "is" if len(names) == 1 else "are"
    them = "it" if len(names) == 1 else "them"
    if exact:
        return f"{_listed(names)} {verb} not determined: the data say nothing about {them}."
    return f"{_listed(names)} {verb} practically not determined: the data hardly restrict {them}."


def _only(names: tuple[str, ...], formulas: tuple[str, ...], exact: bool) -> str:
    only = "Only" if exact else "Practically only"
    verb = "is" if len(formulas) == 1 else "are"
    return f"{only} {_listed(formulas)} {verb} determined, not {_listed(names)} by themselves."


def _together(names: tuple[str, ...], move: np.ndarray, exact: bool) -> str:
    largest = move[np.argmax(np.abs(move))]
    ratio = ", ".join(f"{each / largest:.2g}" for each in move)
    practically = "" if exact else "practically "
    return (
        f"{_listed(names)} are {practically}not determined by themselves: the objective stays the "
        f"same where they change together, here in the ratio {ratio}."
    )
