"""Signals of a bank or a catalogue: all that are in some files and folders, or a random sample of them."""

import random
from collections.abc import Sequence
from pathlib import Path

from audiometamer.errors import AudioMetamerError
from audiometamer.models.excerpts import Excerpt, find_excerpts
from audiometamer.models.model import Model


def sample_excerpts(model: Model, paths: Sequence[Path], *, number: int | None = None, seed: int = 0) -> list[Excerpt]:
    """Excerpts of recordings, or photographs, in the order of the files.

    Parameters
    ----------
    model : Model
    paths : sequence of path
        Files, folders, or tables with a column ``path``.
    number : int, optional
        Number to draw at random. Default: all.
    seed : int
        Random seed. Default 0.

    Raises
    ------
    AudioMetamerError
        If there are none, or as `find_excerpts`.
    """
    excerpts = find_excerpts(model, paths)
    if not excerpts:
        raise AudioMetamerError(f"there are no recordings or photographs in {', '.join(map(str, paths))}")
    if number is None or number >= len(excerpts):
        return excerpts
    indices = random.Random(seed).sample(range(len(excerpts)), number)  # noqa: S311 (nothing secret)
    return [excerpts[i] for i in sorted(indices)]
