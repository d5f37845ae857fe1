"""Names of files and folders that every file system takes, and that none takes for another's."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from audiometamer.errors import AudioMetamerError
from audiometamer.io.paths import printable

_LONGEST = 150  # bytes of a name; file systems take 255
# Names of devices on Windows, which no file may have there, with any ending.
_DEVICES = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])(\.|$)", re.IGNORECASE)


def safe_name(name: str) -> str:
    """A name that every file system takes; a long one is cut, and ends with its hash."""
    safe = re.sub(r"[^\w.@\-\[\]+=]+", "_", name).strip(".") or "_"
    if _DEVICES.match(safe):
        safe = f"_{safe}"
    if len(safe.encode()) <= _LONGEST:
        return safe
    cut = safe.encode()[: _LONGEST - 9].decode(errors="ignore")
    return f"{cut}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def portable_key(path: str | os.PathLike[str]) -> str:
    """What a file system may take a path for: macOS and Windows ignore case, macOS also how accents are composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", os.fspath(path)).casefold())


def check_distinct_paths(places: Iterable[tuple[object, str | os.PathLike[str]]], what: str = "file") -> None:
    """Raise if different things would lie at one path.

    Parameters
    ----------
    places : iterable of (object, path)
        What each thing is called, and its path once it is made safe.
    what : str
        What lies there, for the message. Default "file".
    """
    taken: dict[str, tuple[object, str | os.PathLike[str]]] = {}
    for name, path in places:
        first, there = taken.setdefault(portable_key(path), (name, path))
        if first != name:
            same = "" if os.fspath(there) == os.fspath(path) else f" (on macOS and Windows {there} is the same)"
            raise AudioMetamerError(
                f"{printable(str(first))} and {printable(str(name))} would share the {what} {path}{same}; rename one of them"
            )


def check_no_case_twin(folder: Path, name: str) -> None:
    """Raise if a folder has not this name, but another that some file system takes for it."""
    there = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    if name in there:
        return
    wanted = portable_key(name)
    if twin := next((other for other in there if portable_key(other) == wanted), None):
        raise AudioMetamerError(f"{folder / twin} exists, and is {name} on macOS and Windows; rename one of them")


def as_output_folder(path: str | os.PathLike[str]) -> Path:
    """A folder that may be written to; raises if a file is in the way, or no folder can have that name."""
    folder = Path(path)
    try:
        in_the_way = folder.exists() and not folder.is_dir()
    except OSError as error:
        raise AudioMetamerError(f"could not write into {folder}: {error.strerror}") from error
    if in_the_way:
        raise AudioMetamerError(f"{folder} is a file; --out takes a folder")
    return folder
