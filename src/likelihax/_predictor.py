"""Model and likelihood together: what is fitted, sampled and scored."""

from typing import Any, Literal, final

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array
from numpyro.distributions import Distribution

from ._parameters import map_nodes, resolve, select_parameters, vary
from ._result import RESULTS
from ._varying import align, check_selected, select, select_rows
from .data import AbstractData, Experiments
from .data._padding import Bucket
from .likelihoods import AbstractLikelihood
from .models import AbstractSimulator, Simulation, Solves
from .models._each import simulate_each
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
        check_selected(resolve(self), "Predictor")
        return self.likelihood.distribution(self.simulate(*arguments).values)

    def simulate(self, *arguments: Any) -> Simulation:
        """The prediction itself, and whether it could be computed."""
        model = resolve(self.model)
        check_selected(model, "Predictor")
        return simulate_model(model, arguments)

    def predict(self, data: AbstractData) -> Simulation:
        """The prediction for every measured value of `data`, of one experiment or of several."""
        model = _varied(self.model, data)
        if not isinstance(data, Experiments):
            return simulate_model(select(model, _first(data)), data.arguments)
        parts = [_of_bucket(model, part, data) for part in data.buckets]
        flat = [part.values.reshape(-1, *part.values.shape[2:]) for part in parts]
        return _together(parts, data.buckets, jnp.concatenate(flat)[data.order])

    def predictive(self, data: AbstractData) -> Distribution:
        """The distribution of every value of `data`."""
        return self.likelihood_of(data).distribution(self.predict(data).values)

    def likelihood_of(self, data: AbstractData) -> AbstractLikelihood:
        """The likelihood, what varies in it chosen for every value of `data`."""
        known = vary(self.likelihood, data.members, data.name)
        known = align(resolve(known), data.members, data.name)
        if isinstance(data, Experiments):
            at = {kind: of[data.of_row] for kind, of in data.membership.items()}
            chosen: AbstractLikelihood = select_rows(known, at, data.values.shape)
            return chosen
        chosen = select(known, _first(data))
        return chosen

    def of(self, data: AbstractData, name: str | None = None) -> "Predictor":
        """The predictor for one experiment, nothing in it varies any more.

        `name` is its name where `data` are several. Raises `KeyError` for another one.
        """
        if name is not None and isinstance(data, Experiments):
            data = data[name]
        chosen: Predictor = select_parameters(vary(self, data.members, data.name), _first(data))
        return chosen

    def differentiated(self, mode: Literal["forward", "reverse"]) -> "Predictor":
        """The same predictor, its solvers prepared for derivatives of one kind."""
        return map_nodes(AbstractSimulator, lambda node: node.differentiated(mode), self)


def _first(data: AbstractData) -> dict[str, int]:
    """Where the members of a single experiment are: there is one of each kind."""
    return dict.fromkeys(data.members, 0)


def simulate_each_of(model: Any, data: AbstractData, *, padded: bool) -> Simulation:
    """What a model gives that need not be one row a time, for each of several experiments.

    Their values follow one another along the first axis, single numbers as a vector; not in the
    order of the data, but bucket by bucket. `padded`: whether the last time of an experiment may
    be repeated; otherwise those of other lengths are compiled apart.
    """
    model = _varied(model, data)
    if not isinstance(data, Experiments):
        return simulate_model(select(model, _first(data)), data.arguments)
    buckets = data.buckets if padded else data.unpadded
    parts = [_of_bucket(model, part, data) for part in buckets]
    rows = [part.values.reshape(-1, *part.values.shape[2:]) for part in parts]
    if len({row.shape[1:] for row in rows}) > 1:
        raise ValueError(
            f"{data.name}: experiments of other lengths give arrays of other shapes, "
            f"{', '.join(str(part.values.shape[1:]) for part in parts)}: only the first axis may "
            "differ."
        )
    return _together(parts, buckets, jnp.concatenate(rows))


def _varied(model: Any, data: AbstractData) -> Any:
    return align(resolve(vary(model, data.members, data.name)), data.members, data.name)


def _together(parts: list[Simulation], buckets: tuple[Bucket, ...], values: Array) -> Simulation:
    number = jnp.argsort(jnp.concatenate([part.which for part in buckets]))
    each = lambda pick: jnp.concatenate([pick(part) for part in parts])[number]
    failed = each(lambda part: jnp.asarray(part.result != RESULTS.successful))
    reached = each(lambda part: part.time_reached)
    return Simulation(
        values=values,
        result=_first_failure(parts),
        time_reached=jnp.min(reached),
        num_steps=jnp.sum(each(lambda part: part.num_steps)),
        accuracy=max(part.accuracy for part in parts),
        solves=Solves(failed, reached),
    )


def _of_bucket(model: Any, part: Bucket, data: Experiments) -> Simulation:
    at = {kind: of[part.which] for kind, of in data.membership.items()}
    return simulate_each(model, at, part.times, part.inputs)


def _first_failure(parts: list[Simulation]) -> RESULTS:
    found = RESULTS.successful
    for part in parts:
        found = RESULTS.where(found == RESULTS.successful, _first_in(part.result), found)
    return found


def _first_in(results: RESULTS) -> RESULTS:
    which = jnp.argmax(jnp.asarray(results != RESULTS.successful))
    first: RESULTS = jtu.tree_map(lambda leaf: leaf[which], results)
    return first
