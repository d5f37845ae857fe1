"""Listeners whose sensitivity along each dimension is known, for rehearsals of an exploration."""

from collections.abc import Callable, Mapping

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.presented_trial import PresentedTrial
from audiometamer.exploration.sequence import ExplorationSequence
from audiometamer.listening.adaptive import Decided
from audiometamer.listening.folder import Experiment
from audiometamer.psychophysics import decision_model_for, proportion_correct

D_PRIME = 2.0


def probability_correct(read: Experiment, d_primes: Mapping[str, float], *, lapse: float = 0.0) -> Callable[[Decided], float]:
    """How likely the right answer is, where d′ is proportional to the reached change and listeners compare as in differencing.

    Parameters
    ----------
    read : Experiment
        An exploration.
    d_primes : mapping of str to float
        d′ for a change of one standard deviation, by dimension; under "" that of all others. Default: 2.
    lapse : float
        The proportion that is wrong however large d′ is. Default 0.

    Returns
    -------
    callable
        As `audiometamer.listening.simulated.IdealListener` takes it.

    Raises
    ------
    AudioMetamerError
        If the exploration has no such dimension, or a d′ is negative.
    """
    assert isinstance(read.course, ExplorationSequence)
    known = read.course.schedule.dimensions
    for dimension, value in d_primes.items():
        if dimension not in ("", *known):
            raise AudioMetamerError(f"{read.folder} has no dimension {dimension!r}; it has {', '.join(known)}")
        if not 0 <= value < float("inf"):
            raise AudioMetamerError(f"d′ is {value:g}; it must be 0 or more")
    task = decision_model_for(read.course.design.task.kind)

    def probability(decided: Decided) -> float:
        about = msgspec.convert(decided.about, PresentedTrial)
        slope = d_primes.get(about.dimension, d_primes.get("", D_PRIME))
        return float(proportion_correct(slope * max(about.reached, 0.0), task=task, lapse=lapse))

    return probability
