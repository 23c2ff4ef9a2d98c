"""What a link is."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array


class AbstractLink(eqx.Module):
    """A monotone function that takes a distribution's parameter to the model's prediction.

    As in generalised linear models (McCullagh and Nelder 1989, "Generalized linear models",
    section 2.2): `link(value)` is what the model predicts, `inverse(prediction)` the
    parameter. Likelihoods compute from logarithms and logits, so that a link also says how to
    come by these without the parameter itself, which may be too small or too close to one for
    a float. All are elementwise; a prediction outside the link's range gives NaN, with a
    derivative that is zero.
    """

    @abc.abstractmethod
    def link(self, value: Array) -> Array:
        """What a model has to predict for a parameter of this value."""

    @abc.abstractmethod
    def inverse(self, prediction: Array) -> Array:
        """The parameter."""

    @abc.abstractmethod
    def log(self, prediction: Array) -> Array:
        """The logarithm of the parameter."""

    @abc.abstractmethod
    def logit(self, prediction: Array) -> Array:
        """The logit of the parameter."""


def safe_log(x: Array) -> Array:
    """`log(x)`; minus infinity at zero and NaN below, where the derivative is zero."""
    below = jnp.where(x == 0, -jnp.inf, jnp.nan).astype(x.dtype)
    return jnp.where(x > 0, jnp.log(jnp.where(x > 0, x, 1.0)), below)


def where_valid(valid: Array, prediction: Array, inside: float) -> Array:
    """The prediction, or a stand-in where it is not valid, so that derivatives stay finite."""
    return jnp.where(valid, prediction, jnp.asarray(inside, prediction.dtype))
