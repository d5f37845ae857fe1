"""``MANIFEST.sha256``: the sum of every file of a set, as ``sha256sum -c`` takes it; and what has changed since."""

import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, BrokenError
from audiometamer.files import file_sha256, is_temporary, set_aside, whole_file
from audiometamer.metamers.results import (
    ITEMS,
    PLANNED,
    RECORD,
    REPORT,
    REPORT_FILES,
    check_set,
    read_item,
    warn_of_broken,
)
from audiometamer.metamers.whole import is_whole
from audiometamer.stimuli.layout import CHECKPOINT, CLAIMS, ERROR, LOCK, MANIFEST, ORIGINALS

_LINE = re.compile(r"(\\?)([0-9a-f]{64}) [ *](.+)")
# GNU coreutils writes names that hold these with a backslash before the line.
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}


class Difference(NamedTuple):
    """One file that is not as the manifest says."""

    kind: Literal["missing", "changed", "extra", "unreadable"]
    file: str


def write_manifest(stimulus_set: Path) -> Path:
    """Write ``MANIFEST.sha256``, the last file of a set: over every file but itself, what is not finished, and what runs need.

    Runs need ``claims/``, ``.lock``, checkpoints, and the folder of a cluster's logs. A report is no part of a set. A signal that
    differs from the manifest that was there, while its record does not, is damaged: it keeps the sum that it had, and a
    warning says so.

    Raises
    ------
    AudioMetamerError
        If a file cannot be read, or the manifest not written.
    """
    path = stimulus_set / MANIFEST
    before = _sums_before(stimulus_set)
    sums = {file: file_sha256(stimulus_set / file) for file in sorted(_files(stimulus_set, finished=True))}
    if damaged := _damaged(before, sums):
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        told = f"{stimulus_set / damaged[0]}{more} changed since the last manifest, which no run does; the manifest keeps the sum"
        remedy = "put back what was there, or delete it with its item and run again"
        warnings.warn(f"{told}: {remedy}", AudioMetamerWarning, stacklevel=2)
    with whole_file(path) as temporary:
        lines = [_line(digest, file) for file, digest in (sums | {file: before[file] for file in damaged}).items()]
        temporary.write_text("".join(lines), encoding="utf-8", errors="surrogateescape", newline="\n")
    return path


def _sums_before(stimulus_set: Path) -> dict[str, str]:
    """The sums of the manifest that is there; none if it is broken, and then it is set aside."""
    path = stimulus_set / MANIFEST
    try:
        return read_manifest(stimulus_set) if path.exists() else {}
    except AudioMetamerError as error:
        warn_of_broken([str(error)], "it is set aside and written anew")
        set_aside(path)
        return {}


def _damaged(before: Mapping[str, str], sums: Mapping[str, str]) -> list[str]:
    """Signals of items, and originals, that are not what they were, though the record beside them, if there is one, is."""

    def same(file: str) -> bool:
        return before.get(file) == sums.get(file)

    signals = (Path(file) for file in sums if file in before and not same(file))
    return [
        file.as_posix()
        for file in signals
        if file.parts[0] in (ITEMS, ORIGINALS) and file.name not in (RECORD, ERROR) and same((file.parent / RECORD).as_posix())
    ]


def read_manifest(stimulus_set: Path) -> dict[str, str]:
    """The sums of a manifest by file.

    Raises
    ------
    AudioMetamerError
        If the folder is no set, has none, or a line of it cannot be read or names a file outside the set.
    """
    path = stimulus_set / MANIFEST
    if not path.exists():
        check_set(stimulus_set)
        began = "; no run of this set has come to its end yet" if (stimulus_set / PLANNED).exists() else ""
        raise AudioMetamerError(f"{path} does not exist{began}; `audiometamer stimuli index {stimulus_set}` writes it")
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


def lists_all(stimulus_set: Path) -> bool:
    """Whether the manifest lists what it would list if it were written now; the sums are not looked at."""
    return read_manifest(stimulus_set).keys() == set(_files(stimulus_set, finished=True))


def made_since(differences: Iterable[Difference]) -> int:
    """How many items were made, or tried again, since a manifest was written: their records, or an attempt's, are not in it."""
    extra = [file.split("/") for kind, file in differences if kind == "extra"]
    return len({tuple(parts[:4]) for parts in extra if parts[0] == ITEMS and parts[-1] == RECORD})


def _files(stimulus_set: Path, *, finished: bool = False) -> Iterator[str]:
    """All files of a set, as they lie in it, but for what runs need; or of its items only those that are complete."""

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # a run may remove a folder meanwhile
            raise AudioMetamerError(f"{error.filename} cannot be read: {error.strerror}") from error

    for folder, subfolders, names in os.walk(stimulus_set, onerror=refuse):
        at = Path(folder).relative_to(stimulus_set)
        if at == Path():
            subfolders[:] = [name for name in subfolders if name != CLAIMS and not name.endswith("-logs")]
            subfolders[:] = [name for name in subfolders if name != REPORT_FILES]
            names = [name for name in names if name not in (LOCK, MANIFEST, REPORT)]
        elif finished and at.parts[0] == ITEMS and len(at.parts) > 3 and not _is_made(stimulus_set, at, names):
            names = [name for name in names if name == ERROR]
        elif finished and at.parts[0] == ORIGINALS:
            names = [name for name in names if is_whole(Path(folder, name))]
        links = [name for name in subfolders if Path(folder, name).is_symlink()]  # which are not walked into
        yield from ((at / name).as_posix() for name in (*names, *links) if name != CHECKPOINT and not is_temporary(name))


def _is_made(stimulus_set: Path, at: Path, names: Sequence[str]) -> bool:
    """Whether an item in a folder with these files counts as made, or an attempt at one has ended."""
    if RECORD not in names or len(at.parts) > 4:
        return RECORD in names
    try:
        return read_item(stimulus_set, stimulus_set / at, whole=True) is not None
    except BrokenError:
        return False


def manifest_sha256(stimulus_set: Path) -> str | None:
    """The SHA-256 of a set's manifest, by which it is known; None if it has none."""
    path = stimulus_set / MANIFEST
    return file_sha256(path) if path.exists() else None


def _line(digest: str, file: str) -> str:
    escaped = re.sub(r"[\\\n\r]", lambda m: _ESCAPES[m[0]], file)
    return f"{'' if escaped == file else chr(92)}{digest}  {escaped}\n"
