"""Model and likelihood together: what is fitted, sampled and scored."""

from typing import Any, Literal, final

import equinox as eqx
from numpyro.distributions import Distribution

from ._parameters import map_nodes, resolve
from .likelihoods import AbstractLikelihood
from .models import AbstractSimulator, Simulation
from .models._simulator import simulate as simulate_model


@final
class Predictor(eqx.Module):
    """A model and how measurements scatter about it.

    **Arguments:**

    - `model`: any Equinox module or callable from a whole table of inputs (or all times of an
        experiment) to one array of predictions; an `ODE` is one. A network that takes one row
        goes through `eqx.filter_vmap` first.
    - `likelihood`: how the measured values scatter about the prediction.

    `predictor(x)` is the predictive distribution, a NumPyro one.
    """

    model: Any
    likelihood: AbstractLikelihood

    def __check_init__(self) -> None:
        if not callable(self.model):
            raise ValueError(f"Predictor: the model {self.model!r} cannot be called.")
        if not isinstance(self.likelihood, AbstractLikelihood):
            raise ValueError(
                f"Predictor: {self.likelihood!r} is not a likelihood; give for instance "
                "likelihax.likelihoods.Normal(scale=...)."
            )

    def __call__(self, *arguments: Any) -> Distribution:
        """The distribution of what would be measured, given the model's arguments."""
        return self.likelihood.distribution(self.simulate(*arguments).values)

    def simulate(self, *arguments: Any) -> Simulation:
        """The prediction itself, and whether it could be computed."""
        return simulate_model(resolve(self.model), arguments)

    def differentiated(self, mode: Literal["forward", "reverse"]) -> "Predictor":
        """The same predictor, its solvers prepared for derivatives of one kind."""
        return map_nodes(AbstractSimulator, lambda node: node.differentiated(mode), self)
