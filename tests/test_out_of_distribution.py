"""What is strange: scores by hand, their figures by scikit-learn, verdicts under no shift."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from scipy import special, stats
from sklearn import metrics

import likelihax as lhx
from likelihax import likelihoods as lk
from likelihax.diagnostics import out_of_distribution, strangeness, verdict
from likelihax.distributions import PredictiveCategorical, PredictiveStudentT

# ------------------------------------------------------------------------------------ scores


class Shifted(eqx.Module):
    """The input, moved by a number of its own."""

    by: jax.Array

    def __call__(self, x):
        return x + jnp.broadcast_to(self.by, x.shape)


def ensemble(likelihood, *shifts):
    members = [lhx.Predictor(Shifted(jnp.asarray(s)), likelihood) for s in shifts]
    return lhx.Ensemble(members)


def test_scores_of_evidence_for_a_mean():
    t = PredictiveStudentT(0.0, jnp.array([0.5, 8.0]), 3.0, 2.0)
    np.testing.assert_allclose(strangeness(t), [2.0, 0.125], rtol=1e-14)
    np.testing.assert_allclose(strangeness(t, "ignorance"), [2**0.5, 8**-0.5], rtol=1e-14)
    np.testing.assert_allclose(strangeness(t, "variance"), [3.0, 1.125], rtol=1e-13)
    scale = np.sqrt(2 / 3 * (1 + 1 / np.array([0.5, 8.0])))
    np.testing.assert_allclose(
        strangeness(t, "entropy"), stats.t(6.0, scale=scale).entropy(), rtol=1e-8
    )


def test_scores_of_evidence_for_classes():
    a = np.array([[1.0, 1.0], [90.0, 10.0]])
    d = PredictiveCategorical(a)
    np.testing.assert_allclose(strangeness(d, "vacuity"), [1.0, 0.02], rtol=1e-14)
    np.testing.assert_allclose(strangeness(d, "entropy"), stats.entropy(a, axis=1), rtol=1e-13)
    np.testing.assert_array_equal(strangeness(d), d.epistemic)


def test_scores_of_an_ensemble_of_numbers():
    found = ensemble(lk.Normal(0.3), -1.0, 0.0, 1.0)(jnp.zeros(4))
    np.testing.assert_allclose(strangeness(found), np.full(4, 2 / 3), rtol=1e-14)
    np.testing.assert_allclose(strangeness(found, "variance"), np.full(4, 2 / 3 + 0.09))


def test_scores_of_an_ensemble_of_labels():
    """The mutual information of label and member: entropy of the mean less the mean's entropy."""
    logits = jnp.array([[0.3, -1.0, 2.0], [0.0, 0.0, 0.0]])
    turns = (np.array([0.0, 0.0, 0.0]), np.array([3.0, 0.0, -3.0]))
    p = special.softmax(np.stack([np.asarray(logits) + t for t in turns]), axis=-1)
    found = ensemble(lk.Categorical(3), *turns)(logits)
    entropy = stats.entropy(p.mean(axis=0), axis=-1)
    np.testing.assert_allclose(strangeness(found, "entropy"), entropy, rtol=1e-13)
    expected = entropy - stats.entropy(p, axis=-1).mean(axis=0)
    np.testing.assert_allclose(strangeness(found), expected, rtol=1e-12)
    alike = ensemble(lk.Categorical(3), np.zeros(3), np.zeros(3))(logits)
    np.testing.assert_allclose(strangeness(alike), 0.0, atol=1e-15)
    # What each member does not know itself counts too.
    evidential = ensemble(lk.DirichletCategorical(3), np.zeros(3), np.zeros(3))(logits)
    one = PredictiveCategorical(1 + np.logaddexp(0, logits))
    np.testing.assert_allclose(strangeness(evidential), one.epistemic, rtol=1e-12)


def test_scores_of_plain_distributions():
    np.testing.assert_allclose(strangeness(dist.Normal(0.0, 2.0), "variance"), 4.0)
    np.testing.assert_allclose(
        strangeness(dist.StudentT(5.0, 0.0, 2.0), "variance"), stats.t(5.0, scale=2.0).var()
    )
    np.testing.assert_allclose(
        strangeness(dist.Normal(0.0, 2.0), "entropy"), stats.norm(0, 2).entropy(), rtol=1e-12
    )
    vector = dist.MultivariateNormal(jnp.zeros(2), jnp.array([[2.0, 0.3], [0.3, 1.0]]))
    np.testing.assert_allclose(strangeness(vector, "variance"), 3.0, rtol=1e-14)
    logits = jnp.array([[0.0, 1.0]])
    np.testing.assert_allclose(
        strangeness(dist.CategoricalLogits(logits), "entropy"),
        stats.entropy(special.softmax(logits, axis=-1), axis=-1),
        rtol=1e-13,
    )


@pytest.mark.parametrize(
    ("distribution", "kind", "says"),
    [
        (dist.Normal(0.0, 1.0), "epistemic", "Normal has no epistemic. An Ensemble knows it"),
        (dist.CategoricalProbs(np.ones(2) / 2), "variance", "Of labels take kind='entropy'"),
        (dist.Normal(0.0, 1.0), "vacuity", "The likelihood DirichletCategorical knows it"),
        (dist.Normal(0.0, 1.0), "ignorance", "The likelihood NormalInverseGamma knows it"),
    ],
)
def test_scores_that_are_not_known(distribution, kind, says):
    with pytest.raises(ValueError, match=says):
        strangeness(distribution, kind)


def test_scores_of_what_is_none(as_a_user):
    with pytest.raises(ValueError, match=r"kind is one of 'epistemic', .*, not 'oddity'"):
        strangeness(dist.Normal(0.0, 1.0), "oddity")
    with pytest.raises(ValueError, match=r"expected a distribution, .* not ndarray"):
        strangeness(np.zeros(3))


def test_scores_that_an_ensemble_does_not_know():
    numbers = ensemble(lk.Normal(0.3), -1.0, 1.0)(jnp.zeros(2))
    with pytest.raises(ValueError, match="PredictiveMixture of Normal has no entropy"):
        strangeness(numbers, "entropy")
    labels = ensemble(lk.Categorical(2), np.zeros(2), np.ones(2))(jnp.zeros((2, 2)))
    with pytest.raises(ValueError, match="PredictiveMixture of CategoricalLogits has no variance"):
        strangeness(labels, "variance")


# ------------------------------------------------------------------------- usual and strange


@pytest.mark.parametrize("digits", [None, 1, 0])
def test_figures_are_those_of_scikit_learn(digits):
    """Without ties, with some, and with next to nothing else."""
    rng = np.random.default_rng(5)
    usual, strange = rng.normal(size=230), rng.normal(1.0, 1.5, size=90)
    if digits is not None:
        usual, strange = usual.round(digits), strange.round(digits)
    found = out_of_distribution(usual, strange)
    labels = np.repeat([0, 1], [230, 90])
    scores = np.concatenate([usual, strange])
    np.testing.assert_allclose(found.auroc, metrics.roc_auc_score(labels, scores), rtol=1e-13)
    expected = metrics.average_precision_score(labels, scores)
    np.testing.assert_allclose(found.auprc, expected, rtol=1e-13)
    fpr, tpr, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    assert found.false_alarms == fpr[np.argmax(tpr >= 0.95)]
    # The largest share caught while at most 5 % of the usual are above the threshold.
    assert found.caught == tpr[np.flatnonzero(fpr <= 0.05)[-1]]
    assert np.mean(usual > found.threshold) <= 0.05
    assert np.mean(usual >= found.threshold) > 0.05


def test_told_apart_or_not_at_all():
    apart = out_of_distribution([1.0, 2.0], [3.0, np.inf])
    assert (apart.auroc, apart.auprc, apart.caught, apart.false_alarms) == (1, 1, 1, 0)
    blind = out_of_distribution(np.zeros(30), np.zeros(10))
    assert (blind.auroc, blind.auprc, blind.caught, blind.false_alarms) == (0.5, 0.25, 0, 1)
    assert blind.prevalence == 0.25
    wrong = out_of_distribution([3.0, 4.0], [1.0, 2.0])
    assert wrong.auroc == 0
    shaped = out_of_distribution(jnp.ones((2, 3)), jnp.ones((1, 4), jnp.float32))
    assert (shaped.num_usual, shaped.num_strange) == (6, 4)


def test_figures_as_a_table():
    found = out_of_distribution([1.0, 2.0, 3.0], [2.5, 9.0])
    assert repr(found).splitlines()[0] == "Strange or usual: 2 strange, 3 usual scores"
    assert "AUROC 0.833 0.500" in " ".join(repr(found).split())
    assert "<pre" in found._repr_html_()


@pytest.mark.parametrize(
    ("usual", "strange", "says"),
    [
        ([], [1.0], "out_of_distribution: usual is empty: give at least one score"),
        ([1.0], [2.0, np.nan], "out_of_distribution: strange: score 1 is NaN: .* 1 of 2"),
    ],
)
def test_scores_that_cannot_be_compared(usual, strange, says):
    with pytest.raises(ValueError, match=says):
        out_of_distribution(usual, strange)


# ---------------------------------------------------------------------------------- verdicts


def test_p_values_of_rows_by_hand():
    found = verdict([1.0, 2.0, 2.0, 5.0], [0.0, 2.0, 3.0, 6.0], level=0.5)
    np.testing.assert_allclose(found.p_values, [1.0, 0.8, 0.4, 0.2], rtol=1e-15)
    np.testing.assert_array_equal(
        found.flagged, stats.false_discovery_control(found.p_values) <= 0.5
    )
    np.testing.assert_allclose(found.chance, (0 + (1 + 2 * 0.5) + 3 + 4) / 16)


@pytest.mark.parametrize("seed", range(6))
def test_flags_are_those_of_benjamini_and_hochberg(seed):
    rng = np.random.default_rng(seed)
    usual = rng.normal(size=400).round(seed % 3)
    batch = np.concatenate([rng.normal(size=40), rng.normal(4.0, size=10)]).round(seed % 3)
    found = verdict(usual, batch, level=0.1)
    np.testing.assert_array_equal(
        found.flagged, stats.false_discovery_control(found.p_values) <= 0.1
    )
    assert found.num_flagged == found.flagged.sum()


def test_the_test_is_scipys():
    rng = np.random.default_rng(2)
    for usual, batch, method in (
        (rng.normal(size=12), rng.normal(0.4, size=7), "exact"),
        (rng.normal(size=500), rng.normal(0.1, size=90), "asymptotic"),
        (rng.normal(size=300).round(1), rng.normal(size=20).round(1), "asymptotic"),
    ):
        expected = stats.mannwhitneyu(batch, usual, alternative="greater", method=method)
        np.testing.assert_allclose(verdict(usual, batch).p_value, expected.pvalue, rtol=1e-12)


def test_nothing_is_claimed_without_a_shift():
    """P-values are uniform, and as many usual batches are called unlike as was allowed."""
    rng = np.random.default_rng(3)
    found = [verdict(rng.normal(size=99), rng.normal(size=30), level=0.1) for _ in range(1000)]
    p_values = np.array([each.p_value for each in found])
    assert stats.kstest(p_values, stats.uniform.cdf).pvalue > 0.01
    assert abs(np.mean([each.unlike for each in found]) - 0.1) < 4 * np.sqrt(0.09 / 1000)
    # One row of each, since the rows of a batch share their reference.
    rows = np.array([each.p_values[0] for each in found])
    counts = np.bincount((rows * 100).round().astype(int), minlength=101)[1:]
    assert stats.chisquare(counts).pvalue > 0.01
    wrongly = np.mean([each.num_flagged > 0 for each in found])
    assert wrongly < 0.1 + 4 * np.sqrt(0.09 / 1000)


def test_a_shift_is_found():
    rng = np.random.default_rng(4)
    small = [verdict(rng.normal(size=300), rng.normal(0.7, size=50)) for _ in range(200)]
    assert np.mean([each.unlike for each in small]) > 0.95
    assert np.mean([each.num_flagged for each in small]) < 1
    mixed = [
        verdict(
            rng.normal(size=1000),
            np.concatenate([rng.normal(size=45), rng.normal(8.0, size=5)]),
            level=0.05,
        )
        for _ in range(200)
    ]
    assert np.mean([each.flagged[45:].mean() for each in mixed]) > 0.95
    alarms = np.array([each.flagged[:45].sum() / max(1, each.num_flagged) for each in mixed])
    assert abs(alarms.mean() - 0.05 * 45 / 50) < 4 * alarms.std() / np.sqrt(200)


def test_a_verdict_in_words():
    rng = np.random.default_rng(0)
    usual = rng.normal(size=2000)
    like = verdict(usual, rng.normal(size=10))
    assert not like.unlike
    assert "Nothing shows that the batch is unlike the reference. That is no proof" in repr(like)
    everywhere = verdict(usual, rng.normal(1.0, 0.5, size=60))
    assert "unlike the reference, though no single row stands out" in everywhere.sentence
    few = verdict(usual, np.append(rng.normal(-0.5, size=10), 9.0))
    assert few.num_flagged == 1
    assert "as a whole is like the reference, but 1 of 11 rows are not" in few.sentence
    both = verdict(usual, rng.normal(8.0, size=10))
    assert "unlike the reference, 10 of 10 rows by themselves" in both.sentence
    assert max(map(len, repr(both).splitlines())) <= 96


def test_too_few_of_reference_to_tell_single_rows():
    found = verdict(np.arange(99.0), [200.0, 1.0, 2.0, 3.0], level=0.01)
    assert found.num_flagged == 0
    assert found.least_flagged == 4
    assert "fewer than 4 strange rows cannot be told from chance" in " ".join(repr(found).split())
    enough = verdict(np.arange(399.0), [500.0, 1.0, 2.0, 3.0], level=0.01)
    assert (enough.num_flagged, enough.least_flagged) == (1, 1)


def test_scores_at_the_edge():
    flat = verdict(np.ones(20), np.ones(5))
    assert (flat.p_value, flat.chance, flat.num_flagged) == (1, 0.5, 0)
    np.testing.assert_array_equal(flat.p_values, np.ones(5))
    infinite = verdict(np.append(np.zeros(99), np.inf), [np.inf, 0.0])
    np.testing.assert_allclose(infinite.p_values, [2 / 101, 1.0])


@pytest.mark.parametrize(
    ("usual", "batch", "level", "says"),
    [
        ([1.0], [1.0], 0.0, "level must be between 0 and 1, got 0"),
        ([], [1.0], 0.1, "verdict: usual is empty"),
        ([1.0], [np.nan], 0.1, "verdict: batch: score 0 is NaN"),
    ],
)
def test_verdicts_that_cannot_be_given(usual, batch, level, says):
    with pytest.raises(ValueError, match=says):
        verdict(usual, batch, level=level)
