"""A pendulum whose friction a network learns, and its gradient as people write it by hand.

On plain Diffrax, with the solver, tolerances and adjoint that likelihax takes; and on torchdiffeq,
if it is there. The network has 32 hidden units and is given angle and speed.
"""

import os
from collections.abc import Callable
from typing import Any

import diffrax as dfx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

# Threads that spin while they wait would take the time of whoever is measured next.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    import torch
    import torchdiffeq
except ImportError:
    torch = torchdiffeq = None

jax.config.update("jax_enable_x64", True)

POINTS, UNITS, NOISE = 200, 32, 0.05
RTOL, ATOL = 1e-7, 1e-9
START = (1.5, 0.0)
TIMES = np.linspace(0.0, 10.0, POINTS)
STIFFNESS = 2.0


def _measured() -> np.ndarray:
    field = lambda t, y: [y[1], -STIFFNESS * np.sin(y[0]) - 0.2 * y[1] - 0.1 * y[1] * abs(y[1])]
    exact = solve_ivp(field, (0, 10), START, t_eval=TIMES, rtol=1e-9, atol=1e-9).y.T
    return exact + NOISE * np.random.default_rng(0).standard_normal(exact.shape)


VALUES = _measured()


def weights() -> dict[str, np.ndarray]:
    """Where the gradient is taken: nowhere special."""
    draw = np.random.default_rng(1).standard_normal
    return {
        "hidden": 0.5 * draw((UNITS, 2)),
        "hidden_bias": 0.5 * draw(UNITS),
        "last": 0.05 * draw((1, UNITS)),
        "last_bias": 0.05 * draw(1),
        "log_stiffness": np.log(STIFFNESS) + 0.1,
    }


def _field(t: Any, y: Any, args: Any) -> Any:
    hidden = jnp.tanh(args["hidden"] @ y + args["hidden_bias"])
    friction = args["last"] @ hidden + args["last_bias"]
    return jnp.stack([y[1], -jnp.exp(args["log_stiffness"]) * jnp.sin(y[0]) - friction[0]])


def nll(args: Any, times: Any, values: Any, start: Any) -> Any:
    """The NLL with known Normal noise, solved by Diffrax."""
    solution = dfx.diffeqsolve(
        dfx.ODETerm(_field),
        dfx.Tsit5(),
        times[0],
        times[-1],
        None,
        start,
        args,
        saveat=dfx.SaveAt(ts=times),
        stepsize_controller=dfx.PIDController(rtol=RTOL, atol=ATOL),
        max_steps=4096,
        throw=False,
    )
    scaled = (values - solution.ys) / NOISE
    total = 0.5 * jnp.sum(scaled**2) + VALUES.size * np.log(NOISE * np.sqrt(2 * np.pi))
    return jnp.where(solution.result == dfx.RESULTS.successful, total, jnp.inf)


def torch_gradient() -> Callable[[], dict[str, np.ndarray]] | None:
    """The same gradient by torchdiffeq, back through its steps; `None` if it is not there."""
    if torch is None:
        return None
    torch.set_num_threads(1)  # nothing here is large enough for more
    args = {name: torch.tensor(value, requires_grad=True) for name, value in weights().items()}
    times, values = torch.from_numpy(TIMES), torch.from_numpy(VALUES)
    start = torch.tensor(START, dtype=torch.float64)

    def field(t: Any, y: Any) -> Any:
        hidden = torch.tanh(args["hidden"] @ y + args["hidden_bias"])
        friction = args["last"] @ hidden + args["last_bias"]
        pull = -torch.exp(args["log_stiffness"]) * torch.sin(y[0])
        return torch.stack([y[1], pull - friction[0]])

    def gradient() -> dict[str, np.ndarray]:
        for value in args.values():
            value.grad = None
        solved = torchdiffeq.odeint(field, start, times, rtol=RTOL, atol=ATOL, method="dopri5")
        (0.5 * torch.sum(((values - solved) / NOISE) ** 2)).backward()
        return {name: value.grad.numpy() for name, value in args.items()}

    return gradient
