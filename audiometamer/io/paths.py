"""Paths: printable, without symbolic links, and whether one that a file names is safe to follow."""

import os
import re
from pathlib import Path

_MAX_NAME = 255  # bytes of a file name


def printable(path: str | os.PathLike[str]) -> str:
    """A path as one line of text that can be printed and stored.

    Bytes that are not UTF-8 are decoded as Latin-1, or else replaced by �; control characters and line breaks are escaped.
    """
    latin = re.sub("[\udca0-\udcff]", lambda byte: chr(ord(byte[0]) - 0xDC00), os.fspath(path))
    text = re.sub("[\ud800-\udfff]", "�", latin)
    return re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda c: c[0].encode("unicode_escape").decode(), text)


def is_safe_relative_path(name: str) -> bool:
    """Whether a relative path that a file contains is valid and stays inside its folder."""
    parts = name.replace("\\", "/").split("/")
    return "\0" not in name and not {"", ".", ".."} & {*parts} and all(len(os.fsencode(part)) <= _MAX_NAME for part in parts)


def real_path(path: str | os.PathLike[str]) -> Path:
    """A path without symbolic links; circular links stay."""
    return Path(os.path.realpath(path))  # Path.resolve raises RuntimeError on circular links before Python 3.13
