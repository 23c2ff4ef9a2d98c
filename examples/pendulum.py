"""A pendulum's damping from thirty noisy angles, with and without the energy balance.

Nobody solves an equation of motion here. A smooth curve goes through the angles, its slope is the
angular velocity, and what friction takes per second is the damping times the square of that. With
the balance of energy as a term of the fit, curve and damping are found together, and the curve is
one that a damped pendulum could have made. Without it the curve only knows the angles, and the
damping is read off afterwards, from how its energy falls. The angles are computed, so that the
truth is known; the last row is the fit that knows the whole equation.
"""

from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax import Array

import likelihax as lhx

jax.config.update("jax_enable_x64", True)

GRAVITY = 9.81  # of a pendulum of 1 m, 1/s^2
DAMPING = 0.2  # the truth, 1/s
NOISE = 0.1  # rad
COUNT = 30
END = 10.0  # s, almost five swings
GRID = np.linspace(0.0, END, 201)  # where curves are compared
FLOOR = 0.03  # rad^2/s^2, of 6.3 at the start: what spline and quadrature cannot follow
FEW, MANY = 17, 81  # knots: the best for the angles alone, and what a swing needs


class Pendulum(eqx.Module):
    """Gravity and a friction that grows with the speed."""

    damping: Array = lhx.positive(0.5, unit="1/s")

    def __call__(self, t, y, inputs):
        angle, speed = y
        return jnp.stack([speed, -GRAVITY * jnp.sin(angle) - self.damping * speed])


class Curve(eqx.Module):
    """Angle and angular velocity, from a spline of the angle alone."""

    angle: lhx.models.Spline

    def __call__(self, t):
        return jnp.stack(jax.jvp(self.angle, (t,), (jnp.ones_like(t),)))


def energy(t, y):
    """Kinetic and potential, over mass and squared length: rad^2/s^2."""
    angle, speed = y
    return 0.5 * speed**2 + GRAVITY * (1 - jnp.cos(angle))


def friction(t, y, field):
    """What friction brings in, per second."""
    return -field.damping * y[1] ** 2


def observed_angle(t, y):
    return y[0]


def solved(damping: float = DAMPING) -> lhx.ODE:
    """The truth: let go at 1.2 rad."""
    swing = Pendulum(damping)
    return lhx.ODE(swing, [1.2, 0.0], observe=observed_angle, t0=0.0, rtol=1e-9, atol=1e-11)


def angles(seed: int) -> lhx.Experiment:
    """Thirty of them, six a swing, each at some moment of its own third of a second."""
    generator = np.random.default_rng(seed)
    times = (np.arange(COUNT) + generator.uniform(size=COUNT)) * (END / COUNT)
    truth = np.asarray(solved()(jnp.asarray(times)))
    values = truth + NOISE * generator.standard_normal(COUNT)
    return lhx.Experiment(times, values, name="pendulum", observables="angle [rad]")


def curve(data: lhx.Experiment, knots: int) -> lhx.Predictor:
    """A curve through the angles, to start from; the noise is known."""
    at = np.linspace(0.0, END, knots)
    between = np.interp(at, np.asarray(data.times), np.asarray(data.values))
    spline = lhx.models.Spline(at, between)
    ode = lhx.ODE(Pendulum(), [1.0, 0.0], observe=observed_angle, t0=0.0)
    return lhx.Predictor(
        lhx.models.Surrogate(Curve(spline), ode), lhx.likelihoods.Normal(scale=NOISE)
    )


class Found(NamedTuple):
    """A damping, and the angles and speeds on the grid that it belongs to."""

    damping: float
    states: np.ndarray
    fit: lhx.Fit

    @property
    def speed_error(self) -> float:
        """The root mean square error of the angular velocity, rad/s."""
        truth = np.asarray(solved().solve(jnp.asarray(GRID)).ys)
        return float(np.sqrt(np.mean((self.states[:, 1] - truth[:, 1]) ** 2)))


def without_balance(data: lhx.Experiment, knots: int = FEW) -> Found:
    """Curve first; then the damping with which its energy falls most nearly as it does."""
    start = curve(data, knots)
    known = eqx.tree_at(lambda p: p.model.ode.field.damping, start, lhx.frozen(0.0))
    fit = lhx.fit(lhx.NLL(), known, data)
    states = np.asarray(fit.predictor.model.states(jnp.asarray(GRID)))
    square = states[:, 1] ** 2
    taken = np.append(0.0, np.cumsum(0.5 * (square[1:] + square[:-1]) * np.diff(GRID)))
    held = np.asarray(jax.vmap(energy)(jnp.asarray(GRID), jnp.asarray(states)))
    falling, _ = np.polyfit(taken, held, 1)
    return Found(-float(falling), states, fit)


def with_balance(data: lhx.Experiment, knots: int = MANY) -> Found:
    """Curve and damping together; how far off the balance may be is fitted too."""
    balance = lhx.terms.Law(
        lhx.terms.balance(energy, friction),
        lhx.likelihoods.Normal(scale=lhx.positive(0.1, unit="rad^2/s^2")),
        times=GRID,
        floor=FLOOR,
        name="energy balance",
    )
    # It is one law, however fine the grid: it counts as much as the angles do.
    objective = lhx.NLL() + (COUNT / GRID.size) * balance
    fit = lhx.fit(objective, curve(data, knots), data, method=lhx.LevenbergMarquardt())
    states = np.asarray(fit.predictor.model.states(jnp.asarray(GRID)))
    return Found(fit.estimates["damping"], states, fit)


def by_shooting(data: lhx.Experiment) -> Found:
    """The whole equation, solved at each step."""
    initial = lhx.real([1.0, 0.0], scale=1.0)
    model = lhx.ODE(Pendulum(), initial, observe=observed_angle, t0=0.0)
    fit = lhx.fit(lhx.NLL(), lhx.Predictor(model, lhx.likelihoods.Normal(scale=NOISE)), data)
    states = np.asarray(fit.predictor.model.solve(jnp.asarray(GRID)).ys)
    return Found(fit.estimates["damping"], states, fit)


def main() -> dict[str, Found]:
    """Fits in the three ways, prints what each found, draws the picture."""
    data = angles(seed=0)
    ways = {
        "without the balance": without_balance(data),
        "with the balance": with_balance(data),
        "whole equation": by_shooting(data),
    }
    print(f"{'':20} damping [1/s]   error of speed [rad/s]")
    for name, found in ways.items():
        print(f"{name:20} {found.damping:13.3f} {found.speed_error:24.3f}")
    scale = ways["with the balance"].fit.estimates["scale"]
    print(f"The balance is off by {scale:.4f} rad^2/s^2, floor {FLOOR} rad^2/s^2")
    draw(ways, data)
    return ways


def draw(ways: dict[str, Found], data: lhx.Experiment) -> None:
    """Angles and curves above, what becomes of the energy below."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 5), sharex=True, layout="constrained")
    truth = np.asarray(solved().solve(jnp.asarray(GRID)).ys)
    curves = {"truth": (truth, "0.7", 4.0)}
    curves["without the balance"] = (ways["without the balance"].states, "C1", 1.2)
    curves["with the balance"] = (ways["with the balance"].states, "C0", 1.2)
    for name, (states, color, width) in curves.items():
        held = jax.vmap(energy)(jnp.asarray(GRID), jnp.asarray(states))
        above.plot(GRID, states[:, 0], color, lw=width, label=name)
        below.plot(GRID, held, color, lw=width)
    above.plot(data.times, data.values, "k.", label="measured")
    above.set_ylabel("angle [rad]")
    above.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    below.set(xlabel="time [s]", ylabel="energy [rad²/s²]", ylim=(0, None))
    picture = Path("pendulum.png").resolve()
    figure.savefig(picture, dpi=120)
    plt.close(figure)
    print(f"The picture is at {picture}")


def check(ways: dict[str, Found]) -> None:
    """What this script claims."""
    for found in ways.values():
        assert found.fit.success, found.fit.message
    without, balanced, whole = ways.values()
    assert balanced.speed_error < without.speed_error / 2
    assert abs(balanced.damping - whole.damping) < 0.02
    # A damped pendulum's balance is as good as the spline lets it be.
    assert balanced.fit.estimates["scale"] < 1.05 * FLOOR
    print("The balance of energy is nearly as good as the whole equation of motion.")


if __name__ == "__main__":
    check(main())
