"""Paths: as they are shown, without links, and whether one out of a file is safe to follow."""

import os
import re
from pathlib import Path

_LONGEST_NAME = 255  # bytes that file systems take


def printable(path: str | os.PathLike[str]) -> str:
    """A path as text of one line that can be shown and stored.

    Bytes that are not UTF-8 are read as Latin-1, or else replaced by �; control characters and line breaks are escaped.
    """
    latin = re.sub("[\udca0-\udcff]", lambda byte: chr(ord(byte[0]) - 0xDC00), os.fspath(path))
    whole = re.sub("[\ud800-\udfff]", "�", latin)
    return re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda c: c[0].encode("unicode_escape").decode(), whole)


def is_safe_relative_path(name: str) -> bool:
    """Whether a name out of a file, as a path from its folder, stays in that folder and can be one."""
    parts = name.replace("\\", "/").split("/")
    return "\0" not in name and not {"", ".", ".."} & {*parts} and all(len(os.fsencode(part)) <= _LONGEST_NAME for part in parts)


def real_path(path: str | os.PathLike[str]) -> Path:
    """A path without links; links that lead in a circle stay."""
    return Path(os.path.realpath(path))  # Path.resolve raises RuntimeError at a circle before Python 3.13
