"""Collecting answers from pages without a server: checked as by the server, and stored exactly once."""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.listening.folder import Experiment
from audiometamer.listening.list_names import list_names
from audiometamer.listening.messages import AnswerMessage, Message
from audiometamer.listening.psychopy import read_psychopy
from audiometamer.listening.refusals import RefusedError, UnnamedError
from audiometamer.listening.store import Store
from audiometamer.listening.submissions import ByteBudget, Submission, SubmissionFile, reason_of

_decode_message = msgspec.json.Decoder(Message).decode


class RefusalsError(AudioMetamerError):
    """Nothing was taken of some files or listeners; all others were taken.

    Parameters
    ----------
    refusals : sequence of str
        One line for each.
    taken : list of CollectedListener
    """

    def __init__(self, refusals: Sequence[str], taken: "list[CollectedListener]") -> None:
        super().__init__(refusals[0] if len(refusals) == 1 else f"{len(refusals)} refusals: {'; '.join(refusals)}")
        self.refusals, self.taken = refusals, taken


class CollectedListener(NamedTuple):
    """The data taken from one listener.

    Parameters
    ----------
    file : path
    listener : int
    number : int
        Number of the list.
    answers : int
        Number of answers.
    """

    file: Path
    listener: int
    number: int
    answers: int


def collect(
    experiment: Experiment,
    files: Sequence[Path],
    store: Store,
    *,
    response: str | None = None,
    reaction_time: str | None = None,
) -> list[CollectedListener]:
    """Take in files of answers; repeating a file changes nothing, and the order of files does not matter.

    Parameters
    ----------
    experiment : Experiment
    files : sequence of path
        Files from a static folder (``.jsonl``), JATOS (result data as text, or zipped), or PsychoPy (``.csv``).
    store : Store
    response : str, optional
        Column of PsychoPy's files with the answers.
    reaction_time : str, optional
        Column with reaction times in s. Default: ``.rt`` of the same component as `response`.

    Returns
    -------
    list of CollectedListener
        Sorted by the number of the list.

    Raises
    ------
    RefusalsError
        If a file cannot be read, belongs to another experiment, or was changed: nothing is taken of a listener with whom
        something is wrong, and everything of all others.
    UnavailableError
        If the disk is full or the database is locked.
    """
    numbers = {name: number for number, name in enumerate(list_names(experiment), start=1)}
    budget, found, refusals = ByteBudget(), list[Submission](), list[str]()
    for file in files:
        try:
            _check_is_file(file)
            if file.suffix == ".csv":
                found.append(read_psychopy(file, experiment, response, reaction_time))
            else:
                submissions = SubmissionFile(file, numbers, budget)
                found += submissions.read()
                refusals += submissions.refusals
        except AudioMetamerError as error:
            refusals.append(str(error))
    taken = list[CollectedListener]()
    for one in sorted(found, key=lambda one: (one.number, one.participant.service, one.participant.name)):
        try:
            taken.append(_admit(one, store))
        except _ListenerError as error:
            refusals.append(str(error))
    if refusals:
        raise RefusalsError(refusals, taken)
    return taken


class _ListenerError(AudioMetamerError):
    """Nothing of a listener was taken."""


def _admit(sent: Submission, store: Store) -> CollectedListener:
    messages = [_decode_message(line) for line in sent.lines]
    try:
        listener = store.admit(sent.participant, sent.number, messages)
    except UnnamedError as error:
        raise _ListenerError(f"{sent.file}: {error}: its participant is {sent.participant.name[:60]!r}") from error
    except RefusedError as error:
        raise _ListenerError(f"{sent.file}, list {sent.number}: {error}; nothing of this listener was taken from it") from error
    answered = {message.trial for message in messages if isinstance(message, AnswerMessage)}
    return CollectedListener(sent.file, listener, sent.number, len(answered))


def _check_is_file(file: Path) -> None:
    """Raise unless it is a regular file: pipes may never begin, and devices never end."""
    try:
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device, not a file")
    except (OSError, ValueError) as error:
        raise AudioMetamerError(f"{file} cannot be read: {reason_of(error)}") from error
