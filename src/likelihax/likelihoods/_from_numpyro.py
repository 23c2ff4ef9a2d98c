"""Any NumPyro distribution as a likelihood."""

import math
from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array
from numpyro.distributions import Distribution, constraints
from numpyro.distributions.constraints import Constraint

from .._parameters import Parameter
from .._special._elementary import sigmoid
from ._argument import Argument, Source, source
from ._likelihood import AbstractLikelihood, Outputs
from ._support import Support, is_finite


@final
class FromNumPyro(AbstractLikelihood):
    """`y` from any NumPyro distribution, with its own `log_prob`.

        FromNumPyro(dist.Gumbel, loc=predicted(), scale=positive(1.0))

    **Arguments:**

    - `family`: the distribution's class, or a function of the same keywords that returns one.
    - `parameters`: its parameters, each a number, a `Parameter` or `predicted()`. What is
        predicted without a link is taken as the identity, the logarithm or the logit, as the
        constraint that the distribution states for it demands; of vectors, through `biject_to`
        and with their size given in `sizes`.
    - `sizes`: for predicted vectors, by name: how many numbers the model predicts.

    NumPyro's own accuracy is what one gets: [Which likelihood?](which_likelihood.md) has figures.
    """

    family: Callable[..., Distribution] = eqx.field(static=True)
    sources: tuple[Source, ...]
    names: tuple[str, ...] = eqx.field(static=True)
    sizes: tuple[tuple[str, int], ...] = eqx.field(static=True)

    def __init__(
        self,
        family: Callable[..., Distribution],
        *,
        sizes: dict[str, int] | None = None,
        **parameters: Any,
    ):
        self.family = family
        self.sizes = tuple((sizes or {}).items())
        self.names = tuple(parameters)
        stated = getattr(family, "arg_constraints", {})
        unknown = set(parameters) - set(stated) if stated else set()
        if unknown or not parameters:
            raise ValueError(
                f"FromNumPyro: {self._name} has the parameters {sorted(stated)}, got "
                f"{sorted(parameters)}."
            )
        self.sources = tuple(
            source(
                value,
                f"{self._name}: {name}",
                stated.get(name, constraints.real),
                f"within {self._name}'s constraint",
            )
            for name, value in parameters.items()
        )

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The distribution's parameters, in the order in which they were given."""
        return tuple(map(self._argument, self.names, self.sources))

    @property
    def support(self) -> Support:
        """What the distribution says its support is."""
        example = self._example
        constraint, vectors = example.support, bool(example.event_shape)

        def contains(y: Any) -> Any:
            inside = constraint(jnp.asarray(y))  # of infinities NumPy would warn
            return (inside[..., None] if vectors else inside) & is_finite(y)

        return Support(
            contains,
            constraint.feasible_like(jnp.zeros(example.event_shape)),
            f"in the support of {self._name}, {str(constraint).strip('<>')}",
            "Leave it out, mark it as missing (NaN), or choose another family.",
            discrete=bool(constraint.is_discrete),
        )

    @property
    def event_ndim(self) -> int:
        """As many axes as the distribution's events have."""
        return len(self._example.event_shape)

    def event_shape(self, y: Array) -> tuple[int, ...]:
        """The distribution's."""
        return self._example.event_shape

    def from_outputs(self, outputs: Outputs) -> Distribution:
        """The distribution itself."""
        return self._build(outputs)

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """`-log_prob(y)`, infinite where a positive parameter is not a float any more."""
        each = -self._build(outputs).log_prob(y)
        for argument, output in zip(self.arguments, outputs, strict=True):
            if argument.scale == "log":
                # Of log(exp(x)) XLA makes x: a value, but without a derivative.
                furthest = math.log(jnp.finfo(output.dtype).max)
                each = jnp.where(jnp.abs(output) < furthest, each, jnp.inf)
        return each

    @property
    def _name(self) -> str:
        return getattr(self.family, "__name__", repr(self.family))

    def _argument(self, name: str, given: Any) -> Argument:
        constraint = getattr(self.family, "arg_constraints", {}).get(name, constraints.real)
        what = f"{self._name}: {name}"
        if constraint.event_dim:
            value = getattr(given, "value", None)
            size = dict(self.sizes).get(name, 0) if value is None else value.shape[-1]
            if not size:
                raise ValueError(
                    f"FromNumPyro: {what} is a predicted vector: give its size, "
                    f"sizes={{{name!r}: n}}."
                )
            shape = (size,) if value is None else value.shape[value.ndim - constraint.event_dim :]
            return Argument(what, given, constraint, size, shape)
        return Argument(what, given, _scale(constraint))

    def _build(self, outputs: Outputs) -> Distribution:
        natural: dict[str, Callable[[Array], Array]]
        natural = {"identity": lambda x: x, "log": jnp.exp, "logit": sigmoid}
        values = {
            name: output
            if isinstance(argument.scale, Constraint)
            else natural[argument.scale](output)
            for name, argument, output in zip(self.names, self.arguments, outputs, strict=True)
        }
        return self.family(**values)

    @property
    def _example(self) -> Distribution:
        outputs = []
        for argument in self.arguments:
            if isinstance(argument.source, Parameter):
                value = argument.source.value
                batch = value.shape[: value.ndim - len(argument.shape)]
                outputs.append(argument.constant(batch, value.dtype))
            else:
                outputs.append(argument.from_prediction(jnp.zeros(argument.width)))
        return self._build(tuple(outputs))


def _scale(constraint: Constraint) -> str:
    if isinstance(constraint, type(constraints.positive)):
        return "log"
    if constraint == constraints.unit_interval:
        return "logit"
    return "identity"
