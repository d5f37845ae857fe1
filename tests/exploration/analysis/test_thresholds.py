"""Thresholds of groups of answers: what they are in physical units, how certain, and what is reported of those that are none."""

import math

import msgspec
import numpy as np
import pytest
import scipy.optimize
import tiny_listeners

from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.analysis.groups import groups
from audiometamer.exploration.analysis.sensitivity import Decision
from audiometamer.exploration.analysis.thresholds import thresholds
from audiometamer.exploration.analysis.uncertainty import CHI2, dispersion, max_loss
from audiometamer.exploration.trials import AnsweredTrial
from audiometamer.psychophysics import AdaptiveTrial, Staircase

DECISION = Decision()
ONE = "relu0/1/-"


def answers(right, *, dimension=ONE, listener="1", of=20, changes=tiny_listeners.CHANGES):
    """So many right at each change, of two references in turn."""
    found = []
    for change, n in zip(changes, right, strict=True):
        for k in range(of):
            found.append(
                AnsweredTrial(
                    listener=listener, list=1, trial=len(found), kind="main", task="abx", dimension=dimension,
                    reference=f"clip{k % 2}", requested=change, made=change, reached=change * (1 + k % 2), leakage=0.0,
                    modulation=0.2 * change, snr_db=10 - 20 * math.log10(change), level_db=0.0, answer="1",
                    right="1" if k < n else "2", correct=k < n,
                )
            )  # fmt: skip
    return found


def test_physical_units_are_read_where_the_threshold_is():
    """Both references have the same SNR for the same request, one reaches twice as far: at a change x, SNRs are 6 dB apart."""
    (row,) = thresholds(answers((10, 11, 12, 14, 17, 19, 20, 20)), DECISION, resamples=0).rows
    assert (row.dimension, row.layer, row.component, row.sign) == (ONE, "relu0", 1, "-")
    assert (row.listener, row.listeners, row.references, row.trials, row.correct, row.flag) == ("", 1, 2, 160, 123, "")
    for change, snr, modulation in (
        (row.threshold, row.snr_db, row.modulation),
        (row.low, row.snr_at_low, row.modulation_at_low),
        (row.high, row.snr_at_high, row.modulation_at_high),
    ):
        assert snr == pytest.approx(10 - 20 * math.log10(change) + 10 * math.log10(2))
        assert modulation == pytest.approx(0.2 * change / 2**0.5)


def test_a_silent_difference_has_no_snr():
    same = [msgspec.structs.replace(each, snr_db=None, modulation=0.0) for each in answers((10, 11, 12, 14, 17, 19, 20, 20))]
    (row,) = thresholds(same, DECISION, resamples=0).rows
    assert (row.snr_db, row.modulation) == (None, None)


@pytest.mark.parametrize(
    ("right", "flag"),
    [((10, 11, 12, 14, 17, 19, 20, 20), ""), ((20,) * 8, "beyond"), ((16,) * 8, "no slope"), ((10,) * 7 + (13,), "beyond")],
)
def test_thresholds_that_are_no_measurement_are_flagged(right, flag):
    assert thresholds(answers(right), DECISION, resamples=0).rows[0].flag == flag


def test_all_listeners_come_before_each():
    trials = [
        *answers((10, 11, 12, 14, 17, 19, 20, 20), dimension="relu10/0/+"),
        *answers((10, 11, 13, 15, 18, 19, 20, 20), dimension="relu2/0/+", listener="b"),
        *answers((10, 11, 12, 14, 17, 19, 20, 20), dimension="relu2/0/+", listener="a"),
    ]
    rows = thresholds(trials, DECISION, resamples=0).rows
    assert [(row.dimension, row.listener, row.listeners) for row in rows] == [
        ("relu2/0/+", "", 2), ("relu2/0/+", "a", 1), ("relu2/0/+", "b", 1), ("relu10/0/+", "", 1),
    ]  # fmt: skip
    assert rows[1].threshold > rows[0].threshold > rows[2].threshold
    assert rows[0].high / rows[0].low < rows[1].high / rows[1].low


def test_the_procedure_tells_its_own():
    staircase = Staircase(start=2.7, min_level=0.1, max_level=27, steps=(1.6,), reversals=2, discard=0, spacing="log")
    trials = answers((1,) * 8, of=1)
    rows = thresholds(trials, DECISION, procedures={ONE: staircase}, resamples=0).rows
    assert rows[0].procedure is None  # no reversal: broken off
    one = [True, True, False, True, True]
    played = [msgspec.structs.replace(trials[0], trial=k, reached=1.0 + k, correct=right) for k, right in enumerate(one)]
    other = [msgspec.structs.replace(each, listener="2", reached=4 * each.reached) for each in played]
    rows = thresholds([*played, *other], DECISION, procedures={ONE: staircase}, resamples=0).rows
    expected = [
        staircase.threshold([AdaptiveTrial(factor * (1.0 + k), right) for k, right in enumerate(one)]).level for factor in (1, 4)
    ]
    assert [row.procedure for row in rows] == pytest.approx([math.sqrt(expected[0] * expected[1]), *expected])


def test_what_the_procedure_tells_is_of_sounds_that_went_its_way():
    """Down after one right answer, up after a wrong one, by a factor of 2 from 1.6: reversals at 0.4, 0.8, 0.4, 0.8, …"""
    staircase = Staircase(start=1.6, min_level=0.1, max_level=6.4, steps=(2,), down=1, reversals=6, discard=0, spacing="log")
    reached, right = (1.6, 0.8, 0.4, 0.8, 0.4, 0.8, 0.4, 0.8), (True, True, False, True, False, True, False, True)
    of = answers((1,) * 8, of=1)[0]
    straight = [
        msgspec.structs.replace(of, trial=k, reached=x, correct=y) for k, (x, y) in enumerate(zip(reached, right, strict=True))
    ]

    def reported(trials):
        return thresholds(trials, DECISION, procedures={ONE: staircase}, resamples=0).rows[0].procedure

    assert reported(straight) == pytest.approx((0.4 * 0.8) ** 0.5)
    for trial, gone in ((4, -0.1), (6, 0.1)):  # one valley goes the other way, another lower than was wished
        straight[trial] = msgspec.structs.replace(straight[trial], reached=gone)
    assert reported(straight) == pytest.approx(((0.4 * 0.1) ** 0.5 * 0.8) ** 0.5)


def test_who_ran_into_the_end_of_a_range_is_counted():
    staircase = Staircase(start=2.7, min_level=0.1, max_level=2.7, steps=(3,), down=1, reversals=4, discard=0, spacing="log")
    of = answers((1,) * 8, of=1)[0]
    right = {"deaf": (False, True, False, True, False), "keen": (True, True, False, True, False, True)}
    trials = [
        msgspec.structs.replace(of, listener=name, trial=k, reached=1.0 + k, correct=correct)
        for name, own in right.items()
        for k, correct in enumerate(own)
    ]
    rows = thresholds(trials, DECISION, procedures={ONE: staircase}, resamples=0).rows
    assert [(row.listener, row.at_bound) for row in rows] == [("", 1), ("deaf", 1), ("keen", 0)]
    assert rows[0].procedure == pytest.approx((rows[1].procedure * rows[2].procedure) ** 0.5)
    assert thresholds(trials, DECISION, resamples=0).rows[0].at_bound is None


def test_dispersion_is_the_deviance_of_a_common_threshold():
    better, worse = (13, 14, 16, 17, 19, 20, 20, 20), (10, 10, 11, 11, 13, 15, 18, 19)
    trials = [*answers(better, listener="1"), *answers(worse, listener="2")]
    everyone = next(iter(groups(trials, DECISION)))
    exponent, common = float(everyone.fits.exponent[0]), everyone.threshold
    expected = 0.0
    for right in (better, worse):
        x = np.array(tiny_listeners.CHANGES)
        # answers() gives the right ones to trials in turn, so that the two references have half each, or one more
        cells = [(c * f, -(-n // 2) if f == 1 else n // 2) for c, n in zip(x, right, strict=True) for f in (1, 2)]
        change, n = (np.array(column, float) for column in zip(*cells, strict=True))

        def loss(threshold, change=change, n=n):
            p = DECISION.proportion(DECISION.d_prime * (change / math.exp(threshold)) ** exponent)
            return -float((n * np.log(p) + (10 - n) * np.log1p(-p)).sum())

        best = scipy.optimize.minimize_scalar(loss, bounds=(-4, 3), method="bounded")
        expected += 2 * (loss(math.log(common)) - best.fun)
    assert dispersion([everyone]) == pytest.approx(expected, rel=0.02)
    assert dispersion([everyone]) > 5
    alike = [*answers(better, listener="1"), *answers(better, listener="2")]
    assert dispersion([next(iter(groups(alike, DECISION)))]) == 1.0


def test_what_may_be_lost_is_found_by_playing_again():
    """At fixed levels with many trials it is that of χ²; a short staircase needs more, and both follow from the generator."""
    many = [next(iter(groups(answers((550, 600, 660, 750, 870, 950, 980, 985), of=1000), DECISION)))]
    assert max_loss(many, {}, resamples=0, rng=np.random.default_rng(0)) == CHI2
    assert max_loss(many, {}, resamples=150, rng=np.random.default_rng(0)) == pytest.approx(CHI2, rel=0.3)
    short = Staircase(
        start=2.7, min_level=0.1, max_level=2.7, steps=(1.6,), down=3, first_down=1, reversals=5, discard=1, spacing="log"
    )
    lost = [max_loss(many, {ONE: short}, resamples=60, rng=np.random.default_rng(1)) for _ in range(2)]
    assert lost[0] == lost[1] > CHI2


def test_sounds_that_went_the_other_way_are_left_out():
    trials = answers((10, 11, 12, 14, 17, 19, 20, 20))
    backwards = [
        msgspec.structs.replace(each, reached=-each.reached, answer="1", right="1", correct=True) for each in trials[:30]
    ]
    (expected,) = thresholds(trials, DECISION, resamples=0).rows
    (row,) = thresholds([*trials, *backwards], DECISION, resamples=0).rows
    assert (row.trials, row.backwards, row.threshold, row.snr_db) == (190, 30, expected.threshold, expected.snr_db)
    with pytest.raises(AudioMetamerError, match="none of the stimuli of 30 trials had moved to its dimension's side"):
        thresholds(backwards, DECISION)


def test_a_dimension_whose_sounds_all_went_the_other_way_is_reported():
    trials = answers((10, 11, 12, 14, 17, 19, 20, 20))
    lost = [msgspec.structs.replace(each, dimension="relu4/0/-", reached=-each.reached) for each in trials]
    first, second = thresholds([*trials, *lost], DECISION, resamples=20).rows
    assert first == thresholds(trials, DECISION, resamples=20).rows[0]
    assert (second.dimension, second.flag, second.trials, second.backwards) == ("relu4/0/-", "backwards", 160, 160)
    assert (second.threshold, second.low, second.high, second.exponent, second.snr_db) == (None,) * 5


def test_no_trials():
    with pytest.raises(AudioMetamerError, match="no trials of the main part to analyse"):
        thresholds([], DECISION)
