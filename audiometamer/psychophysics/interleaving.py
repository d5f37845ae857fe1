"""Many procedures in one run of trials, in an order that follows from a seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.psychophysics.protocol import AdaptiveTrial, Procedure


class NextTrial(NamedTuple):
    """Whose trial comes next, and its level."""

    procedure: str
    level: float


class InterleavedTrial(NamedTuple):
    """A trial that was answered, of one among several procedures."""

    procedure: str
    level: float
    correct: bool


@dataclass(frozen=True, kw_only=True)
class Interleaving:
    """Procedures in rounds: each that has not ended has one trial in a round, in an order drawn anew for every round.

    Who comes next is the one with the fewest trials, and among those the first in its round's order. So it follows from how many
    answers each procedure has, and a procedure that is left alone goes on from its own answers like any other.

    Parameters
    ----------
    procedures : mapping of str to Procedure
        By name; the order of the mapping does not matter.
    seed : int
        Of the order; 0 or more.

    Raises
    ------
    AudioMetamerError
        If there is no procedure, or the seed is negative.
    """

    procedures: Mapping[str, Procedure]
    seed: int

    def __post_init__(self) -> None:
        if not self.procedures:
            raise AudioMetamerError("no procedure to interleave; there must be one or more")
        if self.seed < 0:
            raise AudioMetamerError(f"seed {self.seed}; it must be 0 or more")

    def next(self, answers: Sequence[InterleavedTrial]) -> NextTrial | None:
        """The next trial, or None when all procedures have ended.

        Raises
        ------
        AudioMetamerError
            If an answer is of no procedure.
        """
        trials = self.trials(answers)
        rounds = {name: len(done) for name, done in trials.items()}
        orders = {round_: self._order(round_) for round_ in set(rounds.values())}
        for name in sorted(trials, key=lambda name: (rounds[name], orders[rounds[name]][name])):
            level = self.procedures[name].next(trials[name])
            if level is not None:
                return NextTrial(name, level)
        return None

    def trials(self, answers: Sequence[InterleavedTrial]) -> dict[str, list[AdaptiveTrial]]:
        """The answers of each procedure, those without any included."""
        trials: dict[str, list[AdaptiveTrial]] = {name: [] for name in self.procedures}
        for name, level, correct in answers:
            if name not in trials:
                raise AudioMetamerError(f"an answer of procedure {name!r}; there are {', '.join(sorted(trials))}")
            trials[name].append(AdaptiveTrial(level, correct))
        return trials

    def _order(self, round_: int) -> dict[str, int]:
        """Each procedure's place in a round."""
        names = sorted(self.procedures)
        places = np.random.default_rng([self.seed, round_]).permutation(len(names))
        return dict(zip(names, places.tolist(), strict=True))
