"""Recordings and images from files, as a model takes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiometamer.io.names import check_distinct_paths, safe_name
from audiometamer.signals.clip_names import clip_name

if TYPE_CHECKING:
    from audiometamer.models.model import Model
    from audiometamer.signals.audio import Clip

NATURAL = "natural"  # instead of a layer: the clip itself


def read_clips(model: "Model", paths: Sequence[Path], *, start: float | None = None, length: float | None = None) -> "list[Clip]":
    """Recordings or images as a model takes them; their names must differ, since they name folders.

    Parameters
    ----------
    model : Model
    paths : sequence of path
    start, length : float, optional
        Seconds; see `audiometamer.read_clip`.
    """
    check_clip_names(paths)
    return [model.read_clip(path, start=start, length=length) for path in dict.fromkeys(paths)]


def check_clip_names(paths: Sequence[Path]) -> None:
    """Raise if two different files would share a folder."""
    check_distinct_paths(((path, safe_name(clip_name(path))) for path in paths), "folder")
