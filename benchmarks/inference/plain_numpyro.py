"""The lynx-hare posterior as people write it in NumPyro, with a Diffrax solve inside.

Run as a module it prints, as JSON, its bulk ESS, seconds and compile seconds with a dense and with
a diagonal mass matrix. Chains start near the mode and run at the same time, on two devices of the
host; derivatives go forwards, since backwards Diffrax cannot be run on several devices under jax
0.12.
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
# What JAX says that it spends on a function before running it.
_COMPILING = ("jaxpr_trace_duration", "jaxpr_to_mlir_module_duration", "backend_compile_duration")


def model() -> None:
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
        adjoint=dfx.ForwardMode(),
        max_steps=4096,
        throw=False,
    )
    # What could not be solved is infinite, and is rejected.
    median = jnp.where(jnp.isfinite(solution.ys) & (solution.ys > 0), solution.ys, 1e-30)
    numpyro.sample("counts", dist.LogNormal(jnp.log(median), sigma), obs=COUNTS)


def measured(dense: bool, rounds: int) -> dict[str, float]:
    """Medians over `rounds` runs, what JAX says of tracing and compiling taken off each."""
    kernel = NUTS(
        model,
        dense_mass=dense,
        init_strategy=init_to_value(values=NEAR_MODE),
        forward_mode_differentiation=True,
    )
    chain = MCMC(
        kernel,
        num_warmup=WARMUP,
        num_samples=DRAWS,
        num_chains=CHAINS,
        chain_method="parallel",
        progress_bar=False,
    )
    compiling: list[float] = []

    def listen(event: str, seconds: float, **ignored: object) -> None:
        if event.endswith(_COMPILING):
            compiling.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    seconds, smallest, apart = [], [], []
    for i in range(rounds):
        compiling.clear()
        began = time.perf_counter()
        chain.run(jax.random.key(i))
        samples = jax.block_until_ready(chain.get_samples(group_by_chain=True))
        apart.append(sum(compiling))
        seconds.append(time.perf_counter() - began - apart[-1])
        smallest.append(_smallest_ess(samples))
    return {
        "ess": float(np.median(smallest)),
        "seconds": float(np.median(seconds)),
        "compile_seconds": apart[0],
    }


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
    found = {
        "dense": measured(dense=True, rounds=rounds),
        "diagonal": measured(dense=False, rounds=rounds),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    numpyro.set_host_device_count(CHAINS)
    main()
