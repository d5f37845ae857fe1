"""QUEST+ and Psi against published runs, the entropies written out, and the calibration that every posterior has."""

import itertools
import math

import numpy as np
import pytest

from audiometamer.errors import AudioMetamerError
from audiometamer.psychophysics import AdaptiveTrial, QuestPlus, psi, spaced_levels
from audiometamer.psychophysics.psychometric import PsychometricFunction

SHAPES = "there are logistic, gaussian, weibull, and weibull takes 'log'"
SMALL = {"levels": (1.0, 2, 3, 4), "thresholds": (1.0, 2, 3), "slopes": (1.0, 2.0), "guess": 0.5}
DECIBELS = 10 ** (np.arange(-40.0, 1) / 20)
WATSON = {"levels": DECIBELS, "thresholds": DECIBELS, "guess": 0.5, "shape": "weibull", "spacing": "log", "trials": 128}


def run(procedure, answers):
    """The levels in dB, and the trials."""
    trials, levels = [], []
    for answer in answers:
        level = procedure.next(trials)
        levels.append(round(20 * math.log10(level)))
        trials.append(AdaptiveTrial(level, answer == "R"))
    return levels, trials


def test_watson_2017_example_1():
    """The run printed there, as far as its 32 trials, and the mean of its posterior; the threshold parameter is at 1 - 1/e."""
    procedure = QuestPlus(**WATSON, slopes=[3.5], target=0.5 + 0.48 * (1 - math.exp(-1)))
    levels, trials = run(procedure, "RRRRWWRRRRRRRRWRRWRRWRRRRRRRRRRR")
    assert levels == [
        -18, -22, -25, -28, -30, -22, -13, -15, -16, -18, -19, -20, -21, -22, -23, -19,
        -20, -20, -18, -18, -19, -17, -17, -18, -18, -18, -19, -19, -19, -19, -19, -19,
    ]  # fmt: skip
    assert 20 * math.log10(procedure.threshold(trials).level) == pytest.approx(-20.39360311638961)


def test_watson_2017_example_2():
    """Threshold, slope and lapse together: the first 40 trials of the run that is printed there."""
    procedure = QuestPlus(**WATSON, slopes=[2, 3, 4, 5], lapses=[0, 0.01, 0.02, 0.03, 0.04])
    levels, _ = run(procedure, "RRRRWWRRRRRRRRWRWRRRRRRRWRRRRRRRRWRRRRRR")
    assert levels == [
        -18, -22, -25, -28, -30, -21, -12, -14, -15, -16, -18, -19, -20, -22, -23, -18, -19, -16, -17, -17,
        -18, -18, -18, -19, -19, -17, -17, -18, -18, -18, -18, -19, -19, -20, -18, -18, -18, -18, -18, -19,
    ]  # fmt: skip


def test_psi_is_watson_s_run_of_threshold_and_slope():
    levels, trials = run(psi(**WATSON, slopes=[2, 3, 4, 5]), "RWRRRRRRRRRRRWRRWRRRWRRRR")
    assert levels == [
        -18, -22, -12, -13, -15, -16, -17, -18, -19, -21, -24, -25, -26, -27, -21, -22, -23, -20, -20, -20, -21,
        -19, -19, -20, -20,
    ]  # fmt: skip
    assert psi(**WATSON, slopes=[2], lapse=0.01) == QuestPlus(**WATSON, slopes=[2], lapses=[0.01])
    assert len(trials) == 25


def expected_entropy(procedure, trials, level):
    """All listeners one by one, each posterior after each answer to come, as the method is defined."""
    cells = list(itertools.product(procedure.thresholds, procedure.slopes, procedure.lapses))
    listeners = [PsychometricFunction("logistic", m, b, procedure.guess, lapse, 0.0) for m, b, lapse in cells]

    def likelihoods(trials):
        return np.array([math.prod(p if c else 1 - p for p, c in ((float(f(x)), c) for x, c in trials)) for f in listeners])

    now = likelihoods(trials) / likelihoods(trials).sum()
    total = 0.0
    for correct in (True, False):
        answer = likelihoods([AdaptiveTrial(level, correct)])
        after = now * answer / (now @ answer)
        total -= (now @ answer) * float(after @ np.log(after))
    return total


@pytest.mark.parametrize("answers", [(), (1,), (1, 1, 0), (0, 1, 1, 0, 1)])
def test_the_next_level_is_that_of_the_least_expected_entropy(answers):
    procedure = QuestPlus(**SMALL, lapses=(0.0, 0.05))
    trials = [AdaptiveTrial(1.3 + 0.7 * k, bool(answer)) for k, answer in enumerate(answers)]
    entropies = [expected_entropy(procedure, trials, level) for level in procedure.levels]
    assert procedure.next(trials) == procedure.levels[int(np.argmin(entropies))]


def test_the_posterior_by_hand():
    """Two thresholds, a right answer at 1 and a wrong one at 2, chance 0: likelihoods ½ · (1 - F(1)) and F(-1) · ½ are equal."""
    procedure = QuestPlus(levels=(1, 2), thresholds=(1, 2), slopes=(1,), lapses=(0,), guess=0.0)
    one = 1 / (1 + math.exp(-1))
    assert procedure.posterior([AdaptiveTrial(1.0, True)]) == pytest.approx(np.array([0.5, 1 - one]) / (1.5 - one))
    assert procedure.posterior([AdaptiveTrial(1.0, True), AdaptiveTrial(2.0, False)]) == pytest.approx([0.5, 0.5])


def test_the_target_is_heeded():
    """A published fit gave the 75 % point whatever was asked: 1 listener, F at the target = (p - ½) / (½ - λ), solved by hand."""
    settings = {**SMALL, "thresholds": (2.0,), "slopes": (2.0,), "lapses": (0.02,)}
    for target in (math.sqrt(0.5), 0.75, 0.794):
        f = (target - 0.5) / 0.48
        found = QuestPlus(**settings, target=target).threshold([AdaptiveTrial(2.0, True)])
        assert found.level == pytest.approx(2 + math.log(f / (1 - f)) / 2)
        for shape in ("logistic", "gaussian"):
            level = QuestPlus(**settings, target=target, shape=shape).threshold([]).level
            assert float(PsychometricFunction(shape, 2.0, 2.0, 0.5, 0.02, 0.0)(level)) == pytest.approx(target)
    level = QuestPlus(**{**settings, "shape": "weibull", "spacing": "log"}, target=0.75).threshold([]).level
    assert float(PsychometricFunction("weibull", 2.0, 2.0, 0.5, 0.02, 0.0)(level)) == pytest.approx(0.75)


def test_the_estimate_is_of_the_reached_levels():
    """Levels come out higher than requested, by 2 and some scatter; the listener's threshold is found where it is."""
    procedure = psi(
        levels=spaced_levels(0, 40, 41), thresholds=spaced_levels(0, 40, 41), slopes=(0.5, 1.0, 2.0), guess=0.5, trials=150
    )
    listener, rng, trials = PsychometricFunction("logistic", 20.0, 1.0, 0.5, 0.02, 0.0), np.random.default_rng(0), []
    while (level := procedure.next(trials)) is not None:
        reached = level + 2 + rng.standard_normal()
        trials.append(AdaptiveTrial(reached, bool(rng.random() < listener(reached))))
    estimate = procedure.threshold(trials)
    assert estimate.low < listener.level(0.5 ** (1 / 3)) < estimate.high
    assert estimate.high - estimate.low < 4
    assert len(trials) == 150


def test_listeners_beyond_the_range_are_reported():
    procedure = psi(levels=spaced_levels(0, 10, 11), thresholds=spaced_levels(0, 10, 11), slopes=(2.0,), guess=0.5, trials=30)
    for answer in (True, False):
        trials = []
        while (level := procedure.next(trials)) is not None:
            trials.append(AdaptiveTrial(level, answer))
        assert procedure.threshold(trials).at_bound
        assert abs(trials[9].level - (0 if answer else 10)) <= 1
    assert trials[-1].level == 10  # nothing is left to be told by any level: the easiest
    assert not procedure.threshold([AdaptiveTrial(8.0, True)] * 6 + [AdaptiveTrial(3.0, False)] * 3).at_bound


def test_no_answer_is_impossible():
    """Without lapses, and wrong far above every threshold: probabilities are rounded to 1, the posterior is still one."""
    procedure = QuestPlus(**SMALL, lapses=(0.0,))
    weights = procedure.posterior([AdaptiveTrial(1e3, False), AdaptiveTrial(2.0, True)])
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0).all()


def test_it_is_as_sure_as_it_may_be():
    """Of listeners drawn from the prior itself, any posterior's mean has no bias, and its 95 % interval holds 95 %."""
    levels = spaced_levels(0, 10, 41)
    procedure = QuestPlus(levels=levels, thresholds=levels, slopes=(1, 2), lapses=(0.0, 0.05), guess=1 / 3, target=0.6)
    rng, n = np.random.default_rng(5), 400
    truth, found = np.empty(n), np.empty((n, 3))
    for k in range(n):
        cell = rng.integers(procedure.targets.size)
        truth[k] = procedure.targets[cell]
        at = rng.choice(levels, 25)
        trials = [
            AdaptiveTrial(float(x), bool(c)) for x, c in zip(at, rng.random(25) < procedure.correct(at)[:, cell], strict=True)
        ]
        found[k] = procedure.threshold(trials)[:3]
    errors = found[:, 0] - truth
    assert abs(errors.mean()) < 3 * errors.std() / math.sqrt(n)
    coverage = np.mean((found[:, 1] <= truth) & (truth <= found[:, 2]))
    assert abs(coverage - 0.95) < 3 * math.sqrt(0.95 * 0.05 / n)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": ()}, "levels (); there must be one or more, and they must rise"),
        ({"thresholds": (2, 1)}, "thresholds (2.0, 1.0); there must be one or more, and they must rise"),
        ({"levels": (0, 1), "spacing": "log"}, "a level of 0; levels must be positive and finite where the spacing is 'log'"),
        ({"shape": "weibull"}, f"shape 'weibull' with 'linear' spacing; {SHAPES}"),
        ({"shape": "step"}, f"shape 'step' with 'linear' spacing; {SHAPES}"),
        ({"slopes": (-1.0, 1.0)}, "a slope of -1; slopes must be positive"),
        ({"lapses": (0.0, 0.5)}, "guess 0.5 and lapses up to 0.5; neither is negative, and together they are below 1"),
        ({"target": 0.5}, "a target of 0.5; it must be between guess, 0.5, and 1 − lapse, 0.98"),
        ({"target": 0.99}, "a target of 0.99; it must be between guess, 0.5, and 1 − lapse, 0.98"),
        ({"trials": 0}, "0 trials; there must be one or more"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit(changes, message):
    with pytest.raises(AudioMetamerError) as error:
        QuestPlus(**{**SMALL, **changes})
    assert str(error.value) == message


def test_trials_that_do_not_fit():
    with pytest.raises(AudioMetamerError, match="3 trials of a procedure that ended after 2"):
        QuestPlus(**SMALL, trials=2).next([AdaptiveTrial(1.0, True)] * 3)
    with pytest.raises(AudioMetamerError, match="a level of -1; levels must be positive"):
        QuestPlus(**SMALL, spacing="log").next([AdaptiveTrial(-1.0, True)])
    assert QuestPlus(**SMALL, trials=2).next([AdaptiveTrial(1.0, True)] * 2) is None


def test_a_grid_has_its_ends_exactly():
    assert spaced_levels(0.1, 10, 3, spacing="log") == pytest.approx((0.1, 1, 10))
    assert spaced_levels(0.1, 7.7, 40, spacing="log")[::39] == (0.1, 7.7)
    assert spaced_levels(1, 3, 5) == (1, 1.5, 2, 2.5, 3)
    with pytest.raises(AudioMetamerError, match="1 levels from 0 to 1; there must be two or more, and they must rise"):
        spaced_levels(0, 1, 1)


def test_what_is_done_is_the_share_of_the_trials():
    levels = spaced_levels(1, 10, 5)
    procedure = psi(levels=levels, thresholds=levels, slopes=(1.0,), guess=0.5, trials=4)
    assert [procedure.progress([AdaptiveTrial(1, True)] * n) for n in range(5)] == [0, 0.25, 0.5, 0.75, 1]
