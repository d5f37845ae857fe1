"""Listeners of known sensitivity along each dimension, for rehearsals of an exploration."""

from collections.abc import Callable, Mapping

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.folder import Exploration
from audiometamer.exploration.presented_trial import PresentedTrial
from audiometamer.listening.adaptive import DecidedTrial
from audiometamer.psychophysics import decision_model_for, proportion_correct

D_PRIME = 2.0


def probability_correct(
    exploration: Exploration, d_primes: Mapping[str, float], *, lapse: float = 0.0
) -> Callable[[DecidedTrial], float]:
    """The probability of a correct answer to a trial, for listeners whose d′ is proportional to the reached change.

    Decisions are by differencing.

    Parameters
    ----------
    exploration : Exploration
    d_primes : mapping of str to float
        d′ for a change of one standard deviation, by dimension; under "", that of all other dimensions. Default: 2.
    lapse : float
        Lapse rate. Default 0.

    Returns
    -------
    callable
        As `audiometamer.listening.responders.IdealListener` takes it.

    Raises
    ------
    AudioMetamerError
        If the exploration has no such dimension, or a d′ is negative.
    """
    known = exploration.sequence.schedule.dimensions
    for dimension, value in d_primes.items():
        if dimension not in ("", *known):
            raise AudioMetamerError(f"{exploration.folder} has no dimension {dimension!r}; it has {', '.join(known)}")
        if not 0 <= value < float("inf"):
            raise AudioMetamerError(f"d′ is {value:g}; it must be 0 or more")
    task = decision_model_for(exploration.sequence.design.task.kind)

    def probability(decided: DecidedTrial) -> float:
        presented = msgspec.convert(decided.about, PresentedTrial)
        slope = d_primes.get(presented.dimension, d_primes.get("", D_PRIME))
        return float(proportion_correct(slope * max(presented.reached, 0.0), task=task, lapse=lapse))

    return probability
