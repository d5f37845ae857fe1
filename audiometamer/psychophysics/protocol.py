"""The interface of every adaptive procedure."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

DEFAULT_TARGET = 0.5 ** (1 / 3)  # proportion correct, 0.794, at which three-down one-up converges (Levitt 1971)


class AdaptiveTrial(NamedTuple):
    """An answered trial of an adaptive procedure.

    Parameters
    ----------
    level : float
        The level that was presented, where it differs from the requested one. NaN where it is not on the scale: the answer still
        decides the next level, but does not enter the threshold.
    correct : bool
    """

    level: float
    correct: bool


class ThresholdEstimate(NamedTuple):
    """An estimated threshold.

    Parameters
    ----------
    level : float
        The level at which the proportion correct is the procedure's target.
    low, high : float
        95 % interval; NaN if the procedure has none.
    at_bound : bool
        Whether the procedure reached an end of its range: the threshold may lie beyond it, and `level` not be a measurement.
    """

    level: float
    low: float
    high: float
    at_bound: bool


class Procedure(Protocol):
    """An adaptive procedure: settings without state; everything follows from the trials so far.

    Levels are stepped from the requested ones, and thresholds are estimated from the presented ones.
    """

    @property
    def target(self) -> float:
        """The proportion correct at the threshold that it estimates."""

    def next(self, trials: Sequence[AdaptiveTrial]) -> float | None:
        """The level of the next trial, or None when the procedure has ended."""

    def threshold(self, trials: Sequence[AdaptiveTrial]) -> ThresholdEstimate:
        """The threshold, estimated from the trials so far."""

    def progress(self, trials: Sequence[AdaptiveTrial]) -> float:
        """Completed fraction of the procedure, from 0 to 1; it never falls from one trial to the next."""
