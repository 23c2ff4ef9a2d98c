"""One chain of NUTS, in compiled chunks of steps."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int
from numpyro.infer.hmc import hmc
from numpyro.infer.util import ParamInfo

from ._failed_solves import count_failed
from ._posterior import Posterior

AXIS = "chains"


class Start(NamedTuple):
    """Where a chain starts, and what is its own.

    **Attributes:**

    - `z`, `value`, `gradient`: the point, minus its log-density, and the gradient of that.
    - `inverse_mass`: the covariance that steps are made for, or its diagonal.
    - `key`: two words that its random numbers come from.
    - `ticket`: which account failed solves go to.
    """

    z: Float[Array, " size"]
    value: Float[Array, ""]
    gradient: Float[Array, " size"]
    inverse_mass: Float[Array, "..."]
    key: Array
    ticket: Int[Array, ""]


class Settings(NamedTuple):
    """How a chain runs; known when it is compiled."""

    num: int
    warmup: int
    target: float
    max_depth: int
    adapt_mass: bool
    side_by_side: bool

    @property
    def steps(self) -> int:
        """Of a whole chain."""
        return self.num + self.warmup


class Drawn(NamedTuple):
    """The draws of a chain, in the order in which they were made.

    **Attributes:**

    - `z`: the sampled vectors.
    - `potential`: minus their log-densities.
    - `energy`: the Hamiltonian's value.
    - `acceptance`: the mean probability that NUTS accepts along the trajectory.
    - `num_steps`: how many leapfrog steps it took.
    - `diverging`: whether it ended where the energy was lost.
    """

    z: Float[Array, "*chains draws size"]
    potential: Float[Array, "*chains draws"]
    energy: Float[Array, "*chains draws"]
    acceptance: Float[Array, "*chains draws"]
    num_steps: Int[Array, "*chains draws"]
    diverging: Bool[Array, "*chains draws"]


class Account(NamedTuple):
    """What is known of a chain besides: steps made, the step size, divergences while warming up."""

    steps: Int[Array, ""]
    step_size: Float[Array, ""]
    warmup_divergences: Int[Array, ""]
    leapfrogs: Int[Array, ""]


def before_any_step(start: Start, posterior: Posterior, settings: Settings) -> Any:
    """What `take_steps` carries on from."""
    init, _ = _kernel()
    num, size, dtype = settings.num, start.z.size, start.z.dtype
    zeros = jnp.zeros(num, dtype)
    counts = jnp.zeros(num, jnp.result_type(int))
    drawn = Drawn(jnp.zeros((num, size), dtype), zeros, zeros, zeros, counts, jnp.zeros(num, bool))
    none = jnp.zeros((), jnp.result_type(int))
    state = _raw(_begin(init, start, posterior, settings))
    return Account(none, jnp.zeros((), dtype), none, none), state, drawn


def take_steps(
    start: Start,
    posterior: Posterior,
    settings: Settings,
    account: Account,
    state: Any,
    drawn: Drawn,
    limit: Array,
) -> Any:
    """Steps on until the chain is at its end, or as many as the limit have been made."""
    init, step = _kernel()
    fresh = _raw(_begin(init, start, posterior, settings))
    first = account.steps == 0
    state = _keyed(jax.tree.map(lambda new, old: jnp.where(first, new, old), fresh, state))

    def unfinished(carry: Any) -> Array:
        return carry[0].steps < jnp.minimum(limit, settings.steps)

    def onward(carry: Any) -> Any:
        account, state, drawn = carry
        sampling = account.steps >= settings.warmup
        state = step(state, (posterior, start.ticket, sampling, settings.side_by_side))
        # While warming up the first place is written over and over.
        at = jnp.maximum(account.steps - settings.warmup, 0)
        new = (
            state.z,
            state.potential_energy,
            state.energy,
            state.accept_prob,
            state.num_steps,
            state.diverging,
        )
        put = lambda all, one: lax.dynamic_update_index_in_dim(all, one.astype(all.dtype), at, 0)
        drawn = Drawn(*(put(all, one) for all, one in zip(drawn, new, strict=True)))
        lost = state.diverging & ~sampling
        account = Account(
            account.steps + 1,
            state.adapt_state.step_size.astype(account.step_size.dtype),
            account.warmup_divergences + lost.astype(account.steps.dtype),
            account.leapfrogs + state.num_steps.astype(account.steps.dtype),
        )
        return account, state, drawn

    account, state, drawn = lax.while_loop(unfinished, onward, (account, state, drawn))
    return account, _raw(state), drawn


def before_any_step_of_all(starts: Start, posterior: Posterior, settings: Settings) -> Any:
    """The same of several chains side by side."""
    return jax.vmap(lambda start: before_any_step(start, posterior, settings))(starts)


def take_steps_of_all(
    starts: Start,
    posterior: Posterior,
    settings: Settings,
    account: Account,
    state: Any,
    drawn: Drawn,
    limit: Array,
) -> Any:
    """The same of several chains side by side."""
    one = lambda start, *own: take_steps(start, posterior, settings, own[0], own[1], own[2], limit)
    return jax.vmap(one, axis_name=AXIS)(starts, account, state, drawn)


def _kernel() -> tuple[Any, Any]:
    return hmc(potential_fn_gen=_potential, algo="NUTS")


def _begin(init: Any, start: Start, posterior: Posterior, settings: Settings) -> Any:
    # With value and gradient given, nothing is evaluated here.
    return init(
        ParamInfo(start.z, start.value, start.gradient),
        num_warmup=settings.warmup,
        step_size=_first_step(start.z.size),
        inverse_mass_matrix=start.inverse_mass,
        adapt_mass_matrix=settings.adapt_mass,
        dense_mass=start.inverse_mass.ndim == 2,
        target_accept_prob=settings.target,
        max_tree_depth=settings.max_depth,
        model_args=(posterior, start.ticket, jnp.asarray(False), settings.side_by_side),
        rng_key=jax.random.wrap_key_data(start.key, impl="threefry2x32"),
    )


def _first_step(size: int) -> float:
    """About right for a Normal in standard units (Neal 2011, "MCMC using Hamiltonian dynamics")."""
    return 1.2 * float(max(size, 1)) ** -0.25


def _potential(posterior: Posterior, ticket: Array, sampling: Array, side_by_side: bool) -> Any:
    """The potential as NumPyro takes it; its gradient comes along, however it is asked for."""

    @jax.custom_vjp
    def potential(z: Array) -> Array:
        return both(z)[0]

    def both(z: Array) -> tuple[Array, Array]:
        energy, gradient = posterior.potential_and_gradient(z)
        count_failed(energy, ticket, sampling, AXIS if side_by_side else None)
        return energy.value, gradient

    potential.defvjp(both, lambda gradient, share: (share * gradient,))
    return potential


def _raw(state: Any) -> Any:
    return state._replace(
        rng_key=jax.random.key_data(state.rng_key),
        adapt_state=state.adapt_state._replace(
            rng_key=jax.random.key_data(state.adapt_state.rng_key)
        ),
    )


def _keyed(state: Any) -> Any:
    wrap = lambda words: jax.random.wrap_key_data(words, impl="threefry2x32")
    return state._replace(
        rng_key=wrap(state.rng_key),
        adapt_state=state.adapt_state._replace(rng_key=wrap(state.adapt_state.rng_key)),
    )
