"""The audio files of a folder: each once, despite links, and only recordings."""

import os
import warnings
from collections import deque
from pathlib import Path

from audiometamer.errors import AudioMetamerWarning
from audiometamer.signals.audio import SOUND_ENDINGS


def audio_files(folder: Path) -> list[Path]:
    """Audio files at any depth, sorted, recognised by their extension in any case; names with a leading dot are ignored.

    Each real folder and file is listed once: a link to another part of `folder`, or to a parent of it, adds nothing.

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
    """Like `audio_files`, but including empty files, without a warning."""
    found: list[Path] = []
    linked: list[Path] = []
    folders, links, seen = deque([folder]), deque[Path](), {_inode(parent) for parent in folder.resolve().parents}
    while folders or links:  # links last, so that the real location takes precedence
        where = folders.popleft() if folders else links.popleft()
        if (inode := _inode(where)) in seen:
            continue
        seen.add(inode)
        with os.scandir(where) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = Path(entry.path)
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    (links if entry.is_symlink() else folders).append(path)
                elif path.suffix.lower() in SOUND_ENDINGS and entry.is_file():
                    (linked if entry.is_symlink() else found).append(path)
    known = {_inode(file) for file in found} if linked else set()
    for file in linked:
        if (inode := _inode(file)) not in known:
            known.add(inode)
            found.append(file)
    return sorted(found)


def _inode(path: Path) -> tuple[int, int]:
    """An identity that all names of a folder or file share."""
    found = path.stat()
    return found.st_dev, found.st_ino
