"""Normal scatter of a mean and a variance that are themselves uncertain."""

import math
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array
from numpyro.distributions import constraints

from .. import links
from .._special._elementary import log1mexp, sigmoid, softplus
from .._special._gamma import half_step, half_step_slope
from ..distributions import PredictiveStudentT
from ._argument import Argument, Predicted, Source, predicted, source
from ._kernel import exact
from ._likelihood import Outputs
from ._random_noise import AbstractRandomNoise, RandomNoise
from ._student_t import as_normal_above, student_t_information, tails
from ._support import REAL, Support


@final
class Tied(eqx.Module):
    """Says that the shape follows from the evidence; made by `tied`."""

    ratio: float = eqx.field(static=True)


def tied(ratio: float = 1.0) -> Any:
    r"""Marks the shape of a `NormalInverseGamma` as $\alpha = 1 + \text{ratio}\cdot\nu/2$.

    Each value that was seen counts one to the mean's evidence and a half to the variance's shape,
    so that `ratio` is 1 unless the variance is believed to be the better known one (N. Meinert and
    A. Lavin 2021, "Multivariate deep evidential regression", who couple them for the reason
    that the likelihood alone leaves one of the two undetermined). Raises `ValueError` unless it is
    positive and finite.
    """
    if not (ratio > 0 and math.isfinite(ratio)):
        raise ValueError(f"tied: ratio must be positive and finite, got {ratio}.")
    return Tied(float(ratio))


_ABOVE_ONE = predicted(links.Softplus(least=1.0))


@final
class NormalInverseGamma(AbstractRandomNoise):
    r"""`y ~ Normal(mean, variance)`, and both of these under a Normal-Inverse-Gamma distribution.

    What a value alone tells about is their marginal, Student's t with $2\alpha$ degrees of freedom,
    and this is the NLL:

    $$-\log p = \tfrac12\log\frac{2\pi\beta(1+\nu)}{\alpha\nu} - T(\alpha)
    + (\alpha+\tfrac12)\log\Bigl(1+\frac{\nu\,(y-\gamma)^2}{2\beta(1+\nu)}\Bigr),\qquad
    T(h)=\log\frac{\Gamma(h+\frac12)}{\Gamma(h)\sqrt h}$$

    (A. Amini, W. Schwarting, A. Soleimany and D. Rus 2020, "Deep evidential regression", NeurIPS
    33, equation 8). **It depends on the rate and the evidence through** $\beta(1+1/\nu)$ **only**:
    whoever fits both by it alone gets evidence that the data do not speak of, as N. Meinert, J.
    Gawlikowski and A. Lavin found (2023, AAAI 37), and as `Fit.identifiability` says. Tie the shape
    to the evidence, or add a term that asks for little evidence where errors are large:
    `terms.MisplacedEvidence`.

    **Arguments:** all four are predicted by default, so that a network returns four numbers.

    - `loc`: $\gamma$, the centre.
    - `evidence`: $\nu$, how many values the mean is known as well as from.
    - `shape`: $\alpha$, or `tied()`. Predicted through a softplus above 1 by default, so that the
        expected variance is finite; `predicted("log")` allows any positive one.
    - `rate`: $\beta$, in the squared unit of `y`.

    `distribution` gives a `distributions.PredictiveStudentT`, with `aleatoric` and `epistemic`.
    """

    loc: Source
    evidence: Source
    shape: Source | Tied
    rate: Source

    def __init__(
        self,
        loc: Any = predicted(),
        evidence: Any = predicted(),
        shape: Any = _ABOVE_ONE,
        rate: Any = predicted(),
    ):
        positive = constraints.positive
        self.loc = source(loc, "NormalInverseGamma: loc", constraints.real, "real")
        self.evidence = source(evidence, "NormalInverseGamma: evidence", positive, "positive")
        self.shape = (
            shape
            if isinstance(shape, Tied)
            else source(shape, "NormalInverseGamma: shape", positive, "positive")
        )
        self.rate = source(rate, "NormalInverseGamma: rate", positive, "positive")

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Location, evidence, shape and rate; the kernel takes the logarithms of all but the first.

        Without the shape where that is tied.
        """
        found = [
            Argument("NormalInverseGamma: loc", self.loc, "identity"),
            Argument("NormalInverseGamma: evidence", self.evidence, "log"),
        ]
        if not isinstance(self.shape, Tied):
            found.append(Argument("NormalInverseGamma: shape", self.shape, "log"))
        return (*found, Argument("NormalInverseGamma: rate", self.rate, "log"))

    @property
    def support(self) -> Support:
        """The real line."""
        return REAL

    def all_four(self, outputs: Outputs) -> Outputs:
        """Location, log-evidence, log-shape and log-rate."""
        if not isinstance(self.shape, Tied):
            return outputs
        loc, log_evidence, log_rate = outputs
        log_shape = softplus(log_evidence + math.log(0.5 * self.shape.ratio))
        return loc, log_evidence, log_shape, log_rate

    @property
    def shape_is_above_one(self) -> bool:
        """Whether every prediction gives a shape above 1, so that its variance is finite."""
        if isinstance(self.shape, Tied):
            return True
        link = self.shape.link if isinstance(self.shape, Predicted) else None
        return isinstance(link, links.Softplus) and link.least >= 1

    def log_expm1_shape(self, prediction: Array) -> Array:
        r"""$\log(e^{\alpha-1}-1)$, which does not vanish where the shape is all but 1.

        For a shape that is tied, or predicted through `links.Softplus(least=1.0)`.
        """
        if isinstance(self.shape, Tied):
            log_above = self.outputs(prediction)[1] + math.log(0.5 * self.shape.ratio)
            above = jnp.exp(log_above)
            # Of very little, the logarithm itself; of a float that has overflowed, nothing else.
            near = jnp.where(log_above < -20, 1.0, above)
            return jnp.where(log_above < -20, log_above, near + log1mexp(near))
        if not self.shape_is_above_one:
            raise ValueError(
                "NormalInverseGamma: the shape may be 1 or less: let it be tied(), or "
                "predicted(links.Softplus(least=1.0))."
            )
        assert isinstance(self.shape, Predicted)
        assert isinstance(self.shape.link, links.Softplus)
        if self.num_outputs == 1:
            raw = prediction
        else:
            before = sum(argument.is_predicted for argument in self.arguments[:2])
            raw = prediction[..., before]
        if self.shape.link.least == 1:
            return raw
        above = self.shape.link.inverse(raw) - 1
        return above + log1mexp(above)

    def from_outputs(self, outputs: Outputs) -> PredictiveStudentT:
        """The marginal, which knows what it is the marginal of."""
        loc, *logs = self.all_four(outputs)
        # Far from any data a network may say anything: so that quotients of the three stay finite.
        most = 0.5 * math.log(jnp.finfo(loc.dtype).max)
        return PredictiveStudentT(loc, *(jnp.exp(jnp.clip(log, -most, most)) for log in logs))

    def random_noise(self, outputs: Outputs) -> RandomNoise:
        """The mean and the variance that are under the Normal-Inverse-Gamma distribution."""
        loc, log_evidence, log_shape, log_rate = self.all_four(outputs)
        log_scale = 0.5 * (log_rate - log_shape)
        return RandomNoise(loc, log_scale, jnp.exp(log_shape), jnp.exp(-log_evidence))

    def kernel(self, outputs: Outputs, y: Array) -> Array:
        """The formula above, in location, log-evidence, log-shape and log-rate."""
        return normal_inverse_gamma_nll(*self.all_four(outputs), y)

    def information(self, outputs: Outputs) -> Array:
        """In the outputs; of rank three, since rate and evidence change one scale."""
        loc, log_evidence, log_shape, log_rate = self.all_four(outputs)
        log_scale = 0.5 * (log_rate + softplus(-log_evidence) - log_shape)
        of_t = student_t_information(loc, log_scale, log_shape + math.log(2.0))
        one, zero = jnp.ones_like(loc), jnp.zeros_like(loc)
        # How loc, log-scale and log-dof of Student's t follow the four.
        by_evidence = -0.5 * sigmoid(-log_evidence)
        rows = [
            [one, zero, zero, zero],
            [zero, by_evidence, -0.5 * one, 0.5 * one],
            [zero, zero, one, zero],
        ]
        if isinstance(self.shape, Tied):
            # d log-shape / d log-evidence = 1 - 1 / shape
            follows = -jnp.expm1(-log_shape)
            rows = [[row[0], row[1] + follows * row[2], row[3]] for row in rows]
        jacobian = jnp.stack([jnp.stack(row) for row in rows])
        return jnp.einsum("ia...,ij...,jb...->ab...", jacobian, of_t, jacobian)


def _standard(
    loc: Array, log_evidence: Array, log_shape: Array, log_rate: Array, y: Array
) -> tuple[Array, Array, Array]:
    """Log-shape and log-rate, kept from overflow together, and the residual of `tails`."""
    most = as_normal_above(log_shape)
    beyond = jnp.maximum(log_shape - most, 0.0)
    log_shape, log_rate = log_shape - beyond, log_rate - beyond
    per_scale = jnp.exp(-0.5 * log_rate) * jnp.exp(-0.5 * softplus(-log_evidence))
    return log_shape, log_rate, (y - loc) * per_scale * math.sqrt(0.5)


def _value(loc: Array, log_evidence: Array, log_shape: Array, log_rate: Array, y: Array) -> Array:
    widened = softplus(-log_evidence)
    log_shape, log_rate, residual = _standard(loc, log_evidence, log_shape, log_rate, y)
    shape, found = jnp.exp(log_shape), tails(residual)
    normal = 0.5 * (log_rate - log_shape + widened) + 0.5 * math.log(2 * math.pi)
    return normal - half_step(shape) + (shape + 0.5) * found.stretch


def _partials(
    loc: Array, log_evidence: Array, log_shape: Array, log_rate: Array, y: Array
) -> tuple[Array, ...]:
    log_shape, log_rate, residual = _standard(loc, log_evidence, log_shape, log_rate, y)
    shape, found = jnp.exp(log_shape), tails(residual)
    of_rate = 0.5 * (found.keeps - 2 * shape * found.loses)
    of_shape = shape * (found.stretch - half_step_slope(shape)) - 0.5
    per_scale = jnp.exp(-0.5 * log_rate) * jnp.exp(-0.5 * softplus(-log_evidence))
    pull = (2 * shape + 1) * found.pull * per_scale * math.sqrt(0.5)
    return -pull, -sigmoid(-log_evidence) * of_rate, of_shape, of_rate, pull


normal_inverse_gamma_nll = exact(_value, _partials)
