"""Layers compared at threshold: against scipy's t tests, in logarithms where ratios are meant."""

import math

import msgspec
import numpy as np
import pytest
import scipy.stats

from audiometamer.exploration.analysis.layers import layer_differences, layer_means
from audiometamer.exploration.analysis.thresholds import Threshold


def row(layer, component, sign, threshold, *, listener="", flag=""):
    return Threshold(
        dimension=f"{layer}/{component}/{sign}", layer=layer, component=component, sign=sign, listener=listener, listeners=1,
        references=1, trials=10, correct=8, backwards=0, threshold=threshold, low=threshold / 2, high=2 * threshold, exponent=1.0,
        snr_db=10 - 20 * math.log10(threshold), snr_at_low=None, snr_at_high=None, modulation=threshold**2,
        modulation_at_low=None, modulation_at_high=None, procedure=None, at_bound=None, flag=flag,
    )  # fmt: skip


FIRST, SECOND = (0.2, 0.3, 0.5, 0.6), (0.4, 0.9, 1.1)
ROWS = [
    *(row("relu0", k // 2, "+-"[k % 2], threshold) for k, threshold in enumerate(FIRST)),
    *(row("relu2", k // 2, "+-"[k % 2], threshold) for k, threshold in enumerate(SECOND)),
    row("relu2", 7, "-", 100.0, flag="beyond"),
    row("relu2", 0, "+", 55.0, listener="1"),
]


def test_means_and_their_intervals():
    means = {(each.layer, each.sign, each.unit): each for each in layer_means(ROWS)}
    for layer, values, left_out in (("relu0", FIRST, 0), ("relu2", SECOND, 1)):
        logs = np.log(values)
        low, high = scipy.stats.t.interval(0.95, len(logs) - 1, logs.mean(), scipy.stats.sem(logs))
        reported = means[layer, "", "threshold"]
        assert (reported.value, reported.low, reported.high) == pytest.approx(tuple(np.exp([logs.mean(), low, high])))
        assert (reported.dimensions, reported.left_out) == (len(values), left_out)
        assert means[layer, "", "modulation"].high == pytest.approx(reported.high**2)
        assert means[layer, "", "snr_db"].low == pytest.approx(10 - 20 * math.log10(reported.high))
    assert means["relu0", "+", "threshold"].value == pytest.approx((0.2 * 0.5) ** 0.5)
    one = means["relu2", "-", "snr_db"]
    assert (one.value, one.low, one.high, one.dimensions) == (pytest.approx(10 - 20 * math.log10(0.9)), None, None, 1)


def test_differences_are_welchs():
    differences = {each.unit: each for each in layer_differences(ROWS)}
    test = scipy.stats.ttest_ind(np.log(FIRST), np.log(SECOND), equal_var=False)
    reported, around = differences["threshold"], test.confidence_interval()
    assert (reported.first, reported.second) == ("relu0", "relu2")
    assert reported.value == pytest.approx(np.exp(np.mean(np.log(FIRST)) - np.mean(np.log(SECOND))))
    assert (reported.low, reported.high, reported.p) == pytest.approx((np.exp(around.low), np.exp(around.high), test.pvalue))
    assert differences["snr_db"].p == pytest.approx(test.pvalue)
    assert differences["snr_db"].value == pytest.approx(-20 * math.log10(reported.value))


def test_values_that_are_not_there():
    without = [msgspec.structs.replace(each, snr_db=None) for each in ROWS]
    means = {(each.layer, each.sign, each.unit): each for each in layer_means(without)}
    assert means["relu0", "", "snr_db"].value is None
    assert (means["relu0", "", "snr_db"].dimensions, means["relu0", "", "snr_db"].left_out) == (0, 4)
    assert next(each for each in layer_differences(without) if each.unit == "snr_db").p is None
