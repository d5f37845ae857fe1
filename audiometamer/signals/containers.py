"""Repair containers of sound: headers without lengths, and files that hold several sounds one after the other.

A recorder that writes to a pipe cannot go back to complete its header. libsndfile reads some of these files only in part, or not
at all; `complete_streams` gives it files that it reads completely.
"""

import itertools
import re
import struct
import tempfile
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import BinaryIO, NamedTuple


class FaultyFileError(Exception):
    """The fault of a file, as a phrase that follows the file's name."""


_UNKNOWN_32, _UNKNOWN_64 = (0, 0xFFFFFFFF), (0, 0xFFFFFFFFFFFFFFFF)
_BLOCK = 1 << 20
_MOST_CHUNKS = 1 << 16


def is_placeholder(n_bytes: int) -> bool:
    """Whether a length in a header stands for "unknown": 0, negative, or within 64 KiB of 2 GiB or 4 GiB."""
    return n_bytes <= 0 or any(abs(n_bytes - limit) <= 1 << 16 for limit in (1 << 31, 1 << 32))


def complete_streams(file: BinaryIO) -> Iterator[BinaryIO]:
    """The files to decode in turn: the file itself, or temporary copies in which every length is known.

    Raises
    ------
    FaultyFileError
        If the file ends before its sound does.
    """
    beginning = _read_at(file, 0, 12)
    if beginning[:4] == b"OggS":
        yield from _ogg_links(file)
    elif beginning[:3] == b"ID3" or _frame(beginning[:4]) is not None:
        yield from _mp3_links(file)
    elif beginning[:4] == b"RIFF" and beginning[8:] == b"WAVE":
        for link in _riff_links(file):
            completed = _with_sizes(link, _riff_sizes(link))
            if file is not link is not completed:
                link.close()
            yield completed
    elif beginning[:4] == b"RF64":
        yield _with_sizes(file, _rf64_sizes(file))
    elif beginning[:4] == b"caff":
        yield _with_sizes(file, _caf_sizes(file))
    else:
        if beginning[:7] == b"NIST_1A":
            _check_nist(file)
        yield file


def _read_at(file: BinaryIO, position: int, n_bytes: int) -> bytes:
    file.seek(position)
    return file.read(n_bytes)


def _size(file: BinaryIO) -> int:
    return file.seek(0, 2)


def _copied(
    file: BinaryIO, begin: int, end: int, *, head: bytes = b"", sizes: Mapping[int, bytes] = MappingProxyType({})
) -> BinaryIO:
    """A temporary copy of a part of a file, after `head`, with `sizes` written at positions of the copy."""
    copy: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    copy.write(head)
    file.seek(begin)
    while begin < end and (block := file.read(min(_BLOCK, end - begin))):
        copy.write(block)
        begin += len(block)
    for position, value in sizes.items():
        copy.seek(position)
        copy.write(value)
    copy.seek(0)
    return copy


def _with_sizes(file: BinaryIO, sizes: dict[int, bytes]) -> BinaryIO:
    """A copy of the file with `sizes` written at their positions; the file itself if there are none."""
    return _copied(file, 0, _size(file), sizes=sizes) if sizes else file


class _Chunk(NamedTuple):
    name: bytes
    begin: int  # of its content
    size: int


def _chunks(file: BinaryIO, position: int, size: struct.Struct) -> Iterator[_Chunk]:
    """Chunks of a file, each with a name of 4 bytes and a size; RIFF pads them to an even length."""
    for _ in range(_MOST_CHUNKS):
        header = _read_at(file, position, 4 + size.size)
        if len(header) < 4 + size.size or header.startswith(
            bytes(4)
        ):  # silence of unknown length would look like millions of chunks
            return
        (n_bytes,) = size.unpack(header[4:])
        position += len(header)
        yield _Chunk(header[:4], position, n_bytes)
        if n_bytes < 0:
            return
        position += n_bytes + (n_bytes % 2 if size.size == 4 else 0)


_RIFF, _CAF = struct.Struct("<I"), struct.Struct(">q")


def _riff_links(file: BinaryIO) -> Iterator[BinaryIO]:
    """WAVs that follow each other in one file, as `cat` makes them."""
    begins, end = [0], _size(file)
    while True:
        (size,) = _RIFF.unpack(_read_at(file, begins[-1] + 4, 4))
        after = begins[-1] + 8 + size + size % 2
        header = _read_at(file, after, 12)
        if header[:4] != b"RIFF" or header[8:] != b"WAVE":
            break
        begins.append(after)
    if len(begins) == 1:
        yield file
    else:
        yield from (_copied(file, begin, stop) for begin, stop in itertools.pairwise([*begins, end]))


def _riff_sizes(file: BinaryIO) -> dict[int, bytes]:
    """The size of data whose header says 0 although bytes follow that are not chunks."""
    data = next((chunk for chunk in _chunks(file, 12, _RIFF) if chunk.name == b"data"), None)
    end = _size(file)
    if data is None or data.size or data.begin == end or end >= 1 << 32:
        return {}
    following = list(_chunks(file, data.begin, _RIFF))
    if following and following[-1].begin + following[-1].size in (end, end - 1):
        return {}
    return {4: _RIFF.pack(end - 8), data.begin - 4: _RIFF.pack(end - data.begin)}


def _rf64_sizes(file: BinaryIO) -> dict[int, bytes]:
    chunks = {chunk.name: chunk for chunk in _chunks(file, 12, _RIFF)}
    sizes, data, end = chunks.get(b"ds64"), chunks.get(b"data"), _size(file)
    if sizes is None or data is None or data.size not in _UNKNOWN_32:
        return {}
    if struct.unpack("<Q", _read_at(file, sizes.begin + 8, 8))[0] not in _UNKNOWN_64:
        return {}
    block = struct.unpack("<H", _read_at(file, chunks[b"fmt "].begin + 12, 2))[0] or 1
    n_bytes = end - data.begin
    return {
        sizes.begin: struct.pack("<QQQ", end - 8, n_bytes, n_bytes // block),
        data.begin - 4: _RIFF.pack(0xFFFFFFFF),
    }


def _caf_sizes(file: BinaryIO) -> dict[int, bytes]:
    data = next((chunk for chunk in _chunks(file, 8, _CAF) if chunk.name == b"data"), None)
    return {} if data is None or data.size >= 0 else {data.begin - 8: _CAF.pack(_size(file) - data.begin)}


def _check_nist(file: BinaryIO) -> None:
    """Raise if a NIST SPHERE file, whose lengths libsndfile ignores, is truncated."""
    header = _read_at(file, 0, 1024)
    fields = {name: int(value) for name, value in re.findall(rb"^(\w+) -\w+ (\d+)", header, re.MULTILINE)}
    size = re.match(rb"NIST_1A\s+(\d+)", header)
    n_bytes = fields.get(b"sample_count", 0) * fields.get(b"sample_n_bytes", 0) * fields.get(b"channel_count", 1)
    if size and _size(file) < int(size[1]) + n_bytes:
        raise FaultyFileError(f"is truncated: its header announces {fields[b'sample_count']} samples, more than it holds")


def _ogg_links(file: BinaryIO) -> Iterator[BinaryIO]:
    """Chained Ogg streams (RFC 3533, section 4), each as a file of its own."""
    begins: list[int] = []
    position, end, began = 0, _size(file), False
    while position < end:
        header = _read_at(file, position, 27)
        segments = _read_at(file, position + 27, header[26]) if len(header) == 27 else b""
        if header[:4] != b"OggS":
            break  # a tag after the last page
        begins_stream = bool(header[5] & 2)
        if begins_stream and not began:  # multiplexed streams begin with consecutive pages
            begins.append(position)
        began = begins_stream
        position += 27 + len(segments) + sum(segments)
        if len(segments) < header[26] or position > end:
            raise FaultyFileError("is truncated: its last Ogg page is incomplete")
    if len(begins) < 2:
        yield file
    else:
        yield from (_copied(file, begin, stop) for begin, stop in zip(begins, [*begins[1:], position], strict=True))


class _Frame(NamedTuple):
    n_bytes: int
    n_samples: int
    side: int  # bytes of side information


_RATES = (44100, 48000, 32000)
_KBITS = {
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG-1
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG-2 and 2.5
}
_DECODER_DELAY = 529  # samples that decoders remove beyond what the tag says


def _frame(header: bytes) -> _Frame | None:
    """Decode the header of an MPEG Layer III frame (ISO 11172-3, 2.4.1.3); None if it is not one."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, bits, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bits in (0, 15) or rate == 3:
        return None
    first, mono = version == 3, header[3] >> 6 == 3
    n_samples, hertz = (1152 if first else 576), _RATES[rate] // {3: 1, 2: 2, 0: 4}[version]
    n_bytes = n_samples // 8 * _KBITS[first][bits - 1] * 1000 // hertz + (header[2] >> 1 & 1)
    return _Frame(n_bytes, n_samples, (17 if mono else 32) if first else (9 if mono else 17))


def _frames(data: bytes) -> Iterator[int]:
    """Positions of the frames of an MP3; a frame counts if another one, or only a tag, follows."""
    position, in_sync = _after_id3(data, 0), False
    while position < len(data) - 3:
        frame = _frame(data[position : position + 4])
        after = position + frame.n_bytes if frame else 0
        if frame and after <= len(data) and (in_sync or _frame(data[after : after + 4])):
            yield position
            position, in_sync = after, True
        else:
            in_sync = False
            beyond = _after_id3(data, position)
            position = beyond if beyond > position else data.find(b"\xff", position + 1)
            if position < 0:
                return


def _after_id3(data: bytes, position: int) -> int:
    """The position after an ID3v2 tag, if one begins here."""
    if data[position : position + 3] != b"ID3" or len(data) < position + 10:
        return position
    a, b, c, d = data[position + 6 : position + 10]
    return position + 10 + (a << 21 | b << 14 | c << 7 | d)


def _mp3_links(file: BinaryIO) -> Iterator[BinaryIO]:
    """Concatenated MP3s, each with a first frame that counts the others.

    Without such a frame, libsndfile estimates their number from the bit rate of the first one.
    """
    data = _read_at(file, 0, _size(file))
    frames = list(_frames(data))
    begins = [i for i, position in enumerate(frames) if i == 0 or _tag(data, position) is not None]
    if len(begins) < 2 and (not frames or _is_counted(data, frames)):
        yield file
        return
    for begin, end in itertools.pairwise([*begins, len(frames)]):
        yield _counted_mp3(file, data, frames[begin:end])


def _tag(data: bytes, position: int) -> int | None:
    """Position of the Xing tag in a frame, if it has one."""
    frame = _frame(data[position : position + 4])
    at = position + 4 + (frame.side if frame else 0)
    return at if data[at : at + 4] in (b"Xing", b"Info") else None


def _is_counted(data: bytes, frames: list[int]) -> bool:
    """Whether the first frame states, give or take one, how many follow; raises if it states more."""
    tag = _tag(data, frames[0])
    if tag is None:
        return False
    has_count, announced = struct.unpack(">II", data[tag + 4 : tag + 12])
    found = len(frames) - 1
    if has_count & 1 and found < announced - 1:
        raise FaultyFileError(f"is truncated: its header announces {announced} frames and it holds {found}")
    return bool(has_count & 1) and found <= announced + 1


def _counted_mp3(file: BinaryIO, data: bytes, frames: list[int]) -> BinaryIO:
    """A copy of frames in which the first counts the others."""
    last = _frame(data[frames[-1] : frames[-1] + 4])
    end = frames[-1] + (last.n_bytes if last else 0)
    if _is_counted(data, frames):
        return _copied(file, frames[0], end)
    if (
        _tag(data, frames[0]) is not None or data[frames[0] + 36 : frames[0] + 40] == b"VBRI"
    ):  # a tag that libsndfile does not use
        frames = frames[1:] or frames
    return _copied(file, frames[0], end, head=_count(data[frames[0] : frames[0] + 4], len(frames)))


def _count(header: bytes, n_frames: int) -> bytes:
    """Two silent frames to precede others: the first counts them (Xing tag) and makes decoders drop the second (LAME tag)."""
    longest = bytes([header[0], header[1] | 1, header[2] & 0x0D | 0xE0, header[3]])
    frame = _frame(longest)
    assert frame is not None
    delay = frame.n_samples - _DECODER_DELAY
    tag = struct.pack(">4sII21s3s", b"Xing", 1, n_frames + 1, b"LAME", (delay << 12).to_bytes(3, "big"))
    return (longest + bytes(frame.side) + tag).ljust(frame.n_bytes, b"\0") + longest.ljust(frame.n_bytes, b"\0")
