"""What a term is: an objective with one named part."""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Array

from ..objectives._objective import AbstractObjective, Evaluation


class AbstractTerm(AbstractObjective):
    """One more thing to minimise, by its own name: `NLL() + weight * term`."""

    name: eqx.AbstractVar[str | None]

    @abc.abstractmethod
    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """The value of the term, pure and traceable."""

    def breakdown(self, predictor: Any, data: Any) -> dict[str, Array]:
        """One part: the whole."""
        return {self.title: self.evaluate(predictor, data).total}

    @property
    def title(self) -> str:
        """The name that it was given, or its kind."""
        return type(self).__name__ if self.name is None else self.name
