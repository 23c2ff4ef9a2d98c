"""Where a posterior is highest in its sampled coordinates, how wide it is there, and starts."""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import optimize, stats

from ..._compile import compiled
from ._posterior import Posterior

# Nearer than this to the mode, in standard deviations, is near enough to start from.
_NEAR = 0.3
_MOST_STEPS = 500
# Directions flatter than this, beside the steepest in units of their own, are taken as this flat.
_FLATTEST = 1e-8
# A dense mass matrix pays up to so many numbers.
DENSE_LIMIT = 256
_TRIES = 30


class Mode(NamedTuple):
    """The highest point, and the Normal approximation about it.

    **Attributes:**

    - `z`, `value`: where, and minus the log-density there.
    - `lower`: a triangle `L`, with `L L^T` the covariance of the approximation.
    - `distance`: how far the highest point still is, in standard deviations.
    - `definite`: whether the curvature is positive in all directions.
    - `compile_seconds`, `run_seconds`: what it took.
    """

    z: np.ndarray
    value: float
    lower: np.ndarray
    distance: float
    definite: bool
    compile_seconds: float
    run_seconds: float

    @property
    def found(self) -> bool:
        """Whether it is a highest point."""
        return self.definite and self.distance <= _NEAR

    @property
    def covariance(self) -> np.ndarray:
        """That of the approximation."""
        return self.lower @ self.lower.T


class Evaluator:
    """A posterior's potential, gradient and curvature for SciPy, compiled once."""

    def __init__(self, posterior: Posterior, z: Array):
        self._posterior = posterior
        self._energy, self._arrays, fresh = compiled(_potential_and_gradient, z, posterior)
        self.compile_seconds = self._energy.seconds if fresh else 0.0
        self._curvature: Any = None
        self._dtype = z.dtype

    def __call__(self, z: np.ndarray) -> tuple[float, np.ndarray]:
        """The potential and its gradient."""
        value, gradient = self._energy([jnp.asarray(z, self._dtype), *self._arrays[1:]])
        return float(value), np.asarray(gradient, float)

    def hessian(self, z: np.ndarray) -> np.ndarray:
        """Exact where derivatives go forwards, from differences of gradients where not."""
        if not self._posterior.forward:
            return self._differences(z)
        if self._curvature is None:
            at = jnp.asarray(z, self._dtype)
            self._curvature, _, fresh = compiled(_hessian, at, self._posterior)
            self.compile_seconds += self._curvature.seconds if fresh else 0.0
        found = np.asarray(self._curvature([jnp.asarray(z, self._dtype), *self._arrays[1:]]), float)
        return np.where(np.isfinite(found), found, 0.0)

    def _differences(self, z: np.ndarray) -> np.ndarray:
        found = np.zeros((z.size, z.size))
        for i in range(z.size):
            step = np.zeros(z.size)
            step[i] = 1e-4 * max(1.0, abs(z[i]))
            found[i] = (self(z + step)[1] - self(z - step)[1]) / (2 * step[i])
        return 0.5 * (found + found.T)


def find_mode(posterior: Posterior, start: Float[Array, " size"]) -> tuple[Mode, Evaluator]:
    """Climbs from a start: by Newton's steps in a trust region, or by BFGS where numbers are many.

    SciPy's `trust-exact` (Conn, Gould and Toint 2000, "Trust region methods", section 7.3).
    """
    evaluate = Evaluator(posterior, start)
    began = time.perf_counter()
    before = evaluate.compile_seconds
    z = np.asarray(start, float)
    if z.size <= DENSE_LIMIT and posterior.forward:
        method: dict[str, Any] = {"method": "trust-exact", "hess": evaluate.hessian}
    else:
        method = {"method": "BFGS" if z.size <= DENSE_LIMIT else "L-BFGS-B"}
    with np.errstate(all="ignore"):
        found = optimize.minimize(
            evaluate, z, jac=True, options={"maxiter": _MOST_STEPS, "gtol": 1e-5}, **method
        )
    value, gradient = evaluate(found.x)
    lower, definite = _width(evaluate, found.x)
    distance = float(np.linalg.norm(lower.T @ gradient)) if np.isfinite(value) else np.inf
    compiling = evaluate.compile_seconds
    seconds = time.perf_counter() - began - (compiling - before)
    mode = Mode(found.x, value, lower, distance, definite, compiling, seconds)
    return mode, evaluate


def _width(evaluate: Evaluator, z: np.ndarray) -> tuple[np.ndarray, bool]:
    """The triangle of the covariance, and whether the curvature is positive.

    Where it is negative in a direction, its size is taken instead (Betancourt 2013, "A general
    metric for Riemannian manifold Hamiltonian Monte Carlo").
    """
    if z.size > DENSE_LIMIT:
        return np.eye(z.size), True
    hessian = evaluate.hessian(z)
    diagonal = np.abs(np.diag(hessian))
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    strengths, directions = np.linalg.eigh(hessian / np.outer(scale, scale))
    largest = float(np.max(np.abs(strengths))) or 1.0
    definite = bool(np.min(strengths) > _FLATTEST * largest)
    sizes = np.maximum(np.abs(strengths), (_FLATTEST if definite else 1e-3) * largest)
    root = directions / scale[:, None] / np.sqrt(sizes)
    return np.linalg.cholesky(root @ root.T), definite


class Starts(NamedTuple):
    """Where chains start: a row each."""

    z: np.ndarray
    value: np.ndarray
    gradient: np.ndarray


def dispersed(mode: Mode, evaluate: Evaluator, key: Array, num: int) -> Starts:
    """Draws of the Normal approximation, drawn in where the posterior is far lower than it says."""
    size = mode.z.size
    depth = 0.5 * float(stats.chi2.isf(1e-3, size)) + 0.5 * size + 5.0
    steps = np.asarray(jax.random.normal(key, (num, size), float))
    rows = []
    for step in steps:
        for attempt in range(_TRIES):
            z = mode.z + mode.lower @ (step * 0.7**attempt)
            value, gradient = evaluate(z)
            if np.isfinite(value) and value - mode.value < depth:
                break
        else:
            z = mode.z
            value, gradient = evaluate(z)
        rows.append((z, value, gradient))
    return Starts(*(np.stack([np.asarray(row[i]) for row in rows]) for i in range(3)))


def _potential_and_gradient(z: Array, posterior: Posterior) -> tuple[Array, Array]:
    energy, gradient = posterior.potential_and_gradient(z)
    return energy.value, gradient


def _hessian(z: Array, posterior: Posterior) -> Array:
    return jax.jacfwd(jax.jacfwd(posterior.potential))(z)
