"""Names of files and folders that every file system accepts and none confuses with another."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from audiometamer.errors import AudioMetamerError
from audiometamer.io.paths import printable

_MAX_BYTES = 150  # of a name; file systems accept 255
# Device names on Windows, which no file may have there, whatever its suffix.
_DEVICES = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])(\.|$)", re.IGNORECASE)


def safe_name(name: str) -> str:
    """A name that every file system accepts; a long one is cut, and ends with its hash."""
    safe = re.sub(r"[^\w.@\-\[\]+=]+", "_", name).strip(".") or "_"
    if _DEVICES.match(safe):
        safe = f"_{safe}"
    if len(safe.encode()) <= _MAX_BYTES:
        return safe
    cut = safe.encode()[: _MAX_BYTES - 9].decode(errors="ignore")
    return f"{cut}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def portable_key(path: str | os.PathLike[str]) -> str:
    """A key, the same for paths that some file system confuses.

    macOS and Windows ignore case, macOS also how accents are composed.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", os.fspath(path)).casefold())


def check_distinct_paths(places: Iterable[tuple[object, str | os.PathLike[str]]], what: str = "file") -> None:
    """Raise if different things would have the same path.

    Parameters
    ----------
    places : iterable of (object, path)
        The name of each thing, and its path.
    what : str
        Kind of thing, for the message. Default "file".
    """
    taken: dict[str, tuple[object, str | os.PathLike[str]]] = {}
    for name, path in places:
        first, first_path = taken.setdefault(portable_key(path), (name, path))
        if first != name:
            same = "" if os.fspath(first_path) == os.fspath(path) else f" (on macOS and Windows {first_path} is the same)"
            raise AudioMetamerError(
                f"{printable(str(first))} and {printable(str(name))} would share the {what} {path}{same}; rename one of them"
            )


def check_no_case_twin(folder: Path, name: str) -> None:
    """Raise if a folder contains not this name, but one that some file system confuses with it."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    if name in names:
        return
    wanted = portable_key(name)
    if twin := next((other for other in names if portable_key(other) == wanted), None):
        raise AudioMetamerError(f"{folder / twin} exists, and is {name} on macOS and Windows; rename one of them")


def as_output_folder(path: str | os.PathLike[str]) -> Path:
    """The path of a folder to write to; raises if it is a file, or no folder can have that name."""
    folder = Path(path)
    try:
        in_the_way = folder.exists() and not folder.is_dir()
    except OSError as error:
        raise AudioMetamerError(f"could not write into {folder}: {error.strerror}") from error
    if in_the_way:
        raise AudioMetamerError(f"{folder} is a file; --out takes a folder")
    return folder
