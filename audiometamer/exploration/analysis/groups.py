"""Groups of answers to which one function is fitted: those to one dimension, of all its listeners or of one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from audiometamer.dimensions.dimensions import Dimension
from audiometamer.exploration.analysis.sensitivity import Decision, SensitivityFits, Values, fit_sensitivity
from audiometamer.exploration.trials import AnsweredTrial


class Counts(NamedTuple):
    """Counts of answers by listener and reached change; all [shape=(cells,)]."""

    changes: Values
    correct: Values
    trials: Values
    listeners: Sequence[str]


@dataclass(frozen=True)
class TrialGroup:
    """Trials of one dimension in the order of the answers, listener by listener.

    Parameters
    ----------
    dimension : Dimension
    listener : str
        Empty for all listeners.
    trials : sequence of Answered
    decision : Decision
    """

    dimension: Dimension
    listener: str
    trials: Sequence[AnsweredTrial]
    decision: Decision

    @cached_property
    def listeners(self) -> list[str]:
        """Their names."""
        return list(dict.fromkeys(trial.listener for trial in self.trials))

    @cached_property
    def counts(self) -> Counts:
        """Counts of the trials whose stimulus moved to the dimension's side."""
        return count_answers([(trial.listener, trial.reached, trial.correct) for trial in self.trials])

    @property
    def is_measured(self) -> bool:
        """Whether any stimulus moved to the dimension's side."""
        return len(self.counts.trials) > 0

    @cached_property
    def fits(self) -> SensitivityFits:
        """The function that is fitted to all of them."""
        return fit_sensitivity(self.counts.changes, self.counts.correct, self.counts.trials, self.decision)

    @property
    def threshold(self) -> float:
        """The threshold of that function."""
        return float(self.fits.threshold[0])


def count_answers(answers: Sequence[tuple[str, float, bool]]) -> Counts:
    """Count answers (listener, reached change, correct) to stimuli that moved to the dimension's side."""
    cells: dict[tuple[str, float], list[bool]] = {}
    for listener, reached, correct in answers:
        if reached > 0:
            cells.setdefault((listener, reached), []).append(correct)
    right, of = ([float(count(own)) for own in cells.values()] for count in (sum, len))
    return Counts(np.array([change for _, change in cells]), np.array(right), np.array(of), [name for name, _ in cells])


def groups(trials: Sequence[AnsweredTrial], decision: Decision) -> Iterator[TrialGroup]:
    """For each dimension the trials of all listeners, then, if there are several, those of each listener.

    Dimensions are in their order; see `Dimension.order`.
    """
    by_dimension: dict[Dimension, list[AnsweredTrial]] = {}
    for trial in sorted(trials, key=lambda trial: (trial.listener, trial.trial)):
        by_dimension.setdefault(Dimension.parse(trial.dimension), []).append(trial)
    for dimension in sorted(by_dimension, key=lambda each: each.order):
        own = by_dimension[dimension]
        names = list(dict.fromkeys(trial.listener for trial in own))
        yield TrialGroup(dimension, "", own, decision)
        if len(names) > 1:
            yield from (
                TrialGroup(dimension, each, [trial for trial in own if trial.listener == each], decision) for each in names
            )
