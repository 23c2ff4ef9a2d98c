"""The lynx-hare fit as people write it without likelihax; run as a module, its first call.

On Diffrax and Optimistix: Levenberg-Marquardt on residuals, the noise fitted with the rest
by taking `log sigma + c`, kept positive by a constant, as half a square. On SciPy: L-BFGS-B,
with its own finite differences, over `solve_ivp`.
"""

import time

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

from examples.lynx_hare import HARE, LYNX

jax.config.update("jax_enable_x64", True)

START = np.log([0.5, 0.03, 1.0, 0.03, 30.0, 4.0, 0.3, 0.3])
TIMES = np.arange(21.0)
LOG_COUNTS = np.log(np.stack([HARE, LYNX], axis=1))
RTOL, ATOL = 1e-7, 1e-9
_OFFSET = 10.0


def _residuals(theta, args):
    growth, predation, death, conversion = jnp.exp(theta[:4])

    def field(t, y, args):
        hare, lynx = y
        return jnp.stack([(growth - predation * lynx) * hare, (conversion * hare - death) * lynx])

    solution = dfx.diffeqsolve(
        dfx.ODETerm(field),
        dfx.Tsit5(),
        TIMES[0],
        TIMES[-1],
        None,
        jnp.exp(theta[4:6]),
        saveat=dfx.SaveAt(ts=jnp.asarray(TIMES)),
        stepsize_controller=dfx.PIDController(rtol=RTOL, atol=ATOL),
        adjoint=dfx.ForwardMode(),
        max_steps=4096,
        throw=False,
    )
    scaled = (jnp.asarray(LOG_COUNTS) - jnp.log(solution.ys)) / jnp.exp(theta[6:8])
    noise = jnp.broadcast_to(jnp.sqrt(2 * (theta[6:8] + _OFFSET)), scaled.shape)
    return jnp.stack([scaled, noise])


@eqx.filter_jit
def optimistix_fit(start):
    """The fit, compiled: the estimates and their NLL without the data's constants."""
    solver = optx.LevenbergMarquardt(rtol=1e-6, atol=1e-6)
    solution = optx.least_squares(
        _residuals, solver, start, options={"jac": "fwd"}, max_steps=512, throw=False
    )
    total = 0.5 * jnp.sum(solution.state.f_info.residual**2)
    return solution.value, total - _OFFSET * LOG_COUNTS.size


def scipy_nll(theta):
    """The same NLL, by SciPy's own solver."""
    growth, predation, death, conversion = np.exp(theta[:4])

    def field(t, y):
        hare, lynx = y
        return [(growth - predation * lynx) * hare, (conversion * hare - death) * lynx]

    solution = solve_ivp(
        field, (TIMES[0], TIMES[-1]), np.exp(theta[4:6]), t_eval=TIMES, rtol=RTOL, atol=ATOL
    )
    scaled = (LOG_COUNTS - np.log(solution.y.T)) / np.exp(theta[6:8])
    return float(np.sum(0.5 * scaled**2 + theta[6:8]))


def scipy_fit():
    """L-BFGS-B from the same start."""
    return minimize(scipy_nll, START, method="L-BFGS-B", options={"maxfun": 100_000})


def main() -> None:
    """Prints the seconds of the first call: trace, compile, run."""
    start = jnp.asarray(START)
    started = time.perf_counter()
    jax.block_until_ready(optimistix_fit(start))
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
