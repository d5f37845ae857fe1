"""``MANIFEST.sha256``: the hash of every file of a set, as ``sha256sum -c`` takes it; and what has changed since."""

import os
import re
import warnings
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set, Sized
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, BrokenError
from audiometamer.io.files import atomic_write, set_aside
from audiometamer.io.hashes import file_sha256
from audiometamer.io.names import portable_key
from audiometamer.jobs.claims import file_stamp
from audiometamer.metamers.folder_kinds import check_set, is_set
from audiometamer.metamers.integrity import is_original, is_signal
from audiometamer.metamers.layout import ITEMS, PLANNED, RECORD, find_records, relative_record_path
from audiometamer.metamers.record_files import warn_about_broken
from audiometamer.metamers.results import read_item, read_result
from audiometamer.signals.integrity import is_intact
from audiometamer.stimuli.comparison_records import made_again, read_comparison
from audiometamer.stimuli.layout import ATTEMPTS, COMPARISONS, ERROR, MANIFEST, ORIGINALS
from audiometamer.stimuli.proof import Difference, DifferenceKind, SetContents, find_faults
from audiometamer.stimuli.running import is_auxiliary, is_named_like_auxiliary

_LINE = re.compile(r"(\\?)([0-9a-f]{64}) [ *](.+)")
# GNU coreutils writes names that hold these with a backslash before the line.
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}


def write_manifest(stimulus_set: Path) -> Path:
    """Write ``MANIFEST.sha256``, the last file of a set: it lists every file but itself, unfinished items, and auxiliary files.

    Auxiliary files are ``claims/``, ``.lock``, checkpoints, the logs of a cluster, and a report. A record that differs from the
    previous manifest, and does not state that it replaces the listed one, was not written by a run: it keeps its old hash, as do
    signals and originals that are not what their records state, and anything behind a link. New files that are not what their
    records state, and links, are not listed. Warnings name them.

    Raises
    ------
    AudioMetamerError
        If a file cannot be read, or the manifest not written.
    """
    path = stimulus_set / MANIFEST
    before = _sums_before(stimulus_set)
    contents = SetContents(stimulus_set)
    there = sorted(_files(stimulus_set, listed=before))
    links = {file for file in there if (stimulus_set / file).is_symlink()}
    for file in there:
        if file not in links:
            contents.read(file)
    sums = {file: before[file] for file in before if _is_linked(file, links)} | contents.sums
    damaged = _damaged(before, contents)
    doubtful = {
        fault.file: fault for fault in find_faults(contents) if not (fault.file in damaged or _is_linked(fault.file, links))
    }
    doubtful |= {file: Difference("link", file) for file in sorted(links)}
    if damaged:
        changed = f"{stimulus_set / damaged[0]}{_more(damaged)} changed since the last manifest, and not by a run"
        remedy = "the manifest keeps the old hash: restore the file, or delete it with its item and run again"
        warnings.warn(f"{changed}; {remedy}", AudioMetamerWarning, stacklevel=2)
    if doubtful:
        kind, file = next(iter(doubtful.values()))
        fault = f"{stimulus_set / file}{_more(doubtful)}: {kind}{'' if kind == 'link' else ', by the records of the set'}"
        warnings.warn(f"{fault}; `audiometamer stimuli verify {stimulus_set}` names all", AudioMetamerWarning, stacklevel=2)
    listed = {file: before[file] if file in damaged else digest for file, digest in sums.items()}
    with atomic_write(path) as temporary:
        lines = [_line(digest, file) for file, digest in sorted(listed.items()) if file in before or file not in doubtful]
        temporary.write_text("".join(lines), encoding="utf-8", errors="surrogateescape", newline="\n")
    return path


def _sums_before(stimulus_set: Path) -> dict[str, str]:
    """The hashes of the existing manifest; none if it is broken, and then it is set aside."""
    path = stimulus_set / MANIFEST
    try:
        return read_manifest(stimulus_set) if path.exists() else {}
    except AudioMetamerError as error:
        warn_about_broken([str(error)], "it is set aside and written again")
        set_aside(path)
        return {}


def _more(files: Sized) -> str:
    return f" and {len(files) - 1} more" if len(files) > 1 else ""


def _damaged(before: Mapping[str, str], contents: SetContents) -> list[str]:
    """Records, signals of items, and originals that have changed, and were not written by a run since."""
    changed = {file for file, digest in contents.sums.items() if before.get(file, digest) != digest}
    written = {file for file in changed if file in contents.records and before[file] in contents.records[file].replaces}
    again, claimed = made_again(contents.folder, before, changed)
    written |= again
    damaged = changed - written
    for file in contents.records:
        if file not in damaged:
            claimed |= contents.stated_hashes(file)

    def is_written(file: str) -> bool:
        beside = PurePosixPath(file).with_name(RECORD).as_posix()  # a record of an earlier version states no hashes
        return file in written or (claimed[file] == contents.sums[file] if file in claimed else beside in written)

    ours = (file for file in sorted(changed) if PurePosixPath(file).parts[0] in (ITEMS, ORIGINALS, COMPARISONS))
    return [file for file in ours if PurePosixPath(file).name != ERROR and not is_written(file)]


def listed_sum(record: Path) -> list[str]:
    """The hash by which the manifest of a set lists a record, if it does."""
    depth = 6 if record.parent.name.isdigit() and record.parents[1].name == ATTEMPTS else 4  # a model may have that name
    stimulus_set = record.parents[depth]
    with suppress(AudioMetamerError):  # the end of the run reports what is wrong with it
        digest = _listed(stimulus_set, file_stamp(stimulus_set / MANIFEST)).get(record.relative_to(stimulus_set).as_posix())
        return [] if digest is None else [digest]
    return []


@lru_cache(maxsize=1)
def _listed(stimulus_set: Path, _manifest_stamp: tuple[int, int]) -> dict[str, str]:
    """The hashes of a manifest, read once as long as the file is the same."""
    return read_manifest(stimulus_set) if (stimulus_set / MANIFEST).exists() else {}


def read_manifest(stimulus_set: Path) -> dict[str, str]:
    """The hashes of a manifest by file.

    Raises
    ------
    AudioMetamerError
        If the folder is not a set, has no manifest, or a line of it is malformed or names a file outside the set.
    """
    path = stimulus_set / MANIFEST
    if not path.exists():
        check_set(stimulus_set)
        began = "; no run of this set has come to its end yet" if (stimulus_set / PLANNED).exists() else ""
        raise AudioMetamerError(f"{path} does not exist{began}; `audiometamer stimuli index {stimulus_set}` writes it")
    sums: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").removesuffix("\n").split("\n")
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        if (match := _LINE.fullmatch(line)) is None:
            raise AudioMetamerError(f"{path}, line {number}: {line[:40]!r} is not a SHA-256 hash, two spaces and a file")
        escaped, digest, file = match.groups()
        if escaped:
            file = re.sub(r"\\([\\nr])", lambda m: {"\\": "\\", "n": "\n", "r": "\r"}[m[1]], file)
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise AudioMetamerError(f"{path}, line {number}: {file} lies outside {stimulus_set}")
        if sums.setdefault(file, digest) != digest:
            raise AudioMetamerError(f"{path}, line {number}: {file} is listed before with another hash")
    return sums


def verify(stimulus_set: Path) -> Iterator[Difference]:
    """Find every file that is not as the manifest, or the records of the set, state; a set without any is intact.

    A folder of `audiometamer synth` has no manifest: only its records are checked. Each file is read once, in pieces. Nothing is
    written.
    """
    if not is_set(stimulus_set) and (records := find_records(stimulus_set)):
        yield from _verify_beside(stimulus_set, records)
        return
    sums = read_manifest(stimulus_set)
    there = set(_files(stimulus_set, precise=True))
    links = {file for file in there if (stimulus_set / file).is_symlink()}
    found: dict[str, DifferenceKind] = {file: "missing" for file in sums if file not in there}
    found |= {file: "extra" for file in there if file not in sums}
    contents = SetContents(stimulus_set)
    for file in sorted(there - links):
        try:
            contents.read(file)
        except AudioMetamerError:
            found[file] = "unreadable"
        else:
            if sums.get(file, contents.sums[file]) != contents.sums[file]:
                found[file] = "changed"
    for kind, file in find_faults(contents):
        if kind == "misplaced" or found.get(file, "extra") == "extra":
            found[file] = kind
    found = {file: kind for file, kind in found.items() if not _is_linked(file, links)} | dict.fromkeys(links, "link")
    yield from (Difference(found[file], file) for file in sorted(found))


def _is_linked(file: str, links: Set[str]) -> bool:
    """Whether a file is one of the links of a set, or lies behind one."""
    return bool(links) and any(str(at) in links for at in (PurePosixPath(file), *PurePosixPath(file).parents))


def _verify_beside(folder: Path, records: Sequence[Path]) -> Iterator[Difference]:
    """The same for a folder of `synth`, from its records."""
    seen: set[str] = set()
    file_hash = cache(file_sha256)  # metamers share originals

    def once(kind: DifferenceKind, file: str) -> Iterator[Difference]:
        if file not in seen:
            seen.add(file)
            yield Difference(kind, file)

    for record in records:
        name = record.relative_to(folder).as_posix()
        links = [at for at in (record, *record.parents[:2]) if at.is_symlink()]
        for link in links:
            yield from once("link", link.relative_to(folder).as_posix())
        if links:
            continue
        try:
            result = read_result(record)
        except AudioMetamerError:
            yield Difference("unreadable", name)
            continue
        evidence = result.evidence
        if _as_named_before(name) != _as_named_before(relative_record_path(evidence.settings)):
            yield Difference("misplaced", name)
        for file, belongs in ((result.file, is_signal), (result.original, is_original)):
            path = folder / file
            if path.is_symlink():
                yield from once("link", file)
            elif not path.exists():
                yield from once("missing", file)
            else:
                try:
                    if not belongs(evidence, path, file_hash):
                        yield from once("foreign", file)
                except AudioMetamerError:
                    yield from once("unreadable", file)


def _as_named_before(file: str) -> str:
    """A record's file, with names as version 0.1 made them."""
    return re.sub("[+=]", "_", portable_key(file))


def lists_all(stimulus_set: Path) -> bool:
    """Whether the manifest lists the files that it would list if it were written now; hashes are not checked."""
    listed = read_manifest(stimulus_set)
    return listed.keys() == set(_files(stimulus_set, listed=listed))


def count_made_since(differences: Iterable[Difference]) -> int:
    """Number of items made or attempted again since the manifest was written: their records, or an attempt's, are not in it."""
    extra = [file.split("/") for kind, file in differences if kind == "extra"]
    return len({tuple(parts[:4]) for parts in extra if parts[0] == ITEMS and parts[-1] == RECORD})


def _files(stimulus_set: Path, *, listed: Container[str] | None = None, precise: bool = False) -> Iterator[str]:
    """Paths of all files and links in a set, without auxiliary files.

    Parameters
    ----------
    stimulus_set : path
    listed : container of str, optional
        Files of the existing manifest: items and originals are then taken only if they are whole, or listed, since they were
        whole once. Default: all files.
    precise : bool
        Whether auxiliary files are recognised by more than their names; see `audiometamer.stimuli.running.is_auxiliary`.
        Default False.
    """

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # a run may remove a folder meanwhile
            raise AudioMetamerError(f"{error.filename} cannot be read: {error.strerror}") from error

    for folder, subfolders, names in os.walk(stimulus_set, onerror=refuse):
        at = PurePosixPath(Path(folder).relative_to(stimulus_set).as_posix())
        item = len(at.parts) > 3 and at.parts[0] in (ITEMS, COMPARISONS)
        if listed is not None and item and not _is_made(stimulus_set, at, names, listed):
            names = [name for name in names if name == ERROR]
        elif listed is not None and at.parts[:1] == (ORIGINALS,):
            names = [name for name in names if (at / name).as_posix() in listed or is_intact(Path(folder, name))]
        links = [name for name in subfolders if Path(folder, name).is_symlink()]  # which are not walked into
        for file in ((at / name).as_posix() for name in (*names, *links)):
            own = file == MANIFEST and not (precise and (stimulus_set / file).is_symlink())
            if not own and not (is_auxiliary(stimulus_set, file) if precise else is_named_like_auxiliary(file)):
                yield file


def _is_made(stimulus_set: Path, at: PurePosixPath, names: Sequence[str], listed: Container[str]) -> bool:
    """Whether an item in a folder with these files counts as made, or is listed as such; or an attempt at one is complete."""
    if RECORD not in names or len(at.parts) > 4 or (at / RECORD).as_posix() in listed:
        return RECORD in names
    try:
        if at.parts[0] == COMPARISONS:
            return read_comparison(stimulus_set / at, whole=True) is not None
        return read_item(stimulus_set, stimulus_set / at, whole=True) is not None
    except BrokenError:
        return False


def manifest_sha256(stimulus_set: Path) -> str | None:
    """The SHA-256 of a set's manifest, which identifies the set; None if it has none."""
    path = stimulus_set / MANIFEST
    return file_sha256(path) if path.exists() else None


def _line(digest: str, file: str) -> str:
    escaped = re.sub(r"[\\\n\r]", lambda m: _ESCAPES[m[0]], file)
    return f"{'' if escaped == file else chr(92)}{digest}  {escaped}\n"
