"""The pieces without the verb: likelihax's ODE and likelihood inside a loop of one's own.

Nothing of `lhx.fit` is needed to use the rest. Here the model is solved by `lhx.ODE`, scored by
`likelihood.nll`, and everything around it is plain JAX and Optax: the logarithms that keep rates
positive, the sum, the gradient, the optimiser and the loop. It ends where `lhx.fit` ends.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import optax
from lynx_hare import data, predictor

import likelihax as lhx

STEPS = 600


def by_hand(start: lhx.Predictor, measured: lhx.Experiment) -> tuple[lhx.Predictor, float]:
    """Adam on the logarithm of everything that is fitted: the end point and its NLL."""
    # `resolve` leaves plain arrays in a plain tree; here all of them are positive and fitted.
    arrays, static = eqx.partition(lhx.resolve(start), eqx.is_inexact_array)
    logarithms = jtu.tree_map(jnp.log, arrays)

    def tree(logarithms):
        return eqx.combine(jtu.tree_map(jnp.exp, logarithms), static)

    def loss(logarithms):
        now = tree(logarithms)
        prediction = now.model(measured.times)
        return jnp.sum(now.likelihood.nll(prediction, measured.values))

    optimiser = optax.adam(0.02)

    @jax.jit
    def step(logarithms, state):
        gradient = jax.grad(loss)(logarithms)
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(logarithms, updates), state

    state = optimiser.init(logarithms)
    for _ in range(STEPS):
        logarithms, state = step(logarithms, state)
    return tree(logarithms), float(loss(logarithms))


def main() -> None:
    """Runs both and compares."""
    fit = lhx.fit(lhx.NLL(), predictor(), data())
    found, nll = by_hand(predictor(), data())
    print(f"lhx.fit: NLL {fit.nll:.6f} in {fit.steps} steps")
    print(f"by hand: NLL {nll:.6f} in {STEPS} steps")
    assert abs(nll - fit.nll) < 1e-6
    pairs = {
        "growth": found.model.field.growth,
        "predation": found.model.field.predation,
        "death": found.model.field.death,
        "conversion": found.model.field.conversion,
        "initial": found.model.initial,
        "sigma": found.likelihood.sigma,
    }
    for name, value in pairs.items():
        np.testing.assert_allclose(value, fit.estimates[name], rtol=1e-4, err_msg=name)
    print("The same optimum.")


if __name__ == "__main__":
    main()
