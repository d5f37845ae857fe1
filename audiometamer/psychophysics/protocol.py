"""What every adaptive procedure takes and gives."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

DEFAULT_TARGET = 0.5 ** (1 / 3)  # proportion correct at a threshold: 0.794, where three down and one up settles (Levitt 1971)


class AdaptiveTrial(NamedTuple):
    """A trial that was answered.

    Parameters
    ----------
    level : float
        Where it was presented: the level that was reached, where it differs from the one that was wished. NaN where it was
        none of the scale: what comes next follows from the answer, but no threshold does.
    correct : bool
    """

    level: float
    correct: bool


class ThresholdEstimate(NamedTuple):
    """A threshold.

    Parameters
    ----------
    level : float
        At which a procedure's target proportion of the answers is right.
    low, high : float
        A 95 % interval; NaN where a procedure tells none.
    at_bound : bool
        Whether the procedure ran into the end of its range: the threshold may lie beyond, and `level` be no measurement of it.
    """

    level: float
    low: float
    high: float
    at_bound: bool


class Procedure(Protocol):
    """An adaptive procedure holds its settings and no state: all of it follows from the trials so far.

    It steps on the levels that it wished for, and estimates from those that were reached.
    """

    @property
    def target(self) -> float:
        """The proportion correct at the threshold that it looks for."""

    def next(self, trials: Sequence[AdaptiveTrial]) -> float | None:
        """The level of the next trial, or None when the procedure has ended."""

    def threshold(self, trials: Sequence[AdaptiveTrial]) -> ThresholdEstimate:
        """The threshold as far as the trials tell it."""

    def progress(self, trials: Sequence[AdaptiveTrial]) -> float:
        """How much of the procedure is over after the trials, from 0 to 1; it never falls from one trial to the next."""
