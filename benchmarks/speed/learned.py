"""The gradient of a learned part with 32 units, on one experiment of 200 points."""

from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import likelihax as lhx
from benchmarks.speed import learned_by_hand as by_hand
from benchmarks.speed.case import Row, interleaved
from likelihax.fits import BFGS, Problem
from likelihax.fits._prepare import prepare

jax.config.update("jax_enable_x64", True)

# All must find the same gradient, or their times do not compare. The steps are not quite the same:
# likelihax solves in shares of the span, and torchdiffeq chooses its own.
_SAME, _ALIKE = 1e-6, 1e-4
_ROUNDS = 201


class Pendulum(eqx.Module):
    """The stiffness is known to be positive; the friction is learned."""

    stiffness: Any
    friction: lhx.models.Learned

    def __call__(self, t: Any, y: Any, inputs: Any) -> Any:
        """The rates of angle and speed."""
        return jnp.stack([y[1], -self.stiffness * jnp.sin(y[0]) - self.friction(y)[0]])


def problem() -> Problem:
    """As a fit prepares it, the weights where those by hand are."""
    chosen = by_hand.weights()
    friction = lhx.models.Learned(2, 1, width=by_hand.UNITS, key=jax.random.key(0))
    where = lambda n: [x for layer in n.network.layers for x in (layer.weight, layer.bias)]
    names = ("hidden", "hidden_bias", "last", "last_bias")
    friction = eqx.tree_at(where, friction, [jnp.asarray(chosen[name]) for name in names])
    field = Pendulum(lhx.positive(float(np.exp(chosen["log_stiffness"]))), friction)
    model = lhx.ODE(field, list(by_hand.START), rtol=by_hand.RTOL, atol=by_hand.ATOL)
    predictor = lhx.Predictor(model, lhx.likelihoods.Normal(scale=by_hand.NOISE))
    data = lhx.Experiment(by_hand.TIMES, by_hand.VALUES)
    _, prepared = prepare(lhx.NLL(), predictor, data, BFGS())
    return prepared


def gradients() -> tuple[Any, Any]:
    """Two compiled functions without arguments: value and gradient, ours and by hand."""
    prepared = problem()
    theta, args = prepared.start(), jax.tree.map(jnp.asarray, by_hand.weights())
    measured = [jnp.asarray(each) for each in (by_hand.TIMES, by_hand.VALUES, by_hand.START)]
    # Data are arguments on both sides, as for a fit that need not be compiled again for others.
    arrays, rest = eqx.partition(prepared, eqx.is_array)
    ours = jax.jit(lambda arrays, theta: eqx.combine(arrays, rest).value_and_gradient(theta))
    peer = jax.jit(jax.value_and_grad(by_hand.nll))
    return (
        lambda: jax.block_until_ready(ours(arrays, theta)),
        lambda: jax.block_until_ready(peer(args, *measured)),
    )


def flat(gradient: dict[str, Any]) -> np.ndarray:
    """A gradient by hand in the order of ours."""
    names = ("log_stiffness", "hidden", "hidden_bias", "last", "last_bias")
    return np.concatenate([np.ravel(gradient[name]) for name in names])


def check(ours: np.ndarray, theirs: np.ndarray, close: float, who: str) -> None:
    """Raises `RuntimeError` where two gradients differ."""
    off = float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))
    if not off < close:
        raise RuntimeError(f"learned: the gradient {who} differs by {off:.1e} of the largest.")


def run() -> Iterator[Row]:
    """Against Diffrax by hand, and against torchdiffeq where it is installed."""
    ours, peer = gradients()
    own = np.asarray(ours().gradient)
    check(own, flat(peer()[1]), _SAME, "by hand")
    yield Row("learned", "gradient, Diffrax by hand", *interleaved(ours, peer, _ROUNDS), 1.10)
    other = by_hand.torch_gradient()
    if other is None:
        print("torchdiffeq is not installed: it is not compared")
        return
    check(own, flat(other()), _ALIKE, "by torchdiffeq")
    yield Row("learned", "gradient, torchdiffeq", *interleaved(ours, other, 5), 10.0, faster=True)
