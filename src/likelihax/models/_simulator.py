"""What a model is that has to be solved, and may fail to be."""

import abc
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._result import RESULTS


class Solves(eqx.Module):
    """How the solves of several experiments went.

    **Attributes:**

    - `failed`: which of them could not be solved.
    - `time_reached`: the last measured time of each that was solved for.
    """

    failed: Bool[Array, " experiments"]
    time_reached: Float[Array, " experiments"]


class Simulation(eqx.Module):
    """A prediction and whether it could be computed.

    **Attributes:**

    - `values`: the prediction, shaped like the measured values.
    - `result`: how the solve ended.
    - `time_reached`: the last requested time that was solved for.
    - `num_steps`: how many steps the solver tried.
    - `accuracy`: the relative error of the values that is to be expected.
    - `solves`: how far each of several experiments was solved; `None` where there is one.
    """

    values: Array
    result: RESULTS
    time_reached: Float[Array, "..."]
    num_steps: Array
    accuracy: float = eqx.field(static=True)
    solves: Solves | None = None

    @property
    def success(self) -> Bool[Array, ""]:
        """Whether the solve succeeded."""
        return jnp.asarray(self.result == RESULTS.successful)


class AbstractSimulator(eqx.Module):
    """A model that is solved numerically: a failed solve is a value, not an exception."""

    @abc.abstractmethod
    def simulate(self, times: Float[Array, " times"], inputs: Any = None) -> Simulation:
        """Predicts the measured values at `times`, and says whether that succeeded."""

    def __call__(self, times: Float[Array, " times"], inputs: Any = None) -> Array:
        """What would be measured at `times`; infinite where the solve failed."""
        return self.simulate(times, inputs).values

    @property
    @abc.abstractmethod
    def reverse_only(self) -> bool:
        """Whether the user asked for derivatives that only go backwards."""

    @abc.abstractmethod
    def differentiated(self, mode: Literal["forward", "reverse"]) -> "AbstractSimulator":
        """The same model, prepared for derivatives of one kind."""

    @property
    def forward(self) -> bool:
        """Whether it was prepared for forward derivatives."""
        return False

    def probed(
        self, times: Any, inputs: Any = None, example: "AbstractSimulator | None" = None
    ) -> "AbstractSimulator":
        """The same model, where it has a choice how to be solved, having looked what is best.

        It looks at `example`, itself for a single experiment, where something in it varies.
        """
        return self

    def solved_like(self, other: "AbstractSimulator") -> "AbstractSimulator":
        """The same model, where it has a choice how to be solved, with the choice of another."""
        return self

    @abc.abstractmethod
    def check(self, times: Any, inputs: Any, name: str) -> None:
        """Raises `ValueError` where the model cannot be asked for these times."""


def simulate(model: Any, arguments: tuple[Any, ...]) -> Simulation:
    """The prediction of any model, a solved one or a plain callable."""
    if isinstance(model, AbstractSimulator):
        return model.simulate(*arguments)
    values = model(*arguments)
    if not eqx.is_array(values):
        raise ValueError(
            f"The model returned {type(values).__name__}; a likelihood needs one array, shaped "
            "like the measured values."
        )
    return Simulation(
        values=values,
        result=RESULTS.successful,
        time_reached=jnp.asarray(jnp.inf, values.dtype),
        num_steps=jnp.asarray(0),
        accuracy=4 * float(jnp.finfo(values.dtype).eps),
    )
