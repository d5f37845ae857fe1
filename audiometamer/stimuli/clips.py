"""Information about the clips of a set: tables of its plans, ``clips.tsv``, and their rights."""

from collections.abc import Mapping
from pathlib import Path

from audiometamer.errors import AudioMetamerError
from audiometamer.io.tables import read_table
from audiometamer.signals.clip_names import row_clip_name
from audiometamer.stimuli.layout import CLIP_COLUMNS, CLIPS, INITIAL, NATURAL_CLIPS, clip_tables

UNKNOWN = "unknown"
RIGHTS = ("licence", "attribution", "source")


def read_clips(stimulus_set: Path) -> dict[str, dict[str, str]]:
    """The columns of ``clips.tsv`` by clip; empty if it does not exist."""
    path = stimulus_set / CLIPS
    return {row.pop("clip"): row for row in read_table(path, required=["clip"])} if path.exists() else {}


def natural_clips(stimulus_set: Path) -> dict[str, str]:
    """The clips that lie in a set without metamers, and their files."""
    path = stimulus_set / NATURAL_CLIPS
    return {row["clip"]: row["file"] for row in read_table(path, required=["clip", "file"])} if path.exists() else {}


def known_clips(stimulus_set: Path) -> dict[str, dict[str, str]]:
    """A set's information about its clips: the tables of its plans, from the first on, and ``clips.tsv``; later ones override."""
    known: dict[str, dict[str, str]] = {}
    for path in clip_tables(stimulus_set):
        known = merge_clips(known, read_clip_table(path))
    return merge_clips(known, read_clips(stimulus_set))


def merge_clips(known: Mapping[str, Mapping[str, str]], more: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Columns by clip, updated by others; an empty cell overrides nothing."""
    merged = {clip: dict(columns) for clip, columns in known.items()}
    for clip, columns in more.items():
        before = merged.setdefault(clip, {})
        before.update({column: cell for column, cell in columns.items() if cell or column not in before})
    return merged


def read_clip_table(path: Path) -> dict[str, dict[str, str]]:
    """The columns of a ``clips.csv`` by clip."""
    rows = read_table(path)
    if not {"name", "path"} & rows[0].keys():
        raise AudioMetamerError(f"{path} has no column name or path; it has {', '.join(rows[0])}")
    hidden = {"name", "path", "clip", INITIAL} | {column for column in CLIP_COLUMNS if not any(row.get(column) for row in rows)}
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        clip, columns = row_clip_name(row), {column: cell for column, cell in row.items() if column not in hidden}
        if found.setdefault(clip, columns) != columns:
            raise AudioMetamerError(f"{path} describes two clips named {clip} differently; names of clips must differ")
    return found
