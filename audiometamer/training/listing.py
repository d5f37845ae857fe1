"""The audio files of a folder: each once, whatever links there are, and only what is a recording."""

import os
import warnings
from collections import deque
from pathlib import Path

from audiometamer.errors import AudioMetamerWarning
from audiometamer.signals.audio import SOUND_ENDINGS


def audio_files(folder: Path) -> list[Path]:
    """Audio files at any depth, in order, by the ending of their names in any case; names with a leading dot are the system's.

    Each real folder and file is there once: a link to something else in `folder`, or to what `folder` lies in, adds nothing.

    Warns
    -----
    AudioMetamerWarning
        If files are empty; they are left out.
    """
    found = listed_files(folder)
    empty = {file for file in found if file.stat().st_size == 0}
    if empty:
        count = "1 file is" if len(empty) == 1 else f"{len(empty)} files are"
        warnings.warn(f"{count} empty (0 bytes) and left out: {min(empty)}", AudioMetamerWarning, stacklevel=2)
    return [file for file in found if file not in empty]


def listed_files(folder: Path) -> list[Path]:
    """As `audio_files`, with empty files and without a warning of them."""
    found: list[Path] = []
    linked: list[Path] = []
    folders, links, seen = deque([folder]), deque[Path](), {_place(parent) for parent in folder.resolve().parents}
    while folders or links:  # links last: of what lies at two places, the real one is taken
        where = folders.popleft() if folders else links.popleft()
        if (place := _place(where)) in seen:
            continue
        seen.add(place)
        with os.scandir(where) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = Path(entry.path)
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    (links if entry.is_symlink() else folders).append(path)
                elif path.suffix.lower() in SOUND_ENDINGS and entry.is_file():
                    (linked if entry.is_symlink() else found).append(path)
    known = {_place(file) for file in found} if linked else set()
    for file in linked:
        if (place := _place(file)) not in known:
            known.add(place)
            found.append(file)
    return sorted(found)


def _place(path: Path) -> tuple[int, int]:
    """What is the same for all names of a folder or file."""
    found = path.stat()
    return found.st_dev, found.st_ino
