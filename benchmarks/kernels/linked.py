"""The links: parameter, logarithm and logit of it, as functions of the prediction."""

import jax.numpy as jnp
import numpy as np
from mpmath import mp, mpf

from benchmarks.kernels.case import Case
from benchmarks.kernels.draws import by_dtype, log_uniform, one_of, signed
from likelihax import links


def _real(most: float, most_single: float):
    def draw(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
        top = by_dtype(dtype, most, most_single)
        return (
            one_of(rng, [0.5, 0.5], signed(rng, 1e-10, top, count), rng.uniform(-top, top, count)),
        )

    return draw


def _between(low: float, low_single: float, high: float, high_single: float):
    """Positive predictions, log-uniformly."""

    def draw(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
        ends = by_dtype(dtype, low, low_single), by_dtype(dtype, high, high_single)
        return (log_uniform(rng, *ends, count),)

    return draw


def _unit(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    """Between zero and one, near to either too."""
    low = log_uniform(rng, by_dtype(dtype, 1e-290, 1e-30), 0.5, count)
    near_one = 1 - log_uniform(rng, by_dtype(dtype, 1e-15, 1e-7), 0.5, count)
    return (one_of(rng, [0.5, 0.5], low, near_one),)


def _above_one(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    least, most = by_dtype(dtype, 1e-15, 1e-6), by_dtype(dtype, 1e290, 1e30)
    return (1 + log_uniform(rng, least, most, count),)


def _below_half(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    """A bit below where a softplus is one, and far below."""
    low = -log_uniform(rng, 1e-10, by_dtype(dtype, 700.0, 80.0), count)
    return (one_of(rng, [0.5, 0.5], low, rng.uniform(-1.0, 0.5, count)),)


def _negative(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    return (-log_uniform(rng, 1e-10, by_dtype(dtype, 700.0, 80.0), count),)


def _phi(x: mpf) -> mpf:
    return mp.erfc(-x / mp.sqrt(2)) / 2


# The parameter and, where it may be too near to one for the digits, one less it.
_INVERSE = {
    "Identity": (lambda x: x, lambda x: 1 - x),
    "Log": (mp.exp, lambda x: 1 - mp.exp(x)),
    "Logit": (lambda x: 1 / (1 + mp.exp(-x)), lambda x: 1 / (1 + mp.exp(x))),
    "Probit": (_phi, lambda x: _phi(-x)),
    "Inverse": (lambda x: 1 / x, lambda x: 1 - 1 / x),
    "Softplus": (
        lambda x: mp.log1p(mp.exp(x)),
        lambda x: 1 - mp.log1p(mp.exp(x)),
    ),
    "Sqrt": (lambda x: x * x, lambda x: 1 - x * x),
    "ComplementaryLogLog": (
        lambda x: -mp.expm1(-mp.exp(x)),
        lambda x: mp.exp(-mp.exp(x)),
    ),
}
_METHODS = {
    "inverse": lambda p, q: lambda x: p(x),
    "log": lambda p, q: lambda x: mp.log(p(x)),
    "logit": lambda p, q: lambda x: mp.log(p(x)) - mp.log(q(x)),
}
_POSITIVE = _between(1e-100, 1e-18, 1e100, 1e18)
# Where the prediction may lie, for inverse, log and logit.
_RANGES = {
    "Identity": (_real(1e10, 1e10), _POSITIVE, _unit),
    "Log": (_real(700.0, 80.0), _real(700.0, 80.0), _negative),
    "Logit": (_real(700.0, 80.0),) * 3,
    "Probit": (_real(35.0, 12.0), _real(1e4, 1e3), _real(1e4, 1e3)),
    "Inverse": (_POSITIVE, _POSITIVE, _above_one),
    "Softplus": (_real(700.0, 80.0), _real(700.0, 80.0), _below_half),
    "Sqrt": (_POSITIVE, _POSITIVE, _unit),
    "ComplementaryLogLog": (_real(700.0, 80.0),) * 3,
}


def _case(name: str, place: int, method: str) -> Case:
    p, q = _INVERSE[name]
    function = getattr(getattr(links, name)(), method)
    return Case(
        f"{name}.{method}",
        ("prediction",),
        _RANGES[name][place],
        lambda x: function(x) + jnp.zeros_like(x),
        _METHODS[method](p, q),
        None,
        relative=frozenset({"prediction"}),
    )


CASES = [_case(name, place, method) for name in _INVERSE for place, method in enumerate(_METHODS)]
