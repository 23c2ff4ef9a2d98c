"""The delta method: from the parameters' errors to those of any function of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.special import ndtri

from ..._parameters import map_nodes, pack, resolve, unpack
from ...fits import Fit
from ...models import AbstractSimulator
from ...objectives import Unknowns
from .._checks import check_fit, check_level


@dataclass(frozen=True, eq=False, repr=False)
class Derived:
    """A function of the parameters at the estimates, and how far it may be off.

    **Attributes:**

    - `value`: the function there, of any shape.
    - `standard_error`: shaped like it; infinite where the data do not determine it.
    - `covariance`: of all its entries with each other, `(size, size)`.
    - `lower`, `upper`: the ends of the Normal interval of probability `level`; infinite where
        the data do not determine it.
    - `level`: that probability.
    """

    value: np.ndarray
    standard_error: np.ndarray
    covariance: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    level: float

    @property
    def determined(self) -> np.ndarray:
        """Whether the data determine each entry."""
        return np.asarray(np.isfinite(self.standard_error))

    def __repr__(self) -> str:
        each = zip(
            *map(np.ravel, (self.value, self.standard_error, self.lower, self.upper)), strict=True
        )
        return "\n".join(
            f"{value:.6g}, standard error {error:.2g}, {100 * self.level:g} % interval "
            f"{lower:.6g} to {upper:.6g}"
            if np.isfinite(error)
            else f"{value:.6g}, not determined"
            for value, error, lower, upper in each
        )


def delta(
    fit: Fit,
    function: Callable[[Any], Any],
    *,
    level: float = 0.95,
    information: Literal["observed", "expected", "sandwich"] = "observed",
    dof: Literal["sample", "residual"] = "sample",
    dispersion: Literal["model", "pearson"] = "model",
    cluster: str = "row",
) -> Derived:
    r"""Standard errors of a function of the parameters, by its slope at the estimates.

    $\operatorname{var} f(\hat\theta) \approx J \Sigma J^T$ with the Jacobian $J$ of $f$ and the
    covariance $\Sigma$ of the estimates. A combination that is determined has an error also where
    the parameters in it have none.

    **Arguments:**

    - `fit`: a fit that converged.
    - `function`: from the predictor, its parameters plain arrays in natural units, to a number or
        an array: `lambda p: jnp.log(2) / p.model.field.death`. Traced by JAX.
    - `level`: the probability of the interval, which is symmetric: where the function is far from
        linear within it, take `likelihax.profile`.
    - `information`, `dof`, `dispersion`, `cluster`: as for `Fit.covariance`.

    Raises `ValueError` where the function gives no finite floating numbers, or a solve in it fails.
    """
    check_fit(fit, "delta")
    check_level(level, "delta")
    if not callable(function):
        raise ValueError(
            f"delta: {function!r} is no function: give one from the predictor to a number, such as "
            "lambda p: p.model.growth * p.model.death."
        )
    spread = fit.spread(information, dof, dispersion, cluster)
    value, jacobian = _slope(_Of(function), fit.unknowns)
    shape = value.shape
    if not (np.all(np.isfinite(value)) and np.all(np.isfinite(jacobian))):
        raise ValueError(
            "delta: the function, or its derivative, is not finite at the estimates: "
            f"{np.asarray(value)}."
        )
    covariance = spread.through(np.asarray(jacobian).reshape(-1, fit.record.theta.size)).matrix
    error = np.sqrt(np.diag(covariance)).reshape(shape)
    width = float(ndtri(0.5 + level / 2)) * error
    found = np.asarray(value)
    lower, upper = np.asarray(found - width), np.asarray(found + width)
    return Derived(found, error, covariance, lower, upper, level)


class _Of(eqx.Module):
    """A user's function, its value checked and made an array."""

    function: Callable[[Any], Any] = eqx.field(static=True)

    def __call__(self, predictor: Any) -> Array:
        given = self.function(predictor)
        try:
            found = jnp.asarray(given)
        except TypeError as error:
            raise ValueError(
                f"delta: the function returned {type(given).__name__}: it must be a number or an "
                "array."
            ) from error
        if not jnp.issubdtype(found.dtype, jnp.floating):
            raise ValueError(f"delta: the function returned {found.dtype}: it must be floating.")
        return found


@eqx.filter_jit
def _slope(function: _Of, unknowns: Unknowns) -> tuple[Array, Array]:
    forward = map_nodes(AbstractSimulator, lambda node: node.differentiated("forward"), unknowns)
    theta = pack(forward)
    at = lambda theta: function(resolve(unpack(theta, forward)).predictor)
    return at(theta), jax.jacfwd(at)(theta)
