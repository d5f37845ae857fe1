"""The null distribution of sounds or images in files and folders."""

import math
import random
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from audiometamer.errors import AudioMetamerWarning
from audiometamer.io.paths import printable
from audiometamer.metamers.criteria import NullDistribution
from audiometamer.metamers.verdicts import PAIRS
from audiometamer.models.excerpts import Excerpt, find_excerpts, read_excerpts
from audiometamer.models.model import Model


def null_of_sounds(
    model: Model,
    sounds: Sequence[Path],
    *,
    layers: Sequence[str] | None = None,
    pairs: int = PAIRS,
    seed: int = 0,
    batch_size: int = 8,
    memory: float = 1e9,
    progress: Callable[[float, str], object] = lambda *_: None,
) -> NullDistribution:
    """Compare random pairs of natural sounds or images at layers of a model.

    Parameters
    ----------
    model : Model
    sounds : sequence of path
        Files, folders or tables; see `find_excerpts`. Recordings longer than the model's duration give several sounds.
    layers : sequence of str, optional
        Default: all that the model lists.
    pairs : int
        Minimum number of pairs, if there are enough sounds. Default 1,000,000, of 1,415 sounds.
    seed : int
        Random seed of the selection of sounds. Default 0.
    batch_size : int
        Default 8.
    memory : float
        Largest number of bytes for activations. Default 1e9.
    progress : callable, optional
        Called with the fraction done and a description of the current work.

    Raises
    ------
    AudioMetamerError
        See `find_excerpts` and `NullDistribution.measure`.

    Warns
    -----
    AudioMetamerWarning
        If the sounds give fewer pairs.
    """
    n_needed = math.ceil((1 + math.sqrt(1 + 8 * pairs)) / 2)
    excerpts = find_excerpts(model, sounds)
    random.Random(seed).shuffle(excerpts)  # noqa: S311 (nothing secret)
    chosen = excerpts[:n_needed]
    n = len(chosen)
    if n < n_needed:
        few = f"{pairs} pairs need {n_needed} sounds; {n} give {n * (n - 1) // 2} pairs"
        warnings.warn(few, AudioMetamerWarning, stacklevel=2)
    return NullDistribution.measure(
        model,
        (clip.samples for clip in read_excerpts(model, chosen)),
        layers=layers,
        names=map(_name, chosen),
        source=f"{n} of {len(excerpts)} excerpts of {', '.join(map(printable, sounds))}",
        batch_size=batch_size,
        memory=memory,
        progress=lambda done: progress(done / n, f"{done} of {n} sounds"),
    )


def _name(excerpt: Excerpt) -> str:
    path, start = excerpt
    return f"{path}@{start:g}s" if start else str(path)
