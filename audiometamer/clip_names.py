"""What clips are called: after their recording, and the excerpt that is taken of it."""

import re
from collections.abc import Mapping
from pathlib import Path

from audiometamer.errors import AudioMetamerError

_EXCERPT = re.compile(r"@[\d.e+-]+s")


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


def name_of(row: Mapping[str, str], start: float | None = None, duration: float | None = None) -> str:
    """What a clip of a table is called: as its ``name`` says, or else after its file and the part that is taken of it.

    Parameters
    ----------
    row : mapping of str to str
    start, duration : float or None
        Seconds, where the row has none of its own.
    """
    part = seconds_in(row, "start", start), seconds_in(row, "duration", duration)
    return row.get("name") or excerpt_name(Path(row.get("path", "")).stem, *part)


def seconds_in(row: Mapping[str, str], column: str, default: float | None) -> float | None:
    """The seconds in a cell of a table of clips, or the default where it is empty.

    Raises
    ------
    AudioMetamerError
        If the cell is no number.
    """
    if not (cell := row.get(column)):
        return default
    try:
        return float(cell)
    except ValueError as error:
        raise AudioMetamerError(f"{row.get('path')}: {column} is {cell!r}; it must be a number of seconds") from error
