"""Student's t scatter: like Normal, with outliers."""

import math
from typing import Any, NamedTuple, final

import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from .._special._elementary import is_double, log_excess
from .._special._gamma import half_step, half_step_curvature, half_step_slope
from ._argument import Argument, Source, predicted, source
from ._kernel import exact
from ._likelihood import Outputs, matrix
from ._random_noise import AbstractRandomNoise, RandomNoise
from ._support import REAL, Support


@final
class StudentT(AbstractRandomNoise):
    r"""`y ~ StudentT(dof, loc, scale)`: the fewer degrees of freedom, the wilder the outliers.

    $$-\log p = \log\sigma + \tfrac12\log 2\pi - T(\nu/2)
    + \tfrac{\nu+1}2\log(1+r^2/\nu),\qquad
    T(h)=\log\frac{\Gamma(h+\frac12)}{\Gamma(h)\sqrt h},\quad r=(y-\mu)/\sigma,$$

    which is Normal's where `dof` is large: `T` is then all that is left of the gamma functions.

    **Arguments:**

    - `scale`: in the units of `y`; the standard deviation is `scale * sqrt(dof / (dof - 2))`.
    - `dof`: degrees of freedom, any positive number; 1 is Cauchy.
    - `loc`: the centre; by default the model predicts it.

    It is a Normal whose variance is drawn anew for each value. Drawn once for all values of an
    experiment, it is the noise of `objectives.GroupNLL`.

    The Fisher information is that of K. L. Lange, R. J. A. Little and J. M. G. Taylor (1989,
    "Robust statistical modeling using the t distribution", J. Am. Stat. Assoc. 84).
    """

    loc: Source
    scale: Source
    dof: Source

    def __init__(self, scale: Any, dof: Any, loc: Any = predicted()):
        self.loc = source(loc, "StudentT: loc", constraints.real, "real")
        self.scale = source(scale, "StudentT: scale", constraints.positive, "positive")
        self.dof = source(dof, "StudentT: dof", constraints.positive, "positive")

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Location, scale and dof; the kernel takes the logarithms of the last two."""
        return (
            Argument("StudentT: loc", self.loc, "identity"),
            Argument("StudentT: scale", self.scale, "log"),
            Argument("StudentT: dof", self.dof, "log"),
        )

    @property
    def support(self) -> Support:
        """The real line."""
        return REAL

    def from_outputs(self, outputs: Outputs) -> dist.StudentT:
        """`StudentT(dof, loc, scale)`."""
        loc, log_scale, log_dof = outputs
        return dist.StudentT(jnp.exp(log_dof), loc, jnp.exp(log_scale))

    def random_noise(self, outputs: Outputs) -> RandomNoise:
        """A Normal whose variance is inverse gamma, `dof / 2` its concentration."""
        loc, log_scale, log_dof = outputs
        return RandomNoise(loc, log_scale, 0.5 * jnp.exp(log_dof), None)

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in location, log-scale and log-dof."""
        return student_t_nll(*outputs, y)

    def information(self, outputs: Outputs) -> Array:
        """In location, log-scale and log-dof; the location is orthogonal to the others."""
        return student_t_information(*outputs)


def student_t_information(loc: Array, log_scale: Array, log_dof: Array) -> Array:
    """The Fisher information in location, log-scale and log-dof, shape `(3, 3, *y.shape)`."""
    dof, zero = jnp.exp(log_dof), jnp.zeros_like(loc)
    of_loc = (dof + 1) / (dof + 3) * jnp.exp(-2 * log_scale)
    of_scale = 2 * dof / (dof + 3)
    mixed = -2 * dof / ((dof + 1) * (dof + 3))
    half = 0.5 * dof
    # dof^2 / 4 (psi'(dof / 2) - psi'((dof + 1) / 2)), in what is left of the gamma functions
    gammas = 0.5 - half**2 * half_step_curvature(half)
    of_dof = gammas - 0.5 * dof * (dof + 5) / ((dof + 1) * (dof + 3))
    # Of many degrees of freedom the difference keeps no digit: there its leading term.
    many = dof > 1e3
    leading = 3 / jnp.where(many, dof, 1.0) ** 2
    of_dof = jnp.where(many, leading, of_dof)
    return matrix([[of_loc, zero, zero], [zero, of_scale, mixed], [zero, mixed, of_dof]])


class Tails(NamedTuple):
    """What the density of Student's t is made of, at `w`, the residual over the root of dof.

    - `stretch`: `log(1 + w^2)`.
    - `keeps`, `loses`: `1 / (1 + w^2)` and `w^2 / (1 + w^2)`.
    - `pull`: `w / (1 + w^2)`, signed.
    """

    stretch: Array
    keeps: Array
    loses: Array
    pull: Array


def tails(w: Array) -> Tails:
    """All of them, also where the square of `w` overflows."""
    far = jnp.abs(w) > 1
    out = jnp.where(far, w, 1.0)
    near = jnp.where(far, 0.0, w)
    beyond = (1 / out) ** 2
    return Tails(
        jnp.where(far, 2 * jnp.log(jnp.abs(out)) + jnp.log1p(beyond), jnp.log1p(near * near)),
        jnp.where(far, beyond / (1 + beyond), 1 / (1 + near * near)),
        jnp.where(far, 1 / (1 + beyond), near * near / (1 + near * near)),
        jnp.where(far, 1 / out / (1 + beyond), near / (1 + near * near)),
    )


def as_normal_above(log_dof: Array) -> float:
    """The least log-dof of which Student's t is Normal's to the last digit.

    Of more degrees of freedom the square of a residual, as a share of dof, may underflow.
    """
    return math.log(1e60 if is_double(log_dof) else 1e32)


def _standard(loc: Array, log_scale: Array, log_dof: Array, y: Array) -> tuple[Array, Array]:
    """The residual, and the residual over the root of dof."""
    residual = (y - loc) * jnp.exp(-log_scale)
    # Two exponentials: the rounding of the logarithms' sum would be magnified.
    return residual, residual * jnp.exp(-0.5 * log_dof)


def _value(loc: Array, log_scale: Array, log_dof: Array, y: Array) -> Array:
    log_dof = jnp.minimum(log_dof, as_normal_above(log_dof))
    _, w = _standard(loc, log_scale, log_dof, y)
    dof = jnp.exp(log_dof)
    normal = log_scale + 0.5 * math.log(2 * math.pi)
    return normal - half_step(0.5 * dof) + 0.5 * (dof + 1) * tails(w).stretch


def _partials(loc: Array, log_scale: Array, log_dof: Array, y: Array) -> tuple[Array, ...]:
    log_dof = jnp.minimum(log_dof, as_normal_above(log_dof))
    residual, w = _standard(loc, log_scale, log_dof, y)
    dof, per_scale = jnp.exp(log_dof), jnp.exp(-log_scale)
    found = tails(w)
    pull = _pull(residual, dof, per_scale, found, jnp.abs(w) > 1)
    of_scale = found.keeps - dof * found.loses
    # log(1 + s) - s / (1 + s) is the excess of the logarithm at -s / (1 + s)
    small = found.loses < 0.5
    excess = log_excess(-jnp.where(small, found.loses, 0.0))
    curved = jnp.where(small, excess, found.stretch - found.loses)
    of_dof = 0.5 * dof * (curved - half_step_slope(0.5 * dof)) - 0.5 * found.loses
    return -pull, of_scale, of_dof, pull


def _pull(residual: Array, dof: Array, per_scale: Array, found: Tails, far: Array) -> Array:
    # (dof + 1) r / (dof + r^2) over the scale, by whichever of its two forms does not overflow
    inner = (1 + 1 / dof) * residual * found.keeps
    outer = (dof + 1) * found.loses / jnp.where(far, residual, 1.0)
    return per_scale * jnp.where(far, outer, inner)


student_t_nll = exact(_value, _partials)
