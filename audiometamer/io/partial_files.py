"""A file that comes in blocks: what has come survives an interruption, and nothing looks whole before it is."""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

import msgspec

from audiometamer.errors import AudioMetamerError, WritingError
from audiometamer.io.files import make_folder, sync, write_json, write_text
from audiometamer.io.hashes import file_sha256
from audiometamer.io.reading import JSON_ERRORS, read_file_bytes, read_unicode
from audiometamer.io.remote import Version

_BLOCK = 1 << 16  # bytes
_SECONDS_BETWEEN_SYNCS = 2.0


class Source(Protocol):
    """A file that bytes come from."""

    @property
    def version(self) -> Version: ...
    def read(self, size: int, /) -> bytes: ...
    def seek(self, offset: int, /) -> int: ...
    def expect(self, size: int) -> None: ...


class Piece(msgspec.Struct, frozen=True):
    """A piece of one version of a source."""

    source: str  # address or path
    version: Version
    offset: int = 0  # bytes
    size: int | None = None  # bytes; None: to the end


class _Progress(msgspec.Struct, frozen=True):
    """How much of a piece is safe on the disk."""

    piece: Piece
    done: int


def verified(path: Path, *, sha256: str | None = None) -> bool:
    """Whether a fetched file is there, with the hash that was recorded when it was fetched, and with the known one.

    Parameters
    ----------
    path : path
        Fetched file; its SHA-256 is recorded in ``<name>.sha256`` beside it.
    sha256 : str, optional
        Known SHA-256, in hexadecimal digits.

    Returns
    -------
    bool
        False if there is no such file.

    Raises
    ------
    AudioMetamerError
        If the file is there, but has another hash, or none was recorded.
    """
    if not path.exists():
        return False
    expected = _expected(path, sha256)
    if expected is None:
        raise AudioMetamerError(
            f"{path} was not fetched: no SHA-256 is recorded in {record_of(path).name}; move it away to fetch it"
        )
    if (found := file_sha256(path)) != expected:
        raise AudioMetamerError(
            f"{path} has changed since it was fetched: its SHA-256 is {found}, not {expected}; delete it to fetch it"
        )
    return True


def fetch_piece(file: Source, piece: Piece, path: Path, *, sha256: str | None = None, report: Callable[[int], object]) -> str:
    """Bring a piece of a source into a file, from where an earlier attempt stopped.

    Until it is complete and has the expected hash, it is ``<name>.part``, with its progress in ``<name>.part.json``.

    Parameters
    ----------
    file : Source
    piece : Piece
    path : path
    sha256 : str, optional
        Known SHA-256.
    report : callable
        Called with the number of bytes that have come.

    Returns
    -------
    str
        SHA-256, which is recorded in ``<name>.sha256``.

    Raises
    ------
    AudioMetamerError
        If the source ends early, the hash is another one, or the operating system refuses.
    """
    part, expected = _part_of(path), _expected(path, sha256)
    done = done_of(path, piece)
    try:
        make_folder(path.parent)
        with part.open("r+b" if done else "wb") as out:
            out.truncate(done)
            out.seek(done)
            done = _copy(file, piece, out, path, done, report)
        if piece.size is not None and done < piece.size:
            raise AudioMetamerError(
                f"{piece.source} is truncated: it ends {piece.size - done} bytes before the end of {path.name}"
            )
        found = file_sha256(part)
        if expected not in (None, found):
            discard(path)
            remedy = "" if sha256 else f"; if it is meant to be another one, delete {record_of(path)}"
            raise AudioMetamerError(
                f"{path.name} of {piece.source} has the SHA-256 {found}, not {expected}: it is damaged, or another one{remedy}"
            )
        write_text(record_of(path), f"{found}  {path.name}\n")
        sync(part)
        part.replace(path)
        sync(path.parent)
        discard(path)
    except OSError as error:
        raise WritingError(f"could not write {path}: {error.strerror or error}") from error
    return found


def _copy(file: Source, piece: Piece, out: IO[bytes], path: Path, done: int, report: Callable[[int], object]) -> int:
    """Copy what is missing of a piece, and note now and then how much is safe; the bytes that have come in all."""
    file.seek(piece.offset + done)
    if piece.size is not None:
        file.expect(piece.size - done)
    report(done)
    next_sync = time.monotonic()
    try:
        while left := _BLOCK if piece.size is None else min(_BLOCK, piece.size - done):
            if not (block := file.read(left)):
                break
            out.write(block)
            done += len(block)
            report(done)
            if time.monotonic() >= next_sync:
                _note(piece, out, path, done)
                next_sync = time.monotonic() + _SECONDS_BETWEEN_SYNCS
    finally:
        _note(piece, out, path, done)
    return done


def _note(piece: Piece, out: IO[bytes], path: Path, done: int) -> None:
    out.flush()
    sync(_part_of(path))
    write_json(_note_of(path), _Progress(piece, done))


def done_of(path: Path, piece: Piece) -> int:
    """The bytes of a piece that an earlier attempt has brought."""
    try:
        noted = msgspec.json.decode(read_file_bytes(_note_of(path)), type=_Progress)
        return noted.done if noted.piece == piece and noted.done <= _part_of(path).stat().st_size else 0
    except (OSError, *JSON_ERRORS):
        return 0


def discard(path: Path) -> None:
    """Delete what an attempt has left."""
    for left in leftovers_of(path):
        with suppress(FileNotFoundError):
            left.unlink()


def leftovers_of(path: Path) -> tuple[Path, Path]:
    """What an attempt leaves: the incomplete file, and how much of it is safe."""
    return _part_of(path), _note_of(path)


def record_of(path: Path) -> Path:
    """The file with the SHA-256 of a fetched file, as ``sha256sum -c`` takes it."""
    return path.with_name(f"{path.name}.sha256")


def _part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _note_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.part.json")


def _expected(path: Path, sha256: str | None) -> str | None:
    """The hash that a file must have: the known one, or that of the first fetch."""
    if sha256 is not None:
        return checked_sha256(sha256, f"the known SHA-256 of {path.name}")
    try:
        text = read_unicode(record_of(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise AudioMetamerError(f"{record_of(path)} cannot be read: {error}") from error
    return checked_sha256(text.partition(" ")[0], str(record_of(path)))


def checked_sha256(sha256: str, what: str) -> str:
    """A SHA-256 in lower case; raises if it is none."""
    if not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise AudioMetamerError(f"{what} is {sha256!r}, not 64 hexadecimal digits")
    return sha256.lower()
