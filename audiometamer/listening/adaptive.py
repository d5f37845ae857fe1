"""Adaptive sequences: trials that are decided one at a time, as they depend on the answers to earlier ones."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from audiometamer.listening.messages import AnswerMessage
from audiometamer.listening.trials import Trial


class TrialRequest(msgspec.Struct, frozen=True):
    """The next trial, before its stimulus exists.

    Parameters
    ----------
    trial : int
        Its number; the trials of the list, which were drawn beforehand, count too.
    kind : {"practice", "main", "catch"}
    about : dict
        Whatever `AdaptiveSequence.decide` needs.
    """

    trial: int
    kind: Literal["practice", "main", "catch"]
    about: dict[str, Any]


class DecidedTrial(msgspec.Struct, frozen=True, omit_defaults=True):
    """A decided trial, as the store keeps it; the page receives only `trial`.

    Parameters
    ----------
    trial : Trial
        Number, kind, options, and the opaque name of its stimulus, which no other trial has.
    answer : str
        The right answer.
    about : dict
        Whatever the sequence knows of the trial.
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
    """The trials that follow a list, where they depend on the answers.

    It has no state: everything follows from the built folder, the number of the list and the completed trials, so that a server
    that was killed resumes as if nothing had happened. Its methods are called from several threads.
    """

    def next(self, number: int, completed: Sequence[CompletedTrial]) -> TrialRequest | None:
        """The trial of list `number` after all of `completed`; None at the end. Must be fast: it is called for each answer."""

    def ahead(self, number: int, completed: Sequence[CompletedTrial], pending: DecidedTrial) -> TrialRequest | None:
        """The trial after `pending`, which follows `completed`, where it does not depend on the answer to it; otherwise None."""

    def decide(self, request: TrialRequest, waited: Callable[[], float], cancelled: Callable[[], bool]) -> DecidedTrial | None:
        """Make the requested trial; this may take as long as its sound takes to be made.

        Parameters
        ----------
        request : TrialRequest
        waited : function
            Returns how long the listener has been waiting, in s; 0 as long as they are busy with the trial before. A sequence
            that makes sounds settles for the next best one soon after this exceeds the longest wait of the design.
        cancelled : function
            Returns whether the server is stopping, or nobody asks for the trial any more.

        Returns
        -------
        DecidedTrial or None
            None only if `cancelled()`; the same trial is requested again later.
        """

    def stimulus(self, decided: DecidedTrial) -> Path | bytes:
        """WAV of a trial, or PNG of one on images; always the same for the same trial."""

    def check(self, number: int, decided: DecidedTrial) -> None:
        """Raise `ValueError` if a trial that was read from a database cannot belong to list `number`."""

    def progress(self, number: int, completed: Sequence[CompletedTrial]) -> float:
        """Proportion of the trials that are done, from 0 to 1."""

    @property
    def columns(self) -> Sequence[str]:
        """Columns of ``trials.tsv``."""

    def row(self, listener: str, decided: DecidedTrial, answer: AnswerMessage) -> Mapping[str, object]:
        """Row of ``trials.tsv`` for one answer of one listener, by column."""
