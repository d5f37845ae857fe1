"""The headers of a tar archive, read one after the other: the walk can stop at any, and go on there in another process."""

import re
import tarfile
from collections.abc import Iterator
from typing import Protocol

import msgspec

from audiometamer.errors import AudioMetamerError

BLOCK = 512  # bytes
_LARGEST_TEXT = 1 << 20  # bytes of a long name, or of the attributes of a member
_TOO_LARGE = 1 << 60  # bytes: beyond any disk
_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.LNKTYPE: "hard link",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
    tarfile.FIFOTYPE: "pipe",
    tarfile.GNUTYPE_SPARSE: "sparse file",
}
_ATTRIBUTES = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_PASSED_OVER = (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK)
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}


class ReadableFile(Protocol):
    """What a walk needs of a file."""

    def read(self, size: int, /) -> bytes: ...
    def seek(self, offset: int, /) -> int: ...


class Member(msgspec.Struct, frozen=True):
    """A member of an archive."""

    name: str
    kind: str  # "file", "folder", "symbolic link", "hard link", "device", "pipe", "sparse file", or "member of type …"
    offset: int  # of its content, in bytes
    size: int  # bytes
    end: int  # offset of the next header


def members_from(file: ReadableFile, offset: int, archive: str) -> Iterator[Member]:
    """The members of a tar archive from a header on.

    Reads plain, pax and GNU headers, and never backwards. The contents are jumped over.

    Parameters
    ----------
    file : file
    offset : int
        Offset of the first header, in bytes.
    archive : str
        Name of the archive, for messages.

    Raises
    ------
    AudioMetamerError
        If this is not a tar archive, it is damaged, or ends early.
    """
    said: dict[str, str] = {}  # by the headers in front of a member's own
    while True:
        file.seek(offset)
        block = file.read(BLOCK)
        if len(block) == BLOCK and not block.strip(b"\0"):
            return
        header, size = _header(block, offset, archive)
        offset += BLOCK
        end = offset + _padded(size)
        if header.type in (*_ATTRIBUTES, tarfile.GNUTYPE_LONGNAME):
            text = _text(file, size, archive, offset)
            said |= _attributes(text) if header.type in _ATTRIBUTES else {"path": _decoded(text.partition(b"\0")[0])}
        elif header.type not in _PASSED_OVER:
            if header.type == tarfile.GNUTYPE_SPARSE:
                offset = _after_sparse_map(file, block, offset)
            member = _member(header, offset, size, said, archive)
            yield member
            said, end = {}, member.end
        offset = end


def _header(block: bytes, offset: int, archive: str) -> tuple[tarfile.TarInfo, int]:
    if len(block) < BLOCK:
        if offset == 0 and (other := _other_kind(block)):
            raise AudioMetamerError(f"{archive} {other}")
        what = "is empty" if offset == 0 and not block else f"ends before byte {offset + BLOCK}, without the mark of its end"
        raise AudioMetamerError(f"{archive} {what}: it is truncated; copy or download it again")
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        if offset:
            raise AudioMetamerError(f"{archive} is damaged: there is no valid header at byte {offset}") from error
        what = _other_kind(block) or "is not a tar archive"
        raise AudioMetamerError(f"{archive} {what}") from error
    return header, _checked_size(header.size, offset, archive)


def _other_kind(block: bytes) -> str:
    """What a file that begins like this is instead of an archive; empty if that is not known."""
    if kind := next((kind for start, kind in _COMPRESSED.items() if block.startswith(start)), None):
        return f"is compressed with {kind}; unpack it to a plain tar first"
    if block.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "is a web page (for a login?), not a tar archive"
    return ""


def _checked_size(size: int, offset: int, archive: str) -> int:
    if 0 <= size < _TOO_LARGE:
        return size
    raise AudioMetamerError(f"{archive} is damaged: the header at byte {offset} states a size of {size} bytes")


def _member(header: tarfile.TarInfo, offset: int, size: int, said: dict[str, str], archive: str) -> Member:
    """A member; links, folders and devices have none, whatever size they state."""
    kind = _KINDS.get(header.type, f"member of type {header.type!r}")
    if re.fullmatch("[0-9]{1,20}", stated := said.get("size", "")):
        size = _checked_size(int(stated), offset - BLOCK, archive)
    if header.type in tarfile.SUPPORTED_TYPES and kind not in ("file", "sparse file"):
        size = 0
    if kind == "file" and any(key.startswith("GNU.sparse.") for key in said):
        kind = "sparse file"
    name = said.get("GNU.sparse.name", said.get("path", header.name))
    return Member(_decoded(name.encode(errors="surrogateescape")), kind, offset, size, offset + _padded(size))


def _text(file: ReadableFile, size: int, archive: str, offset: int) -> bytes:
    text = file.read(size) if size <= _LARGEST_TEXT else b""
    if size > _LARGEST_TEXT or len(text) < size:
        raise AudioMetamerError(f"{archive} is damaged: a name or attributes of {size} bytes at byte {offset}")
    return text


def _attributes(text: bytes) -> dict[str, str]:
    """Pax records, ``<length> <key>=<value>`` and a line break; the length is of the whole record (POSIX.1-2017, pax)."""
    found, position = {}, 0
    while match := re.compile(rb"(\d{1,20}) ([^=]+)=").match(text, position):
        end = position + int(match[1])
        if not match.end() < end <= len(text):
            break
        found[_decoded(match[2])] = _decoded(text[match.end() : end - 1])
        position = end
    return found


def _after_sparse_map(file: ReadableFile, block: bytes, offset: int) -> int:
    """The end of the blocks that continue the map of an old GNU sparse member."""
    more = block[482]
    while more:
        extension = file.read(BLOCK)
        more = len(extension) == BLOCK and extension[504]
        offset += BLOCK
    return offset


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _decoded(text: bytes) -> str:
    return text.decode(errors="replace")
