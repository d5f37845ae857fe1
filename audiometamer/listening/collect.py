"""Answers that were given without a server, taken into the experiment: with the checks of the server, each exactly once.

Files come from listeners, whom nobody need trust: all is read in pieces and within bounds, and what is wrong with one listener
harms no other.
"""

import errno
import hashlib
import os
import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Literal, NamedTuple

import msgspec

from audiometamer.errors import AudioMetamerError, first_line
from audiometamer.io.tables import read_table
from audiometamer.listening.enrolment import Participant
from audiometamer.listening.folder import Experiment
from audiometamer.listening.identity import identity
from audiometamer.listening.list_names import list_names
from audiometamer.listening.messages import AnswerMessage, EventsMessage, FormMessage, Message
from audiometamer.listening.refusals import RefusedError, UnnamedError
from audiometamer.listening.store import Store

_MOST_BYTES = 1 << 28  # of all files together, once they are unpacked
_MOST_OF_ONE = 1 << 24  # of one listener in one file
_MOST_ENTRIES = 20_000  # of a zip
_LONGEST_LINE = 1 << 17  # twice what the server takes
_PIECE = 1 << 20
_LINE = re.compile(rb"\S[^\n]*")
_HEADER = re.compile(rb'"kind"\s*:\s*"listener"')
_ENTRY = b"PK\x01\x02"  # begins an entry in the directory of a zip
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others need more memory than they say, and JATOS does not use them
_DATE = "%Y-%m-%d_%Hh%M.%S.%f"
# What a zip raises that is broken, or has a password (RuntimeError).
_UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


class RefusalsError(AudioMetamerError):
    """Of some files or listeners nothing was taken; all others were taken.

    Parameters
    ----------
    refusals : sequence of str
        A line for each.
    taken : list of CollectedListener
    """

    def __init__(self, refusals: Sequence[str], taken: "list[CollectedListener]") -> None:
        super().__init__(refusals[0] if len(refusals) == 1 else f"{len(refusals)} refusals: {'; '.join(refusals)}")
        self.refusals, self.taken = refusals, taken


class ListenerHeader(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, tag_field="kind", tag="listener"):
    """The line before a listener's messages.

    Parameters
    ----------
    audiometamer : str
        The version that the page was of.
    service : {"static", "jatos"}
    list : str
        Its name, see `audiometamer.listening.list_names.list_name`.
    listener : str
        Drawn by the page, or from what JATOS tells of the worker.
    """

    audiometamer: str
    service: Literal["static", "jatos"]
    list: str
    listener: str


class CollectedListener(NamedTuple):
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


class Submission(NamedTuple):
    """All messages of one listener in one file, in their order, as lines of JSON that were checked."""

    file: Path
    participant: Participant
    number: int
    lines: list[bytes]


class _Budget:
    """How many bytes may still be unpacked."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, used: int) -> None:
        self.left -= used
        if self.left < 0:
            raise ValueError(f"with it, more than {_MOST_BYTES} bytes are unpacked; collect fewer files at a time")


def collect(
    experiment: Experiment,
    files: Sequence[Path],
    store: Store,
    *,
    response: str | None = None,
    reaction_time: str | None = None,
) -> list[CollectedListener]:
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
    list of CollectedListener
        By the number of the list.

    Raises
    ------
    RefusalsError
        If a file cannot be read, is of another experiment, or was changed: nothing is taken of a listener with whom something is
        wrong, and everything of all others.
    UnavailableError
        If the disk is full or the database is locked.
    """
    numbers = {name: number for number, name in enumerate(list_names(experiment), start=1)}
    budget, found, refusals = _Budget(_MOST_BYTES), list[Submission](), list[str]()
    for file in files:
        try:
            _check_is_file(file)
            if file.suffix == ".csv":
                found.append(_read_psychopy(file, experiment, response, reaction_time))
            else:
                reading = _Reading(file, numbers, budget)
                found += reading.sent()
                refusals += reading.refusals
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
    """Raise unless it is a file of the disk: pipes may never begin, and devices never end."""
    try:
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device, not a file")
    except (OSError, ValueError) as error:
        raise AudioMetamerError(f"{file} cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return first_line(error)[:250]


_decode = msgspec.json.Decoder(ListenerHeader | AnswerMessage | FormMessage | EventsMessage).decode
_decode_message = msgspec.json.Decoder(Message).decode


_Whose = tuple[str, str]  # the name of a list, and its listener


class _Reading:
    """The listeners of a file of lines; where JATOS starts a page again, their line stands there again.

    Parameters
    ----------
    file : path
    numbers : mapping of str to int
        Of the lists, by their names.
    budget : _Budget
    """

    def __init__(self, file: Path, numbers: Mapping[str, int], budget: _Budget) -> None:
        self.file, self.numbers, self.budget = file, numbers, budget
        self.refusals: list[str] = []
        self._found: dict[_Whose, Submission] = {}
        self._refused: set[_Whose] = set()
        self._bytes = Counter[_Whose]()
        self._skipping = False

    def sent(self) -> list[Submission]:
        """All listeners with whom nothing is wrong; the others are in `refusals`."""
        try:
            if zipfile.is_zipfile(self.file):
                self._read_zip()
            else:
                with self.file.open("rb") as stream:
                    self._read(str(self.file), stream)
        except _UNREADABLE as error:
            self.refusals.append(f"{self.file} cannot be read: {_reason(error)}")
        if not self._found and not self.refusals:
            self.refusals.append(f"{self.file} holds no answers")
        return [sent for whose, sent in self._found.items() if whose not in self._refused]

    def _read_zip(self) -> None:
        """All results of a zip of JATOS, in the order in which they were begun."""
        self._check_entries()
        with zipfile.ZipFile(self.file) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith("data.txt")]
            times = Counter(entry.filename for entry in entries)
            for entry in sorted({entry.filename: entry for entry in entries}.values(), key=_run):
                name = f"{self.file}, {_shortened(entry.filename)}"
                if times[entry.filename] > 1:
                    self.refusals.append(f"{name} is there {times[entry.filename]} times")
                elif entry.compress_type not in _PACKED:
                    self.refusals.append(f"{name} cannot be read: it is not packed as JATOS packs (deflate)")
                elif entry.file_size > min(_MOST_OF_ONE, _MOST_BYTES):
                    self.refusals.append(f"{name}: {entry.file_size} bytes are too many; at most {_MOST_OF_ONE} are read")
                else:
                    self._read_entry(archive, entry, name)

    def _read_entry(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> None:
        try:
            with archive.open(entry) as stream:
                self._read(name, stream, alone=True)
        except _UNREADABLE as error:
            self.refusals.append(f"{name} cannot be read: {_reason(error)}")

    def _check_entries(self) -> None:
        """Before the directory of the zip is read, which takes memory for each entry."""
        number, end = 0, b""
        with self.file.open("rb") as stream:
            while piece := stream.read(_PIECE):
                self.budget.spend(len(piece))
                number += (end + piece).count(_ENTRY)
                end = piece[1 - len(_ENTRY) :]
        if number > _MOST_ENTRIES:
            raise ValueError(f"it has {number} entries; at most {_MOST_ENTRIES} are read")

    def _read(self, name: str, stream: IO[bytes], *, alone: bool = False) -> None:
        """Take in lines; after one that is wrong, nothing more until a listener's begin; `alone`: there is only one listener."""
        here: list[_Whose | None] = [None]  # whose lines are in this stream; those of the last come now
        self._skipping = False
        try:
            for number, line in _lines(stream, self.budget, skipping=lambda: self._skipping):
                if line is not None and _HEADER.search(line):
                    here.append(None)
                elif self._skipping:
                    continue
                told = f" has more than {_LONGEST_LINE} bytes" if line is None else self._take(line, here)
                if alone and here[-1] is not None and here[-1] != here[1]:
                    told = ": another listener's answers begin"
                if told:
                    self._refuse(f"{name}, line {number}{told}", here if alone else here[-1:])
                    if alone:
                        return
                self._skipping = bool(told)
        except _UNREADABLE as error:
            self._refuse(f"{name} cannot be read: {_reason(error)}", here)

    def _refuse(self, told: str, whose: Iterable[_Whose | None]) -> None:
        known = [one for one in whose if one is not None]
        self.refusals.append(f"{told}; nothing of {'this listener' if known else 'it'} was taken")
        self._refused.update(known)

    def _take(self, line: bytes, here: list[_Whose | None]) -> str:
        """What is wrong with a line, to be told after its place; nothing if it was taken for the last of those who are `here`."""
        try:
            told = _decode(line.decode())
        except UnicodeDecodeError as error:
            return f" cannot be read: {error}"
        except (msgspec.MsgspecError, RecursionError) as error:
            return f" is no line of a file of answers: {error}"
        if isinstance(told, ListenerHeader):
            if told.list not in self.numbers:
                return f": list {told.list[:12]!r} is none of this experiment's"
            here[-1] = whose = (told.list, told.listener)
            participant = Participant(told.service, told.listener, {"audiometamer": told.audiometamer})
            self._found.setdefault(whose, Submission(self.file, participant, self.numbers[told.list], []))
            return ""
        now = here[-1]
        if now is None:
            return ": nothing says whose answers these are; give the whole file as it was saved"
        self._bytes[now] += len(line)
        if self._bytes[now] > _MOST_OF_ONE:
            return f": the answers of one listener have more than {_MOST_OF_ONE} bytes"
        self._found[now].lines.append(line)
        return ""


def _lines(stream: IO[bytes], budget: _Budget, *, skipping: Callable[[], bool]) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a stream that are not blank, and their numbers; None in the place of one that is too long.

    While it is `skipping`, only lines that may begin a listener's.
    """
    number, rest, too_long = 1, b"", False
    while piece := stream.read(_PIECE):
        budget.spend(len(piece))
        block = rest + (piece.removeprefix(b"\xef\xbb\xbf") if number == 1 and not rest else piece)
        end = block.rfind(b"\n") + 1
        place = before = 0
        while place < end:
            if skipping():
                mark = block.find(b'"listener"', place, end)
                place = end if mark < 0 else max(place, block.rfind(b"\n", place, mark) + 1)
            found = _LINE.search(block, place, end)
            if found is None:
                break
            number += block.count(b"\n", before, found.start())
            place, before = found.end(), found.start()
            yield number, None if too_long or len(found[0]) > _LONGEST_LINE else found[0]
            too_long = False
        number += block.count(b"\n", before, end)
        rest = block[end:]
        if len(rest) > _LONGEST_LINE:
            rest, too_long = rest[:1], True
    if rest.strip():
        yield number, None if too_long else rest


def _run(entry: zipfile.ZipInfo) -> list[tuple[int, str]]:
    """JATOS numbers its results as they were begun: ``study_result_12/comp-result_34/data.txt``."""
    numbers = (digits.lstrip("0") for digits in re.findall(r"[0-9]+", entry.filename))
    return [(len(digits), digits) for digits in numbers]


def _shortened(name: str) -> str:
    """The name of an entry, for a line of text."""
    shown = ascii(name)[1:-1]
    return shown if len(shown) <= 100 else f"{shown[:40]}…{shown[-40:]}"


def _read_psychopy(file: Path, experiment: Experiment, response: str | None, reaction_time: str | None) -> Submission:
    """The trials of one run of PsychoPy: rows with a sound. Consent was its own affair; times are those of its beginning."""
    if response is None:
        raise AudioMetamerError(f"{file}: say which column holds the answers (--response), as in key_resp.keys")
    if (size := file.stat().st_size) > _MOST_OF_ONE:
        raise AudioMetamerError(f"{file}: {size} bytes are too many; at most {_MOST_OF_ONE} are read")
    seconds = reaction_time or f"{response.rpartition('.')[0]}.rt"
    rows = read_table(file, required=["participant", "date", "list", "trial", "stim_id", response, seconds])
    rows = [row for row in rows if row["stim_id"]]
    if not rows or len({(row["participant"], row["date"], row["list"]) for row in rows}) != 1:
        raise AudioMetamerError(f"{file} must hold the trials of one participant, date and list")
    given, date, number = rows[0]["participant"], _moment(rows[0]["date"], file), rows[0]["list"]
    participant = identity(given)
    if participant is None or number not in map(str, range(1, len(experiment.lists.listeners) + 1)):
        raise AudioMetamerError(f"{file}: participant {given[:60]!r} and list {number[:20]!r} are none of this experiment's")
    messages: list[Message] = [
        FormMessage(key=_key(number, participant, "consent"), form="consent", content={"source": "PsychoPy"})
    ]
    for line, row in enumerate(rows, start=1):
        try:
            told = {
                "kind": "answer", "key": _key(number, participant, row["trial"]), "trial": int(row["trial"]),
                "stimulus": row["stim_id"], "answer": row[response].strip(), "reaction_time_ms": 1000 * float(row[seconds]),
                "plays": 1, "started": date, "answered": date, "playback": {"source": "PsychoPy"},
            }  # fmt: skip
            messages.append(msgspec.convert(told, AnswerMessage))
        except (ValueError, msgspec.ValidationError) as error:
            raise AudioMetamerError(f"{file}, trial {row['trial'][:20]!r} (row {line} with a sound): {error}") from error
    return Submission(file, Participant("psychopy", participant, {}), int(number), list(map(msgspec.json.encode, messages)))


def _moment(text: str, file: Path) -> datetime:
    """When PsychoPy began, in the time zone of this machine."""
    try:
        return datetime.strptime(text, _DATE).astimezone()
    except (ValueError, OverflowError) as error:
        raise AudioMetamerError(
            f"{file}: date is {text[:40]!r}; it must be as PsychoPy writes it: 2026-03-01_10h15.30.123"
        ) from error


def _key(*parts: str) -> str:
    """The same for the same trial of the same participant, so that a file that is read again changes nothing."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
