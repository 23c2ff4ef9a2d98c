"""Several predictors of one structure as one: a mixture predictive distribution."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Float

from ..._parameters import map_nodes, nodes_of, resolve
from ..._predictor import Predictor
from ..._result import RESULTS
from ...data import AbstractData
from ...fits import Fit, MultiStart
from ...likelihoods._likelihood import Outputs
from ...models import AbstractSimulator, Simulation
from ...objectives import NLL
from ._predictive_mixture import PredictiveMixture


class Stacked(NamedTuple):
    """Predictors side by side.

    - `varying`: what differs, along a first axis of every array; `None` in all other places.
    - `shared`: all other leaves of one of them; `None` where they differ.
    - `num`: how many there are.
    """

    varying: Any
    shared: Any
    num: int


@final
class Ensemble(eqx.Module):
    r"""Several predictors as one: $p(y \mid x) = \sum_k w_k\,p_k(y \mid x)$.

    What the members disagree about widens the mixture: `ensemble(x).aleatoric` is the scatter
    that each of them states, `ensemble(x).epistemic` how far their means are apart, and both
    together `ensemble(x).variance` (B. Lakshminarayanan, A. Pritzel and C. Blundell 2017, "Simple
    and scalable predictive uncertainty estimation using deep ensembles", NeurIPS 30).

    A member whose model cannot be solved takes no part in a prediction: the weights of the others
    are scaled up to a sum of one, and a warning says which it was; see `failed`. If none can be
    solved, the NLL is infinite.

    **Arguments:**

    - `members`: predictors, or fits, of the same structure: the same but for the numbers in them.
    - `weights`: how much each counts, not negative; scaled to a sum of one. By default alike.

    Raises `ValueError` for members of different structure or weights that cannot be right.
    """

    varying: Any
    shared: Any
    weights: Float[Array, " members"]

    def __init__(self, members: "Sequence[Predictor | Fit] | Stacked", weights: Any = None):
        if not isinstance(members, Stacked):
            members = _stacked(_predictors(members))
        self.varying, self.shared, count = members
        self.weights = _checked_weights(weights, count)

    def __call__(self, *arguments: Any) -> PredictiveMixture:
        """The distribution of what would be measured, given the model's arguments."""
        simulation, outputs = _called(self, arguments)
        return self._mixture(self.member(0).likelihood, simulation, outputs)

    def predict(self, data: AbstractData) -> Simulation:
        """The prediction of each member for every value of `data`.

        All of its arrays have a first axis of the members; `simulation.result[k]` says how the
        solve of member `k` ended, `failed` which could not be solved.
        """
        simulation, _ = _of_data(self, data)
        return simulation

    def predictive(self, data: AbstractData) -> PredictiveMixture:
        """The distribution of every value of `data`."""
        simulation, outputs = _of_data(self, data)
        return self._mixture(self.member(0).likelihood_of(data), simulation, outputs)

    def nll(self, data: AbstractData) -> Array:
        r"""$-\log\sum_k w_k\,p_k(y)$ of each measured value, in nats; zero where missing.

        From the members' exact NLLs, the smallest taken out of the sum. Infinite where no member
        gives the value a density, or none could be solved. Raises `ValueError` for values outside
        the support.
        """
        NLL().check(self.member(0), data)
        each, solved = _nlls(self, data)
        _warn(solved, data.name)
        return _mixed(each, self.weights, solved)

    def failed(self, data: AbstractData) -> tuple[int, ...]:
        """The numbers of the members whose model cannot be solved for `data`."""
        solved = np.asarray(_solved(self.predict(data)))
        return tuple(int(i) for i in np.flatnonzero(~solved))

    def __len__(self) -> int:
        return self.weights.size

    def member(self, which: int) -> Predictor:
        """One of the predictors."""
        if not -len(self) <= which < len(self):
            raise IndexError(f"There is no member {which} among {len(self)}.")
        one: Predictor = eqx.combine(
            jtu.tree_map(lambda leaf: leaf[which], self.varying), self.shared
        )
        return one

    @property
    def members(self) -> tuple[Predictor, ...]:
        """All of the predictors."""
        return tuple(self.member(i) for i in range(len(self)))

    def of(self, data: AbstractData, name: str | None = None) -> "Ensemble":
        """The ensemble for one experiment; see `Predictor.of`."""
        return Ensemble([member.of(data, name) for member in self.members], self.weights)

    def each(self, function: Callable[[Predictor], Any]) -> Any:
        """What a function gives for each member, along a new first axis; traceable.

        Members that are solved go one after the other on a CPU, where side by side each would
        wait for the one with the most steps; all others go side by side.
        """
        one = lambda varying, _: function(eqx.combine(varying, self.shared))
        numbers = jnp.arange(len(self))
        in_turn = jax.default_backend() == "cpu" and nodes_of(AbstractSimulator, self.shared)
        if in_turn:
            return jax.lax.map(lambda pair: one(*pair), (self.varying, numbers))
        return jax.vmap(one)(self.varying, numbers)

    def _mixture(
        self, likelihood: Any, simulation: Simulation, outputs: Outputs
    ) -> PredictiveMixture:
        solved = _solved(simulation)
        _warn(solved, "the prediction")
        weights = _renormalised(self.weights, solved)
        # In place of what could not be solved, which has no weight, anything finite.
        instead = jnp.argmax(solved)
        for_all = lambda x: jnp.where(
            solved.reshape((-1,) + (1,) * (x.ndim - 1)), x, x[instead][None]
        )
        finite = tuple(for_all(output) for output in outputs)
        return PredictiveMixture(weights, resolve(likelihood).from_outputs(finite))


def survivors(
    found: MultiStart,
    *,
    within: float = 2.0,
    weights: Literal["likelihood", "equal"] = "likelihood",
) -> Ensemble:
    r"""The optima of many starts that the data do not tell apart, as an `Ensemble`.

    **Arguments:**

    - `found`: what `multistart` returned.
    - `within`: how far the objective of an optimum may be above the lowest, in nats.
    - `weights`: `"likelihood"`, proportional to $e^{-\text{NLL}}$; or `"equal"`. Neither is a
        posterior probability, which would also weigh how wide each optimum is.

    Raises `ValueError` where no fit converged, or for other words.
    """
    if not isinstance(found, MultiStart):
        raise ValueError(
            f"survivors: expected what multistart returned, got {type(found).__name__}; of fits or "
            "predictors make likelihax.Ensemble([...])."
        )
    if weights not in ("likelihood", "equal"):
        raise ValueError(f'survivors: weights is "likelihood" or "equal", not {weights!r}.')
    if not within >= 0:
        raise ValueError(f"survivors: within must be 0 or more nats, got {within}.")
    if not found.optima:
        raise ValueError("survivors: no fit converged: there is no optimum to predict from.")
    lowest = found.optima[0].nll
    kept = [optimum for optimum in found.optima if optimum.nll - lowest <= within]
    heights = np.array([optimum.nll - lowest for optimum in kept])
    shares = np.exp(-heights) if weights == "likelihood" else np.ones(len(kept))
    return Ensemble([optimum.fit for optimum in kept], shares)


def _predictors(members: Any) -> list[Predictor]:
    if isinstance(members, MultiStart):
        raise ValueError(
            "Ensemble: of many starts, take the optima that are about as good as the best: "
            "likelihax.survivors(found, within=...)."
        )
    if not isinstance(members, Sequence) or isinstance(members, str) or not members:
        raise ValueError("Ensemble: give a list of one or more predictors or fits.")
    found = []
    for i, member in enumerate(members):
        one = member.predictor if isinstance(member, Fit) else member
        if not isinstance(one, Predictor):
            raise ValueError(
                f"Ensemble: members[{i}] is {type(member).__name__}: give predictors (model and "
                "likelihood) or fits of them."
            )
        if isinstance(member, Fit) and not np.isfinite(member.nll):
            raise ValueError(f"Ensemble: members[{i}] is a fit without estimates. {member.message}")
        found.append(one)
    return [found[0], *(_solved_like(found[0], one) for one in found[1:])]


def _solved_like(first: Predictor, other: Predictor) -> Predictor:
    """The same predictor, its solvers chosen as those of the first: all share one code."""
    chosen = iter(nodes_of(AbstractSimulator, first))
    like: Predictor = map_nodes(
        AbstractSimulator, lambda node: node.solved_like(next(chosen, node)), other
    )
    return like


def _stacked(predictors: list[Predictor]) -> Stacked:
    """The arrays that differ, along a first axis of the members, and all that they share."""
    structure: Any
    theirs: Any
    first, structure = jtu.tree_flatten(predictors[0])
    rows = [first]
    for i, other in enumerate(predictors[1:], 1):
        leaves, theirs = jtu.tree_flatten(other)
        if theirs != structure or not all(map(alike, first, leaves)):
            raise ValueError(
                f"Ensemble: members[{i}] is built differently from members[0]: all must be the "
                "same model and likelihood, and may differ in numbers only."
            )
        rows.append(leaves)
    varying: list[Any] = []
    shared: list[Any] = []
    for column in zip(*rows, strict=True):
        differ = eqx.is_array(column[0]) and not all(_same(column[0], leaf) for leaf in column[1:])
        varying.append(_stack(column) if differ else None)
        shared.append(None if differ else column[0])
    return Stacked(structure.unflatten(varying), structure.unflatten(shared), len(rows))


def _stack(leaves: Sequence[Any]) -> Array:
    # Of a thousand members XLA would compile a concatenation of a thousand arrays.
    concrete = not any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
    if concrete and not jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jnp.asarray(np.stack([np.asarray(leaf) for leaf in leaves]))
    return jnp.stack(leaves)


def alike(ours: Any, theirs: Any) -> bool:
    """Whether two leaves are arrays of one shape and dtype, or the same thing."""
    if eqx.is_array(ours) and eqx.is_array(theirs):
        return bool(ours.shape == theirs.shape and ours.dtype == theirs.dtype)
    return type(ours) is type(theirs) and bool(ours == theirs)


def _same(ours: Any, theirs: Any) -> bool:
    if ours is theirs:
        return True
    if jnp.issubdtype(ours.dtype, jax.dtypes.prng_key):
        ours, theirs = jax.random.key_data(ours), jax.random.key_data(theirs)
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")


def _checked_weights(weights: Any, count: int) -> Array:
    found = np.ones(count) if weights is None else np.asarray(weights, float)
    if found.shape != (count,):
        raise ValueError(f"Ensemble: weights of shape {found.shape} for {count} members.")
    if not (np.all(np.isfinite(found)) and np.all(found >= 0) and found.sum() > 0):
        raise ValueError(
            f"Ensemble: weights must be finite, not negative and not all zero, got {found}."
        )
    return jnp.asarray(found / found.sum())


@eqx.filter_jit
def _called(ensemble: Ensemble, arguments: tuple[Any, ...]) -> tuple[Simulation, Outputs]:
    def one(member: Predictor) -> tuple[Simulation, Outputs]:
        simulation = member.simulate(*arguments)
        return simulation, resolve(member.likelihood).outputs(simulation.values)

    found: tuple[Simulation, Outputs] = ensemble.each(one)
    return found


@eqx.filter_jit
def _of_data(ensemble: Ensemble, data: AbstractData) -> tuple[Simulation, Outputs]:
    def one(member: Predictor) -> tuple[Simulation, Outputs]:
        simulation = member.predict(data)
        return simulation, member.likelihood_of(data).outputs(simulation.values)

    found: tuple[Simulation, Outputs] = ensemble.each(one)
    return found


@eqx.filter_jit
def _nlls(ensemble: Ensemble, data: AbstractData) -> tuple[Array, Array]:
    def one(member: Predictor) -> tuple[Array, Array]:
        each, simulation = NLL().elementwise(member, data)
        return each, simulation.success

    found: tuple[Array, Array] = ensemble.each(one)
    return found


@eqx.filter_jit
def _mixed(each: Array, weights: Array, solved: Array) -> Array:
    kept = _renormalised(weights, solved).astype(each.dtype).reshape((-1,) + (1,) * (each.ndim - 1))
    logarithms = jnp.log(jnp.where(kept > 0, kept, 1.0))
    terms = jnp.where(kept > 0, logarithms - each, -jnp.inf)
    return jnp.where(jnp.any(solved), -jax.nn.logsumexp(terms, axis=0), jnp.inf)


def _renormalised(weights: Array, solved: Array) -> Array:
    """The weights of what could be solved, with a sum of one; as they were if nothing could."""
    kept = jnp.where(solved, weights, 0.0)
    total = jnp.sum(kept)
    return jnp.where(total > 0, kept / jnp.where(total > 0, total, 1.0), weights)


def _solved(simulation: Simulation) -> Array:
    return jnp.asarray(simulation.result == RESULTS.successful)


def _warn(solved: Array, where: str) -> None:
    if isinstance(solved, jax.core.Tracer) or bool(jnp.all(solved)):
        return
    lost = np.flatnonzero(~np.asarray(solved)).tolist()
    listed = ", ".join(map(str, lost[:8])) + (", ..." if len(lost) > 8 else "")
    warnings.warn(
        f"Ensemble: {len(lost)} of {len(solved)} members could not be solved for {where}, and "
        f"take no part: {listed}.",
        stacklevel=3,
    )
