"""The file of one trial: a reference and the moved signal in the order of the intervals, as one WAV or PNG."""

import io
import threading
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from audiometamer.exploration.design import ExplorationDesign
from audiometamer.exploration.presented_trial import PresentedTrial
from audiometamer.io.draws import Draws
from audiometamer.listening.trials import interval_order
from audiometamer.signals.images import STEPS_8_BIT, read_png
from audiometamer.signals.presentation import in_sequence, pcm_wav, presentation_copy


class RecentFiles:
    """The most recent files, by name; each name stands for one content. Thread-safe.

    Parameters
    ----------
    capacity : int
        Number of files. Default 32.
    """

    def __init__(self, capacity: int = 32) -> None:
        self.capacity, self._kept, self._lock = capacity, dict[str, bytes](), threading.Lock()

    def get(self, name: str) -> bytes | None:
        """The file with a name, or None."""
        return self._kept.get(name)

    def keep(self, name: str, file: bytes) -> None:
        """Keep a file; the oldest one makes room for it."""
        with self._lock:
            self._kept[name] = file
            if len(self._kept) > self.capacity:
                del self._kept[next(iter(self._kept))]


def trial_wav(folder: Path, trial: PresentedTrial, design: ExplorationDesign, *, name: str, draws: Draws) -> bytes:
    """One WAV with all intervals of a trial and the silence between them.

    Each sound is at the sample rate, level and ramps of the design, and then has the gain of its interval.

    Parameters
    ----------
    folder : path
        The experiment's folder.
    trial : PresentedTrial
    design : ExplorationDesign
    name : str
        Name of the WAV; its dither follows from it and `draws`.
    draws : Draws

    Raises
    ------
    AudioMetamerError
        If a file is missing or cannot be presented as a sound, or a sample would clip.
    """
    settings = design.sounds.settings(design.seed)
    pair = [presentation_copy(folder / file, settings) for file in (trial.original, trial.moved)]
    order, _ = interval_order(design.task.kind, trial.arrangement)
    intervals = [pair[k] * float(10 ** (decibels / 20)) for k, decibels in zip(order, trial.rove_db, strict=True)]
    return pcm_wav(in_sequence(intervals, design.gap, settings), settings, name=name, draws=draws)


def trial_png(folder: Path, trial: PresentedTrial, design: ExplorationDesign) -> bytes:
    """One PNG with all images of a trial, one below the other, in 8 bits.

    Parameters
    ----------
    folder : path
        The experiment's folder.
    trial : PresentedTrial
    design : ExplorationDesign

    Raises
    ------
    AudioMetamerError
        If a file is missing or not an image.
    """
    pair = [read_png(folder / file) for file in (trial.original, trial.moved)]
    order, _ = interval_order(design.task.kind, trial.arrangement)
    pixels = torch.cat([pair[k] for k in order], dim=1).mul(STEPS_8_BIT).round().byte().permute(1, 2, 0).numpy()
    written = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(written, format="PNG")
    return written.getvalue()


def headroom_db(sound: Path, design: ExplorationDesign) -> float:
    """Headroom of a sound at the level of the design, in dB; negative if it clips."""
    settings = design.sounds.settings(design.seed)
    peak = float(np.abs(presentation_copy(sound, settings)).max())
    return float(20 * np.log10(settings.highest / peak))
