"""Parity of predictions between groups: values, laws, fits and errors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from credit import (
    GROUPS,
    LABELS,
    LOGITS,
    TABLE,
    Logit,
    N,
    X,
    binary,
    given_predictor,
    logistic,
    real,
    table,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

import likelihax as lhx
from likelihax import likelihoods as lk
from likelihax.terms import DemographicParity, Entropy, EqualisedOdds

# Each compiles fits of its own: minutes in all.
pytestmark = pytest.mark.slow


def between(numbers, groups):
    """The variance between groups, in a loop."""
    return sum(
        np.mean(groups == g) * (numbers[groups == g].mean() - numbers.mean()) ** 2
        for g in np.unique(groups)
    )


def spread(numbers, groups):
    means = [numbers[groups == g].mean() for g in np.unique(groups)]
    return max(means) - min(means)


@eqx.filter_jit
def compiled(term, predictor, data):
    return term(predictor, data)


# ------------------------------------------------------------------------- values against NumPy


def test_parity_of_probabilities():
    probability = special.expit(LOGITS)
    term = DemographicParity(GROUPS)
    np.testing.assert_allclose(term(binary(), TABLE), between(probability, GROUPS), rtol=1e-13)
    np.testing.assert_allclose(
        term.disparity(binary(), TABLE), spread(probability, GROUPS), rtol=1e-13
    )
    means = [probability[g == GROUPS].mean() for g in range(3)]
    np.testing.assert_allclose(term.means(binary(), TABLE), means, rtol=1e-13)


CONTINUOUS = {
    "Normal": (lk.Normal(scale=1.0), lambda m: m),
    "Poisson": (lk.Poisson(), np.exp),
    "Exponential": (lk.Exponential(), np.exp),
    "LogNormal": (lk.LogNormal(0.5, lhx.predicted("log")), lambda m: np.exp(m + 0.125)),
    "StudentT": (lk.StudentT(scale=2.0, dof=4.0), lambda m: m),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_parity_of_means_of_any_family(name):
    likelihood, mean = CONTINUOUS[name]
    predictor, data = given_predictor(LOGITS, likelihood), table(np.ones(N))
    term = DemographicParity(GROUPS)
    term.check(predictor, data)
    np.testing.assert_allclose(term(predictor, data), between(mean(LOGITS), GROUPS), rtol=1e-12)
    disparity = term.disparity(predictor, data)
    np.testing.assert_allclose(disparity, spread(mean(LOGITS), GROUPS), rtol=1e-12)


def test_parity_of_every_label_and_observable():
    logits = np.random.default_rng(1).normal(size=(N, 2, 3))
    predictor = given_predictor(logits, lk.Categorical(3))
    data = table(np.zeros((N, 2)))
    p = special.softmax(logits, axis=-1).reshape(N, -1)
    term = DemographicParity(GROUPS)
    term.check(predictor, data)
    expected = sum(between(column, GROUPS) for column in p.T)
    np.testing.assert_allclose(term(predictor, data), expected, rtol=1e-12)
    assert term.means(predictor, data).shape == (3, 2, 3)
    disparity = max(spread(column, GROUPS) for column in p.T)
    np.testing.assert_allclose(term.disparity(predictor, data), disparity, rtol=1e-12)
    grades = given_predictor(LOGITS, lk.OrderedLogistic(np.array([-1.0, 1.0])))
    upper = special.expit(np.array([-1.0, 1.0]) - LOGITS[:, None])
    p = np.diff(np.pad(upper, ((0, 0), (1, 1)), constant_values=((0, 0), (0, 1))), axis=1)
    expected = sum(between(column, GROUPS) for column in p.T)
    np.testing.assert_allclose(term(grades, table(np.zeros(N))), expected, rtol=1e-11)


def test_parity_of_what_is_asked_for():
    decision = lambda d: jax.nn.sigmoid(d.logits / 0.1)
    term = DemographicParity(GROUPS, of=decision)
    expected = special.expit(LOGITS / 0.1)
    np.testing.assert_allclose(term(binary(), TABLE), between(expected, GROUPS), rtol=1e-12)
    assert 0 < term.disparity(binary(), TABLE) <= 1


def test_parity_of_a_vector():
    covariance = np.array([[2.0, 0.3], [0.3, 1.0]])
    likelihood = lk.MultivariateNormal(np.linalg.cholesky(covariance))
    predictor, data = given_predictor(X, likelihood), table(np.zeros((N, 2)))
    expected = between(X[:, 0], GROUPS) + between(X[:, 1], GROUPS)
    np.testing.assert_allclose(DemographicParity(GROUPS)(predictor, data), expected, rtol=1e-12)
    odds = EqualisedOdds(GROUPS, num_bins=2)
    values = np.random.default_rng(2).normal(size=(N, 2))
    expected = 0.0
    for column in range(2):
        upper = values[:, column] >= np.median(values[:, column])
        for side in (upper, ~upper):
            expected += side.mean() * between(X[side, column], GROUPS[side])
    odds.check(predictor, table(values))
    np.testing.assert_allclose(odds(predictor, table(values)), expected, rtol=1e-12)


def test_missing_outcomes_count_for_parity_and_not_for_odds():
    values = np.where(np.arange(N) % 4 == 0, np.nan, LABELS)
    some = table(values)
    probability = special.expit(LOGITS)
    parity = DemographicParity(GROUPS)(binary(), some)
    np.testing.assert_allclose(parity, between(probability, GROUPS), rtol=1e-13)
    expected = sum(
        np.sum(values == k)
        * between(probability[values == k], GROUPS[values == k])
        / np.sum(~np.isnan(values))
        for k in (0, 1)
    )
    np.testing.assert_allclose(EqualisedOdds(GROUPS)(binary(), some), expected, rtol=1e-12)


def test_odds_are_parity_within_classes():
    probability = special.expit(LOGITS)
    term = EqualisedOdds(GROUPS)
    term.check(binary(), TABLE)
    within = {k: between(probability[k == LABELS], GROUPS[k == LABELS]) for k in (0, 1)}
    expected = sum(np.mean(k == LABELS) * within[k] for k in (0, 1))
    np.testing.assert_allclose(term(binary(), TABLE), expected, rtol=1e-12)
    spreads = [spread(probability[k == LABELS], GROUPS[k == LABELS]) for k in (0, 1)]
    np.testing.assert_allclose(term.disparity(binary(), TABLE), max(spreads), rtol=1e-12)
    opportunity = EqualisedOdds(GROUPS, classes=(1,))
    np.testing.assert_allclose(opportunity(binary(), TABLE), within[1], rtol=1e-12)
    np.testing.assert_allclose(opportunity.disparity(binary(), TABLE), spreads[1], rtol=1e-12)
    means = term.means(binary(), TABLE)
    assert means.shape == (2, 3)
    chosen = (LABELS == 1) & (GROUPS == 2)
    np.testing.assert_allclose(means[1, 2], probability[chosen].mean(), rtol=1e-13)
    assert np.all(np.isnan(opportunity.means(binary(), TABLE)[0]))


def test_odds_of_labels_and_of_several_observables():
    labels = np.random.default_rng(3).integers(0, 3, (N, 2)).astype(float)
    logits = np.random.default_rng(4).normal(size=(N, 2, 3))
    predictor, data = given_predictor(logits, lk.Categorical(3)), table(labels)
    term = EqualisedOdds(GROUPS)
    term.check(predictor, data)
    p = special.softmax(logits, axis=-1)
    expected = 0.0
    for column in range(2):
        for k in range(3):
            rows = labels[:, column] == k
            for each in p[rows, column].T:
                expected += rows.mean() * between(each, GROUPS[rows])
    np.testing.assert_allclose(term(predictor, data), expected, rtol=1e-12)


def test_odds_in_bins_of_a_continuous_outcome():
    outcome = LOGITS + np.random.default_rng(5).normal(size=N)
    outcome[::7] = np.nan
    data = table(outcome)
    term = EqualisedOdds(GROUPS, num_bins=3)
    term.check(real(LOGITS), data)
    edges = np.nanquantile(outcome, [1 / 3, 2 / 3])
    expected = 0.0
    for k in range(3):
        rows = ~np.isnan(outcome) & (np.digitize(outcome, edges) == k)
        expected += rows.sum() * between(LOGITS[rows], GROUPS[rows]) / np.sum(~np.isnan(outcome))
    np.testing.assert_allclose(term(real(LOGITS), data), expected, rtol=1e-12)
    np.testing.assert_allclose(eqx.filter_jit(term)(real(LOGITS), data), expected, rtol=1e-12)


def smooth_energy(x, y, s):
    """The energy distance with every `|d|` rounded off, by all pairs."""
    d = lambda a, b: np.abs(a[:, None] - b[None])
    kernel = lambda r: r + (s * np.exp(-r / s) if s else 0.0)
    mean = lambda a, b: kernel(d(a, b)).mean()
    return 2 * mean(x, y) - mean(x, x) - mean(y, y)


@pytest.mark.parametrize("smoothing", [0.0, 0.02, 0.5, 30.0])
def test_parity_of_distributions(smoothing):
    predicted = np.round(LOGITS, 1)  # with ties
    term = DemographicParity(GROUPS, compare="distributions", smoothing=smoothing)
    term.check(real(predicted), table(np.zeros(N)))
    found = compiled(term, real(predicted), table(np.zeros(N)))
    own = [predicted[g == GROUPS] for g in range(3)]
    expected = sum(len(x) / N * smooth_energy(x, predicted, smoothing) for x in own)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    if not smoothing:  # SciPy gives the root
        energies = [stats.energy_distance(x, predicted) ** 2 for x in own]
        expected = sum(len(x) / N * e for x, e in zip(own, energies, strict=True))
        np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_distributions_within_classes():
    odds = EqualisedOdds(GROUPS, compare="distributions", smoothing=0.05)
    p = special.expit(LOGITS)
    expected = 0.0
    for k in (0, 1):
        for g in range(3):
            rows = (k == LABELS) & (g == GROUPS)
            expected += rows.mean() * smooth_energy(p[rows], p[k == LABELS], 0.05)
    np.testing.assert_allclose(compiled(odds, binary(), TABLE), expected, rtol=1e-10)


def test_distributions_see_what_means_do_not():
    groups = np.repeat([0, 1], 50)
    wide = np.concatenate([np.linspace(-2, 2, 50), np.linspace(-1, 1, 50)])
    data = table(np.zeros(100))
    assert compiled(DemographicParity(groups), real(wide), data) < 1e-30
    assert compiled(DemographicParity(groups, compare="distributions"), real(wide), data) > 0.01


# ----------------------------------------------------------------------------------------- laws


finite = st.floats(-50, 50, allow_nan=False, width=32)
rows = st.lists(st.tuples(finite, st.integers(0, 2)), min_size=12, max_size=12)
COMPARISONS = [("means", 0.0), ("distributions", 0.0), ("distributions", 0.7)]


def laid_out(drawn):
    """12 predictions, and groups of which none is empty."""
    x, g = (np.asarray(each) for each in zip(*drawn, strict=True))
    return x.astype(float), np.concatenate([[0, 1, 2], g[3:]])


def parity(x, groups, compare, smoothing):
    term = DemographicParity(groups, compare=compare, smoothing=smoothing)
    return float(compiled(term, real(x), table(np.zeros(len(x)))))


@pytest.mark.parametrize(("compare", "smoothing"), COMPARISONS)
@given(rows, st.permutations([0, 1, 2]), st.randoms(use_true_random=False))
def test_laws_of_parity(compare, smoothing, drawn, names, random):
    x, groups = laid_out(drawn)
    value = parity(x, groups, compare, smoothing)
    size = max(1.0, np.ptp(x)) ** 2
    assert value >= -1e-14 * size
    renamed = np.asarray(names)[groups]
    assert parity(x, renamed, compare, smoothing) == pytest.approx(value, abs=1e-13 * size)
    order = random.sample(range(12), 12)
    assert parity(x[order], groups[order], compare, smoothing) == pytest.approx(
        value, abs=1e-13 * size
    )
    # Far from zero no digits are lost, except those of the sum itself.
    moved = parity(x + 1024.0, groups, compare, smoothing)
    assert moved == pytest.approx(value, abs=1e-10 * size)
    # The same predictions in each group are parity.
    equal = np.tile(x, 3), np.repeat([0, 1, 2], 12)
    assert abs(parity(*equal, compare, smoothing)) < 1e-14 * size


@pytest.mark.parametrize(("compare", "smoothing"), COMPARISONS)
@given(st.floats(-1e6, 1e6))
def test_constant_predictions_are_at_parity(compare, smoothing, value):
    x, groups = np.full(12, value), np.arange(12) % 3
    assert parity(x, groups, compare, smoothing) <= 1e-30
    term = EqualisedOdds(groups, num_bins=2, compare=compare, smoothing=smoothing)
    data = table(np.repeat([0.0, 1.0], 6))
    assert compiled(term, real(x), data) <= 1e-30
    assert compiled(term.disparity, real(x), data) == 0


def test_parity_does_not_grow_with_rows_and_follows_the_unit():
    once = parity(LOGITS, GROUPS, "means", 0.0)
    twice = parity(np.tile(LOGITS, 2), np.tile(GROUPS, 2), "means", 0.0)
    assert twice == pytest.approx(once, rel=1e-12)
    assert parity(10 * LOGITS, GROUPS, "means", 0.0) == pytest.approx(100 * once, rel=1e-12)
    energy = parity(LOGITS, GROUPS, "distributions", 0.2)
    assert parity(10 * LOGITS, GROUPS, "distributions", 2.0) == pytest.approx(10 * energy)


# ------------------------------------------------------------------------------------ gradients


SMOOTH = {
    "parity": DemographicParity(GROUPS),
    "decisions": DemographicParity(GROUPS, of=lambda d: jax.nn.sigmoid(d.logits / 0.2)),
    "parity of distributions": DemographicParity(GROUPS, compare="distributions", smoothing=0.1),
    "odds": EqualisedOdds(GROUPS),
    "odds of distributions": EqualisedOdds(GROUPS, compare="distributions", smoothing=0.1),
    "entropy": Entropy(),
    "certainty": Entropy("certain"),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_against_differences(name):
    value = jax.jit(lambda logits: SMOOTH[name](binary(logits), TABLE))
    start, step = jnp.asarray(LOGITS), 1e-5
    forwards = jax.jit(jax.jacfwd(value))(start)
    for i in (0, 7, 41):
        there = jnp.zeros(N).at[i].set(step)
        difference = (value(start + there) - value(start - there)) / (2 * step)
        assert forwards[i] == pytest.approx(float(difference), rel=2e-6, abs=2e-11)
    np.testing.assert_allclose(jax.jit(jax.grad(value))(start), forwards, rtol=1e-9, atol=1e-15)


# ----------------------------------------------------------------------------------------- fits


@pytest.mark.slow
def test_a_large_weight_leaves_no_disparity():
    term = DemographicParity(GROUPS)
    free = lhx.fit(lhx.NLL(), logistic(), TABLE)
    before = float(term.disparity(free.predictor, TABLE))
    assert before > 0.1
    found = []
    for weight in (1e2, 1e4, 1e6):
        fit = lhx.fit(lhx.NLL() + weight * N * term, logistic(), TABLE)
        assert fit.success
        assert isinstance(fit.method, lhx.LevenbergMarquardt)
        assert fit.breakdown["DemographicParity"] >= 0
        found.append(float(term.disparity(fit.predictor, TABLE)))
    assert before > found[0] > 10 * found[1] > 100 * found[2]
    assert found[2] < 1e-5
    # Not by giving up: what does not tell groups apart is still used.
    assert fit.nll < -np.sum(np.log(np.where(LABELS == 1, LABELS.mean(), 1 - LABELS.mean())))


@pytest.mark.slow
def test_methods_agree():
    objective = lhx.NLL() + 5.0 * N * DemographicParity(GROUPS)
    by_curvature = lhx.fit(objective, logistic(), TABLE)
    by_gradient = lhx.fit(objective, logistic(), TABLE, method=lhx.BFGS())
    assert by_curvature.success
    assert by_gradient.success
    np.testing.assert_allclose(by_curvature.nll, by_gradient.nll, rtol=1e-9)
    with pytest.raises(ValueError, match="no standard errors"):
        by_curvature.standard_errors()


@pytest.mark.slow
def test_odds_and_distributions_are_fitted_too():
    free = lhx.fit(lhx.NLL(), logistic(), TABLE)
    odds = EqualisedOdds(GROUPS)
    fit = lhx.fit(lhx.NLL() + 1e5 * N * odds, logistic(), TABLE)
    assert fit.success
    assert odds.disparity(fit.predictor, TABLE) < 0.01 * odds.disparity(free.predictor, TABLE)
    alike = DemographicParity(GROUPS, compare="distributions", smoothing=0.05)
    fit = lhx.fit(lhx.NLL() + 1e3 * N * alike, logistic(), TABLE)
    assert fit.success
    assert isinstance(fit.method, lhx.BFGS)
    assert alike(fit.predictor, TABLE) < 0.1 * alike(free.predictor, TABLE)


# --------------------------------------------------------------------------------------- solved


def decays(max_steps=4096):
    """Two substances that decay, as one model over time."""
    field = lambda t, y, rates: -rates * y
    ode = lhx.ODE(field, np.array([2.0, 1.0]), t0=0.0, max_steps=max_steps)
    return lhx.Predictor(ode, lk.Normal(scale=1.0))


TIMES = np.linspace(0.5, 4.0, 8)
MEASURED = lhx.Experiment(TIMES, np.ones((8, 2)), np.array([0.3, 0.9]))


def test_a_solved_model():
    groups = np.repeat([0, 1], 4)
    solution = np.array([2.0, 1.0]) * np.exp(-np.array([0.3, 0.9]) * TIMES[:, None])
    term = DemographicParity(groups)
    term.check(decays(), MEASURED)
    evaluation = term.evaluate(decays(), MEASURED)
    expected = sum(between(column, groups) for column in solution.T)
    assert evaluation.total == pytest.approx(expected, rel=1e-6)
    assert evaluation.result == lhx.RESULTS.successful
    assert evaluation.time_reached == 4.0
    assert evaluation.num_steps > 1


def test_what_is_out_of_range_is_infinite():
    rates = given_predictor(-X[:, 0], lk.Poisson(lhx.predicted("identity")))
    assert DemographicParity(GROUPS)(rates, table(np.zeros(N))) == np.inf


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_a_failed_solve_is_infinite(mode):
    groups = np.repeat([0, 1], 4)
    alike = DemographicParity(groups, compare="distributions", smoothing=0.1)

    def value(rates):
        data = lhx.Experiment(TIMES, np.ones((8, 2)), rates)
        evaluation = alike.evaluate(decays(max_steps=1).differentiated(mode), data)
        return evaluation.total, evaluation

    derivative = jax.grad if mode == "reverse" else jax.jacfwd
    slopes, evaluation = derivative(value, has_aux=True)(jnp.array([0.3, 0.9]))
    assert evaluation.total == np.inf
    assert evaluation.result != lhx.RESULTS.successful
    assert np.all(slopes == 0)


# --------------------------------------------------------------------------------------- errors


def test_groups_that_cannot_be():
    for kind in (DemographicParity, EqualisedOdds):
        for wrong in ([0.0, 1.0], [-1, 0], [], ["a", "b"]):
            with pytest.raises(ValueError, match="whole numbers from 0 up"):
                kind(wrong)
        with pytest.raises(ValueError, match=r"groups of shape \(2, 1\): one number a row"):
            kind([[0], [1]])
        with pytest.raises(ValueError, match="group 1 has no member among 3 rows"):
            kind([0, 2, 2])
        with pytest.raises(ValueError, match="all rows are in one group"):
            kind([0, 0, 0])
        with pytest.raises(ValueError, match="4 rows have a group, credit has 90 rows"):
            kind([0, 1, 1, 0]).check(binary(), TABLE)
    assert DemographicParity(GROUPS == 1).num_groups == 2


def test_kinds_that_cannot_be(as_a_user):
    for term in (DemographicParity(GROUPS), EqualisedOdds(GROUPS), Entropy()):
        with pytest.raises(ValueError, match="expected a Predictor"):
            term.check(Logit(lhx.real(np.zeros(3))), TABLE)
        with pytest.raises(ValueError, match="expected an Experiment or a Dataset, got ndarray"):
            term.check(binary(), X)
    with pytest.raises(ValueError, match="or \"distributions\", not 'moments'"):
        DemographicParity(GROUPS, compare="moments")
    with pytest.raises(ValueError, match="of is 'mean': it must be a function"):
        DemographicParity(GROUPS, of="mean")
    with pytest.raises(ValueError, match="smoothing -1"):
        EqualisedOdds(GROUPS, compare="distributions", smoothing=-1.0)
    with pytest.raises(ValueError, match="means need no smoothing"):
        EqualisedOdds(GROUPS, smoothing=1.0)
    with pytest.raises(ValueError, match="num_bins is 1"):
        EqualisedOdds(GROUPS, num_bins=1)
    with pytest.raises(ValueError, match="towards is"):
        Entropy("sure")
    with pytest.raises(ValueError, match="rows is"):
        Entropy(rows="some")


def test_classes_that_cannot_be():
    counts = table(np.arange(N) % 5 + 1.0)
    with pytest.raises(ValueError, match="outcomes of Normal are no labels: give num_bins"):
        EqualisedOdds(GROUPS).check(real(LOGITS), counts)
    with pytest.raises(ValueError, match="outcomes of Bernoulli are labels already"):
        EqualisedOdds(GROUPS, num_bins=2).check(binary(), TABLE)
    with pytest.raises(ValueError, match=r"classes are \(2,\): give some of 0 to 1"):
        EqualisedOdds(GROUPS, classes=(2,)).check(binary(), TABLE)
    with pytest.raises(ValueError, match=r"classes are \(\): give some of 0 to 1"):
        EqualisedOdds(GROUPS, classes=()).check(binary(), TABLE)
    labels = np.where(GROUPS == 2, 1.0, LABELS)
    with pytest.raises(ValueError, match=r"group 2 has no row .* \(value\) is in class 0: join"):
        EqualisedOdds(GROUPS).check(binary(), table(labels))
    EqualisedOdds(GROUPS, classes=(1,)).check(binary(), table(labels))
    labels = np.where((GROUPS == 1) & (LABELS == 0), np.nan, LABELS)
    with pytest.raises(ValueError, match="group 1 has no row"):
        EqualisedOdds(GROUPS).check(binary(), table(labels))
    with pytest.raises(ValueError, match="is in bin 0: join groups or bins"):
        EqualisedOdds(GROUPS, num_bins=3).check(real(LOGITS), table(np.ones(N)))
    soft = given_predictor(np.zeros((N, 2)), lk.Categorical(2, soft=True))
    with pytest.raises(ValueError, match="not bounds or probabilities"):
        EqualisedOdds(GROUPS).check(soft, table(np.full((N, 2), 0.5)))


def test_numbers_that_cannot_be_compared():
    zeros = table(np.zeros(N))
    wild = given_predictor(LOGITS, lk.StudentT(scale=1.0, dof=1.0))
    with pytest.raises(ValueError, match=r"not finite in row 0 at the start.*no mean"):
        DemographicParity(GROUPS).check(wild, zeros)
    DemographicParity(GROUPS, of=lambda d: d.loc).check(wild, zeros)
    truncated = given_predictor(LOGITS, lk.Truncated(lk.StudentT(1.0, 4.0), lower=-1.0))
    with pytest.raises(ValueError, match="Truncated predicts has no mean that is known"):
        DemographicParity(GROUPS).check(truncated, zeros)
    for wrong in (lambda d: jnp.mean(d.mean), lambda d: d.mean[:-1], lambda d: d.mean > 0):
        with pytest.raises(ValueError, match="what is to be compared is"):
            DemographicParity(GROUPS, of=wrong).check(binary(), TABLE)
    two = given_predictor(np.zeros((N, 2)), lk.Bernoulli())
    first = EqualisedOdds(GROUPS, of=lambda d: d.mean[:, 0])
    with pytest.raises(ValueError, match=r"shape \(90, 2\) or \(90, 2, ...\)"):
        first.check(two, table(np.column_stack([LABELS, LABELS])))


def test_names():
    objective = 2.0 * DemographicParity(GROUPS, name="race") + 0.1 * Entropy()
    parts = objective.breakdown(binary(), TABLE)
    assert list(parts) == ["race", "Entropy"]
    np.testing.assert_allclose(parts["race"], 2 * DemographicParity(GROUPS)(binary(), TABLE))
    assert not objective.is_density
