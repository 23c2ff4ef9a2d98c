"""The posterior: an objective with priors, as a density of the sampled coordinates."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..._parameters import Label, natural, pack, resolve, unpack
from ..._result import RESULTS
from ...fits import BFGS, Fit
from ...fits._prepare import prepare
from ...models import Solves
from ...objectives import AbstractObjective, Evaluation, Unknowns, WeightedSum, as_sum, evaluated
from ...objectives._marginal import joint
from ...terms import Flat, Prior
from ._non_centred import Standardised, marked, standardised, to_sampled, to_theta
from ._priors import check_covered, check_density, check_supports, log_jacobian, stated_priors


class Energy(NamedTuple):
    """What an evaluation of a posterior gave.

    **Attributes:**

    - `value`: minus the log-density, in nats; infinite where it is not usable, never NaN.
    - `failed_solve`: whether that was for a failed solve.
    - `time_reached`: how far the solve got.
    - `solves`: how far in each of several experiments; `None` where there is one.
    """

    value: Float[Array, ""]
    failed_solve: Bool[Array, ""]
    time_reached: Float[Array, ""]
    solves: Solves | None


@final
class Posterior(eqx.Module):
    r"""The posterior density of a predictor's fitted numbers, on a vector of real numbers.

    $$-\log p(z) = L(\theta(z)) - \log\left|\det\frac{\partial x}{\partial z}\right|$$

    up to a constant, with the objective $L$ and the fitted numbers $x$ in natural units, in which
    priors are stated. The vector is that of a fit, unconstrained and unit-scaled, but for numbers
    whose prior has a fitted centre or spread: unless `centred`, each is then `loc + scale * z` in
    its unconstrained coordinate (Papaspiliopoulos, Roberts and Skold 2007, "A general framework for
    the parametrization of hierarchical models", Statistical Science 22). That is so for Normal,
    Student-t, Cauchy, Laplace, logistic and Gumbel priors of `real` numbers, and for log-normal,
    half-Normal, half-Cauchy, exponential and inverse gamma scale ones of `positive` numbers.

    A point whose solve fails has an infinite energy, with a gradient of zero.

    **Arguments:**

    - `objective`: an NLL, summed, and a prior on every fitted number: `NLL() + Prior(...) + ...`;
        `terms.Flat(where)` says that nothing is known of some.
    - `predictor`, `data`: as for `fit`.
    - `centred`: whether numbers with a fitted centre are sampled as they are.

    Raises `ValueError` where a fitted number has no prior, a prior's support is not the constraint
    of what it is on, or a part of the objective is no density.
    """

    unknowns: Unknowns
    data: Any
    standardised: tuple[Standardised, ...]
    direct: Bool[Array, " size"]
    forward: bool = eqx.field(static=True)

    def __init__(
        self,
        objective: AbstractObjective,
        predictor: Any,
        data: Any,
        *,
        centred: bool = False,
    ):
        if not isinstance(objective, AbstractObjective):
            raise ValueError(
                f"Posterior: {objective!r} is no objective: give likelihax.NLL() and priors, "
                "NLL() + likelihax.terms.Prior(where, distribution) + ..."
            )
        check_density(objective)
        _, problem = prepare(objective, predictor, data, BFGS())
        stated = stated_priors(problem.unknowns)
        check_covered(problem.unknowns, stated)
        check_supports(problem.unknowns, stated)
        self.unknowns = problem.unknowns
        self.data = data
        self.forward = problem.forward
        self.standardised = () if centred else standardised(problem.unknowns, stated)
        self.direct = ~marked(self.standardised, problem.start().size)

    @classmethod
    def of(cls, fit: Fit, *, centred: bool = False) -> "Posterior":
        """That of a fit's objective and data, with the predictor at its estimates.

        What a `Marginal` objective integrates out is a part of the posterior again.
        """
        return cls(joint(fit.objective), fit.predictor, fit.data, centred=centred)

    def start(self) -> Float[Array, " size"]:
        """The predictor's present values as a sampled vector."""
        objective = as_sum(resolve(self.unknowns.objective))
        return to_sampled(pack(self.unknowns), self.unknowns, self.standardised, objective)

    def predictor(self, z: Float[Array, " size"]) -> Any:
        """The predictor at a sampled vector."""
        return self._at(z)[0].predictor

    def natural(self, z: Float[Array, " size"]) -> Float[Array, " natural"]:
        """All fitted numbers in natural units, flat, in the order of `labels`."""
        objective = as_sum(resolve(self.unknowns.objective))
        theta, _ = to_theta(z, self.unknowns, self.standardised, objective)
        return natural(theta, self.unknowns)

    @property
    def labels(self) -> tuple[Label, ...]:
        """What the fitted numbers are called."""
        return self.unknowns.labels()

    def energy(self, z: Float[Array, " size"]) -> Energy:
        """Minus the log-density of the sampled vector, and how the solve behind it ended."""
        unknowns, theta, log_base = self._at(z)
        evaluation = self._evaluate(unknowns, self._rest())
        jacobian = log_jacobian(theta, self.unknowns, ~self.direct)
        failed = jnp.asarray(evaluation.result != RESULTS.successful)
        total = evaluation.total - (log_base + jacobian).astype(evaluation.total.dtype)
        usable = ~failed & jnp.isfinite(total)
        value = jnp.where(usable, total, jnp.inf)
        return Energy(value, failed, evaluation.time_reached, evaluation.solves)

    def potential(self, z: Float[Array, " size"]) -> Float[Array, ""]:
        """Minus the log-density of the sampled vector, up to a constant."""
        return self.energy(z).value

    def potential_and_gradient(
        self, z: Float[Array, " size"]
    ) -> tuple[Energy, Float[Array, " size"]]:
        """The energy and its gradient, forwards in one pass where the numbers are few.

        The gradient is zero where the energy is infinite; where only the gradient is not finite,
        the energy is infinite too.
        """

        def value(z: Array) -> tuple[Array, Energy]:
            energy = self.energy(z)
            return energy.value, energy

        if self.forward:
            push: Any = lambda tangent: jax.jvp(value, (z,), (tangent,), has_aux=True)
            basis = jnp.eye(z.size, dtype=z.dtype)
            _, gradient, energy = jax.vmap(push, out_axes=(None, 0, None))(basis)
        else:
            (_, energy), gradient = jax.value_and_grad(value, has_aux=True)(z)
        usable = jnp.isfinite(energy.value) & jnp.all(jnp.isfinite(gradient))
        energy = energy._replace(value=jnp.where(usable, energy.value, jnp.inf))
        return energy, jnp.where(usable, gradient, 0.0)

    def log_density(self, z: Float[Array, " size"]) -> Float[Array, ""]:
        """The log-density of the sampled vector, up to a constant; minus infinity, never NaN."""
        return -self.potential(z)

    def log_likelihood(self, z: Float[Array, " size"]) -> Float[Array, ""]:
        """What the data add to it: minus all that is no prior."""
        unknowns, _, _ = self._at(z)
        evaluation = self._evaluate(unknowns, self._parts(lambda part: not _is_prior(part)))
        usable = jnp.asarray(evaluation.result == RESULTS.successful) & ~jnp.isnan(evaluation.total)
        return jnp.where(usable, -evaluation.total, -jnp.inf)

    def log_prior(self, z: Float[Array, " size"]) -> Float[Array, ""]:
        """The log-density of the priors on the sampled vector: with `log_likelihood` the whole."""
        unknowns, theta, log_base = self._at(z)
        taken = {one.prior for one in self.standardised}
        which = [i for i in self._parts(_is_prior) if i not in taken]
        evaluation = self._evaluate(unknowns, which)
        jacobian = log_jacobian(theta, self.unknowns, ~self.direct)
        return log_base + jacobian - evaluation.total.astype(jacobian.dtype)

    def _at(self, z: Array) -> tuple[Unknowns, Array, Array]:
        objective = as_sum(resolve(self.unknowns.objective))
        theta, log_base = to_theta(z, self.unknowns, self.standardised, objective)
        found: Unknowns = unpack(theta, self.unknowns)
        return found, theta, log_base

    def _parts(self, wanted: Callable[[Any], bool]) -> list[int]:
        parts = as_sum(self.unknowns.objective).parts
        return [i for i, part in enumerate(parts) if wanted(part)]

    def _rest(self) -> list[int]:
        """All parts but the priors of what is standardised."""
        taken = {one.prior for one in self.standardised}
        return [i for i in self._parts(lambda part: True) if i not in taken]

    def _evaluate(self, unknowns: Unknowns, which: Sequence[int]) -> Evaluation:
        if not which:
            return evaluated(jnp.zeros(()))
        whole = as_sum(resolve(unknowns.objective))
        chosen = WeightedSum(
            tuple(whole.parts[i] for i in which), tuple(whole.weights[i] for i in which)
        )
        return chosen.evaluate(resolve(unknowns.predictor), self.data)


def _is_prior(part: Any) -> bool:
    return isinstance(part, Prior | Flat)
