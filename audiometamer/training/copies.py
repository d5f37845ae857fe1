"""Identical recordings under several names: none is used for both training and testing."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from audiometamer.io.callbacks import Notify
from audiometamer.training.recordings import AudioFile, Recording

_SAMPLE = 4096  # bytes that are compared first
_KEPT_FIRST = ("test", "valid", "train")


def without_copies(recordings: Sequence[Recording], notify: Notify) -> list[Recording]:
    """Leave out recordings whose file is identical, byte for byte, to one in a split that is tested on.

    Copies in several splits are kept in test, or else in valid; copies within one split are all kept. `notify` is called with a
    line that states how many were left out.
    """
    files = [r for r in recordings if isinstance(r, AudioFile) and r.split in _KEPT_FIRST]
    left_out: dict[Path, Path] = {}  # each with the file that it is a copy of
    for same in _groups(_groups(_groups([files], _size), _middle), _digest):
        kept = min(same, key=lambda r: _KEPT_FIRST.index(r.split))
        left_out |= {r.path: kept.path for r in same if r.split != kept.split and r.path != kept.path}
    if left_out:
        copy, original = next(iter(left_out.items()))
        notify(
            f"note: {len(left_out)} recordings are left out as copies of others in a split that is tested on: {copy} is "
            f"{original}"
        )
    return [r for r in recordings if not (isinstance(r, AudioFile) and r.path in left_out)]


def _groups(groups: Iterable[list[AudioFile]], key: Callable[[Path], object]) -> list[list[AudioFile]]:
    """Divide groups of possibly identical recordings further; keep those with several splits."""
    divided = []
    for group in groups:
        by_key: dict[object, list[AudioFile]] = defaultdict(list)
        for recording in group:
            by_key[key(recording.path)].append(recording)
        divided += [found for found in by_key.values() if len({r.split for r in found}) > 1]
    return divided


def _size(path: Path) -> int:
    return path.stat().st_size


def _middle(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(_size(path) - _SAMPLE, 0) // 2)
        return file.read(_SAMPLE)


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
