"""The course of an exploration: which comparison comes next, of all that a listener has answered so far.

Whatever is drawn (the dimension whose turn it is, the reference, the order of the sounds, their levels) follows from the seed,
the private key, the number of the list and how much was heard; only how far a signal is moved follows from the answers.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from audiometamer.dimensions.ladder import Ladder, MovedStimulus
from audiometamer.exploration.design import ExplorationDesign, common_changes
from audiometamer.exploration.making import MoveRequest, RenderQueue
from audiometamer.exploration.presented import Presented, Way
from audiometamer.exploration.results import answered_trial
from audiometamer.exploration.trial_stimuli import Latest, headroom_db, trial_png, trial_wav
from audiometamer.exploration.trials import COLUMNS, level_of, row_of
from audiometamer.io.draws import Draws
from audiometamer.listening.adaptive import CompletedTrial, DecidedTrial, TrialRequest
from audiometamer.listening.design import INTERVALS
from audiometamer.listening.messages import AnswerMessage
from audiometamer.listening.trials import ARRANGEMENTS, Trial, interval_order
from audiometamer.psychophysics import Answer, Interleaving, Procedure

T = TypeVar("T")
Kind = Literal["practice", "main", "catch"]
_KINDS = ("practice", "main", "catch")  # a kind's place in it is its number in the seeds of draws
# Of what is drawn, each from numbers of its own: draws.generator(_, list, …).
_DEAL, _TURNS, _CATCH, _ROVE, _REFERENCE, _ARRANGEMENT, _DIMENSION = range(10, 17)
_SECONDS_TO_LOOK = 0.05  # between two looks whether a listener has waited too long
_SECONDS_TO_SEND = 0.1  # for an answer to be kept and a sound to be sent, by a machine with far more to do than it can
_AS_GOOD = 1.02  # ratio of two changes; what is reached differs as much from what is wished


class Asked(msgspec.Struct, frozen=True):
    """What a trial is to compare, before it is known which sound can be played; see `Presented`."""

    number: int
    dimension: str
    reference: str
    wished: float
    arrangement: int
    rove_db: list[float]

    @property
    def wish(self) -> tuple[str, str, float]:
        """Dimension, reference and wished change."""
        return self.dimension, self.reference, self.wished


@dataclass(frozen=True)
class ExplorationCourse:
    """Implements `audiometamer.listening.adaptive.AdaptiveSequence`.

    Parameters
    ----------
    folder : path
        Of the experiment; the ladder lies in it.
    design : ExplorationDesign
    ladder : Ladder
    draws : Draws
    maker : Maker, optional
        Who makes sounds on-line. Default: nobody, and all sounds are of the ladder.
    rendered : Latest
        Files of trials that are ready, by the names of their stimuli.
    """

    folder: Path
    design: ExplorationDesign
    ladder: Ladder
    draws: Draws
    maker: RenderQueue | None = None
    rendered: Latest = field(default_factory=Latest, compare=False, repr=False)

    def next(self, number: int, heard: Sequence[CompletedTrial]) -> TrialRequest | None:
        """What comes next: practice, then the procedures' trials with catch trials among them; None when all have ended."""
        presented = [_presented(one.decided) for one in heard]
        turn = self.interleaving(number).next(list(_answers(heard, presented)))
        if turn is None:
            return None
        kind = self._kind(number, len(heard))
        dimension, wished = turn if kind == "main" else self._easiest(number, kind, heard)
        n = sum(one.decided.trial.kind == kind and p.dimension == dimension for one, p in zip(heard, presented, strict=True))
        asked = Asked(
            number,
            dimension,
            self._draw(n, self.ladder.references(dimension), _REFERENCE, number, _KINDS.index(kind), _code(dimension)),
            wished,
            self._draw(n, range(ARRANGEMENTS[self.design.task.kind]), _ARRANGEMENT, number, _KINDS.index(kind), _code(dimension)),
            self._roved(number, len(heard)),
        )
        return TrialRequest(self.design.headphone_trials + len(heard) + 1, kind, msgspec.to_builtins(asked))

    def ahead(self, number: int, heard: Sequence[CompletedTrial], pending: DecidedTrial) -> TrialRequest | None:
        """What comes after `pending` if that is the same whatever the answer; a maker is told what may come then and later."""
        if self.maker is not None:
            self._foretell(self.maker, number, heard, pending)
        right, wrong = (self.next(number, [*heard, _as_if_answered(pending, correct=correct)]) for correct in (True, False))
        return right if right == wrong else None

    def decide(self, wanted: TrialRequest, waited: Callable[[], float], gone: Callable[[], bool]) -> DecidedTrial | None:
        """Choose the sound: the nearest of the ladder, unless another is to be made on-line and is there in time."""
        asked = msgspec.convert(wanted.about, Asked)
        nearest = self.ladder.nearest(*asked.wish)
        if self.maker is None or _is_as_good(nearest, asked):
            return self._decided(wanted, asked, nearest, "ladder", waited())
        self.maker.want(*asked.wish, urgency=waited(), listener=asked.number)
        made = self.maker.wait(*asked.wish)
        if made is None:
            began = time.monotonic()
            self._render(self._decided(wanted, asked, nearest, "fallback", 0.0))
            made = self._made(self.maker, asked, waited, gone, to_render=time.monotonic() - began)
        if made is None:
            self.maker.want(
                *asked.wish, urgency=-math.inf, listener=asked.number
            )  # nobody waits; the same may be wished for again
            return None if gone() else self._decided(wanted, asked, nearest, "fallback", waited())
        return self._decided(wanted, self._lowered(asked, made), made, "online", waited())

    def _made(
        self, maker: RenderQueue, asked: Asked, waited: Callable[[], float], gone: Callable[[], bool], *, to_render: float
    ) -> MovedStimulus | None:
        """A sound that is made on-line, if it comes so long before the longest wait ends that it is rendered and sent by then.

        Who waits longer comes first.
        """
        longest = max(self.design.making.longest_wait - to_render - _SECONDS_TO_LOOK - _SECONDS_TO_SEND, 0.0)
        while True:
            maker.want(*asked.wish, urgency=waited(), listener=asked.number)
            rung = maker.wait(*asked.wish, timeout=_SECONDS_TO_LOOK)
            if rung is not None or waited() > longest or gone() or not maker.can_come(*asked.wish):
                return rung

    def _foretell(self, maker: RenderQueue, number: int, heard: Sequence[CompletedTrial], pending: DecidedTrial) -> None:
        """Tell a maker what may come after a trial, and what was told so after the trial before and will not come any more."""
        before = self._foreseen(number, heard[:-1], heard[-1].decided) if heard else {}
        now = self._foreseen(number, heard, pending)
        for wish in before.keys() - now.keys():
            maker.drop(*wish, listener=number)
        for wish, turns in now.items():
            maker.want(*wish, urgency=-turns, listener=number)

    def _foreseen(self, number: int, heard: Sequence[CompletedTrial], pending: DecidedTrial) -> dict[MoveRequest, int]:
        """Sounds that the ladder lacks and the next few trials may need, and after how many trials.

        Whatever the answer to `pending`; those to the trials in between are taken to be right.
        """
        found: dict[MoveRequest, int] = {}
        for correct in (True, False):
            then = [*heard, _as_if_answered(pending, correct=correct)]
            for turns in range(1, self.design.making.ahead + 1):
                if (wanted := self.next(number, then)) is None:
                    break
                asked = msgspec.convert(wanted.about, Asked)
                nearest = self.ladder.nearest(*asked.wish)
                if not _is_as_good(nearest, asked):
                    found.setdefault(MoveRequest.of(*asked.wish), turns)
                then.append(_as_if_answered(self._decided(wanted, asked, nearest, "ladder", 0.0), correct=True))
        return found

    def _lowered(self, asked: Asked, made: MovedStimulus) -> Asked:
        """A trial all of whose sounds are so much softer that one which was not there when levels were set does not clip."""
        if self.design.image_settings is not None:
            return asked
        excess = max(asked.rove_db) - headroom_db(made.path, self.design)
        lower = math.ceil(100 * max(excess, 0.0)) / 100
        return msgspec.structs.replace(asked, rove_db=[round(gain - lower, 2) for gain in asked.rove_db])

    def stimulus(self, decided: DecidedTrial) -> bytes:
        """The sounds of a trial as one WAV, or its images as one PNG; see `audiometamer.exploration.trial_stimuli`."""
        name, presented = decided.trial.stimulus, _presented(decided)
        if (ready := self.rendered.get(name)) is not None:
            return ready
        if self.design.image_settings is not None:
            return trial_png(self.folder, presented, self.design)
        return trial_wav(self.folder, presented, self.design, name=name, draws=self.draws)

    def _render(self, decided: DecidedTrial) -> None:
        """Have the file of a trial ready that may be asked for soon."""
        self.rendered.keep(decided.trial.stimulus, self.stimulus(decided))

    def check(self, number: int, decided: DecidedTrial) -> None:
        """Raise `ValueError` if a trial that was read from a database cannot be one of list `number`."""
        presented = _presented(decided)
        if presented.dimension not in self.dealt(number):
            raise ValueError(f"its dimension {presented.dimension!r} is not explored in list {number}")

    def progress(self, number: int, heard: Sequence[CompletedTrial]) -> float:
        """The mean over the list's procedures of how much of each is done."""
        interleaving = self.interleaving(number)
        trials = interleaving.trials(list(_answers(heard, [_presented(one.decided) for one in heard])))
        return statistics.fmean(interleaving.procedures[name].done(own) for name, own in trials.items())

    @property
    def columns(self) -> Sequence[str]:
        """Columns of ``trials.tsv``; see `audiometamer.exploration.trials`."""
        return COLUMNS

    def row(self, listener: str, decided: DecidedTrial, answer: AnswerMessage) -> dict[str, Any]:
        """Row of ``trials.tsv`` for one answer of one listener, by column."""
        return row_of(answered_trial(listener, self.design.task.kind, decided, answer))

    @cached_property
    def dimensions(self) -> list[str]:
        """All that are explored, in the order of the ladder."""
        return self.design.chosen(self.ladder)

    def dealt(self, number: int) -> list[str]:
        """The dimensions of one list; over lists, each dimension is dealt equally often within one."""
        order = self.draws.generator(_DEAL).permutation(len(self.dimensions))
        each = self.design.ladder.each or len(order)
        places = {int(order[((number - 1) * each + k) % len(order)]) for k in range(each)}
        return [self.dimensions[place] for place in sorted(places)]

    @cached_property
    def procedures(self) -> Mapping[str, Procedure]:
        """By dimension; those over the same levels are one object, as a procedure holds nothing but settings."""
        levels = {dimension: self.design.levels(self.ladder, dimension) for dimension in self.dimensions}
        made = {each: self.design.procedure_over(each) for each in dict.fromkeys(levels.values())}
        return {dimension: made[each] for dimension, each in levels.items()}

    def interleaving(self, number: int) -> Interleaving:
        """The procedures of one list."""
        procedures = {dimension: self.procedures[dimension] for dimension in self.dealt(number)}
        return Interleaving(procedures=procedures, seed=self.draws.subseed(_TURNS, number))

    def _kind(self, number: int, heard: int) -> Kind:
        """Practice first; then one catch trial at a random place of each stretch."""
        place, every = heard - self.design.practice.trials, self.design.catch.every
        if place < 0:
            return "practice"
        if not every:
            return "main"
        stretch, at = divmod(place, every)
        return "catch" if at == self.draws.generator(_CATCH, number, stretch).integers(every) else "main"

    def _easiest(self, number: int, kind: Kind, heard: Sequence[CompletedTrial]) -> tuple[str, float]:
        """The dimension of a trial that is no procedure's, and the largest change that its references have.

        Of practice, each in its turn; of catch trials, the one that changes signals most, as all who attend must notice it.
        """
        if kind == "catch":
            dimension = min(self.dealt(number), key=self._likeness.__getitem__)
        else:
            n = sum(one.decided.trial.kind == kind for one in heard)
            dimension = self._draw(n, self.dealt(number), _DIMENSION, number, _KINDS.index(kind))
        return dimension, common_changes(self.ladder, dimension)[-1]

    @cached_property
    def _likeness(self) -> dict[str, float]:
        """How alike references and signals with the largest change are, by dimension: median SNR, in dB."""
        return {dimension: statistics.median(self._snrs(dimension)) for dimension in self.dimensions}

    def _snrs(self, dimension: str) -> Iterator[float]:
        largest = common_changes(self.ladder, dimension)[-1]
        for reference in self.ladder.references(dimension):
            snr_db = self.ladder.nearest(dimension, reference, largest).record.physical.snr_db
            yield math.inf if snr_db is None else snr_db

    def _draw(self, n: int, things: Sequence[T], *keys: int) -> T:
        """The nth of an endless row in which all things come once, in random order, before any comes again."""
        turn, place = divmod(n, len(things))
        return things[int(self.draws.generator(*keys, turn).permutation(len(things))[place])]

    def _roved(self, number: int, heard: int) -> list[float]:
        """A gain for each interval, in hundredths of a dB."""
        intervals, rove = INTERVALS[self.design.task.kind], self.design.task.rove
        gains: list[float] = self.draws.generator(_ROVE, number, heard).uniform(-rove, rove, intervals).round(2).tolist()
        return gains

    def _decided(self, wanted: TrialRequest, asked: Asked, rung: MovedStimulus, way: Way, waited: float) -> DecidedTrial:
        found = rung.record
        presented = Presented(
            number=asked.number, dimension=asked.dimension, reference=asked.reference, wished=asked.wished, made=found.wished,
            reached=found.reached, leakage=found.leakage, snr_db=found.physical.snr_db, modulation=found.physical.modulation,
            level_db=found.physical.level_db, way=way, waited=round(waited, 3), arrangement=asked.arrangement,
            rove_db=asked.rove_db, original=self._name(self.ladder.nearest(*asked.wish).original), moved=self._name(rung.path),
        )  # fmt: skip
        # Of what is presented: a list that is given to another listener may have other sounds in the same trials.
        heard = (wanted.trial, presented.original, presented.moved, presented.arrangement, presented.rove_db)
        name = self.draws.name(f"{asked.number} {heard}")
        _, right = interval_order(self.design.task.kind, asked.arrangement)
        return DecidedTrial(Trial(wanted.trial, wanted.kind, name), right, msgspec.to_builtins(presented))

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def _is_as_good(rung: MovedStimulus, asked: Asked) -> bool:
    """Whether a sound of the ladder is so near that none need be made."""
    return max(rung.record.wished / asked.wished, asked.wished / rung.record.wished) <= _AS_GOOD


def _presented(decided: DecidedTrial) -> Presented:
    return msgspec.convert(decided.about, Presented)


def _answers(heard: Sequence[CompletedTrial], presented: Sequence[Presented]) -> Iterator[Answer]:
    """Those that are of the procedures."""
    for one, about in zip(heard, presented, strict=True):
        if one.decided.trial.kind == "main":
            yield Answer(about.dimension, level_of(about.reached), one.correct)


def _as_if_answered(decided: DecidedTrial, *, correct: bool) -> CompletedTrial:
    """As if a trial had been answered."""
    return CompletedTrial(decided, decided.answer if correct else "", correct)


def _code(name: str) -> int:
    """A number that stands for a name, in the seeds of draws."""
    return int.from_bytes(name.encode())
