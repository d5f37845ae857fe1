"""``MANIFEST.sha256``: the sum of every file of a set, as ``sha256sum -c`` takes it; and what has changed since."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, NoReturn

from audiometamer.errors import AudioMetamerError
from audiometamer.files import whole_file
from audiometamer.stimuli.layout import CLAIMS, LOCK, MANIFEST

_LINE = re.compile(r"(\\?)([0-9a-f]{64}) [ *](.+)")
# GNU coreutils writes names that hold these with a backslash before the line.
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}


class Difference(NamedTuple):
    """One file that is not as the manifest says."""

    kind: Literal["missing", "changed", "extra", "unreadable"]
    file: str


def write_manifest(stimulus_set: Path) -> Path:
    """Write ``MANIFEST.sha256`` over every file of a set but itself, ``.lock`` and ``claims/``; the last file of a set.

    Raises
    ------
    AudioMetamerError
        If a file cannot be read, or the manifest not written.
    """
    path = stimulus_set / MANIFEST
    with whole_file(path) as temporary:
        lines = [_line(file_sha256(stimulus_set / file), file) for file in sorted(_files(stimulus_set)) if file != temporary.name]
        temporary.write_text("".join(lines), encoding="utf-8", errors="surrogateescape", newline="\n")
    return path


def read_manifest(stimulus_set: Path) -> dict[str, str]:
    """The sums of a manifest by file.

    Raises
    ------
    AudioMetamerError
        If there is none, a line of it cannot be read, or names a file outside the set.
    """
    path = stimulus_set / MANIFEST
    if not stimulus_set.is_dir():
        raise AudioMetamerError(f"{stimulus_set} is not a folder; give that of a stimulus set")
    if not path.exists():
        raise AudioMetamerError(f"{path} does not exist; `audiometamer stimuli index {stimulus_set}` writes it")
    sums = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").removesuffix("\n").split("\n")
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        if (match := _LINE.fullmatch(line)) is None:
            raise AudioMetamerError(f"{path}, line {number}: {line[:40]!r} is not a SHA-256 sum, two spaces and a file")
        escaped, digest, file = match.groups()
        if escaped:
            file = re.sub(r"\\([\\nr])", lambda m: {"\\": "\\", "n": "\n", "r": "\r"}[m[1]], file)
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise AudioMetamerError(f"{path}, line {number}: {file} lies outside {stimulus_set}")
        sums[file] = digest
    return sums


def verify(stimulus_set: Path) -> Iterator[Difference]:
    """Every file that is missing, changed, extra or unreadable, by its manifest; none: the set is whole.

    Files are read a piece at a time. Nothing is written.
    """
    sums = read_manifest(stimulus_set)
    there = set(_files(stimulus_set))
    for file in sorted(there | set(sums)):
        if file not in there:
            yield Difference("missing", file)
        elif file not in sums:
            yield Difference("extra", file)
        else:
            try:
                same = file_sha256(stimulus_set / file) == sums[file]
            except AudioMetamerError:
                yield Difference("unreadable", file)
            else:
                if not same:
                    yield Difference("changed", file)


def _files(stimulus_set: Path) -> Iterator[str]:
    """All that a manifest tells of, as it lies in the set."""

    def refuse(error: OSError) -> NoReturn:
        raise AudioMetamerError(f"{error.filename} cannot be read: {error.strerror}") from error

    for folder, subfolders, names in os.walk(stimulus_set, onerror=refuse):
        at = Path(folder).relative_to(stimulus_set)
        if at == Path():
            subfolders[:] = [name for name in subfolders if name != CLAIMS]
            names = [name for name in names if name not in (LOCK, MANIFEST)]
        links = (name for name in subfolders if Path(folder, name).is_symlink())  # which are not walked into
        yield from ((at / name).as_posix() for name in (*names, *links))


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, read a piece at a time."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error


def _line(digest: str, file: str) -> str:
    escaped = re.sub(r"[\\\n\r]", lambda m: _ESCAPES[m[0]], file)
    return f"{'' if escaped == file else chr(92)}{digest}  {escaped}\n"
