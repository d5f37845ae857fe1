"""Read files and pipes whole, with limits on size and waiting time."""

import codecs
import errno
import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

import msgspec

from audiometamer.io.paths import printable

JSON_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)  # raised by JSON that cannot be decoded
_MAX_BYTES = 1 << 30
# Binary on Windows; elsewhere without blocking on a pipe that has no writer.
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_PIPE_TIMEOUT = 30  # seconds


def read_file_bytes(path: str | os.PathLike[str]) -> bytes:
    """All bytes of a file or a pipe, at most 1 GiB.

    Raises
    ------
    OSError
        If it cannot be read, is larger, is a folder, is a device (/dev/zero has no end), or is a pipe without a writer.
    """
    with _opened(path) as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {_MAX_BYTES >> 30} GiB", os.fspath(path))
    return content


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    try:
        descriptor = os.open(path, _READ)
    except ValueError as error:  # NUL in a name
        raise OSError(errno.EINVAL, str(error), printable(path)) from error
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        os.close(descriptor)
        what = "a folder" if stat.S_ISDIR(mode) else "a device"
        raise OSError(errno.EINVAL, f"it is {what}, not a file", os.fspath(path))
    with open(descriptor, "rb") as file:  # noqa: PTH123 (a descriptor)
        if not stat.S_ISREG(mode) and not pipe_is_ready(file, _PIPE_TIMEOUT):
            raise OSError(errno.ETIMEDOUT, f"it is a pipe into which nothing was written for {_PIPE_TIMEOUT} s", os.fspath(path))
        yield file


def pipe_is_ready(pipe: IO[bytes], timeout: float) -> bool:
    """Whether a pipe has data, or has ended, within `timeout` seconds; from then on, reading it blocks.

    Always True on Windows, where pipes cannot be polled.
    """
    if os.name == "nt":
        return True
    is_ready = bool(select.select([pipe], [], [], timeout)[0])
    os.set_blocking(pipe.fileno(), True)
    return is_ready


def read_unicode(path: Path) -> str:
    """Read text in UTF-8, with or without a byte order mark, or in UTF-16 with one.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is in another encoding.
    """
    content = read_file_bytes(path)
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error
