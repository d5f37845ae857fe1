"""Names of clips, by recording and excerpt; times as people write them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from audiometamer.errors import AudioMetamerError
from audiometamer.io.paths import printable

_EXCERPT = re.compile(r"@[\d.e+-]+s")


def clip_name(path: str | os.PathLike[str]) -> str:
    """The name of a clip: its file's name without the suffix, "stdin" or "pipe"."""
    text = os.fspath(path)
    if text in ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
        return "stdin"
    return "pipe" if re.fullmatch(r"/(dev|proc/\w+)/fd/\d+", text) else Path(printable(path)).stem


def excerpt_name(name: str, start: float | None, length: float | None) -> str:
    """The name of an excerpt of a recording: ``a``, ``a@1.5s`` (from 1.5 s on) or ``a@1.5-2s`` (from 1.5 to 2 s).

    Parameters
    ----------
    name : str
        Name of the recording.
    start, length : float or None
        Seconds, as requested. None, like a start of 0, leaves the name unchanged.
    """
    begin = start or 0.0
    if length is not None:
        return f"{name}@{begin:.10g}-{begin + length:.10g}s"
    return f"{name}@{begin:.10g}s" if begin else name


def recording_of(clip: str) -> str:
    """The name of the recording of a clip: ``a`` for ``a@1.5s``; its own name if it is not an excerpt."""
    name, at, part = clip.rpartition("@")
    return name if name and _EXCERPT.fullmatch(at + part) else clip


def row_clip_name(row: Mapping[str, str], start: float | None = None, duration: float | None = None) -> str:
    """The name of a clip in a table: its ``name``, or one derived from its file and excerpt.

    Parameters
    ----------
    row : mapping of str to str
    start, duration : float or None
        Seconds, if the row has none of its own.
    """
    part = cell_seconds(row, "start", start), cell_seconds(row, "duration", duration)
    return row.get("name") or excerpt_name(clip_name(row.get("path", "")), *part)


def cell_seconds(row: Mapping[str, str], column: str, default: float | None) -> float | None:
    """The seconds in a cell of a table of clips, or the default if it is empty.

    Raises
    ------
    AudioMetamerError
        If the cell is not a time.
    """
    if not (cell := row.get(column)):
        return default
    try:
        return parse_seconds(cell)
    except ValueError as error:
        raise AudioMetamerError(f"{row.get('path')}: {column}: {error}") from error


def parse_seconds(text: str) -> float:
    """A time as people write it, in seconds: ``65.5``, ``1:05.5`` or ``0:01:05.5``.

    Raises
    ------
    ValueError
        If it is not.
    """
    found = re.fullmatch(r"(?:(?:(\d+):)?(\d+):(?=\d\d?(?:\.|$)))?(\d+\.?\d*|\.\d+)", text.strip())
    if found is None or (":" in text and float(found[3]) >= 60) or (found[1] and int(found[2]) >= 60):
        raise ValueError(f"{text!r} is not a time; write seconds (65.5), minutes (1:05.5) or hours (0:01:05.5)")
    return 3600 * int(found[1] or 0) + 60 * int(found[2] or 0) + float(found[3])
