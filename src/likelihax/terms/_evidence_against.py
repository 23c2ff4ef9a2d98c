"""Evidence for classes that a label is not of."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._special._gamma import binet, binet_curvature, binet_slope
from ..likelihoods import DirichletCategorical
from ..objectives._objective import Evaluation
from ._predictions import check_kinds, evaluated_rows
from ._term import AbstractTerm

# Gauss's rule on (0, 1). The nearest pole of what is integrated is at -1 or beyond, so that each
# node brings a digit and a half.
_NODES, _WEIGHTS = (np.asarray(each) / 2 for each in np.polynomial.legendre.leggauss(12))
_NODES = _NODES + 0.5


@final
class EvidenceAgainst(AbstractTerm):
    r"""How much evidence there is for classes other than the label's, in nats, over all labels.

    $$\sum_i \mathrm{KL}\bigl(\mathrm{Dirichlet}(\tilde e_i + 1)\,\|\,\mathrm{Dirichlet}(1)\bigr),
    \qquad \tilde e_{ik} = [k \ne y_i]\,e_{ik}$$

    Zero where all evidence is for the label (M. Sensoy, L. Kaplan and M. Kandemir 2018, "Evidential
    deep learning to quantify classification uncertainty", NeurIPS 31, section 4). What a
    `DirichletCategorical` cannot tell apart is then not called evidence for several classes. A sum
    like `NLL()`: beside `NLL(Mean())` take it `1 / n` times for `n` labels. The paper lets the
    weight grow to one, as evidence has to be found before it can be held back:
    `NLL() + optax.linear_schedule(0.0, 1.0, 500) * EvidenceAgainst()`, with `GradientDescent`.

    **Arguments:**

    - `name`: what it is called in a breakdown.
    """

    name: str | None = eqx.field(static=True, default=None)

    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """The sum over what was measured."""
        simulation = predictor.predict(data)
        (log_evidence,) = predictor.likelihood_of(data).outputs(simulation.values)
        against = ~jax.nn.one_hot(data.values.astype(int), log_evidence.shape[-1], dtype=bool)
        each = divergence_from_uniform(jnp.where(against, jnp.exp(log_evidence), 0.0))
        total = jnp.sum(jnp.where(data.observed, each, 0.0))
        return evaluated_rows(total, simulation)

    def check(self, predictor: Any, data: Any) -> None:
        """Checks that the likelihood is one of evidence, and that there are labels."""
        check_kinds(predictor, data, self.title)
        likelihood = predictor.likelihood
        if not isinstance(likelihood, DirichletCategorical):
            raise ValueError(
                f"{self.title}: the likelihood is {type(likelihood).__name__}, which knows no "
                "evidence for classes: take likelihoods.DirichletCategorical(num_classes)."
            )
        likelihood.check_support(np.asarray(data.values), data.name)

    @property
    def is_density(self) -> bool:
        """How much holding back is worth is no density."""
        return False


@jax.custom_jvp
def divergence_from_uniform(evidence: Array) -> Array:
    r"""`KL(Dirichlet(evidence + 1) || Dirichlet(1))`, one class along the last axis; in nats.

    $$\sum_k D_1(e_k) - D_K\Bigl(\sum_k e_k\Bigr),\qquad
    D_a(e) = e\,\psi(a+e) - \log\frac{\Gamma(a+e)}{\Gamma(a)} = \int_0^e t\,\psi'(a+t)\,dt$$
    """
    near = jnp.max(evidence, axis=-1) < 1
    by_row = near[..., None]
    little, much = jnp.where(by_row, evidence, 0.0), jnp.where(by_row, 1.0, evidence)
    return jnp.where(near, _near(little), _far(much))


@divergence_from_uniform.defjvp
def _divergence_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (evidence,), (tangent,) = primals, tangents
    count = evidence.shape[-1]
    total = jnp.sum(evidence, axis=-1, keepdims=True)
    # e / (1 + e) - E / (K + E), without what cancels where both are next to one.
    whole, share = total / (count + total), evidence / (1 + evidence)
    leading = share * (count / (count + total)) - whole / (1 + evidence)
    slope = leading + evidence * _beyond(1 + evidence) - total * _beyond(count + total)
    return divergence_from_uniform(evidence), jnp.sum(slope * tangent, axis=-1)


def _beyond(x: Array) -> Array:
    """`trigamma(x) - 1 / x`."""
    return 0.5 / x / x + binet_curvature(x)


def _near(evidence: Array) -> Array:
    """The integral along the straight way from no evidence: the whole is small, like its terms."""
    count, total = evidence.shape[-1], jnp.sum(evidence, axis=-1)

    def add(i: Array, found: Array) -> Array:
        node, weight = (jnp.asarray(each, evidence.dtype)[i] for each in (_NODES, _WEIGHTS))
        here, all_of_them = 1 + node * evidence, count + node * total
        each = jnp.sum(evidence**2 * (1 / here + _beyond(here)), axis=-1)
        together = total**2 * (1 / all_of_them + _beyond(all_of_them))
        return found + weight * node * (each - together)

    # A loop, since twelve copies of this take seconds to compile.
    found: Array = jax.lax.fori_loop(0, _NODES.size, add, jnp.zeros_like(total))
    return found


def _far(evidence: Array) -> Array:
    """By Stirling's formula for all gammas, less what it gives where there is no evidence."""
    count, total = evidence.shape[-1], jnp.sum(evidence, axis=-1)
    one, none = jnp.ones_like(total), jnp.full_like(total, count)
    x, sum_of_x = 1 + evidence, count + total
    less = binet(x) - binet(one)[..., None]
    each = evidence * (binet_slope(x) - 0.5 / x) - 0.5 * jnp.log1p(evidence) - less
    together = total * (binet_slope(sum_of_x) - 0.5 / sum_of_x) - (binet(sum_of_x) - binet(none))
    return jnp.sum(each, axis=-1) - together + (count - 0.5) * jnp.log1p(total / count)
