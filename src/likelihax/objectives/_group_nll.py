"""The NLL of whole groups of values, whose noise has one hidden variance a group."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Int

from .._groups import counted_groups
from .._parameters import is_parameter, vary
from .._predictor import Predictor
from ..data import AbstractData, Experiments
from ..likelihoods import AbstractRandomNoise
from ._hidden_noise import HiddenNoise, check_random_noise, hidden_noise
from ._nll import NLL
from ._objective import AbstractObjective, Evaluation, Split, solved


@final
class GroupNLL(AbstractObjective):
    r"""The NLL of values that share one hidden variance in each group, or a mean and a variance.

    Under `NLL` a likelihood such as `StudentT` draws the variance of its Normal anew for each
    value, so that a single value may be an outlier. Here it is drawn once for all values of a group
    $g$, so that a whole experiment may be one. With `StudentT(scale=s, dof=k)`,

    $$\sigma_g^2 \sim \mathrm{InverseGamma}(k/2,\ k s^2/2),\qquad
    y_i \sim \mathrm{Normal}(f_i, \sigma_g),$$

    where many `dof` say that all groups scatter alike. With `NormalInverseGamma`, the values of a
    group also share an offset from their prediction, $\delta_g \sim \mathrm{Normal}(0,
    \sigma_g/\sqrt\nu)$. What is hidden is integrated out in closed form, and leaves a multivariate
    Student's t (`distributions.InverseGammaScale.log_marginal`,
    `distributions.NormalInverseGamma.log_marginal`), a group and an observable at a time. Of groups
    of one value it is `NLL`.

    **Arguments:**

    - `by`: `"experiment"`, or a kind of groups of the data.
    - `groups`: the group of each row of a table instead, whole numbers from 0.

    The scale may differ within a group, predicted for instance: it is then multiplied by what the
    group has in common. What says how alike groups are may not: `dof`, or `evidence` and `shape`.
    Raises `ValueError` where it does, and for likelihoods of which nothing is hidden.
    `likelihax.inference.noise_of_groups(fit)` has the noise of each group.
    """

    by: str = eqx.field(static=True)
    groups: Int[Array, " rows"] | None
    num_groups: int = eqx.field(static=True)

    def __init__(self, by: str = "experiment", *, groups: Any = None):
        self.by = by
        self.groups, self.num_groups = None, 0
        if groups is not None:
            numbers, counts = counted_groups(groups, "GroupNLL", "row")
            self.groups, self.num_groups = jnp.asarray(numbers), len(counts)

    def evaluate(self, predictor: Predictor, data: AbstractData) -> Evaluation:
        """The sum over groups and observables."""
        noise, simulation = self._hidden(predictor, data)
        return solved(jnp.sum(noise.nll(data.values, data.observed)), simulation)

    def each(self, predictor: Predictor, data: AbstractData) -> Array:
        """The NLL of each group, shape `(groups, *observables)`, of a resolved predictor."""
        return self.hidden(predictor, data).nll(data.values, data.observed)

    def hidden(self, predictor: Predictor, data: AbstractData) -> HiddenNoise:
        """What is hidden in the noise of each group, of a resolved predictor."""
        return self._hidden(predictor, data)[0]

    def breakdown(self, predictor: Predictor, data: AbstractData) -> dict[str, Array]:
        """What each observable adds."""
        each = self.each(predictor, data)
        columns = each.reshape(each.shape[0], -1).sum(axis=0)
        return {name: columns[i] for i, name in enumerate(data.observables)}

    def check(self, predictor: Predictor, data: AbstractData) -> None:
        """Checks what `NLL` does, what the groups are, and that each has one hidden variance."""
        NLL().check(predictor, data)
        check_random_noise(predictor, "GroupNLL")
        self.members(data)
        if self.groups is not None and self.groups.shape != data.values.shape[:1]:
            raise ValueError(
                f"GroupNLL: {self.groups.size} groups for {data.values.shape[0]} rows of "
                f"{data.name}: give one a row."
            )
        self._check_alike(predictor, data)

    def members(self, data: AbstractData) -> tuple[str, ...]:
        """What the groups are called, in their order; `ValueError` where the data have none."""
        if self.groups is not None:
            return tuple(map(str, range(self.num_groups)))
        if self.by not in data.members:
            known = ", ".join(map(repr, data.members)) or "none"
            raise ValueError(
                f"GroupNLL: {data.name} is not grouped by {self.by!r}; there is {known}: give "
                "likelihax.Experiments, their groups, or GroupNLL(groups=...) for a table."
            )
        return data.members[self.by]

    def of_row(self, data: AbstractData) -> Int[Array, " rows"]:
        """The number of each row's group."""
        if self.groups is not None:
            return self.groups
        if isinstance(data, Experiments):
            return data.membership[self.by][data.of_row]
        return jnp.zeros(data.values.shape[0], int)

    def num_observed(self, predictor: Predictor, data: AbstractData) -> int:
        """How many values were measured."""
        return data.num_observed

    def split(self, predictor: Predictor, data: AbstractData, by: str) -> Split | None:
        """The NLL of each member's groups, where no group has values of two members."""
        if by not in data.members or (self.by not in (by, "experiment")):
            return None
        if self.groups is not None:
            return None
        noise, simulation = self._hidden(predictor, data)
        each = noise.nll(data.values, data.observed)
        members = each.reshape(each.shape[0], -1).sum(axis=1)
        if isinstance(data, Experiments) and by != self.by:
            count = len(data.members[by])
            members = jax.ops.segment_sum(members, data.membership[by], num_segments=count)
        return Split(members, solved(jnp.zeros((), members.dtype), simulation))

    @property
    def is_likelihood(self) -> bool:
        """It is one."""
        return True

    def _hidden(self, predictor: Predictor, data: AbstractData) -> tuple[HiddenNoise, Any]:
        check_random_noise(predictor, "GroupNLL")
        return hidden_noise(predictor, data, self.of_row(data), len(self.members(data)))

    def _check_alike(self, predictor: Predictor, data: AbstractData) -> None:
        """Raises `ValueError` where what is asked to be the same in a group need not be.

        Asked of other numbers than the start's, at which all may be equal.
        """
        generator = np.random.default_rng(0)

        def moved(leaf: Any) -> Any:
            if not is_parameter(leaf):
                return leaf
            away = 1 + 0.1 * generator.uniform(size=leaf.value.shape)
            return eqx.tree_at(lambda p: p.value, leaf, leaf.value * away.astype(leaf.value.dtype))

        likelihood = vary(predictor.likelihood, data.members, data.name)
        likelihood = jtu.tree_map(moved, likelihood, is_leaf=is_parameter)
        likelihood = Predictor(predictor.model, likelihood).likelihood_of(data)
        assert isinstance(likelihood, AbstractRandomNoise)
        shape = (*data.values.shape, likelihood.num_outputs)
        columns = generator.standard_normal(shape).astype(data.values.dtype)
        bare = likelihood.num_outputs == 1
        outputs = likelihood.outputs(jnp.asarray(columns[..., 0] if bare else columns))
        noise = likelihood.random_noise(outputs)
        of_row = np.asarray(self.of_row(data))
        for each in (noise.concentration, noise.unknown):
            if each is not None and _differs_within(np.asarray(each), of_row):
                raise ValueError(
                    "GroupNLL: dof, or evidence and shape, differ within a group, whose values "
                    "share one hidden variance: let the model not predict them, and make them the "
                    f'same for all, or vary by {self.by!r}, positive(..., by="{self.by}").'
                )


def _differs_within(each: np.ndarray, of_row: np.ndarray) -> bool:
    for group in np.unique(of_row):
        own = each[of_row == group]
        if not np.allclose(own, own[:1], rtol=1e-5, atol=0):
            return True
    return False
