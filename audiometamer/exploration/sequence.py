"""The trials of an exploration, decided one by one: the scheduled comparison with a stimulus of the ladder or made online."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from audiometamer.dimensions.ladder import Ladder
from audiometamer.dimensions.moved import MovedStimulus
from audiometamer.exploration.design import ExplorationDesign
from audiometamer.exploration.presented_trial import PresentedTrial, StimulusSource
from audiometamer.exploration.render_queue import MoveRequest, RenderQueue
from audiometamer.exploration.results import answered_trial
from audiometamer.exploration.schedule import Comparison, Schedule
from audiometamer.exploration.trial_stimuli import RecentFiles, headroom_db, trial_png, trial_wav
from audiometamer.exploration.trials import COLUMNS, row_of
from audiometamer.io.draws import Draws
from audiometamer.listening.adaptive import CompletedTrial, DecidedTrial, TrialRequest
from audiometamer.listening.messages import AnswerMessage
from audiometamer.listening.trials import Trial, interval_order

_POLL_SECONDS = 0.05  # between two checks whether a listener has waited too long
_SENDING_SECONDS = 0.1  # to store an answer and to send a sound, on a busy machine
_CLOSE_ENOUGH = 1.02  # ratio of two changes; reached and requested changes differ as much


@dataclass(frozen=True)
class ExplorationSequence:
    """Implements `audiometamer.listening.adaptive.AdaptiveSequence`.

    Parameters
    ----------
    folder : path
        The experiment's folder, which holds the ladder.
    design : ExplorationDesign
    ladder : Ladder
    draws : Draws
    render_queue : RenderQueue, optional
        Makes stimuli online. Default: all stimuli are of the ladder.
    rendered : RecentFiles
        Files of trials that are ready, by the names of their stimuli.
    """

    folder: Path
    design: ExplorationDesign
    ladder: Ladder
    draws: Draws
    render_queue: RenderQueue | None = None
    rendered: RecentFiles = field(default_factory=RecentFiles, compare=False, repr=False)

    @cached_property
    def schedule(self) -> Schedule:
        """Which comparisons are made."""
        return Schedule(self.design, self.ladder, self.draws)

    def next(self, number: int, completed: Sequence[CompletedTrial]) -> TrialRequest | None:
        """The next trial of a list: practice, then the procedures' trials with catch trials among them; None at the end."""
        if (scheduled := self.schedule.next(number, completed)) is None:
            return None
        return TrialRequest(
            self.design.headphone_trials + len(completed) + 1, scheduled.kind, msgspec.to_builtins(scheduled.comparison)
        )

    def ahead(self, number: int, completed: Sequence[CompletedTrial], pending: DecidedTrial) -> TrialRequest | None:
        """The trial after `pending` if it is the same whatever the answer; a render queue learns what may be needed soon."""
        if self.render_queue is not None:
            self._prefetch(self.render_queue, number, completed, pending)
        right, wrong = (self.next(number, [*completed, _as_if_answered(pending, correct=correct)]) for correct in (True, False))
        return right if right == wrong else None

    def decide(self, wanted: TrialRequest, waited: Callable[[], float], gone: Callable[[], bool]) -> DecidedTrial | None:
        """Choose the stimulus: the nearest of the ladder, unless a closer one is made online and ready in time."""
        comparison = msgspec.convert(wanted.about, Comparison)
        nearest = self._nearest(comparison)
        if self.render_queue is None or _is_close_enough(nearest, comparison):
            return self._decided(wanted, comparison, nearest, "ladder", waited())
        fallback = self._decided(wanted, comparison, nearest, "fallback", 0.0)
        made = self._made_online(self.render_queue, comparison, fallback, waited, gone)
        if made is not None:
            return self._decided(wanted, self._lowered(comparison, made), made, "online", waited())
        return None if gone() else self._decided(wanted, comparison, nearest, "fallback", waited())

    def _made_online(
        self,
        queue: RenderQueue,
        comparison: Comparison,
        fallback: DecidedTrial,
        waited: Callable[[], float],
        gone: Callable[[], bool],
    ) -> MovedStimulus | None:
        """The stimulus made online, or None if it is not ready early enough to be rendered and sent within the longest wait.

        Meanwhile the fallback is rendered, which also shows how long rendering takes. Requests become more urgent while their
        listeners wait.
        """
        request = comparison.move
        queue.want(request, urgency=waited(), listener=comparison.number)
        if (made := queue.wait(request)) is not None:
            return made
        began = time.monotonic()
        self.rendered.keep(fallback.trial.stimulus, self.stimulus(fallback))
        to_render = time.monotonic() - began
        longest = max(self.design.making.longest_wait - to_render - _POLL_SECONDS - _SENDING_SECONDS, 0.0)
        while True:
            queue.want(request, urgency=waited(), listener=comparison.number)
            made = queue.wait(request, timeout=_POLL_SECONDS)
            if made is not None:
                return made
            if waited() > longest or gone() or not queue.can_come(request):
                queue.want(request, urgency=-math.inf, listener=comparison.number)  # a later trial may need it, nobody waits
                return None

    def _prefetch(self, queue: RenderQueue, number: int, completed: Sequence[CompletedTrial], pending: DecidedTrial) -> None:
        """Request the stimuli that may be needed after a trial; drop those requested after the trial before and not needed."""
        before = self._needed_soon(number, completed[:-1], completed[-1].decided) if completed else {}
        now = self._needed_soon(number, completed, pending)
        for request in before.keys() - now.keys():
            queue.drop(request, listener=number)
        for request, trials in now.items():
            queue.want(request, urgency=-trials, listener=number)

    def _needed_soon(self, number: int, completed: Sequence[CompletedTrial], pending: DecidedTrial) -> dict[MoveRequest, int]:
        """Stimuli that the ladder lacks and the next few trials may need, and after how many trials.

        Both answers to `pending` are considered; the answers to later trials are taken to be right.
        """
        found: dict[MoveRequest, int] = {}
        for correct in (True, False):
            then = [*completed, _as_if_answered(pending, correct=correct)]
            for trials in range(1, self.design.making.ahead + 1):
                if (wanted := self.next(number, then)) is None:
                    break
                comparison = msgspec.convert(wanted.about, Comparison)
                nearest = self._nearest(comparison)
                if not _is_close_enough(nearest, comparison):
                    found.setdefault(comparison.move, trials)
                then.append(_as_if_answered(self._decided(wanted, comparison, nearest, "ladder", 0.0), correct=True))
        return found

    def _lowered(self, comparison: Comparison, made: MovedStimulus) -> Comparison:
        """The comparison at levels low enough that a stimulus which did not exist when levels were set does not clip."""
        if self.design.image_settings is not None:
            return comparison
        excess = max(comparison.rove_db) - headroom_db(made.path, self.design)
        lower = math.ceil(100 * max(excess, 0.0)) / 100
        return msgspec.structs.replace(comparison, rove_db=[round(gain - lower, 2) for gain in comparison.rove_db])

    def stimulus(self, decided: DecidedTrial) -> bytes:
        """The sounds of a trial as one WAV, or its images as one PNG; see `audiometamer.exploration.trial_stimuli`."""
        name, presented = decided.trial.stimulus, msgspec.convert(decided.about, PresentedTrial)
        if (ready := self.rendered.get(name)) is not None:
            return ready
        if self.design.image_settings is not None:
            return trial_png(self.folder, presented, self.design)
        return trial_wav(self.folder, presented, self.design, name=name, draws=self.draws)

    def check(self, number: int, decided: DecidedTrial) -> None:
        """Raise `ValueError` if a trial that was read from a database cannot be one of list `number`."""
        presented = msgspec.convert(decided.about, PresentedTrial)
        if presented.dimension not in self.schedule.dimensions_of(number):
            raise ValueError(f"its dimension {presented.dimension!r} is not explored in list {number}")

    def progress(self, number: int, completed: Sequence[CompletedTrial]) -> float:
        """The mean progress of the list's procedures, from 0 to 1."""
        return self.schedule.progress(number, completed)

    @property
    def columns(self) -> Sequence[str]:
        """Columns of ``trials.tsv``; see `audiometamer.exploration.trials`."""
        return COLUMNS

    def row(self, listener: str, decided: DecidedTrial, answer: AnswerMessage) -> dict[str, Any]:
        """Row of ``trials.tsv`` for one answer of one listener, by column."""
        return row_of(answered_trial(listener, self.design.task.kind, decided, answer))

    def _nearest(self, comparison: Comparison) -> MovedStimulus:
        return self.ladder.nearest(comparison.dimension, comparison.reference, comparison.requested)

    def _decided(
        self, wanted: TrialRequest, comparison: Comparison, stimulus: MovedStimulus, source: StimulusSource, waited: float
    ) -> DecidedTrial:
        record = stimulus.record
        presented = PresentedTrial(
            number=comparison.number, dimension=comparison.dimension, reference=comparison.reference,
            requested=comparison.requested, made=record.requested, reached=record.reached, leakage=record.leakage,
            snr_db=record.physical.snr_db, modulation=record.physical.modulation, level_db=record.physical.level_db, way=source,
            waited=round(waited, 3), arrangement=comparison.arrangement, rove_db=comparison.rove_db,
            original=self._relative(self._nearest(comparison).original), moved=self._relative(stimulus.path),
        )  # fmt: skip
        # The name depends on all that is presented: a list given to another listener may have other stimuli in the same trials.
        content = (wanted.trial, presented.original, presented.moved, presented.arrangement, presented.rove_db)
        name = self.draws.name(f"{comparison.number} {content}")
        _, right = interval_order(self.design.task.kind, comparison.arrangement)
        return DecidedTrial(Trial(wanted.trial, wanted.kind, name), right, msgspec.to_builtins(presented))

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def _is_close_enough(stimulus: MovedStimulus, comparison: Comparison) -> bool:
    """Whether a stimulus of the ladder is so near that none needs to be made."""
    made, requested = stimulus.record.requested, comparison.requested
    return max(made / requested, requested / made) <= _CLOSE_ENOUGH


def _as_if_answered(decided: DecidedTrial, *, correct: bool) -> CompletedTrial:
    return CompletedTrial(decided, decided.answer if correct else "", correct)
