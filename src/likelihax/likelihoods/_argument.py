"""A distribution's parameter: known, fitted, or predicted by the model."""

from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro.distributions import biject_to
from numpyro.distributions.constraints import Constraint

from .. import links
from .._parameters import Parameter, known, resolve
from ..links import AbstractLink

_LINKS: dict[str, AbstractLink] = {
    "identity": links.Identity(),
    "log": links.Log(),
    "logit": links.Logit(),
    "probit": links.Probit(),
    "inverse": links.Inverse(),
    "softplus": links.Softplus(),
    "sqrt": links.Sqrt(),
    "cloglog": links.ComplementaryLogLog(),
}


@final
class Predicted(eqx.Module):
    """Says that the model predicts a parameter, through a link; made by `predicted`."""

    link: AbstractLink | None


def predicted(link: str | AbstractLink | None = None) -> Any:
    """Marks a parameter of a likelihood as predicted by the model.

    `link` is the scale on which it is predicted: one of `"identity"`, `"log"`, `"logit"`,
    `"probit"`, `"inverse"`, `"softplus"`, `"sqrt"`, `"cloglog"`, any `AbstractLink`, or `None`
    for the one that makes every real number valid. Raises `ValueError` for another one.

        Normal(scale=predicted())  # the model returns location and log-scale
        Poisson(rate=predicted("identity"))  # the model returns the rate itself
    """
    if link is None or isinstance(link, AbstractLink):
        return Predicted(link)
    if link not in _LINKS:
        raise ValueError(
            f"predicted: unknown link {link!r}; known are {', '.join(map(repr, _LINKS))}, and any "
            "AbstractLink."
        )
    return Predicted(_LINKS[link])


# A known or fitted number, or a mark that the model predicts it.
Source = Parameter | Predicted


class Argument(NamedTuple):
    """One parameter of a likelihood, and the scale on which its kernel takes it.

    **Attributes:**

    - `name`: for messages, family and parameter.
    - `source`: where it comes from.
    - `scale`: `"identity"`, `"log"` or `"logit"`; or, for a vector, the constraint that
        it keeps, which takes it as it is.
    - `width`: how many numbers a model predicts for it.
    - `shape`: of one such parameter: `()` for a number.
    """

    name: str
    source: Source
    scale: str | Constraint
    width: int = 1
    shape: tuple[int, ...] = ()

    @property
    def is_predicted(self) -> bool:
        """Whether the model predicts it."""
        return isinstance(self.source, Predicted)

    def from_prediction(self, columns: Array) -> Array:
        """On the kernel's scale, from what the model predicts: shape `(*batch, width)`."""
        assert isinstance(self.source, Predicted)
        if isinstance(self.scale, Constraint):
            if self.source.link is not None:
                raise ValueError(f"{self.name} is a vector: it takes predicted() without a link.")
            return biject_to(self.scale)(columns)
        raw = columns if self.shape else columns.squeeze(-1)
        return self.through(raw, self.source.link or _LINKS[self.scale])

    def through(self, raw: Array, link: AbstractLink) -> Array:
        """On the kernel's scale, from a prediction on the link's."""
        if self.scale == "log":
            return link.log(raw)
        return link.logit(raw) if self.scale == "logit" else link.inverse(raw)

    def constant(self, batch: tuple[int, ...], dtype: Any) -> Array:
        """On the kernel's scale, for every value: one for all, one an observable, one each."""
        value = jnp.asarray(resolve(self.source)).astype(dtype)
        wanted = batch + self.shape
        if value.shape != wanted[len(wanted) - value.ndim :] or value.ndim < len(self.shape):
            raise ValueError(
                f"{self.name} has shape {value.shape}, the values have shape {batch}: give "
                f"{'one' if not self.shape else f'one of shape {self.shape}'} for all, one for "
                "each observable (the last axis), or one for each value."
            )
        value = value.reshape((1,) * (len(wanted) - value.ndim) + value.shape)
        if not isinstance(self.scale, Constraint):
            value = self.through(value, _LINKS["identity"])
        return jnp.broadcast_to(value, wanted)


def matching(constant: Array, y: Any) -> Array:
    """A constant, one for all or for each of the last axes, with the axes and the dtype of `y`."""
    constant = constant.astype(y.dtype)
    return constant.reshape((1,) * (y.ndim - constant.ndim) + constant.shape)


def source(value: Any, what: str, constraint: Constraint, words: str) -> Source:
    """A parameter as the user gave it; raises `ValueError` unless it is in its range.

    A number or an array is a known constant, a `Parameter` is fitted if it is trainable, and
    what `predicted` made is left to the model.
    """
    if isinstance(value, Predicted):
        return value
    found = known(value)
    if not isinstance(found, Parameter):
        raise ValueError(
            f"{what} must be a number, an array, a Parameter or predicted(), got {value!r}."
        )
    # Inside somebody's jitted loss there is no value to look at yet.
    if isinstance(found.value, jax.core.Tracer):
        return found
    array = np.asarray(found.value)
    if array.ndim < constraint.event_dim:
        kind = {1: "vector", 2: "matrix"}[constraint.event_dim]
        raise ValueError(f"{what} must be a {kind}, got {array}.")
    if not (np.all(np.isfinite(array)) and bool(np.all(np.asarray(constraint(found.value))))):
        raise ValueError(f"{what} must be {words} and finite, got {array}.")
    return found
