"""Auxiliary files in a set that are no part of it: those that runs need, and reports; known by place, name and content."""

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import holds_only_zeros, is_temporary
from audiometamer.jobs.claims import LOCK, UNREADABLE, is_claim, is_running, read_claim
from audiometamer.metamers.layout import ITEMS, PLANNED, RECORD, REPORT, REPORT_FILES
from audiometamer.metamers.record_files import read_checkpoint_settings
from audiometamer.stimuli.identity import folder_of_item
from audiometamer.stimuli.layout import (
    CHECKPOINT,
    CLAIMS,
    CLIPS,
    DESCRIPTION,
    ERROR,
    LICENCES,
    MANIFEST,
    ORIGINALS,
    PARQUET,
    README,
)

_KEY = re.compile(r"[0-9a-f]{12}")
_ITEM_FILES = re.compile(rf"metamer\.(wav|png|npy)|{re.escape(RECORD)}|{re.escape(ERROR)}|{re.escape(CHECKPOINT)}")
_TABLES = {"index.tsv", PARQUET, CLIPS, LICENCES, DESCRIPTION, README, MANIFEST, PLANNED}
_PLANS = re.compile(r"(plan(-\d+)?\.toml|clips(-\d+)?\.csv)")
_PNG = b"\x89PNG\r\n\x1a\n"
_PAGE = b'<meta name="generator" content="audiometamer report'
_HEAD = 4096  # bytes of a claim, and of the beginning of a file by which it is recognised


def is_named_like_auxiliary(file: str) -> bool:
    """Whether a file is left out of manifests, by its name: one that only runs need, or a report's."""
    at = PurePosixPath(file)
    top = at.parts[0]
    if len(at.parts) == 1 and top in (LOCK, REPORT):
        return True
    if len(at.parts) > 1 and (top in (CLAIMS, REPORT_FILES) or top.endswith("-logs")):
        return True
    return at.name == CHECKPOINT or is_temporary(at.name)


def is_auxiliary(stimulus_set: Path, file: str) -> bool:
    """Whether a file is one that runs need, or a report's, by its place, name and content."""
    if not is_named_like_auxiliary(file) or (path := stimulus_set / file).is_symlink() or not path.is_file():
        return False
    at = PurePosixPath(file)
    if is_temporary(at.name) and at.parts[0] != REPORT_FILES:
        return _is_being_written(stimulus_set, at)
    if at.name == LOCK:
        return at.parent.as_posix() in (".", CLAIMS) and _is_lock(path)
    try:
        return _KINDS.get(at.parts[0], _is_log)(path, at)
    except (OSError, AudioMetamerError):
        return False


def _is_lock(path: Path) -> bool:
    """An empty file; where the file system has no locks, it contains the number and the machine of a process."""
    return re.fullmatch(rb"|\d+\n[^\n]*\n?", _head(path)) is not None


def _is_claim(path: Path, at: PurePosixPath) -> bool:
    """A readable claim, or one that is being written."""
    if len(at.parts) != 2 or _KEY.fullmatch(at.name) is None or path.stat().st_size > _HEAD:
        return False
    return read_claim(path) != UNREADABLE or holds_only_zeros(path)


def _is_page(path: Path, _: PurePosixPath) -> bool:
    return _PAGE in _head(path)


def _is_picture(path: Path, at: PurePosixPath) -> bool:
    """An image of a file of the set, under the name of that file."""
    drawn = path.parents[len(at.parts) - 1] / PurePosixPath(*at.parts[1:])
    shown = [drawn.with_suffix(suffix) for suffix in (".wav", ".png", ".npy")] if drawn.name != "figure.png" else [drawn.parent]
    return path.suffix == ".png" and _head(path).startswith(_PNG) and any(each.exists() for each in shown)


def _is_log(path: Path, at: PurePosixPath) -> bool:
    """A text file that Slurm has named after a job and a task."""
    named = len(at.parts) == 2 and at.parts[0].endswith("-logs") and re.fullmatch(r"\d+_\d+\.log", at.name)
    return bool(named) and b"\0" not in _head(path)


def _is_checkpoint(path: Path, at: PurePosixPath) -> bool:
    """The checkpoint of the item in whose folder it lies."""
    if len(at.parts) != 5:
        return False
    try:
        settings = read_checkpoint_settings(path)
    except AudioMetamerError:
        return False
    key = at.parent.name.rpartition("-")[2]  # of a later attempt, the seed is another
    return PurePosixPath(folder_of_item(settings, key)).parent == at.parent.parent


_KINDS: dict[str, Callable[[Path, PurePosixPath], bool]] = {
    CLAIMS: _is_claim,
    REPORT: _is_page,
    REPORT_FILES: _is_picture,
    ITEMS: _is_checkpoint,
}


def _is_being_written(stimulus_set: Path, at: PurePosixPath) -> bool:
    """A temporary file of a live worker, for one of the files that it writes there."""
    name, claims = at.name.split("-", 1)[1], stimulus_set / CLAIMS
    if len(at.parts) == 1:
        named = name in _TABLES or _PLANS.fullmatch(name) is not None
    elif at.parts[0] == CLAIMS:
        named = _KEY.fullmatch(name) is not None
    elif at.parts[0] == ORIGINALS:
        named = len(at.parts) == 2
    else:
        named = at.parts[0] == ITEMS and len(at.parts) in (5, 7) and _ITEM_FILES.fullmatch(name) is not None
        return named and _lives(claims / at.parts[3].rpartition("-")[2])
    return named and any(_lives(claim) for claim in claims.glob("*") if is_claim(claim))


def _lives(claim: Path) -> bool:
    try:
        return is_running(claim)
    except AudioMetamerError:  # not a claim, and reported as extra
        return False


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)
