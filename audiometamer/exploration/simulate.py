"""A whole exploration with listeners of known sensitivity, without a server and much faster than real time."""

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
import scipy.optimize
import torch

from audiometamer.dimensions.ladder import Ladder
from audiometamer.dimensions.moved import MovedStimulus
from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.analysis.sensitivity import Decision, Values
from audiometamer.exploration.observers import Observer
from audiometamer.exploration.presented_trial import PresentedTrial
from audiometamer.exploration.sequence import ExplorationSequence
from audiometamer.exploration.trials import AnsweredTrial
from audiometamer.listening.adaptive import CompletedTrial
from audiometamer.signals.audio import Clip

StimulusKey = tuple[str, str, float]  # dimension, reference, requested change
_WRONG = "0"  # not the number of an interval


def sensitivities(
    ladder: Ladder, observer: Observer, *, progress: Callable[[float], None] | None = None
) -> dict[StimulusKey, float]:
    """An observer's d′ for every moved signal of a ladder against its reference, by dimension, reference and requested change.

    Parameters
    ----------
    ladder : Ladder
    observer : Observer
        It gets signals on the CPU, and one reference for a batch of signals.
    progress : callable, optional
        Called with the share that is done.
    """
    clips: dict[str, Clip] = {}
    found: dict[StimulusKey, float] = {}
    for k, ((dimension, name), stimuli) in enumerate(ladder.stimuli.items()):
        clip = clips.setdefault(name, clips.get(name) or ladder.clip(name))
        values = observer.d_prime(clip.samples[None], torch.stack([stimulus.read() for stimulus in stimuli])).tolist()
        found |= {(dimension, name, stimulus.record.requested): d for stimulus, d in zip(stimuli, values, strict=True)}
        if progress is not None:
            progress((k + 1) / len(ladder.stimuli))
    return found


def true_threshold(ladder: Ladder, sensitivity: Mapping[StimulusKey, float], dimension: str, decision: Decision) -> float:
    """The reached change at which an observer's proportion correct, averaged over the references of a dimension, is the target.

    Between the changes of the ladder, the d′ of each reference is interpolated in double logarithms; beyond them it is
    proportional to the change. No answers are drawn and nothing is fitted. Signals with a d′ of 0 are skipped; a reference with
    only such signals is answered by chance. A threshold more than tenfold beyond the ladder is 0 or infinite.
    """
    curves = [_curve(ladder.of(dimension, name), sensitivity) for name in ladder.references(dimension)]
    noticed = [curve for curve in curves if curve is not None]
    if not noticed:
        return math.inf
    ends = [float(end) for end in (min(x[0] for x, _ in noticed), max(x[-1] for x, _ in noticed))]

    def excess(change: float) -> float:
        d = [0.0 if curve is None else math.exp(_line(change, *curve)) for curve in curves]
        return float(np.mean(decision.proportion(d))) - decision.target

    first, last = ends[0] - math.log(10), ends[1] + math.log(10)
    if not excess(first) < 0 < excess(last):
        return 0.0 if excess(first) >= 0 else math.inf
    return math.exp(scipy.optimize.brentq(excess, first, last))


def _curve(stimuli: Sequence[MovedStimulus], sensitivity: Mapping[StimulusKey, float]) -> tuple[Values, Values] | None:
    """Logarithms of reached change and d′, by rising reached change; None where nothing can be noticed."""
    known = [
        (each.record.reached, sensitivity[each.record.dimension, each.record.clip, each.record.requested]) for each in stimuli
    ]
    points = sorted((math.log(reached), math.log(d)) for reached, d in known if reached > 0 and d > 0)
    if not points:
        return None
    x, y = np.array(points).T
    new = np.concatenate([[True], np.diff(x) > 1e-3])
    return x[new], y[new]


def _line(at: float, x: Values, y: Values) -> float:
    return float(np.interp(at, x, y)) + min(at - x[0], 0.0) + max(at - x[-1], 0.0)


def simulate(
    sequence: ExplorationSequence,
    number: int,
    sensitivity: Mapping[StimulusKey, float],
    decision: Decision,
    *,
    seed: int,
    listener: str = "",
) -> list[AnsweredTrial]:
    """The answers of one simulated listener to all trials of a list.

    Parameters
    ----------
    sequence : ExplorationSequence
        Without a render queue.
    number : int
        Number of the list.
    sensitivity : mapping
        See `sensitivities`.
    decision : Decision
        The model of the task; its lapse rate is the listener's.
    seed : int
        Random seed of the answers.
    listener : str
        Name of the listener. Default: the number of the list.
    """
    rng, completed, rows = np.random.default_rng([seed, number]), list[CompletedTrial](), list[AnsweredTrial]()
    while (wanted := sequence.next(number, completed)) is not None:
        decided = sequence.decide(wanted, lambda: 0.0, lambda: False)
        if decided is None:
            raise AudioMetamerError(f"trial {wanted.trial} of list {number} has no sound")
        presented = msgspec.convert(decided.about, PresentedTrial)
        d = sensitivity[presented.dimension, presented.reference, presented.made]
        correct = bool(rng.random() < decision.proportion(d))
        answer = decided.answer if correct else _WRONG
        completed.append(CompletedTrial(decided, answer, correct))
        rows.append(AnsweredTrial.to(decided, listener=listener or str(number), task=sequence.design.task.kind, answer=answer))
    return rows
