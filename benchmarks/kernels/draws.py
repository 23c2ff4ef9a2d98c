"""Numbers over wide ranges, from a generator; their ends and zero turn up among them."""

import numpy as np

_ENDS = 0.03  # the share of the points that lies on each end


def is_single(dtype: np.dtype) -> bool:
    """Whether the points are float32's."""
    return np.dtype(dtype).itemsize == 4


def by_dtype(dtype: np.dtype, double: float, single: float) -> float:
    """The end of a range that is shorter in float32."""
    return single if is_single(dtype) else double


def log_uniform(rng: np.random.Generator, low: float, high: float, count: int) -> np.ndarray:
    """Positive numbers of every order of magnitude, both ends included."""
    drawn = np.exp(rng.uniform(np.log(low), np.log(high), count))
    where = rng.random(count)
    return np.where(where < _ENDS, low, np.where(where > 1 - _ENDS, high, drawn))


def signed(rng: np.random.Generator, low: float, high: float, count: int) -> np.ndarray:
    """Numbers of either sign and every order of magnitude, and zero."""
    sizes = log_uniform(rng, low, high, count) * rng.choice([-1.0, 1.0], count)
    return np.where(rng.random(count) < _ENDS, 0.0, sizes)


def one_of(rng: np.random.Generator, shares: list[float], *choices: np.ndarray) -> np.ndarray:
    """Elementwise one of the arrays, each as often as its share says."""
    which = rng.choice(len(choices), len(choices[0]), p=shares)
    return np.choose(which, choices)


def residuals(rng: np.random.Generator, most: float, count: int) -> np.ndarray:
    """Half of them as the model says they are, half anything up to `most` scales."""
    usual = rng.normal(size=count)
    return one_of(rng, [0.5, 0.5], usual, signed(rng, 1e-8, most, count))


def locations(rng: np.random.Generator, count: int, dtype: np.dtype, most: float = 1e6) -> tuple:
    """Location, log-scale and a value `most` scales off or less."""
    widest = by_dtype(dtype, 1e8, 1e6)
    loc = signed(rng, 1e-6, 1e6, count).astype(dtype)
    log_scale = np.log(log_uniform(rng, 1 / widest, widest, count)).astype(dtype)
    away = residuals(rng, most, count) * np.exp(log_scale.astype(float))
    return loc, log_scale, (loc + away).astype(dtype)


def off_the_kink(y: np.ndarray, loc: np.ndarray) -> np.ndarray:
    """`y`, moved by a few floats where it is the location: there is no derivative there."""
    apart = 4 * np.finfo(loc.dtype).eps * np.maximum(np.abs(loc), loc.dtype.type(1e-10))
    return np.where(y == loc, loc + apart, y)


def increasing(*columns: np.ndarray) -> list[np.ndarray]:
    """The columns, each moved to the float above the one before where it is not above it."""
    kept = [columns[0]]
    for column in columns[1:]:
        above = np.nextafter(kept[-1], column.dtype.type(np.inf))
        kept.append(np.maximum(column, above))
    return kept


def poisson(rng: np.random.Generator, rate: np.ndarray) -> np.ndarray:
    """Counts."""
    return rng.poisson(rate).astype(float)


def counts(rng: np.random.Generator, near: np.ndarray, most: float) -> np.ndarray:
    """Counts as the model says they are, any others, and zeros."""
    far = np.floor(log_uniform(rng, 1.0, most, len(near)))
    return one_of(rng, [0.5, 0.4, 0.1], near, far, np.zeros(len(near)))
