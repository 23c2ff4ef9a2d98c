"""The densities as textbooks print them, for mpmath's numbers at any precision.

They share no algebra with the kernels: what cancels here is left to the digits. Each is the
negative logarithm of a density or probability.
"""

from collections.abc import Callable, Sequence

from mpmath import mp, mpf

Nll = Callable[..., mpf]


def normal(loc: mpf, log_scale: mpf, y: mpf) -> mpf:
    scale = mp.exp(log_scale)
    return ((y - loc) / scale) ** 2 / 2 + mp.log(scale * mp.sqrt(2 * mp.pi))


def log_normal(loc: mpf, log_scale: mpf, y: mpf) -> mpf:
    return normal(loc, log_scale, mp.log(y)) + mp.log(y)


def laplace(loc: mpf, log_scale: mpf, y: mpf) -> mpf:
    scale = mp.exp(log_scale)
    return abs(y - loc) / scale + mp.log(2 * scale)


def quantile(level: float) -> Nll:
    tau = mpf(level)

    def nll(loc: mpf, log_scale: mpf, y: mpf) -> mpf:
        scale, away = mp.exp(log_scale), y - loc
        check = tau * away if away >= 0 else (tau - 1) * away
        return check / scale - mp.log(tau * (1 - tau) / scale)

    return nll


def student_t(loc: mpf, log_scale: mpf, log_dof: mpf, y: mpf) -> mpf:
    scale, dof = mp.exp(log_scale), mp.exp(log_dof)
    gammas = mp.loggamma((dof + 1) / 2) - mp.loggamma(dof / 2)
    shape = (dof + 1) / 2 * mp.log(1 + ((y - loc) / scale) ** 2 / dof)
    return -gammas + mp.log(dof * mp.pi) / 2 + mp.log(scale) + shape


def normal_inverse_gamma(loc: mpf, log_evidence: mpf, log_shape: mpf, log_rate: mpf, y: mpf) -> mpf:
    evidence, shape, rate = mp.exp(log_evidence), mp.exp(log_shape), mp.exp(log_rate)
    omega = 2 * rate * (1 + evidence)
    gammas = mp.loggamma(shape) - mp.loggamma(shape + mpf(1) / 2)
    away = (shape + mpf(1) / 2) * mp.log(evidence * (y - loc) ** 2 + omega)
    return mp.log(mp.pi / evidence) / 2 - shape * mp.log(omega) + away + gammas


def gamma(log_mean: mpf, log_concentration: mpf, y: mpf) -> mpf:
    shape = mp.exp(log_concentration)
    rate = shape / mp.exp(log_mean)
    return mp.loggamma(shape) - shape * mp.log(rate) - (shape - 1) * mp.log(y) + rate * y


def exponential(log_mean: mpf, y: mpf) -> mpf:
    mean = mp.exp(log_mean)
    return y / mean + mp.log(mean)


def poisson(log_rate: mpf, y: mpf) -> mpf:
    return mp.exp(log_rate) - y * log_rate + mp.loggamma(y + 1)


def negative_binomial(log_mean: mpf, log_concentration: mpf, y: mpf) -> mpf:
    mean, r = mp.exp(log_mean), mp.exp(log_concentration)
    ways = mp.loggamma(y + r) - mp.loggamma(r) - mp.loggamma(y + 1)
    return -ways - r * mp.log(r / (r + mean)) - y * mp.log(mean / (r + mean))


def zero_inflated(base: Nll) -> Nll:
    def nll(gate_logit: mpf, *rest: mpf) -> mpf:
        gate, other = _share(gate_logit), _share(-gate_logit)
        counted = base(*rest)
        if rest[-1] == 0:
            return -mp.log(gate + other * mp.exp(-counted))
        return -mp.log(other) + counted

    return nll


def beta(logit: mpf, log_precision: mpf, y: mpf) -> mpf:
    precision = mp.exp(log_precision)
    a, b = precision * _share(logit), precision * _share(-logit)
    constant = mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)
    return constant - (a - 1) * mp.log(y) - (b - 1) * mp.log(1 - y)


def von_mises(loc: mpf, log_concentration: mpf, y: mpf) -> mpf:
    kappa = mp.exp(log_concentration)
    return mp.log(2 * mp.pi * mp.besseli(0, kappa)) - kappa * mp.cos(y - loc)


def bernoulli(logit: mpf, y: mpf) -> mpf:
    return -mp.log(_share(logit if y else -logit))


def binomial(logit: mpf, total: mpf, y: mpf) -> mpf:
    ways = mp.loggamma(total + 1) - mp.loggamma(y + 1) - mp.loggamma(total - y + 1)
    return -ways - y * mp.log(_share(logit)) - (total - y) * mp.log(_share(-logit))


def categorical(logits: Sequence[mpf], targets: Sequence[mpf]) -> mpf:
    total = mp.log(sum(map(mp.exp, logits)))
    return sum(t * (total - logit) for t, logit in zip(targets, logits, strict=True))


def dirichlet_categorical(log_evidence: Sequence[mpf], y: int) -> mpf:
    concentration = [1 + mp.exp(each) for each in log_evidence]
    return mp.log(sum(concentration)) - mp.log(concentration[y])


def ordered_logistic(location: mpf, cutpoints: Sequence[mpf], y: int) -> mpf:
    cuts = [-mp.inf, *cutpoints, mp.inf]
    low, high = cuts[y] - location, cuts[y + 1] - location
    # By symmetry either tail will do: the lower one keeps its digits.
    if low > 0:
        low, high = -high, -low
    return -mp.log(_share(high) - _share(low))


def multivariate_normal(residual: Sequence[mpf], triangle: Sequence[Sequence[mpf]]) -> mpf:
    """By the covariance matrix, its determinant and inverse."""
    size = range(len(residual))
    covariance = [[sum(triangle[i][k] * triangle[j][k] for k in size) for j in size] for i in size]
    determinant = _determinant(covariance)
    square = sum(
        residual[i] * _cofactor(covariance, i, j) * residual[j] / determinant
        for i in size
        for j in size
    )
    return (square + mp.log(determinant) + len(residual) * mp.log(2 * mp.pi)) / 2


def mixture(logits: Sequence[mpf], nlls: Sequence[mpf]) -> mpf:
    weights = [mp.exp(logit) for logit in logits]
    density = sum(w * mp.exp(-nll) for w, nll in zip(weights, nlls, strict=True))
    return -mp.log(density / sum(weights))


# ------------------------------------------------------------------- cumulative distributions


def normal_between(loc: mpf, log_scale: mpf, low: mpf, high: mpf) -> mpf:
    """`log P(low < Y < high)`."""
    scale = mp.exp(log_scale)
    first, last = (low - loc) / scale, (high - loc) / scale
    if first > 0:
        first, last = -last, -first
    return mp.log(_phi(last) - _phi(first))


def log_normal_between(loc: mpf, log_scale: mpf, low: mpf, high: mpf) -> mpf:
    """`log P(low < Y < high)`."""
    first = mp.log(low) if low > 0 else -mp.inf
    return normal_between(loc, log_scale, first, mp.log(high))


def laplace_between(loc: mpf, log_scale: mpf, low: mpf, high: mpf) -> mpf:
    """`log P(low < Y < high)`."""
    scale = mp.exp(log_scale)

    def cumulative(z: mpf) -> mpf:
        return mp.exp(z) / 2 if z < 0 else 1 - mp.exp(-z) / 2

    first, last = (low - loc) / scale, (high - loc) / scale
    if first > 0:
        first, last = -last, -first
    return mp.log(cumulative(last) - cumulative(first))


def exponential_between(log_mean: mpf, low: mpf, high: mpf) -> mpf:
    """`log P(low < Y < high)`."""
    mean = mp.exp(log_mean)
    return mp.log(mp.exp(-low / mean) - mp.exp(-high / mean))


# ------------------------------------------------------------------------------------- pieces


def _share(logit: mpf) -> mpf:
    return 1 / (1 + mp.exp(-logit))


def _phi(x: mpf) -> mpf:
    return mp.erfc(-x / mp.sqrt(2)) / 2


def _determinant(rows: list[list[mpf]]) -> mpf:
    if len(rows) == 1:
        return rows[0][0]
    return sum(rows[0][j] * _cofactor(rows, 0, j) for j in range(len(rows)))


def _cofactor(rows: list[list[mpf]], i: int, j: int) -> mpf:
    rest = [row[:j] + row[j + 1 :] for k, row in enumerate(rows) if k != i]
    return (-1) ** (i + j) * _determinant(rest)
