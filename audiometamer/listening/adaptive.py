"""Trials that are decided on the way: what a listener hears next may depend on what they answered before."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from audiometamer.listening.messages import AnswerMessage
from audiometamer.listening.trials import Trial


class TrialRequest(msgspec.Struct, frozen=True):
    """What the next trial is to be, before its sound is there.

    Parameters
    ----------
    trial : int
        Its number; those of the list that was drawn beforehand are counted too.
    kind : {"practice", "main", "catch"}
    about : dict
        Whatever `AdaptiveSequence.decide` needs.
    """

    trial: int
    kind: Literal["practice", "main", "catch"]
    about: dict[str, Any]


class DecidedTrial(msgspec.Struct, frozen=True, omit_defaults=True):
    """A trial that was decided on the way, as the store keeps it; of it, a page is told `trial` alone.

    Parameters
    ----------
    trial : Trial
        Number, kind, options, and the name of what is heard or seen: one that says nothing, and stands for this alone.
    answer : str
        The right one.
    about : dict
        What the trial is, in the course's own words.
    """

    trial: Trial
    answer: str
    about: dict[str, Any]


class CompletedTrial(NamedTuple):
    """A decided trial that was answered."""

    decided: DecidedTrial
    answer: str
    correct: bool


class AdaptiveSequence(Protocol):
    """What a listener hears after the list that was drawn beforehand, where that depends on the answers.

    It has no state: everything follows from the built folder, the number of the list and what was heard, so that a server that
    was killed goes on as if nothing had happened. Its methods are called from several threads.
    """

    def next(self, number: int, heard: Sequence[CompletedTrial]) -> TrialRequest | None:
        """What comes next in list `number` once all of `heard` was answered; None: it is over. Quick, for each answer asks it."""

    def ahead(self, number: int, heard: Sequence[CompletedTrial], pending: DecidedTrial) -> TrialRequest | None:
        """What comes after `pending`, which follows `heard`, where that is the same whatever the answer to it; otherwise None."""

    def decide(self, wanted: TrialRequest, waited: Callable[[], float], gone: Callable[[], bool]) -> DecidedTrial | None:
        """Make the trial that is wanted; this may take as long as a sound needs to be made.

        Parameters
        ----------
        wanted : TrialRequest
        waited : function
            For how many s the listener has been waiting; 0 as long as they are busy with the trial before. Whoever makes sounds
            takes the next best one soon after it exceeds the longest wait of the design.
        gone : function
            Whether the server ends, or nobody asks for the trial any more.

        Returns
        -------
        DecidedTrial or None
            None only if `gone()`; the same is wanted again later.
        """

    def stimulus(self, decided: DecidedTrial) -> Path | bytes:
        """The WAV of a trial, or the PNG of one on images; always the same for the same trial."""

    def check(self, number: int, decided: DecidedTrial) -> None:
        """Raise `ValueError` if a trial that was read from a database cannot be one of list `number`."""

    def progress(self, number: int, heard: Sequence[CompletedTrial]) -> float:
        """How much of it is done, from 0 to 1."""

    @property
    def columns(self) -> Sequence[str]:
        """Columns of ``trials.tsv``."""

    def row(self, listener: str, decided: DecidedTrial, answer: AnswerMessage) -> Mapping[str, object]:
        """Row of ``trials.tsv`` for one answer of one listener, by column."""
