"""Whether the file of a signal is intact, by its header and its length, not emptied or truncated by a power cut."""

import math
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from audiometamer.io.safetensors_header import announced_size

_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"


def is_intact(path: Path) -> bool:
    """Whether a file exists, is not empty and, if it is WAV, PNG, ``.npy`` or safetensors, as long as its header states.

    The samples are not read.

    Raises
    ------
    OSError
        If it exists and cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return size > 0 and (path.suffix not in _LENGTHS or _LENGTHS[path.suffix](file, size) <= size)
    except FileNotFoundError:
        return False
    except (struct.error, ValueError):  # not a header
        return False


def _wav(file: BinaryIO, _: int) -> int:
    name, length, kind = struct.unpack("<4sI4s", file.read(12))
    if (name, kind) == (b"RF64", b"WAVE"):
        length = struct.unpack("<8xQ", file.read(16))[0]
    elif (name, kind) != (b"RIFF", b"WAVE"):
        raise ValueError(name)
    return int(length) + 8


def _png(file: BinaryIO, size: int) -> int:
    file.seek(-min(len(_PNG_END), size), os.SEEK_END)
    return size if file.read() == _PNG_END else size + 1


def _npy(file: BinaryIO, _: int) -> int:
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    shape, _, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)
    return file.tell() + math.prod(shape) * dtype.itemsize


def _safetensors(file: BinaryIO, _: int) -> int:
    return announced_size(file)


# The length that a file states, in bytes, by suffix.
_LENGTHS: dict[str, Callable[[BinaryIO, int], int]] = {
    ".wav": _wav,
    ".png": _png,
    ".npy": _npy,
    ".safetensors": _safetensors,
}
