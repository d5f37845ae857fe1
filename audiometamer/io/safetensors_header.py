"""The header of a safetensors file, read without torch: an 8-byte length, then JSON by tensor name."""

import struct
from pathlib import Path
from typing import BinaryIO

import msgspec

_LARGEST = 100_000_000  # bytes, by the format's own rule
_METADATA = "__metadata__"


class _Extent(msgspec.Struct):
    """Position of the values of a tensor after the header."""

    data_offsets: tuple[int, int]


def announced_size(file: BinaryIO) -> int:
    """The size in bytes that a safetensors file should have by its header.

    Raises
    ------
    struct.error, ValueError
        If it has no header.
    """
    length, header = _read(file)
    extents = [msgspec.json.decode(raw, type=_Extent) for name, raw in header.items() if name != _METADATA]
    return 8 + length + max((extent.data_offsets[1] for extent in extents), default=0)


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; empty if it has none.

    Raises
    ------
    OSError, struct.error, ValueError
        If it cannot be read, or has no header.
    """
    with path.open("rb") as file:
        _, header = _read(file)
    return msgspec.json.decode(header.get(_METADATA, msgspec.Raw(b"{}")), type=dict[str, str])


def _read(file: BinaryIO) -> tuple[int, dict[str, msgspec.Raw]]:
    """The length of a header and its content, by tensor."""
    (length,) = struct.unpack("<Q", file.read(8))
    content = file.read(min(length, _LARGEST))
    if len(content) < length:
        raise ValueError(f"the header should have {length} bytes and has {len(content)}")
    return int(length), msgspec.json.decode(content, type=dict[str, msgspec.Raw])
