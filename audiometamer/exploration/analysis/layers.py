"""Layers compared at threshold, by measures that they share: changes, SNR of cochleagrams, modulation spectra."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import scipy.stats

from audiometamer.exploration.analysis.thresholds import Threshold
from audiometamer.statistics.contrasts import LEAST_P


class ThresholdMeasure(NamedTuple):
    """A measure of the largest unnoticed change."""

    name: str
    value: Callable[[Threshold], float | None]
    ratio: bool  # whether it is averaged and compared on a logarithmic scale


MEASURES = (
    ThresholdMeasure("threshold", lambda row: row.threshold, True),
    ThresholdMeasure("snr_db", lambda row: row.snr_db, False),
    ThresholdMeasure("modulation", lambda row: row.modulation, True),
)


class LayerMean(msgspec.Struct, frozen=True):
    """A row of ``layers.tsv``: the average threshold over a layer's dimensions.

    Parameters
    ----------
    layer : str
    sign : str
        ``+`` or ``-``; empty for both sides.
    unit : str
        ``threshold``, in standard deviations of the bank, or ``modulation``: geometric means; ``snr_db``: mean, in dB.
    value, low, high : float or None
        Mean with its 95 % interval over dimensions, by Student's t; None where there are too few.
    dimensions : int
        Number of dimensions in the mean.
    left_out : int
        Number of dimensions without a measured threshold, or without such a value.
    """

    layer: str
    sign: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    dimensions: int
    left_out: int


class LayerDifference(msgspec.Struct, frozen=True):
    """A row of ``comparisons.tsv``: one layer against another.

    Parameters
    ----------
    first, second : str
        Layers.
    unit : str
    value, low, high : float or None
        Ratio of first to second, or for ``snr_db`` first minus second in dB; with the 95 % interval over dimensions (Welch 1947,
        Biometrika 34, 28).
    p : float or None
        Two-sided p value of this pair, without correction for multiple comparisons.
    """

    first: str
    second: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    p: float | None


def layer_means(rows: Sequence[Threshold]) -> list[LayerMean]:
    """Means over the dimensions of each layer, for both sides together and for each, by every measure; of all listeners."""
    means = []
    for layer, unit, sign in itertools.product(_layers(rows), MEASURES, ("", "+", "-")):
        own = [row for row in rows if not row.listener and row.layer == layer and sign in ("", row.sign)]
        if own:
            values = _values(own, unit)
            mean, error, df = _mean(values)
            value, low, high = _interval(mean, error, df, unit)
            means.append(LayerMean(layer, sign, unit.name, value, low, high, len(values), len(own) - len(values)))
    return means


def layer_differences(rows: Sequence[Threshold]) -> list[LayerDifference]:
    """Differences of all pairs of layers, by every measure; of all listeners."""
    differences = []
    for unit, (first, second) in itertools.product(MEASURES, itertools.combinations(_layers(rows), 2)):
        a, b = ([row for row in rows if not row.listener and row.layer == layer] for layer in (first, second))
        (mean_a, error_a, df_a), (mean_b, error_b, df_b) = (_mean(_values(own, unit)) for own in (a, b))
        difference, error = mean_a - mean_b, math.hypot(error_a, error_b)
        df = error**4 / (error_a**4 / df_a + error_b**4 / df_b) if error > 0 else math.nan
        p = max(float(2 * scipy.stats.t.sf(abs(difference) / error, df)), LEAST_P) if error > 0 else math.nan
        differences.append(LayerDifference(first, second, unit.name, *_interval(difference, error, df, unit), _known(p)))
    return differences


def _layers(rows: Sequence[Threshold]) -> list[str]:
    return list(dict.fromkeys(row.layer for row in rows))


def _values(rows: Sequence[Threshold], unit: ThresholdMeasure) -> list[float]:
    found = [unit.value(row) for row in rows if not row.flag]
    return [math.log(value) if unit.ratio else value for value in found if value is not None]


def _mean(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, its standard error, and degrees of freedom; NaN where there are too few."""
    if len(values) < 2:
        return (values[0] if values else math.nan), math.nan, math.nan
    return float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5), len(values) - 1


def _interval(mean: float, error: float, df: float, unit: ThresholdMeasure) -> tuple[float | None, float | None, float | None]:
    half = float(scipy.stats.t.ppf(0.975, df)) * error if error > 0 else math.nan
    value, low, high = (_known(math.exp(end) if unit.ratio else end) for end in (mean, mean - half, mean + half))
    return value, low, high


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
