"""Statistics: bootstrap, permutation, analysis of variance, contrasts, intervals, reliability.

Data come first, as arrays with listeners (or sounds) along the first axis; everything else is keyword-only: ``resamples`` of a
bootstrap, ``permutations`` of a test, ``seed``. Results are named tuples.
"""

from audiometamer.statistics.anova import Effect, anova
from audiometamer.statistics.bootstrap import Bootstrap, IntervalEstimate
from audiometamer.statistics.contrasts import FRatio, f_ratio
from audiometamer.statistics.intervals import ListenerMeans, mean_over_listeners
from audiometamer.statistics.pairing import PairingTest, pairing_test
from audiometamer.statistics.permutation import permutation_p
from audiometamer.statistics.reliability import SplitHalf, split_half

__all__ = [
    "Bootstrap",
    "Effect",
    "FRatio",
    "IntervalEstimate",
    "ListenerMeans",
    "PairingTest",
    "SplitHalf",
    "anova",
    "f_ratio",
    "mean_over_listeners",
    "pairing_test",
    "permutation_p",
    "split_half",
]
