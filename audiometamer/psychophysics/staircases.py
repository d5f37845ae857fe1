"""Staircases: transformed up/down (Levitt 1971) and weighted up/down (Kaernbach 1991), which are one rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.psychophysics.levels import LevelSpacing, level_at, positions
from audiometamer.psychophysics.protocol import AdaptiveTrial, ThresholdEstimate


class _Reversal(NamedTuple):
    trial: int  # whose answer turned the staircase round
    at_bound: bool


@dataclass(frozen=True, kw_only=True)
class Staircase:
    """Down after some correct answers in a row, up after each wrong one (Levitt 1971, J. Acoust. Soc. Am. 49, 467).

    A *reversal* is a move against the direction of the move before it; the first move has none before it and is no reversal. Its
    level is that of the trial whose answer turned the staircase, a peak or a valley. A move beyond a bound goes to the bound, and
    one that is wished for at the bound leaves the level where it is; both still set the direction, so that a staircase turns at
    a bound as elsewhere. Its estimate then says so.

    Parameters
    ----------
    start : float
        The first level; the higher, the easier.
    least, most : float
        The range of the levels.
    steps : tuple of float
        How far down the level moves before the first reversal, from the first to the second, …; the last step stays. The move
        that makes a reversal already has the new size. If `spacing` is ``log``, the ratio of two levels, above 1.
    down : int
        How many correct answers in a row, at one level, take the level down; default 2.
    first_down : int or None
        The same until the first reversal: 1 comes sooner to where it matters. Default None: as `down`.
    up_over_down : float
        How much larger the steps up are than those down, as a ratio (of their logarithms if `spacing` is ``log``); default 1.
    reversals : int
        The staircase ends after so many; default 8.
    discard : int
        How many of the first reversals do not count for the threshold; default 2.
    max_trials : int
        The staircase ends after so many trials at the latest; default 200.
    spacing : str
        ``linear`` (default) or ``log``: what is stepped and averaged.

    Raises
    ------
    AudioMetamerError
        If the settings do not fit each other.
    """

    start: float
    least: float
    most: float
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
        positions([self.least, self.most], self.spacing)
        if not self.least <= self.start <= self.most or self.least == self.most:
            raise AudioMetamerError(f"a staircase that starts at {self.start:g} between {self.least:g} and {self.most:g}")
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
        """The proportion correct that the staircase settles at: where it drifts neither up nor down.

        After n = `down` trials at a level it goes down by Δ with probability pⁿ and otherwise up by r·Δ: pⁿ = r·(1 − pⁿ), so
        that p = (r / (1 + r))^(1/n): √½ = 0.707 for two down and one up (Levitt 1971), r / (1 + r) for n = 1 (Kaernbach 1991).
        It holds for small steps; large ones settle a little off it (García-Pérez 1998, Vision Research 38, 1861).
        """
        return float((self.up_over_down / (1 + self.up_over_down)) ** (1 / self.down))

    def next(self, trials: Sequence[AdaptiveTrial]) -> float | None:
        """The level of the next trial, or None when the staircase has ended; of the trials, only the answers matter.

        Raises
        ------
        AudioMetamerError
            If there are more trials than the staircase has.
        """
        level, reversals = self._replayed(trials)
        return None if self._ended(len(trials), reversals) else level

    def threshold(self, trials: Sequence[AdaptiveTrial]) -> ThresholdEstimate:
        """The mean of the reached levels at the reversals, geometric if `spacing` is ``log``; it has no interval.

        The last even number of reversals that are not discarded is taken, so that peaks and valleys weigh the same, also where
        the level of one is none of the scale. Their spread is no measure of the error: they depend on each other, and all of
        them on where the staircase happened to be. For an interval, fit a psychometric function to the trials.

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
        """The share of the reversals, or of the most trials where that is larger."""
        reversals = self._replayed(trials)[1]
        return max(len(reversals) / self.reversals, len(trials) / self.max_trials)

    def _ended(self, n_trials: int, reversals: Sequence[_Reversal]) -> bool:
        return len(reversals) == self.reversals or n_trials == self.max_trials

    def _replayed(self, trials: Sequence[AdaptiveTrial]) -> tuple[float, list[_Reversal]]:
        """The level that the answers lead to, and the reversals on the way there."""
        position, least, most = positions([self.start, self.least, self.most], self.spacing).tolist()
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
                reversals.append(_Reversal(n, position in (least, most)))
            direction, in_a_row = move, 0
            step = steps[min(len(reversals), len(steps) - 1)]
            position += -step if correct else self.up_over_down * step
            position = min(max(position, least), most)
        level = level_at(position, self.spacing)
        return min(max(level, float(self.least)), float(self.most)), reversals  # exp(log x) is not always x


def weighted_staircase(target: float, **settings: Any) -> Staircase:
    """A staircase that settles at any proportion correct, by steps up and down of different size.

    Down after each correct answer, up after each wrong one, with steps up target / (1 − target) times those down (Kaernbach 1991,
    Perception & Psychophysics 49, 227).

    Parameters
    ----------
    target : float
        Between 0 and 1.
    **settings
        Of `Staircase`, but for `down`, `first_down` and `up_over_down`.

    Returns
    -------
    Staircase

    Raises
    ------
    AudioMetamerError
        If `target` is not between 0 and 1, or the settings do not fit each other.
    """
    if not 0 < target < 1:
        raise AudioMetamerError(f"a target of {target:g}; it must be between 0 and 1")
    return Staircase(down=1, up_over_down=target / (1 - target), **settings)
