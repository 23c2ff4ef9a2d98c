"""Each rule of what is said of learning curves, and their picture, on curves that are made up."""

import numpy as np
import pytest

import likelihax as lhx
from likelihax.fits import LearningCurves

STEPS = np.arange(400)
FALLING = 1.0 + 2.0 * np.exp(-STEPS / 30)
TURNING = FALLING + 0.4 * np.maximum(STEPS - 200, 0) / 200
UP, DONE = lhx.RESULTS.steps_used_up, lhx.RESULTS.successful


def synthetic(train=FALLING, validation=None, mse=None, terms=None, count=100, **rest):
    """Curves of a summed NLL of 100 values."""
    terms = {} if terms is None else terms
    parts = {"NLL": count * train} | {
        name: np.broadcast_to(t, train.shape) for name, t in terms.items()
    }
    return LearningCurves(
        objective=sum(parts.values()),
        parts=parts,
        train_nll=train,
        validation_nll=validation,
        validation_mse=mse,
        terms=tuple(terms),
        num_observed=count,
        **rest,
    )


def test_nothing_is_wrong_where_nothing_is():
    diagnosis = lhx.diagnose(synthetic(validation=FALLING + 0.1, mse=FALLING))
    assert len(diagnosis) == 0
    assert not diagnosis
    assert str(diagnosis) == "Learning curves of 400 steps: nothing is wrong."
    without = lhx.diagnose(synthetic())
    assert not without
    assert "Not looked at: overfitting and overconfidence, for which fit(..., valid" in str(without)


@pytest.mark.parametrize("steps", [20, 100, 1000])
@pytest.mark.parametrize("memory", [0.0, 0.5])
def test_noise_is_no_finding(steps, memory):
    generator = np.random.default_rng(steps)
    settled = np.exp(-16 * np.arange(steps) / steps)

    def noisy(level, size):
        shocks = size * generator.standard_normal(steps)
        for i in range(1, steps):
            shocks[i] += memory * shocks[i - 1]
        return level + settled + shocks

    wrong = 0
    for size in [1e-3, 0.03, 0.3] * 40:
        train, validation, mse = (noisy(level, size) for level in (0.5, 0.8, 0.1))
        curves = synthetic(train, validation, np.exp(mse), {"L2": 3.0}, result=UP)
        wrong += bool(lhx.diagnose(curves))
    assert wrong <= 2  # of 120


@pytest.mark.parametrize("where", [STEPS % 57 == 56, STEPS >= 398], ids=["spikes", "rejected"])
def test_what_stands_out_for_a_moment_is_no_finding(where):
    high = np.where(where, 30.0, 0.0)
    assert not lhx.diagnose(synthetic(FALLING + high, FALLING + 0.2 + high, result=UP))


def test_overconfidence():
    falling = lhx.diagnose(synthetic(validation=TURNING, mse=FALLING * np.exp(-STEPS / 400)))
    assert falling.kinds == ("overconfident", "overfitting")
    best = int(np.argmin(TURNING))
    assert falling[0].step == best
    assert "The validation MSE fell from 0.579 to 0.369" in falling[0].sentence
    assert "rose by 0.36 nats a value or more" in falling[0].sentence
    flat = lhx.diagnose(synthetic(validation=TURNING, mse=np.full(400, 0.7)))
    assert flat.kinds == ("overconfident", "overfitting")
    assert "stayed near 0.7," in flat[0].sentence


@pytest.mark.parametrize(("factor", "expected"), [(1.04, 2), (1.06, 1)])
def test_a_worse_mean_is_no_overconfidence(factor, expected):
    mse = np.where(STEPS > 300, factor, 1.0)
    assert len(lhx.diagnose(synthetic(validation=TURNING, mse=mse))) == expected


def test_overfitting_and_how_much_is_noticeable():
    found = lhx.diagnose(synthetic(validation=TURNING))
    assert found.kinds == ("overfitting",)
    assert found[0].step == int(np.argmin(TURNING))
    assert (
        "lowest there, 1 nats a value, and at the end 1.36 or more, while the training"
        in found[0].sentence
    )
    slight = FALLING + 0.09 * np.maximum(STEPS - 200, 0) / 200
    assert lhx.diagnose(synthetic(validation=slight)).kinds == ("overfitting",)
    assert not lhx.diagnose(synthetic(validation=slight), noticeable=0.1)
    assert not lhx.diagnose(synthetic(validation=FALLING + 0.04 * STEPS / 400))


def test_a_turn_of_both_is_not_called_overfitting():
    found = lhx.diagnose(synthetic(TURNING, TURNING + 0.1, result=DONE))
    assert found.kinds == ("turned",)


def test_a_validation_that_ends_infinite():
    found = lhx.diagnose(synthetic(validation=np.where(STEPS > 300, np.inf, FALLING), mse=FALLING))
    assert found.kinds == ("turned",)
    assert found[0].step == 300
    assert "infinite at the end" in found[0].sentence
    never = lhx.diagnose(synthetic(validation=np.full(400, np.inf)))
    assert not never
    assert "infinite at every step" in never.unseen[0]


def test_divergence_is_that_of_the_objective():
    assert lhx.diagnose(synthetic(TURNING, result=UP)).kinds == ("diverging",)
    assert lhx.diagnose(synthetic(TURNING, result=lhx.RESULTS.frozen)).kinds == ("diverging",)
    assert not lhx.diagnose(synthetic(TURNING, result=DONE))
    # In the objective's own unit: a mean of the same NLLs.
    mean = LearningCurves(TURNING, {"NLL": TURNING}, TURNING, num_observed=100, result=UP)
    (found,) = lhx.diagnose(mean)
    assert "at the end 0.36 nats a value or more higher" in found.sentence
    scheduled = synthetic(TURNING, result=UP, is_scheduled=True)
    assert not lhx.diagnose(scheduled)


def test_a_term_that_dominates():
    # The NLL fell by 200, and is 100 at the end.
    assert lhx.diagnose(synthetic(terms={"L2": 1900.0})).kinds == ("dominated",)
    assert not lhx.diagnose(synthetic(terms={"L2": 1700.0}))
    growing = lhx.diagnose(synthetic(terms={"L2": np.where(STEPS < 123, 0.0, 4000.0)}))
    assert growing.kinds == ("dominated",)
    assert growing[0].step == 123
    assert "L2 makes up 95 % of the objective at the end (4e+03 of 4.2e+03)" in growing[0].sentence
    # Where the units put the NLL near zero, its fall counts.
    assert not lhx.diagnose(synthetic(FALLING - 1.0, terms={"L2": 50.0}))
    # Of two, the one that does.
    both = lhx.diagnose(synthetic(terms={"L2": 5000.0, "prior": 10.0}))
    assert [each.sentence.split()[0] for each in both] == ["L2"]


def test_an_nll_given_up_for_a_term():
    rising = 1.0 + 0.5 * (1 - np.exp(-STEPS / 30))
    found = lhx.diagnose(synthetic(rising, terms={"L2": 300 * np.exp(-STEPS / 30), "prior": 1.0}))
    assert found.kinds == ("dominated",)
    assert "began at 1 nats a value and ended at 1.5, while L2 fell by 300" in found[0].sentence
    assert not lhx.diagnose(synthetic(rising, terms={"L2": 20 * np.exp(-STEPS / 30)}))


def test_a_term_that_hardly_counts():
    found = lhx.diagnose(synthetic(terms={"L2": 0.004}))
    assert found.kinds == ("negligible",)
    assert "never was more than 0.004 nats" in found[0].sentence
    assert not lhx.diagnose(synthetic(terms={"L2": 0.006}))
    assert not lhx.diagnose(synthetic(terms={"constraint": 0.0}))  # never violated
    # Against a mean of 100 values it is a hundred times as much.
    mean = {"NLL": FALLING, "L2": np.full(400, 0.004)}
    curves = LearningCurves(sum(mean.values()), mean, FALLING, terms=("L2",), num_observed=100)
    assert not lhx.diagnose(curves)


def test_a_fit_that_was_still_falling():
    slow = 2.0 - 0.1 * STEPS / 400  # by one nat of a hundred values over the last tenth
    found = lhx.diagnose(synthetic(slow, result=UP))
    assert found.kinds == ("not_converged",)
    assert found[0].step == 360
    assert "by 0.01 nats a value, 1 in all, over the last 40." in found[0].sentence
    assert not lhx.diagnose(synthetic(slow, result=DONE))
    assert not lhx.diagnose(synthetic(2.0 - 0.04 * STEPS / 400, result=UP))
    # More steps would only overfit more.
    overfit = lhx.diagnose(synthetic(slow, validation=TURNING, result=UP))
    assert overfit.kinds == ("overfitting",)


def test_too_few_steps_say_nothing():
    found = lhx.diagnose(synthetic(np.array([3.0, 2.0, 1.0, 0.5, 0.2]), result=UP))
    assert not found
    assert "fewer than 6 points" in found.unseen[0]


def test_what_is_noticeable_must_be_positive():
    with pytest.raises(ValueError, match="noticeable must be positive"):
        lhx.diagnose(synthetic(), noticeable=0.0)


# --- the picture --------------------------------------------------------------------------------


def test_the_picture_shows_the_curves():
    validation = np.where(STEPS == 5, np.inf, TURNING)
    figure = lhx.plot.learning_curves(synthetic(validation=validation, mse=2 * FALLING))
    upper, lower = figure.axes
    fitted, other, mark = upper.get_lines()
    np.testing.assert_array_equal(fitted.get_ydata(), FALLING)
    np.testing.assert_array_equal(other.get_ydata(), np.where(STEPS == 5, np.nan, TURNING))
    assert mark.get_xdata()[0] == np.argmin(TURNING)
    assert len(lower.get_lines()) == 2
    low, high = upper.get_ylim()
    assert low < 1.0
    assert TURNING[-1] < high < 2.6  # without what the first steps had beyond the rest
    assert [axis.get_ylabel() for axis in figure.axes] == [
        "NLL [nats a value]",
        "mean squared error",
    ]
    assert len(lhx.plot.learning_curves(synthetic()).axes) == 1
