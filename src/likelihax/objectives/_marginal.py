"""What varies by experiment, integrated out: the marginal likelihood, by Laplace's method."""

from collections.abc import Callable
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Float

from .._parameters import resolve
from .._result import RESULTS
from ._individuals import Individuals, Over, chosen, individuals
from ._modes import Expansion, expand, find_modes, polished
from ._nll import NLL
from ._objective import AbstractObjective, Evaluation, WeightedSum, as_sum, varied
from ._scalar import ScalarObjective

# A grid of more points than this takes too long to be meant.
_MOST_POINTS = 10_000


class Integrated(NamedTuple):
    """The integral of each block, and where it was taken from.

    - `evaluation`: the whole, as any objective's.
    - `rows`: the modes, in unconstrained coordinates.
    - `hessian`: of the joint objective there.
    """

    evaluation: Evaluation
    rows: Float[Array, "blocks size"]
    hessian: Float[Array, "blocks size size"]


@final
class Marginal(AbstractObjective):
    r"""$-\log \int e^{-h(\psi, \eta)}\, d\eta$: an objective without the parameters that vary.

    A spread of individual values cannot be fitted together with them: the density of equal values
    grows without bound. Integrated over, they leave the likelihood of the population parameters
    $\psi$. The integral is Laplace's approximation,

    $$L(\psi) = h(\psi, \hat\eta) + \tfrac12 \log \det \frac{H(\psi, \hat\eta)}{2\pi},
    \qquad \hat\eta(\psi) = \arg\min_\eta h(\psi, \eta), \quad H = \partial^2 h / \partial\eta^2,$$

    with the observed Hessian (Tierney and Kadane 1986, JASA 81; Wolfinger 1993, Biometrika 80;
    Pinheiro and Bates 1995, J. Comput. Graph. Stat. 4; the LAPLACE method of NONMEM). It depends on
    the coordinate of $\eta$: here the unconstrained one, logarithms of positive numbers, logits of
    bounded ones, so that a log-normal prior is a Normal one. It is exact where $h$ is quadratic in
    it, and good where each member has many values; see `points` to find out.

    **Arguments:**

    - `objective`: minus the logarithm of a joint density: the NLL and a `Prior` on what varies,
        for instance `NLL() + Prior(lambda p: p.model.rate, lambda p: dist.LogNormal(...))`.
    - `over`: from the predictor to the parameters that are integrated out, one or a tuple of them:
        `lambda p: p.model.rate`. They must vary (`by=`). Where all vary by the same kind and
        members see only their own, the integral is one of a few dimensions for each member;
        otherwise one over everything.
    - `points`: 1 is Laplace's approximation; more, adaptive Gauss-Hermite quadrature with so many
        points along each axis (Pinheiro and Bates 1995), for 1 to 3 parameters a member. Its
        difference from 1 is the error of Laplace's approximation.

    A fit has the population parameters only. `fit.predictor` has the individual values at their
    modes, the empirical Bayes estimates, and `likelihax.inference.individuals(fit)` their errors.
    Modes are found from the individual values of the predictor at the start; where there is none,
    the value is infinite. Derivatives, exact to the second order, see the modes move with the
    population parameters. Raises `ValueError` where `over` selects what cannot be integrated
    out, and where nothing but the data holds it.
    """

    objective: AbstractObjective
    over: Over
    points: int = eqx.field(static=True)
    individuals: Individuals | None

    def __init__(
        self,
        objective: AbstractObjective | Callable[[Any, Any], Array],
        over: Over,
        *,
        points: int = 1,
        individuals: Individuals | None = None,
    ):
        if not isinstance(objective, AbstractObjective):
            objective = ScalarObjective(objective)
        if not callable(over):
            raise ValueError(
                f"Marginal: over is {over!r}: it must be a function from the predictor to the "
                "parameters to integrate over, for instance lambda p: p.model.rate."
            )
        if isinstance(points, bool) or not isinstance(points, int) or points < 1:
            raise ValueError(f"Marginal: points is {points!r}: it must be a whole number from 1.")
        self.objective = objective
        self.over = over
        self.points = points
        self.individuals = individuals

    def __call__(self, predictor: Any, data: Any) -> Float[Array, ""]:
        """The value as a scalar, for a loop of one's own; `Parameter`s must still be in place.

        Inside `jax.jit` it cannot be seen whether members depend on one another, so that the
        integral is one over everything: call `prepared` before, and evaluate what it returns.
        """
        ready, known = self.prepared(varied(predictor, data), data)
        return resolve(ready).evaluate(resolve(known), data).total

    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """The value: infinite where a mode was not found, or something could not be solved."""
        return self.integrated(predictor, data).evaluation

    def integrated(self, predictor: Any, data: Any) -> Integrated:
        """The value, and the modes it was found from; of what `prepared` returned, resolved."""
        if self.individuals is None:
            raise ValueError(
                "Marginal: it has to see the parameters before they are plain arrays: call "
                "objective(predictor, data), or take objective.prepared(predictor, data)."
            )
        function = self._joint(predictor, data)
        # Where the modes are is not differentiated, only how they move.
        still = self._joint(*_still((predictor, data)))
        modes = find_modes(still, jax.lax.stop_gradient(self.individuals.start))
        rows = polished(function, modes)
        at = expand(function, rows)
        each, positive = _laplace(at)
        if self.points > 1:
            each = _quadrature(function, rows, at, self.points)
        found = modes.found & positive
        return Integrated(_evaluation(each, found, at.aux), rows, at.hessian)

    def breakdown(self, predictor: Any, data: Any) -> dict[str, Array]:
        """The joint objective's parts at the modes, and what the integral adds to them."""
        found = self.integrated(predictor, data)
        assert self.individuals is not None
        at_modes = self.individuals.put(found.rows, predictor)
        parts = self.objective.breakdown(at_modes, data)
        inside = jnp.sum(jnp.stack([part.astype(found.rows.dtype) for part in parts.values()]))
        return {**parts, "integral": found.evaluation.total - inside}

    def check(self, predictor: Any, data: Any) -> None:
        """Checks the joint objective, what is integrated over, and that a prior holds it."""
        self.objective.check(predictor, data)
        if not self.objective.is_density or self.objective.is_penalty or self.objective.has_kinks:
            raise ValueError(
                f"Marginal: {self.objective.title} is no density that could be integrated: give "
                "the NLL, summed, and priors."
            )
        found = chosen(self.over, varied(predictor, data))
        if any(one.members is None for one in found.parameters):
            raise ValueError(
                "Marginal: a parameter varies, but the data do not say by what members: give "
                "likelihax.Experiments."
            )
        made, known = individuals(self.over, found)
        _check_held(self.objective, made, resolve(known), data)
        size = made.start.shape[1]
        if self.points > 1 and self.points**size > _MOST_POINTS:
            raise ValueError(
                f"Marginal: {self.points} points along each of {size} axes are too many: take "
                "fewer, or integrate over fewer parameters."
            )

    def prepared(self, predictor: Any, data: Any) -> tuple[AbstractObjective, Any]:
        """The objective with the individual values' start, and the predictor without them."""
        inner, predictor = self.objective.prepared(predictor, data)
        made, known = individuals(self.over, chosen(self.over, predictor))
        if made.by is not None and not _is_separable(inner, made, resolve(known), data):
            made = made.joined()
        return Marginal(inner, self.over, points=self.points, individuals=made), known

    def completed(self, predictor: Any, data: Any) -> Any:
        """A fitted predictor with the individual values at their modes."""
        predictor = self.objective.completed(predictor, data)
        assert self.individuals is not None
        found = integrated(self, predictor, data)
        # Without a mode there is nothing better to show than where the search began.
        there = jnp.isfinite(found.evaluation.total)
        rows = jnp.where(there, found.rows, self.individuals.start)
        return self.individuals.completed(rows, predictor)

    def unmeasured(self) -> "Marginal":
        """The same without the NLL: what is said of a member of whom nothing was measured.

        Raises `ValueError` where nothing is.
        """
        whole = as_sum(self.objective)
        kept = [i for i, part in enumerate(whole.parts) if not isinstance(part, NLL)]
        if not kept:
            raise ValueError("Marginal: there is no part besides the NLL.")
        parts = tuple(whole.parts[i] for i in kept)
        said = WeightedSum(parts, tuple(whole.weights[i] for i in kept))
        return Marginal(said, self.over, points=self.points, individuals=self.individuals)

    def num_observed(self, predictor: Any, data: Any) -> int:
        """The joint objective's."""
        return self.objective.num_observed(predictor, data)

    def is_gradient(self, predictor: Any) -> bool:
        """Whether the joint objective's is."""
        return self.objective.is_gradient(predictor)

    @property
    def title(self) -> str:
        """`Marginal`, and of what."""
        return f"Marginal of {self.objective.title}"

    def _joint(self, predictor: Any, data: Any) -> Callable[[Array], tuple[Array, Evaluation]]:
        """From rows to the joint objective of each block, in their coordinates, and the rest."""
        held = self.individuals
        assert held is not None
        if held.by is None:
            return lambda rows: _whole(self.objective, held, rows, predictor, data)
        return lambda rows: _by_members(self.objective, held, rows, predictor, data)


@eqx.filter_jit
def integrated(objective: Marginal, predictor: Any, data: Any) -> Integrated:
    """`Marginal.integrated` of a predictor whose `Parameter`s are in place, compiled."""
    return objective.integrated(resolve(predictor), data)


def _by_members(
    objective: AbstractObjective, held: Individuals, rows: Array, predictor: Any, data: Any
) -> tuple[Array, Evaluation]:
    assert held.by is not None
    split = objective.split(held.put(rows, predictor), data, held.by)
    assert split is not None
    return split.each - held.log_jacobian(rows), split.rest


def _whole(
    objective: AbstractObjective, held: Individuals, rows: Array, predictor: Any, data: Any
) -> tuple[Array, Evaluation]:
    found = objective.evaluate(held.put(rows, predictor), data)
    nothing = eqx.tree_at(lambda e: e.total, found, jnp.zeros_like(found.total))
    return found.total[None] - held.log_jacobian(rows), nothing


def _laplace(at: Expansion) -> tuple[Float[Array, " blocks"], Array]:
    """Minus the logarithm of each integral, and whether the Hessian is positive."""
    lower = jnp.linalg.cholesky(at.hessian)
    diagonal = jnp.diagonal(lower, axis1=1, axis2=2)
    size = diagonal.shape[1]
    volume = jnp.sum(jnp.log(diagonal), axis=1) - 0.5 * size * np.log(2 * np.pi)
    return at.value + volume, jnp.all(jnp.isfinite(diagonal), axis=1)


def _quadrature(
    function: Callable[[Array], tuple[Array, Any]], rows: Array, at: Expansion, points: int
) -> Float[Array, " blocks"]:
    """The same by Gauss-Hermite quadrature about the modes, scaled by the Hessians."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(points)
    size = rows.shape[1]
    grid = np.stack(np.meshgrid(*(nodes,) * size, indexing="ij"), axis=-1).reshape(-1, size)
    logs = np.stack(np.meshgrid(*(np.log(weights),) * size, indexing="ij"), axis=-1)
    log_weights = logs.reshape(-1, size).sum(axis=1) + 0.5 * np.sum(grid**2, axis=1)
    lower = jnp.linalg.cholesky(at.hessian)
    log_volume = -jnp.sum(jnp.log(jnp.diagonal(lower, axis1=1, axis2=2)), axis=1)
    transposed = jnp.swapaxes(lower, 1, 2)

    def of_node(node: Array) -> Array:
        each = jnp.broadcast_to(node, rows.shape)[..., None]
        away = jax.scipy.linalg.solve_triangular(transposed, each, lower=False)[..., 0]
        return function(rows + away)[0]

    values = jax.lax.map(of_node, jnp.asarray(grid, rows.dtype))
    terms = jnp.asarray(log_weights, rows.dtype)[:, None] - values
    return -jax.nn.logsumexp(terms, axis=0) - log_volume


def _evaluation(each: Array, found: Array, rest: Evaluation) -> Evaluation:
    total = jnp.sum(jnp.where(found, each, jnp.inf)) + rest.total.astype(each.dtype)
    solved = rest.result == RESULTS.successful
    outcome = RESULTS.where(jnp.all(found), RESULTS.successful, RESULTS.no_mode)
    result = RESULTS.where(solved, outcome, rest.result)
    return Evaluation(total, result, rest.time_reached, rest.num_steps, rest.solves)


def _still(tree: Any) -> Any:
    stop = lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_inexact_array(leaf) else leaf
    return jtu.tree_map(stop, tree)


def _others(objective: AbstractObjective) -> list[AbstractObjective]:
    """The parts besides the NLL, which is a sum over experiments for certain."""
    return [resolve(part) for part in as_sum(objective).parts if not isinstance(part, NLL)]


def _check_held(objective: AbstractObjective, made: Individuals, predictor: Any, data: Any) -> None:
    """Raises `ValueError` where no part but the NLL depends on what is integrated out."""
    values = made.values(made.start)
    for i, kind in enumerate(made.kinds):
        missing = [*values[:i], jnp.full_like(values[i], jnp.nan), *values[i + 1 :]]
        without = made.put_values(missing, predictor)
        if all(bool(_ignores(part, without, data, kind)) for part in _others(objective)):
            raise ValueError(
                f"Marginal: nothing but the data holds a parameter that varies by {kind}, and then "
                "the integral over it need not exist: add a prior, "
                "NLL() + terms.Prior(lambda p: p.model.rate, distribution)."
            )


@eqx.filter_jit
def _ignores(part: AbstractObjective, predictor: Any, data: Any, kind: str) -> Array:
    """Whether a part is the same though something is NaN; not where that is dear to see."""
    found = part.split(predictor, data, kind)
    if found is None:
        return jnp.asarray(False)
    return jnp.all(jnp.isfinite(found.each)) & jnp.isfinite(found.rest.total)


def _is_separable(
    objective: AbstractObjective, made: Individuals, predictor: Any, data: Any
) -> bool:
    """Whether the objective is a sum over members, each seeing its own row only.

    That every part says so is asked first. A prior's centre may still be a function of all
    members, which is seen at the start: whether what a member adds changes with others' rows.
    """
    assert made.by is not None
    others = _others(objective)
    splits = lambda: [part.split(predictor, data, made.by or "") is None for part in others]
    if made.by not in data.members or any(splits()):
        return False
    leaves = jtu.tree_leaves((objective, predictor, made))
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        return False  # inside a transformation of one's own nothing can be looked at

    generator = np.random.default_rng(0)
    # Not at the start itself, where members may be alike and stationary.
    one, other, away = generator.standard_normal((3, *made.start.shape))
    some = np.arange(len(one)) % 2 == 0
    mixed = np.where(some[:, None], one, other)
    point = made.start + jnp.asarray(0.1 * away, made.start.dtype)
    tangents = jnp.asarray(np.stack([one, mixed, other]), point.dtype)
    each, rest = jax.device_get(_slopes(others, made, predictor, data, point, tangents))
    same = [
        np.allclose(by_mixed, np.where(some, by_one, by_other), rtol=1e-4)
        for by_one, by_mixed, by_other in each
    ]
    return all(same) and not any(np.any(one != 0) for one in rest)


@eqx.filter_jit
def _slopes(
    parts: list[AbstractObjective],
    made: Individuals,
    predictor: Any,
    data: Any,
    rows: Array,
    tangents: Array,
) -> tuple[list[Array], list[Array]]:
    """How what each member adds, and the rest, changes along tangents, the first axis of both."""
    assert made.by is not None

    def of_rows(rows: Array) -> tuple[list[Array], list[Array]]:
        now = made.put(rows, predictor)
        found = [part.split(now, data, made.by or "") for part in parts]
        splits = [each for each in found if each is not None]
        return [each.each for each in splits], [each.rest.total for each in splits]

    slopes: tuple[list[Array], list[Array]] = jax.vmap(
        lambda tangent: jax.jvp(of_rows, (rows,), (tangent,))[1]
    )(tangents)
    return slopes


def joint(objective: AbstractObjective) -> AbstractObjective:
    """The objective with nothing integrated out: each `Marginal` replaced by what is in it."""
    if isinstance(objective, Marginal):
        return objective.objective
    if not isinstance(objective, WeightedSum):
        return objective
    if not any(isinstance(part, Marginal) for part in objective.parts):
        return objective
    each = [
        as_sum(resolve(joint(part))).scaled(resolve(weight))
        for part, weight in zip(objective.parts, objective.weights, strict=True)
    ]
    parts = sum((one.parts for one in each), ())
    return WeightedSum(parts, sum((one.weights for one in each), ()))
