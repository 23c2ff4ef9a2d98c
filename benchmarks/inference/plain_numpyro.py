"""The lynx-hare posterior as people write it in NumPyro, with a Diffrax solve inside.

Run as a module it prints, as JSON, for each of several ways its bulk ESS, seconds and compile
seconds: derivatives backwards or forwards, the mass matrix dense or diagonal. All start near the
mode, chains on two devices of the host.
"""

import json
import sys
import time

import diffrax as dfx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS, init_to_value

from examples.lynx_hare import HARE, LYNX

TIMES = np.arange(21.0)
COUNTS = np.stack([HARE, LYNX], axis=1)
NEAR_MODE = {
    "rates": np.array([0.54, 0.027, 0.80, 0.024]),
    "initial": np.array([34.0, 5.9]),
    "sigma": np.array([0.22, 0.22]),
}
CHAINS, WARMUP, DRAWS = 2, 1000, 1000
WAYS = (("reverse", True), ("forward", True), ("reverse", False), ("forward", False))


def model(counts: np.ndarray, adjoint: dfx.AbstractAdjoint) -> None:
    """Carpenter's priors."""
    loc, scale = np.array([1.0, 0.05, 1.0, 0.05]), np.array([0.5, 0.05, 0.5, 0.05])
    rates = numpyro.sample("rates", dist.TruncatedNormal(loc, scale, low=0.0).to_event(1))
    initial = numpyro.sample("initial", dist.LogNormal(np.log(10.0), 1.0).expand([2]).to_event(1))
    sigma = numpyro.sample("sigma", dist.LogNormal(-1.0, 1.0).expand([2]).to_event(1))

    def field(t, y, rates):
        growth, predation, death, conversion = rates
        hare, lynx = y
        return jnp.stack([(growth - predation * lynx) * hare, (conversion * hare - death) * lynx])

    solution = dfx.diffeqsolve(
        dfx.ODETerm(field),
        dfx.Tsit5(),
        TIMES[0],
        TIMES[-1],
        None,
        initial,
        rates,
        saveat=dfx.SaveAt(ts=jnp.asarray(TIMES)),
        stepsize_controller=dfx.PIDController(rtol=1e-7, atol=1e-9),
        adjoint=adjoint,
        max_steps=4096,
        throw=False,
    )
    # What could not be solved is infinite, and is rejected.
    median = jnp.where(jnp.isfinite(solution.ys) & (solution.ys > 0), solution.ys, 1e-30)
    numpyro.sample("counts", dist.LogNormal(jnp.log(median), sigma), obs=counts)


def measured(way: str, dense: bool, rounds: int) -> dict[str, float]:
    """Medians over `rounds` runs, after one that compiles."""
    forward = way == "forward"
    adjoint = dfx.ForwardMode() if forward else dfx.RecursiveCheckpointAdjoint()
    kernel = NUTS(
        model,
        dense_mass=dense,
        init_strategy=init_to_value(values=NEAR_MODE),
        forward_mode_differentiation=forward,
    )
    chain = MCMC(
        kernel,
        num_warmup=WARMUP,
        num_samples=DRAWS,
        num_chains=CHAINS,
        chain_method="parallel",
        progress_bar=False,
    )
    seconds, smallest = [], []
    for i in range(rounds + 1):
        began = time.perf_counter()
        chain.run(jax.random.key(i), COUNTS, adjoint)
        samples = jax.block_until_ready(chain.get_samples(group_by_chain=True))
        seconds.append(time.perf_counter() - began)
        smallest.append(_smallest_ess(samples))
    ess = float(np.median(smallest[1:]))
    run = float(np.median(seconds[1:]))
    return {"ess": ess, "seconds": run, "compile_seconds": seconds[0] - run}


def _smallest_ess(samples: dict[str, jax.Array]) -> float:
    from arviz_stats.base import array_stats

    flat = np.concatenate(
        [np.asarray(each).reshape(CHAINS, DRAWS, -1) for each in samples.values()], -1
    )
    ess = lambda x: array_stats.ess(x, chain_axis=0, draw_axis=1, method="bulk")
    return min(float(ess(flat[..., i])) for i in range(flat.shape[-1]))


def main() -> None:
    """Prints what was measured."""
    rounds = int(sys.argv[1])
    found = {}
    for way, dense in WAYS:
        found[f"{way}, {'dense' if dense else 'diagonal'}"] = measured(way, dense, rounds)
    print(json.dumps(found))


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    numpyro.set_host_device_count(CHAINS)
    main()
