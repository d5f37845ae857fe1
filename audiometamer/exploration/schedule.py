"""Which comparison comes next in a list: practice, the procedures' trials in random order, and catch trials among them.

All that is drawn (dimension, reference, order of the intervals, their levels) follows from the seed, the private key, the number
of the list and how many trials were completed. Only the requested change depends on the answers.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, TypeVar

import msgspec

from audiometamer.dimensions.ladder import Ladder
from audiometamer.exploration.design import ExplorationDesign, common_changes
from audiometamer.exploration.presented_trial import PresentedTrial
from audiometamer.exploration.render_queue import MoveRequest
from audiometamer.exploration.trials import level_of
from audiometamer.io.draws import Draws
from audiometamer.listening.adaptive import CompletedTrial
from audiometamer.listening.design import INTERVALS
from audiometamer.listening.trials import ARRANGEMENTS
from audiometamer.psychophysics import InterleavedTrial, Interleaving, Procedure

T = TypeVar("T")
ComparisonKind = Literal["practice", "main", "catch"]
_KINDS = ("practice", "main", "catch")  # the index of a kind is part of the seeds of its draws
# The first key of each kind of draw, so that draws are independent of each other.
_DEAL, _TURNS, _CATCH, _ROVE, _REFERENCE, _ARRANGEMENT, _DIMENSION = range(10, 17)


class Comparison(msgspec.Struct, frozen=True):
    """The comparison of a trial, before its stimulus is decided; see `PresentedTrial`."""

    number: int
    dimension: str
    reference: str
    requested: float
    arrangement: int
    rove_db: list[float]

    @property
    def move(self) -> MoveRequest:
        """The moved signal that it needs."""
        return MoveRequest.of(self.dimension, self.reference, self.requested)


class ScheduledComparison(NamedTuple):
    """A comparison, and which part of the experiment it belongs to."""

    kind: ComparisonKind
    comparison: Comparison


@dataclass(frozen=True)
class Schedule:
    """The comparisons of all lists of an exploration, a pure function of the trials completed so far.

    Parameters
    ----------
    design : ExplorationDesign
    ladder : Ladder
    draws : Draws
    """

    design: ExplorationDesign
    ladder: Ladder
    draws: Draws

    @cached_property
    def dimensions(self) -> list[str]:
        """All dimensions that are explored, in the order of the ladder."""
        return self.design.chosen(self.ladder)

    @cached_property
    def procedures(self) -> Mapping[str, Procedure]:
        """The procedure of each dimension."""
        return self.design.procedures(self.ladder)

    def dimensions_of(self, number: int) -> list[str]:
        """The dimensions of one list; over lists, their frequencies differ by one at most."""
        order = self.draws.generator(_DEAL).permutation(len(self.dimensions))
        per_list = self.design.ladder.each or len(order)
        indices = {int(order[((number - 1) * per_list + k) % len(order)]) for k in range(per_list)}
        return [self.dimensions[index] for index in sorted(indices)]

    def interleaving(self, number: int) -> Interleaving:
        """The procedures of one list."""
        procedures = {dimension: self.procedures[dimension] for dimension in self.dimensions_of(number)}
        return Interleaving(procedures=procedures, seed=self.draws.subseed(_TURNS, number))

    def next(self, number: int, completed: Sequence[CompletedTrial]) -> ScheduledComparison | None:
        """The next comparison of a list, or None when all its procedures have ended."""
        presented = [presented_in(each) for each in completed]
        trial = self.interleaving(number).next(list(_procedure_trials(completed, presented)))
        if trial is None:
            return None
        kind = self._kind(number, len(completed))
        dimension, requested = trial if kind == "main" else self._easiest(number, kind, completed)
        n = sum(
            trial.decided.trial.kind == kind and each.dimension == dimension
            for trial, each in zip(completed, presented, strict=True)
        )
        keys = (number, _KINDS.index(kind), _code(dimension))
        comparison = Comparison(
            number,
            dimension,
            reference=self._drawn(n, self.ladder.references(dimension), _REFERENCE, *keys),
            requested=requested,
            arrangement=self._drawn(n, range(ARRANGEMENTS[self.design.task.kind]), _ARRANGEMENT, *keys),
            rove_db=self._gains(number, len(completed)),
        )
        return ScheduledComparison(kind, comparison)

    def progress(self, number: int, completed: Sequence[CompletedTrial]) -> float:
        """The mean progress of the list's procedures, from 0 to 1."""
        interleaving = self.interleaving(number)
        trials = interleaving.trials(list(_procedure_trials(completed, [presented_in(each) for each in completed])))
        return statistics.fmean(interleaving.procedures[name].progress(own) for name, own in trials.items())

    def _kind(self, number: int, n_completed: int) -> ComparisonKind:
        """Practice first; then each block of `catch.every` trials has one catch trial at a random position."""
        index, every = n_completed - self.design.practice.trials, self.design.catch.every
        if index < 0:
            return "practice"
        if not every:
            return "main"
        block, position = divmod(index, every)
        return "catch" if position == self.draws.generator(_CATCH, number, block).integers(every) else "main"

    def _easiest(self, number: int, kind: ComparisonKind, completed: Sequence[CompletedTrial]) -> tuple[str, float]:
        """The dimension of a practice or catch trial, and the largest change that all its references have.

        Practice takes the dimensions in turn. Catch trials take the one whose largest change alters signals most, so that all who
        attend notice it.
        """
        if kind == "catch":
            dimension = min(self.dimensions_of(number), key=self._median_snr_db.__getitem__)
        else:
            n = sum(trial.decided.trial.kind == kind for trial in completed)
            dimension = self._drawn(n, self.dimensions_of(number), _DIMENSION, number, _KINDS.index(kind))
        return dimension, common_changes(self.ladder, dimension)[-1]

    @cached_property
    def _median_snr_db(self) -> dict[str, float]:
        """SNR of signals with the largest change, in dB: the median over references, by dimension."""
        return {dimension: statistics.median(self._snrs_db(dimension)) for dimension in self.dimensions}

    def _snrs_db(self, dimension: str) -> Iterator[float]:
        largest = common_changes(self.ladder, dimension)[-1]
        for reference in self.ladder.references(dimension):
            snr_db = self.ladder.nearest(dimension, reference, largest).record.physical.snr_db
            yield math.inf if snr_db is None else snr_db

    def _drawn(self, n: int, items: Sequence[T], *keys: int) -> T:
        """Item n of an endless sequence of random permutations of the items."""
        cycle, position = divmod(n, len(items))
        return items[int(self.draws.generator(*keys, cycle).permutation(len(items))[position])]

    def _gains(self, number: int, n_completed: int) -> list[float]:
        """The gain of each interval in dB, rounded to hundredths."""
        intervals, rove = INTERVALS[self.design.task.kind], self.design.task.rove
        gains: list[float] = self.draws.generator(_ROVE, number, n_completed).uniform(-rove, rove, intervals).round(2).tolist()
        return gains


def presented_in(trial: CompletedTrial) -> PresentedTrial:
    """The stimuli of a completed trial."""
    return msgspec.convert(trial.decided.about, PresentedTrial)


def _procedure_trials(completed: Sequence[CompletedTrial], presented: Sequence[PresentedTrial]) -> Iterator[InterleavedTrial]:
    """Those of the main part, as procedures take them."""
    for trial, about in zip(completed, presented, strict=True):
        if trial.decided.trial.kind == "main":
            yield InterleavedTrial(about.dimension, level_of(about.reached), trial.correct)


def _code(name: str) -> int:
    """A number that stands for a name in the seeds of draws."""
    return int.from_bytes(name.encode())
