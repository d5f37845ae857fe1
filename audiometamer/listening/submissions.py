"""Files of answers that the page saved without a server, as JATOS or listeners give them.

Nobody need trust those who give them: files are read in pieces and within limits, and what is wrong with one listener harms no
other.
"""

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Literal, NamedTuple

import msgspec

from audiometamer.errors import first_line
from audiometamer.listening.enrolment import Participant
from audiometamer.listening.messages import AnswerMessage, EventsMessage, FormMessage

MAX_BYTES = 1 << 28  # of all files together, once they are unpacked
_MAX_LISTENER_BYTES = 1 << 24  # of one listener in one file
_MAX_ENTRIES = 20_000  # of a zip
_MAX_LINE_BYTES = 1 << 17  # twice what the server takes
_PIECE = 1 << 20
_LINE = re.compile(rb"\S[^\n]*")
_HEADER = re.compile(rb'"kind"\s*:\s*"listener"')
_ENTRY = b"PK\x01\x02"  # first bytes of an entry in the directory of a zip
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others need more memory than they say, and JATOS does not use them
# What a broken zip raises, or one with a password (RuntimeError).
_UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


class ListenerHeader(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, tag_field="kind", tag="listener"):
    """The line before a listener's messages.

    Parameters
    ----------
    audiometamer : str
        Version that the page was built with.
    service : {"static", "jatos"}
    list : str
        Name of the list; see `audiometamer.listening.list_names.list_name`.
    listener : str
        Identifier that the page drew, or derived from JATOS's worker.
    """

    audiometamer: str
    service: Literal["static", "jatos"]
    list: str
    listener: str


class Submission(NamedTuple):
    """All messages of one listener in one file, in order, as lines of JSON that were checked."""

    file: Path
    participant: Participant
    number: int
    lines: list[bytes]


class ByteBudget:
    """Remaining bytes that may be unpacked from all files."""

    def __init__(self) -> None:
        self.left = MAX_BYTES

    def spend(self, used: int) -> None:
        """Count bytes that were unpacked; raise `ValueError` if they are too many."""
        self.left -= used
        if self.left < 0:
            raise ValueError(f"with it, more than {MAX_BYTES} bytes are unpacked; collect fewer files at a time")


_decode = msgspec.json.Decoder(ListenerHeader | AnswerMessage | FormMessage | EventsMessage).decode


_ListenerKey = tuple[str, str]  # name of a list, and its listener


class SubmissionFile:
    """The listeners of a file of lines; where JATOS restarts the page, a listener's header is repeated.

    Parameters
    ----------
    file : path
    numbers : mapping of str to int
        Number of each list, by its name.
    budget : ByteBudget
    """

    def __init__(self, file: Path, numbers: Mapping[str, int], budget: ByteBudget) -> None:
        self.file, self.numbers, self.budget = file, numbers, budget
        self.refusals: list[str] = []
        self._found: dict[_ListenerKey, Submission] = {}
        self._refused: set[_ListenerKey] = set()
        self._bytes = Counter[_ListenerKey]()
        self._skipping = False

    def read(self) -> list[Submission]:
        """Read the file: all listeners with whom nothing is wrong; the others are in `refusals`."""
        try:
            if zipfile.is_zipfile(self.file):
                self._read_zip()
            else:
                with self.file.open("rb") as stream:
                    self._read_stream(str(self.file), stream)
        except _UNREADABLE as error:
            self.refusals.append(f"{self.file} cannot be read: {reason_of(error)}")
        if not self._found and not self.refusals:
            self.refusals.append(f"{self.file} holds no answers")
        return [sent for whose, sent in self._found.items() if whose not in self._refused]

    def _read_zip(self) -> None:
        """All results of a zip of JATOS, in the order in which they were begun."""
        self._check_entries()
        with zipfile.ZipFile(self.file) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith("data.txt")]
            times = Counter(entry.filename for entry in entries)
            for entry in sorted({entry.filename: entry for entry in entries}.values(), key=_result_numbers):
                name = f"{self.file}, {_shortened(entry.filename)}"
                if times[entry.filename] > 1:
                    self.refusals.append(f"{name} appears {times[entry.filename]} times")
                elif entry.compress_type not in _PACKED:
                    self.refusals.append(f"{name} cannot be read: it is not packed as JATOS packs (deflate)")
                elif entry.file_size > min(_MAX_LISTENER_BYTES, MAX_BYTES):
                    self.refusals.append(f"{name}: {entry.file_size} bytes are too many; at most {_MAX_LISTENER_BYTES} are read")
                else:
                    self._read_entry(archive, entry, name)

    def _read_entry(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> None:
        try:
            with archive.open(entry) as stream:
                self._read_stream(name, stream, alone=True)
        except _UNREADABLE as error:
            self.refusals.append(f"{name} cannot be read: {reason_of(error)}")

    def _check_entries(self) -> None:
        """Before the directory of the zip is read, which takes memory for each entry."""
        number, end = 0, b""
        with self.file.open("rb") as stream:
            while piece := stream.read(_PIECE):
                self.budget.spend(len(piece))
                number += (end + piece).count(_ENTRY)
                end = piece[1 - len(_ENTRY) :]
        if number > _MAX_ENTRIES:
            raise ValueError(f"it has {number} entries; at most {_MAX_ENTRIES} are read")

    def _read_stream(self, name: str, stream: IO[bytes], *, alone: bool = False) -> None:
        """Take in lines; after an invalid one, none until the next listener's; `alone`: there is only one listener."""
        here: list[_ListenerKey | None] = [None]  # whose lines are in this stream; the current lines are the last one's
        self._skipping = False
        try:
            for number, line in _lines(stream, self.budget, skipping=lambda: self._skipping):
                if line is not None and _HEADER.search(line):
                    here.append(None)
                elif self._skipping:
                    continue
                problem = f" has more than {_MAX_LINE_BYTES} bytes" if line is None else self._take(line, here)
                if alone and here[-1] is not None and here[-1] != here[1]:
                    problem = ": another listener's answers begin"
                if problem:
                    self._refuse(f"{name}, line {number}{problem}", here if alone else here[-1:])
                    if alone:
                        return
                self._skipping = bool(problem)
        except _UNREADABLE as error:
            self._refuse(f"{name} cannot be read: {reason_of(error)}", here)

    def _refuse(self, problem: str, whose: Iterable[_ListenerKey | None]) -> None:
        known = [one for one in whose if one is not None]
        self.refusals.append(f"{problem}; nothing of {'this listener' if known else 'it'} was taken")
        self._refused.update(known)

    def _take(self, line: bytes, here: list[_ListenerKey | None]) -> str:
        """Take a line for the last listener of `here`; what is wrong with it, to follow its place, or nothing."""
        try:
            found = _decode(line.decode())
        except UnicodeDecodeError as error:
            return f" cannot be read: {error}"
        except (msgspec.MsgspecError, RecursionError) as error:
            return f" is no line of a file of answers: {error}"
        if isinstance(found, ListenerHeader):
            if found.list not in self.numbers:
                return f": list {found.list[:12]!r} is none of this experiment's"
            here[-1] = whose = (found.list, found.listener)
            participant = Participant(found.service, found.listener, {"audiometamer": found.audiometamer})
            self._found.setdefault(whose, Submission(self.file, participant, self.numbers[found.list], []))
            return ""
        current = here[-1]
        if current is None:
            return ": nothing says whose answers these are; give the whole file as it was saved"
        self._bytes[current] += len(line)
        if self._bytes[current] > _MAX_LISTENER_BYTES:
            return f": the answers of one listener have more than {_MAX_LISTENER_BYTES} bytes"
        self._found[current].lines.append(line)
        return ""


def _lines(stream: IO[bytes], budget: ByteBudget, *, skipping: Callable[[], bool]) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a stream that are not blank, with their numbers; None in place of one that is too long.

    While `skipping`, only lines that may be a listener's header.
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
            yield number, None if too_long or len(found[0]) > _MAX_LINE_BYTES else found[0]
            too_long = False
        number += block.count(b"\n", before, end)
        rest = block[end:]
        if len(rest) > _MAX_LINE_BYTES:
            rest, too_long = rest[:1], True
    if rest.strip():
        yield number, None if too_long else rest


def reason_of(error: Exception) -> str:
    """The first line of an error's message, shortened."""
    return first_line(error)[:250]


def _result_numbers(entry: zipfile.ZipInfo) -> list[tuple[int, str]]:
    """Numbers of JATOS's results, in the order in which they were begun: ``study_result_12/comp-result_34/data.txt``."""
    numbers = (digits.lstrip("0") for digits in re.findall(r"[0-9]+", entry.filename))
    return [(len(digits), digits) for digits in numbers]


def _shortened(name: str) -> str:
    """The name of an entry, short enough for a line of text."""
    shown = ascii(name)[1:-1]
    return shown if len(shown) <= 100 else f"{shown[:40]}…{shown[-40:]}"
