"""Staircases: transformed up-down (Levitt 1971) and weighted up-down (Kaernbach 1991), as one rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.psychophysics.levels import LevelSpacing, level_at, positions
from audiometamer.psychophysics.protocol import AdaptiveTrial, ThresholdEstimate


class _Reversal(NamedTuple):
    trial: int  # the index of the trial whose answer reversed the direction
    at_bound: bool


@dataclass(frozen=True, kw_only=True)
class Staircase:
    """Transformed up-down staircase: down after some correct answers in a row, up after each wrong one.

    Levitt (1971, J. Acoust. Soc. Am. 49, 467). A *reversal* is a move against the direction of the previous move; the first move
    is not a reversal. Its level is that of the trial whose answer caused it, a peak or a valley. A move beyond a bound ends at
    the bound, and a move at a bound leaves the level there; both set the direction, so that reversals at a bound count. The
    estimate then has `at_bound` set.

    Parameters
    ----------
    start : float
        The first level; higher levels are easier.
    min_level, max_level : float
        The range of the levels.
    steps : tuple of float
        Step sizes down: before the first reversal, between the first and the second, and so on; the last one remains. The move
        that makes a reversal already has the new size. If `spacing` is ``log``, ratios of two levels, above 1.
    down : int
        Number of correct answers in a row, at one level, before the level goes down. Default 2.
    first_down : int or None
        The same until the first reversal; 1 approaches the threshold faster. Default None: as `down`.
    up_over_down : float
        Ratio of the step size up to that down (of their logarithms if `spacing` is ``log``). Default 1.
    reversals : int
        Number of reversals after which the staircase ends. Default 8.
    discard : int
        Number of first reversals that do not count for the threshold. Default 2.
    max_trials : int
        Number of trials after which the staircase ends at the latest. Default 200.
    spacing : {"linear", "log"}
        The scale on which levels are stepped and averaged. Default "linear".

    Raises
    ------
    AudioMetamerError
        If the settings contradict each other.
    """

    start: float
    min_level: float
    max_level: float
    steps: tuple[float, ...]
    down: int = 2
    first_down: int | None = None
    up_over_down: float = 1.0
    reversals: int = 8
    discard: int = 2
    max_trials: int = 200
    spacing: LevelSpacing = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(float(step) for step in self.steps))
        positions([self.min_level, self.max_level], self.spacing)
        if not self.min_level <= self.start <= self.max_level or self.min_level == self.max_level:
            raise AudioMetamerError(
                f"a staircase that starts at {self.start:g} between {self.min_level:g} and {self.max_level:g}"
            )
        smallest = 1.0 if self.spacing == "log" else 0.0
        if not self.steps or not all(smallest < step < np.inf for step in self.steps):
            raise AudioMetamerError(f"steps {self.steps}; there must be one or more, above {smallest:g}")
        if min(self.down, self.down if self.first_down is None else self.first_down) < 1:
            raise AudioMetamerError(f"down after {self.down} correct answers, at first {self.first_down}; it must be 1 or more")
        if not 0 < self.up_over_down < np.inf:
            raise AudioMetamerError(f"steps up {self.up_over_down:g} times those down; the ratio must be positive")
        if not 0 <= self.discard <= self.reversals - 2:
            raise AudioMetamerError(
                f"{self.discard} of {self.reversals} reversals discarded; a threshold needs two or more of those left"
            )
        if self.max_trials < 1:
            raise AudioMetamerError(f"at most {self.max_trials} trials; there must be one or more")

    @property
    def target(self) -> float:
        """The proportion correct at which the staircase converges: where it drifts neither up nor down.

        After n = `down` trials at a level it goes down by Δ with probability pⁿ and otherwise up by r·Δ: pⁿ = r·(1 − pⁿ), so
        that p = (r / (1 + r))^(1/n): √½ = 0.707 for two-down one-up (Levitt 1971), r / (1 + r) for n = 1 (Kaernbach 1991).
        This holds for small steps; with large ones the target is a little off (García-Pérez 1998, Vision Research 38, 1861).
        """
        return float((self.up_over_down / (1 + self.up_over_down)) ** (1 / self.down))

    def next(self, trials: Sequence[AdaptiveTrial]) -> float | None:
        """The level of the next trial, or None when the staircase has ended; only the answers matter, not the presented levels.

        Raises
        ------
        AudioMetamerError
            If there are trials after the end of the staircase.
        """
        level, reversals = self._replayed(trials)
        return None if self._ended(len(trials), reversals) else level

    def threshold(self, trials: Sequence[AdaptiveTrial]) -> ThresholdEstimate:
        """The mean of the presented levels at the reversals, geometric if `spacing` is ``log``; without an interval.

        Of the reversals that are not discarded, the last even number is taken, so that peaks and valleys have the same weight,
        also where the level of one is not on the scale. Their spread does not measure the error, as they depend on each other.
        For an interval, fit a psychometric function to the trials.

        Raises
        ------
        AudioMetamerError
            If fewer than two reversals are left.
        """
        counted = self._replayed(trials)[1][self.discard :]
        counted = counted[len(counted) % 2 :]
        reached = [trials[reversal.trial].level for reversal in counted]
        sides = [[level for level in reached[k::2] if not np.isnan(level)] for k in (0, 1)]
        if not all(sides):
            raise AudioMetamerError(
                f"{len(trials)} trials without two reversals after the first {self.discard} have no threshold; "
                f"{sum(trial.correct for trial in trials)} answers are correct"
            )
        mean = level_at(float(np.mean([positions(side, self.spacing).mean() for side in sides])), self.spacing)
        return ThresholdEstimate(mean, float("nan"), float("nan"), any(reversal.at_bound for reversal in counted))

    def progress(self, trials: Sequence[AdaptiveTrial]) -> float:
        """The share of the reversals that are done, or of the trials if that is larger."""
        reversals = self._replayed(trials)[1]
        return max(len(reversals) / self.reversals, len(trials) / self.max_trials)

    def _ended(self, n_trials: int, reversals: Sequence[_Reversal]) -> bool:
        return len(reversals) == self.reversals or n_trials == self.max_trials

    def _replayed(self, trials: Sequence[AdaptiveTrial]) -> tuple[float, list[_Reversal]]:
        """The level after the answers, and the reversals so far."""
        position, low, high = positions([self.start, self.min_level, self.max_level], self.spacing).tolist()
        steps = positions(self.steps, self.spacing).tolist()
        reversals: list[_Reversal] = []
        direction = in_a_row = 0
        for n, (_, correct) in enumerate(trials):
            if self._ended(n, reversals):
                raise AudioMetamerError(f"{len(trials)} trials of a staircase that ended after {n}")
            in_a_row = in_a_row + 1 if correct else 0
            if correct and in_a_row < (self.down if reversals else self.first_down or self.down):
                continue
            move = -1 if correct else 1
            if move == -direction:
                reversals.append(_Reversal(n, position in (low, high)))
            direction, in_a_row = move, 0
            step = steps[min(len(reversals), len(steps) - 1)]
            position += -step if correct else self.up_over_down * step
            position = min(max(position, low), high)
        level = level_at(position, self.spacing)
        return min(max(level, float(self.min_level)), float(self.max_level)), reversals  # exp(log x) is not always x


def weighted_staircase(target: float, **settings: Any) -> Staircase:
    """Weighted up-down staircase, which converges at any proportion correct.

    Down after each correct answer, up after each wrong one, with steps up that are target / (1 − target) times those down
    (Kaernbach 1991, Perception & Psychophysics 49, 227).

    Parameters
    ----------
    target : float
        Proportion correct, between 0 and 1.
    **settings
        Settings of `Staircase`, except `down`, `first_down` and `up_over_down`.

    Returns
    -------
    Staircase

    Raises
    ------
    AudioMetamerError
        If `target` is not between 0 and 1, or the settings contradict each other.
    """
    if not 0 < target < 1:
        raise AudioMetamerError(f"a target of {target:g}; it must be between 0 and 1")
    return Staircase(down=1, up_over_down=target / (1 - target), **settings)
