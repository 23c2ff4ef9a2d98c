"""Residuals that a law of physics puts at zero, along a trajectory."""

import abc
from collections.abc import Callable, Iterator
from typing import Any, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._parameters import trainable_size
from .._predictor import Predictor, simulate_each_of
from .._result import RESULTS
from ..data import AbstractData, Experiments
from ..likelihoods import AbstractLikelihood, AbstractRegularLikelihood
from ..models import ODE, AbstractSimulator, Simulation
from ..models._surrogate import Surrogate, check_span
from ..objectives._objective import Evaluation
from ..objectives._observations import CurvedLoss, Observations
from ._term import AbstractTerm

# From a time and the state there to one quantity, or several.
Quantity = Callable[[Any, PyTree], Array]
# From times, states and field to what a law leaves.
Residual = Callable[[Array, PyTree, Any], Array]


class AbstractResidual(AbstractTerm):
    r"""Residuals that should be zero, with a likelihood that says how far off they may be.

    $$\sum_i -\log p(0 \mid r_i), \qquad\text{with a floor }f:\quad
    \sum_i -\tfrac12\log p(0 \mid r_i + f) - \tfrac12\log p(0 \mid r_i - f)$$

    The likelihood's scale has the residual's unit; it is the residual's weight, known or
    fitted. The floor is how large the residuals of a right model are for reasons that are not
    the model's: the error of the solver, the resolution of a spline. With it a fitted Normal
    scale ends at $\sqrt{f^2 + \overline{r^2}}$: at the floor where the residuals vanish.
    Without one it runs to zero wherever all residuals can be driven to zero, and the NLL to
    minus infinity; so what is fitted needs one.

    Each residual counts as one value, however near its neighbours are. `weight * term` makes
    `n` of them count as `weight * n`.
    """

    likelihood: eqx.AbstractVar[AbstractLikelihood]
    floor: eqx.AbstractVar[Array | None]

    @abc.abstractmethod
    def along(self, model: Any, times: Array, inputs: Any) -> Simulation:
        """The residuals of one experiment, of any shape, and whether they could be computed."""

    @abc.abstractmethod
    def are_own_times(self, model: Any) -> bool:
        """Whether the times are the term's own, the same for experiments of any length."""

    def residuals(self, predictor: Any, data: Any) -> Simulation:
        """The residuals; those of several experiments one after the other, by their lengths."""
        # Without the likelihood, whose parameters do not move them.
        bare = eqx.tree_at(lambda term: term.likelihood, self, None)
        along = _Along(predictor.model, bare)
        return simulate_each_of(along, data, padded=self.are_own_times(predictor.model))

    def evaluate(self, predictor: Any, data: Any) -> Evaluation:
        """The NLL of zero, summed over the residuals."""
        simulation = self.residuals(predictor, data)
        seen, weight = self._seen(simulation.values)
        each = weight * self.likelihood.nll(seen, jnp.zeros_like(seen))
        return Evaluation(
            total=jnp.sum(jnp.where(simulation.success, each, jnp.inf)),
            result=simulation.result,
            time_reached=simulation.time_reached,
            num_steps=simulation.num_steps,
            solves=simulation.solves,
        )

    def is_gradient(self, predictor: Any) -> bool:
        """Not where the likelihood deliberately gives another one."""
        return self.likelihood.is_gradient

    def losses(self, predictor: Any) -> tuple[CurvedLoss, ...] | None:
        """The likelihood, if it is a regular one."""
        likelihood = self.likelihood
        return (likelihood,) if isinstance(likelihood, AbstractRegularLikelihood) else None

    def observations(self, predictor: Any, data: Any) -> tuple[Observations, ...]:
        """The residuals beside zero."""
        simulation = self.residuals(predictor, data)
        seen, weight = self._seen(simulation.values)
        compared = Observations(
            outputs=self.likelihood.outputs(seen),
            values=jnp.zeros_like(seen),
            weights=jnp.full_like(seen, weight),
            result=simulation.result,
            accuracy=simulation.accuracy,
            solves=simulation.solves,
        )
        return (compared,)

    def _seen(self, residuals: Array) -> tuple[Array, float]:
        """The residuals as they count: once, or half on each side at the floor's distance."""
        if self.floor is None:
            return residuals, 1.0
        floor = self.floor.astype(residuals.dtype)
        if floor.shape not in ((), residuals.shape[-1:]):
            raise ValueError(
                f"{self.title}: a floor of shape {floor.shape} for residuals of shape "
                f"{residuals.shape}: give one for all, or one for each along the last axis."
            )
        floor = floor.reshape((1,) * (residuals.ndim - floor.ndim) + floor.shape)
        return jnp.stack([residuals + floor, residuals - floor]), 0.5


@final
class _Along(AbstractSimulator):
    """What a term leaves along a model's trajectory, as a model of its own."""

    model: Any
    term: AbstractResidual

    def simulate(self, times: Float[Array, " times"], inputs: Any = None) -> Simulation:
        return self.term.along(self.model, times, inputs)

    @property
    def forward(self) -> bool:
        return bool(self.model.forward)

    @property
    def reverse_only(self) -> bool:
        return bool(self.model.reverse_only)

    def differentiated(self, mode: Literal["forward", "reverse"]) -> "_Along":
        return _Along(self.model.differentiated(mode), self.term)

    def check(self, times: Any, inputs: Any, name: str) -> None:
        self.model.check(times, inputs, name)


@final
class Law(AbstractResidual):
    r"""A law that the trajectory should keep: its residual is zero where it does.

    Conservation, a balance, a boundary value, an inequality; see `balance`, `conserved`,
    `boundary`, `nonnegative` and `monotone` for those that are often needed. A law that holds for
    every solution of the field says nothing new; it does where part of the field is free, or
    where the trajectory is a `Surrogate`.

    **Arguments:**

    - `residual`: `(times, states, field) -> residuals`, in units of one's own. `times` has shape
        `(times,)`; `states` are the states there, of an `ODE` or a `Surrogate`, along the first
        axis of each of their arrays; `field` is the vector field, its parameters plain arrays.
        It returns one array of any shape. `Parameter`s of its own are fitted too.
    - `likelihood`: how far off the law may be: for instance `Normal(scale=0.1)`, known, or
        `Normal(scale=positive(0.1))`, fitted.
    - `times`: when, in increasing order, between `t0` and the last time of the data (of a
        `Surrogate`: wherever its curve is known); a number for that many, evenly spaced from `t0`
        to the last time of the data; by default the times of the data. In each of several
        experiments the law holds anew.
    - `floor`: how large the residual of a right model may seem, in its units; see
        `AbstractResidual`.
    - `name`: what it is called in a breakdown.
    """

    residual: Residual
    likelihood: AbstractLikelihood
    times: Array | None
    count: int | None = eqx.field(static=True)
    floor: Array | None
    name: str | None = eqx.field(static=True)

    def __init__(
        self,
        residual: Residual,
        likelihood: AbstractLikelihood,
        *,
        times: Any = None,
        floor: Any = None,
        name: str | None = None,
    ):
        if not callable(residual):
            raise ValueError(
                f"Law: the residual {residual!r} is no function: give one of times, states and "
                "field, for instance likelihax.terms.conserved(lambda t, y: y.sum())."
            )
        self.residual = residual
        self.likelihood = checked_likelihood(likelihood, "Law")
        self.times, self.count = increasing_times(times, "Law")
        self.floor = checked_floor(floor, self.likelihood, "Law")
        self.name = name

    def check(self, predictor: Any, data: Any) -> None:
        """Checks that there is a trajectory, and that it has a state at all times."""
        for model, one in models_of(predictor, data, (ODE, Surrogate), self.title):
            check_times(model, one, self.times, self.count, self.title)

    def are_own_times(self, model: Any) -> bool:
        """Unless they are those of the data."""
        return self.times is not None or self.count is not None

    def along(self, model: Any, times: Array, inputs: Any) -> Simulation:
        """What the law leaves at its times; infinite where the solve failed."""
        own = times_of(model, times, self.times, self.count)
        solved, states = trajectory(model, own, times, inputs)
        field = model.ode.field if isinstance(model, Surrogate) else model.field
        found = checked_residual(self.residual(own, states, field), self.title)
        values = jnp.where(solved.success, found, jnp.asarray(jnp.inf, found.dtype))
        return eqx.tree_at(lambda s: s.values, solved, values)


def increasing_times(times: Any, term: str) -> tuple[Array | None, int | None]:
    """`checked_times`; `ValueError` also where they do not increase."""
    found, count = checked_times(times, term)
    when = np.zeros(0) if found is None else np.asarray(found)
    bad = np.flatnonzero(np.diff(when) <= 0)
    if bad.size:
        i = int(bad[0])
        raise ValueError(
            f"{term}: times[{i + 1}] = {when[i + 1]} follows {when[i]}: the times must increase."
        )
    return found, count


def check_times(model: Any, data: Any, times: Array | None, count: int | None, term: str) -> None:
    """Raises `ValueError` where the trajectory has no state at one of a term's times."""
    first, last = _span(model, data)
    what = f"{term}: times"
    if count is not None and not first < last:
        raise ValueError(f"{term}: the trajectory from {first} to {last} has no length.")
    asked = times if count is None else jnp.asarray([first, last])
    if asked is not None and isinstance(model, Surrogate):
        model.check_inside(asked, what)
    elif asked is not None:
        check_span(asked, first, last, what, f"the trajectory of {data.name}")


def times_of(model: Any, measured: Array, times: Array | None, count: int | None) -> Array:
    """A term's times: given, or so many from the start to the last measured one, or the data's."""
    if times is not None:
        return times.astype(measured.dtype)
    if count is None:
        return measured
    return jnp.linspace(_start(model, measured), measured[-1], count)


def trajectory(model: Any, times: Array, measured: Array, inputs: Any) -> tuple[Simulation, PyTree]:
    """How the solve went, without values yet, and the states at `times`."""
    nothing = jnp.zeros((), times.dtype)
    if isinstance(model, Surrogate):
        accuracy = 4 * float(jnp.finfo(times.dtype).eps)
        solved = Simulation(nothing, RESULTS.successful, times[-1], jnp.asarray(0), accuracy)
        return solved, model.states(times)
    # The solve begins where the data's does, whichever times are asked for.
    first = _start(model, measured)[None]
    found = model.solve(jnp.concatenate([first, times]), inputs)
    accuracy = model.tolerances(times.dtype)[0]
    solved = Simulation(nothing, found.result, found.time_reached, found.num_steps, accuracy)
    return solved, jtu.tree_map(lambda leaf: leaf[1:], found.ys)


def _start(model: Any, measured: Array) -> Array:
    ode: ODE = model.ode if isinstance(model, Surrogate) else model
    return ode.start_time(measured)


def _span(model: Any, data: Any) -> tuple[float, float]:
    measured = data.arguments[0]
    return float(_start(model, measured)), float(measured[-1])


# ------------------------------------------------------------------------- laws ready made


def balance(quantity: Quantity, rate: Callable[[Any, PyTree, Any], Array]) -> Residual:
    r"""The law that a quantity changes at a known rate only, as a residual for `Law`.

    $$q(t_k, y_k) - q(t_0, y_0) - \int_{t_0}^{t_k} \rho\,\mathrm{d}t$$

    **Arguments:**

    - `quantity`: `(t, y) -> q`, at one time: an energy, a mass.
    - `rate`: `(t, y, field) -> rho`, at one time: what is brought in, negative for what is lost.

    The integral is taken by the trapezoidal rule over the law's times: give it enough of them.
    """
    return _Balance(_function(quantity, "balance"), _function(rate, "balance"))


def conserved(quantity: Quantity) -> Residual:
    """The law that `quantity`, `(t, y) -> q` at one time, keeps its first value, for `Law`."""
    return _Balance(_function(quantity, "conserved"), None)


def boundary(value: Any, quantity: Quantity | None = None) -> Residual:
    """The law that a quantity has a known value at the law's times, for `Law(..., times=[t])`.

    `quantity` is `(t, y) -> q` at one time, shaped like `value`; by default the state itself.
    """
    return _Boundary(jnp.asarray(value, dtype=jnp.result_type(float)), quantity)


def nonnegative(quantity: Quantity | None = None) -> Residual:
    """The law that a quantity is not negative, for `Law`: the residual is how far it is below zero.

    `quantity` is `(t, y) -> q` at one time; by default the state itself.
    """
    return _Inequality(quantity, steps=False, sign=1)


def monotone(quantity: Quantity | None = None, *, increasing: bool = True) -> Residual:
    """The law that a quantity never falls, or never rises, from one of the law's times to the next.

    The residual, for `Law`, is how far it does. `quantity` is `(t, y) -> q` at one time; by default
    the state itself.
    """
    return _Inequality(quantity, steps=True, sign=1 if increasing else -1)


@final
class _Balance(eqx.Module):
    quantity: Quantity
    rate: Callable[[Any, PyTree, Any], Array] | None

    def __call__(self, times: Array, states: PyTree, field: Any) -> Array:
        amount = jax.vmap(self.quantity)(times, states)
        changed = amount - amount[:1]
        rate = self.rate
        if rate is None:
            return changed
        rates = jax.vmap(lambda t, y: rate(t, y, field))(times, states)
        steps = jnp.diff(times).reshape((-1,) + (1,) * (rates.ndim - 1))
        brought = jnp.cumsum(0.5 * (rates[1:] + rates[:-1]) * steps, axis=0)
        return changed - jnp.concatenate([jnp.zeros_like(rates[:1]), brought])


@final
class _Boundary(eqx.Module):
    value: Array
    quantity: Quantity | None

    def __call__(self, times: Array, states: PyTree, field: Any) -> Array:
        found = _at_each(self.quantity, times, states)
        if found.shape[1:] != self.value.shape:
            raise ValueError(
                f"boundary: a value of shape {self.value.shape} for a quantity of shape "
                f"{found.shape[1:]}: give one for each component, or say which quantity."
            )
        return found - self.value.astype(found.dtype)[None]


@final
class _Inequality(eqx.Module):
    quantity: Quantity | None
    steps: bool = eqx.field(static=True)
    sign: int = eqx.field(static=True)

    def __call__(self, times: Array, states: PyTree, field: Any) -> Array:
        found = _at_each(self.quantity, times, states)
        found = jnp.diff(found, axis=0) if self.steps else found
        return jnp.minimum(self.sign * found, 0.0)


def _at_each(quantity: Quantity | None, times: Array, states: PyTree) -> Array:
    if quantity is not None:
        return jax.vmap(quantity)(times, states)
    if not eqx.is_array(states):
        raise ValueError(
            "The state has several arrays: say which quantity is meant, lambda t, y: ..."
        )
    return states


# ------------------------------------------------------------------------ what all terms check


def models_of(
    predictor: Any, data: Any, kinds: tuple[type, ...], term: str
) -> Iterator[tuple[Any, Any]]:
    """The predictor's model and each experiment; `ValueError` unless it is one of `kinds`."""
    if not isinstance(predictor, Predictor):
        raise ValueError(
            f"{term}: expected a Predictor (model and likelihood), got {type(predictor).__name__}."
        )
    if not isinstance(predictor.model, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(
            f"{term}: the model is of type {type(predictor.model).__name__}: it must be a "
            f"likelihax {wanted}, whose trajectory the term is about."
        )
    if not isinstance(data, AbstractData):
        raise ValueError(f"{term}: expected an Experiment, got {type(data).__name__}.")
    model: Any = predictor.model
    for one in data.experiments:
        times, *inputs = one.arguments
        model.check(times, inputs[0] if inputs else None, one.name)
        yield model, one


def model_of(predictor: Any, data: Any, kinds: tuple[type, ...], term: str) -> Any:
    """The predictor's model, for a term about one experiment; `ValueError` as for `models_of`."""
    if isinstance(data, Experiments):
        raise ValueError(
            f"{term}: the term is about one trajectory, and {data.name} are {len(data)} "
            "experiments: fit them one by one, data[name]."
        )
    (found,) = models_of(predictor, data, kinds, term)
    return found[0]


def checked_likelihood(likelihood: Any, term: str) -> AbstractLikelihood:
    """The likelihood of a residual; `ValueError` unless zero is a possible value of it."""
    if not isinstance(likelihood, AbstractLikelihood):
        raise ValueError(
            f"{term}: {likelihood!r} is not a likelihood: say how far off the law may be, for "
            "instance likelihax.likelihoods.Normal(scale=0.1), in the residual's units."
        )
    about_zero = bool(np.all(likelihood.support.contains(np.zeros(()))))
    if likelihood.event_ndim or likelihood.num_outputs != 1 or not about_zero:
        raise ValueError(
            f"{term}: {type(likelihood).__name__} with "
            f"{likelihood.num_outputs} predicted outputs is no likelihood of one residual about "
            "zero: give Normal, StudentT or Laplace, their scale known or fitted."
        )
    return likelihood


def checked_times(times: Any, term: str) -> tuple[Array | None, int | None]:
    """Times as a vector, or how many; `ValueError` where they are neither."""
    if times is None:
        return None, None
    if isinstance(times, int | np.integer) and not isinstance(times, bool):
        if times < 2:
            raise ValueError(f"{term}: {times} times are too few: give at least 2.")
        return None, int(times)
    when = np.asarray(times, dtype=float)
    if when.ndim != 1 or when.size == 0:
        raise ValueError(
            f"{term}: times of shape {when.shape}: give a vector of times, how many there shall "
            "be, or leave it out."
        )
    bad = np.flatnonzero(~np.isfinite(when))
    if bad.size:
        raise ValueError(f"{term}: times[{bad[0]}] is {when[bad[0]]}: times must be finite.")
    return jnp.asarray(when), None


def checked_floor(floor: Any, likelihood: AbstractLikelihood, term: str) -> Array | None:
    """The floor as an array, or none; `ValueError` where it is not positive, or lacking."""
    if floor is None and trainable_size(likelihood):
        raise ValueError(
            f"{term}: the scale is fitted, and would run to zero where all residuals can be made "
            "to vanish: say by floor=... how large those of a right model may seem, because of "
            "the solver's error or the spline's resolution."
        )
    if floor is None:
        return None
    found = np.asarray(floor, dtype=float)
    if not np.all(np.isfinite(found) & (found > 0)):
        raise ValueError(
            f"{term}: the floor is {floor}: it must be positive and finite, in the residual's "
            "units, or be left out."
        )
    return jnp.asarray(found)


def checked_residual(found: Any, term: str) -> Float[Array, "..."]:
    """What a residual returned; `ValueError` unless it is an array with something in it."""
    if not eqx.is_inexact_array(found):
        raise ValueError(
            f"{term}: the residual returned {eqx.tree_pformat(found, struct_as_array=True)}: it "
            "must return one floating array."
        )
    if found.size == 0:
        raise ValueError(
            f"{term}: the residual selects nothing: it returned an array of shape {found.shape}. "
            "Look at which times and states it takes."
        )
    return found


def _function(function: Any, law: str) -> Any:
    if not callable(function):
        raise ValueError(f"{law}: {function!r} is no function: give for instance lambda t, y: ...")
    return function
