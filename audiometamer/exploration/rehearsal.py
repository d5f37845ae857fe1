"""Listeners whose sensitivity along each dimension is known, for rehearsals of an exploration."""

from collections.abc import Callable, Mapping

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.course import ExplorationCourse
from audiometamer.exploration.presented import Presented
from audiometamer.listening.adaptive import DecidedTrial
from audiometamer.listening.folder import Experiment
from audiometamer.psychophysics import model_of, proportion_correct

D_PRIME = 2.0


def sensitive(read: Experiment, d_primes: Mapping[str, float], *, lapse: float = 0.0) -> Callable[[DecidedTrial], float]:
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
    assert isinstance(read.adaptive, ExplorationCourse)
    known = read.adaptive.dimensions
    for dimension, value in d_primes.items():
        if dimension not in ("", *known):
            raise AudioMetamerError(f"{read.folder} has no dimension {dimension!r}; it has {', '.join(known)}")
        if not 0 <= value < float("inf"):
            raise AudioMetamerError(f"d′ is {value:g}; it must be 0 or more")
    task = model_of(read.adaptive.design.task.kind)

    def probability(decided: DecidedTrial) -> float:
        about = msgspec.convert(decided.about, Presented)
        slope = d_primes.get(about.dimension, d_primes.get("", D_PRIME))
        return float(proportion_correct(slope * max(about.reached, 0.0), task=task, lapse=lapse))

    return probability
