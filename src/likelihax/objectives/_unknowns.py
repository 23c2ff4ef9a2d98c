"""Everything that a fit may change."""

from typing import Any, final

import equinox as eqx

from .._parameters import Label, fixed, labels, resolve
from ._objective import AbstractObjective, Evaluation

_PREFIX = "predictor."


@final
class Unknowns(eqx.Module):
    """A predictor's trainable leaves, and the `Parameter`s that an objective brings with it.

    Other arrays in the objective are known.
    """

    predictor: Any
    objective: AbstractObjective

    def __init__(self, predictor: Any, objective: AbstractObjective):
        self.predictor = predictor
        self.objective = fixed(objective)

    def evaluate(self, data: Any) -> Evaluation:
        """The objective at the present values."""
        return resolve(self.objective).evaluate(resolve(self.predictor), data)

    def labels(self) -> tuple[Label, ...]:
        """What they are called, in the order of `pack`; the predictor's by their paths in it."""
        return tuple(
            label._replace(
                path=label.path.removeprefix(_PREFIX),
                name=label.name.removeprefix(_PREFIX),
                elements=tuple(each.removeprefix(_PREFIX) for each in label.elements),
            )
            for label in labels(self)
        )
