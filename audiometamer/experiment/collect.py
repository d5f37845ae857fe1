"""Answers that were given without a server, taken into the experiment: with the checks of the server, each exactly once."""

import hashlib
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.folder import Experiment
from audiometamer.experiment.identity import identity
from audiometamer.experiment.messages import Answer, Events, Form, Message
from audiometamer.experiment.pack import list_names
from audiometamer.experiment.store import Person, RefusedError, Store, UnnamedError
from audiometamer.tables import read_table

_MOST_BYTES = 1 << 28  # of one listener's results, once they are unpacked
_DATE = "%Y-%m-%d_%Hh%M.%S.%f"


class Header(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, tag_field="kind", tag="listener"):
    """The line before a listener's messages.

    Parameters
    ----------
    audiometamer : str
        The version that the page was of.
    service : {"static", "jatos"}
    list : str
        Its name, see `audiometamer.experiment.pack.list_name`.
    listener : str
        Drawn by the page, or from what JATOS tells of the worker.
    """

    audiometamer: str
    service: str
    list: str
    listener: str


class Collected(NamedTuple):
    """What was taken from one listener.

    Parameters
    ----------
    file : path
    listener : int
    number : int
        Of the list.
    answers : int
    """

    file: Path
    listener: int
    number: int
    answers: int


class Sent(NamedTuple):
    """All messages of one listener in one file, in their order."""

    file: Path
    person: Person
    number: int
    messages: list[Message]


def collect(
    experiment: Experiment,
    files: Sequence[Path],
    store: Store,
    *,
    response: str | None = None,
    reaction_time: str | None = None,
) -> list[Collected]:
    """Take in files of answers; the same file again changes nothing, and the order of files does not matter.

    Parameters
    ----------
    experiment : Experiment
    files : sequence of path
        Of a static folder (``.jsonl``), of JATOS (result data as text, or zipped), or of PsychoPy (``.csv``).
    store : Store
    response : str, optional
        The column of PsychoPy's files with the answers.
    reaction_time : str, optional
        Their column with reaction times in s. Default: ``.rt`` of the same component as `response`.

    Returns
    -------
    list of Collected
        By the number of the list.

    Raises
    ------
    AudioMetamerError
        If a file cannot be read, is of another experiment, or was changed: of the listener with whom something is wrong nothing
        is taken.
    """
    numbers = {name: number for number, name in enumerate(list_names(experiment), start=1)}
    found: list[Sent] = []
    for file in files:
        found += _read_psychopy(file, experiment, response, reaction_time) if file.suffix == ".csv" else _read_sent(file, numbers)
    found.sort(key=lambda one: (one.number, one.person.service, one.person.participant))
    return [_admit(one, store) for one in found]


def _admit(sent: Sent, store: Store) -> Collected:
    try:
        listener = store.admit(sent.person, sent.number, sent.messages)
    except UnnamedError as error:
        raise AudioMetamerError(f"{sent.file}: {error}: its participant is {sent.person.participant[:60]!r}") from error
    except RefusedError as error:
        raise AudioMetamerError(
            f"{sent.file}, list {sent.number}: {error}; nothing of this listener was taken from it"
        ) from error
    answered = {message.trial for message in sent.messages if isinstance(message, Answer)}
    return Collected(sent.file, listener, sent.number, len(answered))


def _read_sent(file: Path, numbers: Mapping[str, int]) -> list[Sent]:
    """The listeners of a file of lines; where JATOS starts a page again, their line stands there again."""
    found: dict[tuple[str, str], Sent] = {}
    sent: Sent | None = None
    for place, line in _lines(file):
        try:
            told = _decode(line)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise AudioMetamerError(f"{place} is no line of a file of answers: {error}") from error
        if isinstance(told, Header):
            if told.list not in numbers:
                raise AudioMetamerError(f"{place}: list {told.list[:12]!r} is none of this experiment's")
            person = Person(told.service, told.listener, {"audiometamer": told.audiometamer})
            sent = found.setdefault((told.list, told.listener), Sent(file, person, numbers[told.list], []))
        elif sent is None:
            raise AudioMetamerError(f"{place}: nothing says whose answers these are; give the whole file as it was saved")
        else:
            sent.messages.append(told)
    if not found:
        raise AudioMetamerError(f"{file} holds no answers")
    return list(found.values())


_decode = msgspec.json.Decoder(Header | Answer | Form | Events).decode


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    """The lines of a file, of all results if it is a zip of JATOS, and where they stand."""
    try:
        if not zipfile.is_zipfile(file):
            yield from _numbered(str(file), file.read_bytes())
            return
        with zipfile.ZipFile(file) as archive:
            for entry in sorted((entry for entry in archive.infolist() if entry.filename.endswith("data.txt")), key=_run):
                if entry.file_size > _MOST_BYTES:
                    raise AudioMetamerError(f"{file}, {entry.filename}: {entry.file_size} bytes are too many")
                yield from _numbered(f"{file}, {entry.filename}", archive.read(entry))
    except (
        OSError,
        UnicodeDecodeError,
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,
    ) as error:  # RuntimeError: it has a password
        raise AudioMetamerError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _numbered(name: str, content: bytes) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(content.decode("utf-8-sig").split("\n"), start=1):
        if line.strip():
            yield f"{name}, line {number}", line


def _run(entry: zipfile.ZipInfo) -> list[int]:
    """JATOS numbers its results as they were begun: ``study_result_12/comp-result_34/data.txt``."""
    return [int(number) for number in re.findall(r"\d+", entry.filename)]


def _read_psychopy(file: Path, experiment: Experiment, response: str | None, reaction_time: str | None) -> list[Sent]:
    """The trials of one run of PsychoPy: rows with a sound. Consent was its own affair; times are those of its beginning."""
    if response is None:
        raise AudioMetamerError(f"{file}: say which column holds the answers (--response), as in key_resp.keys")
    seconds = reaction_time or f"{response.rpartition('.')[0]}.rt"
    rows = read_table(file, required=["participant", "date", "list", "trial", "stim_id", response, seconds])
    rows = [row for row in rows if row["stim_id"]]
    if not rows or len({(row["participant"], row["date"], row["list"]) for row in rows}) != 1:
        raise AudioMetamerError(f"{file} must hold the trials of one participant, date and list")
    given, date, number = rows[0]["participant"], _moment(rows[0]["date"], file), rows[0]["list"]
    participant = identity(given)
    if participant is None or not number.isdecimal() or not 1 <= int(number) <= len(experiment.lists.listeners):
        raise AudioMetamerError(f"{file}: participant {given!r} and list {number!r} are none of this experiment's")
    messages: list[Message] = [Form(key=_key(number, participant, "consent"), form="consent", content={"source": "PsychoPy"})]
    for line, row in enumerate(rows, start=1):
        try:
            told = {
                "kind": "answer", "key": _key(number, participant, row["trial"]), "trial": int(row["trial"]),
                "stimulus": row["stim_id"], "answer": row[response].strip(), "reaction_time_ms": 1000 * float(row[seconds]),
                "plays": 1, "started": date, "answered": date, "playback": {"source": "PsychoPy"},
            }  # fmt: skip
            messages.append(msgspec.convert(told, Answer))
        except (ValueError, msgspec.ValidationError) as error:
            raise AudioMetamerError(f"{file}, trial {row['trial']!r} (the {line}th with a sound): {error}") from error
    return [Sent(file, Person("psychopy", participant, {}), int(number), messages)]


def _moment(text: str, file: Path) -> datetime:
    """When PsychoPy began, in the time zone of this machine."""
    try:
        return datetime.strptime(text, _DATE).astimezone()
    except (ValueError, OverflowError) as error:
        raise AudioMetamerError(f"{file}: date is {text!r}; it must be as PsychoPy writes it: 2026-03-01_10h15.30.123") from error


def _key(*parts: str) -> str:
    """The same for the same trial of the same participant, so that a file that is read again changes nothing."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
