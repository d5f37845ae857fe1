"""Fetch files, or members of tar archives, from a web server or the disk: resumable, and checked by their hashes."""

import hashlib
import io
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
from rich.filesize import decimal

from audiometamer.errors import AudioMetamerError, first_few
from audiometamer.io.callbacks import Notify, Progress, silent
from audiometamer.io.files import make_folder, write_json
from audiometamer.io.locks import file_lock
from audiometamer.io.partial_files import Piece, done_of, fetch_piece, record_of, verified
from audiometamer.io.paths import is_safe_relative_path, printable
from audiometamer.io.reading import JSON_ERRORS, read_file_bytes
from audiometamer.io.remote import WAITS, RemoteFile, Version
from audiometamer.io.tar_headers import Member, members_from

_SECONDS_BETWEEN_SAVES = 2.0


def free_space(folder: Path) -> int:
    """Bytes that can still be written into a folder."""
    return shutil.disk_usage(folder).free


class LocalFile(io.FileIO):
    """A file on the disk, read like a remote one."""

    ranges = True

    def __init__(self, path: Path) -> None:
        try:
            super().__init__(path, "rb")
        except OSError as error:
            raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error
        state = os.fstat(self.fileno())
        self.size = state.st_size
        self.version = Version(size=state.st_size, modified=str(state.st_mtime_ns))

    def expect(self, size: int) -> None:
        """Nothing to prepare."""

    def read(self, size: int | None = -1, /) -> bytes:
        try:
            return super().read(size)
        except OSError as error:
            raise AudioMetamerError(f"{self.name} cannot be read: {error.strerror}") from error


class _Index(msgspec.Struct):
    """The members of an archive that are known so far."""

    source: str
    version: Version
    members: list[Member] = []
    complete: bool = False

    @property
    def end(self) -> int:
        """Offset of the next header."""
        return self.members[-1].end if self.members else 0


def fetch_members(
    source: str | os.PathLike[str],
    names: Sequence[str],
    folder: str | os.PathLike[str],
    *,
    sha256: Mapping[str, str] | None = None,
    progress: Progress = silent,
    notify: Notify = silent,
    free: Callable[[Path], int] = free_space,
    waits: Sequence[float] = WAITS,
) -> dict[str, Path]:
    """Bring members of a tar archive into a folder; nothing else of the archive is stored.

    From a server with ranges of bytes only the headers and these members are transferred. An interrupted call resumes where it
    stopped, also in another process. Members that are there already, with the right hash, are not fetched again. A second call
    into the same folder waits for the first.

    Parameters
    ----------
    source : str or path
        Address (http or https) or path of a plain tar archive.
    names : sequence of str
        Base names of the members, wherever in the archive they stand; ends of their paths where several have one base name.
    folder : path
        Folder to write to; a name with folders becomes a path in it.
    sha256 : mapping of str to str, optional
        Known SHA-256 by name, which these members must have. Without one, the SHA-256 of the first fetch is recorded beside
        the member, in ``<name>.sha256``, and is checked every time after.
    progress : callable, optional
        Called with the fraction that is done, and a message.
    notify : callable, optional
        Called with a line for whatever the user should know.
    free : callable, optional
        Called with a folder; returns the number of bytes that can be written there. Default: asks the disk.
    waits : sequence of float, optional
        Seconds before each further attempt after a broken connection. Default 1 s to 30 s.

    Returns
    -------
    dict of str to Path
        Path by name.

    Raises
    ------
    AudioMetamerError
        If the archive cannot be read, has no such member or two, a member is no plain file or has a path that leads out of the
        archive, a hash is wrong, or there is too little space.

    Examples
    --------
    >>> import tarfile, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     here = Path(folder)
    ...     _ = (here / "net.pt").write_bytes(b"weights")
    ...     with tarfile.open(here / "nets.tar", "w") as archive:
    ...         archive.add(here / "net.pt", "checkpoints/net.pt")
    ...     fetched = fetch_members(here / "nets.tar", ["net.pt"], here / "fetched")
    ...     fetched["net.pt"].read_bytes(), verified(fetched["net.pt"])
    (b'weights', True)
    """
    folder = Path(folder)
    paths = {name: folder / _checked_name(name) for name in names}
    known = {paths[name]: value for name, value in (sha256 or {}).items() if name in paths}

    def missing() -> dict[str, Path]:
        return {name: path for name, path in paths.items() if not verified(path, sha256=known.get(path))}

    if missing():
        with _held(folder):
            if wanted := missing():  # another process may have fetched them meanwhile
                with _opened(source, waits, notify) as (file, title):
                    _Fetch(file, title, folder, known, progress, notify, free).members(wanted)
    return paths


def fetch_file(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    progress: Progress = silent,
    notify: Notify = silent,
    free: Callable[[Path], int] = free_space,
    waits: Sequence[float] = WAITS,
) -> Path:
    """Bring one file from a web server, or from elsewhere on the disk, as `fetch_members` brings members.

    Parameters
    ----------
    source : str or path
        Address (http or https) or path.
    path : path
        File to write.
    sha256 : str, optional
        Known SHA-256, which the file must have. Without one, that of the first fetch is recorded in ``<name>.sha256``.
    progress, notify, free, waits
        As in `fetch_members`.

    Returns
    -------
    Path

    Raises
    ------
    AudioMetamerError
        If the file cannot be fetched, its hash is wrong, or there is too little space.
    """
    path = Path(path)
    if not verified(path, sha256=sha256):
        known = {} if sha256 is None else {path: sha256}
        with _held(path.parent):
            if not verified(path, sha256=sha256):
                with _opened(source, waits, notify) as (file, title):
                    fetch = _Fetch(file, title, path.parent, known, progress, notify, free)
                    fetch.pieces({path: Piece(title, file.version, 0, file.size)})
    return path


class _Fetch:
    """One call's work on one source, into one folder."""

    def __init__(
        self,
        file: RemoteFile | LocalFile,
        title: str,
        folder: Path,
        known: Mapping[Path, str],
        progress: Progress,
        notify: Notify,
        free: Callable[[Path], int],
    ) -> None:
        self.file, self.title, self.folder, self.known = file, title, folder, known
        self.progress, self.notify, self.free = progress, notify, free

    def members(self, wanted: Mapping[str, Path]) -> None:
        """Fetch members: all at once where the archive can be walked through without reading it, else as they come."""
        with closing(self._walk()) as walk:
            if self.file.ranges:
                there = list(walk)
                found = {path: _only(name, there, self.title) for name, path in wanted.items()}
                in_order = sorted(found.items(), key=lambda each: each[1].offset)
                self.pieces({path: self._piece(member) for path, member in in_order})
                return
            self.notify(
                f"{self.title}: the server cannot send parts of a file, so the archive is read up to the last file needed"
            )
            left = dict(wanted)
            for member in walk:
                if name := next((each for each in left if _is_called(member, each)), None):
                    _check_plain(member, self.title)
                    self.pieces({left.pop(name): self._piece(member)})
                if not left:
                    return
            raise _not_found(next(iter(left)), self.title)

    def pieces(self, pieces: Mapping[Path, Piece]) -> None:
        """Fetch pieces of the source, one after the other, after asking whether there is space for all."""
        sizes = [piece.size for piece in pieces.values()]
        done = sum(done_of(path, piece) for path, piece in pieces.items())
        total = None if None in sizes else sum(size or 0 for size in sizes)
        _check_space(self.folder, (total or 0) - done, self.free)
        before = 0
        for path, piece in pieces.items():
            if resumed := done_of(path, piece):
                self.notify(f"{self._name(path)}: continues after {decimal(resumed)}")
            digest = fetch_piece(
                self.file, piece, path, sha256=self.known.get(path), report=self._reporter(path, piece, before, total)
            )
            before += piece.size or 0
            if path not in self.known:
                self.notify(f"{self._name(path)}: SHA-256 {digest} recorded in {record_of(path).name}")

    def _name(self, path: Path) -> str:
        """A file in messages: members of one base name differ in their folders."""
        return path.relative_to(self.folder).as_posix()

    def _reporter(self, path: Path, piece: Piece, before: int, total: int | None) -> Callable[[int], None]:
        """Progress by bytes: of what is fetched, or where all is read, of the source."""
        if not self.file.ranges:
            before, total = piece.offset, self.file.size

        def report(done: int) -> None:
            of = "" if piece.size is None else f" of {decimal(piece.size)}"
            self.progress((before + done) / total if total else 0.0, f"{self._name(path)}: {decimal(done)}{of}")

        return report

    def _piece(self, member: Member) -> Piece:
        return Piece(self.title, self.file.version, member.offset, member.size)

    def _walk(self) -> Generator[Member, None, None]:
        """The members, of which those that an earlier call has seen are not looked for again."""
        path = self.folder / f".index-{hashlib.sha256(self.title.encode()).hexdigest()[:8]}.json"
        index = self._index(path)
        yield from tuple(index.members)
        if index.complete:
            return
        next_save = time.monotonic() + _SECONDS_BETWEEN_SAVES
        try:
            for member in members_from(self.file, index.end, self.title):
                index.members.append(member)
                self.progress(0.0, f"headers up to {decimal(member.end)}")
                if time.monotonic() >= next_save:
                    write_json(path, index)
                    next_save = time.monotonic() + _SECONDS_BETWEEN_SAVES
                yield member
            index.complete = True
        finally:
            write_json(path, index)

    def _index(self, path: Path) -> _Index:
        new = _Index(self.title, self.file.version)
        try:
            index = msgspec.json.decode(read_file_bytes(path), type=_Index)
        except (OSError, *JSON_ERRORS):
            return new
        if index.version == new.version and index.source == new.source:
            return index
        self.notify(f"{self.title} has changed since it was last read; what had come of it is fetched again")
        return new


def _only(name: str, members: Sequence[Member], archive: str) -> Member:
    """The one member of a name, if it is a plain file with an innocent path."""
    found = [member for member in members if _is_called(member, name)]
    if not found:
        raise _not_found(name, archive)
    if len(found) > 1:
        raise AudioMetamerError(
            f"{archive} holds {len(found)} members called {name}: {first_few([printable(each.name) for each in found])}"
        )
    _check_plain(found[0], archive)
    return found[0]


def is_called(path: str, name: str) -> bool:
    """Whether a path ends with a name, or with a path of several names: ``a/word/last.pt`` is called ``word/last.pt``."""
    return f"/{path}".endswith(f"/{name}")


def _is_called(member: Member, name: str) -> bool:
    return member.kind != "folder" and is_called(member.name, name)


def _not_found(name: str, archive: str) -> AudioMetamerError:
    return AudioMetamerError(f"{archive} does not contain {name}")


def _check_plain(member: Member, archive: str) -> None:
    if member.kind != "file":
        raise AudioMetamerError(f"{printable(member.name)} in {archive} is refused: it is a {member.kind}, not a plain file")
    if not is_safe_relative_path(member.name.removeprefix("./")):
        raise AudioMetamerError(f"{printable(member.name)} in {archive} is refused: its path leads out of the archive")


def _checked_name(name: str) -> str:
    if "\\" in name or not is_safe_relative_path(name):
        raise AudioMetamerError(f"{name!r} is not the name of a member, nor the end of its path")
    return name


def _check_space(folder: Path, needed: int, free: Callable[[Path], int]) -> None:
    if needed > (available := free(folder)):
        raise AudioMetamerError(
            f"{folder} has {decimal(available)} free, but {decimal(needed)} are needed; free some, or choose another folder"
        )


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """A folder into which no other process fetches meanwhile."""
    try:
        make_folder(folder)
    except OSError as error:
        raise AudioMetamerError(f"could not write into {folder}: {error.strerror or error}") from error
    with file_lock(folder / ".lock"):
        yield


@contextmanager
def _opened(
    source: str | os.PathLike[str], waits: Sequence[float], notify: Notify
) -> Iterator[tuple[RemoteFile | LocalFile, str]]:
    """A source to read, and its name in messages: the address, or the path."""
    if isinstance(source, str) and "://" in source:
        with RemoteFile(source, waits=waits, notify=notify) as remote:
            yield remote, source
        return
    path = Path(source)
    if path.exists() and not path.is_file():
        raise AudioMetamerError(f"{path} is not a file that can be fetched from")
    with LocalFile(path) as local:
        yield local, str(path.absolute())
