"""The families of vectors and those made of other families."""

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from mpmath import mpf
from numpyro import distributions as dist

from benchmarks.kernels import textbook
from benchmarks.kernels.case import Case
from benchmarks.kernels.draws import increasing, log_uniform, one_of, signed
from likelihax import likelihoods
from likelihax.likelihoods import AbstractLikelihood, predicted

_NORMAL = likelihoods.Normal(predicted())
_LOG_NORMAL = likelihoods.LogNormal(predicted())
_LAPLACE = likelihoods.Laplace(predicted())
_EXPONENTIAL = likelihoods.Exponential()

# ------------------------------------------------------------------------------------ vectors


def _triangle_names(dim: int) -> tuple[str, ...]:
    below = [f"L_{i}{j}" for i in range(dim) for j in range(i)]
    return (*below, *(f"log_L_{i}{i}" for i in range(dim)))


def _vector_columns(dim: int) -> tuple[str, ...]:
    locs, values = (tuple(f"{name}_{i}" for i in range(dim)) for name in ("loc", "y"))
    return (*locs, *_triangle_names(dim), *values)


def _split(dim: int, columns: tuple) -> tuple:
    """Means, entries below the diagonal, logarithms of those on it, values."""
    below = dim * (dim - 1) // 2
    loc, off, on = columns[:dim], columns[dim : dim + below], columns[dim + below : -dim]
    return loc, off, on, columns[-dim:]


def _vectors(dim: int):
    def draw(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
        loc = [signed(rng, 1e-3, 1e3, count).astype(dtype) for _ in range(dim)]
        on = [log_uniform(rng, 1e-3, 1e3, count) for _ in range(dim)]
        # Correlations up to 0.995: an entry at most ten times the one on the diagonal.
        off = [on[i] * signed(rng, 1e-3, 10.0, count) for i in range(dim) for _ in range(i)]
        scatter = one_of(
            rng, [0.7, 0.3], rng.normal(size=count), signed(rng, 1e-3, 1e3, count)
        ) * rng.normal(size=(dim, count))
        y, at = [], 0
        for i in range(dim):
            y.append(loc[i] + on[i] * scatter[i] + sum(off[at + j] * scatter[j] for j in range(i)))
            at += i
        return *loc, *off, *map(np.log, on), *y

    return draw


def _vector_kernel(dim: int):
    likelihood = likelihoods.MultivariateNormal(predicted(), dim=dim)

    def kernel(*columns):
        prediction = jnp.stack(columns[:-dim], axis=-1)
        return likelihood.kernel(likelihood.outputs(prediction), jnp.stack(columns[-dim:], axis=-1))

    return kernel


def _vector_peer(dim: int):
    def nll(*columns):
        loc, off, on, y = _split(dim, columns)
        triangle = jnp.zeros((*loc[0].shape, dim, dim), loc[0].dtype)
        entries = iter(off)
        for i in range(dim):
            triangle = triangle.at[..., i, i].set(jnp.exp(on[i]))
            for j in range(i):
                triangle = triangle.at[..., i, j].set(next(entries))
        family = dist.MultivariateNormal(jnp.stack(loc, axis=-1), scale_tril=triangle)
        return -family.log_prob(jnp.stack(y, axis=-1))

    return nll


def _vector_exact(dim: int):
    def nll(*numbers: mpf) -> mpf:
        loc, off, on, y = _split(dim, numbers)
        entries = iter(off)
        rows = [[mpf(0)] * dim for _ in range(dim)]
        for i in range(dim):
            rows[i][i] = textbook.mp.exp(on[i])
            for j in range(i):
                rows[i][j] = next(entries)
        return textbook.multivariate_normal([a - b for a, b in zip(y, loc, strict=True)], rows)

    return nll


def _vector_case(dim: int) -> Case:
    return Case(
        f"MultivariateNormal-{dim}",
        _vector_columns(dim),
        _vectors(dim),
        _vector_kernel(dim),
        _vector_exact(dim),
        _vector_peer(dim),
    )


# ----------------------------------------------------------------------------------- mixtures

_COMPONENTS = ("loc_1", "log_scale_1", "loc_2", "log_scale_2", "loc_3", "log_scale_3")


def _mixture_kernel(likelihood: likelihoods.Mixture):
    def kernel(*columns):
        prediction = jnp.stack(columns[:-1], axis=-1)
        return likelihood.kernel(likelihood.outputs(prediction), columns[-1])

    return kernel


def _mixed(count_parts: int):
    def draw(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
        logits = [signed(rng, 1e-3, 30.0, count) for _ in range(count_parts)]
        locs = [signed(rng, 1e-3, 100.0, count) for _ in range(count_parts)]
        scales = [log_uniform(rng, 1e-2, 1e2, count) for _ in range(count_parts)]
        which = rng.integers(0, count_parts, count)
        y = np.choose(which, locs) + np.choose(which, scales) * rng.normal(size=count)
        parts = [column for pair in zip(locs, map(np.log, scales), strict=True) for column in pair]
        return *logits, *parts, y

    return draw


def _with_student_t(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    *columns, y = _mixed(2)(rng, count, dtype)
    return *columns, np.log(log_uniform(rng, 1e-1, 1e4, count)), y


def _three_normals(*numbers: mpf) -> mpf:
    y = numbers[-1]
    nlls = [textbook.normal(numbers[3 + 2 * k], numbers[4 + 2 * k], y) for k in range(3)]
    return textbook.mixture(numbers[:3], nlls)


def _normal_and_student_t(*numbers: mpf) -> mpf:
    y = numbers[-1]
    nlls = [textbook.normal(*numbers[2:4], y), textbook.student_t(*numbers[4:7], y)]
    return textbook.mixture(numbers[:2], nlls)


def _three_normals_peer(*columns):
    mixing = dist.CategoricalLogits(jnp.stack(columns[:3], axis=-1))
    loc, scale = jnp.stack(columns[3:9:2], axis=-1), jnp.stack(columns[4:9:2], axis=-1)
    family = dist.MixtureSameFamily(mixing, dist.Normal(loc, jnp.exp(scale)))
    return -family.log_prob(columns[-1])


def _normal_and_student_t_peer(*columns):
    mixing = dist.CategoricalLogits(jnp.stack(columns[:2], axis=-1))
    parts = [
        dist.Normal(columns[2], jnp.exp(columns[3])),
        dist.StudentT(jnp.exp(columns[6]), columns[4], jnp.exp(columns[5])),
    ]
    return -dist.MixtureGeneral(mixing, parts).log_prob(columns[-1])


# --------------------------------------------------------------------- censored and truncated


def _with_limit(family: str, rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    """Outputs, a limit and values, half of which lie at it or beyond."""
    scale = log_uniform(rng, 1e-3, 1e3, count)
    limits = one_of(rng, [0.6, 0.4], 3 * rng.normal(size=count), signed(rng, 1e-6, 1e3, count))
    if family == "Exponential":
        limit = np.maximum(np.abs(limits), 1e-6) * scale
        y = np.where(rng.random(count) < 0.5, limit, rng.exponential(scale))
        return (np.log(scale),), limit, y
    loc = signed(rng, 1e-3, 1e3, count)
    z = np.where(rng.random(count) < 0.5, limits, rng.normal(size=count))
    if family == "LogNormal":
        loc, scale = loc / 1e2, np.minimum(scale, 10.0)
        top = 60.0
        limit, y = (np.exp(np.clip(loc + scale * each, -top, top)) for each in (limits, z))
        return (loc, np.log(scale)), limit, y
    return (loc, np.log(scale)), loc + scale * limits, loc + scale * z


def _limited(family: str):
    def draw(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
        outputs, limit, y = _with_limit(family, rng, count, dtype)
        if family == "Laplace":
            y = np.where(y == outputs[0], y + np.exp(outputs[1]), y)
        return limit, *outputs, y

    return draw


def _censored_kernel(base: AbstractLikelihood, side: str):
    likelihood = likelihoods.Censored(base, **{side: 0.0})
    return lambda *columns: likelihood.kernel(columns[:-1], columns[-1])


def _censored_exact(base: textbook.Nll, between: textbook.Nll, side: str, least: mpf):
    def nll(limit: mpf, *rest: mpf) -> mpf:
        *outputs, y = rest
        if side == "lower" and y <= limit:
            return -between(*outputs, least, limit)
        if side == "upper" and y >= limit:
            return -between(*outputs, limit, textbook.mp.inf)
        return base(*outputs, y)

    return nll


def _censored_peer(family, side: str):
    wrap = {"lower": dist.LeftCensoredDistribution, "upper": dist.RightCensoredDistribution}[side]

    def nll(limit, *rest):
        *outputs, y = rest
        beyond = y <= limit if side == "lower" else y >= limit
        return -wrap(family(*outputs), beyond).log_prob(jnp.where(beyond, limit, y))

    return nll


def _scaled(family):
    return lambda loc, log_scale: family(loc, jnp.exp(log_scale))


def _exponential(log_mean):
    return dist.Exponential(jnp.exp(-log_mean))


def _censored(name: str, base: AbstractLikelihood, side: str, exact: tuple, peer) -> Case:
    family = type(base).__name__
    least = -textbook.mp.inf if family in ("Normal", "Laplace") else mpf(0)
    outputs = ("log_mean",) if family == "Exponential" else ("loc", "log_scale")
    return Case(
        name,
        ("limit", *outputs, "y"),
        _limited(family),
        _censored_kernel(base, side),
        _censored_exact(*exact, side, least),
        _censored_peer(peer, side),
        frozenset({"limit", "y"}),
    )


def _bounds(rng: np.random.Generator, count: int, dtype: np.dtype, base: str) -> tuple:
    """Outputs and two bounds, no nearer to each other than a hundredth of the scale."""
    scale = log_uniform(rng, 1e-3, 1e3, count)
    width = log_uniform(rng, 1e-2, 1e2, count)
    if base == "Exponential":
        low = np.abs(signed(rng, 1e-3, 30.0, count)) * scale
        return (np.log(scale),), low, low + width * scale
    loc = (signed(rng, 1e-3, 10.0, count) * scale).astype(dtype)
    centre = one_of(rng, [0.6, 0.4], 2 * rng.normal(size=count), signed(rng, 1e-3, 1e2, count))
    return (loc, np.log(scale)), *(loc + scale * (centre + width * side) for side in (-0.5, 0.5))


def _intervals(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
    outputs, low, high = _bounds(rng, count, dtype, "Normal")
    return *outputs, *increasing(low.astype(dtype), high.astype(dtype))


def _truncated(base: str):
    def draw(rng: np.random.Generator, count: int, dtype: np.dtype) -> tuple:
        outputs, low, high = _bounds(rng, count, dtype, base)
        y = low + (high - low) * rng.uniform(0.01, 0.99, count)
        low, y, high = increasing(*(each.astype(dtype) for each in (low, y, high)))
        return low, high, *outputs, y

    return draw


def _interval_kernel(loc, log_scale, low, high):
    likelihood = likelihoods.IntervalCensored(_NORMAL)
    return likelihood.kernel((loc, log_scale), jnp.stack([low, high], axis=-1))


def _interval_peer(loc, log_scale, low, high):
    none = jnp.zeros_like(loc)
    base = dist.Normal(loc, jnp.exp(log_scale))
    family = dist.IntervalCensoredDistribution(base, none, none)
    return -family.log_prob(jnp.stack([low, high], axis=-1))


def _truncated_kernel(base: AbstractLikelihood):
    likelihood = likelihoods.Truncated(base, lower=0.0, upper=1.0)
    return lambda *columns: likelihood.kernel(columns[:-1], columns[-1])


def _truncated_exact(base: textbook.Nll, between: textbook.Nll):
    def nll(low: mpf, high: mpf, *rest: mpf) -> mpf:
        *outputs, y = rest
        return base(*outputs, y) + between(*outputs, low, high)

    return nll


def _truncated_normal_peer(low, high, loc, log_scale, y):
    family = dist.TruncatedNormal(loc, jnp.exp(log_scale), low=low, high=high)
    return -family.log_prob(y)


def _truncated_exponential_peer(low, high, log_mean, y):
    # NumPyro truncates symmetric families only; this is what is left to write.
    family = _exponential(log_mean)
    survival = (jnp.log1p(-family.cdf(bound)) for bound in (low, high))
    total = logsumexp(jnp.stack(list(survival)), axis=0, b=jnp.array([[1.0], [-1.0]], y.dtype))
    return total - family.log_prob(y)


_OF_NORMAL = (textbook.normal, textbook.normal_between)
_OF_LOG_NORMAL = (textbook.log_normal, textbook.log_normal_between)
_OF_LAPLACE = (textbook.laplace, textbook.laplace_between)
_OF_EXPONENTIAL = (textbook.exponential, textbook.exponential_between)

CASES = [
    _vector_case(2),
    _vector_case(3),
    Case(
        "Mixture-of-Normals",
        ("logit_1", "logit_2", "logit_3", *_COMPONENTS, "y"),
        _mixed(3),
        _mixture_kernel(likelihoods.Mixture([_NORMAL] * 3)),
        _three_normals,
        _three_normals_peer,
    ),
    Case(
        "Mixture-with-StudentT",
        ("logit_1", "logit_2", *_COMPONENTS[:4], "log_dof_2", "y"),
        _with_student_t,
        _mixture_kernel(
            likelihoods.Mixture([_NORMAL, likelihoods.StudentT(predicted(), predicted())])
        ),
        _normal_and_student_t,
        _normal_and_student_t_peer,
    ),
    _censored("Censored-Normal-left", _NORMAL, "lower", _OF_NORMAL, _scaled(dist.Normal)),
    _censored("Censored-Normal-right", _NORMAL, "upper", _OF_NORMAL, _scaled(dist.Normal)),
    _censored(
        "Censored-LogNormal-left", _LOG_NORMAL, "lower", _OF_LOG_NORMAL, _scaled(dist.LogNormal)
    ),
    _censored("Censored-Exponential-left", _EXPONENTIAL, "lower", _OF_EXPONENTIAL, _exponential),
    _censored("Censored-Exponential-right", _EXPONENTIAL, "upper", _OF_EXPONENTIAL, _exponential),
    _censored("Censored-Laplace-left", _LAPLACE, "lower", _OF_LAPLACE, _scaled(dist.Laplace)),
    Case(
        "IntervalCensored-Normal",
        ("loc", "log_scale", "low", "high"),
        _intervals,
        _interval_kernel,
        lambda *numbers: -textbook.normal_between(*numbers),
        _interval_peer,
        frozenset({"low", "high"}),
    ),
    Case(
        "Truncated-Normal",
        ("low", "high", "loc", "log_scale", "y"),
        _truncated("Normal"),
        _truncated_kernel(_NORMAL),
        _truncated_exact(*_OF_NORMAL),
        _truncated_normal_peer,
        frozenset({"low", "high"}),
    ),
    Case(
        "Truncated-Exponential",
        ("low", "high", "log_mean", "y"),
        _truncated("Exponential"),
        _truncated_kernel(_EXPONENTIAL),
        _truncated_exact(*_OF_EXPONENTIAL),
        _truncated_exponential_peer,
        frozenset({"low", "high"}),
        relative=frozenset({"y"}),
    ),
]
