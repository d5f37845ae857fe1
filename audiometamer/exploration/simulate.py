"""A whole exploration with listeners whose sensitivities are known, without a server and faster than any listener."""

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
import scipy.optimize
import torch

from audiometamer.dimensions.ladder import Ladder, MovedStimulus
from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.analysis.sensitivity import Decision, Values
from audiometamer.exploration.course import ExplorationCourse
from audiometamer.exploration.observers import Observer
from audiometamer.exploration.presented import Presented
from audiometamer.exploration.trials import Answered
from audiometamer.listening.adaptive import CompletedTrial
from audiometamer.signals.audio import Clip

Sound = tuple[str, str, float]  # dimension, reference, wished change
_WRONG = "0"  # no interval has this number


def sensitivities(ladder: Ladder, observer: Observer, *, progress: Callable[[float], None] | None = None) -> dict[Sound, float]:
    """An observer's d′ for every moved signal of a ladder against its reference, by dimension, reference and wished change.

    Parameters
    ----------
    ladder : Ladder
    observer : Observer
        Whose d′ takes signals on the CPU; one reference stands for all the signals of a batch.
    progress : callable, optional
        Told the share that is done.
    """
    clips: dict[str, Clip] = {}
    found: dict[Sound, float] = {}
    for k, ((dimension, name), rungs) in enumerate(ladder.rungs.items()):
        clip = clips.setdefault(name, clips.get(name) or ladder.clip(name))
        values = observer.d_prime(clip.samples[None], torch.stack([rung.read() for rung in rungs])).tolist()
        found |= {(dimension, name, rung.record.wished): d for rung, d in zip(rungs, values, strict=True)}
        if progress is not None:
            progress((k + 1) / len(ladder.rungs))
    return found


def true_threshold(ladder: Ladder, sensitivity: Mapping[Sound, float], dimension: str, decision: Decision) -> float:
    """The reached change at which an observer's proportion correct, mean over the references of a dimension, is the target.

    Between the changes of the ladder, d′ of each reference is interpolated, both in logarithms; beyond them it goes
    in proportion to the change. No answers are drawn and nothing is fitted. Signals that the observer cannot tell from their
    reference at all are passed over; a reference of which there is no other is answered by chance. A threshold more than
    tenfold beyond the ladder is 0 or infinite.
    """
    curves = [_curve(ladder.of(dimension, name), sensitivity) for name in ladder.references(dimension)]
    heard = [curve for curve in curves if curve is not None]
    if not heard:
        return math.inf
    ends = [float(end) for end in (min(x[0] for x, _ in heard), max(x[-1] for x, _ in heard))]

    def excess(change: float) -> float:
        d = [0.0 if curve is None else math.exp(_line(change, *curve)) for curve in curves]
        return float(np.mean(decision.proportion(d))) - decision.target

    first, last = ends[0] - math.log(10), ends[1] + math.log(10)
    if not excess(first) < 0 < excess(last):
        return 0.0 if excess(first) >= 0 else math.inf
    return math.exp(scipy.optimize.brentq(excess, first, last))


def _curve(rungs: Sequence[MovedStimulus], sensitivity: Mapping[Sound, float]) -> tuple[Values, Values] | None:
    """Logarithms of reached change and d′, where both rise: a larger wish may reach less. None where nothing can be noticed."""
    known = [(each.record.reached, sensitivity[each.record.dimension, each.record.clip, each.record.wished]) for each in rungs]
    points = sorted((math.log(reached), math.log(d)) for reached, d in known if reached > 0 and d > 0)
    if not points:
        return None
    x, y = np.array(points).T
    new = np.concatenate([[True], np.diff(x) > 1e-3])
    return x[new], y[new]


def _line(at: float, x: Values, y: Values) -> float:
    return float(np.interp(at, x, y)) + min(at - x[0], 0.0) + max(at - x[-1], 0.0)


def simulate(
    course: ExplorationCourse,
    number: int,
    sensitivity: Mapping[Sound, float],
    decision: Decision,
    *,
    seed: int,
    listener: str = "",
) -> list[Answered]:
    """The answers of one simulated listener, from the first comparison to the last, as a course decides them one by one.

    Parameters
    ----------
    course : ExplorationCourse
        Of signals of the ladder alone.
    number : int
        Of the list.
    sensitivity : mapping
        See `sensitivities`.
    decision : Decision
        Of the task of the course; its lapses are the listener's.
    seed : int
        Of the answers.
    listener : str
        Default: the number.
    """
    rng, heard, rows = np.random.default_rng([seed, number]), list[CompletedTrial](), list[Answered]()
    while (wanted := course.next(number, heard)) is not None:
        decided = course.decide(wanted, lambda: 0.0, lambda: False)
        if decided is None:
            raise AudioMetamerError(f"trial {wanted.trial} of list {number} has no sound")
        about = msgspec.convert(decided.about, Presented)
        d = sensitivity[about.dimension, about.reference, about.made]
        correct = bool(rng.random() < decision.proportion(d))
        answer = decided.answer if correct else _WRONG
        heard.append(CompletedTrial(decided, answer, correct))
        rows.append(Answered.to(decided, listener=listener or str(number), task=course.design.task.kind, answer=answer))
    return rows
