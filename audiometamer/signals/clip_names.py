"""Names of clips, after their recording and excerpt; times as people write them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from audiometamer.errors import AudioMetamerError
from audiometamer.io.paths import printable

_EXCERPT = re.compile(r"@[\d.e+-]+s")


def clip_name(path: str | os.PathLike[str]) -> str:
    """The name of a clip: its file's name without the ending, "stdin" or "pipe"."""
    whole = os.fspath(path)
    if whole in ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
        return "stdin"
    return "pipe" if re.fullmatch(r"/(dev|proc/\w+)/fd/\d+", whole) else Path(printable(path)).stem


def excerpt_name(name: str, start: float | None, length: float | None) -> str:
    """The name of an excerpt of a recording: ``a``, ``a@1.5s`` (from 1.5 s on) or ``a@1.5-2s`` (from 1.5 to 2 s).

    Parameters
    ----------
    name : str
        Name of the recording.
    start, length : float or None
        Seconds, as asked for. None, like a start of 0, leaves the name as it is.
    """
    begin = start or 0.0
    if length is not None:
        return f"{name}@{begin:.10g}-{begin + length:.10g}s"
    return f"{name}@{begin:.10g}s" if begin else name


def recording_of(clip: str) -> str:
    """The name of the recording that a clip is an excerpt of: ``a`` of ``a@1.5s``; its own if it is none."""
    name, at, part = clip.rpartition("@")
    return name if name and _EXCERPT.fullmatch(at + part) else clip


def row_clip_name(row: Mapping[str, str], start: float | None = None, duration: float | None = None) -> str:
    """The name of a clip of a table: its ``name``, or one after its file and the part that is taken of it.

    Parameters
    ----------
    row : mapping of str to str
    start, duration : float or None
        Seconds, where the row has none of its own.
    """
    part = cell_seconds(row, "start", start), cell_seconds(row, "duration", duration)
    return row.get("name") or excerpt_name(clip_name(row.get("path", "")), *part)


def cell_seconds(row: Mapping[str, str], column: str, default: float | None) -> float | None:
    """The seconds in a cell of a table of clips, or the default where it is empty.

    Raises
    ------
    AudioMetamerError
        If the cell is no time.
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
        If it is none.
    """
    found = re.fullmatch(r"(?:(?:(\d+):)?(\d+):(?=\d\d?(?:\.|$)))?(\d+\.?\d*|\.\d+)", text.strip())
    if found is None or (":" in text and float(found[3]) >= 60) or (found[1] and int(found[2]) >= 60):
        raise ValueError(f"{text!r} is not a time; write seconds (65.5), minutes (1:05.5) or hours (0:01:05.5)")
    return 3600 * int(found[1] or 0) + 60 * int(found[2] or 0) + float(found[3])
