"""Several adaptive procedures in one run of trials, in random order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.psychophysics.protocol import AdaptiveTrial, Procedure


class NextTrial(NamedTuple):
    """The procedure and the level of the next trial."""

    procedure: str
    level: float


class InterleavedTrial(NamedTuple):
    """An answered trial of one of several procedures; see `AdaptiveTrial`."""

    procedure: str
    level: float
    correct: bool


@dataclass(frozen=True, kw_only=True)
class Interleaving:
    """Procedures that take turns in rounds: in each round, every procedure that has not ended has one trial, in random order.

    The next trial belongs to the procedure with the fewest trials, and among those to the first in the order of its round. So it
    follows from the number of trials of each procedure, and a procedure that remains alone continues from its own trials.

    Parameters
    ----------
    procedures : mapping of str to Procedure
        Procedures by name; the order of the mapping does not matter.
    seed : int
        Random seed of the order, 0 or more.

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
            If a trial belongs to no procedure.
        """
        trials = self.trials(answers)
        rounds = {name: len(own) for name, own in trials.items()}
        orders = {round_: self._order(round_) for round_ in set(rounds.values())}
        for name in sorted(trials, key=lambda name: (rounds[name], orders[rounds[name]][name])):
            level = self.procedures[name].next(trials[name])
            if level is not None:
                return NextTrial(name, level)
        return None

    def trials(self, answers: Sequence[InterleavedTrial]) -> dict[str, list[AdaptiveTrial]]:
        """The trials of each procedure, including procedures without any."""
        trials: dict[str, list[AdaptiveTrial]] = {name: [] for name in self.procedures}
        for name, level, correct in answers:
            if name not in trials:
                raise AudioMetamerError(f"an answer of procedure {name!r}; there are {', '.join(sorted(trials))}")
            trials[name].append(AdaptiveTrial(level, correct))
        return trials

    def _order(self, round_: int) -> dict[str, int]:
        """The rank of each procedure in a round."""
        names = sorted(self.procedures)
        ranks = np.random.default_rng([self.seed, round_]).permutation(len(names))
        return dict(zip(names, ranks.tolist(), strict=True))
