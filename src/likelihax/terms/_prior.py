"""What is known of a parameter beforehand, as a distribution."""

from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array
from numpyro.distributions import Distribution

from .._parameters import resolve
from .._result import RESULTS
from .._varying import is_varying, varying_in
from ..objectives._objective import Evaluation, Split, evaluated, varied
from ..objectives._observations import CurvedLoss, Observations
from ._selection import Where, check_where, count_selected, places, selected
from ._term import AbstractTerm


@final
class Prior(AbstractTerm):
    r"""$-\sum_j \log p(x_j)$, in nats with all constants, at the natural values.

    With the NLL its minimum is the largest posterior density (MAP), in natural units: not of the
    logarithm of what is fitted through its logarithm. The standard errors are then those of the
    posterior's Normal approximation.

    **Arguments:**

    - `where`: from the predictor to the numbers that are meant, in natural units.
    - `distribution`: a NumPyro one, of single numbers or of the selected array; broadcast to each
        selected array. Or a function from the predictor to one, where its centre and spread are
        fitted too: `lambda p: dist.Normal(p.model.field.centre, p.model.field.spread)`.
    - `name`: what it is called in a breakdown.

    A spread that is fitted needs a `Prior` of its own: the density of equal numbers grows without
    bound as it falls to zero. Raises `ValueError` where it is asked of one number only.
    """

    where: Where
    distribution: Distribution | Callable[[Any], Distribution]
    name: str | None = eqx.field(static=True)

    def __init__(
        self,
        where: Where,
        distribution: Distribution | Callable[[Any], Distribution],
        *,
        name: str | None = None,
    ):
        check_where(where, "Prior", "lambda p: p.model.field.growth")
        if not (isinstance(distribution, Distribution) or callable(distribution)):
            raise ValueError(
                f"Prior: {distribution!r} is no NumPyro distribution: give for instance "
                "numpyro.distributions.LogNormal(0.0, 1.0)."
            )
        self.where = where
        self.distribution = distribution
        self.name = name

    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """Minus the sum of the log-densities."""
        density = self._density(predictor)
        each = [_log_density(density, x) for x in selected(self.where, predictor)]
        return evaluated(-jnp.sum(jnp.stack([jnp.sum(log_prob) for log_prob in each])))

    def split(self, predictor: Any, data: Any, by: str) -> Split | None:
        """Each member's own log-density, where the distribution is one of single members."""
        density = self._density(predictor)
        members: Array | None = None
        rest = jnp.zeros(())
        for node in jtu.tree_leaves(self.where(predictor), is_leaf=is_varying):
            its_own = is_varying(node) and node.by == by
            x = node.value if is_varying(node) else node
            if not eqx.is_inexact_array(x):
                continue
            log_prob = _log_density(density, x)
            if not its_own:
                rest = rest - jnp.sum(log_prob)
            elif log_prob.shape[:1] != x.shape[:1]:
                return None
            else:
                each = -log_prob.reshape(log_prob.shape[0], -1).sum(axis=1)
                members = each if members is None else members + each
        if members is None:
            members = jnp.zeros(len(data.members[by]), rest.dtype)
        return Split(members, evaluated(rest.astype(members.dtype)))

    def check(self, predictor: Any, data: Any) -> None:
        """Checks that what is selected is fitted, and starts where the prior has density."""
        predictor = varied(predictor, data)
        places(self.where, predictor, self.title)
        predictor = resolve(predictor)
        if not isinstance(self.distribution, Distribution):
            self._check_several(self.where(predictor))
        density = self._density(predictor)
        for x in selected(self.where, predictor):
            try:
                inside = np.asarray(density.support(x))
                jax.eval_shape(density.log_prob, x)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{self.title}: the distribution, of shape {density.shape()}, does "
                    f"not fit a selected array of shape {x.shape} ({error})."
                ) from error
            if not np.all(inside):
                raise ValueError(
                    f"{self.title}: the start {np.asarray(x)} has no density under the prior: "
                    "start inside its support."
                )

    def losses(self, predictor: Any) -> tuple[CurvedLoss, ...] | None:
        """Minus the log-density of each selected array, if it is a known one of single numbers."""
        density = self.distribution
        if not isinstance(density, Distribution) or density.event_dim:
            return None
        return (_MinusLogDensity(density),) * count_selected(self.where, predictor)

    def observations(self, predictor: Any, data: Any) -> tuple[Observations, ...]:
        """Each selected array; there is nothing to compare it with."""
        eps = float(jnp.finfo(float).eps)
        return tuple(
            Observations((x,), jnp.zeros_like(x), jnp.ones_like(x), RESULTS.successful, eps)
            for x in selected(self.where, predictor)
        )

    def _density(self, predictor: Any) -> Distribution:
        if isinstance(self.distribution, Distribution):
            return self.distribution
        try:
            found: Any = self.distribution(predictor)
        except (AttributeError, TypeError) as error:
            raise ValueError(
                f"{self.title}: the distribution's function cannot be applied to the predictor "
                f"({error}). It must take shared parameters, lambda p: dist.Normal(p.model.centre, "
                "p.model.spread)."
            ) from error
        if not isinstance(found, Distribution):
            raise ValueError(
                f"{self.title}: the function returned {type(found).__name__}, no NumPyro "
                "distribution: return for instance dist.Normal(p.model.centre, p.model.spread)."
            )
        return found

    def _check_several(self, found: Any) -> None:
        """Raises `ValueError` where centre and spread would be those of one number."""
        alone = [node for node in varying_in(found) if len(node.members) == 1]
        if alone:
            by, (member,) = alone[0].by, alone[0].members
            raise ValueError(
                f"{self.title}: a parameter that varies by {by} has one member only, {member!r}, "
                "and the spread of one number cannot be fitted: give data of two or more, or a "
                "known distribution."
            )
        if sum(leaf.size for leaf in jtu.tree_leaves(found) if eqx.is_array(leaf)) == 1:
            raise ValueError(
                f"{self.title}: one number is selected, and its spread cannot be fitted: select "
                'a parameter that varies, positive(..., by="experiment") for instance, or give a '
                "known distribution."
            )


@final
class _MinusLogDensity(eqx.Module):
    distribution: Distribution

    @property
    def majorises(self) -> bool:
        return False

    def kernel(self, outputs: tuple[Array, ...], values: Array) -> Array:
        return -_log_density(self.distribution, outputs[0])

    def curvature(self, outputs: tuple[Array, ...], values: Array) -> Array:
        return self.information(outputs)

    def information(self, outputs: tuple[Array, ...]) -> Array:
        (x,) = outputs
        value = lambda x: jnp.sum(self.kernel((x,), x))
        ones = jnp.ones_like(x)
        slope, second = jax.jvp(jax.grad(value), (x,), (ones,))
        # Where the density is not log-concave, the outer product of the slope is positive still.
        return jnp.where(second > 0, second, slope**2)[None, None]


def _log_density(distribution: Distribution, x: Array) -> Array:
    # NumPyro gives numbers outside the support too.
    return jnp.where(distribution.support(x), distribution.log_prob(x), -jnp.inf)
